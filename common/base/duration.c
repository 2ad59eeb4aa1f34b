#include "common/base/duration.h"

#include <stdio.h>
#include <string.h>

#define LIMIT (UINT64_C(1) << 63) /* nanoseconds; only a negative sum may reach it */

static const struct {
    const char *text;
    uint64_t ns;
} units[] = {
    /* longest spelling first where one begins like another */
    { "ns", 1 },
    { "us", 1000 },
    { "\xc2\xb5s", 1000 }, /* U+00B5 micro sign */
    { "\xce\xbcs", 1000 }, /* U+03BC Greek mu */
    { "ms", 1000000 },
    { "s", 1000000000 },
    { "m", UINT64_C(60000000000) },
    { "h", UINT64_C(3600000000000) },
};

/* The unit at *s, or 0. "m" must not swallow the first letter of "ms". */
static uint64_t
take_unit(const char **s)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i].text);

        if (strncmp(*s, units[i].text, len) == 0) {
            *s += len;
            return units[i].ns;
        }
    }
    return 0;
}

/*
 * One number with its unit; false also beyond LIMIT. The fraction keeps the digits that
 * fit 63 bits and is scaled in floating point, as Go does: the last nanosecond comes out
 * equal.
 */
static bool
take_part(const char **s, uint64_t *ns)
{
    uint64_t whole = 0, fraction = 0, unit;
    double scale = 1;
    bool digits = false, full = false;

    for (; **s >= '0' && **s <= '9'; (*s)++, digits = true)
        if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(**s - '0'), &whole))
            return false;
    if (**s == '.') {
        for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, digits = true) {
            uint64_t digit = (uint64_t)(**s - '0');

            full = full || fraction > (LIMIT - digit) / 10;
            if (full)
                continue; /* far below a nanosecond: dropped */
            fraction = fraction * 10 + digit;
            scale *= 10;
        }
    }
    unit = take_unit(s);
    if (!digits || unit == 0 || whole > LIMIT / unit)
        return false;
    /* At most LIMIT plus one unit: cannot wrap. */
    *ns = whole * unit + (uint64_t)((double)fraction * ((double)unit / scale));
    return *ns <= LIMIT;
}

bool
duration_parse(const char *text, int64_t *ns)
{
    const char *s = text;
    bool negative = false;
    uint64_t sum = 0;

    if (*s == '-' || *s == '+')
        negative = *s++ == '-';
    if (strcmp(s, "0") == 0) {
        *ns = 0;
        return true;
    }
    if (*s == '\0')
        return false;
    while (*s != '\0') {
        uint64_t part;

        if (!take_part(&s, &part) || part > LIMIT - sum)
            return false;
        sum += part;
    }
    if (sum == LIMIT && !negative)
        return false;
    *ns = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

/* value/scale with the trailing zeros of the fraction removed. */
static void
format_fraction(char *out, size_t size, uint64_t value, uint64_t scale, int digits)
{
    size_t len;

    snprintf(out, size, "%llu", (unsigned long long)(value / scale));
    if (value % scale == 0)
        return;
    len = strlen(out);
    snprintf(
        out + len, size - len, ".%0*llu", digits, (unsigned long long)(value % scale));
    for (len = strlen(out); out[len - 1] == '0'; len--)
        out[len - 1] = '\0';
}

void
duration_format(int64_t ns, char out[DURATION_TEXT_MAX])
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const char *sign = ns < 0 ? "-" : "";
    uint64_t hours, minutes;
    char number[24];

    if (u == 0) {
        snprintf(out, DURATION_TEXT_MAX, "0s");
    } else if (u < 1000) {
        snprintf(out, DURATION_TEXT_MAX, "%s%lluns", sign, (unsigned long long)u);
    } else if (u < 1000000) {
        format_fraction(number, sizeof(number), u, 1000, 3);
        snprintf(out, DURATION_TEXT_MAX, "%s%s\xc2\xb5s", sign, number);
    } else if (u < 1000000000) {
        format_fraction(number, sizeof(number), u, 1000000, 6);
        snprintf(out, DURATION_TEXT_MAX, "%s%sms", sign, number);
    } else {
        hours = u / DURATION_HOUR;
        minutes = u % DURATION_HOUR / DURATION_MIN;
        format_fraction(number, sizeof(number), u % DURATION_MIN, DURATION_SEC, 9);
        if (hours > 0)
            snprintf(out, DURATION_TEXT_MAX, "%s%lluh%llum%ss", sign,
                (unsigned long long)hours, (unsigned long long)minutes, number);
        else if (minutes > 0)
            snprintf(out, DURATION_TEXT_MAX, "%s%llum%ss", sign,
                (unsigned long long)minutes, number);
        else
            snprintf(out, DURATION_TEXT_MAX, "%s%ss", sign, number);
    }
}
