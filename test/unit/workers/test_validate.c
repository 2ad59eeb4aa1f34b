#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "workers/compact/validate.h"

#define F(min, max)                                                                      \
    {                                                                                    \
        .level = 1, .min_txid = (min), .max_txid = (max)                                 \
    }
#define N(a) (sizeof(a) / sizeof((a)[0]))

static char seen[1024];

static void
collect(void *arg, const struct validate_problem *p)
{
    cr_assert_str_eq(arg, "arg");
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s|%s\n",
        validate_type_name(p->type), p->text);
}

static size_t
problems(const struct ltx_info *files, size_t n)
{
    static char arg[] = "arg";

    seen[0] = '\0';
    return validate_level(files, n, 0, collect, arg);
}

Test(validate, an_unbroken_row_has_no_problem)
{
    struct ltx_info files[] = { F(5, 5), F(6, 0x1f), F(0x20, 0x21) };
    struct err e = ERR_NONE;

    for (size_t n = 0; n <= N(files); n++) {
        cr_expect_eq(validate_merged(files, n, 0, &e), 0);
        cr_expect_eq(problems(files, n), 0);
    }
}

Test(validate, after_a_merge_the_first_problem_is_told)
{
    struct ltx_info gap[] = { F(1, 9), F(0xb, 0xc), F(1, 2) };
    struct ltx_info overlap[] = { F(1, 1), F(2, 0xa), F(0xa, 0xc), F(0x20, 0x20) };
    struct err e = ERR_NONE;

    cr_assert_eq(validate_merged(gap, N(gap), 0, &e), ERR_GAP);
    cr_expect_str_eq(e.text, "TXID gap detected: prev.MaxTXID=0000000000000009, "
                             "next.MinTXID=000000000000000b (expected 000000000000000a)");
    cr_assert_eq(validate_merged(overlap, N(overlap), 0, &e), ERR_GAP);
    cr_expect_str_eq(e.text, "TXID overlap detected: prev.MaxTXID=000000000000000a, "
                             "next.MinTXID=000000000000000a");
}

Test(validate, all_problems_are_found_one_for_a_pair)
{
    struct ltx_info files[] = { F(0x10, 0x1f), F(0x21, 0x22), F(0x22, 0x30), F(3, 4),
        F(5, 5), F(5, 6) };

    cr_expect_eq(problems(files, N(files)), 4);
    cr_expect_str_eq(seen,
        "gap|TXID gap: prev.MaxTXID=000000000000001f, curr.MinTXID=0000000000000021 "
        "(expected 0000000000000020)\n"
        "overlap|TXID overlap: prev.MaxTXID=0000000000000022, "
        "curr.MinTXID=0000000000000022\n"
        "unsorted|files out of order: curr.MinTXID=0000000000000003 < "
        "prev.MinTXID=0000000000000022\n"
        "overlap|TXID overlap: prev.MaxTXID=0000000000000005, "
        "curr.MinTXID=0000000000000005\n");
    cr_expect_eq(validate_level(files, N(files), 0, NULL, NULL), 4);
}

Test(validate, parts_that_share_a_file_give_what_the_whole_gives)
{
    struct ltx_info files[40];
    unsigned seed = 3;

    for (int round = 0; round < 500; round++) {
        size_t cut = 1 + (size_t)rand_r(&seed) % (N(files) - 1);

        for (size_t i = 0; i < N(files); i++) {
            files[i] = (struct ltx_info)F(1 + (uint64_t)rand_r(&seed) % 9, 0);
            files[i].max_txid = files[i].min_txid + (uint64_t)rand_r(&seed) % 4;
        }
        cr_assert_eq(validate_level(files, N(files), 0, NULL, NULL),
            validate_level(files, cut, 0, NULL, NULL) +
                validate_level(files + cut - 1, N(files) - cut + 1, 0, NULL, NULL));
    }
}

Test(validate, the_highest_txid_is_not_beyond_its_words)
{
    struct ltx_info files[] = { F(UINT64_MAX - 2, UINT64_MAX - 1),
        F(UINT64_MAX, UINT64_MAX) };
    struct err e = ERR_NONE;

    cr_expect_eq(validate_merged(files, N(files), 0, &e), 0);
    files[1].min_txid = UINT64_MAX - 3;
    cr_expect_eq(problems(files, N(files)), 1);
    cr_expect_not_null(strstr(seen, "curr.MinTXID=fffffffffffffffc < "));
}

Test(validate, what_retention_leaves_below_the_oldest_snapshot_is_no_gap)
{
    struct ltx_info files[] = { F(1, 9), F(0x20, 0x2f), F(0x35, 0x36) };
    struct ltx_info snapshots[] = { F(1, 0x1f), F(1, 0x34), F(2, 3) };
    struct err e = ERR_NONE;

    cr_expect_eq(validate_pruned_to(NULL, 0), 0);
    cr_assert_eq(validate_pruned_to(snapshots, N(snapshots)), 0x1f);
    cr_expect_eq(validate_merged(files, 2, 0x1f, &e), 0);
    cr_expect_eq(validate_merged(files, 2, 0x1e, &e), ERR_GAP);
    cr_expect_eq(validate_merged(files, 3, 0x1f, &e), ERR_GAP, "between two snapshots");
    cr_expect_eq(validate_level(files, 3, 0x1f, NULL, NULL), 1);
    cr_expect_eq(validate_level(files, 3, 0x34, NULL, NULL), 0);
    files[2].min_txid = 0x2f;
    cr_expect_eq(validate_merged(files, 3, 0x34, &e), ERR_GAP, "an overlap always is");
    cr_expect_eq(validate_level(files, 3, 0x34, NULL, NULL), 1);
}
