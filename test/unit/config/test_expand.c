#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "config/expand.h"

static const char *
env(const char *name)
{
    static const char *const vars[][2] = {
        { "A", "1" },
        { "NAME", "value" },
        { "NAME_2", "other" },
        { "EMPTY", "" },
        { "LINES", "x\ny" },
        { "DOLLAR", "$A" },
        { "PID", "never" },
    };

    for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static const char *
expanded(const char *text, struct expanded *x)
{
    struct err e = ERR_NONE;

    *x = (struct expanded){ .gaps = NULL };
    cr_assert_eq(expand_text(text, strlen(text), env, x, &e), 0, "%s", e.text);
    return buf_str(&x->text);
}

Test(expand, follows_the_rules)
{
    static const struct {
        const char *text, *result;
        size_t n_gaps;
    } rows[] = {
        { "", "", 0 },
        { "plain", "plain", 0 },
        { "$NAME", "value", 0 },
        { "${NAME}", "value", 0 },
        { "a$NAME.b", "avalue.b", 0 },
        { "$NAME_2", "other", 0 },
        { "${NAME}_2", "value_2", 0 },
        { "$NAME-x", "value-x", 0 },
        { "$UNSET", "", 1 },
        { "[${UNSET}]", "[]", 1 },
        { "$EMPTY|", "|", 0 },
        { "${NAME:-x}", "", 1 },
        { "pa$$word", "paword", 1 },
        { "a$1b", "ab", 1 },
        { "$*$#$@$!$?$-$0$9", "", 8 },
        { "${*}${1}", "", 2 },
        { "${}x", "x", 0 },
        { "a${b", "ab", 0 },
        { "a${", "a", 0 },
        { "${A}${", "1", 0 },
        { "${A b", "A b", 0 },
        { "$", "$", 0 },
        { "a$", "a$", 0 },
        { "$ $.$/$(x)", "$ $.$/$(x)", 0 },
        { "\\$A", "\\1", 0 },
        { "# $A comment", "# 1 comment", 0 },
        { "$DOLLAR", "$A", 0 },
        { "${A}$A$A", "111", 0 },
        { "x${A\ny}z", "xz", 1 },
        { "\xc3\xa4$A\xc3\xa4",
            "\xc3\xa4"
            "1\xc3\xa4",
            0 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct expanded x;

        cr_expect_str_eq(expanded(rows[i].text, &x), rows[i].result, "%s -> %s",
            rows[i].text, buf_str(&x.text));
        cr_expect_eq(x.n_gaps, rows[i].n_gaps, "%s: %zu", rows[i].text, x.n_gaps);
        expanded_deinit(&x);
    }
}

Test(expand, pid_is_this_process)
{
    struct expanded x;
    char pid[64];

    snprintf(pid, sizeof(pid), "%ld/%ld", (long)getpid(), (long)getpid());
    cr_expect_str_eq(expanded("$PID/${PID}", &x), pid);
    expanded_deinit(&x);
}

Test(expand, without_variables_nothing_changes)
{
    struct expanded x = { .gaps = NULL };
    struct err e = ERR_NONE;

    cr_assert_eq(expand_text("a$A${}$$", 8, NULL, &x, &e), 0);
    cr_expect_str_eq(buf_str(&x.text), "a$A${}$$");
    expanded_deinit(&x);
}

Test(expand, gaps_know_line_place_and_name)
{
    struct expanded x;

    expanded("a: $LINES\n\xc3\xa4: pa$$w ${GONE}", &x);
    cr_assert_eq(x.n_gaps, 2);
    cr_expect_eq(x.gaps[0].line, 3, "a value with a line feed counts");
    cr_expect_eq(x.gaps[0].index, 12);
    cr_expect_str_eq(x.gaps[0].name, "");
    cr_expect_eq(x.gaps[1].index, 14);
    cr_expect_str_eq(x.gaps[1].name, "GONE");
    expanded_deinit(&x);
}

Test(expand, has_a_ceiling)
{
    static const char *const big_value = "${NAME}";
    struct expanded x = { .gaps = NULL };
    struct err e = ERR_NONE;
    size_t size = EXPAND_MAX + 1;
    char *text = calloc(1, size);

    memset(text, 'x', size);
    cr_expect_eq(expand_text(text, size, env, &x, &e), ERR_CONFIG);
    cr_expect_str_eq(e.text, "larger than 16777216 bytes");
    expanded_deinit(&x);
    cr_expect_eq(expand_text(text, size - 1, env, &x, &e), 0);
    expanded_deinit(&x);
    memcpy(text, "$DOLLAR", 7); /* shorter, stays within */
    cr_expect_eq(expand_text(text, size - 1, env, &x, &e), 0);
    expanded_deinit(&x);
    for (size_t i = 0; i + 2 < size; i += 2)
        memcpy(text + i, "$A", 2);
    memcpy(text, big_value, 7);
    cr_expect_eq(expand_text(text, size - 1, env, &x, &e), 0);
    expanded_deinit(&x);
    free(text);
}

Test(expand, unclosed_braces_take_no_quadratic_time, .timeout = 20)
{
    struct expanded x = { .gaps = NULL };
    struct err e = ERR_NONE;
    char *text = calloc(1, EXPAND_MAX);

    for (size_t i = 0; i < EXPAND_MAX; i += 2)
        memcpy(text + i, "${", 2);
    cr_expect_eq(expand_text(text, EXPAND_MAX, env, &x, &e), 0);
    cr_expect_eq(x.text.size, 0);
    expanded_deinit(&x);
    free(text);
}
