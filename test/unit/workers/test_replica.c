/* When uploads start: the pace of a destination next to that of the syncs that feed it.
 */
#include <criterion/criterion.h>

#include "test/unit/workers/replica_rig.h"

static void
open_with(int64_t sync_ms, int64_t feed_ms)
{
    rig_start();
    rig_open_dest(0, sync_ms, feed_ms, false);
}

static void
add_3(void)
{
    rig_add(3);
}

Test(replica, the_first_file_goes_at_once_and_the_next_waits_for_its_turn)
{
    open_with(600000, 600000);
    rig_add(1);
    cr_expect(rig_arrives(1, 60000));
    rig_add(2);
    cr_expect_not(rig_arrives(2, 300));
    replica_push(rig.dest[0].r);
    cr_expect(rig_arrives(2, 60000), "unless it is pushed");
    rig_end();
}

Test(replica, files_that_are_made_during_a_round_join_it)
{
    open_with(600000, 600000);
    rig_add(1);
    while (!replica_known(rig.dest[0].r))
        uv_run(&rig.loop, UV_RUN_ONCE);
    cr_assert_eq(replica_txid(rig.dest[0].r), 0, "the first one is under way");
    rig_add(2);
    cr_expect(rig_arrives(2, 60000));
    rig_end();
}

/* By time it would go a second later. */
Test(replica, a_file_that_is_made_shortly_before_the_next_round_starts_it)
{
    open_with(2000, 2000);
    rig_add(1);
    cr_assert(rig_arrives(1, 60000));
    cr_assert_not(rig_arrives(2, 1100));
    rig_add(2);
    cr_assert(rig_arrives(2, 60000));
    cr_expect_eq(rig.n_rounds, 0, "it did not wait for the timer");
    rig_end();
}

/* Many files are made in an interval of ours: half of theirs is early enough. */
Test(replica, a_file_of_a_fast_feeder_does_not_start_a_round_far_ahead)
{
    open_with(2000, 100);
    rig_add(1);
    cr_assert(rig_arrives(1, 60000));
    cr_assert_not(rig_arrives(2, 1100));
    rig_add(2);
    cr_assert(rig_arrives(2, 60000));
    cr_expect_eq(rig.n_rounds, 1, "it waited for the timer");
    rig_end();
}

Test(replica, what_is_made_when_a_round_is_due_goes_with_it)
{
    open_with(300, 300);
    rig_add(1);
    cr_assert(rig_arrives(1, 60000));
    rig_add(2);
    rig.on_round = add_3;
    cr_assert(rig_arrives(3, 60000));
    cr_expect_eq(rig.n_rounds, 1);
    rig_end();
}
