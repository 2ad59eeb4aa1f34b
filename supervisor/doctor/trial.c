#include "supervisor/doctor/trial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/base/rand.h"
#include "common/ltx/ltx_encoder.h"
#include "drivers/driver.h"
#include "supervisor/doctor/look.h"

#define GRACE_MS 3000 /* for a step that was cancelled to end */
#define PAGE_SIZE 512
#define FILE_MAX 2048
#define TXID 1

enum step {
    STEP_SNAPSHOTS,
    STEP_RAW,
    STEP_PUT,
    STEP_AGAIN,
    STEP_GET,
    STEP_FIND,
    STEP_DEL,
    STEP_LOOK,
    STEP_CLEAN,
    N_STEPS
};

/* A small LTX file in memory. */
struct content {
    struct drv_source src;
    struct buf bytes;
    size_t off;
};

struct doctor_trial {
    uv_loop_t *loop;
    const struct cfg_replica *cfg;
    struct doctor_trial_options opt;
    struct doctor_replica *out;

    struct cfg_replica probe_cfg; /* cfg, but for the path */
    char *probe_path;
    char *existing; /* of the folder of a file replica, what was there before */
    struct drv *replica, *probe;
    struct content first, second;
    uint8_t got[FILE_MAX];

    int step;
    struct drv_op *op; /* NULL: none is under way */
    uv_timer_t timer;
    bool put_tried, stopping;
    bool late;      /* the step was cancelled for its time */
    bool abandoned; /* it did not end then; nothing of *out is touched any more */
    unsigned n_open;
};

/* --- the file -------------------------------------------------------------------------
 */

static int
content_read(
    struct drv_source *s, void *buf, size_t cap, bool wait, size_t *n, struct err *e)
{
    struct content *c = container_of(s, struct content, src);
    size_t left = c->bytes.size - c->off;

    (void)wait;
    (void)e;
    *n = left < cap ? left : cap;
    memcpy(buf, c->bytes.data + c->off, *n);
    c->off += *n;
    return 0;
}

static int
content_rewind(struct drv_source *s, int64_t off, struct err *e)
{
    struct content *c = container_of(s, struct content, src);

    if (off < 0 || (size_t)off > c->bytes.size)
        return err_set(e, ERR_BUG, "rewind to %" PRId64, off);
    c->off = (size_t)off;
    return 0;
}

static int
add_bytes(void *arg, const void *bytes, size_t n, struct err *e)
{
    return buf_add(arg, bytes, n) ? 0 : err_set(e, ERR_LIMIT, "the file is too large");
}

/* One page that is filled with a byte. */
static void
content_make(struct content *c, int fill)
{
    struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = PAGE_SIZE,
        .commit = 1,
        .min_txid = TXID,
        .max_txid = TXID,
        .timestamp_ms = wall_to_ms(wall_now()) };
    struct ltx_sink sink = { .write = add_bytes, .arg = &c->bytes };
    struct ltx_encoder *enc = NULL;
    uint8_t page[PAGE_SIZE];
    struct err e;

    memset(page, fill, sizeof(page));
    buf_init(&c->bytes, FILE_MAX);
    must(ltx_encoder_open(&h, sink, NULL, &enc, &e) == 0);
    must(ltx_encoder_page(enc, 1, page, &e) == 0);
    must(ltx_encoder_close(enc, 0, NULL, &e) == 0);
    ltx_encoder_free(enc);
    c->src =
        (struct drv_source){ .read = content_read, .rewind = content_rewind, .fd = -1 };
}

/* --- steps ----------------------------------------------------------------------------
 */

static void on_done(void *arg, const struct drv_result *res);

static void
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct doctor_trial *t = arg;

    if (t->abandoned)
        return;
    t->out->n_files += n;
    if (t->step == STEP_SNAPSHOTS)
        t->out->n_snapshots += n;
    for (size_t i = 0; i < n; i++)
        if (wall_cmp(infos[i].created, t->out->newest) > 0)
            t->out->newest = infos[i].created;
}

static void
on_probe_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct doctor_trial *t = arg;
    bool there = false;

    for (size_t i = 0; i < n; i++)
        there |= infos[i].min_txid == TXID && infos[i].max_txid == TXID;
    if (t->abandoned || !there)
        return;
    if (t->step == STEP_FIND)
        t->out->found = true;
    else
        t->out->gone = false;
}

static struct drv_op *
start_list(struct doctor_trial *t, int level, struct err *e)
{
    struct drv_list req = {
        .level = level, .entries = on_entries, .done = on_done, .arg = t
    };

    return drv_list(t->replica, &req, e);
}

static struct drv_op *
start_probe_list(struct doctor_trial *t, struct err *e)
{
    struct drv_list req = {
        .level = 0, .entries = on_probe_entries, .done = on_done, .arg = t
    };

    return drv_list(t->probe, &req, e);
}

static struct drv_op *
start_put(struct doctor_trial *t, struct content *c, struct err *e)
{
    struct drv_put req = { .level = 0,
        .min_txid = TXID,
        .max_txid = TXID,
        .size = (int64_t)c->bytes.size,
        .exclusive = true,
        .src = &c->src,
        .done = on_done,
        .arg = t };

    return drv_put(t->probe, &req, e);
}

static struct drv_op *
start_get(struct doctor_trial *t, struct err *e)
{
    struct drv_get req = { .level = 0,
        .min_txid = TXID,
        .max_txid = TXID,
        .size = sizeof(t->got),
        .buf = t->got,
        .done = on_done,
        .arg = t };

    return drv_get(t->probe, &req, e);
}

static struct drv_op *
start_del(struct doctor_trial *t, struct err *e)
{
    static const struct ltx_info file = {
        .level = 0, .min_txid = TXID, .max_txid = TXID
    };
    struct drv_del req = { .files = &file, .n = 1, .done = on_done, .arg = t };

    return drv_del(t->probe, &req, e);
}

static struct drv_op *
start_step(struct doctor_trial *t, struct err *e)
{
    switch (t->step) {
    case STEP_SNAPSHOTS:
        return start_list(t, LTX_LEVEL_SNAPSHOT, e);
    case STEP_RAW:
        return start_list(t, 0, e);
    case STEP_PUT:
        t->put_tried = true;
        return start_put(t, &t->first, e);
    case STEP_AGAIN:
        return start_put(t, &t->second, e);
    case STEP_GET:
        return start_get(t, e);
    case STEP_DEL:
        return start_del(t, e);
    case STEP_FIND:
    case STEP_LOOK:
        return start_probe_list(t, e);
    default:
        return drv_del_all(t->probe, on_done, t, e);
    }
}

static bool
is_wanted(const struct doctor_trial *t, int step)
{
    const struct doctor_replica *r = t->out;

    switch (step) {
    case STEP_SNAPSHOTS:
        return !t->stopping;
    case STEP_RAW:
        return !t->stopping && r->list.code == ERR_OK;
    case STEP_PUT: /* writing may be allowed where listing is not */
        return !t->stopping && (r->list.code == ERR_OK || r->list.code == ERR_PERMISSION);
    case STEP_AGAIN:
    case STEP_GET:
    case STEP_FIND:
        return !t->stopping && r->put.code == ERR_OK;
    case STEP_DEL:
        return r->put.code == ERR_OK;
    case STEP_LOOK:
        return !t->stopping && r->put.code == ERR_OK && r->del.code == ERR_OK;
    default:
        return t->put_tried;
    }
}

/* Where the result of a step goes. */
static struct err *
result_of(struct doctor_trial *t)
{
    struct doctor_replica *r = t->out;
    struct err *const results[N_STEPS] = { [STEP_SNAPSHOTS] = &r->list,
        [STEP_RAW] = &r->list,
        [STEP_PUT] = &r->put,
        [STEP_AGAIN] = &r->again,
        [STEP_GET] = &r->get,
        [STEP_FIND] = &r->find,
        [STEP_DEL] = &r->del,
        [STEP_LOOK] = &r->del,
        [STEP_CLEAN] = &r->clean };

    return results[t->step];
}

/* --- the end --------------------------------------------------------------------------
 */

/*
 * Empty folders above the probe that a file replica had not. Another trial may have one
 * in use still, or have removed some.
 */
static void
remove_made(struct doctor_trial *t)
{
    char *at = path_clean(t->cfg->path), *up;

    while (t->existing != NULL && strlen(at) > strlen(t->existing) &&
           (rmdir(at) == 0 || errno == ENOENT)) {
        up = path_dir(at);
        mem_free(at);
        at = up;
    }
    mem_free(at);
}

static void
on_timer_closed(uv_handle_t *h)
{
    struct doctor_trial *t = container_of(h, struct doctor_trial, timer);

    t->opt.done(t->opt.arg, true);
}

static void
on_drv_closed(void *arg)
{
    struct doctor_trial *t = arg;

    if (--t->n_open > 0)
        return;
    remove_made(t);
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

static void
finish(struct doctor_trial *t)
{
    struct drv *replica = t->replica, *probe = t->probe;

    t->n_open++; /* for this call */
    if (replica != NULL)
        drv_close(replica, on_drv_closed, t);
    if (probe != NULL)
        drv_close(probe, on_drv_closed, t);
    on_drv_closed(t);
}

/* --- one after the other --------------------------------------------------------------
 */

static void
say_late(struct doctor_trial *t)
{
    struct err *result = result_of(t);

    err_set(result, ERR_TIMEOUT, "no answer within %g s", (double)t->opt.step_ms / 1000);
}

static void
on_timer(uv_timer_t *h)
{
    struct doctor_trial *t = container_of(h, struct doctor_trial, timer);

    if (!t->late) {
        t->late = true;
        uv_timer_start(h, on_timer, GRACE_MS, 0);
        drv_cancel(t->op);
        return;
    }
    say_late(t);
    t->abandoned = true;
    t->opt.done(t->opt.arg, false);
}

static void
go_on(struct doctor_trial *t)
{
    while (++t->step < N_STEPS) {
        struct err e;

        if (!is_wanted(t, t->step))
            continue;
        t->late = false;
        if (t->step == STEP_LOOK)
            t->out->gone = true;
        t->op = start_step(t, &e);
        if (t->op != NULL) {
            uv_timer_start(&t->timer, on_timer, (uint64_t)t->opt.step_ms, 0);
            return;
        }
        *result_of(t) = e;
    }
    finish(t);
}

/* The folder of a file replica answers. */
static void
look_folder(struct doctor_trial *t)
{
    if (t->cfg->type != CFG_REPLICA_FILE || t->existing != NULL)
        return;
    t->existing = doctor_nearest(t->cfg->path);
    doctor_look_space(t->cfg->path, &t->out->space);
}

static void
on_done(void *arg, const struct drv_result *res)
{
    struct doctor_trial *t = arg;

    if (t->abandoned)
        return;
    t->op = NULL;
    uv_timer_stop(&t->timer);
    if (res->err == NULL)
        *result_of(t) = (struct err)ERR_NONE;
    else if (t->late && res->err->code == ERR_CANCELLED)
        say_late(t);
    else
        *result_of(t) = *res->err;
    if (t->step == STEP_SNAPSHOTS && !t->late)
        look_folder(t);
    if (t->step == STEP_GET && res->err == NULL)
        t->out->same = (size_t)res->size == t->first.bytes.size &&
                       memcmp(t->got, t->first.bytes.data, t->first.bytes.size) == 0;
    go_on(t);
}

static void
on_start(uv_timer_t *h)
{
    go_on(container_of(h, struct doctor_trial, timer));
}

static void
on_no_start(uv_timer_t *h)
{
    finish(container_of(h, struct doctor_trial, timer));
}

static int
open_drivers(struct doctor_trial *t, struct err *e)
{
    struct drv_env env = { .loop = t->loop, .owner = SYS_OWNER_DEFAULT, .isolate = true };
    int rc = drv_open(t->cfg, &env, &t->replica, e);

    t->n_open += rc == 0;
    if (rc == 0)
        rc = drv_open(&t->probe_cfg, &env, &t->probe, e);
    t->n_open += rc == 0;
    return rc;
}

struct doctor_trial *
doctor_trial_start(uv_loop_t *loop, const struct cfg_replica *cfg,
    const struct doctor_trial_options *options, struct doctor_replica *out)
{
    struct err not_reached = { .code = ERR_CANCELLED };
    struct doctor_trial *t = MEM_NEW(struct doctor_trial);
    char name[64];

    *out = (struct doctor_replica){ .list = not_reached,
        .put = not_reached,
        .again = not_reached,
        .get = not_reached,
        .find = not_reached,
        .del = not_reached,
        .clean = not_reached };
    t->loop = loop;
    t->cfg = cfg;
    t->opt = *options;
    t->out = out;
    t->step = -1;
    snprintf(name, sizeof(name), ".litestream-doctor-%016" PRIx64, rand_u64());
    t->probe_path = path_join(cfg->path, name);
    t->probe_cfg = *cfg;
    t->probe_cfg.path = t->probe_path;
    out->probe = t->probe_path;
    content_make(&t->first, 'a');
    content_make(&t->second, 'b');
    must(uv_timer_init(loop, &t->timer) == 0);
    uv_timer_start(
        &t->timer, open_drivers(t, &out->list) == 0 ? on_start : on_no_start, 0, 0);
    return t;
}

void
doctor_trial_stop(struct doctor_trial *t)
{
    t->stopping = true;
    if (t->step < STEP_DEL)
        drv_cancel(t->op);
}

void
doctor_trial_free(struct doctor_trial *t)
{
    if (t == NULL)
        return;
    remove_made(t);
    buf_deinit(&t->first.bytes);
    buf_deinit(&t->second.bytes);
    mem_free(t->existing);
    mem_free(t->probe_path);
    mem_free(t);
}
