#include "common/base/bytesize.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX 64

static bool
is_word(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

/* Power of `base` a unit stands for, -1: not a unit. */
static int
unit_power(const char *unit, size_t len, int *base)
{
    static const char letters[] = "KMGTPE";
    const char *at;

    *base = 1000;
    if (len == 0 || is_word(unit, len, "B"))
        return 0;
    at = strchr(letters, toupper((unsigned char)unit[0]));
    if (at == NULL)
        return -1;
    unit++;
    len--;
    if (is_word(unit, len, "i") || is_word(unit, len, "iB"))
        *base = 1024;
    else if (len > 0 && !is_word(unit, len, "B"))
        return -1;
    return (int)(at - letters) + 1;
}

int
bytesize_parse(const char *text, int64_t *bytes, struct err *e)
{
    char number[NUMBER_MAX];
    size_t n = 0, len;
    const char *s = text;
    int base, power, dots = 0;
    double value;
    char *end;

    if (*s == '\0')
        return err_set(e, ERR_CONFIG, "empty size string");
    for (; isdigit((unsigned char)*s) || *s == '.' || *s == ','; s++) {
        if (*s == ',')
            continue;
        dots += *s == '.';
        if (n + 1 >= sizeof(number))
            return err_set(e, ERR_CONFIG, "invalid size format: too large: %s", text);
        number[n++] = *s;
    }
    number[n] = '\0';
    while (isspace((unsigned char)*s))
        s++;
    for (len = strlen(s); len > 0 && isspace((unsigned char)s[len - 1]); len--)
        ;
    power = unit_power(s, len, &base);
    if (power < 0)
        return err_set(e, ERR_CONFIG, "invalid size format: unhandled size name: %s", s);
    value = strtod(number, &end);
    if (n == 0 || dots > 1 || *end != '\0' || strcmp(number, ".") == 0)
        return err_set(e, ERR_CONFIG, "invalid size format: no number in \"%s\"", text);
    value *= pow(base, power);
    if (value >= 18446744073709551616.0)
        return err_set(e, ERR_CONFIG, "invalid size format: too large: %s", text);
    if (value >= 9223372036854775808.0)
        return err_set(e, ERR_CONFIG, "size %.0f exceeds maximum allowed value (%lld)",
            value, (long long)INT64_MAX);
    *bytes = (int64_t)value;
    return 0;
}

void
bytesize_format(uint64_t bytes, char out[BYTESIZE_TEXT_MAX])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    double scale = 1, value;
    size_t unit = 0;

    if (bytes < 1000) {
        snprintf(out, BYTESIZE_TEXT_MAX, "%llu B", (unsigned long long)bytes);
        return;
    }
    for (uint64_t rest = bytes; rest >= 1000; rest /= 1000, unit++)
        scale *= 1000; /* one division: each one rounds */
    value = floor((double)bytes / scale * 10 + 0.5) / 10;
    if (value < 10)
        snprintf(out, BYTESIZE_TEXT_MAX, "%.1f %s", value, units[unit]);
    else
        snprintf(out, BYTESIZE_TEXT_MAX, "%.0f %s", value, units[unit]);
}
