#include "supervisor/flags.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/duration.h"

static const char *
parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return NULL;
        }
    }
    return "parse error";
}

/* Digits without the underscores that may separate them; false: not a number. */
static bool
clean_digits(const char *s, char *out, size_t size)
{
    size_t n = 0;
    bool after_digit = false;

    for (; *s != '\0'; s++) {
        if (*s == '_') {
            if (!after_digit || s[1] == '\0' || s[1] == '_')
                return false;
            after_digit = false;
            continue;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = *s;
        after_digit = true;
    }
    out[n] = '\0';
    return n > 0;
}

const char *
flags_parse_int(const char *text, int64_t *value)
{
    const char *s = text;
    char digits[96];
    char *end;
    int base = 10;
    bool negative = false;
    unsigned long long v;

    if (*s == '-' || *s == '+')
        negative = *s++ == '-';
    if (s[0] == '0' && s[1] != '\0') {
        char c = (char)(s[1] | 0x20);

        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        s += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    if (!clean_digits(s, digits, sizeof(digits)) || digits[0] == '-' ||
        digits[0] == '+' || digits[0] == ' ')
        return "parse error";
    errno = 0;
    v = strtoull(digits, &end, base);
    if (*end != '\0' || end == digits)
        return "parse error";
    if (errno == ERANGE || v > (unsigned long long)INT64_MAX + (negative ? 1 : 0))
        return "value out of range";
    *value = negative ? (int64_t)(0 - v) : (int64_t)v;
    return NULL;
}

static const char *
parse_duration(const char *text, int64_t *value)
{
    return duration_parse(text, value) ? NULL : "parse error";
}

static int
set_flag(const struct flag *f, const char *text, struct err *e)
{
    const char *bad = NULL;

    switch (f->type) {
    case FLAG_BOOL:
        bad = parse_bool(text, f->value);
        if (bad != NULL)
            return err_set(e, ERR_USAGE, "invalid boolean value \"%s\" for -%s: %s", text,
                f->name, bad);
        break;
    case FLAG_INT:
        bad = flags_parse_int(text, f->value);
        break;
    case FLAG_STRING:
        *(const char **)f->value = text;
        break;
    case FLAG_DURATION:
        bad = parse_duration(text, f->value);
        break;
    case FLAG_CUSTOM:
        bad = f->parse(text, f->value);
        break;
    }
    if (bad != NULL)
        return err_set(
            e, ERR_USAGE, "invalid value \"%s\" for flag -%s: %s", text, f->name, bad);
    if (f->given != NULL)
        *f->given = true;
    return 0;
}

static const struct flag *
find_flag(const struct flag *flags, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0)
            return &flags[i];
    return NULL;
}

/* One flag at argv[*i]; moves *i to its last word. */
static int
take_flag(
    const struct flag *flags, size_t n, int argc, char **argv, int *i, struct err *e)
{
    const char *word = argv[*i];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct flag *f;

    if (len == 0 || name[0] == '-')
        return err_set(e, ERR_USAGE, "bad flag syntax: %s", word);
    f = find_flag(flags, n, name, len);
    if (f == NULL) {
        if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0)
            return err_set(e, ERR_END, "help");
        return err_set(
            e, ERR_USAGE, "flag provided but not defined: -%.*s", (int)len, name);
    }
    if (equals != NULL)
        return set_flag(f, equals + 1, e);
    if (f->type == FLAG_BOOL)
        return set_flag(f, "true", e);
    if (*i + 1 >= argc)
        return err_set(e, ERR_USAGE, "flag needs an argument: -%s", f->name);
    return set_flag(f, argv[++*i], e);
}

int
flags_parse(
    const struct flag *flags, size_t n, int argc, char **argv, int *n_used, struct err *e)
{
    int i;

    for (i = 0; i < argc; i++) {
        int rc;

        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0')
            break;
        rc = take_flag(flags, n, argc, argv, &i, e);
        if (rc != 0)
            return rc;
    }
    *n_used = i;
    return 0;
}

void
flags_print(const struct flag *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (flags[i].doc == NULL)
            continue;
        printf("\t-%s%s%s\n\t    %s\n", flags[i].name, flags[i].arg != NULL ? " " : "",
            flags[i].arg != NULL ? flags[i].arg : "", flags[i].doc);
    }
}
