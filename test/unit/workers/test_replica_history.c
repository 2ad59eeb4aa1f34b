/* Does the destination hold the history of the local files? */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "test/unit/support/tmp.h"
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

/* --- what cannot be told --------------------------------------------------------------
 */

static int n_failures, n_looks;

/* Local files cannot be opened, so many times. */
static int
few_descriptors(const char *path, int flags, mode_t mode)
{
    if (strncmp(path, rig.l0_dir, strlen(rig.l0_dir)) == 0 && n_failures > 0) {
        n_failures--;
        errno = EMFILE;
        return -1;
    }
    return sys_posix.open(path, flags, mode);
}

/* The history is another one, but the first look at the local file fails. */
Test(replica_history, a_local_file_that_cannot_be_read_leaves_it_open)
{
    static struct sys_ops poor;
    struct slot_replica s = { 0 };

    rig_one(LONG_MS);
    rig_make_local(1, 3);
    for (uint64_t txid = 1; txid <= 3; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, txid == 3 ? 1 : 0);
    poor = *sys;
    poor.open = few_descriptors;
    sys = &poor;
    n_failures = 1;
    replica_set_target(first(), 4);
    rig_try(0);
    cr_expect_not(is_known(), "an older file is no witness for it");
    cr_assert_not_null(replica_error(first()));
    cr_expect_eq(replica_error(first())->code, ERR_LIMIT);
    replica_fill_slot(first(), &s);
    cr_expect_eq(s.errors, 1);
    expect_position(3, 3);
    cr_expect(replica_is_foreign(first()));
    rig_end();
}

/* The stored file goes in the moment it is asked for, once. */
static int
vanish(const char *path, int flags, mode_t mode)
{
    if ((flags & (O_CREAT | O_DIRECTORY)) == 0 && strstr(path, "/replica0/") != NULL &&
        n_looks++ == 0)
        cr_assert_eq(unlink(path), 0);
    return sys_posix.open(path, flags, mode);
}

Test(replica_history, a_file_that_vanished_since_it_was_listed_is_no_other_history)
{
    static struct sys_ops vanishing;

    rig_one(LONG_MS);
    rig_make_local(1, 3);
    for (uint64_t txid = 1; txid <= 3; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    vanishing = *sys;
    vanishing.open = vanish;
    sys = &vanishing;
    replica_set_target(first(), 0);
    rig_try(0);
    cr_expect_not(is_known());
    expect_position(2, 2);
    cr_expect_not(replica_is_foreign(first()));
    cr_expect_eq(n_looks, 2);
    rig_end();
}

static void
with_a_short_local_file(unsigned variant_of_older)
{
    rig_one(LONG_MS);
    rig_make_local(1, 3);
    for (uint64_t txid = 1; txid <= 3; txid++)
        rig_write_file(
            rig_dest_path(0, 0, txid, txid), txid, txid == 2 ? variant_of_older : 0);
    tmp_write(tmp_path("l0/0000000000000003-0000000000000003.ltx"), "LTX1", 4);
    expect_position(3, 3);
    cr_expect_eq(replica_is_foreign(first()), variant_of_older != 0);
    rig_end();
}

Test(replica_history, a_damaged_local_file_is_no_witness)
{
    with_a_short_local_file(0);
}

Test(replica_history, the_one_before_a_damaged_local_file_tells)
{
    with_a_short_local_file(1);
}
