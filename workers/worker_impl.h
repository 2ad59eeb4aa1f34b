/*
 * worker_impl - the state that the parts of a worker share: worker.c (life, what is due
 * next), worker_sync.c (syncs, checkpoints, their results), worker_compact.c (merges,
 * snapshots, retention) and worker_stop.c (the end).
 */
#ifndef WORKERS_WORKER_IMPL_H
#define WORKERS_WORKER_IMPL_H

#include <uv.h>

#include "common/base/mono.h"
#include "common/base/retry.h"
#include "workers/compact/compactor.h"
#include "workers/link.h"
#include "workers/replica/backlog.h"
#include "workers/replica/replica.h"
#include "workers/sync/engine.h"
#include "workers/sync/pacer.h"
#include "workers/tail/tail.h"
#include "workers/worker.h"

#define WORKER_MAX_REQUESTS MSG_MAX_REQUESTS
#define WORKER_MAX_ASKS 4

/* A SYNC that is not answered yet. */
struct sync_request {
    uint16_t id;
    bool wait;       /* for the replicas as well */
    bool local_done; /* everything that was there is in a local file */
    uint64_t txid;   /* of that file */
};

struct worker_end {
    bool asked;
    bool skip; /* no uploads any more */
    bool answer;
    uint16_t request;
    struct mono started, deadline; /* deadline 0: none */
    bool one_attempt;
    bool opened;    /* the one attempt to open the database was made */
    bool job;       /* the final look goes on as a job */
    bool reopened;  /* the database was replaced and opened again */
    bool synced;    /* the final look at the WAL is through */
    bool uploading; /* the replicas were pushed */
    uint32_t attempts;
    struct mono next_push;
    uint64_t attempts_before[SLOT_MAX_REPLICAS];
    bool failed; /* data did not reach a replica, or was not captured */
    struct err err;
    bool closing;
};

/* See worker_once.c. */
enum once_step {
    ONCE_NOT_BEGUN,
    ONCE_SYNC,
    ONCE_TASKS,
    ONCE_TASK,
    ONCE_FAILED,
    ONCE_OVER
};

/* Ids of syncs that are answered here, not through the channel. */
#define ONCE_REQUEST UINT16_MAX
#define ASK_REQUEST (UINT16_MAX - 1)

/* A snapshot or checkpoint that is not answered yet; see worker_ask.c. */
struct heavy_ask {
    uint16_t id;
    bool snapshot; /* else a checkpoint */
    uint32_t mode; /* of the checkpoint */
    struct mono since;
};

enum ask_step { ASK_NONE, ASK_SYNC, ASK_TASKS, ASK_TASK };

struct worker {
    const struct worker_start *start;
    uv_loop_t loop;
    uv_timer_t timer; /* the next thing that is due by time */
    uv_idle_t now; /* active: something is due at once; a timer of 0 ms would starve the
                      channel and the uploads, for libuv runs it before it polls */
    struct link *link;
    unsigned state; /* enum worker_state */

    struct engine *eng;
    struct tail *tail;    /* of the WAL; while RUNNING */
    struct tail *db_tail; /* of the folder; while WAITING */
    char *db_dir, *wal_path;
    struct replica *replicas[SLOT_MAX_REPLICAS];
    bool replica_seen[SLOT_MAX_REPLICAS]; /* its position was taken into account */
    unsigned n_replicas, n_open_replicas;
    struct compactor *compactors[SLOT_MAX_REPLICAS];
    struct backlog backlog[SLOT_MAX_REPLICAS]; /* local files that wait for it */
    bool trim_wanted;                          /* local files may have become needless */
    uint64_t trimmed_to;                       /* those up to here are gone */
    bool reopen_wanted; /* as soon as nobody reads the database any more */

    struct pacer pacer;
    struct mono last_round; /* pacer.last before the look under way */
    struct mono look_from;  /* not before this moment, after looks that found nothing */
    int64_t look_wait_ms;
    struct mono again_at; /* 0: no look is wanted by time */
    bool untidy;          /* memory was used since it was last given back */
    bool safety_look;     /* the look was asked for by the safety tick */
    struct retry retry;
    struct mono retry_at; /* 0: no back-off */
    bool conflict_logged;
    uint64_t rebase_to;  /* 0: no */
    bool recover_wanted; /* see worker_recover.c */
    bool recovering;     /* until the full image is there */
    bool ready_sent;

    struct sync_request requests[WORKER_MAX_REQUESTS];
    unsigned n_requests;
    struct mono sync_started;
    struct mono blocked_since; /* checkpoints; 0: they are not */
    bool blocked_said;
    struct worker_end end;
    struct {
        enum once_step step;
        unsigned task;
    } once;
    struct {
        struct heavy_ask queue[WORKER_MAX_ASKS]; /* the first is under way */
        unsigned n;
        enum ask_step step;
        unsigned replica;     /* whose snapshot is next */
        struct mono again_at; /* 0: nothing is tried again */
    } ask;
    struct slot_data view;
};

/* worker.c */
void worker_kick(struct worker *w); /* look at everything again, from the loop */
void worker_set_phase(struct worker *w, enum slot_phase phase);
void worker_set_state(struct worker *w, unsigned state);
int worker_open_db(struct worker *w, struct err *e);
void worker_close_db(struct worker *w);
void worker_drop_tails(struct worker *w);
void worker_show_error(struct worker *w, const struct err *e); /* NULL: none any more */

/* worker_sync.c */
void worker_run(struct worker *w); /* state RUNNING: whatever is due */
void worker_on_engine_done(
    void *arg, const struct engine_report *report, const struct err *e);
void worker_on_tail(void *arg, enum tail_event event);
void worker_on_replica(void *arg, struct replica *r);
void worker_on_round(void *arg);
int worker_rebase(struct worker *w, struct err *e); /* if a replica was found ahead */
void worker_sync_failed(struct worker *w, const struct err *e);
void worker_took_report(struct worker *w, const struct engine_report *rep);
void worker_add_request(struct worker *w, const struct msg *m);
void worker_answer(struct worker *w, uint16_t request, const struct err *e);
void worker_fill_done(struct worker *w, struct msg_done *done, const struct err *e);
void worker_fail_requests(struct worker *w, const struct err *e);
int64_t worker_due_ms(
    const struct worker *w); /* RUNNING: until the next thing; -1: none */

/* worker_recover.c */
void worker_see_loss(struct worker *w, unsigned i); /* replica i changed */
void worker_see_damage(struct worker *w);           /* the database was opened */
bool worker_recover(struct worker *w);              /* false: it failed */
void worker_recovered(struct worker *w);            /* a full image was written */

/* worker_compact.c */
void worker_open_compactor(struct worker *w, unsigned i);
void worker_close_compactors(struct worker *w); /* none is busy */
bool worker_compacts(const struct worker *w);
bool worker_snapshot_reads_db(const struct worker *w); /* the engine must stay open */
void worker_stop_compacting(
    struct worker *w); /* nothing starts any more; kicks at the end */
void worker_resume_compacting(struct worker *w);
void worker_compact(struct worker *w);                     /* starts what is due */
void worker_count_backlog(struct worker *w);               /* the database was opened */
void worker_note_backlog(struct worker *w, int64_t bytes); /* a local file was made */
void worker_note_position(struct worker *w, unsigned i);   /* replica i changed */
int64_t worker_compact_due_ms(const struct worker *w);

/* worker_ask.c */
void worker_add_ask(struct worker *w, const struct msg *m);
void worker_ask_run(struct worker *w);
int64_t worker_ask_due_ms(const struct worker *w);
void worker_ask_synced(struct worker *w, const struct err *e); /* NULL: good */
void worker_asks_end(struct worker *w, const struct err *e);   /* answers all of them */

/* worker_checkpoint.c */
bool worker_may_checkpoint(const struct worker *w);
int worker_checkpoint(struct worker *w, struct engine_checkpoint *out, struct err *e);
void worker_checkpoint_run(struct worker *w); /* it is due */

/* worker_once.c */
void worker_once_run(struct worker *w);
void worker_once_synced(struct worker *w, const struct err *e); /* NULL: good */

/* worker_stop.c */
void worker_stop_begin(
    struct worker *w, const struct msg *m); /* NULL: the channel ended */
void worker_stop_run(struct worker *w);

/* A final look has ended: is it enough, or when is the next one? */
void worker_stop_captured(struct worker *w, const struct engine_report *rep);
int64_t worker_stop_due_ms(const struct worker *w);

#endif
