#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/wal/wal_pagemap.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

#define N_PAGES 50000
#define N_FRAMES 700000 /* several times what is kept in memory */

static uint32_t page_of[N_FRAMES + 1];

static uint64_t
next(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

static void
fill(struct wal_pagemap *m, uint32_t first, uint32_t n, uint64_t seed)
{
    struct err e;

    for (uint32_t f = first; f < first + n; f++) {
        /* runs of one page, runs of neighbours, and jumps */
        uint64_t k = next(&seed);

        page_of[f] = f > first && k % 4 == 0   ? page_of[f - 1]
                     : f > first && k % 4 == 1 ? page_of[f - 1] % N_PAGES + 1
                                               : (uint32_t)(k / 4 % N_PAGES) + 1;
        cr_assert_eq(wal_pagemap_add(m, page_of[f], f, &e), 0);
    }
}

/* The newest frame <= max_frame of each page, from the list of frames. */
static void
expect_walk(struct wal_pagemap *m, uint32_t n, uint32_t max_pgno, uint32_t max_frame)
{
    uint32_t *newest = calloc(N_PAGES + 1, sizeof(*newest)), pgno, frame_no;
    struct err e;

    for (uint32_t f = 1; f <= n && f <= max_frame; f++)
        newest[page_of[f]] = f;
    cr_assert_eq(wal_pagemap_walk(m, max_pgno, max_frame, &e), 0);
    for (uint32_t p = 1; p <= N_PAGES && p <= max_pgno; p++) {
        if (newest[p] == 0)
            continue;
        cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), 0);
        cr_assert_eq(pgno, p);
        cr_assert_eq(frame_no, newest[p]);
    }
    cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), ERR_END);
    cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), ERR_END);
    free(newest);
}

Test(wal_pagemap, last_frame_wins_in_memory_and_in_sorted_runs)
{
    static const uint32_t sizes[] = { 0, 1, 2, 1000, 262144, 262145, N_FRAMES };
    struct wal_pagemap *m = wal_pagemap_new(tmp_dir());

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t n = sizes[i];

        wal_pagemap_clear(m);
        fill(m, 1, n, 42 + i);
        cr_assert_eq(wal_pagemap_n_added(m), n);
        expect_walk(m, n, UINT32_MAX, UINT32_MAX);
        expect_walk(m, n, N_PAGES / 2, n / 2);
        expect_walk(m, n, 1, n);
        expect_walk(m, n, N_PAGES, 1);
    }
    wal_pagemap_free(m);
}

Test(wal_pagemap, walks_again_and_takes_more_after_a_walk)
{
    struct wal_pagemap *m = wal_pagemap_new(NULL);
    uint32_t pgno, frame_no;
    struct err e;

    fill(m, 1, 300000, 7);
    cr_assert_eq(wal_pagemap_walk(m, UINT32_MAX, UINT32_MAX, &e), 0);
    for (int i = 0; i < 100; i++) /* left half way */
        cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), 0);
    fill(m, 300001, 100000, 8);
    expect_walk(m, 400000, UINT32_MAX, UINT32_MAX);
    expect_walk(m, 400000, UINT32_MAX, UINT32_MAX);
    wal_pagemap_free(m);
}

Test(wal_pagemap, largest_numbers)
{
    struct wal_pagemap *m = wal_pagemap_new(NULL);
    uint32_t pgno, frame_no;
    struct err e;

    cr_assert_eq(wal_pagemap_add(m, UINT32_MAX, 1, &e), 0);
    cr_assert_eq(wal_pagemap_add(m, UINT32_MAX, UINT32_MAX, &e), 0);
    cr_assert_eq(wal_pagemap_walk(m, UINT32_MAX, UINT32_MAX, &e), 0);
    cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), 0);
    cr_assert_eq(pgno, UINT32_MAX);
    cr_assert_eq(frame_no, UINT32_MAX);
    cr_assert_eq(wal_pagemap_next(m, &pgno, &frame_no, &e), ERR_END);
    wal_pagemap_free(m);
}

Test(wal_pagemap, a_failing_disk_is_reported_and_leaves_a_usable_map)
{
    int n_failed = 0;

    for (int nth = 1; fault_nth(nth, ENOSPC); nth++) {
        struct wal_pagemap *m = wal_pagemap_new(tmp_dir());
        uint32_t pgno, frame_no;
        struct err e;
        int rc = 0;

        for (uint32_t f = 1; rc == 0 && f <= 600000; f++)
            rc = wal_pagemap_add(m, f % 1000 + 1, f, &e);
        if (rc == 0)
            rc = wal_pagemap_walk(m, UINT32_MAX, UINT32_MAX, &e);
        while (rc == 0)
            rc = wal_pagemap_next(m, &pgno, &frame_no, &e);
        if (rc != ERR_END) {
            cr_assert_eq(rc, ERR_NO_SPACE);
            n_failed++;
        }
        fault_off();
        wal_pagemap_clear(m);
        fill(m, 1, 1000, 3);
        expect_walk(m, 1000, UINT32_MAX, UINT32_MAX);
        wal_pagemap_free(m);
        if (rc == ERR_END)
            break;
    }
    fault_off();
    cr_assert_gt(n_failed, 5);
}
