/*
 * replica - one destination of a database: position, upload queue, back-off, errors.
 *
 *     UNKNOWN --list all levels--> READY --upload rpos+1--> READY ... in sync
 *        ^  '--error: back-off-'    | | '--error: back-off--'
 *                                   | '--local file gone--> NEEDS SNAPSHOT --took-->
 * READY
 *                                   '--another file is there--> STOPPED
 *
 * L0 files go up strictly in TXID order, one at a time, and only after they are durable
 * locally. The first one after a quiet interval goes at once, then one round per
 * sync-interval, in step with the syncs that make the files: a round that is nearly due
 * when a file is made starts with it, and before one that is due by time there is a sync.
 * Otherwise a change could wait for an interval of each. Each destination runs by itself:
 * a slow or broken one holds nobody back.
 *
 * Loop thread of a worker.
 */
#ifndef WORKERS_REPLICA_REPLICA_H
#define WORKERS_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/base/sys.h"
#include "common/ipc/slot.h"
#include "config/config.h"

struct replica;  /* opaque */
struct drv;      /* drivers/driver.h */
struct holdings; /* workers/replica/holdings.h */
struct ltx_info; /* common/ltx/ltx_format.h */

struct replica_options {
    uv_loop_t *loop;
    const struct cfg_replica *cfg; /* borrowed until closed */
    const char *l0_dir;            /* local level 0; borrowed */
    const char *db_path;           /* for messages and hints; borrowed */
    struct sys_owner owner;
    int64_t feed_interval_ns; /* files are made this often under load */
    bool isolate;             /* other destinations share the loop */
    void (*round)(void *arg); /* a round is due by time; may call replica_set_target */
    void (*changed)(void *arg, struct replica *r); /* position, sync or error state */
    void *arg;
};

int replica_open(
    const struct replica_options *options, struct replica **out, struct err *e);

/* Cancels what is under way; `closed` comes from the loop. */
void replica_close(struct replica *r, void (*closed)(void *arg), void *arg);

/* The newest local L0 file; uploads what is missing. Starts to work with the first call.
 */
void replica_set_target(struct replica *r, uint64_t txid);

/*
 * This process has made the local file of txid just now. For a minute a large one is not
 * read back before it goes up, as long as nobody touches it: the bytes would come from
 * the same memory.
 */
void replica_trust(struct replica *r, uint64_t txid);

/* Is this open local file such a one? */
bool replica_trusts(const struct replica *r, uint64_t txid, int fd);

/* The position is known: every level was listed once. */
bool replica_known(const struct replica *r);

/* Highest TXID on the destination, 0: none or not known. */
uint64_t replica_txid(const struct replica *r);

/* Everything up to the target is there. */
bool replica_in_sync(const struct replica *r);

/* What the destination held when its position was found. */
uint64_t replica_found_txid(const struct replica *r);

/*
 * Then its newest file that is here as well had other content: it holds another history,
 * whatever the TXIDs say.
 */
bool replica_is_foreign(const struct replica *r);

/*
 * Nothing is uploaded until replica_release, which also says what the newest local file
 * is now (it may be an older one). With `why` (files of another history are there) the
 * error is logged once and shown until then, and a push is an attempt that fails at once;
 * NULL: a short pause.
 */
void replica_hold(struct replica *r, const struct err *why);
void replica_release(struct replica *r, uint64_t target);

/* The way to the destination, for whoever writes other levels. Borrowed. */
struct drv *replica_drv(struct replica *r);

/* What it holds; complete once the position is known. Borrowed. */
const struct holdings *replica_holdings(const struct replica *r);

/*
 * Somebody else put a file there, or removed some: the holdings follow. A snapshot ends
 * the wait for one (below).
 */
void replica_took(struct replica *r, const struct ltx_info *info);
void replica_removed(struct replica *r, const struct ltx_info *files, size_t n);

/*
 * The next file to go up is not there locally any more, or was damaged and is put aside
 * now: nothing goes up until a snapshot holds its TXID (replica_took), or the file is
 * back and there is a push.
 */
bool replica_needs_snapshot(const struct replica *r);

/*
 * Then: that file was damaged, or is missing although an older one is here. False when
 * local files were only removed in time, the oldest first.
 */
bool replica_lost_files(const struct replica *r);

/*
 * Local files that are not there yet; as long as the position is not known, those that
 * were made since the start.
 */
uint64_t replica_pending_files(const struct replica *r);

/* Held with a reason: no attempt leads anywhere. */
bool replica_is_stopped(const struct replica *r);

/* Goes on at once, without regard to interval and back-off. */
void replica_push(struct replica *r);

/* The last error while it lasts, NULL: all is well. Borrowed. */
const struct err *replica_error(const struct replica *r);

/* Attempts since the last success, successful or not. */
uint64_t replica_attempts(const struct replica *r);

/* Copies the numbers for the slot. */
void replica_fill_slot(const struct replica *r, struct slot_replica *s);

const char *replica_type(const struct replica *r);

#endif
