/* Files of others at the destination, files that are missing here or there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_format.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/replica_rig.h"
#include "workers/replica/compare.h"
#include "workers/replica/holdings.h"

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
second_in_sync(void)
{
    return replica_in_sync(rig.dest[1].r);
}

static bool
is_known(void)
{
    return replica_known(first());
}

static bool
has_error(void)
{
    return replica_error(first()) != NULL;
}

static bool
needs_snapshot(void)
{
    return replica_needs_snapshot(first());
}

static void
start_known(void)
{
    rig_one(LONG_MS);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
}

static void
remove_local(uint64_t txid)
{
    char name[LTX_NAME_SIZE], path[4096];

    ltx_name_format(txid, txid, name);
    snprintf(path, sizeof(path), "%s/%s", rig.l0_dir, name);
    cr_assert_eq(unlink(path), 0, "%s", path);
}

/* Level 0 as the holdings have it: first..last. */
static void
expect_l0(uint64_t min, uint64_t max)
{
    size_t n;
    const struct ltx_info *l0 = holdings_l0(replica_holdings(first()), &n);

    cr_assert_eq(n, max + 1 - min, "%zu", n);
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(l0[i].min_txid, min + i);
        cr_expect_eq(l0[i].size, RIG_FILE_SIZE);
    }
}

/* --- holdings -------------------------------------------------------------------------
 */

Test(replica_holdings, come_from_the_listing_and_from_the_uploads)
{
    struct ltx_info l1 = { .level = 1, .min_txid = 4, .max_txid = 5 };
    struct ltx_info gone = { .min_txid = 2, .max_txid = 2 };

    rig_one(LONG_MS);
    rig_make_local(1, 5);
    for (uint64_t txid = 2; txid <= 3; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    rig_write_file(rig_dest_path(0, 1, 1, 3), 3, 0);
    rig_write_file(rig_dest_path(0, 9, 1, 2), 2, 0);
    replica_set_target(first(), 5);
    cr_expect_eq(replica_pending_files(first()), 0, "nobody knows yet");
    cr_assert(rig_until(is_known, SOON_MS));
    cr_expect_eq(replica_pending_files(first()), 2);
    expect_l0(2, 3);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_pending_files(first()), 0);
    expect_l0(2, 5);
    cr_expect_eq(holdings_newest(replica_holdings(first()), 1)->max_txid, 3);
    cr_expect_eq(holdings_newest(replica_holdings(first()), 9)->max_txid, 2);
    replica_took(first(), &l1);
    cr_expect_eq(holdings_newest(replica_holdings(first()), 1)->max_txid, 5);
    replica_removed(first(), &gone, 1);
    expect_l0(3, 5);
    cr_expect_not_null(replica_drv(first()));
    rig_end();
}

/* What was gone when all levels could be listed is not there. */
Test(replica_holdings, forget_a_listing_that_failed)
{
    char level[4096];

    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 9), 9, 0);
    snprintf(level, sizeof(level), "%s/replica0/ltx/1", tmp_dir());
    tmp_write(level, "in the way", 10);
    replica_set_target(first(), 0);
    rig_try(0);
    unlink(level);
    unlink(rig_dest_path(0, 9, 1, 9));
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    cr_expect_eq(holdings_newest(replica_holdings(first()), 9)->max_txid, 0);
    rig_end();
}

/* --- gaps at the destination ----------------------------------------------------------
 */

static void
expect_position(uint64_t txid, uint64_t found)
{
    replica_push(first());
    cr_assert(rig_until(is_known, SOON_MS));
    cr_expect_eq(
        replica_txid(first()), txid, "%llu", (unsigned long long)replica_txid(first()));
    cr_expect_eq(replica_found_txid(first()), found);
}

Test(replica_gap, what_is_missing_in_level_0_goes_up_again)
{
    rig_one(LONG_MS);
    rig_make_local(1, 6);
    for (uint64_t txid = 1; txid <= 5; txid++)
        if (txid != 3)
            rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    expect_position(2, 5);
    replica_set_target(first(), 6);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_null(replica_error(first()));
    cr_expect(rig_holds_just(0, 1, 6));
    cr_expect_eq(rig.n_placed, 2, "the third and the sixth");
    expect_l0(1, 6);
    rig_end();
}

Test(replica_gap, what_the_other_levels_hold_is_none)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 2), 2, 0);
    rig_write_file(rig_dest_path(0, 3, 1, 4), 4, 0);
    rig_write_file(rig_dest_path(0, 2, 5, 6), 6, 0);
    rig_write_file(rig_dest_path(0, 1, 7, 8), 8, 0);
    rig_write_file(rig_dest_path(0, 0, 8, 8), 8, 0);
    rig_write_file(rig_dest_path(0, 0, 9, 9), 9, 0);
    expect_position(9, 9);
    rig_end();
}

Test(replica_gap, one_between_the_levels_counts)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 4), 4, 0);
    rig_write_file(rig_dest_path(0, 0, 6, 6), 6, 0);
    expect_position(4, 6);
    rig_end();
}

/* A snapshot may have been faster than the files that lead to the moments before it. */
Test(replica_gap, a_snapshot_ahead_leaves_nothing_out_that_is_here)
{
    rig_one(LONG_MS);
    rig_make_local(1, 7);
    rig_write_file(rig_dest_path(0, 9, 1, 1), 1, 0);
    rig_write_file(rig_dest_path(0, 9, 1, 6), 6, 0);
    for (uint64_t txid = 1; txid <= 3; txid++)
        rig_write_file(rig_dest_path(0, 0, txid, txid), txid, 0);
    expect_position(3, 6);
    replica_set_target(first(), 7);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 1, 7));
    rig_end();
}

Test(replica_gap, the_first_snapshot_ahead_leaves_nothing_out_either)
{
    rig_one(LONG_MS);
    rig_make_local(3, 6);
    rig_write_file(rig_dest_path(0, 9, 1, 5), 5, 0);
    rig_write_file(rig_dest_path(0, 1, 1, 2), 2, 0);
    rig_write_file(rig_dest_path(0, 0, 3, 3), 3, 0);
    expect_position(3, 5);
    rig_end();
}

Test(replica_gap, a_snapshot_stands_for_what_is_not_here_any_more)
{
    rig_one(LONG_MS);
    rig_make_local(6, 7);
    rig_write_file(rig_dest_path(0, 9, 1, 1), 1, 0);
    rig_write_file(rig_dest_path(0, 9, 1, 6), 6, 0);
    rig_write_file(rig_dest_path(0, 0, 2, 2), 2, 0);
    expect_position(6, 6);
    rig_end();
}

Test(replica_gap, without_a_beginning_nothing_counts)
{
    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 0, 6, 6), 6, 0);
    expect_position(0, 6);
    rig_end();
}

/* --- a file that is there already -----------------------------------------------------
 */

Test(replica_exclusive, another_writer_stops_it_and_keeps_its_file)
{
    const struct err *e;
    uint64_t attempts;

    start_known();
    rig_make_local(1, 3);
    rig_write_file(rig_dest_path(0, 0, 2, 2), 2, 1);
    replica_set_target(first(), 3);
    cr_assert(rig_until(has_error, SOON_MS));
    e = replica_error(first());
    cr_expect_eq(e->code, ERR_CONFLICT);
    cr_expect_not_null(strstr(e->text, "another writer uses the path"), "%s", e->text);
    cr_expect_not_null(strstr(e->text, "0000000000000002"), "%s", e->text);
    cr_expect_not_null(strstr(e->hint, "a path of its own"), "%s", e->hint);
    cr_expect_eq(rig_find(0, 2), RIG_OTHER);
    cr_expect_eq(rig_find(0, 3), RIG_ABSENT);
    cr_expect_eq(replica_txid(first()), 1);
    attempts = replica_attempts(first());
    rig_try(0);
    rig_add(4);
    replica_set_target(first(), 4);
    cr_expect_eq(replica_attempts(first()), attempts + 1, "a push has its answer");
    cr_expect_eq(rig.n_placed, 1);
    cr_expect_eq(uv_backend_timeout(&rig.loop), -1, "and nothing is tried by itself");
    cr_expect_not(in_sync());
    rig_end();
}

Test(replica_exclusive, a_push_that_meets_another_writer_is_answered)
{
    start_known();
    rig_make_local(1, 1);
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 1);
    replica_set_target(first(), 1);
    rig_try(0);
    cr_assert_not_null(replica_error(first()));
    cr_expect_eq(replica_error(first())->code, ERR_CONFLICT);
    rig_end();
}

Test(replica_exclusive, the_other_destinations_go_on)
{
    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, true);
    rig_open_dest(1, LONG_MS, LONG_MS, true);
    rig_watch_disk();
    rig_make_local(1, 3);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 1);
    replica_set_target(first(), 3);
    replica_set_target(rig.dest[1].r, 3);
    cr_assert(rig_until(has_error, SOON_MS));
    cr_assert(rig_until(second_in_sync, SOON_MS));
    cr_expect(rig_holds_just(1, 1, 3));
    cr_expect_null(replica_error(rig.dest[1].r));
    rig_end();
}

static bool
came_or_failed(void)
{
    return in_sync() || has_error();
}

/* Whichever call fails: in the end it is known to be the same, and never another one. */
static void
meet_with_faults(unsigned variant)
{
    int nth;

    rig_start();
    rig_make_local(1, 1);
    for (nth = 1;; nth++) {
        rig_open_dest(0, LONG_MS, LONG_MS, false);
        replica_set_target(first(), 0);
        cr_assert(rig_until(is_known, SOON_MS));
        rig_write_file(rig_dest_path(0, 0, 1, 1), 1, variant);
        fault_nth(nth, EIO);
        replica_set_target(first(), 1);
        cr_assert(rig_until(came_or_failed, SOON_MS), "call %d", nth);
        if (fault_calls() < nth)
            break;
        fault_off();
        replica_push(first());
        if (variant == 0)
            cr_assert(rig_until(in_sync, SOON_MS), "call %d", nth);
        else
            rig_try(0);
        cr_expect_eq(rig_find(0, 1), variant == 0 ? RIG_LOCAL : RIG_OTHER);
        cr_expect_eq(in_sync(), variant == 0, "call %d", nth);
        rig_close_dest(0);
        while (!rig.closed[0])
            uv_run(&rig.loop, UV_RUN_ONCE);
        rig.closed[0] = false;
        cr_assert_eq(unlink(rig_dest_path(0, 0, 1, 1)), 0);
    }
    fault_off();
    cr_expect_gt(nth, 4, "the calls go through the table");
    cr_expect_eq(in_sync(), variant == 0);
    rig_end();
}

Test(replica_exclusive, the_same_file_is_found_to_be_that_whichever_call_fails)
{
    meet_with_faults(0);
}

Test(replica_exclusive, another_file_is_found_to_be_that_whichever_call_fails)
{
    meet_with_faults(1);
}

static bool
first_is_hung(void)
{
    return rig.dest[0].is_hung;
}

static bool
is_closed(void)
{
    return rig.closed[0];
}

static int
hang_on_get(const char *path, int flags, mode_t mode)
{
    struct rig_dest *d = &rig.dest[0];

    if ((flags & (O_CREAT | O_DIRECTORY)) == 0 &&
        strncmp(path, d->cfg.path, strlen(d->cfg.path)) == 0) {
        atomic_store(&d->is_hung, true);
        uv_async_send(&rig.hung);
        uv_sem_wait(&rig.unhang);
    }
    return sys_posix.open(path, flags, mode);
}

Test(replica_exclusive, closed_while_it_compares_it_ends_with_that)
{
    static struct sys_ops hanging;

    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, true);
    hanging = sys_posix;
    hanging.open = hang_on_get;
    rig_make_local(1, 1);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 1);
    sys = &hanging;
    replica_set_target(first(), 1);
    cr_assert(rig_until(first_is_hung, SOON_MS));
    rig_close_dest(0);
    cr_expect_not(rig_until(is_closed, 50), "it still has the memory");
    rig_unhang();
    cr_assert(rig_until(is_closed, SOON_MS));
    rig_end();
}

/* --- compare, by size and trailer -------------------------------------------
 */

struct compared {
    bool done, same;
    int rc;
};

static void
on_compared(void *arg, bool same, const struct err *e)
{
    *(struct compared *)arg =
        (struct compared){ true, same, e != NULL ? (int)e->code : 0 };
}

/* The local file has n bytes, the stored one m; at differs, -1: none. */
static struct compared
compare(size_t n, size_t m, int64_t at)
{
    struct ltx_info name = { .min_txid = 1, .max_txid = 1 };
    const char *local = tmp_path("local");
    uint8_t *p = calloc(1, (n > m ? n : m) + 1);
    struct compared c = { 0 };
    struct compare *running;
    struct err e;
    int fd = -1;

    for (size_t i = 0; i < n || i < m; i++)
        p[i] = (uint8_t)(i * 2654435761u >> 11);
    tmp_write(local, p, n);
    if (at >= 0)
        p[at] ^= 1;
    tmp_write(rig_dest_path(0, 0, 1, 1), p, m);
    free(p);
    cr_assert_eq(sys_open(local, O_RDONLY, 0, &fd, &e), 0);
    cr_assert_eq(compare_start(replica_drv(first()), &name, fd, (int64_t)n, on_compared,
                     &c, &running, &e),
        0);
    cr_expect_not(c.done, "an answer inside the call");
    while (!c.done)
        uv_run(&rig.loop, UV_RUN_ONCE);
    sys_close(&fd);
    return c;
}

Test(replica_exclusive, files_are_the_same_when_size_and_trailer_are)
{
    static const size_t sizes[] = { LTX_TRAILER_SIZE, LTX_MIN_FILE_SIZE, 400000 };

    start_known();
    rig_write_file(rig_dest_path(0, 0, 1, 1), 1, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];

        cr_expect(compare(n, n, -1).same, "%zu", n);
        cr_expect_eq(compare(n, n, -1).rc, 0);
        cr_expect_not(compare(n, n, (int64_t)n - 1).same, "%zu: last byte", n);
        cr_expect_not(
            compare(n, n, (int64_t)n - LTX_TRAILER_SIZE).same, "%zu: trailer begins", n);
        cr_expect_not(compare(n, n + 1, -1).same, "%zu: longer there", n);
        cr_expect_not(compare(n, n - 1, -1).same, "%zu: shorter there", n);
        cr_expect_not(compare(n, 2 * n + 300000, -1).same, "%zu: much longer", n);
        cr_expect_not(compare(n + 300000, n, -1).same, "%zu: much shorter", n);
        cr_expect_eq(compare(n + 300000, n, -1).rc, 0, "%zu: that is an answer", n);
    }
    rig_end();
}

/* --- a local file that is gone --------------------------------------------------------
 */

static struct ltx_info
snapshot_of(uint64_t txid)
{
    return (struct ltx_info){
        .level = LTX_LEVEL_SNAPSHOT, .min_txid = 1, .max_txid = txid, .size = 1000
    };
}

static void
take(struct ltx_info info)
{
    replica_took(first(), &info);
}

/* Local files 4..6, nothing there. */
static void
start_without_beginning(void)
{
    start_known();
    rig_make_local(4, 6);
    replica_set_target(first(), 6);
    cr_assert(rig_until(needs_snapshot, SOON_MS));
}

Test(replica_snapshot, one_is_needed_when_the_next_file_is_gone)
{
    const struct err *e;
    struct slot_replica s = { 0 };
    uint64_t attempts;

    start_without_beginning();
    e = replica_error(first());
    cr_assert_not_null(e);
    cr_expect_not_null(strstr(e->text, "a snapshot is needed"), "%s", e->text);
    cr_expect_not_null(strstr(e->text, "0000000000000001-0000000000000001.ltx"));
    cr_expect_eq(uv_backend_timeout(&rig.loop), -1, "no time brings it back");
    cr_expect_eq(replica_pending_files(first()), 6);
    attempts = replica_attempts(first());
    rig_add(7);
    cr_expect_eq(replica_attempts(first()), attempts, "nor does a newer file");
    cr_expect_eq(uv_backend_timeout(&rig.loop), -1);
    rig_try(0);
    cr_expect(needs_snapshot());
    replica_fill_slot(first(), &s);
    cr_expect_eq(s.errors, 2);
    cr_expect_eq(rig.n_placed, 0);
    rig_end();
}

Test(replica_snapshot, it_is_told_once_in_the_log)
{
    char text[8192];
    const char *path = tmp_path("log"), *found;
    FILE *log;
    int saved = dup(1);
    size_t n;
    uint8_t *p;

    log = freopen(path, "w", stdout);
    cr_assert_not_null(log);
    start_without_beginning();
    for (int i = 0; i < 3; i++)
        rig_try(0);
    rig_end();
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    p = tmp_read(path, &n);
    cr_assert(p != NULL && n < sizeof(text));
    memcpy(text, p, n);
    text[n] = '\0';
    free(p);
    found = strstr(text, "replica needs a snapshot");
    cr_assert_not_null(found, "%s", text);
    cr_expect_not_null(strstr(text, "level=WARN"));
    cr_expect_not_null(strstr(found, "0000000000000001"));
    cr_expect_not_null(strstr(found, rig.db_path));
    cr_expect_null(strstr(found + 1, "replica needs a snapshot"), "%s", text);
}

Test(replica_snapshot, goes_on_behind_it_with_its_last_file)
{
    start_without_beginning();
    take(snapshot_of(5));
    cr_expect_not(needs_snapshot());
    cr_expect_null(replica_error(first()));
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 5, 6));
    cr_expect_eq(replica_txid(first()), 6);
    expect_l0(5, 6);
    rig_end();
}

Test(replica_snapshot, goes_on_behind_it_without_its_last_file_if_that_is_gone)
{
    start_without_beginning();
    remove_local(5);
    take(snapshot_of(5));
    cr_expect_not(needs_snapshot());
    cr_expect_eq(replica_txid(first()), 5);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 6, 6));
    rig_end();
}

Test(replica_snapshot, one_of_the_newest_file_is_enough)
{
    start_without_beginning();
    for (uint64_t txid = 4; txid <= 6; txid++)
        remove_local(txid);
    take(snapshot_of(6));
    cr_expect(in_sync());
    cr_expect_eq(rig.n_placed, 0);
    rig_end();
}

Test(replica_snapshot, only_one_that_reaches_the_file_ends_the_wait)
{
    struct ltx_info merged = { .level = 1, .min_txid = 1, .max_txid = 6 };
    uint64_t attempts;

    rig_one(LONG_MS);
    rig_write_file(rig_dest_path(0, 9, 1, 3), 3, 0);
    rig_make_local(5, 6);
    replica_set_target(first(), 6);
    cr_assert(rig_until(needs_snapshot, SOON_MS));
    attempts = replica_attempts(first());
    take(snapshot_of(3));
    take(snapshot_of(2));
    cr_expect(needs_snapshot(), "they end before");
    cr_expect_eq(replica_txid(first()), 3);
    cr_expect_eq(replica_attempts(first()), attempts, "nothing was tried");
    take(merged);
    cr_expect(needs_snapshot(), "it is none");
    take(snapshot_of(4));
    cr_expect_not(needs_snapshot());
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 5, 6));
    rig_end();
}

Test(replica_snapshot, one_that_was_taken_before_the_file_was_missed_counts)
{
    start_known();
    rig_make_local(4, 6);
    take(snapshot_of(5));
    cr_expect_eq(replica_txid(first()), 0);
    replica_set_target(first(), 6);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_null(replica_error(first()));
    cr_expect(rig_holds_just(0, 5, 6));
    rig_end();
}

Test(replica_snapshot, none_is_asked_for_while_it_is_stopped)
{
    struct err why;

    start_without_beginning();
    err_set(&why, ERR_CONFLICT, "another history");
    replica_hold(first(), &why);
    cr_expect_not(needs_snapshot());
    take(snapshot_of(6));
    cr_assert_not_null(replica_error(first()));
    cr_expect_eq(replica_error(first())->code, ERR_CONFLICT);
    cr_expect_eq(rig.n_placed, 0);
    replica_release(first(), 6);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    rig_end();
}
