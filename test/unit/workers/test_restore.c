#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/restore.h"

/* A file replica with TXIDs 1..N and the database after each of them. */
#define N 6
#define PAGE 512

static struct {
    struct image after[N + 1];
    struct cfg_replica cfg;
    struct restore_options options;
    struct restore_result result;
    struct err err;
} t;

static const uint32_t commits[N + 1] = { 0, 8, 12, 12, 5, 9, 9 };

static const char *
file_path(int level, uint64_t min, uint64_t max)
{
    static char path[400];
    char name[LTX_NAME_SIZE];

    ltx_name_format(min, max, name);
    snprintf(path, sizeof(path), "%s/ltx/%d/%s", tmp_path("replica"), level, name);
    return path;
}

static void
write_file(int level, uint64_t min, uint64_t max, struct image *im, const uint32_t *pgnos,
    size_t n)
{
    struct ltx_header h = header_of(PAGE, im->commit, min, max);
    struct bytes b = encode(&h, im, pgnos, n);
    char folder[400];

    snprintf(folder, sizeof(folder), "%s/ltx/%d", tmp_path("replica"), level);
    mkdir(folder, 0755);
    tmp_write(file_path(level, min, max), b.p, b.n);
    bytes_free(&b);
}

static void
copy_image(struct image *to, const struct image *from)
{
    *to = (struct image){ 0 };
    image_resize(to, PAGE, from->commit);
    memcpy(to->pages, from->pages, (size_t)PAGE * from->commit);
}

static void
make_replica(void)
{
    struct image now = { 0 };
    uint64_t state = 42;

    mkdir(tmp_path("replica"), 0755);
    mkdir(tmp_path("replica/ltx"), 0755);
    for (uint64_t txid = 1; txid <= N; txid++) {
        uint32_t pgnos[16], before = now.commit;
        size_t n = 0;

        image_resize(&now, PAGE, commits[txid]);
        for (uint32_t pgno = 1; pgno <= now.commit; pgno++)
            if (pgno > before || pgno == 1 || noise(&state) % 3 == 0) {
                fill_page(&state, image_page(&now, pgno), PAGE);
                pgnos[n++] = pgno;
            }
        write_file(0, txid, txid, &now, pgnos, n);
        copy_image(&t.after[txid], &now);
    }
    image_free(&now);
}

static void
set_up(void)
{
    make_replica();
    t.cfg = (struct cfg_replica){ .type = CFG_REPLICA_FILE, .path = tmp_path("replica") };
    t.options = (struct restore_options){
        .replica = &t.cfg, .output = tmp_path("out.db"), .parallelism = 3
    };
}

static void
tear_down(void)
{
    sys = &sys_posix;
    restore_result_deinit(&t.result);
    for (size_t i = 1; i <= N; i++)
        image_free(&t.after[i]);
}

TestSuite(restore, .init = set_up, .fini = tear_down, .timeout = 60);

static int
run(void)
{
    restore_result_deinit(&t.result);
    return restore_run(&t.options, &t.result, &t.err);
}

static void
assert_output(uint64_t txid)
{
    size_t n;
    uint8_t *out = tmp_read(t.options.output, &n);

    cr_assert_not_null(out);
    cr_assert(image_equals(&t.after[txid], out, n), "not the database at %d", (int)txid);
    cr_expect_eq(t.result.txid, txid);
    cr_expect_eq(t.result.bytes, (int64_t)n);
    free(out);
    unlink(t.options.output);
}

static void
assert_nothing_left(void)
{
    cr_expect_not(tmp_exists(tmp_path("out.db")));
    cr_expect_not(tmp_exists(tmp_path("out.db.tmp")));
}

Test(restore, the_newest_state)
{
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, every_transaction)
{
    for (uint64_t txid = 1; txid <= N; txid++) {
        t.options.target = (struct restore_target){ .by_txid = true, .txid = txid };
        cr_assert_eq(run(), 0, "%s", t.err.text);
        assert_output(txid);
    }
}

Test(restore, a_transaction_that_is_not_there)
{
    t.options.target = (struct restore_target){ .by_txid = true, .txid = N + 1 };
    cr_assert_eq(run(), ERR_NOT_FOUND);
    cr_expect_not_null(strstr(t.err.text, "transaction not available"), "%s", t.err.text);
    assert_nothing_left();
}

/* The state strictly before a moment; file times count. */
Test(restore, every_moment)
{
    for (uint64_t txid = 1; txid <= N; txid++) {
        struct timespec when[2] = { { .tv_sec = 1000 * (long)txid },
            { .tv_sec = 1000 * (long)txid } };

        cr_assert_eq(utimensat(AT_FDCWD, file_path(0, txid, txid), when, 0), 0);
    }
    for (uint64_t txid = 1; txid < N; txid++) {
        t.options.target = (struct restore_target){ .by_time = true,
            .timestamp = { .sec = 1000 * ((int64_t)txid + 1) } };
        cr_assert_eq(run(), 0, "%s", t.err.text);
        assert_output(txid);
    }
    t.options.check_bounds = true;
    t.options.target.timestamp.sec = 999;
    cr_assert_eq(run(), ERR_USAGE);
    cr_expect_not_null(strstr(t.err.text, "timestamp does not exist"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_snapshot_stands_for_what_is_gone)
{
    uint32_t all[16];

    for (uint32_t i = 0; i < 16; i++)
        all[i] = i + 1;
    write_file(9, 1, 4, &t.after[4], all, t.after[4].commit);
    for (uint64_t txid = 1; txid <= 4; txid++)
        unlink(file_path(0, txid, txid));
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, a_missing_file_is_named_and_nothing_is_left)
{
    unlink(file_path(0, 3, 3));
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(
        strstr(t.err.text, "have up to 0000000000000002 but next file starts at "
                           "0000000000000004"),
        "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_damaged_file_is_named_and_nothing_is_left)
{
    size_t n;
    uint8_t *bytes = tmp_read(file_path(0, 5, 5), &n);

    bytes[n / 2] ^= 1;
    tmp_write(file_path(0, 5, 5), bytes, n);
    free(bytes);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(strstr(t.err.text, "min=0000000000000005"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_file_too_short_to_be_one)
{
    tmp_write(file_path(0, 5, 5), "short", 5);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(strstr(t.err.text, "has size 5 bytes"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, an_empty_replica)
{
    t.cfg.path = tmp_path("nowhere");
    cr_assert_eq(run(), ERR_NOT_FOUND);
    cr_expect_eq(t.result.n_ltx, 0);
    assert_nothing_left();
}

Test(restore, a_plan_alone_writes_nothing)
{
    t.options.plan_only = true;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    cr_expect_eq(t.result.plan.n, N);
    cr_expect_eq(t.result.txid, N);
    assert_nothing_left();
}

Test(restore, a_cancel_leaves_nothing)
{
    struct cancel cancel = { 0 };

    cancel_ask(&cancel);
    t.options.cancel = &cancel;
    cr_assert_eq(run(), ERR_CANCELLED);
    assert_nothing_left();
}

Test(restore, what_is_there_stays_without_force)
{
    size_t n;
    uint8_t *found;

    tmp_write(t.options.output, "mine", 4);
    cr_assert_eq(run(), ERR_EXISTS);
    found = tmp_read(t.options.output, &n);
    cr_expect(n == 4 && memcmp(found, "mine", 4) == 0);
    free(found);
    t.options.force = true;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, two_targets_are_refused)
{
    t.options.target = (struct restore_target){ .by_txid = true, .by_time = true };
    cr_assert_eq(run(), ERR_USAGE);
    assert_nothing_left();
}

/* --- files of several levels ----------------------------------------------------------
 */

/* TXIDs min..max in one file, as a compaction makes it: all pages that changed in them.
 */
static void
write_merged(uint64_t min, uint64_t max)
{
    struct image *im = &t.after[max];
    uint32_t all[16];

    for (uint32_t i = 0; i < 16; i++)
        all[i] = i + 1;
    write_file(1, min, max, im, all, im->commit);
}

static void
remove_level_0(uint64_t first, uint64_t last)
{
    for (uint64_t txid = first; txid <= last; txid++)
        cr_assert_eq(unlink(file_path(0, txid, txid)), 0);
}

Test(restore, one_merged_file_is_taken_for_many)
{
    write_merged(2, 5);
    cr_assert_eq(run(), 0, "%s", t.err.text);
    cr_expect_eq(t.result.n_ltx, N + 1);
    cr_expect_eq(t.result.plan.n, 3);
    assert_output(N);
    remove_level_0(2, 5);
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, a_transaction_inside_a_merged_file_is_not_available)
{
    write_merged(2, 5);
    remove_level_0(2, 5);
    for (uint64_t txid = 1; txid <= N; txid++) {
        bool inside = txid >= 2 && txid <= 4;

        t.options.target = (struct restore_target){ .by_txid = true, .txid = txid };
        cr_expect_eq(run(), inside ? ERR_NOT_FOUND : 0, "%d: %s", (int)txid, t.err.text);
        if (inside)
            assert_nothing_left();
        else
            assert_output(txid);
    }
}

/* --- what is missing ------------------------------------------------------------------
 */

Test(restore, a_transaction_behind_a_missing_file_is_not_available)
{
    remove_level_0(3, 3);
    t.options.target = (struct restore_target){ .by_txid = true, .txid = 5 };
    cr_assert_eq(run(), ERR_NOT_FOUND);
    cr_expect_not_null(strstr(t.err.text, "transaction not available"), "%s", t.err.text);
    assert_nothing_left();
    t.options.target.txid = 2;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(2);
}

Test(restore, a_moment_behind_a_missing_file_leads_to_the_state_before_it)
{
    remove_level_0(3, 3);
    t.options.target = (struct restore_target){ .by_time = true,
        .timestamp = { .sec = INT64_C(4102444800) } };
    cr_assert_eq(run(), 0, "%s", t.err.text);
    cr_expect(t.result.plan.cut_short);
    assert_output(2);
}

Test(restore, without_the_first_file_there_is_nothing_to_begin_with)
{
    remove_level_0(1, 1);
    cr_assert_neq(run(), 0);
    assert_nothing_left();
}

/* The chain is whole by its names; one of its files lacks a page by which it grew. */
Test(restore, a_missing_page_is_named_and_nothing_is_left)
{
    const uint32_t some[] = { 1, 9, 10, 12 };

    write_file(0, 2, 2, &t.after[2], some, 4);
    t.options.target = (struct restore_target){ .by_txid = true, .txid = 2 };
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(
        strstr(t.err.text, "page 11 of 12 is in none of the files"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_file_under_a_wrong_name_is_refused)
{
    cr_assert_eq(rename(file_path(0, 6, 6), tmp_path("six")), 0);
    cr_assert_eq(rename(file_path(0, 5, 5), tmp_path("five")), 0);
    cr_assert_eq(rename(tmp_path("six"), file_path(0, 5, 5)), 0);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(
        strstr(t.err.text, "names transactions 0000000000000006"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_file_cut_short_is_named_and_nothing_is_left)
{
    size_t n;
    uint8_t *bytes = tmp_read(file_path(0, 5, 5), &n);

    tmp_write(file_path(0, 5, 5), bytes, n - 20);
    free(bytes);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(strstr(t.err.text, "min=0000000000000005"), "%s", t.err.text);
    assert_nothing_left();
}

/* --- the output -----------------------------------------------------------------------
 */

static void
expect_file(const char *name, const char *text)
{
    size_t n;
    uint8_t *found = tmp_read(tmp_path(name), &n);

    cr_assert_not_null(found, "%s", name);
    cr_expect(n == strlen(text) && memcmp(found, text, n) == 0, "%s", name);
    free(found);
}

/* What fails must not cost the database that is there. */
Test(restore, with_force_the_old_database_stays_until_the_new_one_is_whole)
{
    tmp_write(t.options.output, "mine", 4);
    tmp_write(tmp_path("out.db-wal"), "my wal", 6);
    t.options.force = true;
    tmp_write(file_path(0, 1, 1),
        "no ltx file, but a text of more than a hundred bytes, "
        "so that its size alone says nothing about it at all",
        105);
    cr_assert_eq(run(), ERR_CORRUPT, "%s", t.err.text);
    expect_file("out.db", "mine");
    expect_file("out.db-wal", "my wal");
    cr_expect_not(tmp_exists(tmp_path("out.db.tmp")));
}

/* The pages are noise: SQLite would not open them. */
Test(restore, what_is_no_database_does_not_pass_the_check)
{
    const enum restore_integrity modes[] = { INTEGRITY_QUICK, INTEGRITY_FULL };

    for (size_t i = 0; i < 2; i++) {
        t.options.integrity = modes[i];
        cr_assert_eq(run(), ERR_CORRUPT, "%s", t.err.text);
        cr_expect_not_null(
            strstr(t.err.text, "post-restore integrity check"), "%s", t.err.text);
        assert_nothing_left();
    }
    t.options.integrity = INTEGRITY_NONE;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

static ssize_t
full_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    (void)fd;
    (void)buf;
    (void)n;
    (void)off;
    errno = ENOSPC;
    return -1;
}

Test(restore, a_full_disk_leaves_nothing)
{
    static struct sys_ops full;

    full = sys_posix;
    full.pwrite = full_pwrite;
    sys = &full;
    cr_assert_eq(run(), ERR_NO_SPACE, "%s", t.err.text);
    assert_nothing_left();
}

static struct cancel asked_late;

static ssize_t
asking_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    cancel_ask(&asked_late);
    return sys_posix.pwrite(fd, buf, n, off);
}

Test(restore, a_cancel_in_the_middle_leaves_nothing)
{
    static struct sys_ops asking;

    asking = sys_posix;
    asking.pwrite = asking_pwrite;
    sys = &asking;
    t.options.cancel = &asked_late;
    cr_assert_eq(run(), ERR_CANCELLED, "%s", t.err.text);
    assert_nothing_left();
}

/* --- several replicas -----------------------------------------------------------------
 */

/* A replica that has only TXID 1, created at that second. */
static struct cfg_replica
other_replica(const char *folder, long sec)
{
    static const char *const below[] = { "", "/ltx", "/ltx/0" };
    struct timespec when[2] = { { .tv_sec = sec }, { .tv_sec = sec } };
    struct cfg_replica cfg = { .type = CFG_REPLICA_FILE, .path = tmp_path(folder) };
    char name[LTX_NAME_SIZE], path[400];
    size_t n;
    uint8_t *bytes = tmp_read(file_path(0, 1, 1), &n);

    ltx_name_format(1, 1, name);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", cfg.path, below[i]);
        cr_assert_eq(mkdir(path, 0755), 0);
    }
    snprintf(path, sizeof(path), "%s/ltx/0/%s", cfg.path, name);
    tmp_write(path, bytes, n);
    cr_assert_eq(utimensat(AT_FDCWD, path, when, 0), 0);
    free(bytes);
    return cfg;
}

static const struct cfg_replica *
choose(const struct cfg_replica *a, const struct cfg_replica *b)
{
    const struct cfg_replica *both[] = { a, b }, *out;
    struct restore_target latest = { 0 };

    cr_assert_eq(restore_choose(both, 2, &latest, &out, &t.err), 0, "%s", t.err.text);
    return out;
}

/* Fewer transactions, but newer ones. */
Test(restore, the_replica_with_the_latest_moment_is_chosen)
{
    struct cfg_replica newer = other_replica("newer", 4000000000);
    struct cfg_replica older = other_replica("older", 1000);

    cr_expect_eq(choose(&t.cfg, &newer), &newer);
    cr_expect_eq(choose(&newer, &t.cfg), &newer);
    cr_expect_eq(choose(&t.cfg, &older), &t.cfg);
    cr_expect_eq(choose(&older, &t.cfg), &t.cfg);
}

Test(restore, a_replica_that_leads_nowhere_is_left_out)
{
    struct cfg_replica older = other_replica("older", 1000), empty = t.cfg, gap = t.cfg;

    empty.path = tmp_path("empty");
    remove_level_0(3, 3);
    cr_expect_eq(choose(&gap, &older), &older);
    cr_expect_eq(choose(&older, &gap), &older);
    cr_expect_eq(choose(&empty, &older), &older);
    cr_expect_eq(choose(&gap, &empty), &empty, "the first that can be read");
}

Test(restore, no_replica_that_can_be_read_is_an_error)
{
    const struct cfg_replica *both[] = { &t.cfg, &t.cfg }, *out;

    remove_level_0(3, 3);
    cr_expect_eq(restore_choose(both, 2, &t.options.target, &out, &t.err), ERR_CORRUPT);
    cr_expect_null(out);
    cr_expect_not_null(strstr(t.err.text, "no replica can be read"), "%s", t.err.text);
    cr_expect_eq(restore_choose(both, 1, &t.options.target, &out, &t.err), 0);
    cr_expect_eq(out, &t.cfg, "the only one: restoring from it tells what is wrong");
}

Test(restore, a_listing_has_all_levels_in_order)
{
    struct restore_files files = { 0 };

    write_merged(2, 5);
    cr_assert_eq(restore_list(&t.cfg, 0, 9, false, &files, &t.err), 0, "%s", t.err.text);
    cr_expect_eq(restore_files_count(&files), N + 1);
    cr_assert_eq(files.n[0], N);
    for (size_t i = 0; i < N; i++)
        cr_expect_eq(files.level[0][i].min_txid, i + 1);
    cr_assert_eq(files.n[1], 1);
    cr_expect_eq(files.level[1][0].max_txid, 5);
    restore_files_deinit(&files);
    cr_assert_eq(restore_list(&t.cfg, 1, 1, false, &files, &t.err), 0, "%s", t.err.text);
    cr_expect_eq(restore_files_count(&files), 1);
    restore_files_deinit(&files);
}
