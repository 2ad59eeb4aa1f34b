#include "workers/tail/tail.h"

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define SAFETY_FACTOR 10
#define SAFETY_MIN_MS 10000

/* An event that is already queued gets this long to be read before a safety look. */
#define SAFETY_GRACE_MS 50

struct tail {
    struct tail_options opt;
    enum tail_mode mode;
    bool armed, hub_asked, closing;
    bool grace; /* the safety timer runs for the second time */
    int n_open;
    uv_fs_event_t watch;
    uv_timer_t poll;
    uv_timer_t safety;
};

static void
wake(struct tail *t, enum tail_event event)
{
    if (!t->closing)
        t->opt.wake(t->opt.arg, event);
}

static uint64_t
safety_ms(const struct tail *t)
{
    int64_t ms = t->opt.interval_ms > INT64_MAX / SAFETY_FACTOR / 2
                     ? INT64_MAX / 2
                     : t->opt.interval_ms * SAFETY_FACTOR;

    if (ms < SAFETY_MIN_MS)
        ms = SAFETY_MIN_MS;
    /* a quarter of jitter, so that thousands of workers do not tick together */
    return (uint64_t)ms + rand_below((uint64_t)ms / 4 + 1);
}

static void on_safety(uv_timer_t *h);

static void
start_safety(struct tail *t)
{
    t->grace = false;
    if (t->opt.interval_ms > 0)
        uv_timer_start(&t->safety, on_safety, safety_ms(t), 0);
}

static void
on_safety(uv_timer_t *h)
{
    struct tail *t = container_of(h, struct tail, safety);

    if (!t->grace) {
        t->grace = true;
        uv_timer_start(&t->safety, on_safety, SAFETY_GRACE_MS, 0);
        return;
    }
    start_safety(t);
    wake(t, TAIL_SAFETY);
}

static void
on_poll(uv_timer_t *h)
{
    struct tail *t = container_of(h, struct tail, poll);

    t->armed = false;
    wake(t, TAIL_CHANGED);
}

static void
on_change(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct tail *t = container_of(h, struct tail, watch);

    (void)name;
    (void)events;
    (void)status; /* an error means: look, and arm again */
    if (!t->armed)
        return;
    tail_disarm(t);
    wake(t, TAIL_CHANGED);
}

struct tail *
tail_new(const struct tail_options *options)
{
    struct tail *t = MEM_NEW(struct tail);

    t->opt = *options;
    t->mode = options->own ? TAIL_OWN : options->ask_hub != NULL ? TAIL_HUB : TAIL_POLL;
    uv_timer_init(options->loop, &t->poll);
    uv_timer_init(options->loop, &t->safety);
    uv_fs_event_init(options->loop, &t->watch);
    t->n_open = 3;
    return t;
}

static void
on_closed(uv_handle_t *h)
{
    struct tail *t = h->data;

    if (--t->n_open == 0)
        mem_free(t);
}

void
tail_close(struct tail *t)
{
    if (t == NULL || t->closing)
        return;
    tail_disarm(t);
    t->closing = true;
    t->watch.data = t->poll.data = t->safety.data = t;
    uv_close((uv_handle_t *)&t->watch, on_closed);
    uv_close((uv_handle_t *)&t->poll, on_closed);
    uv_close((uv_handle_t *)&t->safety, on_closed);
}

static void
arm_poll(struct tail *t)
{
    uv_timer_stop(&t->safety);
    if (t->opt.interval_ms > 0)
        uv_timer_start(&t->poll, on_poll, (uint64_t)t->opt.interval_ms, 0);
}

bool
tail_arm(struct tail *t)
{
    int rc;

    if (t->armed)
        return true;
    t->armed = true;
    if (t->mode == TAIL_OWN) {
        rc = uv_fs_event_start(&t->watch, on_change, t->opt.path, 0);
        if (rc == 0) {
            start_safety(t);
            return true;
        }
        if (rc == UV_ENOENT) { /* it will be made again: poll this once */
            arm_poll(t);
            return true;
        }
        t->mode = t->opt.ask_hub != NULL ? TAIL_HUB : TAIL_POLL;
        log_debug("no file watch of its own", LF_STR("path", t->opt.path),
            LF_STR("error", uv_strerror(rc)));
    }
    if (t->mode == TAIL_HUB) {
        t->hub_asked = true;
        t->opt.ask_hub(t->opt.arg, true);
        start_safety(t);
        return false;
    }
    arm_poll(t);
    return true;
}

void
tail_disarm(struct tail *t)
{
    if (!t->armed || t->closing)
        return;
    t->armed = false;
    uv_fs_event_stop(&t->watch);
    uv_timer_stop(&t->poll);
    uv_timer_stop(&t->safety);
    if (t->hub_asked)
        t->opt.ask_hub(t->opt.arg, false);
    t->hub_asked = false;
}

void
tail_hub_event(struct tail *t, bool armed, bool failed)
{
    if (!t->hub_asked || t->closing)
        return; /* an answer to something given up since */
    if (failed) {
        t->hub_asked = false;
        t->armed = false;
        t->mode = TAIL_POLL;
        log_warn("no file watch can be had, polling instead", LF_STR("path", t->opt.path),
            LF_STR("hint", "raise fs.inotify.max_user_watches"));
        tail_arm(t);
        wake(t, TAIL_ARMED);
    } else if (armed) {
        wake(t, TAIL_ARMED);
    } else {
        t->hub_asked = false; /* it is gone at the other end already */
        tail_disarm(t);
        wake(t, TAIL_CHANGED);
    }
}

void
tail_missed(struct tail *t)
{
    if (t->mode == TAIL_POLL)
        return;
    log_warn("a change was not reported by the file system, polling instead",
        LF_STR("path", t->opt.path));
    tail_disarm(t);
    t->mode = TAIL_POLL;
}

enum tail_mode
tail_mode(const struct tail *t)
{
    return t->mode;
}
