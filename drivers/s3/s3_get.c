/*
 * Ranges of objects. An answer that breaks off is gone on with from its next byte, as
 * long as it is of the same object: its ETag is compared, which servers understand in
 * more ways than If-Match.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "drivers/s3/s3_impl.h"

/* Requests in a row that bring less than they say, and nothing. */
#define MAX_FRUITLESS 3

/* How often an object may change while it is read. */
#define MAX_CHANGES 3

static void ask(struct s3_task *t);

static void
on_begin(void *arg)
{
    struct s3_get *g = &((struct s3_task *)arg)->u.get;

    g->checked = false;
    g->got_before = g->got;
    snprintf(g->range, sizeof(g->range), "bytes=%lld-%lld",
        (long long)g->off + (long long)g->got,
        (long long)g->off + (long long)g->size - 1);
}

/* "bytes 5-9/100": begin and length of the object, -1 where it says "*". */
static bool
parse_content_range(const char *text, long long *first, long long *total)
{
    char *end;

    if (text == NULL || strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    *first = *total = -1;
    if (text[0] != '*') {
        *first = strtoll(text, &end, 10);
        if (end == text || *end != '-')
            return false;
        text = end + 1;
    }
    text = strchr(text, '/');
    if (text != NULL && text[1] != '*')
        *total = strtoll(text + 1, NULL, 10);
    return true;
}

/* From the first byte on when it is another object than that of the bytes before. */
static int
check_etag(struct s3_get *g, struct err *e)
{
    const char *etag = s3_header(&g->call, "ETag");

    if (etag == NULL)
        etag = "";
    if (g->got > 0 && strncmp(etag, g->etag, sizeof(g->etag) - 1) != 0) {
        g->got = 0;
        return err_set(e, ++g->changes > MAX_CHANGES ? ERR_CORRUPT : ERR_NETWORK,
            "the object changed while it was read");
    }
    snprintf(g->etag, sizeof(g->etag), "%s", etag);
    return 0;
}

static int
check_head(struct s3_get *g, struct err *e)
{
    long long first = 0, total = -1;
    int rc;

    if (g->checked)
        return 0;
    rc = check_etag(g, e);
    if (rc != 0)
        return rc;
    if (s3_status(&g->call) == 206 &&
        !parse_content_range(s3_header(&g->call, "Content-Range"), &first, &total))
        return err_set(e, ERR_PROTOCOL, "the answer does not say which part it is");
    if (s3_status(&g->call) != 206 && g->off == 0)
        g->got = 0; /* all of it comes, whatever was asked for */
    if (first != g->off + (int64_t)g->got)
        return err_set(e, ERR_PROTOCOL, "the answer is another part than was asked for");
    g->expected = -1;
    if (total >= 0)
        g->expected =
            total - g->off < (int64_t)g->size ? total - g->off : (int64_t)g->size;
    g->checked = true;
    return 0;
}

static int
on_data(void *arg, const void *bytes, size_t n, struct err *e)
{
    struct s3_get *g = &((struct s3_task *)arg)->u.get;
    size_t room;
    int rc = check_head(g, e);

    if (rc != 0)
        return rc;
    room = g->size - g->got;
    memcpy(g->buf + g->got, bytes, n < room ? n : room);
    g->got += n < room ? n : room;
    if (n <= room)
        return 0;
    g->enough = true; /* a server that does not know ranges sends it all */
    return err_set(e, ERR_CANCELLED, "that is enough");
}

static void
succeed(struct s3_task *t)
{
    t->op.res.size = (int64_t)t->u.get.got;
    s3_task_finish(t, NULL);
}

/* There is nothing at `off`: that is all right just behind the last byte. */
static void
on_size(void *arg)
{
    struct s3_task *t = arg;
    struct s3_get *g = &t->u.get;
    const char *length = s3_header(&g->call, "Content-Length");
    struct err e;

    if (g->call.err.code != ERR_OK) {
        s3_task_finish(t, &g->call.err);
        return;
    }
    if (length != NULL && strtoll(length, NULL, 10) == g->off) {
        succeed(t);
        return;
    }
    err_set(
        &e, ERR_RANGE, "s3: %s: byte %lld is behind its end", g->key, (long long)g->off);
    s3_task_finish(t, &e);
}

static void
ask_size(struct s3_task *t)
{
    struct s3_get *g = &t->u.get;

    g->call = (struct s3_op){
        .call = S3_HEAD, .method = "HEAD", .key = g->key, .done = on_size, .arg = t
    };
    s3_start(s3_drv_of(t)->client, &g->call);
}

/* More was announced than came. */
static void
go_on(struct s3_task *t)
{
    struct s3_get *g = &t->u.get;
    struct err e;

    if (g->got > g->got_before || ++g->fruitless < MAX_FRUITLESS) {
        ask(t);
        return;
    }
    err_set(&e, ERR_NETWORK, "s3: GetObject %s: the answers are shorter than they say",
        g->key);
    s3_task_finish(t, &e);
}

/* `off` is behind the end, or just there. */
static void
is_out_of_range(struct s3_task *t)
{
    struct s3_get *g = &t->u.get;
    long long first, total;

    if (parse_content_range(s3_header(&g->call, "Content-Range"), &first, &total) &&
        total >= 0 && total != g->off)
        s3_task_finish(t, &g->call.err);
    else
        ask_size(t);
}

static void
on_range(void *arg)
{
    struct s3_task *t = arg;
    struct s3_get *g = &t->u.get;

    if (g->call.err.code == ERR_RANGE && g->got == 0)
        is_out_of_range(t);
    else if (g->call.err.code != ERR_OK && !g->enough)
        s3_task_finish(t, &g->call.err);
    else if (g->enough || g->expected < 0 || (int64_t)g->got >= g->expected)
        succeed(t);
    else
        go_on(t);
}

static void
ask(struct s3_task *t)
{
    struct s3_get *g = &t->u.get;

    g->call = (struct s3_op){ .call = S3_GET,
        .method = "GET",
        .key = g->key,
        .begin = on_begin,
        .data = on_data,
        .done = on_range,
        .arg = t };
    s3_add_header(&g->call, "Range", g->range);
    s3_start(s3_drv_of(t)->client, &g->call);
}

static void
stop(struct s3_task *t)
{
    struct err e;

    s3_cancel(&t->u.get.call);
    err_set(&e, ERR_CANCELLED, "cancelled");
    s3_task_finish(t, &e);
}

static void
release(struct drv_op *op)
{
    mem_free(s3_task_of(op)->u.get.key);
}

static int
begin(struct s3_task *t)
{
    t->u.get.expected = -1;
    t->op.release = release;
    t->stop = stop;
    ask(t);
    return 0;
}

int
s3_get(struct drv_op *op, const struct drv_get *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);

    (void)e;
    t->u.get = (struct s3_get){ .key = s3_ltx_key(s3_drv_of(t), req->level, req->min_txid,
                                    req->max_txid),
        .off = req->off,
        .buf = req->buf,
        .size = req->size };
    return begin(t);
}

int
s3_get_key(struct drv_op *op, const struct drv_get_key *req, struct err *e)
{
    struct s3_task *t = s3_task_of(op);

    (void)e;
    t->u.get = (struct s3_get){ .key = s3_other_key(s3_drv_of(t), req->key),
        .off = req->off,
        .buf = req->buf,
        .size = req->size };
    return begin(t);
}
