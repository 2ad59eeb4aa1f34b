#include "drivers/driver.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/driver_impl.h"

static void
on_handle_closed(uv_handle_t *h)
{
    struct drv *d = container_of(h, struct drv, deliver);
    drv_closed_cb *closed = d->closed;
    void *arg = d->closed_arg;

    mem_free(d->state);
    mem_free(d);
    if (closed != NULL)
        closed(arg);
}

void
drv_closed(struct drv *d)
{
    uv_close((uv_handle_t *)&d->deliver, on_handle_closed);
}

static void
close_if_idle(struct drv *d)
{
    if (!d->closing || d->close_asked || d->active != NULL || d->finished != NULL)
        return;
    d->close_asked = true;
    uv_idle_stop(&d->deliver);
    d->ops->close(d);
}

const int64_t drv_bucket_ms[DRV_N_BUCKETS] = { 10, 50, 100, 500, 1000, 5000, 10000, 30000,
    60000 };

/* "ERR_AUTH" -> "auth" */
static void
name_failure(const struct err *e, char out[ERR_PROVIDER_MAX])
{
    snprintf(out, ERR_PROVIDER_MAX, "%s",
        e->provider[0] != '\0' ? e->provider : err_code_name(e->code) + strlen("ERR_"));
    for (size_t i = 0; e->provider[0] == '\0' && out[i] != '\0'; i++)
        out[i] = (char)tolower((unsigned char)out[i]);
}

static void
count_failure(struct drv *d, enum drv_kind kind, const struct err *e)
{
    struct drv_failure *f = d->failures;
    char code[ERR_PROVIDER_MAX] = { 0 };

    d->stats[kind].errors++;
    name_failure(e, code);
    while (f < d->failures + DRV_N_WAYS && f->n > 0 &&
           (f->kind != kind || strcmp(f->code, code) != 0))
        f++;
    if (f == d->failures + DRV_N_WAYS) {
        f = d->failures + DRV_N_WAYS + kind;
        memcpy(code, "other", sizeof("other"));
    }
    if (f->n == 0) {
        memcpy(f->code, code, sizeof(code));
        f->kind = kind;
    }
    f->n++;
}

static void
count(struct drv_op *op)
{
    struct drv_stats *s = &op->drv->stats[op->kind];
    int64_t ns = mono_since_ns(op->started);
    unsigned i = 0;

    s->count++;
    s->ns += (uint64_t)ns;
    while (i < DRV_N_BUCKETS && ns > drv_bucket_ms[i] * 1000000)
        i++;
    if (i < DRV_N_BUCKETS)
        s->le[i]++;
    if (op->res.err == NULL)
        s->bytes += (uint64_t)op->res.size;
    else if (op->err.code != ERR_NOT_FOUND && op->err.code != ERR_CANCELLED &&
             op->err.code != ERR_EXISTS)
        count_failure(op->drv, op->kind, &op->err);
}

static void
on_deliver(uv_idle_t *h)
{
    struct drv *d = container_of(h, struct drv, deliver);
    struct drv_op *op = d->finished;

    must(op != NULL);
    d->finished = op->next;
    if (d->finished == NULL) {
        d->last_finished = &d->finished;
        uv_idle_stop(&d->deliver);
    }
    op->res.err = op->err.code != ERR_OK ? &op->err : NULL;
    count(op);
    if (op->deliver != NULL && op->res.err == NULL)
        op->deliver(op);
    op->done(op->arg, &op->res);
    if (op->release != NULL)
        op->release(op);
    mem_free(op);
    close_if_idle(d);
}

void
drv_op_finish(struct drv_op *op, const struct err *e)
{
    struct drv *d = op->drv;

    must(!op->finished);
    op->finished = true;
    if (e != NULL)
        op->err = *e;
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        d->active = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    op->prev = op->next = NULL;
    *d->last_finished = op;
    d->last_finished = &op->next;
    uv_idle_start(&d->deliver, on_deliver);
}

int
drv_open(const struct cfg_replica *cfg, const struct drv_env *env, struct drv **out,
    struct err *e)
{
    const struct drv_ops *ops = drv_ops_for(cfg->type);
    struct drv *d;
    int rc;

    if (ops == NULL)
        return err_set(e, ERR_UNSUPPORTED, "replicas of type %s are not in this build",
            cfg_replica_type_name(cfg->type));
    d = MEM_NEW(struct drv);
    d->ops = ops;
    d->env = *env;
    d->state = mem_new(ops->state_bytes);
    d->last_finished = &d->finished;
    rc = ops->open(d, cfg, e);
    if (rc != 0) {
        mem_free(d->state);
        mem_free(d);
        return rc;
    }
    must(uv_idle_init(env->loop, &d->deliver) == 0);
    *out = d;
    return 0;
}

void
drv_close(struct drv *d, drv_closed_cb *closed, void *arg)
{
    if (d->closing)
        return;
    d->closing = true;
    d->closed = closed;
    d->closed_arg = arg;
    for (struct drv_op *op = d->active, *next; op != NULL; op = next) {
        next = op->next;
        drv_cancel(op);
    }
    close_if_idle(d);
}

static struct drv_op *
op_new(struct drv *d, enum drv_kind kind, drv_done_cb *done, void *arg)
{
    struct drv_op *op = mem_new(d->ops->op_bytes);

    must(!d->closing);
    op->drv = d;
    op->kind = kind;
    op->done = done;
    op->arg = arg;
    op->started = mono_now();
    op->next = d->active;
    if (d->active != NULL)
        d->active->prev = op;
    d->active = op;
    return op;
}

/* rc of the driver's start: on failure the operation never was. */
static struct drv_op *
op_started(struct drv_op *op, int rc, const struct err *e)
{
    struct drv *d = op->drv;

    if (rc == 0)
        return op;
    must(!op->finished && d->active == op);
    d->stats[op->kind].count++;
    count_failure(d, op->kind, e);
    d->active = op->next;
    if (d->active != NULL)
        d->active->prev = NULL;
    if (op->release != NULL)
        op->release(op);
    mem_free(op);
    return NULL;
}

struct drv_op *
drv_list(struct drv *d, const struct drv_list *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_LIST, req->done, req->arg);

    must(req->level >= 0 && req->level < LTX_N_LEVELS);
    return op_started(op, d->ops->list(op, req, e), e);
}

struct drv_op *
drv_get(struct drv *d, const struct drv_get *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_GET, req->done, req->arg);

    must(req->size > 0 && req->off >= 0);
    return op_started(op, d->ops->get(op, req, e), e);
}

struct drv_op *
drv_put(struct drv *d, const struct drv_put *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_PUT, req->done, req->arg);

    return op_started(op, d->ops->put(op, req, e), e);
}

struct drv_op *
drv_del(struct drv *d, const struct drv_del *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_DELETE, req->done, req->arg);

    return op_started(op, d->ops->del(op, req, e), e);
}

struct drv_op *
drv_del_all(struct drv *d, drv_done_cb *done, void *arg, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_DELETE, done, arg);

    return op_started(op, d->ops->del_all(op, e), e);
}

bool
drv_has_keys(const struct drv *d)
{
    return d->ops->list_keys != NULL;
}

struct drv_op *
drv_list_keys(struct drv *d, const struct drv_list_keys *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_LIST, req->done, req->arg);

    must(drv_has_keys(d));
    return op_started(op, d->ops->list_keys(op, req, e), e);
}

struct drv_op *
drv_get_key(struct drv *d, const struct drv_get_key *req, struct err *e)
{
    struct drv_op *op = op_new(d, DRV_GET, req->done, req->arg);

    must(drv_has_keys(d) && req->size > 0 && req->off >= 0);
    return op_started(op, d->ops->get_key(op, req, e), e);
}

void
drv_cancel(struct drv_op *op)
{
    if (op == NULL || op->finished || op->cancelled)
        return;
    op->cancelled = true;
    op->drv->ops->cancel(op);
}

const char *
drv_type(const struct drv *d)
{
    return d->ops->type;
}

const struct drv_stats *
drv_stats(const struct drv *d, enum drv_kind kind)
{
    return &d->stats[kind];
}

const struct drv_failure *
drv_failures(const struct drv *d)
{
    return d->failures;
}
