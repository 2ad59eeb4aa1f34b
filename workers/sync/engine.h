/*
 * engine - turns the committed changes of one database into local L0 files.
 *
 *     CLOSED --open--> OPEN --sync--> (JOB) --> OPEN --close--> CLOSED
 *
 * The engine holds the captured position: TXID, and the byte O of the WAL up to which
 * everything is in L0 files, with the generation's salts and the checksum chain at O. A
 * sync looks at the WAL, lets `decide` say what that means, and writes at most one file.
 * A file that is large is written on a job thread; the engine is busy until `done` comes.
 * Nothing of the position changes before the file is durable under its name.
 *
 * Loop thread of a worker. One operation at a time.
 */
#ifndef WORKERS_SYNC_ENGINE_H
#define WORKERS_SYNC_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "workers/sync/checkpoint_policy.h"

struct engine; /* opaque */

struct engine_options {
    const char *db_path; /* absolute; borrowed for the engine's life */
    const char *meta;    /* local folder; borrowed for the engine's life */
    int64_t busy_timeout_ms;
    int64_t max_sync_wal_bytes; /* 0: no limit */
    int64_t min_checkpoint_pages;
    int64_t checkpoint_interval_ns;
    int64_t truncate_pages;       /* beyond, readers are waited for; <= 0: never */
    int64_t max_frozen_wal_pages; /* a WAL of more frames ends a snapshot; 0: default */
};

/* What one sync found and did. */
struct engine_report {
    bool wrote;         /* a new L0 file: txid, size, image are set */
    bool image;         /* it holds the whole database */
    bool resized;       /* with another page size than the file before it */
    const char *reason; /* why an image was needed; constant text or NULL */
    uint64_t txid;
    int64_t size;      /* bytes of the file */
    int64_t wal_bytes; /* of the WAL that went into it */
    bool more;         /* the limit was reached: sync again at once */
    int64_t again_ms;  /* > 0: the WAL was in motion, look again after this time */
    int64_t peek_ms;   /* > 0: all is captured, but a commit may be under way, which makes
                          no event: look again after this time */
    bool replaced;     /* the database or its WAL is another file now: close and open */
};

enum engine_sync_result {
    ENGINE_DONE, /* the report is filled in */
    ENGINE_JOB,  /* a job was started: `done` will come */
    ENGINE_FAILED,
};

/* From the loop when a job has ended; exactly one of report and e is not NULL. */
typedef void engine_done_cb(
    void *arg, const struct engine_report *report, const struct err *e);

struct engine *engine_new(uv_loop_t *loop, const struct engine_options *options,
    engine_done_cb *done, void *arg);
void engine_free(struct engine *eng); /* closed and not busy; NULL is fine */

/*
 * Opens the database, prepares and locks the local folder and finds the position.
 *
 *   returns 0, ERR_NOT_FOUND (no database yet, not a fault), ERR_CONFLICT (another
 * process replicates it), or what went wrong; nothing stays open then
 */
int engine_open(struct engine *eng, struct err *e);
void engine_close(struct engine *eng); /* not while busy */
bool engine_is_open(const struct engine *eng);

/* While it is open; borrowed. */
const char *engine_wal_path(const struct engine *eng);

/* TXID of the newest local L0 file, 0: none. Known once open. */
uint64_t engine_txid(const struct engine *eng);

/*
 * TXID that the local files had when the engine was opened: what a replica holds beyond
 * it was not written by this life.
 */
uint64_t engine_start_txid(const struct engine *eng);

/*
 * Replicas tell the highest TXID that any of them holds. Before the first call an engine
 * without a local position captures nothing, for it cannot name the next file.
 */
void engine_set_floor(struct engine *eng, uint64_t txid);

/*
 * False while there is neither a local position nor a floor: a sync would do nothing. */
bool engine_can_name(const struct engine *eng);

/*
 * The replica is ahead of the local files (a restored database, another machine):
 * discards the local files and goes on behind `txid` with a full image.
 */
int engine_rebase(struct engine *eng, uint64_t txid, struct err *e);

/*
 * The local files cannot be trusted: discards them and goes on with a full image, behind
 * all TXIDs that they or the replicas have used.
 */
int engine_reset(struct engine *eng, struct err *e);

/* Local files were damaged when it was opened, and are put aside. */
bool engine_found_damage(const struct engine *eng);

/*
 * One look at the WAL and at most one file. limited: stop after max_sync_wal_bytes;
 * may_job false: everything is done before it returns (final syncs, seals).
 */
enum engine_sync_result engine_sync(struct engine *eng, bool limited, bool may_job,
    struct engine_report *report, struct err *e);
bool engine_busy(const struct engine *eng);

/* Asks a job to end soon (its `done` comes with ERR_CANCELLED). */
void engine_cancel(struct engine *eng);

/*
 * True when there may be something new: two small reads. Cheap enough for every event.
 */
bool engine_has_news(struct engine *eng);

bool engine_checkpoint_due(const struct engine *eng);
int64_t engine_checkpoint_wait_ms(const struct engine *eng); /* -1: not by time */

struct engine_checkpoint {
    bool ran;      /* false: a writer held the lock, the WAL called for another sync, or
                      a snapshot is in the way for now */
    bool complete; /* all of the WAL is in the database */
    bool restartable; /* and the next writer begins it anew */
    bool blocked;     /* readers keep the WAL from being restarted, and it is larger than
                         min_checkpoint_pages */
    bool forced;      /* they were waited for as long as busy_timeout_ms */
    int64_t held_ns;  /* how long writers were kept out; 0: not at all */
    struct engine_report sealed; /* the newest file written, if any; bytes of all */
};

/*
 * Copies what is captured into the database. Captures and copies with writers at work
 * first, then the little that is left under the write lock. Not while busy.
 */
int engine_checkpoint(struct engine *eng, struct engine_checkpoint *out, struct err *e);

/*
 * After a checkpoint that left the WAL restartable: begins it anew with a write of our
 * own, and cuts the file. ERR_BUSY when a writer is at work.
 */
int engine_truncate_wal(struct engine *eng, struct err *e);

/*
 * The database as it is at the newest captured position, for a snapshot of it (frozen.h)
 * that a thread reads while everything goes on. One at a time; the engine stays open
 * until engine_thaw.
 *
 *   returns 0; ERR_AGAIN: not now (nothing captured yet, or an image is being written)
 */
struct frozen;
int engine_freeze(struct engine *eng, struct frozen **out, struct err *e);
void engine_thaw(struct engine *eng, struct frozen *f); /* after its reader has ended */

uint32_t engine_page_size(const struct engine *eng); /* bytes, 0: closed */

/* End of the captured WAL in bytes, 0: unknown. */
int64_t engine_wal_offset(const struct engine *eng);
int64_t engine_db_size(const struct engine *eng); /* bytes, 0: unknown */

/* ".../ltx/0", borrowed. */
const char *engine_l0_dir(const struct engine *eng);

#endif
