/*
 *     start --> [prepare, request] --> answered --> done
 *                      ^                  |
 *                      +---- [wait] <-----+
 */
#include "drivers/http/http_call.h"

#include "common/base/container.h"
#include "common/base/mem.h"
#include "drivers/http/http_error.h"
#include "drivers/http/http_impl.h"

struct http_call {
    struct http *http;
    struct http_call_request req;
    struct http_retry retry;
    struct http_op *op; /* NULL: it waits */
    uv_timer_t timer;
    struct mono started;
    bool took_data; /* in this try */
    bool gave_data; /* since the body was at its beginning */
    bool over;
    struct err err;
};

static void
on_timer_closed(uv_handle_t *h)
{
    mem_free(container_of((uv_timer_t *)h, struct http_call, timer));
}

static void
end(struct http_call *c)
{
    c->over = true;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* How long it went on is what one wants to know of an error. */
static void
count_tries(const struct http_call *c, struct err *e)
{
    char s[32];

    if (c->retry.all > 1)
        err_set(e, e->code, "%s (%d tries in %s)", e->text, c->retry.all,
            http_seconds(mono_since_ms(c->started) / 1000 * 1000, s));
}

static void
give(struct http_call *c, struct http_op *op, const struct http_result *res)
{
    struct http_result last = *res;

    last.tries = c->retry.all;
    if (res->err != NULL) {
        c->err = *res->err;
        count_tries(c, &c->err);
        last.err = &c->err;
    }
    end(c);
    c->req.done(c->req.req.arg, op, &last);
}

static void
fail(struct http_call *c, const struct err *e)
{
    give(c, NULL, &(struct http_result){ .err = e, .body = "" });
}

/* --- one try
 * ------------------------------------------------------------------------------ */

static int
on_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct http_call *c = arg;

    c->took_data = true;
    return c->req.req.data(c->req.req.arg, op, bytes, n, e);
}

static int
on_fill(void *arg, struct http_op *op, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct http_call *c = arg;
    int rc = c->req.req.fill(c->req.req.arg, op, buf, cap, n, e);

    if (rc == 0)
        c->gave_data = true;
    return rc;
}

static int
on_rewind(void *arg, struct http_op *op, struct err *e)
{
    struct http_call *c = arg;
    int rc = c->req.req.rewind(c->req.req.arg, op, e);

    if (rc == 0)
        c->gave_data = false;
    return rc;
}

static void on_done(void *arg, struct http_op *op, const struct http_result *res);

static int
try(struct http_call *c, struct err *e)
{
    struct http_request req = c->req.req;

    if (c->req.prepare != NULL && c->req.prepare(req.arg, &req, e) != 0)
        return err_code(e);
    if (c->over) /* cancelled by prepare */
        return 0;
    req.arg = c;
    req.done = on_done;
    req.data = req.data != NULL ? on_data : NULL;
    req.fill = req.fill != NULL ? on_fill : NULL;
    req.rewind = req.rewind != NULL ? on_rewind : NULL;
    c->took_data = false;
    c->op = http_start(c->http, &req);
    return 0;
}

/* Both bodies as if nothing had happened yet. */
static int
go_back(struct http_call *c, struct err *e)
{
    if (c->gave_data && on_rewind(c, NULL, e) != 0)
        return err_code(e);
    if (c->took_data)
        c->req.restart(c->req.req.arg);
    return 0;
}

static void
on_timer(uv_timer_t *t)
{
    struct http_call *c = container_of(t, struct http_call, timer);
    struct err e = ERR_NONE;

    int rc = go_back(c, &e);

    if (rc == 0 && !c->over)
        rc = try(c, &e);
    if (rc != 0 && !c->over)
        fail(c, &e);
}

static bool
can_go_back(const struct http_call *c)
{
    return !(c->gave_data && c->req.req.rewind == NULL) &&
           !(c->took_data && c->req.restart == NULL);
}

static void
on_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct http_call *c = arg;
    int64_t after = http_retry_after_ms(http_header(op, "Retry-After"), wall_now());
    enum http_verdict verdict = c->req.judge != NULL
                                    ? c->req.judge(c->req.req.arg, op, res)
                                    : http_verdict_of(res);
    int64_t wait;

    c->op = NULL;
    if (c->over) /* cancelled by judge */
        return;
    if (!can_go_back(c))
        verdict = HTTP_FINAL;
    wait = http_retry_next(&c->retry, verdict, after, mono_now());
    if (wait < 0)
        give(c, op, res);
    else
        uv_timer_start(&c->timer, on_timer, (uint64_t)wait, 0);
}

/* --- the whole
 * ---------------------------------------------------------------------------- */

struct http_call *
http_call_start(struct http *h, const struct http_call_request *req, struct err *e)
{
    struct http_call *c = MEM_NEW(struct http_call);

    c->http = h;
    c->req = *req;
    c->started = mono_now();
    http_retry_init(&c->retry, req->policy, c->started);
    if (try(c, e) != 0) {
        mem_free(c);
        return NULL;
    }
    uv_timer_init(h->loop, &c->timer);
    return c;
}

void
http_call_cancel(struct http_call *c)
{
    if (c == NULL || c->over)
        return;
    http_cancel(c->op);
    c->op = NULL;
    end(c);
}

void
http_call_progress(struct http_call *c)
{
    http_retry_progress(&c->retry, mono_now());
}

struct http_op *
http_call_op(struct http_call *c)
{
    return c->op;
}
