#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "common/base/sys.h"
#include "test/unit/support/tmp.h"
#include "test/unit/workers/follow_states.h"
#include "workers/restore/follow_state.h"

TestSuite(follow_apply, .init = fs_prepare, .fini = fs_clean_up);

/* --- applying -------------------------------------------------------------------------
 */

static void
walk_through_the_states(uint32_t size)
{
    fs_clean_up();
    sys_posix.unlink(fs_source_db);
    fs_page_size = size;
    fs_make_states();
    fs_put_state(1);
    for (int i = 1; i < N_STATES; i++) {
        struct bytes b = fs_ltx(i, i + 1, false);
        uint64_t saved;
        struct err e;

        cr_assert_eq(fs_apply(&b, i, i + 1, NULL, &e), 0, "to %d: %s", i + 1, e.text);
        cr_expect_eq(fs_state_of(fs_out), i + 1);
        cr_expect_eq(fs_txid_of_mark(), i + 1);
        cr_assert_eq(follow_txid_read(fs_out, &saved, &e), 0);
        cr_expect_eq(saved, i + 1);
        cr_expect_eq(fs_state_seen_by_sqlite(), i + 1);
        bytes_free(&b);
    }
}

Test(follow_apply, each_file_leads_to_the_next_state_at_every_page_size)
{
    for (uint32_t size = 512; size <= 65536; size *= 2)
        walk_through_the_states(size);
}

Test(follow_apply, a_file_applied_again_and_one_that_begins_earlier_change_nothing)
{
    struct bytes b = fs_ltx(1, 2, false), wide = fs_ltx(1, 4, false);
    struct err e;

    cr_assert_eq(fs_apply(&b, 1, 2, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(fs_apply(&b, 1, 2, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(fs_state_of(fs_out), 2);
    cr_assert_eq(fs_apply(&wide, 1, 4, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(fs_state_of(fs_out), 4);
    bytes_free(&b);
    bytes_free(&wide);
}

static int
count(sqlite3 *db, const char *query)
{
    sqlite3_stmt *stmt;
    int n = -1;

    cr_assert_eq(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), SQLITE_OK, "%s",
        sqlite3_errmsg(db));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

Test(follow_apply, readers_drop_their_caches_also_when_the_file_has_no_page_1)
{
    struct bytes b = fs_ltx(5, 6, true);
    const char *query = "SELECT count(*) FROM t WHERE b = 'x'";
    sqlite3 *db;

    fs_put_state(5);
    cr_assert_eq(sqlite3_open(fs_out, &db), SQLITE_OK);
    cr_expect_eq(count(db, query), 0);
    cr_assert_eq(fs_apply_in_child(&b, 5, 6), 0);
    cr_expect_eq(count(db, query), 1, "a stale cache");
    sqlite3_close(db);
    bytes_free(&b);
}

/* The child has begun its change. */
static void
wait_for_journal(pid_t child)
{
    while (!tmp_exists(fs_journal)) {
        cr_assert_eq(waitpid(child, NULL, WNOHANG), 0, "it ended before");
        usleep(1000);
    }
}

Test(follow_apply, a_reader_keeps_its_state_and_holds_the_change_up)
{
    struct bytes b = fs_ltx(1, 2, false);
    struct cancel cancel = { 0 };
    sqlite3 *db;
    pid_t pid;
    int status, fd[2];

    cr_assert_eq(sqlite3_open(fs_out, &db), SQLITE_OK);
    fs_sql(db, "BEGIN");
    cr_expect_eq(count(db, "SELECT count(*) FROM t"), 60);
    cr_assert_eq(pipe(fd), 0);
    pid = fork();
    if (pid == 0) {
        struct err e;

        alarm(20);
        status = fs_apply(&b, 1, 2, &cancel, &e);
        if (write(fd[1], "x", 1) != 1)
            _exit(99);
        _exit(status);
    }
    /* the fs_journal is written while the reader reads, nothing else is */
    wait_for_journal(pid);
    cr_expect_eq(count(db, "SELECT count(*) FROM t"), 60);
    cr_expect_eq(
        fs_state_of(fs_out), 1); /* reads bytes; this process' lock is lost by that */
    sqlite3_close(db);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_expect_eq(fs_state_seen_by_sqlite(), 2);
    close(fd[0]);
    close(fd[1]);
    bytes_free(&b);
}

static void
on_alarm(int signo)
{
    (void)signo;
}

static struct cancel stop;

static void
on_stop(int signo)
{
    (void)signo;
    cancel_ask(&stop);
}

Test(follow_apply, a_wait_for_readers_can_be_cancelled_and_leaves_nothing)
{
    struct bytes b = fs_ltx(1, 2, false);
    sqlite3 *db;
    pid_t pid;
    int status;

    signal(SIGALRM, on_alarm);
    cr_assert_eq(sqlite3_open(fs_out, &db), SQLITE_OK);
    fs_sql(db, "BEGIN");
    cr_expect_eq(count(db, "SELECT count(*) FROM t"), 60);
    pid = fork();
    if (pid == 0) {
        struct err e;

        signal(SIGTERM, on_stop);
        _exit(fs_apply(&b, 1, 2, &stop, &e));
    }
    wait_for_journal(pid);
    kill(pid, SIGTERM);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == ERR_CANCELLED);
    cr_expect_not(tmp_exists(fs_journal));
    sqlite3_close(db);
    cr_expect_eq(fs_state_seen_by_sqlite(), 1);
    bytes_free(&b);
}

/* --- damage ---------------------------------------------------------------------------
 */

Test(follow_apply, a_damaged_file_is_refused_before_anything_is_written)
{
    struct bytes b = fs_ltx(1, 3, false);
    struct bytes before = fs_file(fs_out);
    struct follow_file *f = NULL;
    struct err e;

    for (size_t at = 0; at < b.n; at += 97) {
        struct bytes bad = bytes_copy(b.p, b.n), now;

        bad.p[at] ^= 0x20;
        cr_expect_neq(fs_apply(&bad, 1, 3, NULL, &e), 0, "byte %zu", at);
        bad.p[at] ^= 0x20;
        bad.n = at;
        cr_expect_eq(fs_apply(&bad, 1, 3, NULL, &e), ERR_CORRUPT, "cut at %zu", at);
        now = fs_file(fs_out);
        cr_expect(now.n == before.n && memcmp(now.p, before.p, now.n) == 0);
        cr_expect_not(tmp_exists(fs_journal));
        bytes_free(&now);
        bytes_free(&bad);
    }
    cr_expect_eq(fs_take(&b, 0, 3, &f, &e), ERR_CORRUPT, "another name");
    cr_expect_eq(fs_apply(&b, 1, 3, NULL, &e), 0, "%s", e.text);
    bytes_free(&before);
    bytes_free(&b);
}

Test(follow_apply, a_file_that_does_not_fit_is_refused)
{
    struct bytes grown = fs_ltx(2, 3, false), other;
    struct err e;

    /* behind state 4, which is smaller, pages would be missing */
    fs_put_state(4);
    cr_expect_eq(fs_apply(&grown, 2, 3, NULL, &e), ERR_CORRUPT);
    cr_expect_neq(
        strstr(e.text, "neither in the file nor in the database"), NULL, "%s", e.text);
    cr_expect_eq(fs_state_of(fs_out), 4);
    bytes_free(&grown);

    fs_clean_up();
    sys_posix.unlink(fs_source_db);
    fs_page_size = 4096;
    fs_make_states();
    other = fs_ltx(4, 5, false);
    cr_expect_eq(fs_apply(&other, 4, 5, NULL, &e), ERR_UNSUPPORTED);
    cr_expect_neq(
        strstr(e.text, "page size has changed from 1024 to 4096"), NULL, "%s", e.text);
    bytes_free(&other);
}

/* --- whole images ---------------------------------------------------------------------
 */

static int
apply_image(int to, struct err *e)
{
    struct follow_db *db = NULL;
    uint64_t saved;
    int fd, rc = follow_txid_read(fs_out, &saved, e);

    tmp_write(fs_image_db, fs_state[to].p, fs_state[to].n);
    fd = open(fs_image_db, O_RDONLY | O_CLOEXEC);
    if (rc == 0)
        rc = follow_db_open(fs_out, saved, &db, e);
    if (rc == 0)
        rc = follow_image_apply(fd, fs_page_size,
            (uint32_t)(fs_state[to].n / fs_page_size), (uint64_t)to, &db, NULL, e);
    if (rc == 0)
        rc = follow_txid_write(fs_out, (uint64_t)to, e);
    follow_db_close(db);
    close(fd);
    return rc;
}

Test(follow_apply, an_image_makes_any_state_the_one_of_the_image)
{
    struct err e;

    for (int from = 1; from <= N_STATES; from++)
        for (int to = 1; to <= N_STATES; to++) {
            fs_put_state(from);
            cr_assert_eq(apply_image(to, &e), 0, "%d to %d: %s", from, to, e.text);
            cr_expect_eq(fs_state_of(fs_out), to);
            cr_expect_eq(fs_txid_of_mark(), to);
            cr_expect_eq(fs_state_seen_by_sqlite(), to);
        }
}

Test(follow_apply, an_image_leads_out_of_a_state_that_is_not_known)
{
    struct follow_db *db;
    struct err e;

    /* as another program leaves it: WAL mode, or half of a file applied */
    tmp_write(fs_out, fs_state[3].p, fs_state[3].n);
    {
        struct bytes b = fs_file(fs_out);

        b.p[18] = b.p[19] = 2;
        memset(b.p + 24, 0x5a, 4);
        memset(b.p + 5 * fs_page_size, 0x77, fs_page_size);
        tmp_write(fs_out, b.p, b.n);
        bytes_free(&b);
    }
    cr_assert_eq(follow_db_open(fs_out, 3, &db, &e), 0, "%s", e.text);
    cr_expect_eq(follow_db_txid(db), 0);
    follow_db_close(db);
    cr_assert_eq(apply_image(4, &e), 0, "%s", e.text);
    cr_expect_eq(fs_state_seen_by_sqlite(), 4);
}

/* --- what others left -----------------------------------------------------------------
 */

static int
open_result(struct err *e)
{
    struct follow_db *db = NULL;
    int rc = follow_db_open(fs_out, 1, &db, e);

    follow_db_close(db);
    return rc;
}

Test(follow_apply, a_database_that_others_wrote_to_is_not_touched)
{
    struct bytes b = fs_ltx(1, 2, false), before, after;
    struct err e;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(fs_out, &db), SQLITE_OK);
    fs_sql(db, "DELETE FROM t WHERE a = 1");
    sqlite3_close(db);
    before = fs_file(fs_out);
    cr_expect_eq(fs_apply(&b, 1, 2, NULL, &e), ERR_CONFLICT);
    after = fs_file(fs_out);
    cr_expect(before.n == after.n && memcmp(before.p, after.p, after.n) == 0);
    bytes_free(&before);
    bytes_free(&after);
    bytes_free(&b);
}

Test(follow_apply, a_writer_that_comes_while_it_is_open_is_noticed)
{
    struct bytes b = fs_ltx(1, 2, false);
    struct follow_file *f;
    struct follow_db *db;
    struct err e;
    pid_t pid;
    int status;

    cr_assert_eq(fs_take(&b, 1, 2, &f, &e), 0);
    cr_assert_eq(follow_db_open(fs_out, 1, &db, &e), 0);
    pid = fork();
    if (pid == 0) {
        sqlite3 *con;

        _exit(sqlite3_open(fs_out, &con) != SQLITE_OK ||
              sqlite3_exec(con, "DELETE FROM t", NULL, NULL, NULL) != SQLITE_OK);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_expect_eq(follow_file_apply(f, &db, NULL, &e), ERR_CONFLICT);
    cr_expect_not(tmp_exists(fs_journal));
    follow_db_close(db);
    follow_file_free(f);
    bytes_free(&b);
}

Test(follow_apply, a_database_that_was_replaced_is_noticed)
{
    struct bytes b = fs_ltx(1, 2, false);
    struct follow_file *f;
    struct follow_db *db;
    struct err e;

    cr_assert_eq(fs_take(&b, 1, 2, &f, &e), 0);
    cr_assert_eq(follow_db_open(fs_out, 1, &db, &e), 0);
    tmp_write(tmp_path("other.db"), fs_state[1].p, fs_state[1].n);
    cr_assert_eq(rename(tmp_path("other.db"), fs_out), 0);
    cr_expect_eq(follow_file_apply(f, &db, NULL, &e), ERR_CONFLICT);
    follow_db_close(db);
    cr_assert_eq(follow_db_open(fs_out, 1, &db, &e), ERR_CONFLICT);
    follow_file_free(f);
    bytes_free(&b);
}

Test(follow_apply, files_of_wal_mode_beside_it_are_refused)
{
    struct err e;

    tmp_write(tmp_path("out.db-wal"), "", 0);
    cr_expect_eq(open_result(&e), ERR_EXISTS);
    cr_expect_neq(strstr(e.text, "out.db-wal"), NULL);
    unlink(tmp_path("out.db-wal"));
    tmp_write(tmp_path("out.db-shm"), "", 0);
    cr_expect_eq(open_result(&e), ERR_EXISTS);
    unlink(tmp_path("out.db-shm"));
    cr_expect_eq(open_result(&e), 0);
    tmp_write(fs_out, "not a database", 14);
    cr_expect_eq(open_result(&e), ERR_CORRUPT);
    unlink(fs_out);
    cr_expect_eq(open_result(&e), ERR_NOT_FOUND);
}

Test(follow_apply, a_journal_that_is_not_hot_is_no_obstacle)
{
    struct bytes b = fs_ltx(1, 2, false);
    uint8_t zeros[600] = { 0 };
    struct err e;

    tmp_write(fs_journal, zeros, sizeof(zeros));
    cr_expect_eq(fs_apply(&b, 1, 2, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(fs_state_seen_by_sqlite(), 2);
    bytes_free(&b);
}
