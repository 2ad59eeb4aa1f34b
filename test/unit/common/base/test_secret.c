#include <string.h>

#include <criterion/criterion.h>

#include "common/base/secret.h"

Test(secret, nothing_and_empty_are_not_set)
{
    struct secret s = { NULL };

    cr_expect_not(secret_is_set(&s));
    cr_expect_str_eq(secret_reveal(&s), "");
    secret_set(&s, "");
    cr_expect_not(secret_is_set(&s));
    secret_set(&s, NULL);
    cr_expect_not(secret_is_set(&s));
    secret_wipe(&s);
}

Test(secret, keeps_a_copy_until_wiped)
{
    char value[] = "hunter2";
    struct secret s = { NULL };

    secret_set(&s, value);
    value[0] = 'X';
    cr_expect(secret_is_set(&s));
    cr_expect_str_eq(secret_reveal(&s), "hunter2");
    secret_wipe(&s);
    cr_expect_not(secret_is_set(&s));
    secret_wipe(&s);
}

Test(secret, a_new_value_replaces_the_old_one_and_an_empty_one_removes_it)
{
    struct secret s = { NULL };

    secret_set(&s, "first");
    secret_set(&s, "second");
    cr_expect_str_eq(secret_reveal(&s), "second");
    secret_set(&s, "");
    cr_expect_not(secret_is_set(&s));
}

Test(secret, can_be_set_from_itself)
{
    struct secret s = { NULL };

    secret_set(&s, "hunter2");
    secret_set(&s, secret_reveal(&s) + 3);
    cr_expect_str_eq(secret_reveal(&s), "ter2");
    secret_copy(&s, &s);
    cr_expect_str_eq(secret_reveal(&s), "ter2");
    secret_wipe(&s);
}

Test(secret, copies_are_independent)
{
    struct secret a = { NULL }, b = { NULL };

    secret_set(&a, "hunter2");
    secret_copy(&b, &a);
    secret_wipe(&a);
    cr_expect_str_eq(secret_reveal(&b), "hunter2");
    secret_copy(&b, &a);
    cr_expect_not(secret_is_set(&b));
}
