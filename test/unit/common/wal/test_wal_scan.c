#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "common/base/sys.h"
#include "common/wal/wal_scan.h"
#include "test/unit/common/wal/made_wal.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

static struct made_wal w;

/* --- running a scan -------------------------------------------------------------------
 */

static int
put_file(const void *bytes, size_t n)
{
    static const char *path;
    int fd;

    if (path == NULL)
        path = tmp_path("wal");
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    return fd;
}

static struct wal_scan_result
scan(struct wal_scan *s, int fd, struct wal_range range)
{
    struct wal_scan_result res;
    struct wal_header h;
    struct err e;

    cr_assert_eq(wal_read_header(fd, &h, &e), 0, "%s", e.text);
    if (range.from.off == 0)
        range.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    cr_assert_eq(wal_scan_run(s, fd, &h, &range, NULL, &res, &e), 0, "%s", e.text);
    return res;
}

/* All of a file: the number of the last commit frame, 0: none. */
static uint32_t
last_commit(const void *bytes, size_t n)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_header h;
    struct wal_scan_result res = { 0 };
    struct err e;
    int fd = put_file(bytes, n);

    if (wal_read_header(fd, &h, &e) == 0)
        res = scan(s, fd, (struct wal_range){ .last_frame_no = WAL_SCAN_ALL });
    close(fd);
    wal_scan_free(s);
    return res.last_frame_no;
}

/* Pages of 512 bytes; commits at frames 2, 3 and 6, and an open transaction of 2. */
static void
make_small(bool big_endian)
{
    memset(&w, 0, sizeof(w));
    made_wal_begin(&w, big_endian, 512, 3, 100, 200);
    made_wal_frame(&w, 1, 0, 1);
    made_wal_frame(&w, 2, 2, 2);
    made_wal_frame(&w, 1, 2, 3);
    made_wal_frame(&w, 3, 0, 4);
    made_wal_frame(&w, 1, 0, 5);
    made_wal_frame(&w, 4, 4, 6);
    made_wal_frame(&w, 2, 0, 7);
    made_wal_frame(&w, 5, 0, 8);
}

static uint32_t
commit_up_to(uint32_t n_frames)
{
    return n_frames >= 6 ? 6 : n_frames >= 3 ? 3 : n_frames >= 2 ? 2 : 0;
}

/* --- made files -----------------------------------------------------------------------
 */

Test(wal_scan, takes_whole_transactions_in_both_byte_orders)
{
    static const uint32_t want[][2] = { { 1, 5 }, { 2, 2 }, { 3, 4 }, { 4, 6 } };

    for (int big = 0; big < 2; big++) {
        struct wal_scan *s = wal_scan_new(NULL);
        struct wal_scan_result res;
        uint32_t pgno, frame_no;
        struct err e;
        int fd;

        make_small(big);
        fd = put_file(w.bytes, w.size);
        res = scan(s, fd, (struct wal_range){ .last_frame_no = WAL_SCAN_ALL });
        cr_assert_eq(res.last_frame_no, 6);
        cr_assert_eq(res.commit, 4);
        cr_assert_eq(res.n_commits, 3);
        cr_assert_eq(res.end.off, wal_size_of(512, 6));
        cr_assert_eq(res.valid_end.off, wal_size_of(512, 8));
        cr_assert_not(res.limited);
        wal_pagemap_walk(wal_scan_map(s), res.commit, res.last_frame_no, &e);
        for (int i = 0; i < 4; i++) {
            cr_assert_eq(wal_pagemap_next(wal_scan_map(s), &pgno, &frame_no, &e), 0);
            cr_assert_eq(pgno, want[i][0]);
            cr_assert_eq(frame_no, want[i][1]);
        }
        cr_assert_eq(wal_pagemap_next(wal_scan_map(s), &pgno, &frame_no, &e), ERR_END);
        close(fd);
        wal_scan_free(s);
    }
}

Test(wal_scan, every_flipped_byte_ends_it_at_the_last_commit_before)
{
    for (int big = 0; big < 2; big++) {
        make_small(big);
        for (size_t i = 0; i < w.size; i++) {
            uint32_t before =
                i < 32 ? 0 : (uint32_t)((i - 32) / (512 + 24)); /* whole frames */

            w.bytes[i] ^= 0x41;
            cr_assert_eq(
                last_commit(w.bytes, w.size), commit_up_to(before), "byte %zu", i);
            w.bytes[i] ^= 0x41;
        }
    }
}

Test(wal_scan, every_torn_tail_ends_it_at_the_last_whole_commit)
{
    make_small(false);
    for (size_t n = 0; n <= w.size; n++)
        cr_assert_eq(last_commit(w.bytes, n),
            n < 32 ? 0 : commit_up_to((uint32_t)((n - 32) / (512 + 24))), "%zu bytes", n);
}

Test(wal_scan, frames_of_zeros_or_page_zero_are_none)
{
    make_small(false);
    memset(w.bytes + wal_frame_off(512, 4), 0, 512 + 24);
    cr_assert_eq(last_commit(w.bytes, w.size), 3);
    made_wal_begin(&w, false, 512, 0, 1, 2);
    made_wal_frame(&w, 1, 1, 1);
    made_wal_frame(&w, 0, 1, 1); /* its checksum is right */
    cr_assert_eq(last_commit(w.bytes, w.size), 1);
}

Test(wal_scan, looks_at_nothing_behind_the_frame_that_is_named)
{
    struct wal_scan *s = wal_scan_new(NULL);
    int fd;

    make_small(false);
    fd = put_file(w.bytes, w.size);
    for (uint32_t n = 0; n <= 12; n++) {
        struct wal_scan_result res =
            scan(s, fd, (struct wal_range){ .last_frame_no = n });

        cr_assert_eq(res.last_frame_no, commit_up_to(n));
        cr_assert_eq(res.end.off, wal_size_of(512, commit_up_to(n)));
        cr_assert_eq(res.valid_end.off, wal_size_of(512, n < 8 ? n : 8));
    }
    close(fd);
    wal_scan_free(s);
}

Test(wal_scan, limit_stops_at_the_first_commit_that_reaches_it)
{
    struct wal_scan *s = wal_scan_new(NULL);
    int fd;

    make_small(false);
    fd = put_file(w.bytes, w.size);
    for (int64_t limit = 1; limit < 8 * 536; limit++) {
        struct wal_scan_result res = scan(
            s, fd, (struct wal_range){ .last_frame_no = WAL_SCAN_ALL, .limit = limit });
        uint32_t want = limit <= 2 * 536 ? 2 : limit <= 3 * 536 ? 3 : 6;

        cr_assert_eq(res.last_frame_no, want, "limit %d", (int)limit);
        cr_assert_eq(res.limited, limit <= 6 * 536, "limit %d", (int)limit);
    }
    close(fd);
    wal_scan_free(s);
}

Test(wal_scan, goes_on_from_the_end_of_any_commit)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_range range = { .last_frame_no = WAL_SCAN_ALL, .limit = 1 };
    uint32_t ends[] = { 2, 3, 6, 0 };
    int fd;

    make_small(true);
    fd = put_file(w.bytes, w.size);
    for (int i = 0; i < 4; i++) {
        struct wal_scan_result res = scan(s, fd, range);

        cr_assert_eq(res.last_frame_no, ends[i]);
        if (ends[i] == 0)
            cr_assert_eq(res.end.off, range.from.off);
        else
            cr_assert_eq(res.n_commits, 1);
        range.from = res.end;
    }
    range.from.sum.a++; /* another chain: nothing continues it */
    range.from.off = wal_size_of(512, 2);
    cr_assert_eq(scan(s, fd, range).n_commits, 0);
    close(fd);
    wal_scan_free(s);
}

Test(wal_scan, a_restart_leaves_the_old_frames_out)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_scan_result res;
    size_t size;
    int fd;

    make_small(false);
    size = w.size;
    made_wal_begin(&w, false, 512, 4, 101, 999);
    made_wal_frame(&w, 7, 7, 1);
    fd = put_file(w.bytes, size);
    res = scan(s, fd, (struct wal_range){ .last_frame_no = WAL_SCAN_ALL });
    cr_assert_eq(res.last_frame_no, 1);
    cr_assert_eq(res.commit, 7);
    cr_assert_eq(wal_pagemap_n_added(wal_scan_map(s)), 1);
    close(fd);
    wal_scan_free(s);
}

Test(wal_scan, chain_reaches_commits_only)
{
    struct wal_header h;
    struct wal_place place;
    struct err e;
    int fd;

    make_small(false);
    fd = put_file(w.bytes, w.size);
    cr_assert_eq(wal_read_header(fd, &h, &e), 0);
    for (int64_t off = 0; off <= (int64_t)w.size + 600; off++) {
        uint32_t n = (uint32_t)((off - 32) / 536);
        bool good = off == 32 ||
                    (off > 32 && (off - 32) % 536 == 0 && (n == 2 || n == 3 || n == 6));
        int rc = wal_chain_to(fd, &h, off, &place, NULL, &e);

        cr_assert_eq(rc, good ? 0 : ERR_CORRUPT, "offset %d", (int)off);
        if (good)
            cr_assert_eq(place.off, off);
    }
    w.bytes[wal_frame_off(512, 1) + 100] ^= 1;
    close(fd);
    fd = put_file(w.bytes, w.size);
    cr_assert_eq(
        wal_chain_to(fd, &h, wal_size_of(512, 3), &place, NULL, &e), ERR_CORRUPT);
    close(fd);
}

Test(wal_scan, a_file_without_a_header_is_none_and_a_short_one_ends)
{
    struct wal_header h;
    struct wal_frame f;
    struct err e;
    int fd;

    make_small(false);
    fd = put_file(w.bytes, 31);
    cr_assert_eq(wal_read_header(fd, &h, &e), ERR_NOT_FOUND);
    close(fd);
    fd = put_file(w.bytes, 32 + 23);
    cr_assert_eq(wal_read_header(fd, &h, &e), 0);
    cr_assert_eq(wal_read_frame(fd, 32, &f, &e), ERR_END);
    close(fd);
}

Test(wal_scan, cancelled)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct cancel cancel = { true };
    struct wal_range range = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_place place;
    struct wal_header h;
    struct err e;
    int fd;

    make_small(false);
    fd = put_file(w.bytes, w.size);
    wal_read_header(fd, &h, &e);
    range.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    cr_assert_eq(wal_scan_run(s, fd, &h, &range, &cancel, &res, &e), ERR_CANCELLED);
    cr_assert_eq(
        wal_chain_to(fd, &h, wal_size_of(512, 3), &place, &cancel, &e), ERR_CANCELLED);
    close(fd);
    wal_scan_free(s);
}

/* --- reads that fail, are short or interrupted ----------------------------------------
 */

static unsigned n_reads;

static ssize_t
stingy_pread(int fd, void *buf, size_t n, off_t off)
{
    if (++n_reads % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return sys_posix.pread(fd, buf, n < 61 ? n : 1 + n_reads * 7 % 61, off);
}

Test(wal_scan, short_and_interrupted_reads_change_nothing)
{
    struct sys_ops stingy = sys_posix;

    stingy.pread = stingy_pread;
    make_small(true);
    sys = &stingy;
    cr_assert_eq(last_commit(w.bytes, w.size), 6);
    sys = &sys_posix;
    cr_assert_gt(n_reads, 50);
}

Test(wal_scan, a_read_error_is_no_end_of_data)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_range range = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_place place;
    struct wal_header h;
    struct err e;
    int fd, rc, n_failed = 0;

    make_small(false);
    fd = put_file(w.bytes, w.size);
    wal_read_header(fd, &h, &e);
    range.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        rc = wal_scan_run(s, fd, &h, &range, NULL, &res, &e);
        n_failed += rc == ERR_IO;
        cr_assert(rc == ERR_IO || res.last_frame_no == 6);
    }
    cr_assert_gt(n_failed, 0);
    n_failed = 0;
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        rc = wal_chain_to(fd, &h, wal_size_of(512, 6), &place, NULL, &e);
        n_failed += rc == ERR_IO;
        cr_assert(rc == ERR_IO || rc == 0);
    }
    cr_assert_gt(n_failed, 0);
    fault_off();
    close(fd);
    wal_scan_free(s);
}

/* --- files that SQLite wrote ----------------------------------------------------------
 */

static int hook_frames;

static int
on_wal(void *arg, sqlite3 *db, const char *name, int n_frames)
{
    (void)arg;
    (void)db;
    (void)name;
    hook_frames = n_frames;
    return SQLITE_OK;
}

static void
run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
        sqlite3_errmsg(db));
}

static sqlite3 *
open_real(uint32_t page_size)
{
    char sql[200];
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(tmp_path("real.db"), &db), SQLITE_OK);
    snprintf(sql, sizeof(sql),
        "PRAGMA page_size = %u; PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0",
        page_size);
    run(db, sql);
    sqlite3_wal_hook(db, on_wal, NULL);
    return db;
}

/* Database file with the scanned pages over it: what SQLite itself reads? */
static void
expect_content(sqlite3 *db, struct wal_scan *s, const struct wal_scan_result *res, int fd,
    uint32_t page_size)
{
    sqlite3_int64 size = 0;
    uint8_t *truth = sqlite3_serialize(db, "main", &size, 0), *frame;
    size_t db_size = 0;
    uint8_t *db_file = tmp_read(tmp_path("real.db"), &db_size);
    uint8_t *image = calloc(res->commit, page_size);
    uint32_t pgno, frame_no;
    struct err e;

    cr_assert_eq((size_t)size, (size_t)res->commit * page_size);
    memcpy(image, db_file, db_size < (size_t)size ? db_size : (size_t)size);
    frame = malloc(24 + page_size);
    cr_assert_eq(
        wal_pagemap_walk(wal_scan_map(s), res->commit, res->last_frame_no, &e), 0);
    while (wal_pagemap_next(wal_scan_map(s), &pgno, &frame_no, &e) == 0) {
        cr_assert_eq(sys_pread_all(fd, frame, 24 + page_size,
                         wal_frame_off(page_size, frame_no), &e),
            0);
        memcpy(image + (size_t)(pgno - 1) * page_size, frame + 24, page_size);
    }
    cr_assert_eq(memcmp(image, truth, (size_t)size), 0);
    free(frame);
    free(image);
    free(db_file);
    sqlite3_free(truth);
}

Test(wal_scan, agrees_with_sqlite_for_every_page_size)
{
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        sqlite3 *db = open_real(page_size);
        struct wal_scan *s = wal_scan_new(NULL);
        struct wal_range range = { .last_frame_no = WAL_SCAN_ALL };
        struct wal_scan_result res;
        int fd = -1;

        run(db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB); PRAGMA cache_size = 4");
        fd = open(tmp_path("real.db-wal"), O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 12; i++) {
            char sql[200];

            snprintf(sql, sizeof(sql),
                "BEGIN; WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n "
                "WHERE i < 40) INSERT INTO t (b) SELECT randomblob(i * 50) FROM n; %s",
                i % 4 == 3 ? "ROLLBACK" : "COMMIT");
            run(db, sql);
            if (i == 6)
                run(db, "DELETE FROM t WHERE a % 5 > 0; VACUUM");
            if (i == 8) /* the next one restarts it; old frames stay behind */
                run(db, "PRAGMA wal_checkpoint(RESTART)");
            if (i == 8)
                continue;
            res = scan(s, fd, range);
            cr_assert_eq(res.last_frame_no, (uint32_t)hook_frames,
                "page size %u, %d: %u %d", page_size, i, res.last_frame_no, hook_frames);
            expect_content(db, s, &res, fd, page_size);
        }
        close(fd);
        sqlite3_close(db);
        unlink(tmp_path("real.db"));
        wal_scan_free(s);
    }
}
