#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "common/base/must.h"
#include "common/base/sys.h"
#include "workers/sync/dbconn_impl.h"

/*
 * Pauses between tries to take the write lock. A busy application lets go of it for some
 * 10 us between two transactions; the pauses of SQLite's own busy handler (1 ms and more)
 * would miss them for minutes while the WAL grows.
 */
#define EAGER_PAUSE_NS 100000L
#define EAGER_TRIES 200
#define PATIENT_PAUSE_NS 500000L

/* Between two looks at whether readers have gone. */
#define READER_PAUSE_NS 500000L

/* Tries to copy with writers at work, and how many in a row may bring nothing forward. */
#define AHEAD_TRIES 50
#define AHEAD_STUCK 20

/* Locks in the wal-index: of writers, of slots 1 to 4 (sqlite.org/walformat.html). */
#define WRITE_LOCK 0
#define SLOT_1_LOCK 4
#define N_SLOTS 4

int
dbconn_bump(struct dbconn *c, struct err *e)
{
    int rc;

    must(!c->barrier);
    rc = dbconn_open_writer(c, c->busy_timeout_ms, e);
    if (rc == 0)
        rc = dbconn_create_tables(c->writer, e);
    if (rc == 0)
        rc = dbconn_exec(c->writer,
            "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) "
            "ON CONFLICT (id) DO UPDATE SET seq = seq + 1",
            e, "write _litestream_seq");
    dbconn_close_writer(c);
    return rc;
}

int
dbconn_cut(struct dbconn *c, int64_t size, int64_t wait_ms, struct err *e)
{
    char sql[64];
    int rc;

    must(!c->barrier);
    sqlite3_snprintf(
        (int)sizeof(sql), sql, "PRAGMA journal_size_limit = %lld", (long long)size);
    rc = dbconn_open_writer(c, wait_ms, e);
    if (rc == 0)
        rc = dbconn_exec(c->writer, sql, e, "limit the size of the WAL");
    if (rc == 0) /* without the table there is nothing to cut with */
        rc = dbconn_exec(c->writer,
            "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) "
            "ON CONFLICT (id) DO UPDATE SET seq = seq + 1",
            e, "write _litestream_seq");
    dbconn_close_writer(c);
    return rc;
}

/* --- the write lock -------------------------------------------------------------------
 */

static int
shm_lock(struct dbconn *c, int first, int n, int flags)
{
    sqlite3_file *f = NULL;

    if (sqlite3_file_control(c->reader, "main", SQLITE_FCNTL_FILE_POINTER, &f) !=
            SQLITE_OK ||
        f == NULL || f->pMethods == NULL || f->pMethods->iVersion < 2)
        return SQLITE_MISUSE;
    return f->pMethods->xShmLock(f, first, n, flags | SQLITE_SHM_EXCLUSIVE);
}

/*
 * The lock itself, not a transaction: that would read the WAL, and be the reader that
 * keeps it from being restarted. A wal-index that a dying writer left half-written is
 * mended by the next transaction, which needs this lock.
 */
int
dbconn_barrier_begin(struct dbconn *c, int64_t wait_ms, struct err *e)
{
    int64_t left_ns =
        (wait_ms < c->busy_timeout_ms ? wait_ms : c->busy_timeout_ms) * 1000000;
    struct wal_index index;
    int rc;

    must(!c->barrier);
    for (int i = 0;; i++) {
        struct timespec pause = { .tv_nsec = i < EAGER_TRIES ? EAGER_PAUSE_NS
                                                             : PATIENT_PAUSE_NS };

        rc = shm_lock(c, WRITE_LOCK, 1, SQLITE_SHM_LOCK);
        if (rc != SQLITE_BUSY || left_ns < pause.tv_nsec)
            break;
        left_ns -= pause.tv_nsec;
        nanosleep(&pause, NULL);
    }
    if (rc != SQLITE_OK)
        return dbconn_sqlite_err(NULL, rc, e, "take the write lock");
    c->barrier = true;
    c->barrier_from = mono_now();
    if (!dbconn_wal_index(c, &index)) {
        dbconn_barrier_end(c);
        return err_set(e, ERR_BUSY, "the wal-index is half-written");
    }
    return 0;
}

int64_t
dbconn_barrier_end(struct dbconn *c)
{
    if (!c->barrier)
        return 0;
    must(shm_lock(c, WRITE_LOCK, 1, SQLITE_SHM_UNLOCK) == SQLITE_OK);
    c->barrier = false;
    return mono_since_ns(c->barrier_from);
}

/* --- checkpoints ----------------------------------------------------------------------
 */

static void
pause_for_readers(void)
{
    const struct timespec pause = { .tv_nsec = READER_PAUSE_NS };

    nanosleep(&pause, NULL);
}

/* One PASSIVE checkpoint; both numbers are -1 when another program is at it. */
static int
copy_once(sqlite3 *db, int *n_frames, int *n_copied, struct err *e)
{
    int rc;

    *n_frames = *n_copied = -1;
    rc = sqlite3_wal_checkpoint_v2(
        db, "main", SQLITE_CHECKPOINT_PASSIVE, n_frames, n_copied);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        return dbconn_sqlite_err(db, rc, e, "copy the WAL into the database");
    if (rc != SQLITE_OK)
        *n_frames = *n_copied = -1;
    return 0;
}

/* Nobody reads the WAL: what the next writer will find when it wants to restart it. */
static bool
no_reader_in_wal(struct dbconn *c)
{
    if (shm_lock(c, SLOT_1_LOCK, N_SLOTS, SQLITE_SHM_LOCK) != SQLITE_OK)
        return false;
    must(shm_lock(c, SLOT_1_LOCK, N_SLOTS, SQLITE_SHM_UNLOCK) == SQLITE_OK);
    return true;
}

static int
copy_all(struct dbconn *c, int64_t wait_ms, struct dbconn_copied *out, struct err *e)
{
    struct mono until = mono_add_ms(mono_now(), wait_ms);
    int n_frames, n_copied, rc;

    for (;;) {
        if (!out->complete) {
            rc = copy_once(c->reader, &n_frames, &n_copied, e);
            if (rc != 0)
                return rc;
            out->complete = n_frames >= 0 && n_frames == n_copied;
        }
        out->restartable = out->complete && no_reader_in_wal(c);
        if (out->restartable || mono_reached(until))
            return 0;
        pause_for_readers();
    }
}

int
dbconn_checkpoint(
    struct dbconn *c, int64_t wait_ms, struct dbconn_copied *out, struct err *e)
{
    struct err again;
    int rc;

    must(c->barrier);
    *out = (struct dbconn_copied){ 0 };
    rc = dbconn_exec(c->reader, "ROLLBACK", e, "end read transaction");
    if (rc == 0)
        rc = copy_all(c, wait_ms, out, e);
    /* Back before writers may run again, whatever became of the checkpoint. */
    if (dbconn_begin_read(c->reader, rc == 0 ? e : &again) != 0 && rc == 0)
        rc = err_wrap(e, "take the read lock again");
    return rc;
}

/* --- copying ahead of a checkpoint, with writers at work ------------------------------
 */

int
dbconn_ahead_begin(struct dbconn *c, bool *any, struct err *e)
{
    struct wal_index before, after;
    uint32_t n_copied;
    int rc;

    must(c->ahead == NULL && !c->barrier);
    *any = false;
    if (!dbconn_wal_index(c, &before))
        return 0;
    rc = dbconn_connect(c, c->busy_timeout_ms, &c->ahead, e);
    if (rc == 0)
        rc = dbconn_begin_read(c->ahead, e);
    /*
     * It is on slot 0 if all frames were copied at that moment. In one generation
     * n_copied only grows, and so does the number of frames: fewer copied afterwards than
     * there were frames before means that it is on a slot with a mark.
     */
    if (rc == 0)
        *any = dbconn_n_copied(c, &n_copied) && dbconn_wal_index(c, &after) &&
               wal_salt_equal(before.salt, after.salt) &&
               n_copied < before.last_frame_no && dbconn_same_file(c);
    if (!*any)
        dbconn_ahead_end(c);
    c->ahead_frame_no = before.last_frame_no;
    return rc;
}

void
dbconn_ahead_end(struct dbconn *c)
{
    if (c->ahead == NULL)
        return;
    if (sqlite3_get_autocommit(c->ahead) == 0)
        sqlite3_exec(c->ahead, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(c->ahead);
    c->ahead = NULL;
}

static int
copy_up_to(sqlite3 *db, uint32_t frame_no, bool *reached, struct err *e)
{
    int n_best = -1, n_stuck = 0, n_frames, n_copied, rc;

    for (int i = 0; i < AHEAD_TRIES && n_stuck < AHEAD_STUCK; i++) {
        if (i > 0)
            pause_for_readers();
        rc = copy_once(db, &n_frames, &n_copied, e);
        if (rc != 0)
            return rc;
        *reached = n_copied >= 0 && (uint32_t)n_copied >= frame_no;
        if (*reached)
            return 0;
        n_stuck = n_copied > n_best ? 0 : n_stuck + 1;
        n_best = n_copied > n_best ? n_copied : n_best;
    }
    return 0;
}

int
dbconn_ahead_copy(struct dbconn *c, bool *reached, struct err *e)
{
    sqlite3 *old = c->reader;
    int rc;

    must(c->ahead != NULL && !c->barrier);
    *reached = false;
    c->reader = c->ahead;
    c->ahead = NULL;
    rc = dbconn_exec(old, "ROLLBACK", e, "end read transaction");
    if (rc == 0)
        rc = copy_up_to(old, c->ahead_frame_no, reached, e);
    sqlite3_close(old);
    /* SQLite leaves this to the checkpoint that is complete, with writers waiting. */
    if (rc == 0 && sys->fsync(c->fd) != 0) {
        *reached = false;
        rc = err_errno(e, errno, "sync %s", c->path);
    }
    return rc;
}
