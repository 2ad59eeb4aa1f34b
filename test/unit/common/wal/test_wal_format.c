#include <string.h>

#include <criterion/criterion.h>

#include "common/wal/wal_format.h"
#include "test/unit/common/wal/made_wal.h"

static struct made_wal w;

Test(wal_format, header_of_every_page_size_in_both_byte_orders)
{
    for (int big = 0; big < 2; big++)
        for (uint32_t size = 512; size <= 65536; size *= 2) {
            struct wal_header h;
            struct err e;

            made_wal_begin(&w, big, size, 7, 0xdeadbeef, 0x01020304);
            cr_assert_eq(wal_header_decode(w.bytes, &h, &e), 0, "%s", e.text);
            cr_assert_eq(h.big_endian, big);
            cr_assert_eq(h.page_size, size);
            cr_assert_eq(h.seq, 7);
            cr_assert_eq(h.salt.s1, 0xdeadbeef);
            cr_assert_eq(h.salt.s2, 0x01020304);
            cr_assert(wal_sum_equal(h.sum, (struct wal_sum){ w.a, w.b }));
        }
}

Test(wal_format, header_with_any_flipped_bit_is_refused)
{
    made_wal_begin(&w, false, 4096, 1, 11, 22);
    for (int bit = 0; bit < WAL_HEADER_SIZE * 8; bit++) {
        struct wal_header h;
        struct err e;

        w.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(wal_header_decode(w.bytes, &h, &e), ERR_AGAIN, "bit %d", bit);
        w.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(wal_format, header_of_zeros_is_one_that_is_not_written_yet)
{
    static const uint8_t zeros[WAL_HEADER_SIZE];
    struct wal_header h;
    struct err e;

    cr_assert_eq(wal_header_decode(zeros, &h, &e), ERR_AGAIN);
}

/* A right checksum over fields that no SQLite writes. */
static int
decode_with(size_t off, uint32_t value, bool big)
{
    struct wal_header h;
    struct wal_sum sum = { 0, 0 };
    struct err e;

    made_wal_begin(&w, big, 4096, 1, 11, 22);
    for (int i = 0; i < 4; i++)
        w.bytes[off + i] = (uint8_t)(value >> (24 - 8 * i));
    wal_sum_update(&sum, big, w.bytes, 24);
    for (int i = 0; i < 4; i++) {
        w.bytes[24 + i] = (uint8_t)(sum.a >> (24 - 8 * i));
        w.bytes[28 + i] = (uint8_t)(sum.b >> (24 - 8 * i));
    }
    return wal_header_decode(w.bytes, &h, &e);
}

Test(wal_format, header_of_another_format_is_damage)
{
    static const uint32_t sizes[] = { 0, 1, 256, 511, 513, 1000, 65535, 131072,
        0x80000000 };

    cr_assert_eq(decode_with(8, 8192, false), 0);
    cr_assert_eq(decode_with(0, 0x377f0680, false), ERR_CORRUPT);
    cr_assert_eq(decode_with(0, 0x377f0681, true), ERR_CORRUPT);
    cr_assert_eq(decode_with(4, 3007001, false), ERR_CORRUPT);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        cr_assert_eq(decode_with(8, sizes[i], true), ERR_CORRUPT, "%u", sizes[i]);
}

Test(wal_format, chain_is_the_same_in_pieces_of_any_size)
{
    uint8_t bytes[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(i * 37 + 5);
    for (int big = 0; big < 2; big++)
        for (size_t step = 8; step <= 256; step += 8) {
            struct wal_sum whole = { 1, 2 }, pieces = { 1, 2 };

            wal_sum_update(&whole, big, bytes, 256);
            for (size_t off = 0; off < 256; off += step)
                wal_sum_update(
                    &pieces, big, bytes + off, 256 - off < step ? 256 - off : step);
            cr_assert(wal_sum_equal(whole, pieces), "%zu", step);
        }
}

Test(wal_format, frame_fields_and_chain)
{
    struct wal_frame f;
    struct wal_sum sum;

    for (int big = 0; big < 2; big++) {
        made_wal_begin(&w, big, 1024, 0, 5, 6);
        sum = (struct wal_sum){ w.a, w.b };
        made_wal_frame(&w, 9, 12, 0x5a);
        wal_frame_decode(w.bytes + 32, &f);
        cr_assert_eq(f.pgno, 9);
        cr_assert_eq(f.commit, 12);
        cr_assert(wal_salt_equal(f.salt, (struct wal_salt){ 5, 6 }));
        wal_sum_update(&sum, big, w.bytes + 32, 8);
        wal_sum_update(&sum, big, w.bytes + 32 + 24, 1024);
        cr_assert(wal_sum_equal(sum, f.sum));
    }
}

Test(wal_format, offsets_of_frames)
{
    cr_assert_eq(wal_frame_off(512, 1), 32);
    cr_assert_eq(wal_frame_off(512, 3), 32 + 2 * 536);
    cr_assert_eq(wal_size_of(4096, 0), 32);
    cr_assert_eq(wal_size_of(4096, 1000), 4120032);
    cr_assert_eq(wal_frame_off(65536, UINT32_MAX), 32 + (INT64_C(4294967294) * 65560));
}
