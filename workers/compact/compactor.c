#include "workers/compact/compactor.h"

#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "workers/compact/compactor_impl.h"
#include "workers/compact/schedule.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 300000
#define FULL_MAX_MS 30000 /* somebody is likely to make room on a full disk soon */

struct compactor *
compactor_new(const struct compactor_options *options)
{
    struct compactor *c = MEM_NEW(struct compactor);

    c->opt = *options;
    c->fd = -1;
    for (int level = 0; level < LTX_N_LEVELS; level++)
        retry_init(&c->level[level].retry, RETRY_FIRST_MS, RETRY_MAX_MS);
    retry_init(&c->retain.retry, RETRY_FIRST_MS, RETRY_MAX_MS);
    retry_init(&c->retain_l0.retry, RETRY_FIRST_MS, RETRY_MAX_MS);
    retry_init(&c->validate.retry, RETRY_FIRST_MS, RETRY_MAX_MS);
    return c;
}

void
compactor_free(struct compactor *c)
{
    if (c == NULL)
        return;
    must(c->task == TASK_NONE);
    compactor_drop_list(c);
    mem_free(c);
}

/* --- when -----------------------------------------------------------------------------
 */

struct mono
compactor_boundary(const struct compactor *c, int64_t interval_ns)
{
    int64_t offset_ns = schedule_offset_ns(c->opt.db_path, interval_ns);

    return mono_add_ms(
        mono_now(), schedule_wait_ns(wall_now(), interval_ns, offset_ns) / 1000000 + 1);
}

static int64_t
interval_of(const struct compactor *c, int level)
{
    return level == LTX_LEVEL_SNAPSHOT ? c->opt.cfg->snapshot.interval_ns
                                       : c->opt.config->levels[level - 1].interval_ns;
}

static uint64_t
newest(const struct compactor *c, int level)
{
    if (level == 0)
        return replica_txid(c->opt.replica);
    return holdings_newest(replica_holdings(c->opt.replica), level)->max_txid;
}

/* There is something that the level does not hold yet. */
static bool
is_pending(const struct compactor *c, int level)
{
    if (level == LTX_LEVEL_SNAPSHOT)
        return newest(c, 0) > newest(c, level);
    return newest(c, level - 1) > newest(c, level) &&
           newest(c, level - 1) > c->skip_to[level];
}

/* The newest file of the level is of this interval: the next one waits for its end. */
static bool
too_early(const struct compactor *c, int level)
{
    const struct ltx_info *info =
        holdings_newest(replica_holdings(c->opt.replica), level);

    return info->max_txid != 0 &&
           wall_cmp(info->created, schedule_prev(wall_now(), interval_of(c, level))) > 0;
}

/*
 * The first time after a start comes at once, so that a new destination has its snapshot
 * and a long pause is made up for; later ones at the boundaries.
 */
static void
set_level_due(struct compactor *c, int level)
{
    struct recurring *r = &c->level[level];

    if (!is_pending(c, level)) {
        r->due = (struct mono){ 0 };
        return;
    }
    if (r->due.ns != 0)
        return;
    if (!c->ticked[level] && !too_early(c, level))
        r->due = mono_add_ms(mono_now(), 0);
    else
        r->due = compactor_boundary(c, interval_of(c, level));
    c->ticked[level] = true;
}

static void
set_l0_due(struct compactor *c)
{
    if (c->retain_l0.retry.failures > 0)
        return;
    c->retain_l0.due = compactor_l0_due(c);
}

static void
update(struct compactor *c)
{
    if (c->opt.only_on_request || !replica_known(c->opt.replica))
        return;
    for (int level = 1; level <= (int)c->opt.config->n_levels; level++)
        set_level_due(c, level);
    set_level_due(c, LTX_LEVEL_SNAPSHOT);
    if ((c->want_snapshot || replica_needs_snapshot(c->opt.replica)) &&
        c->level[LTX_LEVEL_SNAPSHOT].retry.failures == 0)
        c->level[LTX_LEVEL_SNAPSHOT].due = mono_now();
    set_l0_due(c);
    if (c->opt.config->validation_interval_ns > 0 && c->validate.due.ns == 0)
        c->validate.due =
            mono_add_ms(mono_now(), c->opt.config->validation_interval_ns / 1000000);
}

static int64_t
sooner(int64_t due_ms, const struct recurring *r)
{
    int64_t wait;

    if (r->due.ns == 0)
        return due_ms;
    wait = (int64_t)mono_wait_ms(r->due);
    return due_ms < 0 || wait < due_ms ? wait : due_ms;
}

int64_t
compactor_due_ms(struct compactor *c)
{
    int64_t due = -1;

    if (c->task != TASK_NONE || c->cancelled)
        return -1;
    update(c);
    if (c->request.done != NULL)
        return 0;
    for (int level = 1; level < LTX_N_LEVELS; level++)
        due = sooner(due, &c->level[level]);
    due = sooner(due, &c->retain);
    due = sooner(due, &c->retain_l0);
    return sooner(due, &c->validate);
}

/* --- tasks ----------------------------------------------------------------------------
 */

static void
begin(struct compactor *c, enum task task, int at)
{
    static void (*const begins[])(struct compactor * c) = {
        [TASK_MERGE] = compactor_begin_merge,
        [TASK_SNAPSHOT] = compactor_begin_snapshot,
        [TASK_RETAIN] = compactor_begin_retain,
        [TASK_RETAIN_L0] = compactor_begin_retain_l0,
        [TASK_VALIDATE] = compactor_begin_validate,
    };

    c->task = task;
    c->at = at;
    c->more = false;
    begins[task](c);
}

/* Snapshots first: what is missing may hold up everything else. */
static bool
begin_due(struct compactor *c)
{
    if (mono_reached(c->level[LTX_LEVEL_SNAPSHOT].due)) {
        begin(c, TASK_SNAPSHOT, LTX_LEVEL_SNAPSHOT);
        return true;
    }
    for (int level = 1; level < LTX_LEVEL_SNAPSHOT; level++)
        if (mono_reached(c->level[level].due)) {
            begin(c, TASK_MERGE, level);
            return true;
        }
    if (mono_reached(c->retain_l0.due)) {
        begin(c, TASK_RETAIN_L0, 0);
        return true;
    }
    if (mono_reached(c->retain.due)) {
        begin(c, TASK_RETAIN, LTX_LEVEL_SNAPSHOT);
        return true;
    }
    if (mono_reached(c->validate.due)) {
        begin(c, TASK_VALIDATE, 0);
        return true;
    }
    return false;
}

void
compactor_run(struct compactor *c)
{
    if (c->task != TASK_NONE || c->cancelled || !replica_known(c->opt.replica))
        return;
    update(c);
    if (c->request.done != NULL) {
        c->on_request = true;
        if (c->request.snapshot)
            begin(c, TASK_SNAPSHOT, LTX_LEVEL_SNAPSHOT);
        else
            begin(c, TASK_RETAIN, LTX_LEVEL_SNAPSHOT);
        return;
    }
    begin_due(c);
}

static struct recurring *
recurring_of(struct compactor *c)
{
    switch (c->task) {
    case TASK_MERGE:
        return &c->level[c->at];
    case TASK_SNAPSHOT:
        return &c->level[LTX_LEVEL_SNAPSHOT];
    case TASK_RETAIN:
        return &c->retain;
    case TASK_RETAIN_L0:
        return &c->retain_l0;
    case TASK_VALIDATE:
    case TASK_NONE:
        break;
    }
    return &c->validate;
}

static void
log_failure(const struct compactor *c, const struct err *e)
{
    switch (c->task) {
    case TASK_MERGE:
    case TASK_SNAPSHOT:
        log_error("compaction failed",
            LF_INT("level", c->task == TASK_MERGE ? c->at : LTX_LEVEL_SNAPSHOT),
            LF_ERR(e), LF_STR("path", c->opt.db_path));
        break;
    case TASK_RETAIN:
        log_error(
            "retention enforcement failed", LF_ERR(e), LF_STR("path", c->opt.db_path));
        break;
    case TASK_RETAIN_L0:
        log_error(
            "l0 retention enforcement failed", LF_STR("path", c->opt.db_path), LF_ERR(e));
        break;
    case TASK_VALIDATE:
    case TASK_NONE:
        log_error("validation check failed", LF_ERR(e), LF_STR("path", c->opt.db_path));
        break;
    }
}

static void
answer_request(struct compactor *c, const struct err *e)
{
    void (*done)(void *arg, const struct err *e) = c->request.done;
    void *arg = c->request.arg;

    c->on_request = false;
    memset(&c->request, 0, sizeof(c->request));
    done(arg, e);
}

void
compactor_ended(struct compactor *c, const struct err *e)
{
    struct recurring *r = recurring_of(c);
    bool failed = e != NULL && e->code != ERR_CANCELLED;

    r->due = (struct mono){ 0 };
    if (failed) {
        int64_t wait_ms = retry_failed(&r->retry);

        if (e->code == ERR_NO_SPACE && wait_ms > FULL_MAX_MS)
            wait_ms = FULL_MAX_MS;
        c->n_errors++;
        r->due = mono_add_ms(mono_now(), wait_ms);
        if (!c->on_request && retry_should_log(&r->retry, mono_now()))
            log_failure(c, e);
    } else if (e == NULL) {
        retry_succeeded(&r->retry);
        if (c->more)
            r->due = mono_now();
    }
    compactor_drop_list(c);
    c->task = TASK_NONE;
    if (c->on_request)
        answer_request(c, e);
    c->opt.changed(c->opt.arg);
}

/* --- listings and deletions -----------------------------------------------------------
 */

void
compactor_drop_list(struct compactor *c)
{
    mem_free(c->list);
    c->list = NULL;
    c->n_list = c->cap_list = 0;
    c->list_cut = false;
}

static void
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct compactor *c = arg;

    for (size_t i = 0; i < n; i++) {
        if (c->n_list == LIST_MAX) {
            c->list_cut = true;
            return;
        }
        if (c->n_list == c->cap_list) {
            c->cap_list = c->cap_list == 0 ? 64 : c->cap_list * 2;
            c->list = mem_resize(c->list, c->cap_list * sizeof(c->list[0]));
        }
        c->list[c->n_list++] = infos[i];
    }
}

bool
compactor_copy_l0(struct compactor *c)
{
    size_t n;
    const struct ltx_info *l0 = holdings_l0(replica_holdings(c->opt.replica), &n);

    if (holdings_l0_cut(replica_holdings(c->opt.replica)))
        return false;
    compactor_drop_list(c);
    on_entries(c, l0, n);
    return true;
}

static void
on_op_done(void *arg, const struct drv_result *res)
{
    struct compactor *c = arg;

    c->op = NULL;
    if (res->err != NULL)
        compactor_ended(c, res->err);
    else
        c->next(c);
}

void
compactor_list(
    struct compactor *c, int level, uint64_t seek, void (*next)(struct compactor *c))
{
    struct drv_list req = { .level = level,
        .seek = seek,
        .exact_times = level == LTX_LEVEL_SNAPSHOT,
        .entries = on_entries,
        .done = on_op_done,
        .arg = c };
    struct err e;

    compactor_drop_list(c);
    c->next = next;
    c->op = drv_list(replica_drv(c->opt.replica), &req, &e);
    if (c->op == NULL)
        compactor_ended(c, &e);
}

void
compactor_delete(struct compactor *c, size_t n, void (*next)(struct compactor *c))
{
    struct drv_del req = { .files = c->list, .n = n, .done = on_op_done, .arg = c };
    struct err e;

    c->next = next;
    c->op = drv_del(replica_drv(c->opt.replica), &req, &e);
    if (c->op == NULL)
        compactor_ended(c, &e);
}

/* --- from outside ---------------------------------------------------------------------
 */

void
compactor_page_size_changed(struct compactor *c)
{
    c->want_snapshot = !c->opt.only_on_request;
}

bool
compactor_busy(const struct compactor *c)
{
    return c->task != TASK_NONE;
}

bool
compactor_reads_db(const struct compactor *c)
{
    return c->frozen != NULL;
}

void
compactor_cancel(struct compactor *c)
{
    c->cancelled = true;
    drv_cancel(c->op);
    merge_cancel(c->merge);
    upload_cancel(c->upload);
    verify_cancel(c->verify);
}

void
compactor_resume(struct compactor *c)
{
    c->cancelled = false;
}

void
compactor_snapshot(
    struct compactor *c, void (*done)(void *arg, const struct err *e), void *arg)
{
    must(c->request.done == NULL);
    c->request.snapshot = true;
    c->request.done = done;
    c->request.arg = arg;
}

void
compactor_enforce_retention(
    struct compactor *c, void (*done)(void *arg, const struct err *e), void *arg)
{
    must(c->request.done == NULL);
    c->request.retention = true;
    c->request.done = done;
    c->request.arg = arg;
}

uint64_t
compactor_needless_to(const struct compactor *c)
{
    return c->needless_to;
}

void
compactor_fill_slot(const struct compactor *c, struct slot_replica *s)
{
    s->snapshot_txid = newest(c, LTX_LEVEL_SNAPSHOT);
    s->snapshot_count = c->n_snapshots;
    s->compaction_count = c->n_merges;
    s->compaction_errors = c->n_errors;
    s->verify_errors = c->n_verify_errors;
    s->l0_eligible = c->n_l0_eligible;
    s->l0_not_compacted = c->n_l0_not_compacted;
    s->l0_too_recent = c->n_l0_too_recent;
}
