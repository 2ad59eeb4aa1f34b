#include "workers/restore/plan.h"

#include <string.h>

#include "common/base/mem.h"

static int
grow(struct ltx_info **list, size_t n, size_t *cap, struct err *e)
{
    size_t more = *cap > 0 ? *cap * 2 : 64;
    struct ltx_info *bigger;

    if (n < *cap)
        return 0;
    bigger = mem_try(more, sizeof(*bigger));
    if (bigger == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a list of %zu files", more);
    if (n > 0)
        memcpy(bigger, *list, n * sizeof(*bigger));
    mem_free(*list);
    *list = bigger;
    *cap = more;
    return 0;
}

int
restore_files_add(struct restore_files *f, const struct ltx_info *info, struct err *e)
{
    int level = info->level;
    int rc = grow(&f->level[level], f->n[level], &f->cap[level], e);

    if (rc == 0)
        f->level[level][f->n[level]++] = *info;
    return rc;
}

void
restore_files_deinit(struct restore_files *f)
{
    for (int i = 0; i < LTX_N_LEVELS; i++)
        mem_free(f->level[i]);
    *f = (struct restore_files){ 0 };
}

size_t
restore_files_count(const struct restore_files *f)
{
    size_t n = 0;

    for (int i = 0; i < LTX_N_LEVELS; i++)
        n += f->n[i];
    return n;
}

void
restore_files_bounds(
    const struct restore_files *f, struct wall *earliest, struct wall *latest)
{
    bool first = true;

    *earliest = *latest = (struct wall){ 0 };
    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (size_t i = 0; i < f->n[level]; i++) {
            struct wall t = f->level[level][i].created;

            if (first || wall_cmp(t, *earliest) < 0)
                *earliest = t;
            if (first || wall_cmp(t, *latest) > 0)
                *latest = t;
            first = false;
        }
}

static bool
eligible(const struct restore_target *t, const struct ltx_info *f)
{
    if (t->by_txid)
        return f->max_txid <= t->txid;
    if (t->by_time)
        return wall_cmp(f->created, t->timestamp) < 0;
    return true;
}

/* The one that takes the restore further, or does so in a better way. */
static const struct ltx_info *
better(const struct ltx_info *a, const struct ltx_info *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (a->max_txid != b->max_txid)
        return a->max_txid > b->max_txid ? a : b;
    if (a->min_txid != b->min_txid)
        return a->min_txid < b->min_txid ? a : b;
    if (a->level != b->level)
        return a->level > b->level ? a : b;
    return wall_cmp(a->created, b->created) <= 0 ? a : b;
}

/* One level below the snapshots: how far it was looked at, and its best file so far. */
struct cursor {
    size_t next;
    const struct ltx_info *best;
};

static void
advance(const struct restore_files *f, int level, const struct restore_target *t,
    uint64_t cur, struct cursor *c)
{
    if (c->best != NULL && c->best->max_txid <= cur)
        c->best = NULL;
    while (c->next < f->n[level] && f->level[level][c->next].min_txid <= cur + 1) {
        const struct ltx_info *file = &f->level[level][c->next++];

        if (file->max_txid > cur && eligible(t, file))
            c->best = better(c->best, file);
    }
}

static int
plan_add(struct restore_plan *plan, const struct ltx_info *file, struct err *e)
{
    int rc = grow(&plan->files, plan->n, &plan->cap, e);

    if (rc == 0)
        plan->files[plan->n++] = *file;
    return rc;
}

static int
plan_base(const struct restore_files *f, const struct restore_target *t,
    struct restore_plan *plan, uint64_t *cur, struct err *e)
{
    for (size_t i = f->n[LTX_LEVEL_SNAPSHOT]; i > 0; i--) {
        const struct ltx_info *snapshot = &f->level[LTX_LEVEL_SNAPSHOT][i - 1];

        if (!eligible(t, snapshot))
            continue;
        *cur = snapshot->max_txid;
        return plan_add(plan, snapshot, e);
    }
    return 0;
}

/* "Latest" must not leave anything behind: a file that is there but out of reach. */
static int
check_rest(const struct restore_files *f, const struct cursor *cursors, uint64_t cur,
    struct err *e)
{
    for (int level = LTX_LEVEL_SNAPSHOT - 1; level >= 0; level--) {
        const struct ltx_info *next;

        if (cursors[level].next >= f->n[level])
            continue;
        next = &f->level[level][cursors[level].next];
        if (next->min_txid > cur + 1)
            return err_set(e, ERR_CORRUPT,
                "non-contiguous ltx files: have up to %016llx but next file starts at %016llx",
                (unsigned long long)cur, (unsigned long long)next->min_txid);
    }
    return 0;
}

/* The same for a timestamp, which takes what it can. */
static bool
eligible_beyond(const struct restore_files *f, const struct restore_target *t,
    const struct cursor *cursors, uint64_t cur)
{
    for (int level = LTX_LEVEL_SNAPSHOT - 1; level >= 0; level--)
        for (size_t i = cursors[level].next; i < f->n[level]; i++)
            if (f->level[level][i].max_txid > cur && eligible(t, &f->level[level][i]))
                return true;
    return false;
}

static int
plan_chain(const struct restore_files *f, const struct restore_target *t,
    struct restore_plan *plan, uint64_t *cur, struct err *e)
{
    struct cursor cursors[LTX_LEVEL_SNAPSHOT] = { 0 };
    int rc = 0;

    while (rc == 0 && !(t->by_txid && *cur >= t->txid)) {
        const struct ltx_info *best = NULL;
        int from = 0;

        for (int level = LTX_LEVEL_SNAPSHOT - 1; level >= 0; level--) {
            advance(f, level, t, *cur, &cursors[level]);
            if (better(best, cursors[level].best) != best) {
                best = cursors[level].best;
                from = level;
            }
        }
        if (best == NULL)
            break;
        cursors[from].best = NULL;
        *cur = best->max_txid;
        rc = plan_add(plan, best, e);
    }
    if (rc == 0 && t->by_time)
        plan->cut_short = eligible_beyond(f, t, cursors, *cur);
    else if (rc == 0 && !t->by_txid && plan->n > 0)
        rc = check_rest(f, cursors, *cur, e);
    return rc;
}

int
restore_plan_make(const struct restore_files *f, const struct restore_target *target,
    struct restore_plan *plan, struct err *e)
{
    uint64_t cur = 0;
    int rc;

    *plan = (struct restore_plan){ 0 };
    if (target->by_txid && target->by_time)
        return err_set(e, ERR_USAGE, "cannot specify both TXID & timestamp to restore");
    rc = plan_base(f, target, plan, &cur, e);
    if (rc == 0)
        rc = plan_chain(f, target, plan, &cur, e);
    if (rc == 0 && (plan->n == 0 || (target->by_txid && cur < target->txid)))
        rc = err_set(e, ERR_NOT_FOUND, "transaction not available");
    if (rc != 0)
        restore_plan_deinit(plan);
    return rc;
}

void
restore_plan_deinit(struct restore_plan *plan)
{
    mem_free(plan->files);
    *plan = (struct restore_plan){ 0 };
}
