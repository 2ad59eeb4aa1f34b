/*
 * Endpoints that look at all of the daemon, or change it.
 */
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/json/json_text.h"
#include "supervisor/control/api_body.h"
#include "supervisor/control/control_impl.h"
#include "supervisor/control/db_view.h"
#include "supervisor/version.h"

#define TIME_NOW wall_to_ms(wall_now())

/* How many of those that are not ready are named. */
#define MAX_NAMED 20

static json_t *
time_text(struct wall t)
{
    char text[WALL_TEXT_MAX];

    wall_format_local(t, WALL_TRIMMED, text);
    return json_string(text);
}

static void
add_time_ms(json_t *o, const char *key, int64_t ms)
{
    if (ms > 0)
        json_object_set_new(o, key, time_text(wall_from_ms(ms)));
}

static void
add_uint(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void
add_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, json_text_string(text));
}

static void
add_seconds(json_t *o, const char *key, int64_t ms)
{
    if (ms >= 0)
        json_object_set_new(o, key, json_real((double)ms / 1000));
}

/* --- /list ----------------------------------------------------------------------------
 */

static json_t *
replica_json(const struct db_view *v, unsigned i, int64_t now_ms)
{
    const struct slot_replica *s = &v->slot.replica[i];
    char label[DB_VIEW_LABEL_MAX];
    json_t *o = json_object();

    db_view_replica_label(v->info.db, i, label);
    add_text(o, "name", label);
    add_text(o, "type", cfg_replica_type_name(v->info.db->replicas[i].type));
    add_uint(o, "txid", s->txid);
    add_time_ms(o, "last_sync_at", db_view_replica_last_sync_ms(v, i, now_ms));
    add_seconds(o, "lag_seconds", db_view_replica_lag_ms(v, i, now_ms));
    json_object_set_new(o, "in_sync", json_boolean(db_view_replica_in_sync(v, i)));
    add_uint(o, "bytes_written", s->put_bytes);
    add_uint(o, "snapshot_txid", s->snapshot_txid);
    if (s->error[0] != '\0')
        add_text(o, "error", s->error);
    return o;
}

static json_t *
db_json(const struct db_view *v, bool once)
{
    int64_t now_ms = TIME_NOW;
    json_t *o = json_object(), *replicas = json_array();
    const char *why = db_view_error(v);

    add_text(o, "path", v->info.path);
    add_text(o, "status", db_view_status(v, once));
    add_time_ms(o, "last_sync_at", db_view_last_sync_ms(v, now_ms));
    /* ours */
    add_text(o, "state", db_view_state(v));
    add_uint(o, "txid", v->slot.txid);
    add_uint(o, "replica_txid", db_view_replicated_txid(v));
    json_object_set_new(o, "in_sync", json_boolean(db_view_in_sync(v)));
    add_seconds(o, "lag_seconds", db_view_lag_ms(v, now_ms));
    add_uint(o, "db_size", v->slot.db_size_bytes);
    add_uint(o, "wal_size", v->slot.wal_size_bytes);
    add_uint(o, "total_wal_bytes", v->slot.total_wal_bytes);
    add_uint(o, "restarts", v->info.restarts);
    if (v->info.pid > 0)
        add_uint(o, "pid", (uint64_t)v->info.pid);
    if (why[0] != '\0')
        add_text(o, "last_error", why);
    if (v->info.obituary[0] != '\0') {
        add_text(o, "last_death", v->info.obituary);
        add_time_ms(o, "last_death_at", wall_to_ms(v->info.died_at));
    }
    for (unsigned i = 0; i < v->n_replicas; i++)
        json_array_append_new(replicas, replica_json(v, i, now_ms));
    json_object_set_new(o, "replica", replicas);
    return o;
}

/* Objects of the databases, one after the other: {"databases":[...]} */
struct db_list {
    struct db_cursor cur;
    json_t *(*make)(const struct db_view *v, bool once);
    bool begun;
    size_t n;
};

static bool
fill_list(void *arg, struct buf *out)
{
    struct db_list *l = arg;
    struct db_view v;
    json_t *o;
    char *text;

    if (!l->begun) {
        l->begun = true;
        return buf_add_str(out, "{\"databases\":[");
    }
    if (l->cur.at == NULL) {
        buf_add_str(out, "]}\n");
        return false;
    }
    db_view_of(l->cur.at, &v);
    db_cursor_step(&l->cur);
    o = l->make(&v, l->cur.control->opt.once);
    text = json_text_compact(o, 1);
    if (l->n++ > 0)
        buf_add_char(out, ',');
    buf_add_str(out, text);
    mem_free(text);
    json_decref(o);
    return true;
}

static void
free_list(void *arg)
{
    struct db_list *l = arg;

    db_cursor_deinit(&l->cur);
    mem_free(l);
}

void
api_reply_list(struct control *c, struct http_request *r,
    json_t *(*make)(const struct db_view *v, bool once))
{
    struct db_list *l = MEM_NEW(struct db_list);
    struct text_source source = { .fill = fill_list, .free = free_list, .arg = l };

    db_cursor_init(&l->cur, c);
    l->make = make;
    api_reply_text(r, "application/json", &source);
}

void
api_list(void *arg, struct http_request *r)
{
    api_reply_list(arg, r, db_json);
}

/* --- /debug/sync-status ---------------------------------------------------------------
 */

/* What others call the phases. */
static const struct phase {
    const char *operation, *name;
    bool active;
} phases[PHASE_N] = {
    [PHASE_STARTING] = { "sync", "starting", true },
    [PHASE_OPENING_DB] = { "sync", "ensure_wal", true },
    [PHASE_WAITING_DB] = { "", "", false },
    [PHASE_IDLE] = { "sync", "sync_complete", false },
    [PHASE_LOOKING] = { "sync", "verify_and_sync", true },
    [PHASE_READING_WAL] = { "sync", "sync_ltx", true },
    [PHASE_WRITING_LTX] = { "sync", "write_ltx_from_wal", true },
    [PHASE_WRITING_IMAGE] = { "sync", "write_ltx_from_db", true },
    [PHASE_CHECKPOINTING] = { "checkpoint", "checkpoint_exec", true },
    [PHASE_FINAL_SYNC] = { "sync", "verify_and_sync", true },
    [PHASE_CLOSING] = { "sync", "close_ltx", true },
};

static json_t *
sync_status_json(const struct db_view *v, bool once)
{
    const struct phase *p =
        &phases[v->slot.phase < PHASE_N ? v->slot.phase : PHASE_STARTING];
    json_t *o = json_object();

    (void)once;
    add_text(o, "path", v->info.path);
    json_object_set_new(o, "active", json_boolean(p->active && v->info.pid > 0));
    if (p->operation[0] != '\0' && v->slot.state != 0) {
        add_text(o, "operation", p->operation);
        add_text(o, "phase", p->name);
    }
    add_time_ms(o, "updated_at", (int64_t)v->slot.last_sync_ms);
    if (v->slot.txid > 0)
        add_uint(o, "txid", v->slot.txid);
    if (v->slot.wal_size_bytes > 0) {
        add_uint(o, "wal_size", v->slot.wal_size_bytes);
        add_uint(o, "last_synced_wal_offset", v->slot.wal_size_bytes);
    }
    if (v->slot.phase == PHASE_WRITING_IMAGE)
        json_object_set_new(o, "snapshotting", json_true());
    if (v->slot.phase == PHASE_CHECKPOINTING)
        add_text(o, "checkpoint_mode", "PASSIVE");
    if (v->slot.last_error[0] != '\0')
        add_text(o, "error", v->slot.last_error);
    return o;
}

void
api_sync_status(void *arg, struct http_request *r)
{
    struct control *c = arg;
    const char *text = http_query(r, "path");
    const struct db_entry *d;
    struct db_view v;
    char *path;
    json_t *o, *list;

    if (!api_is_open(c, r))
        return;
    if (text == NULL || text[0] == '\0') {
        api_reply_list(c, r, sync_status_json);
        return;
    }
    if (!api_take_path(r, text, &path))
        return;
    d = db_table_find(c->table, path);
    mem_free(path);
    if (d == NULL) {
        api_reply_error(r, 404, "database not found", NULL);
        return;
    }
    db_view_of(d, &v);
    o = json_object();
    list = json_array();
    json_array_append_new(list, sync_status_json(&v, false));
    json_object_set_new(o, "databases", list);
    api_reply_json(r, 200, o);
}

/* --- small ones -----------------------------------------------------------------------
 */

void
api_info(void *arg, struct http_request *r)
{
    struct control *c = arg;
    json_t *o;

    if (!api_is_open(c, r))
        return;
    o = json_object();
    add_text(o, "version", LITESTREAM_VERSION);
    add_uint(o, "pid", (uint64_t)getpid());
    json_object_set_new(
        o, "uptime_seconds", json_integer(mono_since_ms(c->started) / 1000));
    json_object_set_new(o, "started_at", time_text(c->started_at));
    add_uint(o, "database_count", db_table_size(c->table));
    /* ours */
    add_uint(o, "worker_count", db_table_n_alive(c->table));
    add_text(o, "config_path", supervisor_config(c->opt.sup)->file);
    api_reply_json(r, 200, o);
}

void
api_txid(void *arg, struct http_request *r)
{
    struct control *c = arg;
    const char *text = http_query(r, "path");
    const struct db_entry *d;
    struct slot_data slot;
    char *path;
    json_t *o;

    if (!api_is_open(c, r) || !api_take_path(r, text != NULL ? text : "", &path))
        return;
    d = db_table_find(c->table, path);
    mem_free(path);
    if (d == NULL) {
        api_reply_error(r, 404, "database not found", NULL);
        return;
    }
    db_entry_slot(d, &slot);
    o = json_object();
    add_uint(o, "txid", slot.txid);
    api_reply_json(r, 200, o);
}

void
api_metrics(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct text_source source;

    if (!api_is_open(c, r))
        return;
    metrics_page(c, &source);
    api_reply_text(r, METRICS_TYPE, &source);
}

void
api_profiling(void *arg, struct http_request *r)
{
    (void)arg;
    api_reply_error(r, 501, "profiling is not available in this build", NULL);
}

/* --- health ---------------------------------------------------------------------------
 */

void
api_healthz(void *arg, struct http_request *r)
{
    (void)arg;
    http_reply(r, 200, "text/plain; charset=utf-8", "ok\n");
}

/* What is stopped, and what is not there yet, is not waited for. */
static bool
is_ready(const struct db_view *v)
{
    return v->info.state == DB_DISABLED || v->slot.state == WS_WAITING ||
           db_view_in_sync(v);
}

/* Everything was on every replica once since the start: then it stays ready. */
void
api_readyz(void *arg, struct http_request *r)
{
    struct control *c = arg;
    json_t *o, *waiting;
    size_t n = 0;

    if (!api_is_open(c, r))
        return;
    waiting = json_array();
    for (const struct db_entry *d = db_table_next(c->table, NULL);
         d != NULL && !c->was_ready; d = db_table_next(c->table, d)) {
        struct db_view v;

        db_view_of(d, &v);
        if (!is_ready(&v) && n++ < MAX_NAMED)
            json_array_append_new(waiting, json_text_string(v.info.path));
    }
    c->was_ready = c->was_ready || n == 0;
    o = json_object();
    add_text(o, "status", c->was_ready ? "ready" : "starting");
    if (n > 0) {
        add_uint(o, "waiting_count", n);
        json_object_set(o, "waiting", waiting);
    }
    json_decref(waiting);
    api_reply_json(r, c->was_ready ? 200 : 503, o);
}

/* --- changes --------------------------------------------------------------------------
 */

void
api_reload(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct reload_report report;
    struct err e;
    json_t *o;

    if (!api_is_open(c, r))
        return;
    if (supervisor_reload(c->opt.sup, &report, &e) != 0) {
        err_wrap(&e, "configuration not reloaded, nothing has changed");
        api_reply_err(r, err_class_of(e.code) == ERR_CLASS_USER ? 400 : 500, &e);
        return;
    }
    o = json_object();
    add_text(o, "status", "reloaded");
    add_uint(o, "added", report.n_added);
    add_uint(o, "removed", report.n_removed);
    add_uint(o, "restarted", report.n_restarted);
    add_uint(o, "kept", report.n_kept);
    add_text(o, "needs_restart", report.ignored);
    api_reply_json(r, 200, o);
}

static json_t *
level_json(void)
{
    static const char *const names[] = {
        [LOG_TRACE] = "trace",
        [LOG_DEBUG] = "debug",
        [LOG_INFO] = "info",
        [LOG_WARN] = "warn",
        [LOG_ERROR] = "error",
    };
    json_t *o = json_object();

    add_text(o, "level", names[log_options()->level]);
    return o;
}

void
api_get_log_level(void *arg, struct http_request *r)
{
    (void)arg;
    api_reply_json(r, 200, level_json());
}

/* Until the next reload, which brings that of the configuration back. */
void
api_set_log_level(void *arg, struct http_request *r)
{
    struct control *c = arg;
    struct api_body body;
    enum log_level level;

    if (!api_is_open(c, r) || !api_take_body(r, &body))
        return;
    if (!log_level_parse(body.level, &level)) {
        api_reply_error(
            r, 400, "level must be trace, debug, info, warn or error", body.level);
    } else {
        db_table_set_log_level(c->table, level);
        api_reply_json(r, 200, level_json());
    }
    api_body_deinit(&body);
}
