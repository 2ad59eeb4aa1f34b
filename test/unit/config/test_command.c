#include <string.h>

#include <criterion/criterion.h>

#include "config/command.h"

#define MAX_WORDS 6

Test(command, splits_into_words)
{
    static const struct {
        const char *text;
        const char *words[MAX_WORDS];
    } rows[] = {
        { "app", { "app" } },
        { "  app \t -x\r\n y ", { "app", "-x", "y" } },
        { "a 'b c' \"d e\"", { "a", "b c", "d e" } },
        { "a '' \"\"", { "a", "", "" } },
        { "a'b'\"c\"d", { "abcd" } },
        { "'a\\nb'", { "a\\nb" } },
        { "\"a\\nb\\tc\\\"d\\\\\"", { "a\nb\tc\"d\\" } },
        { "a\\ b \\t\\x", { "a b", "\tx" } },
        { "echo #no $HOME *", { "echo", "#no", "$HOME", "*" } },
        { "sh -c 'a; b | c > d & e'", { "sh", "-c", "a; b | c > d & e" } },
        { "echo `date -u` $(date -u)", { "echo", "`date -u`", "$(date -u)" } },
        { "echo \"(\" ')'", { "echo", "(", ")" } },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena a;
        struct cfg_strings argv = { .n = 0 };
        struct err e = ERR_NONE;
        size_t n = 0;

        arena_init(&a);
        cr_assert_eq(cfg_split_command(&a, rows[i].text, &argv, &e), 0, "%s: %s",
            rows[i].text, e.text);
        for (; n < MAX_WORDS && rows[i].words[n] != NULL; n++)
            cr_expect(n < argv.n && strcmp(argv.items[n], rows[i].words[n]) == 0,
                "%s: word %zu", rows[i].text, n);
        cr_expect_eq(n, argv.n, "%s: %zu words", rows[i].text, argv.n);
        cr_expect_null(argv.items[argv.n]);
        arena_deinit(&a);
    }
}

Test(command, refuses_what_needs_a_shell_or_is_unbalanced)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "command is empty" },
        { " \t\n", "command is empty" },
        { "a 'b", "invalid command line string" },
        { "a \"b", "invalid command line string" },
        { "a \\", "invalid command line string" },
        { "a \"b\\", "invalid command line string" },
        { "a (b)", "invalid command line string" },
        { "a )", "invalid command line string" },
        { "a `b", "invalid command line string" },
        { "a $(b", "invalid command line string" },
        { "a; b", "`;` needs a shell: put it in quotes, or use sh -c '...'" },
        { "a | b", "`|` needs a shell: put it in quotes, or use sh -c '...'" },
        { "a >b", "`>` needs a shell: put it in quotes, or use sh -c '...'" },
        { "a <b", "`<` needs a shell: put it in quotes, or use sh -c '...'" },
        { "a &", "`&` needs a shell: put it in quotes, or use sh -c '...'" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena a;
        struct cfg_strings argv = { .n = 0 };
        struct err e = ERR_NONE;

        arena_init(&a);
        cr_expect_eq(cfg_split_command(&a, rows[i].text, &argv, &e), ERR_CONFIG, "%s",
            rows[i].text);
        cr_expect_str_eq(e.text, rows[i].error, "%s: %s", rows[i].text, e.text);
        arena_deinit(&a);
    }
}
