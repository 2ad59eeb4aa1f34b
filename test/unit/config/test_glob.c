#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "config/glob.h"

Test(glob, matches_as_go_does)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        { "*.db", "a.db", true },
        { "*.db", ".db", true },
        { "*.db", ".hidden.db", true },
        { "*.db", "a.db2", false },
        { "*.db", "db", false },
        { "*", "", true },
        { "**", "anything", true },
        { "", "", true },
        { "", "a", false },
        { "a?c", "abc", true },
        { "a?c", "ac", false },
        { "a?", "a", false },
        { "[abc].db", "b.db", true },
        { "[abc].db", "d.db", false },
        { "[a-c]x", "bx", true },
        { "[^a-c]x", "bx", false },
        { "[^a-c]x", "dx", true },
        { "[!a]x", "!x", true },
        { "[!a]x", "bx", false },
        { "[\\]]x", "]x", true },
        { "[\\-x]", "-", true },
        { "\\*.db", "*.db", true },
        { "\\*.db", "a.db", false },
        { "{a,b}.db", "a.db", false },
        { "{a,b}.db", "{a,b}.db", true },
        { "*a*b*c", "xxaxxbxxc", true },
        { "*a*b*c", "xxaxxcxxb", false },
        { "a*[0-9].db", "a-17.db", true },
        { "a*[0-9].db", "a-x.db", false },
        { "*x", "xxxxxxxx", true },
        { "*\303\244.db", "\303\244.db", true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(glob_match(cases[i].pattern, cases[i].name), cases[i].match,
            "%s on %s", cases[i].pattern, cases[i].name);
        cr_expect(glob_valid(cases[i].pattern), "%s", cases[i].pattern);
    }
}

Test(glob, what_is_not_well_formed_matches_nothing)
{
    static const char *const bad[] = { "[", "[]", "[]a]", "[^]", "[a", "[a-", "[a-]",
        "[-x]", "[x-]", "a\\", "*\\", "[\\", "[a\\" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(glob_valid(bad[i]), "%s", bad[i]);
        cr_expect_not(glob_match(bad[i], "a"), "%s", bad[i]);
        cr_expect_not(glob_match(bad[i], ""), "%s", bad[i]);
    }
}

/* A pattern that would take for ever if every star were tried at every place. */
Test(glob, no_pattern_takes_long, .timeout = 10)
{
    char *name = mem_new(4097), *pattern = mem_new(4097);

    memset(name, 'a', 4096);
    for (int i = 0; i < 4094; i += 2)
        memcpy(pattern + i, "*a", 2);
    strncat(pattern, "*b", 4096 - strlen(pattern));
    cr_expect_not(glob_match(pattern, name));
    name[4095] = 'b';
    cr_expect(glob_match(pattern, name));
    mem_free(name);
    mem_free(pattern);
}
