#include <string.h>

#include <criterion/criterion.h>

#include "workers/restore/follow_plan.h"

static struct restore_files files;
static struct follow_step step;

static void
clean_up(void)
{
    follow_step_deinit(&step);
    restore_files_deinit(&files);
}

TestSuite(follow_plan, .fini = clean_up);

static void
add(int level, uint64_t min, uint64_t max)
{
    struct ltx_info info = {
        .level = level, .min_txid = min, .max_txid = max, .size = 1000
    };
    struct err e;

    cr_assert_eq(restore_files_add(&files, &info, &e), 0);
}

static enum follow_what
decide(uint64_t txid, bool complete)
{
    follow_step_deinit(&step);
    follow_decide(&files, txid, complete, &step);
    return step.what;
}

static bool
file_is(int level, uint64_t min, uint64_t max)
{
    return step.file.level == level && step.file.min_txid == min &&
           step.file.max_txid == max;
}

Test(follow_plan, the_next_file_is_taken_until_nothing_is_left)
{
    add(0, 6, 6);
    add(0, 7, 7);
    cr_expect_eq(decide(5, false), FOLLOW_FILE);
    cr_expect(file_is(0, 6, 6));
    cr_expect_eq(decide(6, false), FOLLOW_FILE);
    cr_expect(file_is(0, 7, 7));
    cr_expect_eq(decide(7, false), FOLLOW_NOTHING);
    cr_expect_eq(decide(7, true), FOLLOW_NOTHING);
}

Test(follow_plan, of_all_levels_the_file_that_reaches_furthest_with_the_fewest_pages)
{
    add(0, 6, 6);
    add(1, 1, 9);
    add(1, 4, 9);
    add(2, 1, 9);
    add(3, 8, 20);
    add(9, 1, 30);
    cr_expect_eq(decide(5, true), FOLLOW_FILE);
    cr_expect(file_is(1, 4, 9));
    cr_expect_eq(decide(9, true), FOLLOW_FILE);
    cr_expect(file_is(3, 8, 20));
}

Test(follow_plan, a_snapshot_is_no_step)
{
    add(0, 6, 6);
    add(9, 1, 6);
    cr_expect_eq(decide(5, true), FOLLOW_FILE);
    cr_expect(file_is(0, 6, 6));
    cr_expect_eq(decide(6, true), FOLLOW_NOTHING);
}

Test(follow_plan, a_gap_in_level_0_asks_for_the_other_levels)
{
    add(0, 9, 9);
    cr_expect_eq(decide(5, false), FOLLOW_LOOK);
    add(1, 1, 8);
    cr_expect_eq(decide(5, true), FOLLOW_FILE);
    cr_expect(file_is(1, 1, 8));
    cr_expect_eq(decide(8, true), FOLLOW_FILE);
    cr_expect(file_is(0, 9, 9));
}

Test(follow_plan, a_gap_without_a_way_around_is_waited_for)
{
    add(9, 1, 4);
    add(0, 8, 8);
    add(0, 9, 9);
    cr_expect_eq(decide(5, true), FOLLOW_GAP);
    cr_expect_eq(step.next_min, 8);
    cr_expect_eq(step.newest, 9);
}

Test(follow_plan, pruned_history_is_left_behind_with_a_snapshot)
{
    add(9, 1, 12);
    add(1, 10, 14);
    add(0, 15, 15);
    cr_expect_eq(decide(5, true), FOLLOW_REBASE);
    cr_expect_eq(step.plan.n, 3);
    cr_expect_eq(step.plan.files[0].level, 9);
    cr_expect_eq(step.plan.files[2].max_txid, 15);
}

Test(follow_plan, a_snapshot_behind_which_something_is_missing_is_no_way)
{
    add(9, 1, 12);
    add(0, 15, 15);
    cr_expect_eq(decide(5, true), FOLLOW_GAP);
}

Test(follow_plan, a_replica_that_ends_before_what_is_here_is_told)
{
    add(0, 1, 1);
    add(0, 2, 2);
    cr_expect_eq(decide(5, true), FOLLOW_BEHIND);
    cr_expect_eq(step.newest, 2);
    restore_files_deinit(&files);
    cr_expect_eq(decide(5, true), FOLLOW_BEHIND);
    cr_expect_eq(step.newest, 0);
    cr_expect_eq(decide(5, false), FOLLOW_NOTHING);
}

Test(follow_plan, an_unknown_state_needs_the_newest_one)
{
    add(0, 1, 1);
    add(0, 2, 2);
    cr_expect_eq(decide(0, true), FOLLOW_REBASE);
    cr_expect_eq(step.plan.n, 2);
    restore_files_deinit(&files);
    add(0, 2, 2);
    cr_expect_eq(decide(0, true), FOLLOW_GAP);
}

Test(follow_plan, a_damaged_file_is_gone_around)
{
    struct ltx_info bad = { .level = 0, .min_txid = 6, .max_txid = 6, .size = 1 };

    add(0, 5, 5);
    add(0, 6, 6);
    add(0, 7, 7);
    follow_leave_out(&files, &bad);
    cr_expect_eq(files.n[0], 2);
    cr_expect_eq(decide(5, true), FOLLOW_GAP);
    add(1, 5, 6);
    cr_expect_eq(decide(5, true), FOLLOW_FILE);
    cr_expect(file_is(1, 5, 6));
    follow_leave_out(&files, &bad); /* not there: nothing happens */
    cr_expect_eq(files.n[0], 2);
}
