/* What a destination is known to hold. */
#include <malloc.h>
#include <stdint.h>

#include <criterion/criterion.h>

#include "workers/replica/holdings.h"

static struct holdings *h;

static void
set_up(void)
{
    h = holdings_new();
}

static void
tear_down(void)
{
    holdings_free(h);
}

TestSuite(holdings, .init = set_up, .fini = tear_down);

static struct ltx_info
file_of(int level, uint64_t min, uint64_t max)
{
    return (
        struct ltx_info){ .level = level, .min_txid = min, .max_txid = max, .size = 100 };
}

static void
add(int level, uint64_t min, uint64_t max)
{
    struct ltx_info info = file_of(level, min, max);

    holdings_add(h, &info);
}

static void
remove_l0(uint64_t first, uint64_t last)
{
    for (uint64_t txid = first; txid <= last; txid++) {
        struct ltx_info info = file_of(0, txid, txid);

        holdings_removed(h, &info, 1);
    }
}

/* Level 0 is first..last, each once, in order. */
static void
expect_l0(uint64_t first, uint64_t last)
{
    size_t n = 99;
    const struct ltx_info *l0 = holdings_l0(h, &n);

    cr_assert_eq(n, last + 1 - first, "%zu", n);
    for (size_t i = 0; i < n; i++)
        cr_assert(l0[i].min_txid == first + i && l0[i].max_txid == first + i);
}

static void
expect_newest(int level, uint64_t min, uint64_t max)
{
    const struct ltx_info *info = holdings_newest(h, level);

    cr_assert_not_null(info);
    cr_expect(info->min_txid == min && info->max_txid == max, "level %d", level);
}

Test(holdings, nothing_is_there_at_first)
{
    for (int level = 0; level < LTX_N_LEVELS; level++)
        expect_newest(level, 0, 0);
    expect_l0(1, 0);
    cr_expect_not(holdings_l0_cut(h));
    holdings_free(NULL);
}

Test(holdings, the_newest_of_each_level_is_known)
{
    add(0, 7, 7);
    add(1, 1, 3);
    add(1, 4, 6);
    add(1, 2, 5);
    add(9, 1, 5);
    expect_newest(0, 7, 7);
    expect_newest(1, 4, 6);
    expect_newest(2, 0, 0);
    expect_newest(9, 1, 5);
    add(1, 1, 6);
    expect_newest(1, 1, 6);
    expect_l0(7, 7);
}

Test(holdings, level_0_is_in_order_however_it_comes)
{
    static const uint64_t order[] = { 5, 1, 9, 2, 8, 3, 7, 4, 6, 10, 20, 15, 11, 19, 12,
        18, 13, 17, 14, 16 };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        add(0, order[i], order[i]);
    expect_l0(1, 20);
    expect_newest(0, 20, 20);
}

Test(holdings, a_file_that_comes_again_replaces_what_was_known)
{
    struct ltx_info again = file_of(0, 2, 2);
    const struct ltx_info *l0;
    size_t n;

    add(0, 1, 1);
    add(0, 2, 2);
    again.size = 777;
    again.created.sec = 42;
    holdings_add(h, &again);
    expect_l0(1, 2);
    l0 = holdings_l0(h, &n);
    cr_expect(l0[1].size == 777 && l0[1].created.sec == 42);
    cr_expect_eq(l0[0].size, 100);
    cr_expect_eq(holdings_newest(h, 0)->size, 777);
}

Test(holdings, what_is_removed_is_gone_and_the_rest_stays)
{
    struct ltx_info files[3] = { file_of(0, 3, 3), file_of(1, 1, 2), file_of(0, 1, 1) };
    size_t n;

    for (uint64_t txid = 1; txid <= 100; txid++)
        add(0, txid, txid);
    add(1, 1, 2);
    holdings_removed(h, files, 3);
    cr_expect_eq(holdings_l0(h, &n)[0].min_txid, 2);
    cr_expect_eq(n, 98);
    cr_expect_eq(holdings_l0(h, &n)[1].min_txid, 4);
    expect_newest(1, 1, 2);
    remove_l0(1, 90);
    expect_l0(91, 100);
    add(0, 101, 101);
    expect_l0(91, 101);
    remove_l0(91, 101);
    expect_l0(1, 0);
    expect_newest(0, 101, 101);
    add(0, 102, 102);
    expect_l0(102, 102);
}

Test(holdings, what_was_never_there_can_be_removed)
{
    add(0, 5, 5);
    remove_l0(1, 4);
    remove_l0(6, 9);
    expect_l0(5, 5);
    cr_expect_not(holdings_l0_cut(h));
}

Test(holdings, more_than_it_remembers_is_told_until_that_is_removed)
{
    struct ltx_info merged = file_of(1, HOLDINGS_L0_MAX + 1, HOLDINGS_L0_MAX + 1);

    for (uint64_t txid = 1; txid <= HOLDINGS_L0_MAX; txid++)
        add(0, txid, txid);
    cr_expect_not(holdings_l0_cut(h));
    add(0, HOLDINGS_L0_MAX, HOLDINGS_L0_MAX);
    cr_expect_not(holdings_l0_cut(h), "it is known already");
    add(0, HOLDINGS_L0_MAX + 1, HOLDINGS_L0_MAX + 1);
    add(0, HOLDINGS_L0_MAX + 2, HOLDINGS_L0_MAX + 2);
    cr_expect(holdings_l0_cut(h));
    expect_l0(1, HOLDINGS_L0_MAX);
    expect_newest(0, HOLDINGS_L0_MAX + 2, HOLDINGS_L0_MAX + 2);
    remove_l0(1, 3);
    cr_expect(holdings_l0_cut(h), "these are not the ones that are lacking");
    remove_l0(HOLDINGS_L0_MAX + 3, HOLDINGS_L0_MAX + 9);
    cr_expect(holdings_l0_cut(h), "nor are those");
    holdings_removed(h, &merged, 1);
    cr_expect(holdings_l0_cut(h), "nor is one of another level");
    remove_l0(HOLDINGS_L0_MAX + 1, HOLDINGS_L0_MAX + 1);
    cr_expect(holdings_l0_cut(h), "one is still lacking");
    holdings_removed(h, &merged, 1);
    cr_expect(holdings_l0_cut(h));
    remove_l0(HOLDINGS_L0_MAX + 2, HOLDINGS_L0_MAX + 2);
    cr_expect_not(holdings_l0_cut(h));
    expect_l0(4, HOLDINGS_L0_MAX);
}

Test(holdings, clear_forgets_everything)
{
    for (uint64_t txid = 1; txid <= HOLDINGS_L0_MAX + 1; txid++)
        add(0, txid, txid);
    add(9, 1, 5);
    holdings_clear(h);
    expect_l0(1, 0);
    expect_newest(0, 0, 0);
    expect_newest(9, 0, 0);
    cr_expect_not(holdings_l0_cut(h));
}

/* A worker that has come to rest keeps nothing of a backlog. */
Test(holdings, memory_is_given_back_in_one_go)
{
    static struct ltx_info files[40000];
    const struct ltx_info *l0;
    size_t n;

    for (size_t i = 0; i < 40000; i++) {
        files[i] = file_of(0, i + 1, i + 1);
        holdings_add(h, &files[i]);
    }
    holdings_removed(h, files, 39990);
    expect_l0(39991, 40000);
    l0 = holdings_l0(h, &n);
    cr_expect_leq(malloc_usable_size((void *)(uintptr_t)l0), 16384);
    add(0, 40001, 40001);
    expect_l0(39991, 40001);
}
