#include <string.h>

#include <criterion/criterion.h>

#include "common/crc64/crc64.h"
#include "common/ltx/ltx_format.h"
#include "test/unit/common/ltx/ltx_files.h"

Test(ltx_header, survives_encoding)
{
    struct ltx_header h = header_of(4096, 77, 3, 9), back;
    uint8_t raw[LTX_HEADER_SIZE];
    struct err e;

    h.node_id = UINT64_C(0xABCD);
    h.timestamp_ms = -5;
    ltx_header_encode(&h, raw);
    cr_expect_arr_eq(raw, "LTX1", 4);
    cr_assert_eq(ltx_header_decode(raw, &back, &e), 0, "%s", e.text);
    cr_expect_eq(back.flags, h.flags);
    cr_expect_eq(back.page_size, 4096);
    cr_expect_eq(back.commit, 77);
    cr_expect_eq(back.min_txid, 3);
    cr_expect_eq(back.max_txid, 9);
    cr_expect_eq(back.timestamp_ms, -5);
    cr_expect_eq(back.wal_offset, 32);
    cr_expect_eq(back.wal_size, 4120);
    cr_expect_eq(back.wal_salt1, 0x11223344);
    cr_expect_eq(back.wal_salt2, 0x55667788);
    cr_expect_eq(back.node_id, 0xABCD);
}

/* Each field alone has its own bytes, and no other field sees them. */
Test(ltx_header, puts_every_field_where_it_belongs)
{
    static const struct {
        size_t at, size;
    } fields[] = { { 4, 4 }, { 8, 4 }, { 12, 4 }, { 16, 8 }, { 24, 8 }, { 32, 8 },
        { 40, 8 }, { 48, 8 }, { 56, 8 }, { 64, 4 }, { 68, 4 }, { 72, 8 }, { 80, 20 } };
    struct ltx_header h = { .flags = 0x01020304,
        .page_size = 0x11121314,
        .commit = 0x21222324,
        .min_txid = UINT64_C(0x3132333435363738),
        .max_txid = UINT64_C(0x4142434445464748),
        .timestamp_ms = INT64_C(0x5152535455565758),
        .pre_apply = UINT64_C(0x6162636465666768),
        .wal_offset = INT64_C(0x7172737475767778),
        .wal_size = INT64_C(0x0102030405060708),
        .wal_salt1 = 0x91929394,
        .wal_salt2 = 0xa1a2a3a4,
        .node_id = UINT64_C(0xb1b2b3b4b5b6b7b8) };
    static const uint8_t first[] = { 0x01, 0x11, 0x21, 0x31, 0x41, 0x51, 0x61, 0x71, 0x01,
        0x91, 0xa1, 0xb1, 0xc1 };
    uint8_t raw[LTX_HEADER_SIZE];

    for (size_t i = 0; i < sizeof(h.reserved); i++)
        h.reserved[i] = (uint8_t)(0xc1 + i);
    ltx_header_encode(&h, raw);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        for (size_t k = 0; k < fields[i].size; k++)
            cr_expect_eq(raw[fields[i].at + k], (uint8_t)(first[i] + k),
                "field %zu byte %zu", i, k);
}

Test(ltx_header, keeps_every_byte_it_read)
{
    uint64_t state = 3;

    for (int round = 0; round < 2000; round++) {
        struct ltx_header h = header_of(512u << round % 8, noise(&state), 2, 9);
        uint8_t raw[LTX_HEADER_SIZE], back[LTX_HEADER_SIZE];
        struct err e;

        ltx_header_encode(&h, raw);
        for (size_t i = 72; i < sizeof(raw); i++)
            raw[i] = (uint8_t)noise(&state);
        raw[32] = (uint8_t)noise(&state);
        cr_assert_eq(ltx_header_decode(raw, &h, &e), 0, "%s", e.text);
        ltx_header_encode(&h, back);
        cr_assert_arr_eq(raw, back, sizeof(raw));
    }
}

Test(ltx_header, of_a_sample_is_read)
{
    struct bytes b = sample("chain/ltx/0/0000000000000003-0000000000000003.ltx");
    struct ltx_header h;
    struct err e;

    cr_assert_eq(ltx_header_decode(b.p, &h, &e), 0, "%s", e.text);
    cr_expect_eq(h.flags, LTX_FLAG_NO_CHECKSUM);
    cr_expect_eq(h.page_size, 1024);
    cr_expect_eq(h.commit, 7);
    cr_expect_eq(h.min_txid, 3);
    cr_expect_eq(h.max_txid, 3);
    cr_expect_eq(h.wal_salt1, 0x11223344);
    cr_expect_eq(h.wal_salt2, 0x55667788);
    bytes_free(&b);
}

#define SUM(n) (LTX_CHECKSUM_FLAG | (n))

/* The first rule that is broken, NULL for none, of a header that is good otherwise. */
static const char *
broken(struct ltx_header h)
{
    static struct err e;
    int rc = ltx_header_check(&h, &e);

    cr_assert(rc == 0 || rc == ERR_CORRUPT);
    return rc == 0 ? NULL : e.text;
}

#define BROKEN(words, ...)                                                               \
    do {                                                                                 \
        struct ltx_header h = header_of(1024, 5, 2, 4);                                  \
        const char *got;                                                                 \
        __VA_ARGS__;                                                                     \
        got = broken(h);                                                                 \
        cr_assert_not_null(got, "%s", words);                                            \
        cr_expect_str_eq(got, words);                                                    \
    } while (0)

#define GOOD(...)                                                                        \
    do {                                                                                 \
        struct ltx_header h = header_of(1024, 5, 2, 4);                                  \
        __VA_ARGS__;                                                                     \
        cr_expect_null(broken(h), "%s: %s", #__VA_ARGS__, broken(h));                    \
    } while (0)

Test(ltx_header, refuses_each_broken_rule_in_litestreams_words)
{
    BROKEN("invalid flags: 0x00000001", h.flags = 1);
    BROKEN("invalid flags: 0x00000006", h.flags = 6);
    BROKEN("invalid flags: 0x80000002", h.flags |= 1u << 31);
    BROKEN("invalid page size: 0", h.page_size = 0);
    BROKEN("invalid page size: 1", h.page_size = 1);
    BROKEN("invalid page size: 256", h.page_size = 256);
    BROKEN("invalid page size: 1000", h.page_size = 1000);
    BROKEN("invalid page size: 131072", h.page_size = 131072);
    BROKEN("minimum transaction id required", h.min_txid = 0);
    BROKEN("maximum transaction id required", h.max_txid = 0);
    BROKEN("transaction ids out of order: (5,4)", h.min_txid = 5);
    BROKEN("wal offset cannot be negative: -1", h.wal_offset = -1);
    BROKEN("wal size cannot be negative: -1", h.wal_size = -1);
    BROKEN("wal size cannot be negative: -9223372036854775808", h.wal_size = INT64_MIN);
    BROKEN("wal offset required if salt exists", h.wal_offset = 0);
    BROKEN("wal offset required if salt exists", h.wal_offset = 0, h.wal_salt1 = 0);
    BROKEN("wal offset required if salt exists", h.wal_offset = 0, h.wal_salt2 = 0);
    BROKEN("wal offset required if wal size exists", h.wal_offset = 0,
        h.wal_salt1 = h.wal_salt2 = 0);
    BROKEN("pre-apply checksum must be zero on snapshots", h.min_txid = 1,
        h.pre_apply = SUM(1));
    BROKEN("pre-apply checksum must be zero on snapshots", h.min_txid = 1, h.flags = 0,
        h.pre_apply = SUM(1));
    BROKEN("pre-apply checksum not allowed", h.pre_apply = SUM(1));
    BROKEN("pre-apply checksum required on non-snapshot files", h.flags = 0);
    BROKEN("invalid pre-apply checksum format", h.flags = 0, h.pre_apply = 1);
    BROKEN("invalid pre-apply checksum format", h.flags = 0,
        h.pre_apply = ~LTX_CHECKSUM_FLAG);
}

Test(ltx_header, names_the_first_rule_of_several)
{
    BROKEN("invalid flags: 0x00000008", memset(&h, 0, sizeof(h)), h.flags = 8);
    BROKEN("invalid page size: 7", memset(&h, 0, sizeof(h)), h.page_size = 7);
    BROKEN("minimum transaction id required", memset(&h, 0, sizeof(h)), h.page_size = 512,
        h.wal_offset = -1);
    BROKEN("wal offset cannot be negative: -2", h.wal_offset = -2, h.wal_size = -2);
}

Test(ltx_header, accepts_what_no_rule_forbids)
{
    GOOD(h.commit = 0);
    GOOD(h.commit = UINT32_MAX);
    GOOD(h.timestamp_ms = INT64_MIN);
    GOOD(h.timestamp_ms = 0);
    GOOD(h.node_id = UINT64_MAX);
    GOOD(memset(h.reserved, 0xff, sizeof(h.reserved)));
    GOOD(h.max_txid = UINT64_MAX);
    GOOD(h.min_txid = h.max_txid = UINT64_MAX);
    GOOD(h.wal_offset = INT64_MAX, h.wal_size = INT64_MAX);
    GOOD(h.wal_offset = 0, h.wal_size = 0, h.wal_salt1 = h.wal_salt2 = 0);
    GOOD(h.wal_size = 0, h.wal_salt1 = h.wal_salt2 = 0);
    GOOD(h.min_txid = 1);
    GOOD(h.min_txid = 1, h.flags = 0);
    GOOD(h.flags = 0, h.pre_apply = LTX_CHECKSUM_FLAG);
}

Test(ltx_header, wants_its_magic)
{
    struct ltx_header h = header_of(1024, 5, 2, 4);
    uint8_t raw[LTX_HEADER_SIZE];
    struct err e;

    ltx_header_encode(&h, raw);
    for (int i = 0; i < 4; i++) {
        raw[i] ^= 1;
        cr_expect_eq(ltx_header_decode(raw, &h, &e), ERR_CORRUPT);
        cr_expect_str_eq(e.text, "unmarshal header: invalid LTX file");
        raw[i] ^= 1;
    }
    cr_expect_eq(ltx_header_decode(raw, &h, &e), 0);
}

Test(ltx_format, knows_the_lock_page)
{
    static const uint32_t pgnos[] = { 2097153, 1048577, 524289, 262145, 131073, 65537,
        32769, 16385 };

    for (unsigned i = 0; i < 8; i++) {
        uint32_t size = 512u << i;
        uint64_t first = (uint64_t)(pgnos[i] - 1) * size;

        cr_expect_eq(ltx_lock_pgno(size), pgnos[i]);
        cr_expect(first <= 0x40000000 && 0x40000000 < first + size);
    }
}

Test(ltx_format, page_sizes_are_powers_of_two)
{
    for (uint32_t size = 0; size <= 70000; size++) {
        bool good = size >= 512 && size <= 65536 && (size & (size - 1)) == 0;

        cr_assert_eq(ltx_page_size_valid(size), good, "%u", size);
    }
}

Test(ltx_uvarint, goes_there_and_back)
{
    for (int bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)d, back;
            uint8_t out[10];
            size_t n = ltx_put_uvarint(out, v);

            cr_assert(n >= 1 && n <= 10);
            cr_assert_eq(ltx_get_uvarint(out, n, &back), (int)n);
            cr_assert_eq(back, v);
            cr_assert_eq(ltx_get_uvarint(out, n - 1, &back), 0, "cut");
        }
}

Test(ltx_uvarint, longer_than_64_bits_is_refused)
{
    uint8_t eleven[11], big[10];
    uint64_t v;

    memset(eleven, 0x80, sizeof(eleven));
    cr_expect_eq(ltx_get_uvarint(eleven, 11, &v), -1);
    memset(big, 0xff, sizeof(big));
    big[9] = 0x02; /* bit 64 */
    cr_expect_eq(ltx_get_uvarint(big, 10, &v), -1);
    big[9] = 0x01;
    cr_expect_eq(ltx_get_uvarint(big, 10, &v), 10);
    cr_expect_eq(v, UINT64_MAX);
}

Test(ltx_uvarint, has_the_bytes_of_leb128)
{
    static const struct {
        uint64_t v;
        size_t n;
        uint8_t bytes[10];
    } known[] = { { 0, 1, { 0 } }, { 127, 1, { 0x7f } }, { 128, 2, { 0x80, 0x01 } },
        { 220, 2, { 0xdc, 0x01 } }, { 16384, 3, { 0x80, 0x80, 0x01 } },
        { UINT64_MAX, 10,
            { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 } } };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t out[10];

        cr_assert_eq(ltx_put_uvarint(out, known[i].v), known[i].n);
        cr_expect_arr_eq(out, known[i].bytes, known[i].n);
    }
}

Test(ltx_uvarint, reads_no_byte_too_far)
{
    const uint8_t bytes[] = { 0x81, 0x00, 0x55 };
    uint64_t v = 7;

    cr_expect_eq(ltx_get_uvarint(bytes, 0, &v), 0);
    cr_expect_eq(ltx_get_uvarint(bytes, 1, &v), 0);
    cr_expect_eq(v, 7, "only a whole number is told");
    cr_expect_eq(ltx_get_uvarint(bytes, 3, &v), 2);
    cr_expect_eq(v, 1);
}

Test(ltx_format, integers_are_big_endian)
{
    const uint8_t bytes[] = { 0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0xff };
    uint8_t out[8];

    cr_expect_eq(ltx_get_u16(bytes), 0x8001);
    cr_expect_eq(ltx_get_u32(bytes), 0x80010203u);
    cr_expect_eq(ltx_get_u64(bytes), UINT64_C(0x80010203040506ff));
    ltx_put_u64(out, UINT64_C(0x80010203040506ff));
    cr_expect_arr_eq(out, bytes, 8);
    ltx_put_u32(out, 0x80010203u);
    cr_expect_arr_eq(out, bytes, 4);
    ltx_put_u16(out, 0x8001);
    cr_expect_arr_eq(out, bytes, 2);
}

/* --- checksums ------------------------------------------------------------------------
 */

static uint64_t
sum_of(uint32_t pgno, uint8_t fill)
{
    uint8_t page[512];

    memset(page, fill, sizeof(page));
    return ltx_page_checksum(pgno, page, sizeof(page));
}

Test(ltx_checksum, of_pages_has_the_known_values)
{
    cr_expect_eq(sum_of(1, 1), UINT64_C(0xe4e4aaa102377eee));
    cr_expect_eq(sum_of(2, 2), UINT64_C(0xc9c9554231044ddd));
    cr_expect_eq(sum_of(3, 3), UINT64_C(0xc2d2001cdfeaa333));
    cr_expect_eq(sum_of(1, 0), UINT64_C(0xefb1f44fecd99000));
    cr_expect_eq(sum_of(2, 0), UINT64_C(0xef63e89fecd99000));
}

Test(ltx_checksum, of_a_database_rolls)
{
    uint64_t sum = ltx_rolling_checksum(0, sum_of(1, 1)), back;

    cr_expect_eq(sum, UINT64_C(0xe4e4aaa102377eee));
    sum = ltx_rolling_checksum(sum, sum_of(2, 2));
    cr_expect_eq(sum, UINT64_C(0xad2dffe333333333));
    sum = ltx_rolling_checksum(sum, sum_of(3, 3));
    cr_expect_eq(sum, UINT64_C(0xefffffffecd99000));

    back = ltx_rolling_checksum(0, sum_of(3, 3));
    back = ltx_rolling_checksum(back, sum_of(1, 1));
    back = ltx_rolling_checksum(back, sum_of(2, 2));
    cr_expect_eq(back, sum, "order does not matter");
}

/* Step by step through a file, the file checksum as the format describes it. */
Test(ltx_checksum, of_a_file_has_the_known_steps)
{
    struct bytes b = sample("encode-db/p512.ltx"), db = sample("db/p512.db");
    uint64_t crc = crc64_update(0, b.p, 100);

    cr_expect_eq(crc, UINT64_C(0x57d5edede8f597fc), "header");
    crc = crc64_update(crc, b.p + 100, 10);
    cr_expect_eq(crc, UINT64_C(0x5c14d34706378151), "head of page 1");
    crc = crc64_update(crc, db.p, 512);
    cr_expect_eq(crc, UINT64_C(0xb2ca00d83ae4d007), "page 1");
    crc = crc64_update(crc, b.p + 220, 10);
    cr_expect_eq(crc, UINT64_C(0x9bd981251eed5ffb), "head of page 2");
    crc = crc64_update(crc, db.p + 512, 512);
    cr_expect_eq(crc, UINT64_C(0x63af8bcd23632a4b), "page 2");
    crc = crc64_update(crc, b.p + 263, 6);
    cr_expect_eq(crc, UINT64_C(0xb8113b77177ca3af), "end marker");
    crc = crc64_update(crc, b.p + 269, 16);
    cr_expect_eq(crc, UINT64_C(0xd563992e28fb1e63), "index");
    crc = crc64_update(crc, b.p + 285, 8);
    cr_expect_eq(crc, UINT64_C(0xe6cea3df4fbc8589), "post-apply");
    cr_expect_eq(ltx_get_u64(b.p + 293), crc | LTX_CHECKSUM_FLAG);
    bytes_free(&b);
    bytes_free(&db);
}
