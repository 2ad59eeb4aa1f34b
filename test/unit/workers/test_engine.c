/* What must not get lost between an application, its WAL and the L0 files. */
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "common/wal/wal_scan.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/rig.h"

static struct rig r;

static void
with_table(void)
{
    rig_start(&r);
    cr_assert_eq(app_sql(r.app[0],
                     "PRAGMA page_size = 1024; PRAGMA journal_mode = wal;"
                     "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 10;"
                     "PRAGMA synchronous = FULL;"
                     "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB);"
                     "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n"
                     " WHERE i < 50) INSERT INTO t SELECT i, noise(i, 700) FROM n"),
        0);
    cr_assert(rig_open(&r));
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
}

TestSuite(engine, .init = with_table);

static void
done(void)
{
    cr_assert(rig_sync(&r), "%s", r.err.text);
    cr_assert(rig_equal(&r));
    rig_stop(&r);
}

Test(engine, captures_a_commit_that_lies_over_a_longer_rolled_back_spill)
{
    /* More dirty pages than the cache holds: they go to the WAL before any commit. */
    app_sql(r.app[0], "BEGIN; UPDATE t SET b = noise(id + 1000, 700)");
    cr_assert(rig_sync(&r));
    app_sql(r.app[0], "ROLLBACK");
    app_sql(r.app[0], "UPDATE t SET b = noise(70, 700) WHERE id = 7");
    done();
}

Test(engine, seals_a_commit_that_lies_over_a_longer_rolled_back_spill)
{
    struct engine_checkpoint c;
    struct err e;

    app_sql(r.app[0], "BEGIN; UPDATE t SET b = noise(id + 1000, 700)");
    cr_assert(rig_sync(&r));
    app_sql(r.app[0], "ROLLBACK");
    app_sql(r.app[0], "UPDATE t SET b = noise(70, 700) WHERE id = 7");
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    app_sql(r.app[0], "UPDATE t SET b = noise(80, 700) WHERE id = 8");
    done();
}

/*
 * The frames of the commit are in the WAL, the wal-index does not know of them yet, and
 * the writer is gone: as long as anybody has the database open nobody recovers them.
 */
Test(engine, does_not_capture_a_commit_whose_writer_died_before_it_counted)
{
    app_die_at(r.app[0], APP_WAL_SYNC, 1);
    cr_assert_eq(
        app_sql(r.app[0], "UPDATE t SET b = noise(30, 700) WHERE id < 9"), APP_DIED);
    done();
}

Test(engine, captures_what_overwrites_a_commit_that_never_counted)
{
    app_die_at(r.app[0], APP_WAL_SYNC, 1);
    cr_assert_eq(
        app_sql(r.app[0], "UPDATE t SET b = noise(30, 700) WHERE id < 9"), APP_DIED);
    cr_assert(rig_sync(&r));
    for (int i = 1; i < 12; i++) {
        cr_assert_eq(
            app_sql(r.app[1], "UPDATE t SET b = zeroblob(%d) WHERE id = %d", i, i), 0);
        if (i % 3 == 0) {
            cr_assert(rig_sync(&r));
            cr_assert(rig_equal(&r));
        }
    }
    done();
}

/* What is behind the position after a restart may be such a commit, too. */
Test(engine, does_not_capture_a_dead_commit_of_the_wal_before)
{
    struct engine_checkpoint c;
    struct err e;

    app_die_at(r.app[0], APP_WAL_SYNC, 1);
    cr_assert_eq(
        app_sql(r.app[0], "UPDATE t SET b = noise(30, 700) WHERE id < 9"), APP_DIED);
    cr_assert_eq(app_sql(r.app[1], "SELECT count(*) FROM t"), 0); /* keeps it open */
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.complete);
    rig_close(&r);
    cr_assert_eq(app_sql(r.app[1], "UPDATE t SET b = 'x' WHERE id = 50"), 0);
    cr_assert(rig_open(&r));
    done();
}

Test(engine, a_seal_counts_until_the_next_look)
{
    struct engine_checkpoint c;
    struct err e;

    for (int i = 0; i < 5; i++) { /* each writer restarts what was sealed */
        cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
        cr_assert(c.ran && c.complete);
        cr_assert_eq(
            app_sql(r.app[1], "UPDATE t SET b = zeroblob(%d) WHERE id = %d", i, i), 0);
    }
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1);
    rig_stop(&r);
}

Test(engine, writers_are_not_kept_out_by_a_checkpoint_that_a_reader_blocks)
{
    struct engine_checkpoint c;
    struct err e;

    cr_assert_eq(app_sql(r.app[0], "BEGIN; SELECT count(*) FROM t"), 0);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 10; k++)
            cr_assert_eq(
                app_sql(r.app[1], "UPDATE t SET b = noise(id + %d, 90000)", k), 0);
        cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
        cr_assert(c.ran && c.blocked && !c.complete);
        cr_assert_eq(c.held_ns, 0);
        cr_assert(rig_equal(&r)); /* it captured all the same */
    }
    cr_assert_eq(app_sql(r.app[0], "COMMIT"), 0);
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.ran && c.complete && !c.blocked);
    cr_assert_gt(c.held_ns, 0);
    cr_assert_eq(app_sql(r.app[1], "UPDATE t SET b = 'x' WHERE id = 1"), 0);
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1);
    rig_stop(&r);
}

/* The database is synced after frames were copied ahead: more is committed just then. */
static int
write_at_sync(int fd)
{
    static unsigned seed;
    struct stat st, db;

    cr_assert(fstat(fd, &st) == 0 && stat(r.db, &db) == 0);
    if (st.st_ino == db.st_ino)
        cr_assert_eq(
            app_sql(r.app[0], "UPDATE t SET b = noise(id + %u, 12000)", ++seed), 0);
    return sys_posix.fsync(fd);
}

Test(engine, writers_that_are_too_fast_are_let_be_until_the_wal_is_far_too_large)
{
    struct sys_ops busy = sys_posix;
    struct engine_checkpoint c;
    struct err e;
    int n = 0;

    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id, 12000)"), 0);
    busy.fsync = write_at_sync;
    sys = &busy;
    for (c.ran = false; !c.ran; n++) {
        cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0, "%s", e.text);
        cr_assert_eq(c.ran, engine_wal_offset(r.eng) >= 8 * wal_size_of(1024, 1000),
            "round %d", n);
        cr_assert_gt(c.held_ns, 0);
    }
    sys = &sys_posix;
    cr_assert_gt(n, 1);
    cr_assert(c.complete && c.restartable);
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = 'x' WHERE id = 1"), 0);
    cr_assert(rig_sync(&r));
    cr_assert_lt(engine_wal_offset(r.eng), wal_size_of(1024, 100));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1);
    rig_stop(&r);
}

Test(engine, says_when_a_commit_may_be_under_way)
{
    app_sql(r.app[0], "BEGIN; UPDATE t SET b = noise(id + 1000, 700)");
    cr_assert(engine_has_news(r.eng));
    cr_assert_eq(rig_sync_once(&r, false, false), ENGINE_DONE);
    cr_assert_not(r.report.wrote);
    cr_assert_eq(r.report.again_ms, 0);
    cr_assert_gt(r.report.peek_ms, 0);
    app_sql(r.app[0], "COMMIT");
    cr_assert(engine_has_news(r.eng));
    cr_assert(rig_sync(&r));
    cr_assert_eq(r.report.peek_ms, 0);
    cr_assert_not(engine_has_news(r.eng));
    done();
}
