#include "supervisor/heartbeat.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/container.h"
#include "common/base/duration.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "config/url.h"
#include "supervisor/control/db_view.h"
#include "supervisor/heartbeat_ping.h"
#include "supervisor/spawn.h"

/* One address. Databases that share one must not answer for each other: it is asked when
 * all of them are well. */
struct beat {
    char *url;
    struct heartbeat_tally tally;
    bool used; /* a database counts for it */
    bool tried;
    struct mono tried_at;
    pid_t pid; /* of the request under way, 0: none */
};

struct heartbeat {
    struct supervisor *sup;
    uv_timer_t timer;
    int64_t check_ms;
    struct beat **beats; /* by URL */
    size_t n, cap;
    struct beat *latest; /* found last: neighbours have the same as a rule */
    bool running, closing;
};

/* --- the decision ---------------------------------------------------------------------
 */

/* A time that lies far ahead proves nothing: the clock was set back. */
static bool
is_well(const struct heartbeat_db *db, int64_t now_ms)
{
    return db->alive && db->ok_ms > 0 && db->ok_ms >= now_ms - db->interval_ms &&
           db->ok_ms <= now_ms + db->interval_ms;
}

void
heartbeat_add(struct heartbeat_tally *t, const struct heartbeat_db *db, int64_t now_ms)
{
    if (!db->open)
        return;
    if (t->n_open++ == 0 || db->interval_ms < t->interval_ms)
        t->interval_ms = db->interval_ms;
    if (!is_well(db, now_ms))
        t->n_ill++;
}

bool
heartbeat_is_due(const struct heartbeat_tally *t, int64_t since_ms)
{
    return t->n_open > 0 && t->n_ill == 0 && (since_ms < 0 || since_ms >= t->interval_ms);
}

/* --- addresses ------------------------------------------------------------------------
 */

static void
free_beat(struct beat *b)
{
    mem_free(b->url);
    mem_free(b);
}

static struct beat *
insert(struct heartbeat *h, size_t at, const char *url)
{
    struct beat *b = MEM_NEW(struct beat);

    if (h->n == h->cap) {
        h->cap = h->cap > 0 ? 2 * h->cap : 8;
        h->beats = mem_resize(h->beats, h->cap * sizeof(struct beat *));
    }
    b->url = mem_strdup(url);
    memmove(&h->beats[at + 1], &h->beats[at], (h->n - at) * sizeof(struct beat *));
    h->beats[at] = b;
    h->n++;
    return b;
}

static struct beat *
beat_of(struct heartbeat *h, const char *url)
{
    size_t low = 0, high = h->n;

    if (h->latest != NULL && strcmp(h->latest->url, url) == 0)
        return h->latest;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(h->beats[mid]->url, url);

        if (order == 0)
            return h->latest = h->beats[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return h->latest = insert(h, low, url);
}

/* What no database counts for is forgotten, when its request has ended. */
static void
drop_unused(struct heartbeat *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++)
        if (h->beats[i]->used || h->beats[i]->pid > 0)
            h->beats[n++] = h->beats[i];
        else
            free_beat(h->beats[i]);
    h->n = n;
    h->latest = NULL;
}

/* --- counting -------------------------------------------------------------------------
 */

static int64_t
scaled_ms(const struct heartbeat *h, int64_t ns)
{
    return ns / DURATION_MS * h->check_ms / HEARTBEAT_CHECK_MS;
}

/* The top level counts as it is now, also for a database that still has the old one. */
static void
count(struct heartbeat *h, const struct db_entry *d, int64_t now_ms)
{
    const struct config *c = supervisor_config(h->sup);
    struct heartbeat_db db;
    struct db_view v;
    struct beat *b;
    const char *url;
    int64_t interval_ns;

    db_view_of(d, &v);
    url = cfg_is_set(&v.info.db->obj, "heartbeat-url") ? v.info.db->heartbeat_url
                                                       : c->heartbeat_url;
    if (url[0] == '\0')
        return;
    interval_ns = cfg_is_set(&v.info.db->obj, "heartbeat-interval")
                      ? v.info.db->heartbeat_interval_ns
                      : c->heartbeat_interval_ns;
    db = (struct heartbeat_db){ .open = v.info.state != DB_DISABLED,
        .alive = v.info.pid > 0,
        .ok_ms = db_view_last_sync_ms(&v, now_ms),
        .interval_ms = scaled_ms(h, interval_ns) };
    b = beat_of(h, url);
    b->used = true;
    heartbeat_add(&b->tally, &db, now_ms);
}

static void
ping(struct beat *b)
{
    struct arena scratch;
    struct err e;

    b->tried = true;
    b->tried_at = mono_now();
    if (spawn_helper(heartbeat_ping, b->url, &b->pid, &e) == 0)
        return;
    b->pid = 0;
    arena_init(&scratch);
    log_error("heartbeat ping failed",
        LF_STR("url", url_without_details(&scratch, b->url)), LF_ERR(&e));
    arena_deinit(&scratch);
}

static void
check(struct heartbeat *h)
{
    const struct db_table *t = supervisor_table(h->sup);
    int64_t now_ms = wall_to_ms(wall_now());

    for (size_t i = 0; i < h->n; i++) {
        h->beats[i]->tally = (struct heartbeat_tally){ .n_open = 0 };
        h->beats[i]->used = false;
    }
    for (const struct db_entry *d = db_table_next(t, NULL); d != NULL;
         d = db_table_next(t, d))
        count(h, d, now_ms);
    drop_unused(h);
    for (size_t i = 0; i < h->n; i++) {
        struct beat *b = h->beats[i];

        if (b->pid == 0 &&
            heartbeat_is_due(&b->tally, b->tried ? mono_since_ms(b->tried_at) : -1))
            ping(b);
    }
}

static void
on_timer(uv_timer_t *timer)
{
    check(container_of(timer, struct heartbeat, timer));
}

/* --- life -----------------------------------------------------------------------------
 */

static bool
is_wanted(const struct config *c)
{
    if (c->heartbeat_url[0] != '\0')
        return true;
    for (size_t i = 0; i < c->n_dbs; i++)
        if (c->dbs[i].heartbeat_url[0] != '\0')
            return true;
    return false;
}

static int64_t
check_interval_ms(void)
{
    const char *text = getenv("LITESTREAM_TEST_HEARTBEAT_MS");
    long ms = text != NULL ? strtol(text, NULL, 10) : 0;

    return ms > 0 && ms < HEARTBEAT_CHECK_MS ? ms : HEARTBEAT_CHECK_MS;
}

void
heartbeat_reloaded(struct heartbeat *h)
{
    bool wanted;

    if (h == NULL || h->closing)
        return;
    wanted = is_wanted(supervisor_config(h->sup));
    if (wanted && !h->running) {
        log_info("starting heartbeat monitor", LF_MS("interval", h->check_ms));
        uv_timer_start(&h->timer, on_timer, (uint64_t)h->check_ms, (uint64_t)h->check_ms);
    } else if (!wanted && h->running) {
        uv_timer_stop(&h->timer);
    }
    h->running = wanted;
}

struct heartbeat *
heartbeat_start(uv_loop_t *loop, struct supervisor *sup)
{
    struct heartbeat *h = MEM_NEW(struct heartbeat);

    h->sup = sup;
    h->check_ms = check_interval_ms();
    uv_timer_init(loop, &h->timer);
    heartbeat_reloaded(h);
    return h;
}

void
heartbeat_on_sigchld(struct heartbeat *h)
{
    for (size_t i = 0; h != NULL && i < h->n; i++) {
        struct beat *b = h->beats[i];

        if (b->pid > 0 && waitpid(b->pid, NULL, WNOHANG) != 0)
            b->pid = 0;
    }
}

static void
on_closed(uv_handle_t *handle)
{
    struct heartbeat *h = container_of(handle, struct heartbeat, timer);

    for (size_t i = 0; i < h->n; i++)
        free_beat(h->beats[i]);
    mem_free(h->beats);
    mem_free(h);
}

/* A killed process has nothing left to do that could keep us waiting for its end. */
static void
give_up(struct beat *b)
{
    if (b->pid <= 0)
        return;
    kill(b->pid, SIGKILL);
    while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    b->pid = 0;
}

void
heartbeat_close(struct heartbeat *h)
{
    if (h == NULL || h->closing)
        return;
    h->closing = true;
    for (size_t i = 0; i < h->n; i++)
        give_up(h->beats[i]);
    uv_close((uv_handle_t *)&h->timer, on_closed);
}
