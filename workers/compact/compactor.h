/*
 * compactor - keeps one destination small and quick to restore from.
 *
 *     new level-0 files ---> merge into level 1 at its next boundary ---> level 2 ...
 *     level 1 is ahead  ---> level-0 files go when they are old enough
 *     interval, or a hole -> snapshot (level 9) ---> what it makes needless goes
 *
 * It runs one task at a time and none by itself: the worker asks each of its compactors
 * in turn, so that a worker never does two heavy things at once. What is pending follows
 * from what the destination holds (replica_holdings); while nothing is, no timer runs and
 * nothing is listed.
 *
 * Loop thread of a worker.
 */
#ifndef WORKERS_COMPACT_COMPACTOR_H
#define WORKERS_COMPACT_COMPACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/ipc/slot.h"
#include "config/config.h"
#include "workers/replica/replica.h"
#include "workers/sync/engine.h"

struct compactor; /* opaque */

struct compactor_options {
    uv_loop_t *loop;
    const struct config *config;   /* levels, retention; borrowed */
    const struct cfg_replica *cfg; /* snapshot interval and retention; borrowed */
    const char *db_path;           /* for messages; borrowed */
    const char *l0_dir;            /* local level 0; borrowed */
    const char *spool_dir;         /* for what does not fit in memory; borrowed */
    struct engine *engine;         /* snapshots are taken of it; borrowed */
    struct replica *replica;       /* borrowed */
    bool only_on_request;          /* nothing by time */

    /* A task has ended, or something is due: compactor_run wants to be called. */
    void (*changed)(void *arg);
    void *arg;
};

struct compactor *compactor_new(const struct compactor_options *options);
void compactor_free(struct compactor *c); /* not while busy; NULL is fine */

/*
 * The database got another page size: other programs cannot restore across the change, so
 * a snapshot follows as soon as possible.
 */
void compactor_page_size_changed(struct compactor *c);

/* Milliseconds until compactor_run has something to do; 0: now; -1: nothing to wait for.
 */
int64_t compactor_due_ms(struct compactor *c);

/* Starts the first task that is due, if any. */
void compactor_run(struct compactor *c);

bool compactor_busy(const struct compactor *c);

/* The task under way reads the database: the engine must stay open until it has ended. */
bool compactor_reads_db(const struct compactor *c);

/* Ends the task under way soon; `changed` comes when it has. Nothing starts afterwards
 * until compactor_resume. */
void compactor_cancel(struct compactor *c);
void compactor_resume(struct compactor *c);

/*
 * A snapshot, also when there is one of this TXID, or retention, now; `done` comes from
 * the loop with NULL or the error. One request at a time.
 */
void compactor_snapshot(
    struct compactor *c, void (*done)(void *arg, const struct err *e), void *arg);
void compactor_enforce_retention(
    struct compactor *c, void (*done)(void *arg, const struct err *e), void *arg);

/* Level-0 files up to this TXID have served: they are merged and old enough to go. */
uint64_t compactor_needless_to(const struct compactor *c);

void compactor_fill_slot(const struct compactor *c, struct slot_replica *s);

#endif
