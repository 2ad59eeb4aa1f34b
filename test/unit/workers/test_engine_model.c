/*
 * Random applications against the engine: after every sync that came to rest the L0
 * files, applied one after the other, must be the database byte for byte.
 *
 * MODEL_SEED (default 1) and MODEL_STEPS (default 400) in the environment choose another
 * or a longer run; a failure prints the seed and the last steps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/support/fault.h"
#include "test/unit/workers/rig.h"

#define N_WRITERS 2
#define READER 2 /* app 2 only reads */
#define N_LOG 40

static struct rig r;
static uint64_t rng;
static char log_lines[N_LOG][160];
static unsigned n_log;
static bool in_txn[RIG_APPS];
static unsigned n_checks, n_died;

static uint32_t
below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 20) % n;
}

__attribute__((format(printf, 1, 2))) static void
note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(log_lines[n_log++ % N_LOG], sizeof(log_lines[0]), fmt, ap);
    va_end(ap);
    if (getenv("MODEL_TRACE") != NULL)
        fprintf(stderr, "%u %s\n", n_log, log_lines[(n_log - 1) % N_LOG]);
}

static void
fail(const char *what, uint64_t seed)
{
    for (unsigned i = n_log > N_LOG ? n_log - N_LOG : 0; i < n_log; i++)
        fprintf(stderr, "  %u %s\n", i + 1, log_lines[i % N_LOG]);
    cr_assert_fail("%s; MODEL_SEED=%llu, step %u: %s", what, (unsigned long long)seed,
        n_log, r.err.text);
}

/* --- what applications do -------------------------------------------------------------
 */

static void
sql(unsigned app, const char *text)
{
    int rc = app_sql(r.app[app], "%s", text);

    note("app %u: %s = %d", app, text, rc);
    if (rc != 0)
        in_txn[app] = false;
    if (rc == APP_DIED)
        n_died++;
}

static void
random_change(char *out, size_t size)
{
    unsigned k = below(1000), n = 1 + below(4), bytes = below(3000);
    uint32_t seed = below(1000000);

    switch (below(8)) {
    case 0:
    case 1:
        snprintf(
            out, size, "INSERT INTO t (k, b) VALUES (%u, noise(%u, %u))", k, seed, bytes);
        break;
    case 2:
        snprintf(out, size,
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < "
            "%u) INSERT INTO t (k, b) SELECT i, noise(i + %u, %u) FROM n",
            5 + below(60), seed, bytes / 2);
        break;
    case 3:
        snprintf(out, size, "UPDATE t SET b = noise(id + %u, %u) WHERE k %% 7 = %u", seed,
            bytes / 4, below(7));
        break;
    case 4:
        snprintf(out, size, "UPDATE t SET b = noise(id + %u, length(b)) WHERE k = %u",
            seed, k);
        break;
    case 5:
        snprintf(out, size, "DELETE FROM t WHERE k BETWEEN %u AND %u", k, k + 10 * n);
        break;
    case 6:
        snprintf(out, size, "DELETE FROM t WHERE id %% 3 = %u", below(3));
        break;
    default:
        snprintf(out, size,
            below(2) == 0 ? "CREATE INDEX IF NOT EXISTS x ON t (k)"
                          : "DROP INDEX IF EXISTS x");
        break;
    }
}

static void
change(unsigned app)
{
    char one[320], text[1200];

    random_change(one, sizeof(one));
    if (!in_txn[app] && below(3) == 0) {
        snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s", one);
        in_txn[app] = true; /* goes on in later steps */
    } else if (below(6) == 0) {
        snprintf(text, sizeof(text), "SAVEPOINT s; %s; ROLLBACK TO s; RELEASE s", one);
    } else {
        snprintf(text, sizeof(text), "%s", one);
    }
    sql(app, text);
}

static void
end_txn(unsigned app, bool commit)
{
    if (in_txn[app])
        sql(app, commit ? "COMMIT" : "ROLLBACK");
    in_txn[app] = false;
}

static void
settings(unsigned app)
{
    static const char *const some[] = { "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA wal_autocheckpoint = 5", "PRAGMA wal_autocheckpoint = 40",
        "PRAGMA cache_size = 5", "PRAGMA cache_size = 200",
        "PRAGMA journal_size_limit = 0", "PRAGMA journal_size_limit = 20000",
        "PRAGMA journal_size_limit = -1", "PRAGMA synchronous = OFF",
        "PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL" };

    if (!in_txn[app])
        sql(app, some[below(sizeof(some) / sizeof(some[0]))]);
}

static void
upkeep(unsigned app)
{
    static const char *const some[] = { "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(FULL)", "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA incremental_vacuum(3)" };

    if (!in_txn[app])
        sql(app, some[below(sizeof(some) / sizeof(some[0]))]);
}

static void
die(unsigned app)
{
    char text[400];

    if (below(3) == 0) {
        note("app %u: killed", app);
        app_kill(r.app[app]);
    } else {
        app_die_at(
            r.app[app], below(2) == 0 ? APP_WAL_WRITE : APP_WAL_SYNC, 1 + below(6));
        random_change(text, sizeof(text));
        sql(app, text);
        sql(app, "COMMIT");
        app_kill(r.app[app]);
    }
    in_txn[app] = false;
    n_died++;
}

static void
reader(void)
{
    sql(READER, in_txn[READER] ? "COMMIT" : "BEGIN; SELECT count(*) FROM t");
    in_txn[READER] = !in_txn[READER];
}

/* Other modes and page sizes need an exclusive moment: without us and all others. */
static void
rebuild(void)
{
    static const unsigned sizes[] = { 512, 1024, 4096, 8192 };
    char text[200];

    for (unsigned i = 0; i < RIG_APPS; i++) {
        end_txn(i, below(2) == 0);
        app_close_db(r.app[i]);
    }
    if (below(3) != 0)
        snprintf(text, sizeof(text), "PRAGMA journal_mode = delete");
    else
        snprintf(text, sizeof(text),
            "PRAGMA journal_mode = delete; PRAGMA auto_vacuum = %u;"
            "PRAGMA page_size = %u; VACUUM",
            below(3), sizes[below(4)]);
    sql(0, text);
    change(0);
    end_txn(0, true);
    if (below(2) == 0)
        sql(0, "PRAGMA journal_mode = wal");
    app_close_db(r.app[0]);
}

static void
app_step(void)
{
    unsigned app = below(N_WRITERS);

    switch (below(24)) {
    case 0:
    case 1:
        settings(app);
        break;
    case 2:
    case 3:
    case 4:
        upkeep(app);
        break;
    case 5:
    case 6:
        reader();
        break;
    case 7:
        die(app);
        break;
    case 8:
        end_txn(app, true);
        app_close_db(r.app[app]);
        note("app %u: closed", app);
        break;
    case 9:
    case 10:
        end_txn(app, false);
        break;
    case 11:
    case 12:
    case 13:
        end_txn(app, true);
        break;
    default:
        change(app);
        break;
    }
}

/* --- what the engine does -------------------------------------------------------------
 */

static void
check(uint64_t seed)
{
    bool ok = (r.eng != NULL || rig_open(&r)) && rig_sync(&r);

    if (!ok && r.err.code == ERR_BUSY) { /* end what is in its way */
        for (unsigned i = 0; i < RIG_APPS; i++) {
            end_txn(i, below(2) == 0);
            if (r.eng == NULL)
                app_close_db(r.app[i]);
        }
        ok = (r.eng != NULL || rig_open(&r)) && rig_sync(&r);
    }
    note("check: txid %llu", (unsigned long long)engine_txid(r.eng));
    if (!ok)
        fail("sync failed", seed);
    if (!rig_equal(&r))
        fail("the files are not the database", seed);
    n_checks++;
}

/* One look, and one of its system calls fails. */
static void
sync_with_fault(void)
{
    static const int errors[] = { EIO, ENOSPC, EINTR };
    unsigned nth = 1 + below(25);

    fault_off(); /* so that any number may follow */
    fault_nth((int)nth, errors[below(3)]);
    note("sync, call %u fails: %d", nth, (int)rig_sync_once(&r, false, false));
    fault_off();
}

static void
checkpoint(uint64_t seed)
{
    struct engine_checkpoint c;

    if (engine_checkpoint(r.eng, &c, &r.err) != 0 && r.err.code != ERR_BUSY)
        fail("checkpoint failed", seed);
    note("checkpoint: ran %d complete %d", c.ran, c.complete);
}

static void
engine_step(uint64_t seed)
{
    if (r.eng == NULL) {
        if (below(4) == 0) {
            note("daemon starts");
            check(seed);
        } else if (below(4) == 0) {
            rebuild();
        }
        return;
    }
    switch (below(10)) {
    case 0:
    case 1:
        rig_sync_once(&r, below(2) == 0, below(2) == 0);
        note("sync: wrote %d", r.report.wrote);
        if (r.report.replaced)
            check(seed);
        break;
    case 2:
    case 3:
    case 4:
        checkpoint(seed);
        break;
    case 5:
        sync_with_fault();
        break;
    case 6:
        rig_close(&r);
        note("daemon ends");
        break;
    default:
        check(seed);
        break;
    }
}

/* Applications and the engine at the same time. */
static void
race(uint64_t seed)
{
    char one[320], text[4000] = "";
    size_t len = 0;

    for (unsigned i = 0; i < N_WRITERS; i++)
        end_txn(i, true);
    for (unsigned i = 0; i < 6; i++) {
        random_change(one, sizeof(one));
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s;", one);
        if (below(4) == 0)
            len += (size_t)snprintf(
                text + len, sizeof(text) - len, "PRAGMA wal_checkpoint(TRUNCATE);");
    }
    app_go(r.app[0], "%s", text);
    app_go(r.app[1], "%s", text);
    for (unsigned i = 0; i < 20; i++) {
        rig_sync_once(&r, below(2) == 0, below(4) == 0);
        if (below(4) == 0 && !r.report.replaced)
            checkpoint(seed);
    }
    note("race: %d", app_wait(r.app[0]));
    note("race: %d", app_wait(r.app[1]));
    check(seed);
}

static uint64_t
from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void
run(uint64_t seed, uint64_t steps)
{
    rng = seed * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < 20; i++)
        below(2);
    rig_start(&r);
    r.opt.max_sync_wal_bytes = below(2) == 0 ? 20000 : 0;
    r.opt.busy_timeout_ms = 5;
    app_sql(r.app[0],
        "PRAGMA page_size = %u; PRAGMA auto_vacuum = %u; PRAGMA journal_mode = wal;"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k INT, b BLOB)",
        512u << below(5), below(3));
    check(seed);
    for (uint64_t i = 0; i < steps; i++) {
        for (unsigned n = below(4); n > 0; n--)
            app_step();
        engine_step(seed);
        if (r.eng != NULL && below(40) == 0)
            race(seed);
    }
    check(seed);
    fprintf(stderr, "seed %llu: %u checks, %u deaths, txid %llu, %u full images\n",
        (unsigned long long)seed, n_checks, n_died, (unsigned long long)r.replay.txid,
        r.replay.n_images);
    rig_stop(&r);
}

Test(engine_model, files_are_the_database_after_any_history)
{
    run(from_env("MODEL_SEED", 1), from_env("MODEL_STEPS", 400));
}

Test(engine_model, files_are_the_database_after_any_other_history)
{
    run(from_env("MODEL_SEED", 1) + 1000000, from_env("MODEL_STEPS", 400));
}
