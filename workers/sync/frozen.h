/*
 * frozen - the database as it was at one captured position, for a thread that reads it
 * page by page while writers write and our own checkpoints go on.
 *
 * A page is read from the first place that has it:
 *   saved   what a checkpoint of ours was about to overwrite
 *   map     its newest frame in the WAL up to the position
 *   file    the database file
 *
 * Why the file is right for all other pages: nobody copies a frame behind the position
 * over them without saving them first. Others may copy only frames up to the mark of our
 * read lock, and whenever that mark rises above the position it does so in a checkpoint
 * of ours, which has captured everything up to the new mark and has saved every page that
 * a frame behind the position changes, or that the file loses because the database
 * shrank (sqlite.org/wal.html; workers/sync/dbconn.h). A database that shrinks and grows
 * again in between has all pages that it grew by in these frames. Without the read lock
 * that argument is gone: then the view is invalid.
 *
 * The map ends with the first checkpoint of ours that copied everything: its pages are in
 * the file from then on, and the WAL may be restarted. A restart before that makes the
 * view invalid; it takes a lock that was lost, or a life of ours that began with
 * everything copied, where the next attempt succeeds.
 *
 * The reader passes pages in ascending order; what it has passed is not saved any more.
 * Reading and saving exclude each other; both sides hold the lock for one batch, the
 * checkpoint for as long as it copies.
 */
#ifndef WORKERS_SYNC_FROZEN_H
#define WORKERS_SYNC_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_format.h"
#include "common/wal/wal_scan.h"

/* Pages that one checkpoint may have to save; more of them put it off. */
#define FROZEN_SAVE_BYTES ((int64_t)64 << 20)

/* Pages that may be saved in all: 8 bytes of memory each. */
#define FROZEN_SAVE_PAGES ((size_t)1 << 20)

struct frozen; /* opaque */

struct frozen_at {
    int wal_fd, db_fd;      /* borrowed; they stay open until frozen_free */
    struct wal_header wal;  /* of the generation of the position */
    struct wal_place place; /* the position; everything before it is captured */
    bool all_copied;        /* every frame up to it is in the database file */
    uint32_t commit;        /* database pages at it */
    uint32_t page_size;
    uint64_t txid;
    const char *spool_dir; /* copied */
};

/* Loop. Reads the WAL up to the position. */
int frozen_new(const struct frozen_at *at, struct frozen **out, struct err *e);
void frozen_free(struct frozen *f); /* after the reader has ended; NULL is fine */

/* Header of the snapshot of it: TXID 1 to txid, level 9. */
const struct ltx_header *frozen_header(const struct frozen *f);

/* For one that takes the place of another snapshot of the same TXID. Before the writing.
 */
void frozen_set_timestamp(struct frozen *f, int64_t timestamp_ms);

/*
 * Reader's thread: the whole snapshot, once. ERR_MOVED: the view is not valid any more,
 * the text says why.
 */
int frozen_write(struct frozen *f, struct ltx_sink sink, unsigned n_threads,
    const struct cancel *cancel, struct err *e);

/* Any thread: from now on the reader gets ERR_MOVED. */
void frozen_invalidate(struct frozen *f, const char *why);

enum frozen_save {
    FROZEN_SAVED,    /* go on, then frozen_after_checkpoint */
    FROZEN_TOO_MUCH, /* nothing was saved: put the checkpoint off, or invalidate */
    FROZEN_OVER,     /* the view is invalid: go on without it */
};

/*
 * Loop, before a checkpoint that copies no frame behind `place`, up to which everything
 * of this generation is captured and which nobody can restart meanwhile. What was saved
 * before is not looked at again. A view that cannot be saved (no space) becomes invalid.
 *
 *   commit  database pages at the place
 */
enum frozen_save frozen_before_checkpoint(struct frozen *f, const struct wal_header *h,
    const struct wal_place *place, uint32_t commit);

/*
 * complete: every frame is in the database file now, and the WAL may be restarted. Only
 * after FROZEN_SAVED.
 */
void frozen_after_checkpoint(struct frozen *f, bool complete);

/* For tests: fills the batch with the next pages. */
struct page_batch;
int frozen_fill(struct frozen *f, struct page_batch *b, struct err *e);

#endif
