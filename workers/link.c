#include "workers/link.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/container.h"
#include "common/base/mem.h"

#define QUEUE_MAX ((size_t)64 << 10)

struct link {
    uv_pipe_t pipe;
    struct link_options opt;
    unsigned state;
    uint8_t in[2 * MSG_MAX];
    size_t in_size;
    bool ended, closing;
    bool overrun; /* shut down by us: the queue was full */
};

struct link_write {
    uv_write_t req;
    struct link *link;
    struct buf bytes;
};

static void
end(struct link *l, const struct err *e)
{
    if (l->ended || l->closing)
        return;
    l->ended = true;
    uv_read_stop((uv_stream_t *)&l->pipe);
    l->opt.ended(l->opt.arg, e);
}

static void
on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct link *l = container_of(h, struct link, pipe);

    (void)hint;
    buf->base = (char *)l->in + l->in_size;
    buf->len = sizeof(l->in) - l->in_size;
}

/* Hands over all whole messages; what is left moves to the front. */
static void
take_messages(struct link *l)
{
    size_t at = 0;

    while (!l->closing && !l->ended) {
        struct msg m;
        struct err e;
        size_t used;
        int rc =
            msg_decode(l->in + at, l->in_size - at, l->opt.from, l->state, &m, &used, &e);

        if (rc == ERR_AGAIN)
            break;
        if (rc != 0) {
            end(l, &e);
            return;
        }
        at += used;
        if (m.head.incarnation == l->opt.incarnation)
            l->opt.message(l->opt.arg, &m);
    }
    memmove(l->in, l->in + at, l->in_size - at);
    l->in_size -= at;
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct link *l = container_of(s, struct link, pipe);
    struct err e;

    (void)buf;
    if (n > 0) {
        l->in_size += (size_t)n;
        take_messages(l);
    } else if (n < 0 && l->overrun) {
        err_set(&e, ERR_LIMIT, "the other side of the channel does not read");
        end(l, &e);
    } else if (n == UV_EOF || n == UV_ECONNRESET) {
        end(l, NULL);
    } else if (n < 0) {
        err_set(&e, ERR_IO, "read from channel: %s", uv_strerror((int)n));
        end(l, &e);
    }
}

int
link_open(const struct link_options *options, struct link **out, struct err *e)
{
    struct link *l = MEM_NEW(struct link);
    int rc;

    l->opt = *options;
    l->state = WS_ANY;
    rc = uv_pipe_init(options->loop, &l->pipe, 0);
    if (rc != 0) {
        close(options->fd);
        mem_free(l);
        return err_set(e, ERR_LIMIT, "open channel: %s", uv_strerror(rc));
    }
    rc = uv_pipe_open(&l->pipe, options->fd);
    if (rc != 0)
        close(options->fd);
    else
        rc = uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read);
    if (rc != 0) {
        link_close(l);
        return err_set(e, ERR_IO, "open channel: %s", uv_strerror(rc));
    }
    *out = l;
    return 0;
}

void
link_set_state(struct link *l, unsigned state)
{
    l->state = state;
}

static void
on_written(uv_write_t *req, int status)
{
    struct link_write *w = container_of(req, struct link_write, req);

    /* A failure shows on the reading side too: the other end is gone. */
    (void)status;
    buf_deinit(&w->bytes);
    mem_free(w);
}

void
link_send(struct link *l, struct msg *m)
{
    struct link_write *w;
    uv_buf_t buf;

    if (l->ended || l->closing)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&l->pipe) > QUEUE_MAX) {
        uv_os_fd_t fd;

        /* The other side does not read: let both see the end. */
        l->overrun = true;
        if (uv_fileno((uv_handle_t *)&l->pipe, &fd) == 0)
            shutdown(fd, SHUT_RDWR);
        return;
    }
    w = MEM_NEW(struct link_write);
    w->link = l;
    buf_init(&w->bytes, MSG_MAX);
    m->head.incarnation = l->opt.incarnation;
    msg_encode(&w->bytes, m);
    buf = uv_buf_init((char *)w->bytes.data, (unsigned)w->bytes.size);
    if (uv_write(&w->req, (uv_stream_t *)&l->pipe, &buf, 1, on_written) != 0) {
        buf_deinit(&w->bytes);
        mem_free(w);
    }
}

bool
link_flushed(const struct link *l)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&l->pipe) == 0;
}

static void
on_closed(uv_handle_t *h)
{
    mem_free(container_of(h, struct link, pipe));
}

void
link_close(struct link *l)
{
    if (l == NULL || l->closing)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->pipe, on_closed);
}
