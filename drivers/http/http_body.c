#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "drivers/http/http_impl.h"

/* 100 Continue, 103 Early Hints, challenges: a server that sends more only plays. */
#define MAX_HEADS 16

/* --- headers
 * ------------------------------------------------------------------------------ */

static size_t
header_fault(struct http_op *op, const char *what)
{
    err_set(&op->err, ERR_NETWORK, "%s: the answer has %s", op->host, what);
    return 0;
}

static bool
begins_head(const char *line, size_t n)
{
    return n >= 5 && strncmp(line, "HTTP/", 5) == 0;
}

/* One more answer: what came before was an interim one, a challenge or a proxy's. */
static void
begin_head(struct http_op *op)
{
    op->n_heads++;
    op->head_done = false;
    buf_reset(&op->head);
    buf_reset(&op->kept);
}

/*
 * All headers of an answer are here. When it refuses a body whose source has nothing at
 * the moment, libcurl would wait for that source, maybe for ever.
 */
static void
end_head(struct http_op *op)
{
    op->head_done = true;
    if (op->starved && http_status(op) >= 300)
        http_resume(op);
}

size_t
http_on_header(char *line, size_t one, size_t n, void *arg)
{
    struct http_op *op = arg;
    const char *colon = memchr(line, ':', n * one), *value;
    size_t all = n * one;

    n = all;
    op->received += (int64_t)all;
    if (op->cancelled)
        return 0;
    if (memchr(line, '\0', n) != NULL)
        return header_fault(op, "a header with a NUL byte");
    if (begins_head(line, n)) {
        begin_head(op);
        return op->n_heads <= MAX_HEADS ? all
                                        : header_fault(op, "no end of interim answers");
    }
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    if (n == 0)
        end_head(op);
    if (colon == NULL || colon >= line + n)
        return all; /* also one without a value that has no colon: of no use */
    for (value = colon + 1; value < line + n && isspace((unsigned char)*value);)
        value++;
    buf_add(&op->head, line, (size_t)(colon - line));
    buf_add_char(&op->head, '\0');
    buf_add(&op->head, value, (size_t)(line + n - value));
    buf_add_char(&op->head, '\0');
    return buf_failed(&op->head) ? header_fault(op, "too many headers") : all;
}

const char *
http_header(const struct http_op *op, const char *name)
{
    const char *at, *end;

    if (op == NULL || op->head.size == 0)
        return NULL;
    at = (const char *)op->head.data;
    end = at + op->head.size;
    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

int
http_status(const struct http_op *op)
{
    long status;

    if (op == NULL)
        return 0;
    status = op->status;
    if (status == 0 && op->transfer.easy != NULL)
        curl_easy_getinfo(op->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* --- the body of the answer
 * --------------------------------------------------------------- */

/* For people: the beginning is enough. */
static size_t
keep_error(struct http_op *op, const char *bytes, size_t n)
{
    size_t room = op->kept.limit - op->kept.size;
    size_t take = n < room ? n : room;

    buf_add(&op->kept, bytes, take);
    op->skipped += (int64_t)(n - take);
    op->enough = op->skipped > (int64_t)HTTP_ERROR_BODY_MAX;
    return op->enough ? 0 : n;
}

static size_t
keep_answer(struct http_op *op, const char *bytes, size_t n)
{
    if (buf_add(&op->kept, bytes, n))
        return n;
    err_set(&op->err, ERR_NETWORK, "%s: the answer is longer than %zu bytes", op->host,
        op->kept.limit);
    return 0;
}

size_t
http_on_data(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_op *op = arg;

    n *= one;
    if (op->cancelled)
        return 0;
    if (op->paused)
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps these for later */
    op->received += (int64_t)n;
    if (http_status(op) >= 300)
        return keep_error(op, bytes, n);
    if (op->req.data == NULL)
        return keep_answer(op, bytes, n);
    if (op->req.data(op->req.arg, op, bytes, n, &op->err) != 0 || op->cancelled)
        return 0;
    return n;
}

void
http_pause(struct http_op *op)
{
    op->paused = true;
}

void
http_resume(struct http_op *op)
{
    if (op->cancelled)
        return;
    op->paused = op->starved = false;
    op->moved_at = mono_now();
    curl_loop_resume(op->http->curl, &op->transfer);
}

/* --- the body of the request
 * -------------------------------------------------------------- */

static size_t
read_memory(struct http_op *op, char *buf, size_t cap)
{
    size_t left = op->req.body_bytes - (size_t)op->sent;
    size_t n = left < cap ? left : cap;

    memcpy(buf, (const char *)op->req.body + op->sent, n);
    op->sent += (int64_t)n;
    return n;
}

size_t
http_on_read(char *buf, size_t one, size_t n, void *arg)
{
    struct http_op *op = arg;
    size_t cap = n * one, got = 0;
    int64_t all = op->req.fill_bytes;
    int rc;

    if (op->cancelled)
        return CURL_READFUNC_ABORT;
    if (op->req.fill == NULL)
        return read_memory(op, buf, cap);
    if (all >= 0 && (int64_t)cap > all - op->sent)
        cap = (size_t)(all - op->sent);
    if (cap == 0)
        return 0;
    rc = op->req.fill(op->req.arg, op, buf, cap, &got, &op->err);
    if (op->cancelled)
        return CURL_READFUNC_ABORT;
    if (rc == ERR_AGAIN) {
        op->err = (struct err)ERR_NONE;
        op->starved = true;
        return CURL_READFUNC_PAUSE;
    }
    if (rc == 0 && got == 0 && op->sent < all)
        rc = err_set(&op->err, ERR_CORRUPT, "what is sent ended after %lld of %lld bytes",
            (long long)op->sent, (long long)all);
    if (rc != 0)
        return CURL_READFUNC_ABORT;
    op->sent += (int64_t)got;
    return got;
}

int
http_on_seek(void *arg, curl_off_t off, int origin)
{
    struct http_op *op = arg;

    if (off != 0 || origin != SEEK_SET || op->cancelled)
        return CURL_SEEKFUNC_CANTSEEK;
    if (op->req.fill != NULL) {
        if (op->req.rewind == NULL)
            return op->sent == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
        if (op->req.rewind(op->req.arg, op, &op->err) != 0)
            return CURL_SEEKFUNC_FAIL;
    }
    op->sent = 0;
    return CURL_SEEKFUNC_OK;
}
