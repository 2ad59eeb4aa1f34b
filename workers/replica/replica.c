#include "workers/replica/replica.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/base/retry.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"
#include "drivers/driver.h"
#include "workers/sync/pacer.h"

#define BACKOFF_MAX_MS 300000

/* The loop counts whole milliseconds: a timer may come that much before its time. */
#define TIMER_EARLY_MS 1

struct replica {
    struct replica_options opt;
    struct drv *drv;
    struct drv_op *op; /* under way */
    uv_timer_t timer;
    bool closing, drv_is_closed, timer_is_closed;
    void (*closed)(void *arg);
    void *closed_arg;

    bool started;
    uint64_t target; /* newest local file */
    bool known;
    int list_level; /* next level to list while not known */
    uint64_t listed_max;
    uint64_t found_txid;
    uint64_t txid;
    bool held;
    bool stopped; /* held for a reason, which stays in err */

    struct pacer pacer;
    int64_t early_ms; /* so much earlier a round may start when a file is made */
    struct retry retry;
    bool waiting; /* a back-off runs */
    bool pushed;
    uint64_t attempts, errors;
    struct err err; /* code ERR_OK: none */
    int64_t last_ok_ms;

    /* the upload under way */
    int fd;
    struct drv_source source;
};

static void step_early(struct replica *r, int64_t early_ms);
static void step(struct replica *r);

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

static void
failed(struct replica *r, const struct err *e)
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
    log_failure(r, wait_ms);
    r->waiting = true;
    uv_timer_start(&r->timer, on_timer, (uint64_t)wait_ms, 0);
    r->opt.changed(r->opt.arg, r);
}

static void
succeeded(struct replica *r)
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
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct replica *r = arg;

    for (size_t i = 0; i < n; i++)
        if (infos[i].max_txid > r->listed_max)
            r->listed_max = infos[i].max_txid;
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
        r->list_level = 0;
        failed(r, &e);
        return;
    }
    if (++r->list_level < LTX_N_LEVELS) {
        step(r);
        return;
    }
    r->known = true;
    r->txid = r->found_txid = r->listed_max;
    succeeded(r);
    log_debug("replica position", LF_STR("replica", drv_type(r->drv)),
        LF_TXID("txid", r->txid));
    r->opt.changed(r->opt.arg, r);
    step(r);
}

static void
start_list(struct replica *r)
{
    struct drv_list req = {
        .level = r->list_level, .entries = on_entries, .done = on_listed, .arg = r
    };
    struct err e;

    if (r->list_level == 0)
        r->listed_max = 0;
    r->op = drv_list(r->drv, &req, &e);
    if (r->op == NULL)
        failed(r, &e);
}

/* --- upload ---------------------------------------------------------------------------
 */

static void
on_uploaded(void *arg, const struct drv_result *res)
{
    struct replica *r = arg;
    struct err e;

    r->op = NULL;
    sys_close(&r->fd);
    if (res->err != NULL) {
        e = *res->err;
        err_wrap(&e, "write ltx file");
        failed(r, &e);
        return;
    }
    r->txid++;
    succeeded(r);
    log_debug("ltx file uploaded", LF_STR("replica", drv_type(r->drv)),
        LF_INT("level", 0), LF_TXID("minTXID", r->txid), LF_TXID("maxTXID", r->txid),
        LF_INT("size", res->size));
    if (r->txid >= r->target)
        r->last_ok_ms = wall_to_ms(wall_now());
    r->opt.changed(r->opt.arg, r);
    step(r);
}

static int
open_local(struct replica *r, uint64_t txid, int64_t *size, struct err *e)
{
    char name[LTX_NAME_SIZE];
    struct stat st;
    char *path;
    int rc;

    ltx_name_format(txid, txid, name);
    path = path_join(r->opt.l0_dir, name);
    rc = sys_open(path, O_RDONLY, 0, &r->fd, e);
    mem_free(path);
    if (rc == ERR_NOT_FOUND) {
        err_wrap(e, "open ltx file");
        err_hint(e, "litestream reset %s", r->opt.db_path);
        /* not ERR_NOT_FOUND: that one is normal control flow */
        e->code = ERR_CORRUPT;
        return ERR_CORRUPT;
    }
    if (rc == 0 && fstat(r->fd, &st) == 0)
        *size = st.st_size;
    return rc;
}

static void
start_upload(struct replica *r)
{
    struct drv_put req = { .level = 0,
        .min_txid = r->txid + 1,
        .max_txid = r->txid + 1,
        .src = &r->source,
        .done = on_uploaded,
        .arg = r };
    struct err e;

    if (open_local(r, r->txid + 1, &req.size, &e) != 0) {
        failed(r, &e);
        return;
    }
    drv_source_file(&r->source, r->fd, 0);
    r->op = drv_put(r->drv, &req, &e);
    if (r->op == NULL) {
        sys_close(&r->fd);
        failed(r, &e);
    }
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

/*
 * Looks at the state and starts the one thing that is due, or will be within early_ms, or
 * sets the timer for it.
 */
static void
step_early(struct replica *r, int64_t early_ms)
{
    int64_t due_ms;

    if (r->closing || !r->started || r->op != NULL || (r->waiting && !r->pushed))
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
    start_upload(r);
}

static void
step(struct replica *r)
{
    step_early(r, 0);
}

void
replica_set_target(struct replica *r, uint64_t txid)
{
    bool in_round = r->op != NULL && r->known;

    r->started = true;
    if (txid > r->target) {
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
    step(r);
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
    if (r->stopped)
        r->err.code = ERR_OK;
    r->held = r->stopped = false;
    r->target = target;
    step(r);
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
    retry_init(&r->retry, options->cfg->sync_interval_ns / 1000000, BACKOFF_MAX_MS);
    *out = r;
    return 0;
}

static void
free_if_closed(struct replica *r)
{
    if (!r->drv_is_closed || !r->timer_is_closed)
        return;
    sys_close(&r->fd);
    if (r->closed != NULL)
        r->closed(r->closed_arg);
    mem_free(r);
}

static void
on_drv_closed(void *arg)
{
    struct replica *r = arg;

    r->drv_is_closed = true;
    free_if_closed(r);
}

static void
on_timer_closed(uv_handle_t *h)
{
    struct replica *r = container_of(h, struct replica, timer);

    r->timer_is_closed = true;
    free_if_closed(r);
}

void
replica_close(struct replica *r, void (*closed)(void *arg), void *arg)
{
    must(!r->closing);
    r->closing = true;
    r->closed = closed;
    r->closed_arg = arg;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
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

void
replica_fill_slot(const struct replica *r, struct slot_replica *s)
{
    const struct drv_stats *put = drv_stats(r->drv, DRV_PUT);
    const struct drv_stats *get = drv_stats(r->drv, DRV_GET);

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
}

const char *
replica_type(const struct replica *r)
{
    return drv_type(r->drv);
}
