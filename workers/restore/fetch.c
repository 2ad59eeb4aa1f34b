#include "workers/restore/fetch.h"

#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/retry.h"

#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS 5000

enum chunk_state { CHUNK_FREE, CHUNK_ASKED, CHUNK_READY, CHUNK_FAILED };

struct chunk {
    struct fetch *fetch;
    enum chunk_state state;
    size_t file;
    int64_t off;   /* in the file */
    size_t size;   /* bytes wanted */
    size_t got;    /* bytes that are there */
    size_t taken;  /* bytes the reader had */
    bool last;     /* of its file */
    uint8_t *data; /* of one chunk, made at first use */
    struct drv_op *op;
    uv_timer_t timer;
    struct retry retry;
    struct err err;
};

struct fetch {
    uv_loop_t *loop;
    struct drv *drv;
    struct fetch_files files;

    /* loop: where the next chunk starts */
    size_t next_file;
    int64_t next_off;

    /* both threads, under the lock */
    uv_mutex_t lock;
    uv_cond_t changed;
    struct chunk *ring;
    unsigned n_ring;
    unsigned head;    /* the chunk the reader is at */
    unsigned used;    /* chunks from head on that are not free */
    size_t read_file; /* files before it are not wanted any more */
    bool stopped;

    uv_async_t freed; /* the reader gave chunks back */
    bool closing;
    unsigned n_handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void ask(struct chunk *c);
static void close_handles(struct fetch *f);

static void
on_retry(uv_timer_t *h)
{
    struct chunk *c = container_of(h, struct chunk, timer);

    ask(c);
}

static void
set_state(struct chunk *c, enum chunk_state state)
{
    struct fetch *f = c->fetch;

    uv_mutex_lock(&f->lock);
    c->state = state;
    uv_cond_broadcast(&f->changed);
    uv_mutex_unlock(&f->lock);
}

static bool
is_stopped(struct fetch *f)
{
    bool stopped;

    uv_mutex_lock(&f->lock);
    stopped = f->stopped;
    uv_mutex_unlock(&f->lock);
    return stopped;
}

static void
failed(struct chunk *c, const struct err *e)
{
    enum err_class class = err_class_of(e->code);

    c->err = *e;
    if (is_stopped(c->fetch) || class == ERR_CLASS_EXPECTED || class == ERR_CLASS_USER ||
        e->code == ERR_RANGE || c->retry.failures + 1 >= FETCH_ATTEMPTS) {
        if (c->retry.failures > 0)
            err_wrap(&c->err, "gave up after %u attempts", c->retry.failures + 1);
        set_state(c, CHUNK_FAILED);
        return;
    }
    uv_timer_start(&c->timer, on_retry, (uint64_t)retry_failed(&c->retry), 0);
}

static void
on_got(void *arg, const struct drv_result *res)
{
    struct chunk *c = arg;
    struct err e;

    c->op = NULL;
    if (c->fetch->closing) {
        close_handles(c->fetch);
        return;
    }
    if (res->err != NULL) {
        failed(c, res->err);
        return;
    }
    c->got += (size_t)res->size;
    if (res->size > 0)
        retry_succeeded(&c->retry);
    if (c->got == c->size) {
        set_state(c, CHUNK_READY);
    } else if (res->size == 0) {
        err_set(&e, ERR_CORRUPT, "unexpected end of file at offset %lld",
            (long long)(c->off + (int64_t)c->got));
        failed(c, &e);
    } else {
        ask(c); /* the connection was dropped: the rest */
    }
}

static void
ask(struct chunk *c)
{
    const struct fetch_files *files = &c->fetch->files;
    struct fetch_range range = { .off = c->off + (int64_t)c->got,
        .size = c->size - c->got,
        .buf = c->data + c->got,
        .done = on_got,
        .arg = c };
    struct err e;

    if (is_stopped(c->fetch)) {
        err_set(&e, ERR_CANCELLED, "cancelled");
        failed(c, &e);
        return;
    }
    c->op = files->get(files, c->fetch->drv, c->file, &range, &e);
    if (c->op == NULL)
        failed(c, &e);
}

/* The next chunk of what is still to be fetched; false: nothing is. */
static bool
next_range(struct fetch *f, struct chunk *c)
{
    int64_t left;

    if (f->next_file >= f->files.n)
        return false;
    left = f->files.size(&f->files, f->next_file) - f->next_off;
    c->file = f->next_file;
    c->off = f->next_off;
    c->last = left <= (int64_t)f->files.chunk;
    c->size = c->last ? (size_t)left : f->files.chunk;
    c->got = c->taken = 0;
    f->next_off += (int64_t)c->size;
    if (c->last) {
        f->next_file++;
        f->next_off = 0;
    }
    return true;
}

/* Starts as many chunks as there are free places. */
static void
fill(struct fetch *f)
{
    for (;;) {
        struct chunk *c = NULL;

        uv_mutex_lock(&f->lock);
        if (f->next_file < f->read_file) {
            f->next_file = f->read_file;
            f->next_off = 0;
        }
        if (!f->stopped && f->used < f->n_ring) {
            c = &f->ring[(f->head + f->used) % f->n_ring];
            must(c->state == CHUNK_FREE);
            if (next_range(f, c)) {
                c->state = CHUNK_ASKED;
                f->used++;
            } else {
                c = NULL;
            }
        }
        uv_mutex_unlock(&f->lock);
        if (c == NULL)
            return;
        if (c->data == NULL)
            c->data = mem_new(f->files.chunk);
        retry_init(&c->retry, RETRY_FIRST_MS, RETRY_MAX_MS);
        if (c->size == 0)
            set_state(c, CHUNK_READY);
        else
            ask(c);
    }
}

static void
on_freed(uv_async_t *h)
{
    fill(container_of(h, struct fetch, freed));
}

static int64_t
ltx_size(const struct fetch_files *files, size_t i)
{
    const struct ltx_info *infos = files->list;

    return infos[i].size;
}

static struct drv_op *
ltx_get(const struct fetch_files *files, struct drv *d, size_t i,
    const struct fetch_range *range, struct err *e)
{
    const struct ltx_info *infos = files->list;
    struct drv_get req = { .level = infos[i].level,
        .min_txid = infos[i].min_txid,
        .max_txid = infos[i].max_txid,
        .off = range->off,
        .size = range->size,
        .buf = range->buf,
        .done = range->done,
        .arg = range->arg };

    return drv_get(d, &req, e);
}

struct fetch_files
fetch_ltx_files(const struct ltx_info *infos, size_t n)
{
    return (
        struct fetch_files){ .n = n, .size = ltx_size, .get = ltx_get, .list = infos };
}

int
fetch_open(uv_loop_t *loop, struct drv *d, const struct fetch_files *files,
    unsigned parallelism, struct fetch **out, struct err *e)
{
    struct fetch *f = MEM_NEW(struct fetch);

    f->loop = loop;
    f->drv = d;
    f->files = *files;
    if (f->files.chunk == 0)
        f->files.chunk = FETCH_CHUNK;
    f->n_ring = parallelism > 0 ? parallelism : 1;
    if (uv_async_init(loop, &f->freed, on_freed) != 0) {
        mem_free(f);
        return err_set(e, ERR_LIMIT, "no descriptors for a download");
    }
    uv_mutex_init(&f->lock);
    uv_cond_init(&f->changed);
    f->ring = mem_new_array(f->n_ring, sizeof(f->ring[0]));
    f->n_handles = f->n_ring + 1;
    for (unsigned i = 0; i < f->n_ring; i++) {
        f->ring[i].fetch = f;
        uv_timer_init(loop, &f->ring[i].timer);
    }
    fill(f);
    *out = f;
    return 0;
}

/* Under the lock: the chunk at the head is done with. */
static void
give_back(struct fetch *f)
{
    f->ring[f->head].state = CHUNK_FREE;
    f->head = (f->head + 1) % f->n_ring;
    f->used--;
    uv_async_send(&f->freed);
}

/* Under the lock: waits for the chunk that holds the reader's next byte. */
static int
wait_chunk(struct fetch *f, size_t i, struct chunk **out, struct err *e)
{
    for (;;) {
        struct chunk *c = &f->ring[f->head];

        if (f->stopped)
            return err_set(e, ERR_CANCELLED, "cancelled");
        if (f->used == 0 || c->state == CHUNK_ASKED) {
            uv_cond_wait(&f->changed, &f->lock);
        } else if (c->file < i) {
            give_back(f); /* of a file that is not wanted any more */
        } else if (c->state == CHUNK_FAILED) {
            *e = c->err;
            return (int)e->code;
        } else {
            *out = c;
            return 0;
        }
    }
}

int
fetch_read(struct fetch *f, size_t i, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct chunk *c = NULL;
    int rc;

    *n = 0;
    uv_mutex_lock(&f->lock);
    if (i > f->read_file) {
        f->read_file = i;
        uv_async_send(&f->freed);
    }
    for (;;) {
        rc = wait_chunk(f, i, &c, e);
        if (rc != 0)
            break;
        must(c != NULL && c->file == i);
        if (c->taken < c->size || c->last)
            break;
        give_back(f);
    }
    if (rc == 0) {
        *n = c->size - c->taken < cap ? c->size - c->taken : cap;
        memcpy(buf, c->data + c->taken, *n);
        c->taken += *n;
    }
    uv_mutex_unlock(&f->lock);
    return rc;
}

void
fetch_stop(struct fetch *f)
{
    uv_mutex_lock(&f->lock);
    f->stopped = true;
    uv_cond_broadcast(&f->changed);
    uv_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->n_ring; i++) {
        uv_timer_stop(&f->ring[i].timer);
        drv_cancel(f->ring[i].op);
    }
}

static void
on_handle_closed(uv_handle_t *h)
{
    struct fetch *f = h->data;

    if (--f->n_handles > 0)
        return;
    for (unsigned i = 0; i < f->n_ring; i++)
        mem_free(f->ring[i].data);
    uv_cond_destroy(&f->changed);
    uv_mutex_destroy(&f->lock);
    mem_free(f->ring);
    if (f->closed != NULL)
        f->closed(f->closed_arg);
    mem_free(f);
}

/* Once nothing is under way any more. */
static void
close_handles(struct fetch *f)
{
    for (unsigned i = 0; i < f->n_ring; i++)
        if (f->ring[i].op != NULL)
            return;
    f->freed.data = f;
    uv_close((uv_handle_t *)&f->freed, on_handle_closed);
    for (unsigned i = 0; i < f->n_ring; i++) {
        f->ring[i].timer.data = f;
        uv_close((uv_handle_t *)&f->ring[i].timer, on_handle_closed);
    }
}

void
fetch_close(struct fetch *f, void (*closed)(void *arg), void *arg)
{
    must(!f->closing);
    f->closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    fetch_stop(f);
    close_handles(f);
}
