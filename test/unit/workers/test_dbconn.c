#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/wal/wal_scan.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/app.h"
#include "workers/sync/dbconn.h"

#define BUSY 5 /* SQLite's code */

static struct app *app, *other;
static const char *db;
static struct dbconn *conn;

static void
set_up(void)
{
    struct err e;

    db = tmp_path("app.db");
    app = app_start(db);
    other = app_start(db);
    cr_assert_eq(app_sql(app, "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0;"
                              "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
        0);
    cr_assert_eq(dbconn_open(db, 50, &conn, &e), 0, "%s", e.text);
}

static void
tear_down(void)
{
    dbconn_close(conn);
    app_stop(app);
    app_stop(other);
}

TestSuite(dbconn, .init = set_up, .fini = tear_down);

static struct wal_header
header(void)
{
    struct wal_header h = { 0 };
    struct err e;
    int fd = open(tmp_path("app.db-wal"), O_RDONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && wal_read_header(fd, &h, &e) == 0);
    close(fd);
    return h;
}

static struct wal_index
wal_index(void)
{
    struct wal_index ix;

    cr_assert(dbconn_wal_index(conn, &ix));
    return ix;
}

Test(dbconn, makes_the_helper_tables_and_keeps_those_that_are_there)
{
    struct err e;

    cr_assert_eq(app_sql(app, "INSERT INTO _litestream_seq (id, seq) VALUES (1, 40);"
                              "SELECT id FROM _litestream_lock"),
        0);
    dbconn_close(conn);
    cr_assert_eq(dbconn_open(db, 50, &conn, &e), 0);
    cr_assert_eq(dbconn_bump(conn, &e), 0);
    /* A table that may hold one row only tells whether there is 41. */
    cr_assert_eq(app_sql(app, "CREATE TABLE c (x CHECK (x = 41));"
                              "INSERT INTO c SELECT seq FROM _litestream_seq"),
        0);
}

Test(dbconn, refuses_what_is_no_database)
{
    struct dbconn *c = NULL;
    struct err e;

    cr_assert_eq(dbconn_open(tmp_path("none.db"), 50, &c, &e), ERR_NOT_FOUND);
    tmp_write(tmp_path("none.db"), "", 0);
    cr_assert_eq(dbconn_open(tmp_path("none.db"), 50, &c, &e), ERR_NOT_FOUND);
    tmp_write(tmp_path("none.db"), "a text, not a database at all", 29);
    cr_assert_eq(dbconn_open(tmp_path("none.db"), 50, &c, &e), ERR_CORRUPT);
    tmp_write(tmp_path("none.db"), "SQLite", 6);
    cr_assert_eq(dbconn_open(tmp_path("none.db"), 50, &c, &e), ERR_CORRUPT);
    cr_assert_eq(dbconn_open(tmp_dir(), 50, &c, &e), ERR_CORRUPT);
    cr_assert_null(c);
}

Test(dbconn, nobody_restarts_the_wal_while_the_read_lock_is_held)
{
    struct wal_header h = header();
    bool lost = true;
    struct err e;

    cr_assert_eq(app_sql(app, "PRAGMA wal_checkpoint(TRUNCATE)"), 0); /* reports busy */
    cr_assert_eq(app_sql(app, "PRAGMA wal_checkpoint(RESTART)"), 0);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
    cr_assert_eq(dbconn_hold(conn, &lost, &e), 0);
    cr_assert_not(lost);
}

Test(dbconn, wal_index_is_that_of_the_wal)
{
    struct wal_scan *s = wal_scan_new(NULL);
    struct wal_range all = { .last_frame_no = WAL_SCAN_ALL };
    int fd = open(tmp_path("app.db-wal"), O_RDONLY | O_CLOEXEC);

    for (int i = 0; i < 10; i++) {
        struct wal_header h = header();
        struct wal_scan_result res;
        struct err e;

        all.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
        cr_assert_eq(wal_scan_run(s, fd, &h, &all, NULL, &res, &e), 0);
        cr_assert_eq(wal_index().last_frame_no, res.last_frame_no);
        cr_assert(wal_salt_equal(wal_index().salt, h.salt));
        cr_assert(wal_sum_equal(wal_index().sum, res.end.sum));
        cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (zeroblob(%d))", i * 3000), 0);
    }
    close(fd);
    wal_scan_free(s);
}

/* Commit frames in the file, writer gone before it said so. */
Test(dbconn, wal_index_does_not_count_a_commit_whose_writer_died)
{
    uint32_t before;

    app_sql(app, "PRAGMA synchronous = FULL");
    before = wal_index().last_frame_no;
    app_die_at(app, APP_WAL_SYNC, 1);
    cr_assert_eq(
        app_sql(app, "PRAGMA synchronous = FULL; INSERT INTO t VALUES (3)"), APP_DIED);
    cr_assert_eq(wal_index().last_frame_no, before);
    cr_assert_eq(app_sql(other, "INSERT INTO t VALUES (4)"), 0);
    cr_assert_gt(wal_index().last_frame_no, before);
}

Test(dbconn, barrier_keeps_writers_out_until_it_ends)
{
    struct err e;

    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), BUSY);
    dbconn_barrier_end(conn);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    dbconn_barrier_end(conn); /* again: nothing */
}

Test(dbconn, a_writer_in_the_way_makes_it_busy_and_leaves_nothing_behind)
{
    bool lost;
    struct err e;

    cr_assert_eq(app_sql(app, "BEGIN IMMEDIATE"), 0);
    cr_assert_eq(dbconn_barrier_begin(conn, 5, &e), ERR_BUSY);
    cr_assert_eq(dbconn_bump(conn, &e), ERR_BUSY);
    cr_assert_eq(app_sql(app, "COMMIT"), 0);
    cr_assert_eq(dbconn_barrier_begin(conn, 5, &e), 0);
    dbconn_barrier_end(conn);
    cr_assert_eq(dbconn_hold(conn, &lost, &e), 0);
    cr_assert_not(lost);
}

Test(dbconn, checkpoint_copies_all_and_the_next_writer_restarts_the_wal)
{
    struct wal_header h = header();
    struct dbconn_copied done = { 0 };
    bool lost;
    struct err e;

    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(dbconn_checkpoint(conn, 0, &done, &e), 0);
    cr_assert(done.complete && done.restartable);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), BUSY); /* still a barrier */
    dbconn_barrier_end(conn);
    cr_assert_eq(dbconn_hold(conn, &lost, &e), 0);
    cr_assert_not(lost);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(header().salt.s1, h.salt.s1 + 1);
}

Test(dbconn, checkpoint_under_a_reader_is_not_complete)
{
    struct wal_header h = header();
    struct dbconn_copied done = { .complete = true };
    struct err e;

    cr_assert_eq(app_sql(other, "BEGIN; SELECT * FROM t"), 0);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(dbconn_checkpoint(conn, 0, &done, &e), 0);
    cr_assert_not(done.complete);
    dbconn_barrier_end(conn);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (3)"), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
}

Test(dbconn, the_wal_stays_when_everybody_goes)
{
    struct wal_header h = header();
    struct stat st;
    struct err e;

    app_close_db(app);
    app_close_db(other);
    dbconn_close(conn);
    cr_assert(stat(tmp_path("app.db-wal"), &st) == 0 && st.st_size > 32);
    cr_assert(wal_salt_equal(header().salt, h.salt));
    cr_assert_eq(dbconn_open(db, 50, &conn, &e), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
}

Test(dbconn, another_file_at_the_path_is_noticed)
{
    cr_assert(dbconn_same_file(conn));
    cr_assert_eq(rename(db, tmp_path("moved.db")), 0);
    cr_assert_not(dbconn_same_file(conn));
    tmp_write(db, "x", 1);
    cr_assert_not(dbconn_same_file(conn));
    cr_assert_eq(rename(tmp_path("moved.db"), db), 0);
    cr_assert(dbconn_same_file(conn));
}

Test(dbconn, pages_can_be_read_beside_the_locks)
{
    char magic[16];
    struct wal_header h = header();

    cr_assert_eq(pread(dbconn_fd(conn), magic, 16, 0), 16);
    cr_assert_eq(memcmp(magic, "SQLite format 3", 16), 0);
    cr_assert_eq(dbconn_page_size(conn), 4096);
    cr_assert_eq(app_sql(app, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
}

/* --- copying ahead, with writers at work */

static uint32_t
n_copied(void)
{
    uint32_t n;

    cr_assert(dbconn_n_copied(conn, &n));
    return n;
}

Test(dbconn, ahead_copies_up_to_its_mark_and_lets_nobody_restart)
{
    struct wal_header h = header();
    bool any = false, reached = false, lost = true;
    uint32_t mark;
    struct err e;

    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    mark = wal_index().last_frame_no;
    cr_assert_eq(dbconn_ahead_begin(conn, &any, &e), 0);
    cr_assert(any);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (3)"), 0);          /* nobody waits */
    cr_assert_eq(app_sql(other, "PRAGMA wal_checkpoint(TRUNCATE)"), 0); /* busy */
    cr_assert_leq(n_copied(), mark);
    cr_assert_eq(dbconn_ahead_copy(conn, &reached, &e), 0);
    cr_assert(reached);
    cr_assert_eq(n_copied(), mark);
    cr_assert_eq(app_sql(other, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    cr_assert_eq(n_copied(), mark);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (4)"), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
    cr_assert_eq(dbconn_hold(conn, &lost, &e), 0);
    cr_assert_not(lost);
}

Test(dbconn, ahead_holds_nothing_when_all_is_copied)
{
    struct dbconn_copied done;
    struct wal_header h = header();
    bool any = true;
    struct err e;

    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(dbconn_checkpoint(conn, 0, &done, &e), 0);
    cr_assert_gt(dbconn_barrier_end(conn), 0);
    cr_assert_eq(dbconn_ahead_begin(conn, &any, &e), 0);
    cr_assert_not(any);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(header().salt.s1, h.salt.s1 + 1);
    /* On slot 0 nothing can be copied; a lock with a mark takes its place. */
    cr_assert_eq(app_sql(other, "PRAGMA wal_checkpoint(PASSIVE)"), 0);
    cr_assert_eq(n_copied(), 0);
    cr_assert_eq(dbconn_ahead_begin(conn, &any, &e), 0);
    cr_assert(any);
    cr_assert_eq(dbconn_ahead_copy(conn, &any, &e), 0);
    cr_assert(any);
    cr_assert_eq(n_copied(), wal_index().last_frame_no);
    h = header();
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (3)"), 0);
    cr_assert(wal_salt_equal(header().salt, h.salt));
}

Test(dbconn, ahead_given_up_leaves_the_first_lock_as_it_was)
{
    uint32_t before = wal_index().last_frame_no;
    bool any, lost;
    struct err e;

    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(dbconn_ahead_begin(conn, &any, &e), 0);
    cr_assert(any);
    dbconn_ahead_end(conn);
    dbconn_ahead_end(conn); /* again: nothing */
    cr_assert_eq(app_sql(app, "PRAGMA wal_checkpoint(PASSIVE)"), 0);
    cr_assert_leq(n_copied(), before);
    cr_assert_eq(dbconn_hold(conn, &lost, &e), 0);
    cr_assert_not(lost);
}

Test(dbconn, ahead_stops_at_an_older_reader)
{
    bool any, reached = true;
    uint32_t seen;
    struct err e;

    cr_assert_eq(app_sql(other, "BEGIN; SELECT * FROM t"), 0);
    seen = wal_index().last_frame_no;
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(dbconn_ahead_begin(conn, &any, &e), 0);
    cr_assert(any);
    cr_assert_eq(dbconn_ahead_copy(conn, &reached, &e), 0);
    cr_assert_not(reached);
    cr_assert_leq(n_copied(), seen);
}

Test(dbconn, a_reader_in_the_wal_is_waited_for)
{
    struct dbconn_copied done;
    struct wal_header h = header();
    struct err e;

    cr_assert_eq(app_sql(other, "BEGIN; SELECT * FROM t"), 0);
    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(dbconn_checkpoint(conn, 0, &done, &e), 0);
    cr_assert(done.complete);
    cr_assert_not(done.restartable);
    app_go(other, "SELECT noise(1, 1000); COMMIT");
    cr_assert_eq(dbconn_checkpoint(conn, 5000, &done, &e), 0);
    cr_assert(done.complete && done.restartable);
    cr_assert_eq(app_wait(other), 0);
    dbconn_barrier_end(conn);
    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (2)"), 0);
    cr_assert_eq(header().salt.s1, h.salt.s1 + 1);
}

Test(dbconn, cut_restarts_the_wal_and_makes_the_file_small)
{
    struct dbconn_copied done;
    struct wal_header h = header();
    struct stat st;
    struct err e;

    cr_assert_eq(app_sql(app, "INSERT INTO t VALUES (zeroblob(1000000))"), 0);
    cr_assert_eq(dbconn_barrier_begin(conn, 50, &e), 0);
    cr_assert_eq(dbconn_checkpoint(conn, 0, &done, &e), 0);
    dbconn_barrier_end(conn);
    cr_assert(stat(tmp_path("app.db-wal"), &st) == 0 && st.st_size > 1000000);
    cr_assert_eq(dbconn_cut(conn, 50000, 50, &e), 0);
    cr_assert(stat(tmp_path("app.db-wal"), &st) == 0);
    cr_assert_eq(st.st_size, 50000);
    cr_assert_eq(header().salt.s1, h.salt.s1 + 1);
    cr_assert_eq(wal_index().last_frame_no, 1);
}
