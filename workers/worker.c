#include "workers/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/log_file.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/base/proc.h"
#include "common/base/rand.h"
#include "common/base/wall.h"
#include "common/crc64/crc64.h"
#include "workers/sync/dbconn.h"
#include "workers/sync/meta.h"
#include "workers/worker_impl.h"

#define BACKOFF_MAX_MS 300000

/* Somebody is likely to make room on a full disk soon, or to stop the other daemon. */
#define SOON_MAX_MS 5000

static struct worker *the_worker; /* for the hook of must() */

/* --- what the supervisor sees ---------------------------------------------------------
 */

static void
fill_replica(const struct worker *w, unsigned i, struct slot_replica *s)
{
    uint64_t before = s->last_ok_ms;

    replica_fill_slot(w->replicas[i], s);
    if (w->view.sync_errors_in_row == 0 && replica_in_sync(w->replicas[i]) &&
        replica_error(w->replicas[i]) == NULL)
        s->last_ok_ms = (uint64_t)wall_to_ms(wall_now());
    else if (s->last_ok_ms < before && replica_known(w->replicas[i]))
        s->last_ok_ms = before;
    if (w->compactors[i] != NULL)
        compactor_fill_slot(w->compactors[i], s);
}

static void
publish(struct worker *w)
{
    struct slot_data *v = &w->view;

    v->state = w->state;
    v->n_replicas = w->n_replicas;
    if (w->eng != NULL) {
        v->txid = engine_txid(w->eng);
        v->wal_size_bytes = (uint64_t)engine_wal_offset(w->eng);
        if (engine_is_open(w->eng))
            v->db_size_bytes = (uint64_t)engine_db_size(w->eng);
    }
    if (w->tail != NULL)
        v->polling = tail_mode(w->tail) == TAIL_POLL;
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL)
            fill_replica(w, i, &v->replica[i]);
    slot_write(w->start->slot, v);
}

void
worker_set_phase(struct worker *w, enum slot_phase phase)
{
    w->view.phase = phase;
    slot_write(w->start->slot, &w->view);
}

void
worker_show_error(struct worker *w, const struct err *e)
{
    snprintf(w->view.last_error, sizeof(w->view.last_error), "%.*s", SLOT_TEXT_MAX - 1,
        e != NULL ? e->text : "");
}

static void
last_words(const char *what)
{
    if (the_worker == NULL)
        return;
    snprintf(
        the_worker->view.last_words, sizeof(the_worker->view.last_words), "%s", what);
    slot_write(the_worker->start->slot, &the_worker->view);
}

void
worker_set_state(struct worker *w, unsigned state)
{
    w->state = state;
    if (w->link != NULL)
        link_set_state(w->link, state);
}

/* --- opening the database -------------------------------------------------------------
 */

static void
ask_hub(void *arg, bool arm)
{
    struct worker *w = arg;
    struct msg m = { .head.id = MSG_WATCH, .u.watch.arm = arm ? 1 : 0 };

    if (w->link != NULL)
        link_send(w->link, &m);
}

static struct tail *
new_tail(struct worker *w, const char *path, bool hub)
{
    int64_t interval_ms = (w->start->db->monitor_interval_ns + 999999) / 1000000;
    struct tail_options options = { .loop = &w->loop,
        .path = path,
        .interval_ms = w->start->db->monitor_interval_ns > 0 ? interval_ms : 0,
        .own = w->start->own_watch,
        .ask_hub = hub ? ask_hub : NULL,
        .wake = worker_on_tail,
        .arg = w };

    return tail_new(&options);
}

void
worker_drop_tails(struct worker *w)
{
    tail_close(w->tail);
    tail_close(w->db_tail);
    w->tail = w->db_tail = NULL;
}

static int
open_replicas(struct worker *w, struct err *e)
{
    struct replica_options options = { .loop = &w->loop,
        .l0_dir = engine_l0_dir(w->eng),
        .db_path = w->start->db->path,
        .feed_interval_ns = w->start->db->monitor_interval_ns,
        .isolate = w->n_replicas > 1,
        .round = worker_on_round,
        .changed = worker_on_replica,
        .arg = w };
    int rc = meta_owner_of(w->start->db->path, &options.owner, e);

    for (unsigned i = 0; rc == 0 && i < w->n_replicas; i++) {
        if (w->replicas[i] != NULL)
            continue;
        options.cfg = &w->start->db->replicas[i];
        rc = replica_open(&options, &w->replicas[i], e);
        if (rc == 0) {
            w->n_open_replicas++;
            worker_open_compactor(w, i);
        }
    }
    return rc;
}

int
worker_open_db(struct worker *w, struct err *e)
{
    int rc;

    worker_set_phase(w, PHASE_OPENING_DB);
    rc = engine_open(w->eng, e);
    if (rc == 0) {
        rc = open_replicas(w, e);
        if (rc != 0)
            engine_close(w->eng);
    }
    worker_set_phase(w, PHASE_IDLE);
    if (rc != 0)
        return rc;
    log_debug("opened db", LF_STR("path", w->start->db->path),
        LF_TXID("txid", engine_txid(w->eng)));
    worker_see_damage(w);
    worker_count_backlog(w);
    for (unsigned i = 0; i < w->n_replicas; i++)
        replica_set_target(w->replicas[i], engine_txid(w->eng));
    return 0;
}

void
worker_close_db(struct worker *w)
{
    worker_set_phase(w, PHASE_CLOSING);
    if (engine_is_open(w->eng))
        engine_close(w->eng);
}

/* No file yet: its folder tells when one appears, the poll timer where there is no
 * folder. */
static void
wait_for_db(struct worker *w)
{
    if (w->state != WS_WAITING)
        log_info("waiting for database", LF_STR("path", w->start->db->path));
    worker_set_state(w, WS_WAITING);
    w->view.phase = PHASE_WAITING_DB;
    if (w->db_tail == NULL)
        w->db_tail = new_tail(w, w->db_dir, false);
    if (tail_arm(w->db_tail)) {
        struct sys_owner owner;
        struct err e;

        /* It may have appeared between the look and the watch. An empty file is not one.
         */
        if (meta_owner_of(w->start->db->path, &owner, &e) == 0)
            w->again_at = mono_add_ms(mono_now(), 100);
    }
}

static void
start_running(struct worker *w)
{
    worker_drop_tails(w);
    worker_set_state(w, WS_RUNNING);
    mem_free(w->wal_path);
    w->wal_path = mem_strdup(engine_wal_path(w->eng));
    w->tail = new_tail(w, w->wal_path, true);
    w->retry_at = w->again_at = (struct mono){ 0 };
    w->look_from = (struct mono){ 0 };
    w->pacer.last = (struct mono){ 0 };
    pacer_touch(&w->pacer);
    if (w->start->db->monitor_interval_ns <= 0)
        w->again_at = mono_now(); /* the first sync comes without an interval, too */
}

static void
try_open(struct worker *w)
{
    struct err e;
    int rc;

    if (w->retry_at.ns != 0 && !mono_reached(w->retry_at))
        return;
    w->again_at = w->retry_at = (struct mono){ 0 };
    rc = worker_open_db(w, &e);
    if (rc == ERR_NOT_FOUND) {
        worker_fail_requests(w, &e);
        wait_for_db(w);
    } else if (rc != 0) {
        w->view.sync_count++;
        worker_sync_failed(w, &e);
    } else {
        worker_show_error(w, NULL);
        start_running(w);
    }
}

/* --- what is due ----------------------------------------------------------------------
 */

static int64_t
sooner(int64_t a, int64_t b)
{
    if (a < 0)
        return b;
    return b < 0 || a < b ? a : b;
}

static int64_t
until(struct mono t)
{
    return t.ns == 0 ? -1 : (int64_t)mono_wait_ms(t);
}

static void on_timer(uv_timer_t *h);
static void on_now(uv_idle_t *h);

static void
schedule(struct worker *w)
{
    int64_t wait = -1;

    if (w->end.closing)
        return;
    if (engine_busy(w->eng))
        wait = -1; /* nothing starts before its end, which tells */
    else if (w->state == WS_STOPPING)
        wait = worker_stop_due_ms(w);
    else if (w->state == WS_RUNNING)
        wait = sooner(
            sooner(worker_due_ms(w), worker_compact_due_ms(w)), worker_ask_due_ms(w));
    else
        wait = sooner(until(w->retry_at), until(w->again_at));
    uv_timer_stop(&w->timer);
    if (wait == 0)
        uv_idle_start(&w->now, on_now);
    else if (wait > 0)
        uv_timer_start(&w->timer, on_timer, (uint64_t)wait, 0);
}

/*
 * The one place where the worker decides what to do: every event only changes the state
 * and kicks. While the engine writes a large file nothing else starts.
 */
static void
do_what_is_due(struct worker *w)
{
    uv_idle_stop(&w->now);
    worker_once_run(w);
    if (!engine_busy(w->eng)) {
        if (w->state == WS_STARTING || w->state == WS_WAITING)
            try_open(w);
        worker_ask_run(w);
        if (w->state == WS_RUNNING)
            worker_run(w);
        if (w->state == WS_RUNNING && !w->reopen_wanted)
            worker_compact(w);
        if (w->state == WS_STOPPING)
            worker_stop_run(w);
    }
    publish(w);
    schedule(w);
}

static void
on_timer(uv_timer_t *h)
{
    do_what_is_due(container_of(h, struct worker, timer));
}

static void
on_now(uv_idle_t *h)
{
    do_what_is_due(container_of(h, struct worker, now));
}

void
worker_kick(struct worker *w)
{
    if (!w->end.closing)
        uv_idle_start(&w->now, on_now);
}

/* --- messages -------------------------------------------------------------------------
 */

static void
reopen_log(void)
{
    struct err e;

    if (log_file_reopen(&e) != 0)
        log_error("log file could not be opened again", LF_ERR(&e));
}

static void
on_message(void *arg, const struct msg *m)
{
    struct worker *w = arg;

    switch (m->head.id) {
    case MSG_SYNC:
        worker_add_request(w, m);
        break;
    case MSG_SNAPSHOT:
    case MSG_CHECKPOINT:
        worker_add_ask(w, m);
        break;
    case MSG_STOP:
        worker_stop_begin(w, m);
        break;
    case MSG_LOG_LEVEL:
        log_set_level((enum log_level)m->u.log_level.level);
        break;
    case MSG_LOG_REOPEN:
        reopen_log();
        break;
    case MSG_WAL_EVENT:
        if (w->tail != NULL)
            tail_hub_event(
                w->tail, m->u.wal_event.armed != 0, m->u.wal_event.failed != 0);
        break;
    default:
        break;
    }
    worker_kick(w);
}

static void
on_channel_end(void *arg, const struct err *e)
{
    struct worker *w = arg;

    if (e != NULL)
        log_error("channel to the supervisor failed", LF_ERR(e));
    link_close(w->link);
    w->link = NULL;
    worker_stop_begin(w, NULL);
    worker_kick(w);
}

/* --- life -----------------------------------------------------------------------------
 */

static int
worker_init(struct worker *w, const struct worker_start *start, struct err *e)
{
    const struct cfg_db *db = start->db;
    struct engine_options engine = { .db_path = db->path,
        .meta = db->meta_path,
        .busy_timeout_ms = db->busy_timeout_ns / 1000000,
        .max_sync_wal_bytes = db->max_sync_wal_bytes,
        .min_checkpoint_pages = db->min_checkpoint_pages,
        .checkpoint_interval_ns = db->checkpoint_interval_ns,
        .truncate_pages = db->truncate_pages };
    struct link_options channel = { .loop = &w->loop,
        .fd = start->channel,
        .from = MSG_FROM_SUPERVISOR,
        .incarnation = start->incarnation,
        .message = on_message,
        .ended = on_channel_end,
        .arg = w };

    w->start = start;
    w->state = WS_STARTING;
    w->view.incarnation = start->incarnation;
    w->n_replicas = (unsigned)db->n_replicas;
    must(w->n_replicas <= SLOT_MAX_REPLICAS);
    must(uv_loop_init(&w->loop) == 0);
    must(uv_timer_init(&w->loop, &w->timer) == 0);
    must(uv_idle_init(&w->loop, &w->now) == 0);
    w->db_dir = path_dir(db->path);
    w->eng = engine_new(&w->loop, &engine, worker_on_engine_done, w);
    pacer_init(&w->pacer, db->monitor_interval_ns);
    retry_init(&w->retry, db->monitor_interval_ns / 1000000, BACKOFF_MAX_MS);
    return link_open(&channel, &w->link, e);
}

static void
set_prefix(const struct cfg_db *db)
{
    const struct log_field prefix[] = { LF_STR("system", "store"),
        LF_STR("db", path_base(db->path)), LF_END };

    log_set_prefix(prefix);
}

void
worker_prepare(void)
{
    crc64_prepare();
    dbconn_prepare();
}

int
worker_main(const struct worker_start *start)
{
    struct worker *w = MEM_NEW(struct worker);
    struct err e;
    int status;

    proc_must_be(PROC_WORKER);
    the_worker = w;
    must_set_hook(last_words);
    rand_seed();
    set_prefix(start->db);
    if (worker_init(w, start, &e) != 0) {
        log_error("cannot start worker", LF_ERR(&e));
        return 1;
    }
    publish(w);
    worker_kick(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    status = w->end.failed ? 1 : 0;
    publish(w);
    engine_free(w->eng);
    must(uv_loop_close(&w->loop) == 0);
    mem_free(w->db_dir);
    mem_free(w->wal_path);
    the_worker = NULL;
    mem_free(w);
    log_set_prefix(&LF_END);
    return status;
}

void
worker_sync_failed(struct worker *w, const struct err *e)
{
    bool full = e->code == ERR_NO_SPACE;
    int64_t wait_ms;

    w->view.sync_errors++;
    w->view.disk_full = full;
    worker_show_error(w, e);
    worker_fail_requests(w, e);
    wait_ms = retry_failed(&w->retry);
    if ((full || e->code == ERR_CONFLICT) && wait_ms > SOON_MAX_MS)
        wait_ms = SOON_MAX_MS;
    w->view.sync_errors_in_row = w->retry.failures;
    w->retry_at = mono_add_ms(mono_now(), wait_ms);
    if (!retry_should_log(&w->retry, mono_now()))
        return;
    if (full)
        log_error(
            "disk full while staging ltx file, replication paused until space is freed",
            LF_ERR(e), LF_STR("path", w->start->db->path),
            LF_TXID("txid", engine_txid(w->eng) + 1),
            LF_UINT("consecutive_errors", w->retry.failures), LF_MS("backoff", wait_ms));
    else
        log_error("sync error", LF_ERR(e), LF_STR("path", w->start->db->path),
            LF_UINT("consecutive_errors", w->retry.failures), LF_MS("backoff", wait_ms));
}
