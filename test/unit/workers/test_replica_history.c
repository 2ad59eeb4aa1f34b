/* Does the destination hold the history of the local files? */
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/workers/replica_rig.h"

#define LONG_MS 600000
#define SOON_MS 20000 /* a limit that is never reached when all is well */

static struct replica *
first(void)
{
    return rig.dest[0].r;
}

static bool
is_known(void)
{
    return replica_known(first());
}

static void
expect_position(uint64_t txid, uint64_t found)
{
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    cr_expect_eq(replica_txid(first()), txid);
    cr_expect_eq(replica_found_txid(first()), found);
}

Test(replica_history, the_newest_file_that_is_on_both_sides_tells)
{
    rig_one(LONG_MS);
    rig_make_local(1, 7);
    for (uint64_t txid = 1; txid <= 5; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    expect_position(5, 5);
    cr_expect_not(replica_is_foreign(first()));
    rig_end();
}

Test(replica_history, another_file_of_the_same_name_is_noticed)
{
    rig_one(LONG_MS);
    rig_make_local(1, 7);
    for (uint64_t txid = 1; txid <= 5; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, txid == 5 ? 1 : 0);
    expect_position(5, 5);
    cr_expect(replica_is_foreign(first()));
    rig_end();
}

Test(replica_history, one_of_another_size_is_noticed)
{
    rig_one(LONG_MS);
    rig_make_local(1, 7);
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 0);
    cr_assert_eq(truncate(rig_dest_path(0, 0, 1, 1), RIG_FILE_SIZE - 1), 0);
    expect_position(1, 1);
    cr_expect(replica_is_foreign(first()));
    rig_end();
}

Test(replica_history, without_a_common_file_nothing_is_known)
{
    rig_one(LONG_MS);
    rig_make_local(5, 7);
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 1);
    expect_position(1, 1);
    cr_expect_not(replica_is_foreign(first()));
    rig_end();
}
