#include "workers/restore/follow_plan.h"

#include <string.h>

static bool
better(const struct ltx_info *a, const struct ltx_info *than)
{
    if (a->max_txid != than->max_txid)
        return a->max_txid > than->max_txid;
    return a->min_txid > than->min_txid;
}

/* Snapshots are no step: they hold the whole database. */
static const struct ltx_info *
next_file(const struct restore_files *files, uint64_t txid)
{
    const struct ltx_info *best = NULL;

    for (int level = 0; level < LTX_LEVEL_SNAPSHOT; level++)
        for (size_t i = 0; i < files->n[level]; i++) {
            const struct ltx_info *f = &files->level[level][i];

            if ((f->min_txid <= txid + 1 && f->max_txid > txid) &&
                (best == NULL || better(f, best)))
                best = f;
        }
    return best;
}

static void
measure(const struct restore_files *files, uint64_t txid, struct follow_step *out)
{
    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (size_t i = 0; i < files->n[level]; i++) {
            const struct ltx_info *f = &files->level[level][i];

            if (f->max_txid > out->newest)
                out->newest = f->max_txid;
            if (f->min_txid > txid && (out->next_min == 0 || f->min_txid < out->next_min))
                out->next_min = f->min_txid;
        }
}

static enum follow_what
way_around(const struct restore_files *files, uint64_t txid, struct restore_plan *plan)
{
    struct restore_target newest = { 0 };
    struct err e;

    if (restore_plan_make(files, &newest, plan, &e) == 0 &&
        plan->files[plan->n - 1].max_txid > txid)
        return FOLLOW_REBASE;
    return FOLLOW_GAP;
}

void
follow_decide(const struct restore_files *files, uint64_t txid, bool complete,
    struct follow_step *out)
{
    const struct ltx_info *next = txid > 0 ? next_file(files, txid) : NULL;

    *out = (struct follow_step){ .what = FOLLOW_NOTHING };
    measure(files, txid, out);
    if (next != NULL) {
        out->what = FOLLOW_FILE;
        out->file = *next;
    } else if (complete && out->newest < txid) {
        out->what = FOLLOW_BEHIND;
    } else if (complete && (out->newest > txid || txid == 0)) {
        out->what = way_around(files, txid, &out->plan);
    } else if (out->newest > txid) {
        out->what = FOLLOW_LOOK;
    }
}

void
follow_step_deinit(struct follow_step *s)
{
    restore_plan_deinit(&s->plan);
}

void
follow_leave_out(struct restore_files *files, const struct ltx_info *bad)
{
    struct ltx_info *list = files->level[bad->level];
    size_t *n = &files->n[bad->level];

    for (size_t i = 0; i < *n; i++)
        if (list[i].min_txid == bad->min_txid && list[i].max_txid == bad->max_txid) {
            memmove(&list[i], &list[i + 1], (*n - i - 1) * sizeof(list[0]));
            (*n)--;
            return;
        }
}
