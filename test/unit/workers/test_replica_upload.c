/* What gets to a destination: position, order, errors and their back-off, hold, stop. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_format.h"
#include "test/unit/support/fault.h"
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
in_sync(void)
{
    return replica_in_sync(first());
}

static bool
is_known(void)
{
    return replica_known(first());
}

static bool
second_in_sync(void)
{
    return replica_in_sync(rig.dest[1].r);
}

/* Of one that has an error. */
static const char *
error_text(unsigned i)
{
    const struct err *e = replica_error(rig.dest[i].r);

    cr_assert_not_null(e, "no error");
    return e->text;
}

static struct slot_replica
numbers(unsigned i)
{
    struct slot_replica s = { 0 };

    replica_fill_slot(rig.dest[i].r, &s);
    return s;
}

/* These were put in place, in this order, and no others. */
static void
expect_placed(unsigned from, unsigned i, uint64_t min, uint64_t max)
{
    char want[48];

    for (uint64_t txid = min; txid <= max; txid++, from++) {
        snprintf(want, sizeof(want), "replica%u %016llx", i, (unsigned long long)txid);
        cr_expect_lt(from, rig.n_placed);
        cr_expect_str_eq(rig.placed[from], want);
    }
    cr_expect_eq(from, rig.n_placed);
}

/* --- position at start ----------------------------------------------------------------
 */

static void
expect_position(uint64_t found, uint64_t target)
{
    rig_make_local(1, target);
    replica_set_target(first(), target);
    cr_expect_not(is_known(), "nothing was listed yet");
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_found_txid(first()), found);
    cr_expect_eq(replica_txid(first()), found > target ? found : target);
    expect_placed(0, 0, found + 1, target);
    cr_expect_null(replica_error(first()));
    cr_expect_eq(numbers(0).list_count, LTX_N_LEVELS);
}

Test(replica_upload, an_empty_destination_gets_everything_in_order)
{
    rig_one(LONG_MS);
    expect_position(0, 5);
    cr_expect(rig_holds_just(0, 1, 5));
    rig_end();
}

Test(replica_upload, one_that_is_behind_gets_what_it_lacks)
{
    rig_one(LONG_MS);
    for (uint64_t txid = 1; txid <= 3; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    expect_position(3, 5);
    cr_expect(rig_holds_just(0, 1, 5));
    rig_end();
}

/* Level 0 was removed by retention there: the others tell. */
Test(replica_upload, the_highest_of_all_levels_counts)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 0, 2, 2), 2, 0);
    rig_write_file(rig_dest_path(0, 2, 1, 4), 4, 0);
    rig_write_file(rig_dest_path(0, 9, 1, 3), 3, 0);
    expect_position(4, 6);
    rig_end();
}

Test(replica_upload, a_snapshot_alone_tells_it_as_well)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 5), 5, 0);
    expect_position(5, 5);
    rig_end();
}

Test(replica_upload, one_that_is_ahead_gets_nothing_until_it_is_passed)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 1, 1, 7), 7, 0);
    expect_position(7, 5);
    rig_make_local(8, 8);
    replica_set_target(first(), 8);
    replica_push(first());
    cr_assert(rig_arrives(8, SOON_MS));
    expect_placed(0, 0, 8, 8);
    rig_end();
}

/* One level that cannot be read could hold the newest file. */
Test(replica_upload, nothing_goes_up_before_every_level_was_listed)
{
    char level[4096];

    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 0);
    snprintf(level, sizeof(level), "%s/replica0/ltx/8", tmp_dir());
    tmp_write(level, "in the way", 10);
    rig_make_local(1, 5);
    replica_set_target(first(), 5);
    rig_try(0);
    rig_try(0);
    cr_expect_not(is_known());
    cr_expect_eq(replica_txid(first()), 0);
    cr_expect_not_null(
        strstr(error_text(0), "find replica position"), "%s", error_text(0));
    cr_expect_eq(rig.n_placed, 0);
    rig_write_file(rig_dest_path(0, 0, 2, 2), 2, 0); /* by another one, meanwhile */
    unlink(level);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_found_txid(first()), 2, "all levels were listed again");
    expect_placed(0, 0, 3, 5);
    cr_expect_null(replica_error(first()));
    rig_end();
}

/* What failed to be listed in full counts for nothing: it may be gone the next time. */
Test(replica_upload, a_listing_that_failed_leaves_no_position_behind)
{
    char level[4096];

    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 9), 9, 0);
    snprintf(level, sizeof(level), "%s/replica0/ltx/1", tmp_dir());
    tmp_write(level, "in the way", 10);
    rig_make_local(1, 2);
    replica_set_target(first(), 2);
    rig_try(0);
    unlink(level);
    unlink(rig_dest_path(0, 9, 1, 9));
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_found_txid(first()), 0);
    cr_expect(rig_holds_just(0, 1, 2));
    rig_end();
}

/* --- a gap in the local files ---------------------------------------------------------
 */

Test(replica_upload, a_missing_local_file_is_an_error_and_nothing_behind_it_goes_up)
{
    const struct err *e;

    rig_one(LONG_MS);
    rig_make_local(1, 2);
    rig_make_local(4, 5);
    replica_set_target(first(), 5);
    cr_assert(rig_arrives(2, SOON_MS));
    for (int i = 0; i < 3; i++)
        rig_try(0);
    cr_expect_eq(replica_txid(first()), 2);
    cr_expect_not(in_sync());
    expect_placed(0, 0, 1, 2);
    e = replica_error(first());
    cr_assert_not_null(e);
    cr_expect_eq(e->code, ERR_CORRUPT, "%s", e->text);
    cr_expect_not_null(strstr(e->text, "open ltx file"), "%s", e->text);
    cr_expect_not_null(strstr(e->text, "0000000000000003-0000000000000003.ltx"));
    cr_expect_not_null(strstr(e->hint, "litestream reset "), "%s", e->hint);
    cr_expect_not_null(strstr(e->hint, rig.db_path), "%s", e->hint);
    rig_make_local(3, 3);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 5);
    cr_expect_null(replica_error(first()));
    rig_end();
}

/* --- back-off -------------------------------------------------------------------------
 */

/* What the loop would sleep: the back-off, since nothing else has a timer. */
static int
wait_ms(void)
{
    return uv_backend_timeout(&rig.loop);
}

static void
expect_waits(const int *delays, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rig_try(0);
        cr_expect(wait_ms() >= delays[i] / 2 && wait_ms() <= delays[i],
            "failure %zu: %d ms, not %d", i + 1, wait_ms(), delays[i]);
        cr_expect_eq(numbers(0).errors_in_row, i + 1);
    }
}

Test(replica_upload, waits_double_up_to_five_minutes_and_start_over_after_a_success)
{
    static const int delays[] = { 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000,
        300000, 300000, 300000 };
    const size_t n = sizeof(delays) / sizeof(delays[0]);

    rig_one(2000);
    rig_make_local(1, 2);
    rig.dest[0].broken = true;
    expect_waits(delays, n);
    cr_expect_eq(numbers(0).errors, n);
    rig.dest[0].broken = false;
    replica_set_target(first(), 1);
    rig_try(0);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_null(replica_error(first()));
    cr_expect_eq(numbers(0).errors_in_row, 0);
    rig.dest[0].broken = true;
    replica_set_target(first(), 2);
    expect_waits(delays, 4);
    cr_expect_eq(numbers(0).errors, n + 4, "these never start over");
    cr_expect_not_null(strstr(error_text(0), "write ltx file"), "%s", error_text(0));
    rig_end();
}

static bool
nothing_happens(void)
{
    return replica_attempts(first()) > 1;
}

Test(replica_upload, a_new_file_does_not_cut_the_wait_short_but_a_push_does)
{
    int before;

    rig_one(LONG_MS);
    rig_make_local(1, 1);
    rig.dest[0].broken = true;
    replica_set_target(first(), 1);
    cr_assert_not(rig_until(nothing_happens, 50));
    cr_assert_eq(replica_attempts(first()), 1);
    rig.dest[0].broken = false;
    before = wait_ms();
    rig_add(2);
    cr_expect_not(rig_until(nothing_happens, 200));
    cr_expect_lt(wait_ms(), before, "it is not begun anew");
    cr_expect_gt(wait_ms(), before - 10000);
    replica_push(first());
    cr_expect(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 2);
    rig_end();
}

Test(replica_upload, goes_on_by_itself_when_the_wait_is_over)
{
    rig_one(20);
    rig_make_local(1, 3);
    rig.dest[0].broken = true;
    replica_set_target(first(), 3);
    for (int i = 0; i < 3; i++)
        rig_try(0);
    rig.dest[0].broken = false;
    cr_expect(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 3);
    rig_end();
}

/* --- an upload that fails -------------------------------------------------------------
 */

Test(replica_upload, half_a_file_is_never_seen_and_goes_up_again)
{
    rig_one(LONG_MS);
    rig_make_local(1, 2);
    rig.dest[0].half = true;
    replica_set_target(first(), 2);
    for (int i = 0; i < 3; i++) {
        rig_try(0);
        cr_expect(rig_holds_just(0, 1, 0), "something was left there");
    }
    cr_expect_eq(replica_txid(first()), 0);
    cr_expect_eq(replica_error(first())->code, ERR_NO_SPACE, "%s", error_text(0));
    cr_expect_not_null(strstr(error_text(0), "write ltx file"), "%s", error_text(0));
    rig.dest[0].half = false;
    replica_push(first());
    cr_expect(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 1, 2));
    cr_expect_null(replica_error(first()));
    rig_end();
}

static bool
in_sync_or_failed(void)
{
    return in_sync() || replica_error(first()) != NULL;
}

/* From the first listing to the last file. */
static void
upload_two(int nth)
{
    unsigned n_whole;

    rig_open_dest(0, LONG_MS, LONG_MS, false);
    replica_set_target(first(), 2);
    cr_assert(rig_until(in_sync_or_failed, SOON_MS));
    n_whole = (rig_find(0, 1) == RIG_LOCAL) + (rig_find(0, 2) == RIG_LOCAL);
    cr_expect(rig_find(0, 1) != RIG_OTHER && rig_find(0, 2) != RIG_OTHER, "call %d", nth);
    cr_expect_leq(replica_txid(first()), n_whole, "call %d", nth);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS), "call %d", nth);
    cr_expect(rig_holds_just(0, 1, 2), "call %d", nth);
}

static void
forget_all(void)
{
    char path[4096];

    rig_close_dest(0);
    while (!rig.closed[0])
        uv_run(&rig.loop, UV_RUN_ONCE);
    rig.closed[0] = false;
    unlink(rig_dest_path(0, 0, 1, 1));
    unlink(rig_dest_path(0, 0, 2, 2));
    snprintf(path, sizeof(path), "%s/replica0/ltx/0", tmp_dir());
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(rmdir(path), 0, "%s", path);
        *strrchr(path, '/') = '\0';
    }
}

Test(replica_upload, whichever_call_fails_both_files_get_there_whole)
{
    int nth;

    rig_start();
    rig_make_local(1, 2);
    for (nth = 1; fault_nth(nth, EIO); nth++) {
        upload_two(nth);
        forget_all();
    }
    cr_expect_gt(nth, 20, "the calls go through the table");
    rig_open_dest(0, LONG_MS, LONG_MS, false);
    rig_end();
}

/* --- what is there already ------------------------------------------------------------
 */

/* The answer to an upload was lost, or it came after the listing. */
Test(replica_upload, the_same_file_that_is_there_already_is_no_obstacle)
{
    rig_one(LONG_MS);
    rig_make_local(1, 2);
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 0);
    replica_set_target(first(), 2);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_null(replica_error(first()));
    cr_expect(rig_holds_just(0, 1, 2));
    rig_end();
}

Test(replica_upload, what_an_upload_left_that_was_killed_is_written_over)
{
    char tmp[4096];
    char junk[2 * RIG_FILE_SIZE];

    memset(junk, 'x', sizeof(junk));
    rig_one(LONG_MS);
    rig_make_local(1, 1);
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 1);
    snprintf(tmp, sizeof(tmp), "%s.tmp", rig_dest_path(0, 0, 1, 1));
    unlink(rig_dest_path(0, 0, 1, 1));
    tmp_write(tmp, junk, sizeof(junk));
    replica_set_target(first(), 1);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_found_txid(first()), 0, "it does not count as a file");
    cr_expect(rig_holds_just(0, 1, 1));
    rig_end();
}

/* --- hold -----------------------------------------------------------------------------
 */

static bool
never(void)
{
    return rig.n_placed > 0;
}

Test(replica_upload, while_it_is_held_nothing_goes_up_then_all_that_is_said)
{
    rig_one(LONG_MS);
    rig_make_local(1, 5);
    replica_hold(first(), NULL);
    replica_set_target(first(), 5);
    cr_assert(rig_until(is_known, SOON_MS), "it is listed all the same");
    replica_push(first());
    cr_expect_not(rig_until(never, 100));
    cr_expect_not(in_sync());
    cr_expect_null(replica_error(first()), "a pause is no error");
    replica_release(first(), 3);
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 3);
    replica_set_target(first(), 5);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 5);
    rig_end();
}

static void
hold_for_conflict(void)
{
    struct err why;

    err_set(&why, ERR_CONFLICT, "another history");
    err_hint(&why, "empty it");
    replica_hold(first(), &why);
}

static void
expect_conflict(void)
{
    const struct err *e = replica_error(first());

    cr_assert_not_null(e);
    cr_expect_eq(e->code, ERR_CONFLICT, "%s", e->text);
    cr_expect_str_eq(e->hint, "empty it");
}

Test(replica_upload, one_that_is_stopped_shows_why_until_it_is_released)
{
    unsigned n_changes;

    rig_one(LONG_MS);
    rig_make_local(1, 2);
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    n_changes = rig.dest[0].n_changes;
    hold_for_conflict();
    cr_expect_eq(rig.dest[0].n_changes, n_changes + 1);
    cr_expect_eq(numbers(0).errors, 1);
    replica_set_target(first(), 2);
    cr_expect_not(rig_until(never, 50));
    expect_conflict();
    cr_expect_not(in_sync());
    replica_release(first(), 2);
    cr_expect_null(replica_error(first()));
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(0, 0, 1, 2);
    rig_end();
}

/* Who waits for one attempt of every destination would wait for ever. */
Test(replica_upload, a_push_of_one_that_is_stopped_is_an_attempt_that_fails)
{
    unsigned n_changes;

    rig_one(LONG_MS);
    rig_make_local(1, 2);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
    hold_for_conflict();
    replica_set_target(first(), 2);
    n_changes = rig.dest[0].n_changes;
    rig_try(0);
    cr_expect_gt(rig.dest[0].n_changes, n_changes, "its owner looks again");
    expect_conflict();
    cr_expect_eq(rig.n_placed, 0);
    rig_end();
}

static bool
first_is_hung(void)
{
    return rig.dest[0].is_hung;
}

static bool
first_came(void)
{
    return replica_txid(first()) == 1;
}

/* It got through; what is behind it does not, and the reason is still shown. */
Test(replica_upload, an_upload_under_way_does_not_hide_why_it_was_stopped)
{
    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, true);
    rig_watch_disk();
    rig_make_local(1, 2);
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    rig.dest[0].hanging = true;
    replica_set_target(first(), 2);
    cr_assert(rig_until(first_is_hung, SOON_MS));
    hold_for_conflict();
    rig.dest[0].hanging = false;
    rig_unhang();
    cr_assert(rig_until(first_came, SOON_MS));
    expect_conflict();
    expect_placed(0, 0, 1, 1);
    rig_end();
}

/* --- two side by side -----------------------------------------------------------------
 */

static void
start_two(void)
{
    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, true);
    rig_open_dest(1, LONG_MS, LONG_MS, true);
    rig_watch_disk();
    rig_make_local(1, 5);
}

Test(replica_upload, one_that_fails_does_not_hold_up_the_other)
{
    start_two();
    rig.dest[0].broken = true;
    replica_set_target(first(), 5);
    replica_set_target(rig.dest[1].r, 5);
    cr_assert(rig_until(second_in_sync, SOON_MS));
    rig_try(0);
    expect_placed(0, 1, 1, 5);
    cr_expect_null(replica_error(rig.dest[1].r));
    cr_expect_eq(numbers(1).errors, 0);
    cr_expect_eq(numbers(1).put_count, 5);
    cr_expect_geq(numbers(0).errors_in_row, 1);
    cr_expect_not(in_sync());
    rig.dest[0].broken = false;
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(5, 0, 1, 5);
    cr_expect(rig_holds_just(0, 1, 5) && rig_holds_just(1, 1, 5));
    cr_expect_eq(numbers(1).put_count, 5);
    rig_end();
}

Test(replica_upload, one_whose_disk_hangs_does_not_hold_up_the_other)
{
    start_two();
    rig.dest[0].hanging = true;
    replica_set_target(first(), 5);
    replica_set_target(rig.dest[1].r, 5);
    cr_assert(rig_until(first_is_hung, SOON_MS));
    cr_assert(rig_until(second_in_sync, SOON_MS));
    cr_expect(first_is_hung());
    cr_expect_not(is_known());
    rig.dest[0].hanging = false;
    rig_unhang();
    cr_assert(rig_until(in_sync, SOON_MS));
    expect_placed(5, 0, 1, 5);
    rig_end();
}

/* --- stop -----------------------------------------------------------------------------
 */

/* An upload is under way: it hangs at its beginning or at its end. */
static void
start_hanging(atomic_bool *where)
{
    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, true);
    rig_watch_disk();
    rig_make_local(1, 3);
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    *where = true;
    replica_set_target(first(), 3);
    cr_assert(rig_until(first_is_hung, SOON_MS));
}

static bool
is_closed(void)
{
    return rig.closed[0];
}

Test(replica_upload,
    closed_in_the_middle_of_an_upload_it_ends_with_that_and_leaves_nothing)
{
    unsigned n_changes;

    start_hanging(&rig.dest[0].hanging);
    n_changes = rig.dest[0].n_changes;
    rig_close_dest(0);
    cr_expect_not(rig_until(is_closed, 50), "the upload still has the memory");
    rig.dest[0].hanging = false;
    rig_unhang();
    cr_assert(rig_until(is_closed, SOON_MS));
    cr_expect_eq(rig.dest[0].n_changes, n_changes, "no word after the close");
    cr_expect(rig_holds_just(0, 1, 0));
    rig_end();
}

/* It comes too late for this one; the next one is not begun. */
Test(replica_upload, closed_at_the_end_of_an_upload_it_leaves_a_whole_file)
{
    start_hanging(&rig.dest[0].hanging_sync);
    rig_close_dest(0);
    rig.dest[0].hanging_sync = false;
    rig_unhang();
    cr_assert(rig_until(is_closed, SOON_MS));
    cr_expect(rig_holds_just(0, 1, 1));
    expect_placed(0, 0, 1, 1);
    rig_end();
}

Test(replica_upload, closed_while_it_waits_after_an_error_it_ends_at_once)
{
    rig_one(LONG_MS);
    rig_make_local(1, 1);
    rig.dest[0].broken = true;
    replica_set_target(first(), 1);
    rig_try(0);
    cr_assert_gt(wait_ms(), 1000);
    rig_close_dest(0);
    cr_expect(rig_until(is_closed, 1000));
    rig_end();
}
