#include "common/base/utf8.h"

#include <string.h>

size_t
utf8_decode(const char *s, size_t n, uint32_t *rune)
{
    const uint8_t *u = (const uint8_t *)s;
    uint32_t value;
    size_t len;

    if (n == 0)
        return 0;
    if (u[0] < 0x80) {
        *rune = u[0];
        return 1;
    }
    if (u[0] >= 0xc2 && u[0] <= 0xdf)
        len = 2;
    else if (u[0] >= 0xe0 && u[0] <= 0xef)
        len = 3;
    else if (u[0] >= 0xf0 && u[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (n < len)
        return 0;
    value = u[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (u[i] & 0x3fu);
    }
    /* overlong forms, surrogates and numbers beyond the last */
    if ((len == 3 && value < 0x800) ||
        (len == 4 && (value < 0x10000 || value > 0x10ffff)) ||
        (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *rune = value;
    return len;
}

bool
utf8_is_printable(uint32_t r)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        /* Unicode 14, categories Cc Cf Cs Co Zs Zl Zp */
        { 0x00, 0x1f },
        { 0x7f, 0xa0 },
        { 0xad, 0xad },
        { 0x600, 0x605 },
        { 0x61c, 0x61c },
        { 0x6dd, 0x6dd },
        { 0x70f, 0x70f },
        { 0x890, 0x891 },
        { 0x8e2, 0x8e2 },
        { 0x1680, 0x1680 },
        { 0x180e, 0x180e },
        { 0x2000, 0x200f },
        { 0x2028, 0x202f },
        { 0x205f, 0x206f },
        { 0x3000, 0x3000 },
        { 0xd800, 0xf8ff },
        { 0xfdd0, 0xfdef },
        { 0xfeff, 0xfeff },
        { 0xfff0, 0xfffb },
        { 0xfffe, 0xffff },
        { 0x110bd, 0x110bd },
        { 0x110cd, 0x110cd },
        { 0x13430, 0x13438 },
        { 0x1bca0, 0x1bca3 },
        { 0x1d173, 0x1d17a },
        { 0xe0000, 0xe00ff },
        { 0xf0000, UINT32_MAX },
    };

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (r >= hidden[i].first && r <= hidden[i].last)
            return false;
    return true;
}

size_t
utf8_len(const char *s)
{
    size_t left = strlen(s), n = 0;

    while (left > 0) {
        uint32_t rune;
        size_t len = utf8_decode(s, left, &rune);

        if (len == 0)
            len = 1;
        s += len;
        left -= len;
        n++;
    }
    return n;
}
