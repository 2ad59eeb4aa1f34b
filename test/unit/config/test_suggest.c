#include <criterion/criterion.h>

#include "config/suggest.h"

Test(suggest, counts_single_edits)
{
    cr_expect_eq(suggest_distance("", "", 9), 0);
    cr_expect_eq(suggest_distance("abc", "abc", 9), 0);
    cr_expect_eq(suggest_distance("abc", "abd", 9), 1);
    cr_expect_eq(suggest_distance("abc", "ab", 9), 1);
    cr_expect_eq(suggest_distance("ab", "abc", 9), 1);
    cr_expect_eq(suggest_distance("regoin", "region", 9), 1);
    cr_expect_eq(suggest_distance("ca", "abc", 9), 3);
    cr_expect_eq(suggest_distance("", "abcd", 9), 4);
    cr_expect_eq(suggest_distance("kitten", "sitting", 9), 3);
}

Test(suggest, stops_at_what_does_not_matter)
{
    char longer[SUGGEST_WORD_MAX + 2] = "";

    cr_expect_eq(suggest_distance("abcd", "wxyz", 2), 3);
    for (int i = 0; i <= SUGGEST_WORD_MAX; i++)
        longer[i] = 'a';
    cr_expect_eq(suggest_distance(longer, longer, 5), 6);
}
