/*
 * engine_impl - the state that the parts of an engine share: engine.c (life),
 * engine_checkpoint.c, engine_sync.c (what one look at the WAL leads to), engine_plan.c
 * (the next file) and engine_freeze.c (what snapshots read).
 */
#ifndef WORKERS_SYNC_ENGINE_IMPL_H
#define WORKERS_SYNC_ENGINE_IMPL_H

#include <sys/stat.h>

#include "common/base/mono.h"
#include "common/base/sys.h"
#include "common/wal/wal_scan.h"
#include "drivers/loop/job.h"
#include "workers/sync/checkpoint_policy.h"
#include "workers/sync/db_id.h"
#include "workers/sync/dbconn.h"
#include "workers/sync/engine.h"
#include "workers/sync/frozen.h"
#include "workers/sync/l0_writer.h"
#include "workers/sync/look.h"
#include "workers/sync/position.h"

enum sync_flag {
    SYNC_LIMITED = 1,  /* stop after max_sync_wal_bytes */
    SYNC_MAY_JOB = 2,  /* what is large may go to a job thread */
    SYNC_NO_IMAGE = 4, /* report "more" instead of writing the whole database */
};

/* The database file at a moment from which on nobody may write to it. */
struct still {
    bool set;
    struct wal_salt salt; /* of the generation, all of which was copied */
    uint32_t n_copied;
    int64_t size;
    struct timespec mtime;
};

struct engine {
    struct engine_options opt;
    uv_loop_t *loop;
    engine_done_cb *done;
    void *arg;

    char *l0_dir;
    struct sys_owner owner;
    struct dbconn *db; /* NULL: closed */
    int lock_fd, wal_fd;
    dev_t wal_dev;
    ino_t wal_ino;

    bool opened_once;
    uint64_t txid, start_txid;
    uint32_t commit;       /* database pages at txid */
    struct position found; /* at open, for the proof */
    struct mark mark;
    bool sealed; /* we hold the proof that nothing of the mark's generation is missing */
    struct stat db_at_seal;
    struct still still, overwritten;
    struct mono overwritten_since, overwritten_at; /* first and last seen to change */
    struct mono overwritten_first;
    unsigned n_overwritten; /* since then */
    bool times_lie;         /* what the file system says of changes is of no use */
    bool floor_known;
    uint64_t floor;
    const char *image_reason;        /* an image is wanted whatever the WAL says */
    struct db_id db_id, captured_id; /* the open file; the one the local files describe */
    bool
        other_db; /* the WAL's frames may not belong to the file: image as SQLite reads */
    unsigned moved_in_row;
    struct mono torn_since; /* 0: the header is whole */

    bool all_copied;       /* with sealed: every frame is in the database file */
    bool caught_up;        /* all that the read lock covers is captured */
    struct frozen *frozen; /* NULL: no snapshot is being made */

    struct wal_scan *scan;
    struct look_rest rest; /* what stands behind the mark and does not count */
    struct ckpt_policy policy;
    struct mono cut_from; /* when the WAL file may be made smaller again */

    /* the file being written */
    struct l0_plan plan;
    struct l0_result written;
    struct mark next; /* the mark when the plan is done */
    struct engine_report report;
    struct job *job;
    int job_rc;
    struct err job_err;
};

/* --- engine.c */

/* Opens the WAL file; a missing one is no fault, wal_fd stays -1. */
int engine_open_wal(struct engine *eng, struct err *e);

/* The local files describe the open database: keeps that in mind for the next open. */
void engine_note_db(struct engine *eng);

/* They do not, whatever file it is: the next open calls for a full image. */
void engine_disown_db(struct engine *eng);

/* The WAL at the path is still the one that is open. A missing one counts as another. */
bool engine_same_wal(const struct engine *eng);

/* --- engine_checkpoint.c */

void engine_policy_init(struct engine *eng);
void engine_wal_restarted(struct engine *eng); /* before the mark moves */

/* --- engine_freeze.c */

/*
 * Before and after frames up to the mark are copied, while nobody can restart the WAL;
 * false: put it off. complete: all were, and the WAL may be restarted.
 */
bool engine_save_frozen(struct engine *eng, bool *saved);
void engine_end_save(struct engine *eng, bool saved, bool complete);

/* What a view rests on is gone. */
void engine_lose_frozen(struct engine *eng, const char *why);

/* After a sync: did it capture all there was? */
void engine_note_caught_up(struct engine *eng);

/* --- engine_still.c
 *
 * What follows when, under our read lock, the wal-index has said: all frames of the
 * generation are captured and copied (nBackfill == mxFrame == the mark). A read lock is
 * on slot 0, or on another one with a mark.
 *
 *  - Slot 0: nobody copies anything, for that takes slot 0 alone. A writer may restart
 *    the WAL: nothing of the generation is lost. It restarts once; before another restart
 *    its frames would have to be copied. Restarts without any commit, of RESTART and
 *    TRUNCATE checkpoints, lose nothing either. A writer that cannot restart the WAL
 *    because of others appends; then not all is copied, and nobody restarts.
 *  - Another slot: nobody restarts the WAL. Frames up to our mark may be copied, and
 *    those are copied already.
 *
 * So that is a seal (decide.h), as after a checkpoint of ours. And as long as the lock is
 * held nobody may write to the database file at all; one that changes was overwritten in
 * place, and no WAL tells with what. (Within a tick of the file system's clock after a
 * checkpoint, some milliseconds, the two look like one change.) A number of copied frames
 * counts because a checkpoint writes it down behind the last page, and a partial one
 * (which stops at the mark of a reader and leaves pages out that later frames hold)
 * cannot reach mxFrame.
 */

/* After a sync: seals, if all that was captured is copied as well. */
void engine_seal_by_look(struct engine *eng);

bool engine_db_overwritten(struct engine *eng);

/*
 * The database was overwritten: sets the report, to look again while it still changes, to
 * open it anew then. False: it was not.
 */
bool engine_wait_for_overwriting(struct engine *eng);

/* --- engine_plan.c; each sets eng->plan and eng->next, *any: there is something to write
 */

/* What was committed behind the mark, at most `limit` bytes of WAL (0: no limit). */
int engine_plan_increment(
    struct engine *eng, const struct look *l, int64_t limit, bool *any, struct err *e);

/* The whole database: frames of the current generation, the rest from the file. */
int engine_plan_image(struct engine *eng, const struct look *l, struct err *e);

/*
 * Writes the planned file, large ones on a job thread with SYNC_MAY_JOB, and moves the
 * position once it is durable.
 */
enum engine_sync_result engine_execute(struct engine *eng, unsigned flags, struct err *e);

/*
 * A file could not be written. Two reasons are answers about the WAL and not faults: it
 * moved (look again), or pages are missing (an image is needed). Returns 0 for those.
 */
int engine_plan_failed(struct engine *eng, int rc, struct err *e);

/* --- engine_sync.c */

/* Takes the read lock again if it was lost; *lost tells. */
int engine_hold(struct engine *eng, bool *lost, struct err *e);

/* One look and at most one file; eng->report tells. */
enum engine_sync_result engine_sync_once(
    struct engine *eng, unsigned flags, struct err *e);

#endif
