#include <string.h>

#include <criterion/criterion.h>

#include "common/base/utf8.h"

/* The encoding by its definition, to compare with. */
static size_t
encode(uint32_t r, char out[4])
{
    if (r < 0x80) {
        out[0] = (char)r;
        return 1;
    }
    if (r < 0x800) {
        out[0] = (char)(0xc0 | r >> 6);
        out[1] = (char)(0x80 | (r & 0x3f));
        return 2;
    }
    if (r < 0x10000) {
        out[0] = (char)(0xe0 | r >> 12);
        out[1] = (char)(0x80 | (r >> 6 & 0x3f));
        out[2] = (char)(0x80 | (r & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | r >> 18);
    out[1] = (char)(0x80 | (r >> 12 & 0x3f));
    out[2] = (char)(0x80 | (r >> 6 & 0x3f));
    out[3] = (char)(0x80 | (r & 0x3f));
    return 4;
}

Test(utf8, decodes_every_character_and_refuses_every_torn_one)
{
    for (uint32_t r = 0; r <= 0x10ffff; r++) {
        char s[4];
        size_t n = encode(r, s);
        uint32_t rune = 42;
        bool surrogate = r >= 0xd800 && r <= 0xdfff;

        cr_assert_eq(utf8_decode(s, 4, &rune), surrogate ? 0 : n, "U+%04X", r);
        cr_assert_eq(rune, surrogate ? 42 : r, "U+%04X", r);
        for (size_t part = 0; part < n; part++)
            cr_assert_eq(utf8_decode(s, part, &rune), 0, "U+%04X cut at %zu", r, part);
    }
}

Test(utf8, refuses_what_is_not_utf8)
{
    static const char *const cases[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
        "\xc2\x41", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82\x41",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff" };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t rune;

        cr_expect_eq(utf8_decode(cases[i], strlen(cases[i]), &rune), 0, "case %zu", i);
    }
}

Test(utf8, knows_what_can_be_seen)
{
    static const uint32_t seen[] = { ' ', 'a', '~', 0xa1, 0xe4, 0x3b1, 0x20ac, 0x2192,
        0x4e2d, 0xfe0f, 0xfffd, 0x1f600, 0x20000, 0xe0100 };
    static const uint32_t hidden[] = { 0, '\t', '\n', 0x1b, 0x7f, 0x80, 0x9f, 0xa0, 0xad,
        0x61c, 0x1680, 0x2003, 0x200b, 0x200e, 0x2028, 0x2029, 0x202e, 0x2066, 0x3000,
        0xd800, 0xe000, 0xfdd0, 0xfeff, 0xfff9, 0xffff, 0x1d173, 0xe0001, 0xf0000,
        0x10ffff, 0x110000, UINT32_MAX };

    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
        cr_expect(utf8_is_printable(seen[i]), "U+%04X", seen[i]);
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        cr_expect_not(utf8_is_printable(hidden[i]), "U+%04X", hidden[i]);
}

Test(utf8, counts_characters_and_takes_a_bad_byte_for_one)
{
    cr_expect_eq(utf8_len(""), 0);
    cr_expect_eq(utf8_len("abc"), 3);
    cr_expect_eq(utf8_len("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), 3);
    cr_expect_eq(utf8_len("a\xff\xc3"), 3);
    cr_expect_eq(utf8_len("\xe2\x82"), 2);
}
