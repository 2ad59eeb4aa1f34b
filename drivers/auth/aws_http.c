#include "drivers/auth/aws_http.h"

#include "common/base/mem.h"

struct exchange {
    struct http_op *op;
    aws_answer_cb *done;
    void *arg;
};

static void
on_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct exchange *x = arg;

    (void)op;
    x->done(x->arg, res->err, res->status, res->body, res->body_bytes);
    mem_free(x);
}

static void *
start(void *arg, const struct aws_exchange *a, aws_answer_cb *done, void *done_arg,
    struct err *e)
{
    struct exchange *x = MEM_NEW(struct exchange);
    struct http_request req = { .method = a->method,
        .url = a->url,
        .headers = a->headers,
        .n_headers = a->n_headers,
        .body = a->body,
        .body_bytes = a->body_bytes,
        .copy_body = true,
        .done = on_done,
        .arg = x,
        .direct = a->local,
        .timeout_ms = a->timeout_ms,
        .connect_timeout_ms = a->timeout_ms };

    (void)e;
    x->done = done;
    x->arg = done_arg;
    x->op = http_start(arg, &req);
    return x;
}

static void
cancel(void *arg, void *exchange)
{
    struct exchange *x = exchange;

    (void)arg;
    http_cancel(x->op);
    mem_free(x);
}

struct aws_transport
aws_http_transport(struct http *h)
{
    return (struct aws_transport){ .start = start, .cancel = cancel, .arg = h };
}
