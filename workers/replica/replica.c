#include "workers/replica/replica.h"

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"
#include "workers/replica/replica_impl.h"

#define BACKOFF_MAX_MS 300000
#define FULL_MAX_MS 30000 /* somebody is likely to make room on a full disk soon */

/* The loop counts whole milliseconds: a timer may come that much before its time. */
#define TIMER_EARLY_MS 1

static void step_early(struct replica *r, int64_t early_ms);

static void
on_timer(uv_timer_t *h)
{
    struct replica *r = container_of(h, struct replica, timer);

    if (!r->waiting)
        r->opt.round(r->opt.arg);
    r->waiting = false;
    step_early(r, TIMER_EARLY_MS);
}

/* --- errors ---------------------------------------------------------------------------
 */

static void
log_failure(struct replica *r, int64_t wait_ms)
{
    if (!retry_should_log(&r->retry, mono_now()))
        return;
    log_error("monitor error", LF_STR("replica", drv_type(r->drv)), LF_ERR(&r->err),
        LF_STR("path", r->opt.db_path), LF_STR("hint", r->err.hint),
        LF_UINT("consecutive_errors", r->retry.failures), LF_MS("backoff", wait_ms));
}

void
replica_failed(struct replica *r, const struct err *e)
{
    int64_t wait_ms;

    if (e->code == ERR_CANCELLED || r->closing)
        return;
    if (r->stopped) {
        r->errors++;
        return; /* what is to be done is looked at when it is released */
    }
    r->err = *e;
    r->errors++;
    r->attempts++;
    wait_ms = retry_failed(&r->retry);
    if (e->code == ERR_NO_SPACE && wait_ms > FULL_MAX_MS)
        wait_ms = FULL_MAX_MS;
    log_failure(r, wait_ms);
    r->waiting = true;
    uv_timer_start(&r->timer, on_timer, (uint64_t)wait_ms, 0);
    r->opt.changed(r->opt.arg, r);
}

void
replica_succeeded(struct replica *r)
{
    uint32_t n = retry_succeeded(&r->retry);

    if (!r->stopped)
        r->err.code = ERR_OK;
    r->attempts++;
    if (n > 0)
        log_info("replica sync recovered", LF_STR("replica", drv_type(r->drv)),
            LF_UINT("previous_errors", n));
}

/* --- position -------------------------------------------------------------------------
 */

static void
extend(uint64_t *covered, const struct ltx_info *info)
{
    if (ltx_contiguous(*covered, info->min_txid, info->max_txid))
        *covered = info->max_txid;
}

static void
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct replica *r = arg;

    for (size_t i = 0; i < n; i++) {
        if (infos[i].max_txid > r->listed_max)
            r->listed_max = infos[i].max_txid;
        extend(&r->covered, &infos[i]);
        if (infos[i].level != LTX_LEVEL_SNAPSHOT || r->covered_from_oldest == 0)
            extend(&r->covered_from_oldest, &infos[i]);
        if (infos[i].level != LTX_LEVEL_SNAPSHOT)
            extend(&r->covered_from_1, &infos[i]);
        holdings_add(r->holdings, &infos[i]);
    }
}

/* The file behind it is here, and what follows on the destination is not without it. */
static bool
goes_on_here(const struct replica *r, uint64_t covered)
{
    return covered > 0 && covered < r->txid && replica_has_local(r, covered + 1);
}

/*
 * What lies behind a gap does not restore. It goes up again from the gap on, which costs
 * no more than a look at each file that is there. A snapshot may stand for files that had
 * not gone up when it was written: as long as they are here they go up as well, for only
 * they lead to the moments between.
 */
static void
position_found(struct replica *r)
{
    r->known = true;
    r->found_txid = r->listed_max;
    r->txid = r->covered;
    if (goes_on_here(r, r->covered_from_oldest))
        r->txid = r->covered_from_oldest;
    if (goes_on_here(r, r->covered_from_1))
        r->txid = r->covered_from_1;
    replica_succeeded(r);
    if (r->covered < r->listed_max)
        log_warn("replica has a gap", LF_STR("replica", drv_type(r->drv)),
            LF_STR("path", r->opt.db_path), LF_TXID("behind_txid", r->covered),
            LF_TXID("newest_txid", r->listed_max));
    log_debug("replica position", LF_STR("replica", drv_type(r->drv)),
        LF_TXID("txid", r->txid));
    r->opt.changed(r->opt.arg, r);
}

static void
on_listed(void *arg, const struct drv_result *res)
{
    struct replica *r = arg;
    struct err e;

    r->op = NULL;
    if (res->err != NULL) {
        e = *res->err;
        err_wrap(&e, "find replica position");
        r->n_listed = 0;
        replica_failed(r, &e);
        return;
    }
    if (++r->n_listed == LTX_N_LEVELS)
        replica_verify(r);
    else
        replica_step(r);
}

void
replica_verified(struct replica *r)
{
    position_found(r);
    replica_step(r);
}

static void
start_list(struct replica *r)
{
    struct drv_list req = { .level = LTX_N_LEVELS - 1 - r->n_listed,
        .entries = on_entries,
        .done = on_listed,
        .arg = r };
    struct err e;

    if (r->n_listed == 0) {
        r->listed_max = r->covered = 0;
        r->covered_from_oldest = r->covered_from_1 = 0;
        holdings_clear(r->holdings);
    }
    r->op = drv_list(r->drv, &req, &e);
    if (r->op == NULL)
        replica_failed(r, &e);
}

/* --- what to do next ------------------------------------------------------------------
 */

/* Who waits for an attempt of one that is stopped has its answer at once. */
static void
refuse_push(struct replica *r)
{
    bool refused = r->pushed && r->stopped;

    r->pushed = false;
    if (!refused)
        return;
    r->attempts++;
    r->opt.changed(r->opt.arg, r);
}

static bool
is_busy(const struct replica *r)
{
    return r->op != NULL || r->compare != NULL || r->verify != NULL;
}

/*
 * Looks at the state and starts the one thing that is due, or will be within early_ms, or
 * sets the timer for it.
 */
static void
step_early(struct replica *r, int64_t early_ms)
{
    int64_t due_ms;

    if (r->closing || !r->started || is_busy(r) || (r->waiting && !r->pushed))
        return;
    if (r->waiting) {
        r->waiting = false;
        uv_timer_stop(&r->timer);
    }
    if (!r->known) {
        r->pushed = false;
        start_list(r);
        return;
    }
    if (r->held || r->txid >= r->target) {
        refuse_push(r);
        return;
    }
    if (r->needs_snapshot && !r->pushed)
        return;
    due_ms =
        r->pushed || r->pacer.interval_ns <= 0 ? 0 : pacer_due_ms(&r->pacer, mono_now());
    if (due_ms > early_ms) {
        uv_update_time(r->opt.loop);
        uv_timer_start(&r->timer, on_timer, (uint64_t)due_ms, 0);
        return;
    }
    /* A round takes everything there is: the pace counts from its first file. */
    uv_timer_stop(&r->timer);
    if (due_ms >= 0)
        pacer_start(&r->pacer, mono_now());
    if (r->err.code != ERR_OK)
        r->pushed = false; /* one try; the back-off goes on when it fails */
    replica_upload(r);
}

void
replica_step(struct replica *r)
{
    step_early(r, 0);
}

void
replica_set_target(struct replica *r, uint64_t txid)
{
    bool in_round = is_busy(r) && r->known;

    r->started = true;
    if (!r->has_target)
        r->first_target = txid;
    r->has_target = true;
    if (txid > r->target) {
        if (replica_in_sync(r) && replica_error(r) == NULL)
            r->last_ok_ms = wall_to_ms(wall_now()); /* up to now */
        r->target = txid;
        if (!in_round) /* else it joins the round */
            pacer_touch(&r->pacer);
    }
    step_early(r, r->early_ms);
}

void
replica_push(struct replica *r)
{
    r->started = true;
    r->pushed = true;
    replica_step(r);
}

void
replica_hold(struct replica *r, const struct err *why)
{
    r->held = true;
    if (why == NULL)
        return;
    r->stopped = true;
    r->err = *why;
    r->errors++;
    log_error("replica stopped", LF_STR("replica", drv_type(r->drv)), LF_ERR(why),
        LF_STR("path", r->opt.db_path), LF_STR("hint", why->hint));
    r->opt.changed(r->opt.arg, r);
}

void
replica_release(struct replica *r, uint64_t target)
{
    if (r->stopped || r->needs_snapshot)
        r->err.code = ERR_OK;
    r->held = r->stopped = r->needs_snapshot = false;
    r->target = r->first_target = target;
    r->has_target = true;
    replica_step(r);
}

void
replica_took(struct replica *r, const struct ltx_info *info)
{
    holdings_add(r->holdings, info);
    if (!r->needs_snapshot || info->level != LTX_LEVEL_SNAPSHOT ||
        info->max_txid <= r->txid)
        return;
    replica_go_on_at(r, info->max_txid);
    r->opt.changed(r->opt.arg, r);
    replica_step(r);
}

void
replica_removed(struct replica *r, const struct ltx_info *files, size_t n)
{
    holdings_removed(r->holdings, files, n);
}

/* --- life -----------------------------------------------------------------------------
 */

/* Half the interval of whoever makes the files, but no more than half of our own. */
static int64_t
early_ms(const struct replica_options *options)
{
    int64_t own = options->cfg->sync_interval_ns, feed = options->feed_interval_ns;
    int64_t shorter = feed > 0 && feed < own ? feed : own;

    return shorter > 0 ? shorter / 2000000 : 0;
}

int
replica_open(const struct replica_options *options, struct replica **out, struct err *e)
{
    struct drv_env env = {
        .loop = options->loop, .owner = options->owner, .isolate = options->isolate
    };
    struct replica *r = MEM_NEW(struct replica);
    int rc;

    r->opt = *options;
    r->fd = -1;
    rc = drv_open(options->cfg, &env, &r->drv, e);
    if (rc != 0) {
        mem_free(r);
        return err_wrap(e, "initialize replica client for \"%s\"", options->db_path);
    }
    must(uv_timer_init(options->loop, &r->timer) == 0);
    pacer_init(&r->pacer, options->cfg->sync_interval_ns);
    r->early_ms = early_ms(options);
    r->holdings = holdings_new();
    retry_init(&r->retry, options->cfg->sync_interval_ns / 1000000, BACKOFF_MAX_MS);
    *out = r;
    return 0;
}

void
replica_free_if_closed(struct replica *r)
{
    if (!r->drv_is_closed || !r->timer_is_closed || r->verify != NULL)
        return;
    sys_close(&r->fd);
    if (r->closed != NULL)
        r->closed(r->closed_arg);
    holdings_free(r->holdings);
    mem_free(r);
}

static void
on_drv_closed(void *arg)
{
    struct replica *r = arg;

    r->drv_is_closed = true;
    replica_free_if_closed(r);
}

static void
on_timer_closed(uv_handle_t *h)
{
    struct replica *r = container_of(h, struct replica, timer);

    r->timer_is_closed = true;
    replica_free_if_closed(r);
}

void
replica_close(struct replica *r, void (*closed)(void *arg), void *arg)
{
    must(!r->closing);
    r->closing = true;
    r->closed = closed;
    r->closed_arg = arg;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    compare_cancel(r->compare);
    verify_cancel(r->verify);
    drv_close(r->drv, on_drv_closed, r);
}

/* --- what others see ------------------------------------------------------------------
 */

bool
replica_known(const struct replica *r)
{
    return r->known;
}

uint64_t
replica_txid(const struct replica *r)
{
    return r->txid;
}

uint64_t
replica_found_txid(const struct replica *r)
{
    return r->found_txid;
}

bool
replica_in_sync(const struct replica *r)
{
    return r->known && !r->held && r->txid >= r->target;
}

bool
replica_is_stopped(const struct replica *r)
{
    return r->stopped;
}

bool
replica_is_foreign(const struct replica *r)
{
    return r->foreign;
}

const struct err *
replica_error(const struct replica *r)
{
    return r->err.code != ERR_OK ? &r->err : NULL;
}

uint64_t
replica_attempts(const struct replica *r)
{
    return r->attempts;
}

static void
fill_op(const struct replica *r, enum drv_kind kind, struct slot_op_stats *out)
{
    const struct drv_stats *s = drv_stats(r->drv, kind);

    _Static_assert(SLOT_N_BUCKETS == DRV_N_BUCKETS, "");
    out->ns = s->ns;
    memcpy(out->le, s->le, sizeof(out->le));
}

static void
fill_failures(const struct replica *r, struct slot_failure *out)
{
    static const uint32_t ops[DRV_N_KINDS] = { [DRV_PUT] = SLOT_PUT,
        [DRV_GET] = SLOT_GET,
        [DRV_DELETE] = SLOT_DELETE,
        [DRV_LIST] = SLOT_LIST };
    const struct drv_failure *f = drv_failures(r->drv);

    _Static_assert(
        SLOT_N_FAILURES == DRV_N_FAILURES && sizeof(out->code) == sizeof(f->code), "");
    for (size_t i = 0; i < SLOT_N_FAILURES; i++) {
        memcpy(out[i].code, f[i].code, sizeof(out->code));
        out[i].op = ops[f[i].kind];
        out[i].n = f[i].n;
    }
}

void
replica_fill_slot(const struct replica *r, struct slot_replica *s)
{
    const struct drv_stats *put = drv_stats(r->drv, DRV_PUT);
    const struct drv_stats *get = drv_stats(r->drv, DRV_GET);
    const struct err *why = replica_error(r);

    s->txid = r->txid;
    s->last_ok_ms = (uint64_t)r->last_ok_ms;
    s->errors = r->errors;
    s->errors_in_row = r->retry.failures;
    s->put_count = put->count;
    s->put_bytes = put->bytes;
    s->get_count = get->count;
    s->get_bytes = get->bytes;
    s->list_count = drv_stats(r->drv, DRV_LIST)->count;
    s->delete_count = drv_stats(r->drv, DRV_DELETE)->count;
    fill_op(r, DRV_PUT, &s->op[SLOT_PUT]);
    fill_op(r, DRV_GET, &s->op[SLOT_GET]);
    fill_op(r, DRV_DELETE, &s->op[SLOT_DELETE]);
    fill_op(r, DRV_LIST, &s->op[SLOT_LIST]);
    fill_failures(r, s->failures);
    memset(s->error, 0, sizeof(s->error));
    if (why != NULL)
        snprintf(s->error, sizeof(s->error), "%.*s", SLOT_ERROR_MAX - 1, why->text);
}

const char *
replica_type(const struct replica *r)
{
    return drv_type(r->drv);
}

struct drv *
replica_drv(struct replica *r)
{
    return r->drv;
}

const struct holdings *
replica_holdings(const struct replica *r)
{
    return r->holdings;
}

bool
replica_needs_snapshot(const struct replica *r)
{
    return r->needs_snapshot && !r->held;
}

bool
replica_lost_files(const struct replica *r)
{
    return replica_needs_snapshot(r) && r->lost;
}

uint64_t
replica_pending_files(const struct replica *r)
{
    uint64_t from = r->known ? r->txid : r->first_target;

    return r->target > from ? r->target - from : 0;
}
