/*
 * follow_plan - what a follower does next, from what it has and what a replica holds.
 * Plain data.
 */
#ifndef WORKERS_RESTORE_FOLLOW_PLAN_H
#define WORKERS_RESTORE_FOLLOW_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "workers/restore/plan.h"

enum follow_what {
    FOLLOW_NOTHING, /* up to date */
    FOLLOW_FILE,    /* apply .file */
    FOLLOW_LOOK,    /* the files that were listed do not tell: list all levels */
    FOLLOW_REBASE,  /* what follows is gone: take the newest state, by .plan */
    FOLLOW_GAP,     /* what follows is missing, and there is no way around: wait */
    FOLLOW_BEHIND,  /* the replica ends before what is here */
};

struct follow_step {
    enum follow_what what;
    struct ltx_info file;
    struct restore_plan plan; /* owned: follow_step_deinit */
    uint64_t newest;          /* TXID of any file, 0: there are none */
    uint64_t next_min;        /* GAP: where it goes on behind the gap */
};

/*
 * txid: what is here; 0: not known, then only REBASE, GAP and BEHIND come.
 * complete: `files` are those of all levels; else of level 0 behind txid.
 *
 * Of the files that leave no gap the one that reaches furthest is taken, and of those the
 * shortest, as it has the fewest pages.
 */
void follow_decide(const struct restore_files *files, uint64_t txid, bool complete,
    struct follow_step *out);
void follow_step_deinit(struct follow_step *s);

/* Removes one file from the lists: it is damaged. */
void follow_leave_out(struct restore_files *files, const struct ltx_info *bad);

#endif
