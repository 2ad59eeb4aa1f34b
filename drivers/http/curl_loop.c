/*
 *     add --> known to libcurl --> ended
 *      |            |
 *      +---- drop --+--> [doomed, while libcurl runs] --> gone
 */
#include "drivers/http/curl_loop.h"

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/must.h"

struct curl_loop {
    uv_loop_t *loop;
    const struct curl_loop_calls *calls;
    int64_t idle_ms;
    long max_idle;
    CURLM *multi; /* NULL: nothing was asked for a while */
    CURLSH *share;
    uv_timer_t timer; /* libcurl's */
    uv_timer_t idle;
    uv_timer_t soon; /* what was put off until libcurl has returned */
    struct transfer *first;
    int depth;     /* calls of libcurl under way */
    int n_closing; /* handles whose close callback is due */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* A descriptor that libcurl wants to be watched. */
struct watched {
    struct curl_loop *cl;
    uv_poll_t poll;
    curl_socket_t fd;
    int events; /* of libuv */
    bool closing;
};

/* --- the list
 * ----------------------------------------------------------------------------- */

static void
link_in(struct curl_loop *cl, struct transfer *t)
{
    t->prev = NULL;
    t->next = cl->first;
    if (cl->first != NULL)
        cl->first->prev = t;
    cl->first = t;
}

static void on_idle(uv_timer_t *h);

/* Out of libcurl and out of the list. */
static void
take_out(struct curl_loop *cl, struct transfer *t)
{
    if (t->added) {
        cl->depth++;
        curl_multi_remove_handle(cl->multi, t->easy);
        cl->depth--;
    }
    curl_easy_setopt(t->easy, CURLOPT_SHARE, NULL);
    t->added = false;
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        cl->first = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    if (cl->first == NULL && !cl->closing)
        uv_timer_start(&cl->idle, on_idle, (uint64_t)cl->idle_ms, 0);
}

static void
end(struct curl_loop *cl, struct transfer *t, CURLcode code)
{
    take_out(cl, t);
    cl->calls->ended(t, code);
}

/* --- what was put off
 * -------------------------------------------------------------------- */

static void
close_connections(struct curl_loop *cl)
{
    if (cl->multi == NULL)
        return;
    cl->depth++;
    curl_multi_cleanup(cl->multi);
    must(curl_share_cleanup(cl->share) == CURLSHE_OK);
    cl->depth--;
    cl->multi = NULL;
    cl->share = NULL;
}

static struct transfer *
find(struct curl_loop *cl, bool (*wanted)(const struct transfer *t))
{
    struct transfer *t = cl->first;

    while (t != NULL && !wanted(t))
        t = t->next;
    return t;
}

static bool
is_doomed(const struct transfer *t)
{
    return t->doomed;
}

static bool
is_new(const struct transfer *t)
{
    return !t->added && !t->broken;
}

static bool
is_broken(const struct transfer *t)
{
    return t->broken;
}

static void
make_known(struct curl_loop *cl, struct transfer *t)
{
    t->added = true;
    curl_easy_setopt(t->easy, CURLOPT_SHARE, cl->share);
    must(curl_multi_add_handle(cl->multi, t->easy) == CURLM_OK);
}

/* A callback may start and drop others, so everything is looked for anew each time. */
static void
settle(struct curl_loop *cl)
{
    struct transfer *t;
    CURLMsg *m;
    int left;

    if (cl->depth > 0)
        return;
    while ((t = find(cl, is_doomed)) != NULL) {
        take_out(cl, t);
        cl->calls->gone(t);
    }
    while ((t = find(cl, is_new)) != NULL)
        make_known(cl, t);
    while ((t = find(cl, is_broken)) != NULL)
        end(cl, t, CURLE_OUT_OF_MEMORY);
    while (cl->multi != NULL && (m = curl_multi_info_read(cl->multi, &left)) != NULL) {
        char *private = NULL;

        must(m->msg == CURLMSG_DONE);
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        end(cl, (struct transfer *)(void *)private, m->data.result);
    }
    if (cl->closing)
        close_connections(cl);
}

static bool
is_resumed(const struct transfer *t)
{
    return t->resume_now && t->added && !t->doomed;
}

static void
on_soon(uv_timer_t *h)
{
    struct curl_loop *cl = container_of(h, struct curl_loop, soon);
    struct transfer *t;

    /* One that pauses and goes on again inside of it waits for the next turn. */
    for (t = cl->first; t != NULL; t = t->next) {
        t->resume_now = t->resume;
        t->resume = false;
    }
    while ((t = find(cl, is_resumed)) != NULL) {
        CURLcode code;

        t->resume_now = false;
        cl->depth++;
        code = curl_easy_pause(t->easy, CURLPAUSE_CONT);
        cl->depth--;
        /* An error of `data` is left to us. The other one means that there is no
         * connection yet, and so no pause. */
        if (code != CURLE_OK && code != CURLE_BAD_FUNCTION_ARGUMENT && !t->doomed)
            end(cl, t, code);
    }
    settle(cl);
}

static void
do_soon(struct curl_loop *cl)
{
    if (!cl->closing)
        uv_timer_start(&cl->soon, on_soon, 0, 0);
}

/* --- libcurl's sockets and timer
 * --------------------------------------------------------- */

static void
act(struct curl_loop *cl, curl_socket_t fd, int flags)
{
    int running;

    if (cl->multi == NULL)
        return;
    cl->depth++;
    curl_multi_socket_action(cl->multi, fd, flags, &running);
    cl->depth--;
    settle(cl);
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
    struct watched *w = container_of(p, struct watched, poll);
    int flags = 0;

    /*
     * The socket is broken or was reset. What it received before is still to be read, and
     * reading tells best what happened, so libcurl does what it waits for. Told of an
     * error it would drop an answer that came before the connection broke.
     */
    if (status < 0)
        events = w->events;
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    act(w->cl, w->fd, flags);
    if (status < 0 && !w->closing && w->events != 0) /* libuv has stopped watching */
        uv_poll_start(&w->poll, w->events, on_poll);
}

static void
on_timeout(uv_timer_t *h)
{
    act(container_of(h, struct curl_loop, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int
set_timer(CURLM *multi, long ms, void *arg)
{
    struct curl_loop *cl = arg;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&cl->timer);
    else if (!cl->closing)
        uv_timer_start(&cl->timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

static void
close_if_empty(struct curl_loop *cl)
{
    void (*closed)(void *) = cl->closed;
    void *arg = cl->closed_arg;

    if (!cl->closing || cl->n_closing > 0)
        return;
    must(cl->multi == NULL && cl->first == NULL);
    mem_free(cl);
    if (closed != NULL)
        closed(arg);
}

static void
on_watched_closed(uv_handle_t *handle)
{
    struct watched *w = container_of((uv_poll_t *)handle, struct watched, poll);
    struct curl_loop *cl = w->cl;

    mem_free(w);
    cl->n_closing--;
    close_if_empty(cl);
}

/* libcurl closes the descriptor after this. */
static void
unwatch(struct curl_loop *cl, struct watched *w)
{
    curl_multi_assign(cl->multi, w->fd, NULL);
    w->closing = true;
    cl->n_closing++;
    uv_close((uv_handle_t *)&w->poll, on_watched_closed);
}

static struct watched *
watch(struct curl_loop *cl, curl_socket_t fd)
{
    struct watched *w = MEM_NEW(struct watched);

    w->cl = cl;
    w->fd = fd;
    if (uv_poll_init_socket(cl->loop, &w->poll, fd) != 0) {
        mem_free(w);
        return NULL;
    }
    curl_multi_assign(cl->multi, fd, w);
    return w;
}

/* Nobody would ever wake this transfer. */
static void
give_up(struct curl_loop *cl, CURL *easy)
{
    char *private = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    if (private == NULL)
        return;
    ((struct transfer *)(void *)private)->broken = true;
    do_soon(cl);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct curl_loop *cl = arg;
    struct watched *w = of_socket;

    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            unwatch(cl, w);
        return 0;
    }
    if (w == NULL && (w = watch(cl, fd)) == NULL) {
        give_up(cl, easy);
        return 0;
    }
    w->events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    if (uv_poll_start(&w->poll, w->events, on_poll) != 0)
        give_up(cl, easy);
    return 0;
}

/* --- the whole
 * --------------------------------------------------------------------------- */

static void
on_idle(uv_timer_t *h)
{
    struct curl_loop *cl = container_of(h, struct curl_loop, idle);

    if (cl->first != NULL)
        return;
    uv_timer_stop(&cl->timer);
    close_connections(cl);
}

static void
open_multi(struct curl_loop *cl)
{
    static bool curl_is_up; /* workers are forked without exec; see the architecture */

    if (!curl_is_up)
        must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    curl_is_up = true;
    cl->multi = curl_multi_init();
    cl->share = curl_share_init();
    must(cl->multi != NULL && cl->share != NULL);
    curl_share_setopt(cl->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(cl->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(cl->multi, CURLMOPT_SOCKETDATA, cl);
    curl_multi_setopt(cl->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(cl->multi, CURLMOPT_TIMERDATA, cl);
    curl_multi_setopt(cl->multi, CURLMOPT_MAXCONNECTS, cl->max_idle);
}

struct curl_loop *
curl_loop_open(uv_loop_t *loop, const struct curl_loop_calls *calls, int64_t idle_ms,
    long max_idle_connections)
{
    struct curl_loop *cl = MEM_NEW(struct curl_loop);

    cl->loop = loop;
    cl->calls = calls;
    cl->idle_ms = idle_ms;
    cl->max_idle = max_idle_connections;
    uv_timer_init(loop, &cl->timer);
    uv_timer_init(loop, &cl->idle);
    uv_timer_init(loop, &cl->soon);
    uv_unref((uv_handle_t *)&cl->idle);
    return cl;
}

static void
on_timer_closed(uv_handle_t *handle)
{
    struct curl_loop *cl = handle->data;

    cl->n_closing--;
    close_if_empty(cl);
}

void
curl_loop_close(struct curl_loop *cl, void (*closed)(void *arg), void *arg)
{
    uv_timer_t *timers[] = { &cl->timer, &cl->idle, &cl->soon };

    must(!cl->closing);
    for (struct transfer *t = cl->first; t != NULL; t = t->next)
        must(t->doomed);
    cl->closing = true;
    cl->closed = closed;
    cl->closed_arg = arg;
    for (int i = 0; i < 3; i++) {
        timers[i]->data = cl;
        cl->n_closing++;
        uv_close((uv_handle_t *)timers[i], on_timer_closed);
    }
    settle(cl);
}

void
curl_loop_add(struct curl_loop *cl, struct transfer *t)
{
    must(!cl->closing);
    if (cl->multi == NULL)
        open_multi(cl);
    uv_timer_stop(&cl->idle);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, (char *)t);
    link_in(cl, t);
    if (t->broken)
        do_soon(cl);
    else if (cl->depth == 0)
        make_known(cl, t);
}

void
curl_loop_drop(struct curl_loop *cl, struct transfer *t)
{
    must(!t->doomed);
    if (cl->depth > 0) {
        t->doomed = true;
        return;
    }
    take_out(cl, t);
    cl->calls->gone(t);
}

void
curl_loop_resume(struct curl_loop *cl, struct transfer *t)
{
    if (t->doomed)
        return;
    t->resume = true;
    do_soon(cl);
}

void
curl_loop_end(struct curl_loop *cl, struct transfer *t, CURLcode code)
{
    must(cl->depth == 0);
    end(cl, t, code);
}
