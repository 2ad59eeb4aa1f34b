#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "supervisor/flags.h"

static struct {
    bool json;
    int64_t n, d;
    const char *path;
} v;

static const char *
only_x(const char *text, void *value)
{
    (void)value;
    return strcmp(text, "x") == 0 ? NULL : "must be x";
}

static const struct flag flags[] = {
    { .name = "json", .type = FLAG_BOOL, .value = &v.json },
    { .name = "n", .type = FLAG_INT, .value = &v.n },
    { .name = "d", .type = FLAG_DURATION, .value = &v.d },
    { .name = "config", .type = FLAG_STRING, .value = &v.path },
    { .name = "custom", .type = FLAG_CUSTOM, .parse = only_x },
};

/* Words separated by blanks; returns the code and leaves text in *e. */
static int
parse(const char *line, int *used, struct err *e)
{
    static char copy[256];
    static char *argv[32];
    int argc = 0;

    memset(&v, 0, sizeof(v));
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *s = copy; *s != '\0'; s++) {
        while (*s == ' ')
            *s++ = '\0';
        if (*s == '\0')
            break;
        argv[argc++] = s;
        while (*s != ' ' && *s != '\0')
            s++;
        if (*s == '\0')
            break;
        *s = '\0';
    }
    return flags_parse(flags, sizeof(flags) / sizeof(flags[0]), argc, argv, used, e);
}

Test(flags, one_and_two_dashes_are_the_same)
{
    struct err e;
    int used;

    cr_assert_eq(parse("-json --n=5 -config a --d 1h2m file", &used, &e), 0);
    cr_assert(v.json);
    cr_assert_eq(v.n, 5);
    cr_assert_str_eq(v.path, "a");
    cr_assert_eq(v.d, INT64_C(3720000000000));
    cr_assert_eq(used, 6);
}

Test(flags, parsing_stops_at_the_first_word_that_is_none)
{
    struct err e;
    int used;

    cr_assert_eq(parse("-json file -n 5", &used, &e), 0);
    cr_assert_eq(used, 1);
    cr_assert_eq(v.n, 0);
    cr_assert_eq(parse("-json -- -n 5", &used, &e), 0);
    cr_assert_eq(used, 2);
    cr_assert_eq(parse("-json - -n 5", &used, &e), 0);
    cr_assert_eq(used, 1);
    cr_assert_eq(parse("", &used, &e), 0);
    cr_assert_eq(used, 0);
}

Test(flags, a_bool_takes_no_separate_word)
{
    struct err e;
    int used;

    cr_assert_eq(parse("-json false", &used, &e), 0);
    cr_assert(v.json);
    cr_assert_eq(used, 1);
    cr_assert_eq(parse("-json=F", &used, &e), 0);
    cr_assert_not(v.json);
}

Test(flags, messages_are_those_of_go)
{
    static const char *const cases[][2] = {
        { "-x", "flag provided but not defined: -x" },
        { "--x=1", "flag provided but not defined: -x" },
        { "-config", "flag needs an argument: -config" },
        { "-n x", "invalid value \"x\" for flag -n: parse error" },
        { "-n 99999999999999999999",
            "invalid value \"99999999999999999999\" for flag -n: "
            "value out of range" },
        { "-n=", "invalid value \"\" for flag -n: parse error" },
        { "-d 5", "invalid value \"5\" for flag -d: parse error" },
        { "-json=foo", "invalid boolean value \"foo\" for -json: parse error" },
        { "---a", "bad flag syntax: ---a" },
        { "-=a", "bad flag syntax: -=a" },
        { "-custom y", "invalid value \"y\" for flag -custom: must be x" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e;
        int used;

        cr_assert_eq(parse(cases[i][0], &used, &e), ERR_USAGE, "%s", cases[i][0]);
        cr_expect_str_eq(e.text, cases[i][1]);
    }
}

Test(flags, help_is_told_from_an_error)
{
    struct err e;
    int used;

    cr_assert_eq(parse("-h", &used, &e), ERR_END);
    cr_assert_eq(parse("-json --help", &used, &e), ERR_END);
    cr_assert_eq(parse("-help=1", &used, &e), ERR_USAGE);
}

Test(flags, integers_are_those_of_go)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        { "0", 0 },
        { "10", 10 },
        { "-10", -10 },
        { "+7", 7 },
        { "0x1F", 31 },
        { "0b101", 5 },
        { "0o17", 15 },
        { "017", 15 },
        { "1_000", 1000 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    static const char *const bad[] = { "", "a", "1a", "_1", "1_", "1__0", "0x", "08",
        "1.5", " 1", "--1", "0b2" };
    int64_t n;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_null(flags_parse_int(good[i].text, &n), "%s", good[i].text);
        cr_assert_eq(n, good[i].value, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_not_null(flags_parse_int(bad[i], &n), "%s", bad[i]);
}
