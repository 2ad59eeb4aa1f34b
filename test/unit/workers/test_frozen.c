/*
 * The view of a snapshot under random applications and checkpoints: whatever happens
 * between two pages that are read, it holds the database as it was at its TXID, byte for
 * byte as the L0 files up to there say.
 *
 * FROZEN_SEED and FROZEN_ROUNDS in the environment choose another or a longer run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "test/unit/workers/rig.h"
#include "workers/sync/compress_pool.h"
#include "workers/sync/frozen.h"

#define READER 2 /* app 2 only reads */

static struct rig r;
static uint64_t rng;
static struct frozen *view;
static struct replay then; /* the database at the view's position */
static unsigned n_whole, n_lost, n_checkpoints, n_complete, n_put_off;

static uint32_t
below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 20) % n;
}

/* --- what goes on meanwhile -----------------------------------------------------------
 */

static void
write_something(void)
{
    uint32_t seed = below(1000000);

    switch (below(7)) {
    case 0:
    case 1:
        app_sql(r.app[below(2)], "INSERT INTO t (k, b) VALUES (%u, noise(%u, %u))",
            below(1000), seed, below(3000));
        break;
    case 2:
        app_sql(r.app[below(2)],
            "UPDATE t SET b = noise(id + %u, length(b)) WHERE id %% 9 = %u", seed,
            below(9));
        break;
    case 3:
        app_sql(r.app[below(2)],
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
            "INSERT INTO t (k, b) SELECT i, noise(i + %u, 900) FROM n",
            5 + below(60), seed);
        break;
    case 4:
        app_sql(r.app[below(2)], "DELETE FROM t WHERE id %% 3 = %u", below(3));
        break;
    case 5:
        app_sql(r.app[below(2)], "PRAGMA incremental_vacuum(%u)", below(40));
        break;
    default:
        if (below(4) == 0)
            app_sql(r.app[below(2)], "VACUUM");
        break;
    }
}

static void
app_checkpoint(void)
{
    static const char *const modes[] = { "PASSIVE", "FULL", "RESTART", "TRUNCATE" };

    app_sql(r.app[below(2)], "PRAGMA busy_timeout = 5; PRAGMA wal_checkpoint(%s)",
        modes[below(4)]);
}

static void
own_checkpoint(void)
{
    struct engine_checkpoint done;
    int rc = engine_checkpoint(r.eng, &done, &r.err);

    cr_assert(rc == 0 || rc == ERR_BUSY, "%s", r.err.text);
    n_checkpoints += done.ran;
    n_complete += done.complete;
    n_put_off += rc == 0 && !done.ran;
}

static void
something_happens(void)
{
    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        write_something();
        break;
    case 3:
        app_checkpoint();
        break;
    case 4:
        cr_assert(rig_sync(&r) || r.err.code == ERR_BUSY, "%s", r.err.text);
        break;
    case 5:
    case 6:
        own_checkpoint();
        break;
    default:
        /* A reader that stays keeps checkpoints from being complete. */
        app_sql(
            r.app[READER], below(2) == 0 ? "BEGIN; SELECT count(*) FROM t" : "COMMIT");
        break;
    }
}

/* --- reading --------------------------------------------------------------------------
 */

static void
assert_page(uint64_t seed, uint32_t pgno, const uint8_t *page)
{
    const uint8_t *right = then.image + (size_t)(pgno - 1) * then.page_size;

    cr_assert(memcmp(page, right, then.page_size) == 0,
        "page %u of %u is not that of TXID %llu; FROZEN_SEED=%llu", pgno, then.commit,
        (unsigned long long)then.txid, (unsigned long long)seed);
}

/* A few pages, then something else happens. */
static void
read_slowly(uint64_t seed)
{
    struct compress_pool *pool = compress_pool_new(then.page_size, 0);
    struct page_batch *b = compress_pool_get(pool);
    uint32_t expected = 1;
    int rc;

    do {
        b->n = 0;
        b->max_pages = 1 + below(12);
        rc = frozen_fill(view, b, &r.err);
        for (uint32_t i = 0; rc == 0 && i < b->n; i++) {
            cr_assert_eq(b->pgno[i], expected++);
            assert_page(seed, b->pgno[i], b->pages + (size_t)i * then.page_size);
        }
        for (unsigned n = below(4); n > 0; n--)
            something_happens();
    } while (rc == 0 && b->n > 0);
    cr_assert(rc == 0 || rc == ERR_MOVED, "%s", r.err.text);
    if (rc == 0)
        cr_assert_eq(expected, then.commit + 1);
    if (rc != 0 && getenv("FROZEN_TRACE") != NULL)
        fprintf(stderr, "%s\n", r.err.text);
    n_whole += rc == 0;
    n_lost += rc != 0;
    compress_pool_free(pool);
}

static void
take_view(void)
{
    const struct ltx_header *h = frozen_header(view);

    cr_assert(replay_forward(&then, r.l0_dir));
    cr_assert_eq(then.txid, engine_txid(r.eng));
    cr_assert_eq(h->min_txid, 1);
    cr_assert_eq(h->max_txid, then.txid);
    cr_assert_eq(h->commit, then.commit);
    cr_assert_eq(h->page_size, then.page_size);
}

static void
begin(uint32_t page_size)
{
    rig_start(&r);
    cr_assert_eq(
        app_sql(r.app[0],
            "PRAGMA page_size = %u; PRAGMA auto_vacuum = 2; PRAGMA journal_mode = "
            "wal; CREATE TABLE t (id INTEGER PRIMARY KEY, k INT, b BLOB);"
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n "
            "WHERE i < 200) INSERT INTO t (k, b) SELECT i, noise(i, 700) FROM n",
            page_size),
        0);
    cr_assert(rig_open(&r), "%s", r.err.text);
    cr_assert(rig_sync(&r), "%s", r.err.text);
}

static void
end(void)
{
    replay_free(&then);
    then = (struct replay){ 0 };
    app_sql(r.app[READER], "COMMIT");
    rig_stop(&r);
}

static void
random_rounds(uint64_t seed, unsigned rounds)
{
    rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    begin(512u << below(4));
    for (unsigned i = 0; i < rounds; i++) {
        int rc;

        for (unsigned n = below(6); n > 0; n--)
            something_happens();
        rc = engine_freeze(r.eng, &view, &r.err);
        if (rc == ERR_AGAIN) {
            rig_sync(&r);
            continue;
        }
        cr_assert_eq(rc, 0, "%s", r.err.text);
        take_view();
        read_slowly(seed);
        engine_thaw(r.eng, view);
    }
    app_sql(r.app[READER], "COMMIT");
    rig_sync(&r);
    end();
}

static unsigned
number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Each seed in a process and a folder of its own. */
static void
run_seed(unsigned nth)
{
    random_rounds(number("FROZEN_SEED", 1) + nth, number("FROZEN_ROUNDS", 12));
    fprintf(stderr, "%u whole, %u given up, %u checkpoints, %u complete, %u put off\n",
        n_whole, n_lost, n_checkpoints, n_complete, n_put_off);
    cr_expect_gt(n_whole, n_lost, "%u whole, %u given up", n_whole, n_lost);
    cr_expect_gt(n_complete, 10);
    cr_expect_gt(n_checkpoints, n_complete, "some have to be incomplete");
}

#define SEED_TEST(nth)                                                                   \
    Test(frozen, holds_its_transaction_whatever_happens_##nth, .timeout = 280)           \
    {                                                                                    \
        run_seed(nth);                                                                   \
    }

SEED_TEST(0)
SEED_TEST(1)
SEED_TEST(2)
SEED_TEST(3)
SEED_TEST(4)
SEED_TEST(5)

/* --- single cases ---------------------------------------------------------------------
 */

static int
read_on(uint32_t pages, uint32_t *got)
{
    struct compress_pool *pool = compress_pool_new(then.page_size, 0);
    struct page_batch *b = compress_pool_get(pool);
    int rc;

    if (pages < b->max_pages)
        b->max_pages = pages;
    rc = frozen_fill(view, b, &r.err);
    for (uint32_t i = 0; rc == 0 && i < b->n; i++)
        assert_page(0, b->pgno[i], b->pages + (size_t)i * then.page_size);
    *got = b->n;
    compress_pool_free(pool);
    return rc;
}

static void
freeze(void)
{
    cr_assert_eq(engine_freeze(r.eng, &view, &r.err), 0, "%s", r.err.text);
    take_view();
}

Test(frozen, a_vacuum_that_shrinks_the_file_loses_nothing)
{
    uint32_t got;

    begin(1024);
    freeze();
    cr_assert_eq(read_on(3, &got), 0);
    cr_assert_eq(app_sql(r.app[0], "DELETE FROM t WHERE id > 5; VACUUM"), 0);
    cr_assert(rig_sync(&r));
    own_checkpoint();
    cr_assert_eq(n_complete, 1);
    do
        cr_assert_eq(read_on(100, &got), 0, "%s", r.err.text);
    while (got > 0);
    engine_thaw(r.eng, view);
    end();
}

Test(frozen, there_is_none_before_all_is_captured)
{
    rig_start(&r);
    cr_assert_eq(
        app_sql(r.app[0], "PRAGMA journal_mode = wal; CREATE TABLE t (id, k, b)"), 0);
    cr_assert(rig_open(&r));
    cr_expect_eq(engine_freeze(r.eng, &view, &r.err), ERR_AGAIN);
    cr_assert(rig_sync(&r));
    freeze();
    engine_thaw(r.eng, view);
    end();
}

/* Others may copy all that our read lock covers: what is behind the position, too. */
Test(frozen, there_is_none_while_a_backlog_is_captured)
{
    begin(1024);
    rig_close(&r);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(
            app_sql(r.app[0], "INSERT INTO t (b) VALUES (noise(%d, 20000))", i), 0);
    r.opt.max_sync_wal_bytes = 30000;
    cr_assert(rig_open(&r));
    cr_assert_eq(rig_sync_once(&r, true, false), ENGINE_DONE);
    cr_assert(r.report.more);
    cr_expect_eq(engine_freeze(r.eng, &view, &r.err), ERR_AGAIN);
    cr_assert(rig_sync(&r));
    freeze();
    engine_thaw(r.eng, view);
    end();
}

Test(frozen, a_discarded_history_ends_it)
{
    uint32_t got;

    begin(1024);
    freeze();
    cr_assert_eq(engine_rebase(r.eng, 100, &r.err), 0);
    cr_expect_eq(read_on(3, &got), ERR_MOVED);
    cr_expect_not_null(strstr(r.err.text, "discarded"), "%s", r.err.text);
    engine_thaw(r.eng, view);
    end();
}

static ssize_t
no_space(int fd, const void *buf, size_t n, off_t off)
{
    (void)fd;
    (void)buf;
    (void)n;
    (void)off;
    errno = ENOSPC;
    return -1;
}

/* What cannot be saved ends the view, not the checkpoint. */
Test(frozen, no_space_to_save_ends_it_and_the_checkpoint_goes_on)
{
    struct sys_ops full = sys_posix;
    uint32_t got;

    begin(4096);
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id, 9000)"), 0);
    cr_assert(rig_sync(&r));
    freeze();
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id + 1, 9000)"), 0);
    cr_assert(rig_sync(&r));
    full.pwrite = no_space;
    sys = &full;
    own_checkpoint();
    sys = &sys_posix;
    cr_expect_eq(n_complete, 1);
    cr_expect_eq(read_on(3, &got), ERR_MOVED);
    engine_thaw(r.eng, view);
    end();
}

static void
read_the_rest(void)
{
    uint32_t got;

    do
        cr_assert_eq(read_on(100, &got), 0, "%s", r.err.text);
    while (got > 0);
}

/* A writer is in the way of the rest, but not of what is copied before. */
Test(frozen, frames_are_copied_below_it_while_a_writer_is_at_work)
{
    struct engine_checkpoint done;
    struct stat before, after;
    uint32_t got;

    begin(1024);
    own_checkpoint();
    freeze();
    cr_assert_eq(read_on(3, &got), 0);
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id + 1, 1500)"), 0);
    cr_assert_eq(app_sql(r.app[1], "BEGIN IMMEDIATE"), 0);
    cr_assert_eq(stat(r.db, &before), 0); /* to open and close it would end locks */
    cr_assert_eq(engine_checkpoint(r.eng, &done, &r.err), 0, "%s", r.err.text);
    cr_assert_not(done.ran);
    cr_assert_eq(done.held_ns, 0);
    cr_assert_eq(stat(r.db, &after), 0);
    cr_assert_gt(after.st_size, before.st_size, "pages were added to the file");
    cr_assert_eq(app_sql(r.app[1], "COMMIT"), 0);
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id + 2, length(b))"), 0);
    cr_assert_eq(read_on(30, &got), 0, "%s", r.err.text);
    own_checkpoint();
    cr_assert_eq(n_complete, 2);
    cr_assert_eq(app_sql(r.app[0], "DELETE FROM t WHERE id > 50; VACUUM"), 0);
    own_checkpoint();
    cr_assert_eq(n_complete, 3);
    read_the_rest();
    engine_thaw(r.eng, view);
    end();
}

Test(frozen, a_checkpoint_that_had_to_save_too_much_is_put_off)
{
    struct engine_checkpoint done;
    uint32_t got;

    begin(65536);
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id, 400000)"), 0);
    cr_assert(rig_sync(&r));
    r.opt.max_frozen_wal_pages = 0;
    freeze();
    cr_assert_eq(app_sql(r.app[0], "UPDATE t SET b = noise(id + 1, 400000)"), 0);
    cr_assert(rig_sync(&r));
    cr_assert_eq(engine_checkpoint(r.eng, &done, &r.err), 0, "%s", r.err.text);
    cr_expect_not(done.ran);
    cr_expect_eq(done.held_ns, 0, "writers are not kept out for nothing");
    cr_assert_eq(read_on(3, &got), 0, "%s", r.err.text);
    for (uint32_t n = got; then.commit - n > 900; n += got)
        cr_assert_eq(read_on(100, &got), 0, "%s", r.err.text);
    own_checkpoint();
    cr_expect_eq(n_complete, 1);
    read_the_rest();
    engine_thaw(r.eng, view);
    end();
}
