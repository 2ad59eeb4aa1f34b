#include "drivers/source.h"

#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/sys.h"

static int
file_read(
    struct drv_source *s, void *buf, size_t cap, bool wait, size_t *n, struct err *e)
{
    int rc = sys_pread(s->fd, buf, cap, s->fd_off, n, e);

    (void)wait;
    if (rc == 0)
        s->fd_off += (int64_t)*n;
    return rc;
}

static int
file_rewind(struct drv_source *s, int64_t off, struct err *e)
{
    (void)e;
    s->fd_off = off;
    return 0;
}

void
drv_source_file(struct drv_source *s, int fd, int64_t off)
{
    *s = (struct drv_source){
        .read = file_read, .rewind = file_rewind, .fd = fd, .fd_off = off
    };
}

struct drv_pipe {
    struct drv_source source;
    uv_async_t filled; /* wakes a reader on the loop */
    uv_mutex_t lock;
    uv_cond_t changed;
    uint8_t *ring;
    size_t cap, start, used;
    bool ended, abandoned, reader_waits;
    struct err end; /* code ERR_OK: a good end */
};

/* Under the lock: moves what there is, both halves of the ring. */
static size_t
take(struct drv_pipe *p, uint8_t *buf, size_t cap)
{
    size_t n = p->used < cap ? p->used : cap;
    size_t first = p->cap - p->start < n ? p->cap - p->start : n;

    memcpy(buf, p->ring + p->start, first);
    memcpy(buf + first, p->ring, n - first);
    p->start = (p->start + n) % p->cap;
    p->used -= n;
    return n;
}

static int
pipe_read(
    struct drv_source *s, void *buf, size_t cap, bool wait, size_t *n, struct err *e)
{
    struct drv_pipe *p = container_of(s, struct drv_pipe, source);
    int rc = 0;

    *n = 0;
    uv_mutex_lock(&p->lock);
    while (wait && p->used == 0 && !p->ended)
        uv_cond_wait(&p->changed, &p->lock);
    if (p->used > 0) {
        *n = take(p, buf, cap);
        uv_cond_broadcast(&p->changed);
    } else if (!p->ended) {
        p->reader_waits = true;
        if (!wait) /* on the loop, which must not end meanwhile */
            uv_ref((uv_handle_t *)&p->filled);
        rc = err_set(e, ERR_AGAIN, "nothing to read yet");
    } else if (p->end.code != ERR_OK) {
        *e = p->end;
        rc = (int)e->code;
    }
    uv_mutex_unlock(&p->lock);
    return rc;
}

static void
on_filled(uv_async_t *h)
{
    struct drv_pipe *p = container_of(h, struct drv_pipe, filled);

    uv_unref((uv_handle_t *)h);
    if (p->source.wake != NULL)
        p->source.wake(p->source.wake_arg);
}

int
drv_pipe_new(uv_loop_t *loop, size_t cap, struct drv_pipe **out, struct err *e)
{
    struct drv_pipe *p = MEM_NEW(struct drv_pipe);
    int rc = uv_async_init(loop, &p->filled, on_filled);

    if (rc != 0) {
        mem_free(p);
        return err_set(e, ERR_LIMIT, "create a pipe: %s", uv_strerror(rc));
    }
    uv_unref((uv_handle_t *)&p->filled);
    uv_mutex_init(&p->lock);
    uv_cond_init(&p->changed);
    p->cap = cap;
    p->ring = mem_new(cap);
    p->source = (struct drv_source){ .read = pipe_read, .fd = -1 };
    *out = p;
    return 0;
}

struct drv_source *
drv_pipe_source(struct drv_pipe *p)
{
    return &p->source;
}

/* Under the lock: puts in what fits. */
static size_t
give(struct drv_pipe *p, const uint8_t *bytes, size_t n)
{
    size_t room = p->cap - p->used, at = (p->start + p->used) % p->cap, first;

    if (n > room)
        n = room;
    first = p->cap - at < n ? p->cap - at : n;
    memcpy(p->ring + at, bytes, first);
    memcpy(p->ring, bytes + first, n - first);
    p->used += n;
    return n;
}

/* Under the lock. */
static void
tell_reader(struct drv_pipe *p)
{
    uv_cond_broadcast(&p->changed);
    if (p->reader_waits) {
        p->reader_waits = false;
        uv_async_send(&p->filled);
    }
}

int
drv_pipe_write(struct drv_pipe *p, const void *bytes, size_t n, struct err *e)
{
    const uint8_t *from = bytes;
    int rc = 0;

    uv_mutex_lock(&p->lock);
    while (n > 0 && !p->abandoned) {
        size_t moved = give(p, from, n);

        from += moved;
        n -= moved;
        if (moved > 0)
            tell_reader(p);
        else
            uv_cond_wait(&p->changed, &p->lock);
    }
    if (n > 0)
        rc = err_set(e, ERR_CANCELLED, "nobody reads any more");
    uv_mutex_unlock(&p->lock);
    return rc;
}

void
drv_pipe_end(struct drv_pipe *p, const struct err *e)
{
    uv_mutex_lock(&p->lock);
    p->ended = true;
    if (e != NULL)
        p->end = *e;
    tell_reader(p);
    uv_mutex_unlock(&p->lock);
}

void
drv_pipe_abandon(struct drv_pipe *p)
{
    uv_mutex_lock(&p->lock);
    p->abandoned = true;
    uv_cond_broadcast(&p->changed);
    uv_mutex_unlock(&p->lock);
}

static void
on_pipe_closed(uv_handle_t *h)
{
    struct drv_pipe *p = container_of(h, struct drv_pipe, filled);

    uv_cond_destroy(&p->changed);
    uv_mutex_destroy(&p->lock);
    mem_free(p->ring);
    mem_free(p);
}

void
drv_pipe_free(struct drv_pipe *p)
{
    if (p == NULL)
        return;
    p->source.wake = NULL;
    uv_close((uv_handle_t *)&p->filled, on_pipe_closed);
}
