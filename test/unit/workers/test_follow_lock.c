#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "test/unit/support/tmp.h"
#include "workers/restore/follow_lock.h"

static const char *path;
static int fd = -1;

static void
prepare(void)
{
    sqlite3 *db;

    path = tmp_path("x.db");
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fd = open(path, O_RDWR | O_CLOEXEC);
}

static void
clean_up(void)
{
    close(fd);
}

TestSuite(follow_lock, .init = prepare, .fini = clean_up);

/* SQLite's answer in another process. */
static int
elsewhere(const char *sql)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        sqlite3 *db;
        int rc = sqlite3_open(path, &db);

        if (rc == SQLITE_OK)
            rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        _exit(rc);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A process that holds a lock until its pipe is closed. */
static pid_t
holder(const char *sql, int *release)
{
    int begun[2], end[2];
    pid_t pid;
    char c;

    cr_assert(pipe(begun) == 0 && pipe(end) == 0);
    pid = fork();
    if (pid == 0) {
        sqlite3 *db;

        close(end[1]);
        if (sqlite3_open(path, &db) != SQLITE_OK ||
            sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK ||
            write(begun[1], "x", 1) != 1)
            _exit(1);
        while (read(end[0], &c, 1) > 0) {
        }
        _exit(0);
    }
    close(begun[1]);
    close(end[0]);
    cr_assert_eq(read(begun[0], &c, 1), 1);
    close(begun[0]);
    *release = end[1];
    return pid;
}

Test(follow_lock, reserved_lets_readers_in_and_no_writer)
{
    struct err e;

    cr_assert_eq(follow_lock_reserve(fd, path, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(elsewhere("SELECT * FROM t"), SQLITE_OK);
    cr_expect_eq(elsewhere("BEGIN IMMEDIATE"), SQLITE_BUSY);
    follow_unlock(fd);
    cr_expect_eq(elsewhere("BEGIN IMMEDIATE"), SQLITE_OK);
}

Test(follow_lock, exclusive_lets_nobody_in)
{
    struct err e;

    cr_assert_eq(follow_lock_reserve(fd, path, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(follow_lock_exclude(fd, path, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(elsewhere("SELECT * FROM t"), SQLITE_BUSY);
    follow_unlock(fd);
    cr_expect_eq(elsewhere("SELECT * FROM t"), SQLITE_OK);
    cr_expect_eq(elsewhere("INSERT INTO t VALUES (1)"), SQLITE_OK);
}

Test(follow_lock, a_writer_is_waited_for)
{
    int release, status;
    pid_t pid = holder("BEGIN IMMEDIATE", &release), waiter;

    waiter = fork();
    if (waiter == 0) {
        struct err e;

        close(release);
        alarm(20);
        _exit(follow_lock_reserve(fd, path, NULL, &e));
    }
    cr_expect_eq(waitpid(waiter, &status, WNOHANG), 0);
    close(release);
    cr_assert_eq(waitpid(waiter, &status, 0), waiter);
    cr_expect_eq(status, 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
}

Test(follow_lock, a_wait_ends_when_it_is_cancelled)
{
    struct cancel cancel = { 0 };
    struct err e;
    int release, status;
    pid_t pid = holder("BEGIN; SELECT * FROM t", &release);

    cr_assert_eq(follow_lock_reserve(fd, path, &cancel, &e), 0);
    cancel_ask(&cancel);
    cr_expect_eq(follow_lock_exclude(fd, path, &cancel, &e), ERR_CANCELLED);
    cr_expect_eq(elsewhere("SELECT * FROM t"), SQLITE_OK, "readers are let in");
    follow_unlock(fd);
    close(release);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    pid = holder("BEGIN IMMEDIATE", &release);
    cr_expect_eq(follow_lock_reserve(fd, path, &cancel, &e), ERR_CANCELLED);
    close(release);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
}
