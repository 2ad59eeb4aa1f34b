#include <string.h>

#include "common/base/log.h"
#include "common/base/wall.h"
#include "workers/compact/compactor_impl.h"
#include "workers/compact/retention_plan.h"
#include "workers/compact/schedule.h"
#include "workers/compact/validate.h"

static bool
deletes(const struct compactor *c)
{
    if (c->opt.config->retention_enabled)
        return true;
    log_debug("skipping remote deletion (retention disabled)",
        LF_STR("path", c->opt.db_path), LF_INT("level", c->at));
    return false;
}

/* A stored moment on the monotonic clock; one that is over is now. */
static struct mono
mono_of(struct wall t)
{
    int64_t wait_ms = wall_to_ms(t) - wall_to_ms(wall_now());

    return mono_add_ms(mono_now(), wait_ms > 0 ? wait_ms + 1 : 0);
}

/* --- level 0 --------------------------------------------------------------------------
 */

struct mono
compactor_l0_due(const struct compactor *c)
{
    const struct holdings *h = replica_holdings(c->opt.replica);
    int64_t keep_ns = c->opt.config->l0_retention_ns;
    size_t n, i = 0;
    const struct ltx_info *l0 = holdings_l0(h, &n);
    struct mono due;

    while (i < n && l0[i].max_txid <= c->needless_to)
        i++;
    if (keep_ns <= 0 || i + 1 >= n || l0[i].max_txid > holdings_newest(h, 1)->max_txid)
        return (struct mono){ 0 };
    due = mono_of(schedule_add(l0[i].created, keep_ns));
    return mono_diff_ms(c->l0_not_before, due) > 0 ? c->l0_not_before : due;
}

void
compactor_note_l1(struct compactor *c, const struct ltx_info *info)
{
    if (c->n_l1 == L1_KNOWN)
        memmove(c->l1, c->l1 + 1, --c->n_l1 * sizeof(c->l1[0]));
    c->l1[c->n_l1++] = *info;
}

static void
count_l0(struct compactor *c, size_t n_gone)
{
    uint64_t merged = holdings_newest(replica_holdings(c->opt.replica), 1)->max_txid;

    c->n_l0_eligible += n_gone;
    for (size_t i = n_gone; i < c->n_list; i++)
        if (c->list[i].max_txid > merged)
            c->n_l0_not_compacted++;
        else
            c->n_l0_too_recent++;
}

static void
l0_over(struct compactor *c)
{
    replica_removed(c->opt.replica, c->list, c->n_gone);
    compactor_ended(c, NULL);
}

/*
 * Restores that were planned on the level-0 files go on for a while: these do not vanish
 * in the moment they are merged, however old they are, but one check later. (To put the
 * check off with each merge would mean none at all where merges come as often.)
 */
static size_t
merged_for_a_while(struct compactor *c, size_t n, uint64_t merged_to)
{
    while (n > 0 && c->list[n - 1].max_txid > c->l0_merged_to)
        n--;
    c->l0_merged_to = merged_to;
    return n;
}

static void
retain_l0(struct compactor *c)
{
    const struct ltx_info *l1 = holdings_newest(replica_holdings(c->opt.replica), 1);

    if (c->n_l1 == 0 && l1->max_txid > 0)
        compactor_note_l1(c, l1); /* of an earlier life */
    c->l0_not_before =
        mono_add_ms(mono_now(), c->opt.config->l0_retention_check_interval_ns / 1000000);
    c->n_gone = retention_l0(c->list, c->n_list, c->l1, c->n_l1, wall_now(),
        c->opt.config->l0_retention_ns, c->list);
    c->n_gone = merged_for_a_while(c, c->n_gone, l1->max_txid);
    count_l0(c, c->n_gone);
    if (c->n_gone == 0) {
        compactor_ended(c, NULL);
        return;
    }
    log_info("l0 retention enforced", LF_STR("path", c->opt.db_path),
        LF_UINT("deleted_count", c->n_gone), LF_TXID("max_l1_txid", l1->max_txid));
    c->needless_to = c->list[c->n_gone - 1].max_txid;
    if (deletes(c))
        compactor_delete(c, c->n_gone, l0_over);
    else
        compactor_ended(c, NULL);
}

void
compactor_begin_retain_l0(struct compactor *c)
{
    if (compactor_copy_l0(c))
        retain_l0(c);
    else
        compactor_list(c, 0, 0, retain_l0);
}

/* --- snapshots, and the levels below them ---------------------------------------------
 */

static void next_level(struct compactor *c);

static void
level_pruned(struct compactor *c)
{
    next_level(c);
}

static void
retain_level(struct compactor *c)
{
    size_t n = retention_level(c->list, c->n_list, c->floor[c->at], c->list);

    if (n == 0)
        next_level(c);
    else
        compactor_delete(c, n, level_pruned);
}

/* Levels that are not configured any more are pruned as well. */
static void
next_level(struct compactor *c)
{
    const struct holdings *h = replica_holdings(c->opt.replica);

    while (++c->at < LTX_LEVEL_SNAPSHOT)
        if (c->floor[c->at] > 0 && holdings_newest(h, c->at)->max_txid > 0) {
            compactor_list(c, c->at, 0, retain_level);
            return;
        }
    compactor_ended(c, NULL);
    c->retain.due = c->retain_next;
}

static void
snapshots_pruned(struct compactor *c)
{
    c->at = 0;
    next_level(c);
}

/* From the whole listing of snapshots: what each level's own retention says. */
static void
set_floors(struct compactor *c)
{
    const struct config *config = c->opt.config;

    for (int level = 1; level < LTX_LEVEL_SNAPSHOT; level++) {
        int64_t keep_ns =
            level <= (int)config->n_levels ? config->levels[level - 1].retention_ns : 0;

        c->floor[level] = retention_level_floor(c->list, c->n_list, wall_now(), keep_ns);
    }
}

/*
 * A pass has nothing to do before the second snapshot that stays is older than the
 * window; below the snapshots there may be more to prune, once the grace is over.
 */
static struct mono
next_pass(const struct compactor *c, const struct ltx_info *second, bool more)
{
    struct mono boundary = compactor_boundary(c, c->opt.cfg->snapshot.interval_ns), due;

    if (more)
        return boundary;
    if (second == NULL)
        return (struct mono){ 0 };
    due = mono_of(schedule_add(second->created, c->opt.cfg->snapshot.retention_ns));
    return mono_diff_ms(due, boundary) > 0 ? due : boundary;
}

static bool
levels_have_retention(const struct compactor *c)
{
    for (size_t i = 0; i < c->opt.config->n_levels; i++)
        if (c->opt.config->levels[i].retention_ns > 0)
            return true;
    return false;
}

static void
retain(struct compactor *c)
{
    uint64_t floor;
    size_t n;

    set_floors(c);
    n = retention_snapshots(c->list, c->n_list, wall_now(),
        c->opt.cfg->snapshot.retention_ns, c->list, &floor);
    for (int level = 1; level < LTX_LEVEL_SNAPSHOT; level++)
        if (floor > c->floor[level])
            c->floor[level] = floor;
    c->retain_next = next_pass(
        c, n + 1 < c->n_list ? &c->list[n + 1] : NULL, n > 0 || levels_have_retention(c));
    if (n > 0)
        compactor_delete(c, n, snapshots_pruned);
    else
        snapshots_pruned(c);
}

void
compactor_begin_retain(struct compactor *c)
{
    if (deletes(c))
        compactor_list(c, LTX_LEVEL_SNAPSHOT, 0, retain);
    else
        compactor_ended(c, NULL);
}

/* --- validation -----------------------------------------------------------------------
 */

static void
warn_of_problem(void *arg, const struct validate_problem *p)
{
    const struct compactor *c = arg;

    log_warn("validation error detected", LF_STR("path", c->opt.db_path),
        LF_INT("level", c->at), LF_STR("type", validate_type_name(p->type)),
        LF_STR("message", p->text));
}

static void
validate(struct compactor *c)
{
    validate_level(c->list, c->n_list, c->pruned_to, warn_of_problem, c);
    if (++c->at <= (int)c->opt.config->n_levels)
        compactor_list(c, c->at, 0, validate);
    else
        compactor_ended(c, NULL);
}

static void
validate_all(struct compactor *c)
{
    c->pruned_to = validate_pruned_to(c->list, c->n_list);
    compactor_list(c, c->at, 0, validate);
}

void
compactor_begin_validate(struct compactor *c)
{
    c->at = 0;
    compactor_list(c, LTX_LEVEL_SNAPSHOT, 0, validate_all);
}
