/*
 * dbconn - the SQLite side of a worker: one connection that holds a read transaction for
 * as long as the worker runs, and a second one for the moments when something is written.
 *
 * The read transaction keeps everybody else from restarting the WAL behind our back.
 * Rules of SQLite that this rests on (sqlite.org/wal.html, sqlite.org/lockingv3.html):
 *
 *  - POSIX locks belong to (process, inode): closing any descriptor of the database or
 * its -shm file drops all locks SQLite holds on it. So nobody in a worker opens these
 * files but this module; its own descriptor for page reads is opened before the first
 *    connection and closed after the last one.
 *  - Locks are not inherited: open only in the process that uses it.
 *  - A reader on slot 0 (all of the WAL is in the database) lets nobody copy more, and
 * lets the next writer restart the WAL once; a reader on another slot lets others copy
 * frames up to its mark, and lets nobody restart.
 *
 * The two helper tables of Litestream are created once, so that either program can take
 * over: _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER), _litestream_lock(id
 * INTEGER). One thread.
 */
#ifndef WORKERS_SYNC_DBCONN_H
#define WORKERS_SYNC_DBCONN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/wal/wal_index.h"

struct dbconn; /* opaque */

/*
 * Opens an existing database, switches it to WAL mode, takes the read lock, then creates
 * the helper tables if they are missing. Nothing here but `dbconn_bump` needs the tables:
 * when another writer holds the lock they are left to it.
 *
 *   returns 0; ERR_NOT_FOUND when there is no file or it is empty (quiet: nobody creates
 * it here); ERR_CORRUPT when it is not a SQLite database; ERR_BUSY; ERR_SQLITE;
 * ERR_NO_SPACE
 */
int dbconn_open(
    const char *path, int64_t busy_timeout_ms, struct dbconn **out, struct err *e);

/* Ends the read transaction and closes everything, own descriptor last. NULL is fine. */
void dbconn_close(struct dbconn *c);

uint32_t dbconn_page_size(const struct dbconn *c); /* bytes */

/* The descriptor for page reads; any thread may pread while the dbconn is open. */
int dbconn_fd(const struct dbconn *c);

/* Of the file that a link leads to. */
const char *dbconn_wal_path(const struct dbconn *c);

/* True while the file at the path is still the one that is open, and its -shm file the
 * one that is mapped. */
bool dbconn_same_file(const struct dbconn *c);

/*
 * What the wal-index says right now, out of memory that SQLite has mapped: no system
 * call. False while a writer is at it.
 */
bool dbconn_wal_index(struct dbconn *c, struct wal_index *out);

/*
 * Up to which frame checkpoints have copied (nBackfill), out of the same memory. Pages
 * that had newer frames were left out. A restart changes the salts of the wal-index
 * first and this number then: read it before the salts that it shall belong to. False
 * when there is no wal-index.
 */
bool dbconn_n_copied(struct dbconn *c, uint32_t *n_frames);

/* The read transaction is there. */
bool dbconn_holds(const struct dbconn *c);

/* How many of them a checkpoint has set out to copy, whatever became of it. */
bool dbconn_n_copy_begun(struct dbconn *c, uint32_t *n_frames);

/* Takes the read lock again if it was lost; *lost tells that it had been. */
int dbconn_hold(struct dbconn *c, bool *lost, struct err *e);

/* seq = seq + 1 in _litestream_seq: makes a WAL with a header when there is none. */
int dbconn_bump(struct dbconn *c, struct err *e);

/*
 * The same as one that cuts the WAL file to so many bytes, if it is the write that
 * restarts the WAL: after a checkpoint that left it restartable, unless another writer
 * comes first. BUSY when one holds the write lock longer than wait_ms.
 */
int dbconn_cut(struct dbconn *c, int64_t size, int64_t wait_ms, struct err *e);

/*
 * The write lock, so that no writer moves: seal what is captured, then checkpoint. BUSY
 * when another writer holds it longer than wait_ms. The end tells for how many
 * nanoseconds it was held, 0: not at all.
 */
int dbconn_barrier_begin(struct dbconn *c, int64_t wait_ms, struct err *e);
int64_t dbconn_barrier_end(struct dbconn *c);

struct dbconn_copied {
    bool complete;    /* every frame of the WAL is in the database now */
    bool restartable; /* and no reader keeps the next writer from restarting the WAL */
};

/*
 * A PASSIVE checkpoint under the barrier; the read lock is let go and taken again inside.
 * wait_ms: how long readers in the way (and a checkpoint of another program) are waited
 * for: first those that keep frames from being copied, then those that read the WAL.
 * Readers that begin when all is copied do not touch it, so one can wait for the others.
 */
int dbconn_checkpoint(
    struct dbconn *c, int64_t wait_ms, struct dbconn_copied *out, struct err *e);

/*
 * A checkpoint ahead of one under the barrier, with writers at work, so that little is
 * left to do while they wait. It is safe without the write lock because a read lock on a
 * slot with a mark is held all the time: nobody restarts the WAL, and nobody, we
 * included, copies frames behind the mark. (The library is one in which a checkpoint
 * cannot mistake a restarted WAL for the old one.)
 *
 *   ahead_begin  takes a second read lock beside the first, with a mark at the end of
 *                the WAL. *any is false, and nothing is held, when all is copied
 *                already: it would be on slot 0.
 *   (caller)     captures everything up to the end of the WAL: the mark is then within
 *                what is captured
 *   ahead_copy   lets the first read lock go, the second takes its place; copies up to
 *                its mark. Waits some 25 ms for readers in the way. *reached: all of it
 *                was copied and is on the disk.
 *   ahead_end    gives the second one up, if it has not taken over
 */
int dbconn_ahead_begin(struct dbconn *c, bool *any, struct err *e);
int dbconn_ahead_copy(struct dbconn *c, bool *reached, struct err *e);
void dbconn_ahead_end(struct dbconn *c);

/* Version gate: ERR_UNSUPPORTED when the linked SQLite has the WAL-reset bug. */
int dbconn_check_library(struct err *e);

/* Before a fork: SQLite's tables, once for all children. */
void dbconn_prepare(void);

#endif
