#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/ltx/ltx_format.h"
#include "common/ltx/ltx_name.h"
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

/* Every rule is broken once in a header that is good otherwise. */
Test(ltx_header, refuses_each_broken_rule)
{
    const struct ltx_header good = header_of(1024, 5, 2, 4);
    struct ltx_header bad[10];
    size_t n = 0;
    struct err e;

    cr_assert_eq(ltx_header_check(&good, &e), 0, "%s", e.text);
    for (size_t i = 0; i < 10; i++)
        bad[i] = good;
    bad[n++].flags = 0x80;
    bad[n++].page_size = 1000;
    bad[n++].page_size = 256;
    bad[n++].page_size = 131072;
    bad[n++].min_txid = 0;
    bad[n++].max_txid = 0;
    bad[n++].max_txid = 1;                      /* below min */
    bad[n++].pre_apply = LTX_CHECKSUM_FLAG | 1; /* with checksums untracked */
    bad[n++].wal_offset = -1;
    bad[n++].wal_size = -1;
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(ltx_header_check(&bad[i], &e), ERR_CORRUPT, "rule %zu", i);
        cr_expect_neq(e.text[0], '\0');
    }
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
        raw[i] ^= 1;
    }
    cr_expect_eq(ltx_header_decode(raw, &h, &e), 0);
}

Test(ltx_format, knows_the_lock_page)
{
    cr_expect_eq(ltx_lock_pgno(512), 2097153);
    cr_expect_eq(ltx_lock_pgno(4096), 262145);
    cr_expect_eq(ltx_lock_pgno(65536), 16385);
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

/* --- names ----------------------------------------------------------------------------
 */

Test(ltx_name, goes_there_and_back)
{
    char name[LTX_NAME_SIZE];
    uint64_t min, max;

    ltx_name_format(1, UINT64_C(0xfedcba9876543210), name);
    cr_expect_str_eq(name, "0000000000000001-fedcba9876543210.ltx");
    cr_assert(ltx_name_parse(name, &min, &max));
    cr_expect_eq(min, 1);
    cr_expect_eq(max, UINT64_C(0xfedcba9876543210));
}

Test(ltx_name, is_matched_exactly)
{
    static const char *const junk[] = { "", ".", "..", "x",
        "0000000000000001-0000000000000001", "0000000000000001-0000000000000001.ltx.tmp",
        "0000000000000001-0000000000000001.LTX", " 0000000000000001-0000000000000001.ltx",
        "000000000000000A-000000000000000a.ltx", "0000000000000001_0000000000000001.ltx",
        "000000000000001-0000000000000001.ltx", "00000000000000001-0000000000000001.ltx",
        "0000000000000001-000000000000000g.ltx",
        "0000000000000001-0000000000000001.ltx\n" };
    uint64_t min, max;

    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
        cr_expect_not(ltx_name_parse(junk[i], &min, &max), "%s", junk[i]);
}

Test(ltx_name, a_txid_is_16_hex_digits)
{
    uint64_t txid;
    struct err e;

    cr_expect_eq(ltx_txid_parse("00000000000000Ff", &txid, &e), 0);
    cr_expect_eq(txid, 255);
    cr_expect_eq(ltx_txid_parse("ff", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("00000000000000fff", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("-000000000000001", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("", &txid, &e), ERR_USAGE);
}

Test(ltx_name, paths_are_below_ltx)
{
    char *dir = ltx_level_path("/r", 9), *file = ltx_file_path("/r", 0, 2, 16);

    cr_expect_str_eq(dir, "/r/ltx/9");
    cr_expect_str_eq(file, "/r/ltx/0/0000000000000002-0000000000000010.ltx");
    mem_free(dir);
    mem_free(file);
}

Test(ltx_name, contiguous_leaves_no_gap_and_brings_news)
{
    cr_expect(ltx_contiguous(5, 6, 6));
    cr_expect(ltx_contiguous(5, 6, 9));
    cr_expect(ltx_contiguous(5, 3, 6), "overlap");
    cr_expect_not(ltx_contiguous(5, 7, 9), "gap");
    cr_expect_not(ltx_contiguous(5, 3, 5), "nothing new");
    cr_expect(ltx_contiguous(0, 1, 1));
    cr_expect_not(ltx_contiguous(UINT64_MAX, 1, UINT64_MAX));
}
