/*
 * compactor_impl - what the parts of a compactor share: compactor.c (what is due, life),
 * compactor_merge.c (merges, snapshots) and compactor_retain.c (retention, validation).
 */
#ifndef WORKERS_COMPACT_COMPACTOR_IMPL_H
#define WORKERS_COMPACT_COMPACTOR_IMPL_H

#include "common/base/mono.h"
#include "common/base/retry.h"
#include "drivers/driver.h"
#include "workers/compact/compactor.h"
#include "workers/compact/merge.h"
#include "workers/compact/upload.h"
#include "workers/replica/holdings.h"
#include "workers/replica/verify.h"
#include "workers/sync/frozen.h"

enum task {
    TASK_NONE,
    TASK_MERGE,
    TASK_SNAPSHOT,
    TASK_RETAIN,    /* snapshots, then what they make needless */
    TASK_RETAIN_L0, /* level-0 files that are in level 1 */
    TASK_VALIDATE,
};

/* One kind of work that comes again. */
struct recurring {
    struct mono due; /* 0: not pending */
    struct retry retry;
};

/* Files of one listing, at most LIST_MAX: enough for what one task does at a time. */
#define LIST_MAX ((size_t)1 << 16)

#define L1_KNOWN 32

struct compactor {
    struct compactor_options opt;
    bool cancelled;

    struct recurring level[LTX_N_LEVELS]; /* merges into 1..8, snapshots at 9 */
    bool ticked[LTX_N_LEVELS]; /* the first time, right after the start, is over */
    struct recurring retain, retain_l0, validate;
    char verify_told[160];          /* the last problem that was logged */
    uint64_t skip_to[LTX_N_LEVELS]; /* merges into the level start above this TXID */
    bool unsure[LTX_N_LEVELS];      /* of the level's newest file: a write has failed */
    bool want_snapshot;             /* as soon as possible, whatever the interval says */

    struct {
        bool snapshot, retention;
        void (*done)(void *arg, const struct err *e);
        void *arg;
    } request;

    /* the task under way */
    enum task task;
    int at; /* the level it works on */
    bool on_request;
    void (*next)(struct compactor *c); /* after a listing or a deletion */
    struct drv_op *op;
    struct merge *merge;
    uint64_t page_size_until; /* found by the merge under way; 0: no change in it */
    uint64_t merge_until;     /* no source behind it; UINT64_MAX: any */
    bool merge_remote;        /* the local copies are not trusted */
    uint64_t pruned_to;       /* validate_pruned_to */
    bool pruned_known;
    struct upload *upload;
    struct verify *verify; /* of the first local file */
    struct frozen *frozen;
    struct drv_source source;
    int fd;
    struct ltx_info *list;
    size_t n_list, cap_list;
    bool list_cut; /* there were more than LIST_MAX */
    bool list_all; /* of the whole level */
    size_t n_gone; /* of it, from the start, were deleted */
    bool more;

    uint64_t floor[LTX_N_LEVELS]; /* nothing that ends below it is needed */
    struct mono retain_next;
    struct mono l0_not_before; /* the interval of checks */
    uint64_t l0_merged_to;     /* what level 1 held at the check before */
    uint64_t needless_to;      /* level-0 files up to here have served */

    /* The newest files of level 1: the level-0 files of one go together. */
    struct ltx_info l1[L1_KNOWN];
    size_t n_l1;

    uint64_t n_merges, n_snapshots, n_errors, n_verify_errors;
    uint64_t n_l0_eligible, n_l0_not_compacted, n_l0_too_recent;
};

/* --- compactor.c */

/* The task is over; e: it failed, and is tried again later. */
void compactor_ended(struct compactor *c, const struct err *e);

/* Lists a level into c->list, then calls `next`; a failure ends the task. */
void compactor_list(
    struct compactor *c, int level, uint64_t seek, void (*next)(struct compactor *c));

/* Deletes the first n files of c->list, then calls `next`; a failure ends the task. */
void compactor_delete(struct compactor *c, size_t n, void (*next)(struct compactor *c));

void compactor_drop_list(struct compactor *c);

/* The level-0 files that are known without a listing, into c->list; false: not all are.
 */
bool compactor_copy_l0(struct compactor *c);

/* The next boundary of an interval for this database. */
struct mono compactor_boundary(const struct compactor *c, int64_t interval_ns);

/* --- compactor_merge.c */
void compactor_begin_merge(struct compactor *c);
void compactor_begin_snapshot(struct compactor *c);

/* --- compactor_retain.c */
void compactor_note_l1(struct compactor *c, const struct ltx_info *info);
void compactor_begin_retain(struct compactor *c);
void compactor_begin_retain_l0(struct compactor *c);
void compactor_begin_validate(struct compactor *c);

/* When the oldest level-0 file may go, as far as time is concerned; 0: none may. */
struct mono compactor_l0_due(const struct compactor *c);

#endif
