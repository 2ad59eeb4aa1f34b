/* Local files that are damaged: they stay here, and the destination gets on without them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_format.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/replica_rig.h"
#include "workers/replica/verify.h"

#define LONG_MS 600000
#define SOON_MS 20000 /* a limit that is never reached when all is well */

static struct replica *
first(void)
{
    return rig.dest[0].r;
}

static struct replica *
second(void)
{
    return rig.dest[1].r;
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
needs_snapshot(void)
{
    return replica_needs_snapshot(first());
}

static bool
both_need_snapshots(void)
{
    return needs_snapshot() && replica_needs_snapshot(second());
}

static const char *
local_path(uint64_t txid, const char *suffix)
{
    static char path[4096];
    char name[LTX_NAME_SIZE];

    ltx_name_format(txid, txid, name);
    snprintf(path, sizeof(path), "%s/%s%s", rig.l0_dir, name, suffix);
    return path;
}

static bool
is_put_aside(uint64_t txid)
{
    return tmp_exists(local_path(txid, ".bad")) && !tmp_exists(local_path(txid, ""));
}

/* A file whose header is that of min..max, of n bytes; magic 0: the right one. */
static void
write_local(uint64_t txid, uint64_t min, uint64_t max, char magic, size_t n)
{
    struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = 4096,
        .commit = 1,
        .min_txid = min,
        .max_txid = max };
    uint8_t bytes[RIG_FILE_SIZE] = { 0 };

    ltx_header_encode(&h, bytes);
    if (magic != 0)
        bytes[0] = (uint8_t)magic;
    tmp_write(local_path(txid, ""), bytes, n);
}

static struct ltx_info
snapshot_of(uint64_t txid)
{
    return (struct ltx_info){
        .level = LTX_LEVEL_SNAPSHOT, .min_txid = 1, .max_txid = txid, .size = 1000
    };
}

/* Local files 1..3, the second of which is damaged; brings them there. */
static void
meet_damage(uint64_t min, uint64_t max, char magic, size_t n, const char *why)
{
    struct ltx_info snapshot = snapshot_of(3);
    const struct err *e;
    size_t kept;

    rig_one(LONG_MS);
    rig_make_local(1, 3);
    write_local(2, min, max, magic, n);
    replica_set_target(first(), 3);
    cr_assert(rig_until(needs_snapshot, SOON_MS));
    cr_expect_eq(replica_txid(first()), 1);
    cr_expect(rig_holds_just(0, 1, 1), "nothing damaged, and nothing behind it");
    e = replica_error(first());
    cr_assert_not_null(e);
    cr_expect_eq(e->code, ERR_CORRUPT);
    cr_expect_not_null(strstr(e->text, why), "%s", e->text);
    cr_expect_not_null(strstr(e->text, local_path(2, "")), "%s", e->text);
    cr_expect_not_null(strstr(e->hint, "litestream reset "), "%s", e->hint);
    cr_expect(is_put_aside(2));
    free(tmp_read(local_path(2, ".bad"), &kept));
    cr_expect_eq(kept, n, "as it was");
    cr_expect_eq(uv_backend_timeout(&rig.loop), -1, "no time makes it better");
    replica_took(first(), &snapshot);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_null(replica_error(first()));
    cr_expect_eq(rig_find(0, 2), RIG_ABSENT);
    cr_expect_eq(rig_find(0, 3), RIG_LOCAL);
    rig_end();
}

Test(replica_damage, an_empty_file_does_not_go_up)
{
    meet_damage(2, 2, 0, 0, "decode header: EOF");
}

Test(replica_damage, a_file_without_its_end_does_not_go_up)
{
    meet_damage(2, 2, 0, LTX_MIN_FILE_SIZE - 1, "file checksum mismatch");
}

Test(replica_damage, a_file_that_is_no_ltx_file_does_not_go_up)
{
    meet_damage(2, 2, 'M', RIG_FILE_SIZE, "invalid LTX file");
}

Test(replica_damage, zeros_do_not_go_up)
{
    meet_damage(0, 0, 0, RIG_FILE_SIZE, "transaction id required");
}

Test(replica_damage, the_file_of_another_transaction_does_not_go_up)
{
    meet_damage(3, 3, 0, RIG_FILE_SIZE, "0000000000000003-0000000000000003");
}

Test(replica_damage, one_that_begins_earlier_does_not_go_up)
{
    meet_damage(1, 2, 0, RIG_FILE_SIZE, "0000000000000001-0000000000000002");
}

Test(replica_damage, one_that_ends_later_does_not_go_up)
{
    meet_damage(2, 3, 0, RIG_FILE_SIZE, "0000000000000002-0000000000000003");
}

Test(replica_damage, the_smallest_file_there_is_goes_up)
{
    struct ltx_header h = header_of(4096, 1, 2, 2);
    struct image none = { 0 };
    struct bytes b = encode(&h, &none, NULL, 0);

    rig_one(LONG_MS);
    cr_expect_eq(b.n, (size_t)LTX_MIN_FILE_SIZE);
    rig_make_local(1, 1);
    tmp_write(local_path(2, ""), b.p, b.n);
    bytes_free(&b);
    replica_set_target(first(), 2);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(rig.n_placed, 2);
    rig_end();
}

/* --- damage that only the checksum tells ----------------------------------------------
 */

#define LARGE_PAGES 20

/* More than is looked at in place. */
static struct bytes
large_file(uint64_t txid)
{
    struct ltx_header h = header_of(65536, LARGE_PAGES, txid, txid);
    struct image im = { 0 };
    uint32_t pgnos[LARGE_PAGES];
    uint64_t rng = txid;
    struct bytes b;

    image_resize(&im, h.page_size, h.commit);
    for (uint32_t i = 0; i < LARGE_PAGES; i++) {
        pgnos[i] = i + 1;
        fill_page(&rng, image_page(&im, i + 1), h.page_size);
        for (uint32_t k = 0; k < h.page_size; k++) /* does not compress */
            image_page(&im, i + 1)[k] = (uint8_t)(noise(&rng) >> 24);
    }
    b = encode(&h, &im, pgnos, LARGE_PAGES);
    cr_assert_gt((int64_t)b.n, VERIFY_INLINE_BYTES);
    image_free(&im);
    return b;
}

Test(replica_damage, verification_finds_every_wrong_bit)
{
    size_t n;
    uint8_t *p;
    int fd = -1;
    struct err e;

    rig_start();
    rig_make_local(2, 2);
    p = tmp_read(local_path(2, ""), &n);
    cr_assert_eq(sys_open(local_path(2, ""), O_RDWR, 0, &fd, &e), 0);
    cr_expect_eq(verify_now(fd, 2, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(verify_now(fd, 3, NULL, &e), ERR_CORRUPT);
    for (size_t at = 0; at < n; at++) {
        uint8_t wrong = p[at] ^ (uint8_t)(1 << at % 8);

        if ((p[at] & 0xf0) == 0xf0 && p[at] < 0xf8 && at % 8 < 4 && p[at + 1] == 0xff)
            continue; /* an LZ4 token without a match: these bits say nothing */
        cr_assert_eq(pwrite(fd, &wrong, 1, (off_t)at), 1);
        cr_expect_eq(verify_now(fd, 2, NULL, &e), ERR_CORRUPT, "byte %zu", at);
        cr_assert_eq(pwrite(fd, &p[at], 1, (off_t)at), 1);
    }
    cr_expect_eq(verify_now(fd, 2, NULL, &e), 0, "%s", e.text);
    free(p);
    sys_close(&fd);
    rig_end();
}

/* Local files 1..3; one bit of the second is wrong. */
static void
meet_one_wrong_bit(struct bytes b, size_t at)
{
    struct ltx_info snapshot = snapshot_of(3);

    rig_one(LONG_MS);
    rig_make_local(1, 3);
    b.p[at] ^= 4;
    tmp_write(local_path(2, ""), b.p, b.n);
    bytes_free(&b);
    replica_set_target(first(), 3);
    cr_assert(rig_until(needs_snapshot, SOON_MS));
    cr_expect(rig_holds_just(0, 1, 1));
    cr_expect(is_put_aside(2));
    cr_expect(replica_lost_files(first()));
    replica_took(first(), &snapshot);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_not(replica_lost_files(first()));
    rig_end();
}

Test(replica_damage, a_file_with_one_wrong_bit_does_not_go_up)
{
    struct ltx_header h = header_of(4096, 1, 2, 2);
    struct image none = { 0 };

    meet_one_wrong_bit(encode(&h, &none, NULL, 0), 99);
}

Test(replica_damage, a_large_file_with_one_wrong_bit_does_not_go_up)
{
    meet_one_wrong_bit(large_file(2), 700000);
}

Test(replica_damage, a_large_file_goes_up)
{
    struct bytes b = large_file(1);
    uint8_t *there;
    size_t n;

    rig_one(LONG_MS);
    rig_make_local(2, 2);
    tmp_write(local_path(1, ""), b.p, b.n);
    replica_set_target(first(), 2);
    cr_assert(rig_until(in_sync, SOON_MS));
    there = tmp_read(rig_dest_path(0, 0, 1, 1), &n);
    cr_expect(n == b.n && memcmp(there, b.p, n) == 0);
    cr_expect_eq(rig_find(0, 2), RIG_LOCAL);
    free(there);
    bytes_free(&b);
    rig_end();
}

/* Touched: by another file in its place, since clocks of files may be coarse. */
static void
meet_one_made_just_now(bool touch)
{
    struct bytes b = large_file(2);

    rig_one(LONG_MS);
    rig_make_local(1, 1);
    b.p[700000] ^= 4; /* shows whether it was looked at */
    tmp_write(local_path(2, ""), b.p, b.n);
    replica_trust(first(), 2);
    if (touch) {
        const char *other = tmp_path("other");

        tmp_write(other, b.p, b.n);
        cr_assert_eq(rename(other, local_path(2, "")), 0);
    }
    bytes_free(&b);
    replica_set_target(first(), 2);
    cr_assert(rig_until(touch ? needs_snapshot : in_sync, SOON_MS));
    rig_end();
}

Test(replica_damage, a_large_file_made_just_now_is_not_read_back)
{
    meet_one_made_just_now(false);
}

Test(replica_damage, unless_somebody_has_touched_it)
{
    meet_one_made_just_now(true);
}

static bool
never(void)
{
    return false;
}

/* Neither is waited for nor goes on. */
Test(replica_damage, closed_or_held_while_it_verifies_nothing_goes_up)
{
    struct bytes b = large_file(1);

    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, false);
    rig_watch_disk();
    tmp_write(local_path(1, ""), b.p, b.n);
    bytes_free(&b);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
    replica_set_target(first(), 1);
    replica_hold(first(), NULL);
    rig_until(never, 200);
    cr_expect_eq(rig_find(0, 1), RIG_ABSENT);
    replica_release(first(), 1); /* verifies again */
    rig_end();
    cr_expect_eq(rig_find(0, 1), RIG_ABSENT);
}

/* --- what bridges it ------------------------------------------------------------------
 */

Test(replica_damage, a_snapshot_that_is_there_already_bridges_it)
{
    struct ltx_info snapshot = snapshot_of(3);

    rig_one(LONG_MS);
    replica_set_target(first(), 0);
    cr_assert(rig_until(is_known, SOON_MS));
    rig_make_local(1, 4);
    write_local(2, 9, 9, 0, RIG_FILE_SIZE);
    replica_took(first(), &snapshot);
    replica_set_target(first(), 4);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(is_put_aside(2));
    cr_expect_not(needs_snapshot());
    cr_expect_null(replica_error(first()));
    cr_expect_eq(rig_find(0, 1), RIG_LOCAL);
    cr_expect_eq(rig_find(0, 2), RIG_ABSENT);
    cr_expect_eq(rig_find(0, 3), RIG_LOCAL);
    cr_expect_eq(rig_find(0, 4), RIG_LOCAL);
    rig_end();
}

/* The last file of a snapshot goes up with it, unless it is damaged as well. */
Test(replica_damage, the_snapshot_is_enough_when_its_own_last_file_is_damaged)
{
    struct ltx_info snapshot = snapshot_of(2);

    rig_one(LONG_MS);
    rig_make_local(3, 3);
    write_local(2, 9, 9, 0, RIG_FILE_SIZE);
    replica_set_target(first(), 3);
    cr_assert(rig_until(needs_snapshot, SOON_MS), "the first file is not there");
    replica_took(first(), &snapshot);
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(is_put_aside(2));
    cr_expect(rig_holds_just(0, 3, 3));
    rig_end();
}

Test(replica_damage, every_destination_that_lacks_it_needs_a_snapshot)
{
    struct ltx_info snapshot = snapshot_of(2);

    rig_start();
    rig_open_dest(0, LONG_MS, LONG_MS, false);
    rig_open_dest(1, LONG_MS, LONG_MS, false);
    rig_make_local(1, 2);
    write_local(1, 9, 9, 0, RIG_FILE_SIZE);
    replica_set_target(first(), 2);
    replica_set_target(second(), 2);
    cr_assert(rig_until(both_need_snapshots, SOON_MS));
    replica_took(second(), &snapshot);
    cr_expect_not(replica_needs_snapshot(second()));
    cr_expect(needs_snapshot(), "that was for the other one");
    rig_end();
}

/* --- no damage ------------------------------------------------------------------------
 */

static bool
came_or_failed(void)
{
    return in_sync() || replica_error(first()) != NULL;
}

/* A disk or a process that is out of order says nothing about the file. */
static void
fail_each_call(int sys_errno)
{
    int nth;

    rig_start();
    rig_make_local(1, 1);
    for (nth = 1;; nth++) {
        rig_open_dest(0, LONG_MS, LONG_MS, false);
        replica_set_target(first(), 0);
        cr_assert(rig_until(is_known, SOON_MS));
        fault_nth(nth, sys_errno);
        replica_set_target(first(), 1);
        cr_assert(rig_until(came_or_failed, SOON_MS), "call %d", nth);
        if (fault_calls() < nth)
            break;
        fault_off();
        cr_expect_not(needs_snapshot(), "call %d", nth);
        cr_expect(tmp_exists(local_path(1, "")), "call %d", nth);
        replica_push(first());
        cr_assert(rig_until(in_sync, SOON_MS), "call %d", nth);
        rig_close_dest(0);
        while (!rig.closed[0])
            uv_run(&rig.loop, UV_RUN_ONCE);
        rig.closed[0] = false;
        cr_assert_eq(unlink(rig_dest_path(0, 0, 1, 1)), 0);
    }
    fault_off();
    cr_expect_gt(nth, 5, "the calls go through the table");
    cr_expect(in_sync());
    rig_end();
}

Test(replica_damage, an_io_error_does_not_make_a_file_a_damaged_one)
{
    fail_each_call(EIO);
}

Test(replica_damage, nor_does_a_lack_of_descriptors)
{
    fail_each_call(EMFILE);
}

static unsigned n_renames;

static int
no_rename(const char *from, const char *to)
{
    (void)from;
    (void)to;
    n_renames++;
    errno = EROFS;
    return -1;
}

Test(replica_damage, one_that_cannot_be_put_aside_is_looked_at_again_later)
{
    static struct sys_ops stuck;

    rig_one(LONG_MS);
    rig_make_local(1, 1);
    write_local(1, 9, 9, 0, RIG_FILE_SIZE);
    stuck = *sys;
    stuck.rename = no_rename;
    sys = &stuck;
    replica_set_target(first(), 1);
    cr_assert(rig_until(came_or_failed, SOON_MS));
    cr_expect_eq(n_renames, 1);
    cr_expect_eq(replica_error(first())->code, ERR_PERMISSION);
    cr_expect_not(needs_snapshot());
    cr_expect_gt(uv_backend_timeout(&rig.loop), 1000, "after a while");
    rig_make_local(1, 1); /* it was made good */
    replica_push(first());
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect(rig_holds_just(0, 1, 1));
    rig_end();
}

/* --- how far it is behind -------------------------------------------------------------
 */

/* Whoever waits for it must be able to give up. */
Test(replica_pending, one_that_was_never_reached_is_behind_by_what_came_since)
{
    rig_one(LONG_MS);
    rig.dest[0].broken = true;
    rig_make_local(1, 5);
    replica_set_target(first(), 5);
    cr_expect_eq(replica_pending_files(first()), 0, "it may have all of these");
    rig_try(0);
    cr_assert_not(is_known());
    rig_make_local(6, 9);
    replica_set_target(first(), 8);
    replica_set_target(first(), 9);
    cr_expect_eq(replica_pending_files(first()), 4);
    rig.dest[0].broken = false;
    for (int i = 0; i < 3 && !is_known(); i++) /* one may be under way */
        rig_try(0);
    cr_assert(rig_until(is_known, SOON_MS));
    cr_expect_eq(replica_pending_files(first()), 9);
    cr_assert(rig_until(in_sync, SOON_MS));
    cr_expect_eq(replica_pending_files(first()), 0);
    rig_end();
}

Test(replica_pending, what_was_dropped_here_does_not_count)
{
    rig_one(LONG_MS);
    rig.dest[0].broken = true;
    replica_set_target(first(), 5);
    rig_try(0);
    replica_set_target(first(), 50);
    cr_expect_eq(replica_pending_files(first()), 45);
    replica_hold(first(), NULL);
    replica_release(first(), 70);
    cr_expect_eq(replica_pending_files(first()), 0, "the files were dropped");
    replica_set_target(first(), 72);
    cr_expect_eq(replica_pending_files(first()), 2);
    rig_end();
}
