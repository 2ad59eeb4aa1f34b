#include <string.h>

#include <criterion/criterion.h>

#include "common/base/duration.h"
#include "config/scalar.h"

/* The scalar behind "k: ". */
static struct yscalar
scalar(const char *text, struct ytree **tree)
{
    char doc[256];
    struct ynode *root;
    struct yscalar s = { .type = YSCALAR_NULL };
    struct err e = ERR_NONE;

    snprintf(doc, sizeof(doc), "k: %s\n", text);
    cr_assert_eq(ytree_parse(doc, strlen(doc), tree, &root, &e), 0, "%s", e.text);
    cr_assert_eq(
        yscalar_resolve(ynode_follow(root->first->next), &s, &e), 0, "%s", e.text);
    return s;
}

Test(scalar, bools_are_the_words_of_yaml_1_1_without_quotes)
{
    static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on",
        "On", "ON", "y", "Y" };
    static const char *const no[] = { "false", "False", "FALSE", "no", "No", "NO", "off",
        "Off", "OFF", "n", "N" };
    static const char *const other[] = { "1", "0", "\"true\"", "'yes'", "tRUE", "yEs",
        "t", "!!str true", "2001-01-01" };
    struct ytree *t;
    struct yscalar s;
    bool value;

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        s = scalar(yes[i], &t);
        cr_expect(yscalar_to_bool(&s, &value) && value, "%s", yes[i]);
        ytree_free(t);
        s = scalar(no[i], &t);
        cr_expect(yscalar_to_bool(&s, &value) && !value, "%s", no[i]);
        ytree_free(t);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        s = scalar(other[i], &t);
        cr_expect_not(yscalar_to_bool(&s, &value), "%s", other[i]);
        ytree_free(t);
    }
}

Test(scalar, ints_have_bases_separators_and_truncated_fractions)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        { "0", 0 },
        { "42", 42 },
        { "-1", -1 },
        { "+7", 7 },
        { "1_000", 1000 },
        { "0x1F", 31 },
        { "0X1f", 31 },
        { "-0x10", -16 },
        { "0b101", 5 },
        { "0o17", 15 },
        { "017", 15 },
        { "08", 8 }, /* no octal number: a float */
        { "5.5", 5 },
        { "-5.9", -5 },
        { ".5", 0 },
        { "1e3", 1000 },
        { "1.5e3", 1500 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "!!int \"5\"", 5 },
        { "!!float 5", 5 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ytree *t;
        struct yscalar s = scalar(rows[i].text, &t);
        int64_t value = 99;

        cr_expect(yscalar_to_int(&s, &value), "%s", rows[i].text);
        cr_expect_eq(value, rows[i].value, "%s: %lld", rows[i].text, (long long)value);
        ytree_free(t);
    }
}

Test(scalar, what_is_no_int)
{
    static const struct {
        const char *text, *tag;
    } rows[] = {
        { "\"5\"", "!!str" },
        { "'0x10'", "!!str" },
        { "5MB", "!!str" },
        { "0x", "!!str" },
        { "0b2", "!!str" },
        { "_1", "!!str" },
        { "--1", "!!str" },
        { "yes", "!!bool" },
        { "~", "!!null" },
        { ".inf", "!!float" },
        { "-.inf", "!!float" },
        { ".nan", "!!float" },
        { "1e19", "!!float" },
        { "9223372036854775808", "!!int" },
        { "18446744073709551616", "!!float" },
        { "2001-01-01", "!!timestamp" },
        { "!tag 5", "!tag" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ytree *t;
        struct yscalar s = scalar(rows[i].text, &t);
        int64_t value;

        cr_expect_not(yscalar_to_int(&s, &value), "%s", rows[i].text);
        cr_expect_str_eq(s.tag, rows[i].tag, "%s: %s", rows[i].text, s.tag);
        ytree_free(t);
    }
}

Test(scalar, durations_are_texts_and_bare_numbers_are_nanoseconds)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        { "1h30m", 5400 * DURATION_SEC },
        { ".5s", 500 * DURATION_MS },
        { "1.5h", 5400 * DURATION_SEC },
        { "-1s", -DURATION_SEC },
        { "10us", 10000 },
        { "10\xc2\xb5s", 10000 },
        { "3ns", 3 },
        { "\"5m\"", 5 * DURATION_MIN },
        { "0", 0 },
        { "\"0\"", 0 },
        { "10", 10 },
        { "1e9", DURATION_SEC },
        { "0x10", 16 },
        { "2.7", 2 },
        { "2562047h47m16.854775807s", INT64_MAX },
    };
    static const char *const no[] = { "1d", "1w", "\"10\"", "1:30", "yes", "5 s", "s",
        "1h30", "2562047h47m16.854775808s", "1e19", "2001-01-01" };
    struct ytree *t;
    struct yscalar s;
    int64_t ns;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s = scalar(rows[i].text, &t);
        ns = -99;
        cr_expect(yscalar_to_duration(&s, &ns), "%s", rows[i].text);
        cr_expect_eq(ns, rows[i].ns, "%s: %lld", rows[i].text, (long long)ns);
        ytree_free(t);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        s = scalar(no[i], &t);
        cr_expect_not(yscalar_to_duration(&s, &ns), "%s", no[i]);
        ytree_free(t);
    }
}

Test(scalar, modes_are_numbers_or_quoted_octal)
{
    static const struct {
        const char *text;
        int64_t mode;
    } rows[] = {
        { "0600", 0600 },
        { "0o600", 0600 },
        { "0x180", 0600 },
        { "384", 0600 },
        { "600", 01130 },
        { "\"0600\"", 0600 },
        { "\"600\"", 0600 },
        { "'0o600'", 0600 },
    };
    static const char *const no[] = { "-1", "4294967296", "\"0800\"", "rw", "''", "yes" };
    struct ytree *t;
    struct yscalar s;
    int64_t mode;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s = scalar(rows[i].text, &t);
        mode = -1;
        cr_expect(yscalar_to_mode(&s, &mode), "%s", rows[i].text);
        cr_expect_eq(mode, rows[i].mode, "%s: %llo", rows[i].text, (long long)mode);
        ytree_free(t);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        s = scalar(no[i], &t);
        cr_expect_not(yscalar_to_mode(&s, &mode), "%s", no[i]);
        ytree_free(t);
    }
}

Test(scalar, an_explicit_tag_must_fit)
{
    struct ytree *t;
    struct ynode *root;
    struct yscalar s;
    struct err e = ERR_NONE;
    const char *doc = "a: 1\nk: !!int x\n";

    cr_assert_eq(ytree_parse(doc, strlen(doc), &t, &root, &e), 0);
    cr_expect_eq(yscalar_resolve(root->last, &s, &e), ERR_CONFIG);
    cr_expect_str_eq(e.text, "yaml: cannot decode !!str as a !!int");
    ytree_free(t);
}
