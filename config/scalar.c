#include "config/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/duration.h"

#define NUMBER_MAX 400 /* the longest text that is tried as a number */

static const struct {
    enum yscalar_type type;
    const char *tag;
    bool flag;
    const char *texts[12];
} words[] = {
    { YSCALAR_NULL, "!!null", false, { "", "~", "null", "Null", "NULL" } },
    { YSCALAR_BOOL, "!!bool", true,
        { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON" } },
    { YSCALAR_BOOL, "!!bool", false,
        { "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF" } },
};

static bool
resolve_word(const char *text, struct yscalar *out)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (size_t k = 0; k < 12 && words[i].texts[k] != NULL; k++)
            if (strcmp(text, words[i].texts[k]) == 0) {
                out->type = words[i].type;
                out->tag = words[i].tag;
                out->flag = words[i].flag;
                return true;
            }
    return false;
}

static bool
resolve_special_float(const char *text, struct yscalar *out)
{
    static const char *const nans[] = { ".nan", ".NaN", ".NAN" };
    static const char *const infs[] = { ".inf", ".Inf", ".INF" };
    const char *s = text + (text[0] == '+' || text[0] == '-');

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, nans[i]) == 0)
            out->real = NAN;
        else if (strcmp(s, infs[i]) == 0)
            out->real = text[0] == '-' ? -INFINITY : INFINITY;
        else
            continue;
        out->type = YSCALAR_FLOAT;
        out->tag = "!!float";
        return true;
    }
    return false;
}

/* 0x 0b 0o and a leading 0 choose the base; digits only, no sign. */
static bool
parse_digits(const char *s, uint64_t *out)
{
    int base = 10;
    uint64_t value = 0;

    if (s[0] == '0' && s[1] != '\0') {
        int c = tolower((unsigned char)s[1]);

        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        s += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        int c = tolower((unsigned char)*s);
        int digit = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;

        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static bool
resolve_int(const char *s, struct yscalar *out)
{
    bool sign = *s == '-' || *s == '+', negative = *s == '-';
    uint64_t value;

    if (!parse_digits(s + (sign ? 1 : 0), &value))
        return false;
    if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0) && sign)
        return false;
    out->type = value > (uint64_t)INT64_MAX && !negative ? YSCALAR_UINT : YSCALAR_INT;
    out->i64 = negative ? (int64_t)(0 - value) : (int64_t)value;
    out->tag = "!!int";
    return true;
}

/* [+-] digits with a point somewhere, or after it; exponent. strtod would take more. */
static bool
has_float_form(const char *s)
{
    size_t digits = 0;

    s += *s == '+' || *s == '-';
    for (; isdigit((unsigned char)*s); s++)
        digits++;
    if (*s == '.')
        for (s++; isdigit((unsigned char)*s); s++)
            digits++;
    if (digits == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        if (!isdigit((unsigned char)*s))
            return false;
        while (isdigit((unsigned char)*s))
            s++;
    }
    return *s == '\0';
}

static bool
resolve_float(const char *s, struct yscalar *out)
{
    double value;

    if (!has_float_form(s))
        return false;
    value = strtod(s, NULL);
    if (isinf(value))
        return false;
    out->type = YSCALAR_FLOAT;
    out->real = value;
    out->tag = "!!float";
    return true;
}

/* Y-M-D, alone or with a time behind it. */
static bool
resolve_time(const char *s, struct yscalar *out)
{
    static const int most[] = { 4, 2, 2 };

    for (int part = 0; part < 3; part++) {
        int digits = 0;

        for (; isdigit((unsigned char)*s); s++)
            digits++;
        if (digits == 0 || digits > most[part] || (part == 0 && digits != 4))
            return false;
        if (part < 2 && *s++ != '-')
            return false;
    }
    if (*s != '\0' && (strchr("Tt ", *s) == NULL || !isdigit((unsigned char)s[1])))
        return false;
    out->type = YSCALAR_TIME;
    out->tag = "!!timestamp";
    return true;
}

static bool
resolve_number(const char *text, struct yscalar *out)
{
    char plain[NUMBER_MAX];
    size_t n = 0;

    if (text[0] == '.')
        return resolve_special_float(text, out) || resolve_float(text, out);
    if (!isdigit((unsigned char)text[0]) && text[0] != '+' && text[0] != '-')
        return false;
    if (resolve_special_float(text, out) || resolve_time(text, out))
        return true;
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '_')
            continue;
        if (n + 1 == sizeof(plain))
            return false;
        plain[n++] = *s;
    }
    plain[n] = '\0';
    return resolve_int(plain, out) || resolve_float(plain, out);
}

static bool
is_standard(const char *tag)
{
    static const char *const tags[] = { "!!null", "!!bool", "!!int", "!!float",
        "!!timestamp", "!!str" };

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (strcmp(tag, tags[i]) == 0)
            return true;
    return false;
}

static int
apply_tag(const struct ynode *n, struct yscalar *out, struct err *e)
{
    if (strcmp(n->tag, "!!binary") == 0)
        return err_set(e, ERR_CONFIG, "yaml: !!binary is not supported");
    if (strcmp(n->tag, "!!float") == 0 && out->type == YSCALAR_INT) {
        out->type = YSCALAR_FLOAT;
        out->real = (double)out->i64;
    } else if (is_standard(n->tag) && strcmp(n->tag, out->tag) != 0) {
        return err_set(e, ERR_CONFIG, "yaml: cannot decode %s as a %s", out->tag, n->tag);
    }
    out->tag = n->tag;
    return 0;
}

int
yscalar_resolve(const struct ynode *n, struct yscalar *out, struct err *e)
{
    bool text =
        n->tag != NULL ? strcmp(n->tag, "!!str") == 0 || !is_standard(n->tag) : !n->plain;

    *out = (struct yscalar){ .type = YSCALAR_STR, .tag = "!!str", .text = n->value };
    /* A NUL inside can be neither a word nor a number. */
    if (!text && strlen(n->value) == n->size && !resolve_word(n->value, out))
        resolve_number(n->value, out);
    return n->tag != NULL ? apply_tag(n, out, e) : 0;
}

bool
yscalar_to_bool(const struct yscalar *s, bool *out)
{
    *out = s->flag;
    return s->type == YSCALAR_BOOL;
}

bool
yscalar_to_int(const struct yscalar *s, int64_t *out)
{
    if (s->type == YSCALAR_INT) {
        *out = s->i64;
        return true;
    }
    /* False for what is not a number, too. */
    if (s->type != YSCALAR_FLOAT || !(s->real > -9223372036854775808.0) ||
        !(s->real < 9223372036854775808.0))
        return false;
    *out = (int64_t)s->real;
    return true;
}

bool
yscalar_to_duration(const struct yscalar *s, int64_t *ns)
{
    if (s->type == YSCALAR_STR)
        return duration_parse(s->text, ns);
    return yscalar_to_int(s, ns);
}

static bool
parse_octal(const char *s, int64_t *mode)
{
    int64_t value = 0;

    if (s[0] == '0' && (s[1] == 'o' || s[1] == 'O'))
        s += 2;
    if (*s == '\0' || strlen(s) > 10)
        return false;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '7')
            return false;
        value = value * 8 + (*s - '0');
    }
    *mode = value;
    return true;
}

bool
yscalar_to_mode(const struct yscalar *s, int64_t *mode)
{
    if (s->type == YSCALAR_STR)
        return parse_octal(s->text, mode);
    return yscalar_to_int(s, mode) && *mode >= 0 && *mode <= UINT32_MAX;
}
