#include <stdlib.h>

#include <criterion/criterion.h>

#include "common/crc64/crc64.h"

static const enum crc64_impl impls[] = { CRC64_BYTEWISE, CRC64_SLICING, CRC64_FOLDING };

#define N_IMPLS (sizeof(impls) / sizeof(impls[0]))

static uint64_t
next(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 20;
}

/* Value of the catalogue of CRCs for CRC-64/GO-ISO, and two of hash/crc64 in Go. */
Test(crc64, has_the_published_values)
{
    cr_expect_eq(crc64_update(0, "123456789", 9), UINT64_C(0xb90956c775a41001));
    cr_expect_eq(crc64_update(0, "", 0), 0);
    cr_expect_eq(crc64_update(0, "a", 1), UINT64_C(0x3420000000000000));
    cr_expect_eq(crc64_update(0, "ab", 2), UINT64_C(0x36c4200000000000));
}

Test(crc64, can_be_continued_anywhere)
{
    static const char text[] = "In a hole in the ground there lived a database page.";
    uint64_t whole = crc64_update(0, text, sizeof(text));

    for (size_t cut = 0; cut <= sizeof(text); cut++)
        cr_expect_eq(
            crc64_update(crc64_update(0, text, cut), text + cut, sizeof(text) - cut),
            whole);
}

Test(crc64, every_implementation_gives_the_same)
{
    uint8_t *bytes = malloc(70000);
    uint64_t state = 7;

    for (size_t i = 0; i < 70000; i++)
        bytes[i] = (uint8_t)next(&state);
    for (int round = 0; round < 4000; round++) {
        size_t at = next(&state) % 64;
        size_t n =
            round < 600 ? (size_t)round : next(&state) % (round % 50 == 0 ? 69000 : 3000);
        uint64_t start = next(&state) << 30 ^ next(&state);
        uint64_t want = crc64_update_with(CRC64_BYTEWISE, start, bytes + at, n);

        for (size_t i = 0; i < N_IMPLS; i++)
            if (crc64_impl_available(impls[i]))
                cr_assert_eq(crc64_update_with(impls[i], start, bytes + at, n), want,
                    "%s, %zu bytes at %zu", crc64_impl_name(impls[i]), n, at);
    }
    free(bytes);
}

Test(crc64, portable_ones_are_everywhere)
{
    cr_expect(crc64_impl_available(CRC64_BYTEWISE));
    cr_expect(crc64_impl_available(CRC64_SLICING));
}
