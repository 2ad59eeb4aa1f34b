#include "drivers/http/http_get.h"

#include "common/base/mem.h"
#include "drivers/http/http_call.h"
#include "drivers/http/http_range.h"

struct http_get {
    struct http_get_request req;
    struct http_call *call;
    struct http_range range;
    char asked[64];
    char if_match[HTTP_PIN_MAX];
    int64_t skip;   /* bytes of this answer to pass over */
    int64_t before; /* got when this try began */
    bool begun;     /* this answer was looked at */
    bool in_data, cancelled;
    struct err err; /* what is wrong with the answers */
};

static struct http_part
part_of(const struct http_op *op, int status)
{
    return (struct http_part){ .status = status,
        .content_range = http_header(op, "Content-Range"),
        .content_length = http_header(op, "Content-Length"),
        .etag = http_header(op, "ETag"),
        .modified = http_header(op, "Last-Modified") };
}

/* Once an answer, with its first bytes or at its end. */
static int
begin(struct http_get *g, const struct http_op *op, struct err *e)
{
    struct http_part p = part_of(op, http_status(op));

    if (g->begun)
        return 0;
    g->begun = true;
    if (http_range_begin(&g->range, &p, &g->skip, &g->err) == 0)
        return 0;
    *e = g->err;
    return err_code(e);
}

static int
on_prepare(void *arg, struct http_request *req, struct err *e)
{
    struct http_get *g = arg;
    struct uri_pair extra[2];
    size_t n = 0;

    g->begun = false;
    g->skip = 0;
    g->before = g->range.got;
    http_range_ask(&g->range, g->asked);
    if (g->asked[0] != '\0')
        extra[n++] = (struct uri_pair){ "Range", g->asked };
    if (http_range_if_match(&g->range)[0] != '\0')
        extra[n++] = (struct uri_pair){ "If-Match", http_range_if_match(&g->range) };
    req->arg = g->req.req.arg;
    return g->req.prepare(g->req.req.arg, extra, n, req, e);
}

/* What of these bytes is wanted; moves *at. */
static int64_t
wanted(struct http_get *g, const char **at, int64_t n)
{
    const struct http_range *r = &g->range;
    int64_t skip = g->skip < n ? g->skip : n;

    g->skip -= skip;
    *at += skip;
    n -= skip;
    return r->size >= 0 && n > r->size - r->got ? r->size - r->got : n;
}

static int
on_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct http_get *g = arg;
    const char *at = bytes;
    int64_t take;
    int rc = 0;

    if (begin(g, op, e) != 0)
        return err_code(e);
    take = wanted(g, &at, (int64_t)n);
    if (take > 0) {
        g->range.got += take;
        g->in_data = true;
        rc = g->req.data(g->req.req.arg, op, at, (size_t)take, &g->err);
        g->in_data = false;
    }
    if (g->cancelled) {
        mem_free(g);
        return err_set(e, ERR_CANCELLED, "cancelled");
    }
    if (rc != 0)
        *e = g->err;
    else if (at + take < (const char *)bytes + n)
        rc = err_set(e, ERR_END, "all that was wanted is here");
    return rc;
}

static enum http_verdict
fault(struct http_get *g, enum err_code code, const char *text)
{
    if (g->err.code == ERR_OK)
        err_set(&g->err, code, "%s", text);
    return HTTP_FINAL;
}

/* An answer of 200 or 206 is over. */
static enum http_verdict
judge_good(struct http_get *g, const struct http_op *op, const struct http_result *res)
{
    const struct http_range *r = &g->range;
    struct err e = ERR_NONE;

    if (res->err != NULL && res->err->code != ERR_END)
        return g->err.code != ERR_OK ? HTTP_FINAL : http_verdict_of(res);
    if (begin(g, op, &e) != 0 || http_range_is_complete(r))
        return HTTP_FINAL;
    if (g->skip > 0 && r->got == 0)
        return fault(g, ERR_RANGE, "the range lies beyond the end of the file");
    if (g->skip > 0)
        return fault(g, ERR_MOVED, "the file changed while it was read");
    if (r->total < 0)
        return HTTP_FINAL; /* it ends where the answer ends */
    /* Servers may send less than they are asked for. */
    return r->got > g->before
               ? HTTP_AT_ONCE
               : fault(g, ERR_CORRUPT, "the server sends less than the file holds");
}

static enum http_verdict
on_judge(void *arg, const struct http_op *op, const struct http_result *res)
{
    struct http_get *g = arg;
    struct http_part p = part_of(op, res->status);

    if (g->range.got > g->before)
        http_call_progress(g->call);
    if (res->status == 200 || res->status == 206)
        return judge_good(g, op, res);
    if (res->status == 412 && g->range.pinned)
        return fault(g, ERR_MOVED, "the file changed while it was read");
    if (res->status == 416) {
        http_range_refused(&g->range, &p, &g->err);
        return HTTP_FINAL;
    }
    return g->req.judge != NULL ? g->req.judge(g->req.req.arg, op, res)
                                : http_verdict_of(res);
}

static void
on_restart(void *arg)
{
    (void)arg; /* it goes on, nothing is void */
}

static void
on_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct http_get *g = arg;
    struct http_get_result r = { .err = res->err,
        .status = res->status,
        .body = res->body,
        .body_bytes = res->body_bytes,
        .got = g->range.got,
        .total = g->range.total,
        .etag = g->range.etag };

    if (g->err.code != ERR_OK)
        r.err = &g->err;
    else if (r.err != NULL && r.err->code == ERR_END)
        r.err = NULL;
    else if (res->status == 416) /* there was nothing more */
        r.status = 206;
    g->req.done(g->req.req.arg, op, &r);
    mem_free(g);
}

struct http_get *
http_get_start(struct http *h, const struct http_get_request *req, struct err *e)
{
    struct http_get *g = MEM_NEW(struct http_get);
    struct http_call_request call = { .req = req->req,
        .policy = req->policy,
        .prepare = on_prepare,
        .judge = on_judge,
        .restart = on_restart,
        .done = on_done };

    g->req = *req;
    http_range_init(&g->range, req->off, req->size);
    call.req.method = "GET";
    call.req.data = on_data;
    call.req.arg = g;
    call.req.body = NULL;
    call.req.fill = NULL;
    g->call = http_call_start(h, &call, e);
    if (g->call != NULL)
        return g;
    mem_free(g);
    return NULL;
}

void
http_get_cancel(struct http_get *g)
{
    if (g == NULL)
        return;
    http_call_cancel(g->call);
    if (g->in_data)
        g->cancelled = true; /* on_data is still at work with it */
    else
        mem_free(g);
}
