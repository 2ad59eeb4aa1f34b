#include "drivers/http/http.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/http/http_error.h"
#include "drivers/http/http_impl.h"
#include "drivers/http/http_url.h"

#define IDLE_MS 60000
#define STALL_MS 60000
#define KEPT_BODY ((size_t)64 << 10)
#define MAX_HEADERS ((size_t)32 << 10) /* bytes of all that an answer may have */
#define MAX_IDLE_CONNECTIONS 8L

/* --- the end of a request
 * ------------------------------------------------------------------ */

/* Keys, tokens and passwords are among them. */
static void
wipe_headers(struct http_op *op)
{
    for (struct curl_slist *l = op->headers; l != NULL; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(op->headers);
    op->headers = NULL;
}

static void
free_easy(struct http_op *op)
{
    curl_easy_cleanup(op->transfer.easy);
    op->transfer.easy = NULL;
    wipe_headers(op);
}

static void
op_free(struct http_op *op)
{
    free_easy(op);
    buf_deinit(&op->head);
    if (op->kept.data != NULL)
        explicit_bzero(op->kept.data, op->kept.cap); /* credentials come this way, too */
    buf_deinit(&op->kept);
    mem_free(op->host);
    mem_free(op);
}

static void
forget(struct http_op *op)
{
    struct http *h = op->http;

    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        h->first = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    must(h->n_ops-- > 0);
    if (h->n_ops == 0 && !h->closing)
        uv_timer_stop(&h->stall);
}

static int64_t
info_us(const struct http_op *op, CURLINFO what)
{
    curl_off_t us = 0;

    curl_easy_getinfo(op->transfer.easy, what, &us);
    return us;
}

/* Connected, TLS and all: bytes of the request may go. */
static bool
is_connected(const struct http_op *op)
{
    return info_us(op, CURLINFO_PRETRANSFER_TIME_T) > 0;
}

static void
explain(struct http_op *op, CURLcode code)
{
    struct http_fault f = { .code = code,
        .words = op->words,
        .host = op->host,
        .ca_file = op->http->ca_file,
        .phase = HTTP_CONNECTING,
        .timeout_ms = op->req.timeout_ms,
        .connect_time_ms = op->req.connect_timeout_ms > 0 ? op->req.connect_timeout_ms
                                                          : HTTP_CONNECT_MS };
    long sys = 0, status = 0;

    curl_easy_getinfo(op->transfer.easy, CURLINFO_OS_ERRNO, &sys);
    curl_easy_getinfo(op->transfer.easy, CURLINFO_HTTP_CONNECTCODE, &status);
    f.sys_errno = (int)sys;
    f.connect_status = op->status == 0 ? (int)status : 0;
    if (op->received > 0)
        f.phase = HTTP_ANSWERING;
    else if (is_connected(op))
        f.phase = HTTP_SENDING;
    http_error(&f, &op->err);
}

/* An error whose words are not all here is still that error. */
static bool
is_refusal(const struct http_op *op)
{
    return op->head_done && op->status >= 300;
}

static void
judge(struct http_op *op, CURLcode code, struct http_result *res)
{
    long connects = 1;

    curl_easy_getinfo(op->transfer.easy, CURLINFO_NUM_CONNECTS, &connects);
    if (code == CURLE_OK && !op->head_done) /* libcurl lets that pass */
        code = CURLE_PARTIAL_FILE;
    if (op->err.code == ERR_OK && code != CURLE_OK && is_refusal(op))
        res->cut = true;
    else if (op->err.code == ERR_OK && code != CURLE_OK)
        explain(op, code);
    if (op->skipped > 0)
        res->cut = true;
    if (op->err.code != ERR_OK)
        res->err = &op->err;
    res->stale = op->err.code == ERR_NETWORK && connects == 0 && op->received == 0;
}

static void
on_ended(struct transfer *t, CURLcode code)
{
    struct http_op *op = container_of(t, struct http_op, transfer);
    struct http_result res = { 0 };

    op->status = http_status(op);
    res.status = op->status;
    res.tries = 1;
    judge(op, code, &res);
    res.body = buf_str(&op->kept);
    res.body_bytes = op->kept.size;
    forget(op);
    free_easy(op);
    op->cancelled = true; /* what is asked of it from now on means nothing */
    op->req.done(op->req.arg, op, &res);
    op_free(op);
}

static void
on_gone(struct transfer *t)
{
    op_free(container_of(t, struct http_op, transfer));
}

/* --- standing still
 * ----------------------------------------------------------------------- */

static int64_t
stall_ms(const struct http_op *op)
{
    return op->req.stall_ms > 0 ? op->req.stall_ms : op->http->stall_ms;
}

/* What went out is known to libcurl: of a body in memory it takes more than it sends. */
static bool
has_moved(struct http_op *op)
{
    curl_off_t sent = 0;
    int64_t all;

    curl_easy_getinfo(op->transfer.easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    all = sent + op->received;
    if (all == op->moved)
        return false;
    op->moved = all;
    return true;
}

/* Waiting for a connection has a limit of its own. */
static bool
has_stalled(struct http_op *op)
{
    if (has_moved(op) || op->paused || op->starved || !is_connected(op))
        op->moved_at = mono_now();
    return mono_since_ms(op->moved_at) >= stall_ms(op);
}

static struct http_op *
find_stalled(struct http *h)
{
    struct http_op *op = h->first;

    while (op != NULL && !has_stalled(op))
        op = op->next;
    return op;
}

static void
on_stall_check(uv_timer_t *t)
{
    struct http *h = container_of(t, struct http, stall);
    struct http_op *op;
    char s[32];

    while (!h->closing && (op = find_stalled(h)) != NULL) {
        err_set(&op->err, ERR_TIMEOUT, "%s: %s for %s", op->host,
            op->received > 0 ? "the answer stood still" : "nothing moved",
            http_seconds(stall_ms(op), s));
        curl_loop_end(h->curl, &op->transfer, CURLE_OPERATION_TIMEDOUT);
    }
}

/* A few looks while the shortest limit passes. */
static void
watch_stalls(struct http *h, int64_t limit_ms)
{
    uint64_t every = (uint64_t)limit_ms / 4 + 1;

    if (!uv_is_active((uv_handle_t *)&h->stall) || every < uv_timer_get_repeat(&h->stall))
        uv_timer_start(&h->stall, on_stall_check, every, every);
}

/* --- a client
 * ----------------------------------------------------------------------------- */

struct http *
http_open(const struct http_options *options)
{
    static const struct curl_loop_calls calls = { .ended = on_ended, .gone = on_gone };
    struct http *h = MEM_NEW(struct http);
    const char *ca = options->ca_file;

    if (ca == NULL || ca[0] == '\0')
        ca = getenv("SSL_CERT_FILE");
    h->loop = options->loop;
    h->ca_file = ca != NULL && ca[0] != '\0' ? mem_strdup(ca) : NULL;
    h->stall_ms = options->stall_ms > 0 ? options->stall_ms : STALL_MS;
    h->curl = curl_loop_open(h->loop, &calls,
        options->idle_ms > 0 ? options->idle_ms : IDLE_MS, MAX_IDLE_CONNECTIONS);
    uv_timer_init(h->loop, &h->stall);
    return h;
}

static void
close_if_empty(struct http *h)
{
    void (*closed)(void *) = h->closed;
    void *arg = h->closed_arg;

    if (!h->timer_closed || !h->curl_closed)
        return;
    mem_free(h->ca_file);
    mem_free(h);
    if (closed != NULL)
        closed(arg);
}

static void
on_timer_closed(uv_handle_t *handle)
{
    struct http *h = container_of((uv_timer_t *)handle, struct http, stall);

    h->timer_closed = true;
    close_if_empty(h);
}

static void
on_curl_closed(void *arg)
{
    struct http *h = arg;

    h->curl_closed = true;
    close_if_empty(h);
}

void
http_close(struct http *h, void (*closed)(void *arg), void *arg)
{
    must(h->n_ops == 0 && !h->closing);
    h->closing = true;
    h->closed = closed;
    h->closed_arg = arg;
    uv_close((uv_handle_t *)&h->stall, on_timer_closed);
    curl_loop_close(h->curl, on_curl_closed, h);
}

/* --- a request
 * ---------------------------------------------------------------------------- */

struct http_op *
http_start(struct http *h, const struct http_request *req)
{
    struct http_op *op = MEM_NEW(struct http_op);

    must(!h->closing);
    op->http = h;
    op->req = *req;
    op->host = http_url_host(req->url);
    op->moved_at = mono_now();
    buf_init(&op->head, MAX_HEADERS);
    buf_init(&op->kept, req->answer_limit > 0 ? req->answer_limit : KEPT_BODY);
    op->transfer.easy = curl_easy_init();
    must(op->transfer.easy != NULL);
    http_setup(op);
    op->transfer.broken = op->err.code != ERR_OK;
    op->req.headers = NULL; /* they were borrowed */
    op->req.method = op->req.url = op->req.user = op->req.password = NULL;
    op->next = h->first;
    if (h->first != NULL)
        h->first->prev = op;
    h->first = op;
    h->n_ops++;
    watch_stalls(h, stall_ms(op));
    curl_loop_add(h->curl, &op->transfer);
    return op;
}

void
http_cancel(struct http_op *op)
{
    if (op == NULL || op->cancelled)
        return;
    op->cancelled = true;
    forget(op);
    curl_loop_drop(op->http->curl, &op->transfer);
}
