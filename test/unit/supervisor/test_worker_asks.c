/*
 * Snapshots and checkpoints that the table asks a real worker for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <uv.h>

#include "common/base/proc.h"
#include "supervisor/db_table.h"
#include "test/unit/support/tmp.h"
#include "workers/worker.h"

#define PATIENCE_MS 60000

static uv_loop_t loop;
static uv_signal_t sigchld;
static uv_timer_t limit;
static struct db_table *table;
static struct cfg_share *share;
static const struct cfg_db *db;
static bool idle;
static struct db_answer got;
static unsigned n_got;

static void
on_answer(void *arg, const struct db_answer *a)
{
    (void)arg;
    got = *a;
    n_got++;
}

static void
on_idle(void *arg)
{
    (void)arg;
    idle = true;
}

static void
on_sigchld(uv_signal_t *h, int signum)
{
    (void)h;
    (void)signum;
    db_table_on_sigchld(table);
}

static void
on_limit(uv_timer_t *h)
{
    (void)h;
    cr_assert_fail("nothing happened");
}

/* An application in a process of its own: this one must not hold SQLite's locks. */
static void
sql(const char *text)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        sqlite3 *con;
        int rc = sqlite3_open(db->path, &con);

        rc = rc != 0 ? rc : sqlite3_exec(con, text, NULL, NULL, NULL);
        sqlite3_close(con);
        _exit(rc);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}

static void
set_up(void)
{
    struct db_table_options options = { .loop = &loop, .idle = on_idle };
    char *text;
    struct config *c;
    struct err e;

    cr_assert_gt(asprintf(&text,
                     "dbs:\n  - path: %s\n    replicas:\n      - path: %s\n"
                     "      - path: %s\n",
                     tmp_path("a.db"), tmp_path("one"), tmp_path("two")),
        0);
    cr_assert_eq(config_parse(text, strlen(text), "test", NULL, &c, &e), 0, "%s", e.text);
    free(text);
    db = &c->dbs[0];
    sql("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    signal(SIGPIPE, SIG_IGN);
    proc_set_role(PROC_SUPERVISOR);
    worker_prepare();
    cr_assert_eq(uv_loop_init(&loop), 0);
    uv_signal_init(&loop, &sigchld);
    uv_signal_start(&sigchld, on_sigchld, SIGCHLD);
    uv_timer_init(&loop, &limit);
    uv_timer_start(&limit, on_limit, PATIENCE_MS, 0);
    share = cfg_share_new(c, true);
    table = db_table_new(&options);
    cr_assert_eq(db_table_add(table, share, db, DB_FROM_CONFIG, &e), 0, "%s", e.text);
}

static void
clean_up(void)
{
    db_table_end(table, false);
    idle = false;
    while (!idle)
        uv_run(&loop, UV_RUN_ONCE);
    cr_expect_eq(db_table_n_failed(table), 0);
    db_table_free(table, NULL, NULL);
    uv_close((uv_handle_t *)&sigchld, NULL);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&loop), 0);
    cfg_share_put(share);
}

TestSuite(worker_asks, .init = set_up, .fini = clean_up, .timeout = 120);

static void
ask(const struct msg *m)
{
    unsigned before = n_got;
    struct err e;

    while (db_table_ask(table, db->path, m, 0, on_answer, NULL, &e) == ERR_BUSY)
        uv_run(&loop, UV_RUN_ONCE); /* no worker yet */
    while (n_got == before)
        uv_run(&loop, UV_RUN_ONCE);
}

static bool
has_snapshot(const char *replica, uint64_t txid)
{
    char name[128];

    snprintf(name, sizeof(name), "%s/ltx/9/0000000000000001-%016llx.ltx", replica,
        (unsigned long long)txid);
    return tmp_exists(tmp_path(name));
}

Test(worker_asks, a_snapshot_of_what_was_committed_is_on_every_replica_when_answered)
{
    static const struct msg snapshot = { .head.id = MSG_SNAPSHOT };
    uint64_t first;

    ask(&snapshot); /* also while the worker still starts */
    cr_assert_eq(got.err.code, ERR_OK, "%s", got.err.text);
    first = got.txid;
    cr_expect_gt(first, 0);
    cr_expect(has_snapshot("one", first) && has_snapshot("two", first));
    sql("INSERT INTO t VALUES (2)");
    ask(&snapshot);
    cr_assert_eq(got.err.code, ERR_OK, "%s", got.err.text);
    cr_expect_gt(got.txid, first);
    cr_expect(has_snapshot("one", got.txid) && has_snapshot("two", got.txid));
}

Test(worker_asks, a_checkpoint_copies_the_wal_into_the_database)
{
    struct msg m = { .head.id = MSG_CHECKPOINT,
        .u.checkpoint.mode = MSG_CHECKPOINT_PASSIVE };
    struct stat before, after;

    ask(&(struct msg){ .head.id = MSG_SYNC });
    cr_assert_eq(stat(db->path, &before), 0);
    sql("INSERT INTO t SELECT randomblob(100000)");
    ask(&m);
    cr_assert_eq(got.err.code, ERR_OK, "%s", got.err.text);
    cr_expect(got.complete);
    cr_assert_eq(stat(db->path, &after), 0);
    cr_expect_gt(after.st_size, before.st_size + 90000);
    sql("INSERT INTO t SELECT randomblob(200000)");
    m.u.checkpoint.mode = MSG_CHECKPOINT_FULL;
    ask(&m);
    cr_assert_eq(got.err.code, ERR_OK, "%s", got.err.text);
    cr_expect(got.complete);
    cr_assert_eq(stat(db->path, &before), 0);
    cr_expect_gt(before.st_size, after.st_size + 190000);
    m.u.checkpoint.mode = 99;
    ask(&m);
    cr_expect_eq(got.err.code, ERR_UNSUPPORTED);
}

Test(worker_asks, without_a_database_the_answer_says_so)
{
    static const struct msg snapshot = { .head.id = MSG_SNAPSHOT };

    unlink(db->path);
    unlink(tmp_path("a.db-wal"));
    unlink(tmp_path("a.db-shm"));
    ask(&snapshot);
    cr_expect_eq(got.err.code, ERR_NOT_FOUND, "%s", got.err.text);
    cr_expect_eq(got.txid, 0);
}
