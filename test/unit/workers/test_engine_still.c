/* Everything is captured and copied: what may follow then, and what may not. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/rig.h"
#include "workers/sync/db_id.h"

static struct rig r;

static void
with_table(void)
{
    rig_start(&r);
    cr_assert_eq(app_sql(r.app[0],
                     "PRAGMA page_size = 1024; PRAGMA journal_mode = wal;"
                     "PRAGMA wal_autocheckpoint = 0;"
                     "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB);"
                     "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n"
                     " WHERE i < 50) INSERT INTO t SELECT i, noise(i, 700) FROM n"),
        0);
    cr_assert(rig_open(&r));
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
}

TestSuite(engine_still, .init = with_table);

static void
done(void)
{
    cr_assert(rig_sync(&r), "%s", r.err.text);
    cr_assert(rig_equal(&r));
    rig_stop(&r);
}

static void
update(int app, int id, int seed)
{
    cr_assert_eq(
        app_sql(r.app[app], "UPDATE t SET b = noise(%d, 700) WHERE id = %d", seed, id),
        0);
}

/* A life that begins when another program has copied everything. */
static void
begin_with_all_copied(void)
{
    struct engine_checkpoint c;
    struct err e;

    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    update(0, 3, 90); /* the WAL is short now: the next one reaches its end at once */
    cr_assert(rig_sync(&r));
    rig_close(&r);
    cr_assert_eq(app_sql(r.app[0], "PRAGMA wal_checkpoint(PASSIVE)"), 0);
    cr_assert(rig_open(&r));
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1);
}

/* --- seals ----------------------------------------------------------------------------
 */

Test(engine_still, a_wal_that_was_copied_before_a_start_may_be_restarted)
{
    begin_with_all_copied();
    update(0, 1, 100);
    update(1, 40, 101);
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1, "%s", r.last_reason);
    done();
}

Test(engine_still, restarts_without_commits_lose_nothing)
{
    begin_with_all_copied();
    for (int i = 0; i < 3; i++)
        cr_assert_eq(app_sql(r.app[i], "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    update(1, 40, 101);
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1, "%s", r.last_reason);
    done();
}

/* Not all was copied: what comes behind the position is neither lost nor taken twice. */
Test(engine_still, a_reader_keeps_frames_back)
{
    rig_close(&r);
    cr_assert_eq(app_sql(r.app[2], "BEGIN; SELECT count(*) FROM t"), 0);
    update(0, 7, 70);
    cr_assert_eq(app_sql(r.app[0], "PRAGMA wal_checkpoint(PASSIVE)"), 0);
    cr_assert(rig_open(&r));
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(app_sql(r.app[2], "COMMIT"), 0);
    for (int i = 0; i < 5; i++) {
        update(i % 2, 10 + i, 200 + i);
        cr_assert_eq(app_sql(r.app[0], "PRAGMA wal_checkpoint(PASSIVE)"), 0);
    }
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1, "%s", r.last_reason);
    done();
}

/* --- another file ---------------------------------------------------------------------
 */

static void
copy_file(const char *from, const char *to, int flags)
{
    char buf[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    ssize_t n;

    cr_assert(in >= 0 && out >= 0);
    while ((n = read(in, buf, sizeof(buf))) > 0)
        cr_assert_eq(write(out, buf, (size_t)n), n);
    close(in);
    close(out);
}

/* Two writes in one tick of the file system's clock look like one. */
static void
wait_for_the_clock(void)
{
    const char *probe = tmp_path("probe");
    struct stat db, now;

    do {
        copy_file(r.db, probe, O_TRUNC);
        cr_assert_eq(stat(r.db, &db), 0);
        cr_assert_eq(stat(probe, &now), 0);
    } while (now.st_mtim.tv_sec == db.st_mtim.tv_sec &&
             now.st_mtim.tv_nsec == db.st_mtim.tv_nsec);
}

/*
 * Two updates, each in a WAL of its own; *old is the database between them. All of it is
 * copied, and the second WAL does not hold what the first one did.
 */
static const char *
with_older_copy(void)
{
    const char *old = tmp_path("old.db");
    struct engine_checkpoint c;
    struct err e;

    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.complete);
    copy_file(r.db, old, O_TRUNC);
    update(0, 1, 100);
    cr_assert(rig_sync(&r));
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.complete);
    update(0, 40, 101);
    cr_assert(rig_sync(&r));
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.complete);
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1);
    wait_for_the_clock();
    return old;
}

static void
expect_image(void)
{
    cr_assert(rig_sync(&r), "%s", r.err.text);
    cr_assert_not_null(r.last_reason);
    cr_assert_not_null(strstr(r.last_reason, "replaced"));
    cr_assert(rig_equal(&r));
    update(1, 20, 5);
    done();
}

Test(engine_still, a_file_moved_into_place_with_the_wal_left)
{
    const char *old = with_older_copy();

    for (int i = 0; i < RIG_APPS; i++)
        app_close_db(r.app[i]);
    cr_assert_eq(rename(old, r.db), 0);
    expect_image();
}

/* The old WAL cannot be restarted, and its frames are not those of the new file. */
Test(engine_still, a_file_moved_into_place_while_its_wal_is_read)
{
    const char *old = with_older_copy();
    struct engine_checkpoint c;
    struct err e;

    update(0, 41, 102);
    cr_assert(rig_sync(&r));
    cr_assert_eq(app_sql(r.app[2], "BEGIN; SELECT count(*) FROM t"), 0);
    cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
    cr_assert(c.complete);
    app_close_db(r.app[0]);
    app_close_db(r.app[1]);
    cr_assert_eq(rename(old, r.db), 0);
    cr_assert(rig_sync(&r), "%s", r.err.text);
    cr_assert_not_null(strstr(r.last_reason, "replaced"));
    cr_assert(rig_equal(&r));
    update(1, 20, 5);
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    app_close_db(r.app[2]);
    update(1, 21, 6);
    done();
}

Test(engine_still, a_file_moved_into_place_between_two_lives)
{
    const char *old = with_older_copy();

    rig_close(&r);
    cr_assert_eq(rename(old, r.db), 0);
    cr_assert(rig_open(&r));
    expect_image();
}

Test(engine_still, a_file_overwritten_in_place)
{
    const char *old = with_older_copy();

    for (int i = 0; i < RIG_APPS; i++)
        app_close_db(r.app[i]);
    cr_assert_not(engine_has_news(r.eng));
    copy_file(old, r.db, 0);
    cr_assert(engine_has_news(r.eng));
    expect_image();
}

Test(engine_still, a_file_overwritten_in_place_and_then_written_to)
{
    const char *old = with_older_copy();

    for (int i = 0; i < RIG_APPS; i++)
        app_close_db(r.app[i]);
    copy_file(old, r.db, O_TRUNC);
    update(1, 30, 7);
    expect_image();
}

/* The life ends before the file has come to rest. */
Test(engine_still, an_overwritten_file_is_remembered)
{
    const char *old = with_older_copy();

    for (int i = 0; i < RIG_APPS; i++)
        app_close_db(r.app[i]);
    copy_file(old, r.db, 0);
    cr_assert_eq(rig_sync_once(&r, true, true), ENGINE_DONE);
    cr_assert(r.report.again_ms > 0 && !r.report.wrote);
    rig_close(&r);
    cr_assert(rig_open(&r));
    expect_image();
}

/* Who touches the file all the time does not get a full image each time. */
Test(engine_still, a_file_that_is_touched_again_and_again)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    struct engine_checkpoint c;
    struct err e;

    with_older_copy();
    for (int i = 0; i < 6; i++) {
        update(0, 1 + i, 400 + i);
        cr_assert(rig_sync(&r));
        cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
        cr_assert(c.complete);
        times[1].tv_sec = 1000 + i;
        cr_assert_eq(utimensat(AT_FDCWD, r.db, times, 0), 0);
        cr_assert(rig_sync(&r), "%s", r.err.text);
        cr_assert(rig_equal(&r));
    }
    cr_assert_eq(r.replay.n_images, 1 + 3);
    done();
}

/* Checkpoints of ours and of others write to the file as well. */
Test(engine_still, checkpoints_are_not_taken_for_overwriting)
{
    struct engine_checkpoint c;
    struct err e;

    with_older_copy();
    for (int i = 0; i < 60; i++) {
        update(i % RIG_APPS, 1 + i % 50, 300 + i);
        if (i % 3 == 0)
            cr_assert_eq(app_sql(r.app[i % 2], "PRAGMA wal_checkpoint(%s)",
                             i % 2 ? "PASSIVE" : "TRUNCATE"),
                0);
        if (i % 4 == 1)
            cr_assert_eq(engine_checkpoint(r.eng, &c, &e), 0);
        if (i % 5 == 2) {
            cr_assert(rig_sync(&r));
            cr_assert(rig_equal(&r));
        }
    }
    cr_assert(rig_sync(&r));
    cr_assert(rig_equal(&r));
    cr_assert_eq(r.replay.n_images, 1, "%s", r.last_reason);
    done();
}

/* --- the note -------------------------------------------------------------------------
 */

Test(engine_still, a_note_that_cannot_be_read_says_nothing)
{
    static const char *const texts[] = { "", "inode", "inode 7 born 1.2", "\n",
        "inode x born y.z\n", "inode 0 born 0.0\n" };
    const char *path = mem_printf("%s/.database", r.meta);
    struct db_id id;
    struct err e;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

        cr_assert_eq(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        close(fd);
        cr_assert_eq(db_id_load(r.meta, &id, &e), 0);
        cr_assert_eq(id.inode, 0, "%s", texts[i]);
        rig_close(&r);
        cr_assert(rig_open(&r));
        cr_assert(rig_sync(&r));
        cr_assert_eq(db_id_load(r.meta, &id, &e), 0);
        cr_assert_neq(id.inode, 0, "it is noted again");
    }
    mem_free((void *)(uintptr_t)path);
    cr_assert_eq(r.replay.n_images, 1);
    done();
}
