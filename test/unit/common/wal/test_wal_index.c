#include <string.h>

#include <criterion/criterion.h>

#include "common/wal/wal_index.h"

static uint8_t header[WAL_INDEX_HEADER_SIZE];

static void
put_native(size_t off, uint32_t v)
{
    memcpy(header + off, &v, sizeof(v));
}

/* What a writer leaves. */
static void
make(uint32_t last_frame_no)
{
    static const uint8_t salts[] = { 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 9 };
    struct wal_sum sum = { 0, 0 };

    memset(header, 0, sizeof(header));
    put_native(0, WAL_VERSION);
    header[12] = 1;
    put_native(16, last_frame_no);
    put_native(24, 111);
    put_native(28, 222);
    memcpy(header + 32, salts, sizeof(salts));
    wal_sum_update(&sum, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, header, 40);
    put_native(40, sum.a);
    put_native(44, sum.b);
    memcpy(header + 48, header, 48);
}

Test(wal_index, tells_the_last_committed_frame)
{
    struct wal_index ix;

    make(77);
    cr_assert(wal_index_decode(header, &ix));
    cr_assert_eq(ix.last_frame_no, 77);
    cr_assert(wal_salt_equal(ix.salt, (struct wal_salt){ 0x12345678, 9 }));
    cr_assert(wal_sum_equal(ix.sum, (struct wal_sum){ 111, 222 }));
}

Test(wal_index, does_not_believe_a_header_that_is_being_written)
{
    struct wal_index ix;

    make(77);
    for (int bit = 0; bit < WAL_INDEX_HEADER_SIZE * 8; bit++) {
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(wal_index_decode(header, &ix), "bit %d", bit);
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int bit = 0; bit < 40 * 8; bit++) { /* both copies, checksum of before */
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        header[48 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_not(wal_index_decode(header, &ix), "bit %d", bit);
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        header[48 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(header, 0, sizeof(header));
    cr_assert_not(wal_index_decode(header, &ix));
}

Test(wal_index, speaks_of_the_wal_with_its_salts_only)
{
    struct wal_header h = { .salt = { 0x12345678, 9 } };
    struct wal_index ix;
    uint32_t n = 1;

    make(77);
    wal_index_decode(header, &ix);
    cr_assert(wal_index_committed(&ix, &h, &n));
    cr_assert_eq(n, 77);
    h.salt.s1--; /* the header of the new generation is not in the file yet */
    cr_assert_not(wal_index_committed(&ix, &h, &n));
    ix.last_frame_no = 0;
    cr_assert_not(wal_index_committed(&ix, &h, &n));
}

Test(wal_index, knows_nothing_of_a_new_file_before_its_first_commit)
{
    struct wal_header h = { .salt = { 5, 6 } };
    struct wal_index ix = { 0 };
    uint32_t n = 1;

    cr_assert(wal_index_committed(&ix, &h, &n));
    cr_assert_eq(n, 0);
    ix.last_frame_no = 3;
    cr_assert_not(wal_index_committed(&ix, &h, &n));
}
