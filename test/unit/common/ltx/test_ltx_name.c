#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/common/ltx/ltx_files.h"

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

/* Every name that differs from a good one in one byte, and what comes out of it. */
Test(ltx_name, one_wrong_byte_is_enough)
{
    const char good[] = "00000000000000ab-00000000000000cd.ltx";

    for (size_t at = 0; at < sizeof(good) - 1; at++)
        for (int c = 0; c < 256; c++) {
            char name[LTX_NAME_SIZE];
            uint64_t min, max;
            bool digit =
                at < 33 && at != 16 && c != 0 && strchr("0123456789abcdef", c) != NULL;

            memcpy(name, good, sizeof(good));
            name[at] = (char)c;
            cr_assert_eq(ltx_name_parse(name, &min, &max), digit || (char)c == good[at],
                "byte %zu is %02x", at, (unsigned)c);
        }
}

Test(ltx_name, cut_anywhere_is_none)
{
    const char good[] = "0000000000000001-0000000000000001.ltx";
    uint64_t min, max;

    for (size_t n = 0; n < sizeof(good) - 1; n++) {
        char *cut = strndup(good, n); /* so that ASan sees a byte too far */

        cr_assert_not(ltx_name_parse(cut, &min, &max), "%s", cut);
        free(cut);
    }
}

Test(ltx_name, order_of_ids_is_not_its_business)
{
    uint64_t min, max;

    cr_assert(ltx_name_parse("ffffffffffffffff-0000000000000000.ltx", &min, &max));
    cr_expect_eq(min, UINT64_MAX);
    cr_expect_eq(max, 0);
}

Test(ltx_name, a_txid_is_refused_in_litestreams_words)
{
    uint64_t txid;
    struct err e;

    cr_expect_eq(ltx_txid_parse("12", &txid, &e), ERR_USAGE);
    cr_expect_str_eq(e.text, "invalid formatted transaction id length: \"12\"");
    cr_expect_eq(ltx_txid_parse("000000000000000x", &txid, &e), ERR_USAGE);
    cr_expect_str_eq(e.text, "invalid transaction id format: \"000000000000000x\"");
    cr_expect_eq(ltx_txid_parse("0x00000000000001", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("+000000000000001", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("0000000 00000001", &txid, &e), ERR_USAGE);
    cr_expect_eq(ltx_txid_parse("ffffFFFFffffFFFF", &txid, &e), 0);
    cr_expect_eq(txid, UINT64_MAX);
}

Test(ltx_name, txids_go_there_and_back)
{
    uint64_t state = 11;

    for (int i = 0; i < 1000; i++) {
        uint64_t txid = (uint64_t)noise(&state) << 40 ^ noise(&state), back;
        char text[LTX_TXID_SIZE];
        struct err e;

        ltx_txid_format(txid >> i % 64, text);
        cr_assert_eq(strlen(text), 16);
        cr_assert_eq(ltx_txid_parse(text, &back, &e), 0);
        cr_assert_eq(back, txid >> i % 64);
    }
}

Test(ltx_name, files_sort_by_level_and_ids)
{
    struct ltx_info in[] = { { .level = 9, .min_txid = 1, .max_txid = 3 },
        { .level = 0, .min_txid = 2, .max_txid = 9 },
        { .level = 0, .min_txid = 2, .max_txid = 4 },
        { .level = 1, .min_txid = UINT64_MAX, .max_txid = UINT64_MAX },
        { .level = 0, .min_txid = 1, .max_txid = UINT64_MAX } };
    const uint64_t max[] = { UINT64_MAX, 4, 9, UINT64_MAX, 3 };

    qsort(in, 5, sizeof(in[0]), ltx_info_cmp);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(in[i].max_txid, max[i], "%d", i);
    for (int i = 0; i < 4; i++) {
        cr_expect_lt(ltx_info_cmp(&in[i], &in[i + 1]), 0);
        cr_expect_gt(ltx_info_cmp(&in[i + 1], &in[i]), 0);
        cr_expect_eq(ltx_info_cmp(&in[i], &in[i]), 0);
    }
}
