#include "supervisor/control/http_server.h"

#include <poll.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "supervisor/control/http_impl.h"

#define SWEEP_MS 1000
#define ACCEPT_BATCH 32
#define EVICT_AFTER_MS 1000 /* a connection without a request keeps its place */

/* --- libmicrohttpd on the loop --------------------------------------------------------
 */

static void settle(struct http_server *s);
static void on_due(uv_timer_t *h);

static void
run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (s->closing || s->running)
        return;
    s->running = true;
    MHD_run(s->mhd);
    s->running = false;
    if (MHD_get_timeout(s->mhd, &ms) == MHD_YES)
        uv_timer_start(&s->due, on_due, ms, 0);
    else
        uv_timer_stop(&s->due);
    settle(s);
}

static void
on_due(uv_timer_t *h)
{
    run(container_of(h, struct http_server, due));
}

static void
on_epoll(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    run(container_of(h, struct http_server, epoll));
}

void
http_run_soon(struct http_server *s)
{
    if (!s->closing)
        uv_timer_start(&s->due, on_due, 0, 0);
}

/* --- connections ----------------------------------------------------------------------
 */

void
http_set_state(struct http_conn *c, enum http_conn_state state)
{
    c->state = state;
    c->since = mono_now();
}

static void
add_conn(struct http_server *s, struct http_conn *c)
{
    c->prev = s->last;
    if (s->last != NULL)
        s->last->next = c;
    else
        s->first = c;
    s->last = c;
    s->n_conns++;
}

static void
remove_conn(struct http_server *s, struct http_conn *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->first = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    else
        s->last = c->prev;
    s->n_conns--;
}

static void
on_connection(void *arg, struct MHD_Connection *mhd, void **context,
    enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = arg;
    struct http_conn *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        c = MEM_NEW(struct http_conn);
        c->server = s;
        c->fd =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        http_set_state(c, CONN_READING);
        add_conn(s, c);
        *context = c;
        return;
    }
    *context = NULL;
    remove_conn(s, c);
    mem_free(c);
    if (!s->running)
        http_run_soon(s);
}

/* libmicrohttpd sees the end of the stream and closes it. */
static void
hang_up(struct http_conn *c)
{
    shutdown(c->fd, SHUT_RDWR);
    http_run_soon(c->server);
}

/* The one that has been silent for longest makes room. */
static void
evict(struct http_server *s)
{
    struct http_conn *oldest = NULL;

    for (struct http_conn *c = s->first; c != NULL; c = c->next)
        if (c->state == CONN_READING && mono_since_ms(c->since) >= EVICT_AFTER_MS &&
            (oldest == NULL || c->since.ns < oldest->since.ns))
            oldest = c;
    if (oldest != NULL)
        hang_up(oldest);
}

static bool
client_is_gone(const struct http_conn *c)
{
    struct pollfd p = { .fd = c->fd };

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void watch_listeners(struct http_server *s, bool on);

/*
 * Once a second while there are connections: requests that do not arrive in time, and
 * clients that have left while their request waits, which libmicrohttpd does not look
 * for.
 */
static void
on_sweep(uv_timer_t *h)
{
    struct http_server *s = container_of(h, struct http_server, sweep);

    for (struct http_conn *c = s->first; c != NULL; c = c->next)
        if (c->state == CONN_READING && mono_since_ms(c->since) >= HTTP_READ_MS)
            hang_up(c);
        else if (c->state == CONN_BUSY && c->request->suspended && client_is_gone(c))
            http_cut(c->request);
    if (s->waiting && s->n_conns >= HTTP_MAX_CONNECTIONS)
        evict(s);
    else if (s->waiting)
        watch_listeners(s, true); /* it was the system that had no room */
    settle(s);
}

/* --- listening ------------------------------------------------------------------------
 */

static void on_listener(uv_poll_t *h, int status, int events);

static void
watch_listeners(struct http_server *s, bool on)
{
    for (int i = 0; i < HTTP_N_WATCHES; i++)
        if (s->watches[i].active && on)
            uv_poll_start(&s->watches[i].poll, UV_READABLE, on_listener);
        else if (s->watches[i].active)
            uv_poll_stop(&s->watches[i].poll);
    s->waiting = !on && !s->stopping;
}

static void
take_connection(struct http_server *s, const struct listener *l, int fd)
{
    struct sockaddr_storage peer = { .ss_family = l->url != NULL ? AF_INET : AF_UNIX };
    socklen_t len = l->url != NULL ? (socklen_t)sizeof(struct sockaddr_in)
                                   : (socklen_t)sizeof(sa_family_t);

    MHD_add_connection(s->mhd, fd, (const struct sockaddr *)&peer, len); /* or closes */
}

static void
on_listener(uv_poll_t *h, int status, int events)
{
    struct http_watch *w = container_of(h, struct http_watch, poll);
    struct http_server *s = h->data;
    struct err e = ERR_NONE;
    int fd = 0;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && fd >= 0 && s->n_conns < HTTP_MAX_CONNECTIONS;
         i++) {
        fd = listener_accept(&w->listener, &e);
        if (fd >= 0)
            take_connection(s, &w->listener, fd);
    }
    if (e.code != ERR_OK && !s->warned)
        log_warn("connections have to wait", LF_ERR(&e));
    s->warned = e.code != ERR_OK;
    if (s->warned || s->n_conns >= HTTP_MAX_CONNECTIONS) {
        watch_listeners(s, false);
        evict(s);
    }
    run(s);
}

static void
add_listener(struct http_server *s, struct http_watch *w)
{
    must(uv_poll_init(s->opt.loop, &w->poll, w->listener.fd) == 0);
    w->poll.data = s;
    w->active = true;
    s->n_handles++;
    uv_poll_start(&w->poll, UV_READABLE, on_listener);
}

int
http_server_listen_unix(
    struct http_server *s, const char *path, mode_t mode, struct err *e)
{
    struct http_watch *w = &s->watches[HTTP_UNIX];

    must(!w->active);
    if (listener_open_unix(&w->listener, path, mode, e) != 0)
        return (int)e->code;
    add_listener(s, w);
    return 0;
}

int
http_server_listen_tcp(struct http_server *s, const char *address, struct err *e)
{
    struct http_watch *w = &s->watches[HTTP_TCP];

    must(!w->active);
    if (listener_open_tcp(&w->listener, address, e) != 0)
        return (int)e->code;
    add_listener(s, w);
    return 0;
}

const char *
http_server_url(const struct http_server *s)
{
    return s->watches[HTTP_TCP].listener.url;
}

/* --- the end --------------------------------------------------------------------------
 */

static void
on_handle_closed(struct http_server *s)
{
    must(s->n_handles > 0);
    if (--s->n_handles > 0 || !s->closing)
        return;
    if (s->closed != NULL)
        s->closed(s->closed_arg);
    mem_free(s);
}

static void
on_closed(uv_handle_t *h)
{
    on_handle_closed(h->data);
}

static void
close_listeners(struct http_server *s)
{
    for (int i = 0; i < HTTP_N_WATCHES; i++) {
        if (s->watches[i].active)
            uv_close((uv_handle_t *)&s->watches[i].poll, on_closed);
        s->watches[i].active = false;
        listener_close(&s->watches[i].listener);
    }
}

static void
close_now(struct http_server *s)
{
    for (struct http_conn *c = s->first; c != NULL; c = c->next)
        if (c->state == CONN_BUSY && c->request->suspended)
            http_cut(c->request);
    s->running = true;
    MHD_run(s->mhd); /* those that were suspended go on, and say so */
    MHD_run(s->mhd);
    s->closing = true;
    uv_close((uv_handle_t *)&s->epoll, on_closed); /* before its descriptor */
    MHD_stop_daemon(s->mhd);
    s->mhd = NULL;
    uv_close((uv_handle_t *)&s->due, on_closed);
    uv_close((uv_handle_t *)&s->sweep, on_closed);
    uv_close((uv_handle_t *)&s->grace, on_closed);
}

static void
on_grace(uv_timer_t *h)
{
    struct http_server *s = container_of(h, struct http_server, grace);

    if (!s->closing)
        close_now(s);
}

static bool
is_busy(const struct http_server *s)
{
    for (const struct http_conn *c = s->first; c != NULL; c = c->next)
        if (c->state != CONN_READING)
            return true;
    return false;
}

/* What follows from the connections that there are now. */
static void
settle(struct http_server *s)
{
    if (s->closing)
        return;
    if (s->waiting && !s->warned && s->n_conns < HTTP_MAX_CONNECTIONS)
        watch_listeners(s, true);
    if (s->n_conns == 0 && !s->waiting)
        uv_timer_stop(&s->sweep);
    else if (!uv_is_active((uv_handle_t *)&s->sweep))
        uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    if (s->stopping && !is_busy(s))
        uv_timer_start(&s->grace, on_grace, 0, 0);
}

void
http_server_stop(
    struct http_server *s, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (s == NULL || s->closing)
        return;
    if (!s->stopping) {
        s->stopping = true;
        s->waiting = false;
        close_listeners(s);
        s->closed = closed;
        s->closed_arg = arg;
    } else if ((int64_t)uv_timer_get_due_in(&s->grace) < grace_ms) {
        return;
    }
    uv_timer_start(&s->grace, on_grace, (uint64_t)grace_ms, 0);
    settle(s);
}

/* --- start ----------------------------------------------------------------------------
 */

static struct MHD_Daemon *
start_daemon(struct http_server *s)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
        NULL, http_on_request, s, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_MAX_CONNECTIONS + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

int
http_server_new(
    const struct http_options *options, struct http_server **out, struct err *e)
{
    struct http_server *s = MEM_NEW(struct http_server);
    const union MHD_DaemonInfo *info;

    s->opt = *options;
    for (int i = 0; i < HTTP_N_WATCHES; i++)
        s->watches[i].listener = (struct listener)LISTENER_CLOSED;
    s->mhd = start_daemon(s);
    if (s->mhd == NULL) {
        mem_free(s);
        return err_set(e, ERR_UNSUPPORTED, "no HTTP server can be had on this system");
    }
    info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    must(info != NULL && uv_poll_init(s->opt.loop, &s->epoll, info->epoll_fd) == 0);
    uv_timer_init(s->opt.loop, &s->due);
    uv_timer_init(s->opt.loop, &s->sweep);
    uv_timer_init(s->opt.loop, &s->grace);
    s->epoll.data = s->due.data = s->sweep.data = s->grace.data = s;
    s->n_handles = 4;
    uv_poll_start(&s->epoll, UV_READABLE, on_epoll);
    *out = s;
    return 0;
}
