#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "common/base/sys.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/integrity.h"
#include "workers/restore/output.h"

static const char *path, *tmp, *tmp_wal, *tmp_shm, *folders[2];

static void
prepare(void)
{
    path = tmp_path("deep/er/app.db");
    tmp = tmp_path("deep/er/app.db.tmp");
    tmp_wal = tmp_path("deep/er/app.db.tmp-wal");
    tmp_shm = tmp_path("deep/er/app.db.tmp-shm");
    folders[0] = tmp_path("deep");
    folders[1] = tmp_path("deep/er");
}

TestSuite(output, .init = prepare);

/* A database of some tables, as bytes. */
static uint8_t *
database(size_t *n)
{
    const char *made = tmp_path("made.db");
    sqlite3 *db;
    uint8_t *bytes;

    unlink(made);
    cr_assert_eq(sqlite3_open(made, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                     "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);"
                     "CREATE INDEX i ON t (b);"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                     "WHERE i < 500) INSERT INTO t SELECT i, hex(randomblob(50)) FROM n",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    bytes = tmp_read(made, n);
    cr_assert_not_null(bytes);
    return bytes;
}

static bool
file_is(const char *name, const void *bytes, size_t n)
{
    size_t got;
    uint8_t *found = tmp_read(name, &got);
    bool same = found != NULL && got == n && memcmp(found, bytes, n) == 0;

    free(found);
    return same;
}

static void
make_folder(void)
{
    mkdir(folders[0], 0755);
    mkdir(folders[1], 0755);
}

static bool force;

static int
restore(const void *bytes, size_t n, enum restore_integrity mode, struct err *e)
{
    struct output *o = NULL;
    int rc = output_open(path, force, &o, e);

    if (rc == 0)
        rc = sys_pwrite_all(output_fd(o), bytes, n, 0, e);
    if (rc == 0)
        rc = output_publish(o, mode, e);
    output_free(o);
    return rc;
}

Test(output, comes_into_place_with_its_folders)
{
    size_t n;
    uint8_t *bytes = database(&n);
    struct err e;

    cr_assert_eq(restore(bytes, n, INTEGRITY_FULL, &e), 0, "%s", e.text);
    cr_expect(file_is(path, bytes, n));
    cr_expect_not(tmp_exists(tmp));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db.tmp-wal")));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-wal")));
    free(bytes);
}

/* Whatever call fails: the old database is still there as it was, or the new one is
 * there as a whole; nothing lies beside it. */
Test(output, a_disk_that_fails_leaves_the_old_or_the_new)
{
    size_t n;
    uint8_t *bytes = database(&n);
    const char *wal = tmp_path("deep/er/app.db-wal");
    const char *aside = tmp_path("deep/er/app.db-wal.old");
    int n_failed = 0, n_aside = 0;

    force = true;
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        struct err e;
        bool struck, is_new;
        int rc;

        make_folder();
        tmp_write(path, "old", 3);
        tmp_write(wal, "wal", 3);
        rc = restore(bytes, n, INTEGRITY_NONE, &e);
        struck = fault_calls() >= nth;
        is_new = file_is(path, bytes, n);
        cr_expect(rc == 0 || struck, "call %d: %s", nth, e.text);
        if (is_new)
            cr_expect_not(tmp_exists(wal), "call %d", nth);
        else
            cr_expect(rc != 0 && file_is(path, "old", 3) && file_is(wal, "wal", 3),
                "call %d", nth);
        cr_expect_not(tmp_exists(tmp), "call %d", nth);
        n_failed += rc != 0;
        n_aside += tmp_exists(aside);
        cr_expect(is_new || !tmp_exists(aside), "call %d", nth);
        unlink(aside);
    }
    fault_off();
    cr_expect_gt(n_failed, 4);
    cr_expect_eq(n_aside, 1, "only when removing it is what fails");
    free(bytes);
}

static void
remove_folder(void)
{
    unlink(path);
    rmdir(folders[1]);
    rmdir(folders[0]);
}

/* One run to a place without a database; true when the call it is about was reached. */
static bool
run_to_new_place(const void *bytes, size_t n, int nth, bool is_empty_there, int *rc)
{
    struct err e;
    bool struck, in_place;

    if (is_empty_there) {
        make_folder();
        tmp_write(path, "", 0);
    }
    *rc = restore(bytes, n, INTEGRITY_QUICK, &e);
    struck = fault_calls() >= nth;
    in_place = file_is(path, bytes, n);
    cr_expect(*rc == 0 || struck, "call %d: %s", nth, e.text);
    cr_expect(*rc != 0 || in_place, "call %d: success without a database", nth);
    if (!in_place && is_empty_there)
        cr_expect(file_is(path, "", 0), "call %d", nth);
    else if (!in_place)
        cr_expect_not(tmp_exists(path), "call %d", nth);
    cr_expect_not(tmp_exists(tmp), "call %d", nth);
    cr_expect_not(tmp_exists(tmp_wal) || tmp_exists(tmp_shm), "call %d", nth);
    remove_folder();
    return struck;
}

/* EPERM: also a file system without hard links. */
Test(output, a_disk_that_fails_leaves_nothing_or_the_whole_at_a_new_place)
{
    static const int errnos[] = { EIO, ENOSPC, EPERM };
    size_t n;
    uint8_t *bytes = database(&n);

    for (int k = 0; k < 6; k++) {
        int n_failed = 0, n_struck = 0, rc;

        for (int nth = 1; fault_nth(nth, errnos[k / 2]); nth++) {
            n_struck += run_to_new_place(bytes, n, nth, k % 2 == 1, &rc);
            n_failed += rc != 0;
        }
        fault_off();
        cr_expect_gt(n_failed, 5);
        cr_expect_geq(n_struck, n_failed);
    }
    free(bytes);
}

/* The first restore puts its file in place between the second one's open and its lock. */
static int
losing_open(const char *name, int flags, mode_t mode)
{
    int fd = sys_posix.open(name, flags, mode);

    if (fd >= 0 && strcmp(name, tmp) == 0)
        cr_assert_eq(rename(tmp, path), 0);
    return fd;
}

Test(output, what_was_put_in_place_meanwhile_is_not_written_to)
{
    struct sys_ops losing = sys_posix;
    struct output *o = NULL;
    struct err e;

    make_folder();
    tmp_write(tmp, "restored", 8);
    losing.open = losing_open;
    sys = &losing;
    cr_expect_eq(output_open(path, true, &o, &e), ERR_CONFLICT);
    sys = &sys_posix;
    cr_expect(file_is(path, "restored", 8));
}

Test(output, a_damaged_database_never_gets_the_name)
{
    size_t n;
    uint8_t *bytes = database(&n);
    struct err e;

    make_folder();
    force = true;
    tmp_write(path, "old", 3);
    memset(bytes + 4096, 0x5a, 4096);
    cr_assert_eq(restore(bytes, n, INTEGRITY_FULL, &e), ERR_CORRUPT);
    cr_expect_not_null(strstr(e.text, "post-restore integrity check"), "%s", e.text);
    cr_expect(file_is(path, "old", 3));
    cr_expect_not(tmp_exists(tmp));
    cr_assert_eq(restore(bytes, n, INTEGRITY_NONE, &e), 0, "%s", e.text);
    cr_expect(file_is(path, bytes, n));
    free(bytes);
}

Test(output, a_wal_of_the_old_database_goes)
{
    size_t n;
    uint8_t *bytes = database(&n);
    struct err e;

    make_folder();
    force = true;
    tmp_write(tmp_path("deep/er/app.db-wal"), "w", 1);
    tmp_write(tmp_path("deep/er/app.db-shm"), "s", 1);
    tmp_write(tmp_path("deep/er/app.db-journal"), "j", 1);
    cr_assert_eq(restore(bytes, n, INTEGRITY_QUICK, &e), 0, "%s", e.text);
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-wal")));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-shm")));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-journal")));
    free(bytes);
}

Test(output, the_mode_of_the_old_file_is_kept)
{
    struct stat st;
    struct err e;

    make_folder();
    force = true;
    tmp_write(path, "old", 3);
    chmod(path, 0640);
    cr_assert_eq(restore("new", 3, INTEGRITY_NONE, &e), 0, "%s", e.text);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0640);
}

/* A restore that was killed while SQLite had the file open left its WAL. */
Test(output, what_a_killed_restore_left_is_not_replayed)
{
    const char *left = tmp_path("deep/er/app.db.tmp-wal");
    size_t n;
    uint8_t *bytes = database(&n);
    struct output *o;
    struct err e;

    make_folder();
    tmp_write(tmp, "half a database", 15);
    tmp_write(left, "w", 1);
    tmp_write(tmp_path("deep/er/app.db.tmp-journal"), "j", 1);
    cr_assert_eq(output_open(path, false, &o, &e), 0, "%s", e.text);
    cr_expect_not(tmp_exists(left));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db.tmp-journal")));
    cr_assert_eq(sys_pwrite_all(output_fd(o), bytes, n, 0, &e), 0);
    cr_assert_eq(output_publish(o, INTEGRITY_FULL, &e), 0, "%s", e.text);
    output_free(o);
    cr_expect(file_is(path, bytes, n));
    free(bytes);
}

Test(output, two_restores_to_one_place_do_not_mix)
{
    struct output *first, *second;
    struct err e;

    cr_assert_eq(output_open(path, false, &first, &e), 0, "%s", e.text);
    cr_assert_eq(sys_pwrite_all(output_fd(first), "first", 5, 0, &e), 0);
    cr_assert_eq(output_open(path, true, &second, &e), ERR_CONFLICT);
    cr_expect_not_null(strstr(e.text, "another process restores"), "%s", e.text);
    cr_expect(file_is(tmp, "first", 5), "it must stay as it is");
    cr_assert_eq(output_publish(first, INTEGRITY_NONE, &e), 0, "%s", e.text);
    output_free(first);
    cr_expect(file_is(path, "first", 5));
    cr_assert_eq(output_open(path, true, &second, &e), 0, "%s", e.text);
    output_free(second);
}

Test(output, a_database_that_came_meanwhile_is_not_replaced)
{
    static const char *const came[] = { "app.db", "app.db-wal" };

    for (size_t i = 0; i < 2; i++) {
        const char *theirs = tmp_path(i == 0 ? "deep/er/app.db" : "deep/er/app.db-wal");
        struct output *o;
        struct err e;

        cr_assert_eq(output_open(path, false, &o, &e), 0, "%s", e.text);
        tmp_write(theirs, "precious", 8);
        cr_expect_eq(output_publish(o, INTEGRITY_NONE, &e), ERR_EXISTS, "%s", came[i]);
        output_free(o);
        cr_expect(file_is(theirs, "precious", 8), "%s", came[i]);
        cr_expect_not(tmp_exists(tmp));
        unlink(theirs);
    }
}

/* Between the last look and the call that gives the name. */
static int
late_link(const char *from, const char *to)
{
    tmp_write(path, "precious", 8);
    return sys_posix.link(from, to);
}

Test(output, a_database_that_comes_at_the_last_moment_is_not_replaced)
{
    struct sys_ops late = sys_posix;
    struct err e;

    late.link = late_link;
    sys = &late;
    cr_expect_eq(restore("new", 3, INTEGRITY_NONE, &e), ERR_EXISTS, "%s", e.text);
    sys = &sys_posix;
    cr_expect(file_is(path, "precious", 8));
    cr_expect_not(tmp_exists(tmp));
}

/* The folder's fsync fails; by then another restore has begun. */
static int
failing_dir_fsync(int fd)
{
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    if (!S_ISDIR(st.st_mode))
        return sys_posix.fsync(fd);
    tmp_write(tmp, "theirs", 6);
    tmp_write(tmp_wal, "theirs", 6);
    errno = EIO;
    return -1;
}

Test(output, the_temporary_file_of_the_next_restore_is_left_alone)
{
    struct sys_ops failing = sys_posix;
    struct err e;

    make_folder();
    failing.fsync = failing_dir_fsync;
    for (int i = 0; i < 3; i++) {
        force = i == 1;
        if (i == 2)
            tmp_write(path, "", 0);
        sys = &failing;
        cr_expect_eq(restore("new", 3, INTEGRITY_NONE, &e), ERR_IO, "%s", e.text);
        sys = &sys_posix;
        cr_expect(file_is(path, "new", 3));
        cr_expect(file_is(tmp, "theirs", 6), "run %d", i);
        cr_expect(file_is(tmp_wal, "theirs", 6), "run %d", i);
        unlink(path);
    }
}

static char order[16];

static int
note(char what, int rc)
{
    order[strlen(order)] = what;
    return rc;
}

static int
noting_fsync(int fd)
{
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    return note(S_ISDIR(st.st_mode) ? 'd' : 'f', sys_posix.fsync(fd));
}

static int
noting_link(const char *from, const char *to)
{
    return note('n', sys_posix.link(from, to));
}

static int
noting_rename(const char *from, const char *to)
{
    return strcmp(to, path) == 0 ? note('n', sys_posix.rename(from, to))
                                 : sys_posix.rename(from, to);
}

/* Content, name, folder: a power cut in between must not leave a name without content. */
Test(output, the_content_is_on_the_disk_before_the_name)
{
    struct sys_ops noting = sys_posix;
    struct err e;

    make_folder();
    noting.fsync = noting_fsync;
    noting.link = noting_link;
    noting.rename = noting_rename;
    sys = &noting;
    for (int i = 0; i < 2; i++) {
        memset(order, 0, sizeof(order));
        force = i == 1;
        cr_expect_eq(restore("new", 3, INTEGRITY_NONE, &e), 0, "%s", e.text);
        cr_expect_str_eq(order, "fnd");
    }
    sys = &sys_posix;
}

Test(output, thrown_away_it_leaves_nothing)
{
    struct output *o;
    struct err e;

    cr_assert_eq(output_open(path, false, &o, &e), 0, "%s", e.text);
    cr_expect_str_eq(output_tmp_path(o), tmp);
    cr_expect(tmp_exists(tmp));
    tmp_write(tmp_path("deep/er/app.db.tmp-wal"), "w", 1);
    output_free(o);
    cr_expect_not(tmp_exists(tmp));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db.tmp-wal")));
    output_free(NULL);
}

Test(output, what_is_there_is_only_replaced_with_force)
{
    struct err e;

    cr_expect_eq(output_check(path, false, &e), 0);
    make_folder();
    tmp_write(path, "", 0);
    cr_expect_eq(output_check(path, false, &e), 0, "an empty file may be filled");
    tmp_write(path, "old", 3);
    cr_expect_eq(output_check(path, false, &e), ERR_EXISTS);
    cr_expect_not_null(strstr(e.text, "-force"), "%s", e.text);
    cr_expect_eq(output_check(path, true, &e), 0);
    unlink(path);
    tmp_write(tmp_path("deep/er/app.db-wal"), "w", 1);
    cr_expect_eq(output_check(path, false, &e), ERR_EXISTS);
    cr_expect_not_null(strstr(e.text, "app.db-wal"), "%s", e.text);
    cr_expect_eq(output_check(path, true, &e), 0);
    cr_expect_eq(output_check(tmp_path("deep"), true, &e), ERR_USAGE);
    cr_expect_eq(output_check("", true, &e), ERR_USAGE);
    cr_expect_eq(output_check("new/", true, &e), ERR_USAGE);
}

/* --- SQLite's check -------------------------------------------------------------------
 */

TestSuite(integrity, .init = prepare);

static void
write_database(size_t damage_at)
{
    size_t n;
    uint8_t *bytes = database(&n);

    make_folder();
    if (damage_at > 0)
        memset(bytes + damage_at, 0x5a, 4096);
    tmp_write(path, bytes, n);
    free(bytes);
}

Test(integrity, a_sound_database_passes_and_stays_as_it_is)
{
    size_t n;
    uint8_t *before;
    struct err e;

    write_database(0);
    before = tmp_read(path, &n);
    cr_expect_eq(integrity_check(path, INTEGRITY_QUICK, &e), 0);
    cr_expect_eq(integrity_check(path, INTEGRITY_FULL, &e), 0);
    cr_expect(file_is(path, before, n));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-wal")));
    free(before);
}

Test(integrity, damage_is_told_in_words_of_sqlite)
{
    struct err e;

    write_database(4096);
    cr_expect_eq(integrity_check(path, INTEGRITY_QUICK, &e), ERR_CORRUPT);
    cr_expect_eq(integrity_check(path, INTEGRITY_FULL, &e), ERR_CORRUPT);
    cr_expect_eq(strncmp(e.text, "integrity check", 15), 0, "%s", e.text);
    cr_expect_eq(integrity_check(path, INTEGRITY_NONE, &e), 0, "nothing was asked");
}

Test(integrity, what_is_no_database_is_an_error)
{
    struct err e;

    make_folder();
    tmp_write(path, "this is no database, it is only a text of some length", 53);
    cr_expect_eq(integrity_check(path, INTEGRITY_QUICK, &e), ERR_CORRUPT);
    cr_expect_not_null(strstr(e.text, "not a database"), "%s", e.text);
    cr_expect_eq(
        integrity_check(tmp_path("absent.db"), INTEGRITY_QUICK, &e), ERR_CORRUPT);
    cr_expect_not(tmp_exists(tmp_path("absent.db")), "it must not be created");
}

/* An index with another value than the row is only found by the full check. */
Test(integrity, the_full_check_looks_at_indexes)
{
    sqlite3 *db;
    struct err e;

    write_database(0);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                     "PRAGMA writable_schema = on;"
                     "CREATE TABLE other (a INTEGER PRIMARY KEY, b TEXT);"
                     "INSERT INTO other SELECT a, iif(a = 77, 'x', b) FROM t;"
                     "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM "
                     "sqlite_schema WHERE name IN ('t', 'other')) - rootpage "
                     "WHERE name IN ('t', 'other')",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    cr_expect_eq(integrity_check(path, INTEGRITY_QUICK, &e), 0, "%s", e.text);
    cr_expect_eq(integrity_check(path, INTEGRITY_FULL, &e), ERR_CORRUPT);
    cr_expect_eq(strncmp(e.text, "integrity check failed: ", 24), 0, "%s", e.text);
}

/* SQLite makes a WAL and its index for the check of such a database. */
Test(integrity, a_database_in_wal_mode_has_nothing_beside_it_afterwards)
{
    size_t n;
    uint8_t *before;
    sqlite3 *db;
    struct err e;

    write_database(0);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(db, "PRAGMA journal_mode = wal", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    before = tmp_read(path, &n);
    cr_assert_eq(before[18], 2, "WAL mode");
    cr_expect_eq(integrity_check(path, INTEGRITY_QUICK, &e), 0, "%s", e.text);
    cr_expect_eq(integrity_check(path, INTEGRITY_FULL, &e), 0, "%s", e.text);
    cr_expect(file_is(path, before, n));
    before[4096 + 5] ^= 0x5a;
    tmp_write(path, before, n);
    cr_expect_eq(integrity_check(path, INTEGRITY_FULL, &e), ERR_CORRUPT);
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-wal")));
    cr_expect_not(tmp_exists(tmp_path("deep/er/app.db-shm")));
    free(before);
}
