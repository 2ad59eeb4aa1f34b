#include "supervisor/db_table.h"

#include <search.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "config/diff.h"
#include "supervisor/db_table_impl.h"

static int
compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct db_key *)a)->text, ((const struct db_key *)b)->text);
}

struct db_entry *
db_find(const struct db_table *t, const char *path)
{
    char *text = mem_strdup(path);
    struct db_key key = { .text = text };
    struct db_key **found = tfind(&key, &t->by_path, compare_keys);

    mem_free(text);
    return found != NULL ? container_of(*found, struct db_entry, path) : NULL;
}

static int
out_of_memory(const struct db_table *t, struct err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for %zu databases", t->n_entries + 1);
}

/* --- places ---------------------------------------------------------------------------
 */

static int
place_taken(const struct db_place *p, const struct cfg_db *db, struct err *e)
{
    if (db->meta_path[0] != '\0' && strncmp(p->key.text, "file   ", 7) == 0 &&
        strcmp(p->key.text + 7, db->meta_path) == 0)
        return err_set(e, ERR_CONFLICT,
            "meta-path collision: databases %s and %s would share meta-path %s, causing "
            "replication state corruption",
            p->owner->path.text, db->path, db->meta_path);
    return err_set(e, ERR_CONFLICT,
        "databases %s and %s would share a replica (%s); give each its own path",
        p->owner->path.text, db->path, p->key.text);
}

static void
drop_place(struct db_table *t, struct db_place *p)
{
    if (--p->n > 0)
        return;
    tdelete(p, &t->by_place, compare_keys);
    mem_free(p->key.text);
    mem_free(p);
}

/* One place belongs to one database. */
static int
take_place(struct db_entry *d, const struct cfg_db *db, const char *name,
    struct db_place **out, struct err *e)
{
    struct db_table *t = d->table;
    struct db_place *p = MEM_NEW(struct db_place), **found;

    *p = (struct db_place){ .key.text = mem_strdup(name), .owner = d, .n = 1 };
    found = tsearch(p, &t->by_place, compare_keys);
    if (found != NULL && *found == p) {
        *out = p;
        return 0;
    }
    mem_free(p->key.text);
    mem_free(p);
    if (found == NULL)
        return out_of_memory(t, e);
    if ((*found)->owner != d)
        return place_taken(*found, db, e);
    (*found)->n++;
    *out = *found;
    return 0;
}

static void
drop_setup(struct db_table *t, struct db_setup *s)
{
    for (size_t i = 0; i < s->n_places; i++)
        drop_place(t, s->places[i]);
    cfg_share_put(s->share);
    *s = (struct db_setup){ .share = NULL };
}

static int
take_setup(struct db_entry *d, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, struct db_setup *out, struct err *e)
{
    const char *names[DB_MAX_PLACES];
    struct arena scratch;
    size_t n;
    int rc = 0;

    *out = (struct db_setup){ .db = db, .origin = origin };
    arena_init(&scratch);
    n = cfg_db_places(&scratch, db, names, DB_MAX_PLACES);
    while (rc == 0 && out->n_places < n) {
        rc = take_place(d, db, names[out->n_places], &out->places[out->n_places], e);
        out->n_places += rc == 0;
    }
    arena_deinit(&scratch);
    if (rc != 0)
        drop_setup(d->table, out);
    else
        out->share = cfg_share_get(share);
    return rc;
}

/* --- entries --------------------------------------------------------------------------
 */

void
db_tell(struct db_entry *d, enum db_event event)
{
    if (d->table->opt.event != NULL)
        d->table->opt.event(d->table->opt.arg, d, event);
}

static void
append(struct db_table *t, struct db_entry *d)
{
    d->prev = t->last;
    if (t->last != NULL)
        t->last->next = d;
    else
        t->first = d;
    t->last = d;
    t->n_entries++;
}

static void
unlink_entry(struct db_table *t, struct db_entry *d)
{
    if (d->prev != NULL)
        d->prev->next = d->next;
    else
        t->first = d->next;
    if (d->next != NULL)
        d->next->prev = d->prev;
    else
        t->last = d->prev;
    t->n_entries--;
}

static void
dequeue(struct db_entry *d)
{
    struct db_table *t = d->table;

    if (!d->queued)
        return;
    d->queued = false;
    if (d->queue_prev != NULL)
        d->queue_prev->queue_next = d->queue_next;
    else
        t->queue_first = d->queue_next;
    if (d->queue_next != NULL)
        d->queue_next->queue_prev = d->queue_prev;
    else
        t->queue_last = d->queue_prev;
}

void
db_handle_closed(struct db_table *t)
{
    must(t->n_handles > 0);
    if (--t->n_handles > 0 || !t->closing)
        return;
    if (t->freed != NULL)
        t->freed(t->freed_arg);
    mem_free(t);
}

static void
on_restart_closed(uv_handle_t *h)
{
    struct db_entry *d = container_of(h, struct db_entry, restart);
    struct db_table *t = d->table;

    mem_free(d->path.text);
    mem_free(d->obituary);
    mem_free(d);
    db_handle_closed(t);
}

static void
on_watch_closed(struct hub_watch *w)
{
    struct db_entry *d = container_of(w, struct db_entry, watch);

    uv_close((uv_handle_t *)&d->restart, on_restart_closed);
}

/* Nobody finds it any more, and its path and folder may be used again. */
static void
hide(struct db_entry *d)
{
    struct db_table *t = d->table;

    dequeue(d);
    db_settle(d);
    tdelete(&d->path, &t->by_path, compare_keys);
    unlink_entry(t, d);
    drop_setup(t, &d->then);
    drop_setup(t, &d->now);
}

/* Its memory goes when its handles are closed. */
static void
forget(struct db_entry *d)
{
    struct db_table *t = d->table;

    must(!d->starting && d->pid == 0 && d->link == NULL && d->n_asks == 0);
    slot_pool_give(&t->slots, d->slot);
    d->slot = NULL;
    if (d->own_watch)
        t->own_left++;
    if (!hub_close(&d->watch, on_watch_closed))
        on_watch_closed(&d->watch);
}

static struct db_entry *
new_entry(struct db_table *t, const char *path, struct err *e)
{
    struct db_entry *d = mem_try(1, sizeof(*d));

    if (d == NULL || (d->slot = slot_pool_take(&t->slots)) == NULL) {
        mem_free(d);
        out_of_memory(t, e);
        return NULL;
    }
    d->table = t;
    d->path.text = mem_strdup(path);
    d->last_request = FIRST_REQUEST;
    return d;
}

static void
clear_slot(struct db_entry *d)
{
    static const struct slot_data none = { .incarnation = 0 };

    slot_write(d->slot, &none);
}

static int
add_entry(struct db_table *t, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, struct err *e)
{
    struct db_entry *d = new_entry(t, db->path, e);

    if (d == NULL)
        return (int)e->code;
    if (take_setup(d, share, db, origin, &d->now, e) != 0 ||
        (tsearch(&d->path, &t->by_path, compare_keys) == NULL &&
            out_of_memory(t, e) != 0)) {
        drop_setup(t, &d->now);
        slot_pool_give(&t->slots, d->slot);
        mem_free(d->path.text);
        mem_free(d);
        return (int)e->code;
    }
    must(uv_timer_init(t->opt.loop, &d->restart) == 0);
    t->n_handles++;
    clear_slot(d);
    append(t, d);
    d->wanted = db->enabled;
    d->restore = t->running && db->restore_if_db_not_exists;
    db_tell(d, DB_EVENT_ADDED);
    if (d->wanted)
        db_enqueue(d);
    return 0;
}

int
db_table_add(struct db_table *t, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, struct err *e)
{
    struct db_entry *d = db_find(t, db->path);

    proc_must_be(PROC_SUPERVISOR);
    must(db->path[0] != '\0');
    if (t->ending)
        return err_set(e, ERR_CANCELLED, "the program is ending");
    if (d == NULL)
        return add_entry(t, share, db, origin, e);
    if (!d->removing || d->then.share != NULL)
        return err_set(e, ERR_EXISTS, "database is known already: %s", db->path);
    return take_setup(d, share, db, origin, &d->then, e);
}

/* --- changes --------------------------------------------------------------------------
 */

static struct db_entry *
known(struct db_table *t, const char *path, struct err *e)
{
    struct db_entry *d = db_find(t, path);

    if (d != NULL && !d->removing)
        return d;
    err_set(e, ERR_NOT_FOUND, "database not found: %s", path);
    return NULL;
}

static void
adopt(struct db_entry *d)
{
    bool enabled = d->now.db->enabled;

    drop_setup(d->table, &d->now);
    d->now = d->then;
    d->then = (struct db_setup){ .share = NULL };
    d->announced = false;
    if (d->now.db->enabled != enabled)
        d->wanted = d->now.db->enabled;
}

int
db_table_replace(struct db_table *t, struct cfg_share *share, const struct cfg_db *db,
    enum db_origin origin, bool restart, struct err *e)
{
    struct db_entry *d = db_find(t, db->path);
    struct db_setup fresh;

    if (d == NULL || (d->removing && d->then.share == NULL))
        return err_set(e, ERR_NOT_FOUND, "database not found: %s", db->path);
    if (take_setup(d, share, db, origin, &fresh, e) != 0)
        return (int)e->code;
    if (d->then.share != NULL) { /* to be started anew in any case */
        drop_setup(t, &d->then);
        d->then = fresh;
        return 0;
    }
    d->then = fresh;
    if (restart && db_is_active(d)) {
        db_begin_stop(d, 0, false);
        return 0;
    }
    adopt(d);
    if (d->wanted)
        db_enqueue(d);
    return 0;
}

int
db_table_remove(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e)
{
    struct db_entry *d = db_find(t, path);

    if (d == NULL || (d->removing && d->then.share == NULL))
        return err_set(e, ERR_NOT_FOUND, "database not found: %s", path);
    if (done != NULL && db_ask_new(d, ASK_STOP, timeout_ms, done, arg) == NULL)
        return err_set(e, ERR_LIMIT, "too many requests are under way: %s", path);
    drop_setup(t, &d->then);
    d->removing = true;
    db_begin_stop(d, timeout_ms, t->skip);
    d->wanted = false;
    return 0;
}

int
db_table_start(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e)
{
    struct db_entry *d = known(t, path, e);
    struct db_ask *a;

    if (d == NULL)
        return (int)e->code;
    if (t->ending)
        return err_set(e, ERR_CANCELLED, "the program is ending");
    a = db_ask_new(d, ASK_START, timeout_ms, done, arg);
    if (a == NULL)
        return err_set(e, ERR_LIMIT, "too many requests are under way: %s", path);
    if (d->wanted) {
        a->already = a->due = true;
    } else {
        d->wanted = true;
        d->policy = (struct restart_policy){ .restarts = d->policy.restarts };
    }
    db_enqueue(d);
    return 0;
}

int
db_table_stop(struct db_table *t, const char *path, int64_t timeout_ms,
    db_answer_cb *done, void *arg, struct err *e)
{
    struct db_entry *d = known(t, path, e);
    struct db_ask *a;

    if (d == NULL)
        return (int)e->code;
    a = db_ask_new(d, ASK_STOP, timeout_ms, done, arg);
    if (a == NULL)
        return err_set(e, ERR_LIMIT, "too many requests are under way: %s", path);
    a->already = !d->wanted && !d->stopping;
    db_begin_stop(d, timeout_ms, t->skip);
    d->wanted = false;
    return 0;
}

/*
 * All that a stop was for: what waits for it is answered, then the database is forgotten,
 * takes its next configuration, or rests.
 */
void
db_stopped(struct db_entry *d)
{
    struct db_table *t = d->table;
    struct db_answer farewell = d->farewell;
    bool gone = d->removing;
    struct err e;

    d->stopping = d->answered = d->failed = d->second_stop = false;
    d->farewell = (struct db_answer){ .err = ERR_NONE };
    if (farewell.txid == 0)
        farewell.txid = slot_peek(d->slot, offsetof(struct slot_data, txid));
    if (t->ending)
        drop_setup(t, &d->then);
    err_set(&e, ERR_CANCELLED, "the worker was stopped");
    db_tell(d, DB_EVENT_STOPPED);
    db_ask_fail(d, 1u << ASK_PLAIN, &e);
    if (d->removing && d->then.share == NULL) {
        db_ask_fail(d, 1u << ASK_START, &e);
        db_tell(d, DB_EVENT_REMOVED);
        hide(d);
        db_ask_end(d, 1u << ASK_STOP, &farewell);
        forget(d);
        return;
    }
    if (gone) {
        db_tell(d, DB_EVENT_REMOVED);
        d->removing = false;
        d->policy = (struct restart_policy){ .delay_ms = 0 };
        clear_slot(d);
        adopt(d);
        d->restore = d->now.db->restore_if_db_not_exists;
        d->wanted = d->now.db->enabled;
        db_tell(d, DB_EVENT_ADDED);
    } else if (d->then.share != NULL) {
        adopt(d);
    }
    db_ask_end(d, 1u << ASK_STOP, &farewell);
    if (d->wanted && !t->ending)
        db_enqueue(d);
    else
        db_ask_fail(d, 1u << ASK_START, &e);
    db_settle(d);
}

/* --- the loop -------------------------------------------------------------------------
 */

static void
on_work(uv_idle_t *h)
{
    struct db_table *t = container_of(h, struct db_table, work);

    t->running = true;
    for (int i = 0; i < DB_START_BATCH && t->queue_first != NULL; i++) {
        struct db_entry *d = t->queue_first;

        dequeue(d);
        db_work(d);
    }
    db_start_all(t);
    if (t->queue_first != NULL)
        return;
    uv_idle_stop(&t->work);
    if (t->n_active > 0 || t->idle_told)
        return;
    t->idle_told = true;
    if (t->opt.idle != NULL)
        t->opt.idle(t->opt.arg);
}

void
db_enqueue(struct db_entry *d)
{
    struct db_table *t = d->table;

    if (!d->queued) {
        d->queued = true;
        d->queue_prev = t->queue_last;
        d->queue_next = NULL;
        if (t->queue_last != NULL)
            t->queue_last->queue_next = d;
        else
            t->queue_first = d;
        t->queue_last = d;
    }
    uv_idle_start(&t->work, on_work);
    db_settle(d);
}

void
db_tell_idle(struct db_table *t)
{
    t->idle_told = false;
    uv_idle_start(&t->work, on_work);
}

bool
db_is_active(const struct db_entry *d)
{
    return d->queued || d->starting || d->pid > 0 || d->link != NULL || d->stopping ||
           uv_is_active((const uv_handle_t *)&d->restart);
}

void
db_settle(struct db_entry *d)
{
    struct db_table *t = d->table;
    bool active = db_is_active(d);

    if (active == d->active)
        return;
    d->active = active;
    if (active)
        t->n_active++;
    else
        t->n_active--;
    t->idle_told = t->idle_told && !active;
    if (t->n_active == 0)
        uv_idle_start(&t->work, on_work);
}

/* --- looking --------------------------------------------------------------------------
 */

const struct db_entry *
db_table_find(const struct db_table *t, const char *path)
{
    return db_find(t, path);
}

const struct db_entry *
db_table_next(const struct db_table *t, const struct db_entry *after)
{
    return after == NULL ? t->first : after->next;
}

static enum db_state
state_of(const struct db_entry *d)
{
    if (d->stopping || d->removing)
        return DB_STOPPING;
    if (!db_is_active(d) || (!d->wanted && d->pid == 0))
        return DB_DISABLED;
    if (d->policy.failed)
        return DB_FAILED;
    return d->pid > 0 && !d->restoring ? DB_RUNNING : DB_WAITING;
}

void
db_entry_info(const struct db_entry *d, struct db_info *out)
{
    const struct db_setup *s = d->then.share != NULL ? &d->then : &d->now;

    *out = (struct db_info){ .path = d->path.text,
        .config = cfg_share_config(s->share),
        .db = s->db,
        .origin = s->origin,
        .state = state_of(d),
        .removing = d->removing && d->then.share == NULL,
        .pid = d->pid,
        .ready = d->ready,
        .incarnation = d->incarnation,
        .restarts = d->policy.restarts,
        .obituary = d->obituary != NULL ? d->obituary : "",
        .died_at = d->died_at,
        .started_at = d->started_at };
}

void
db_entry_slot(const struct db_entry *d, struct slot_data *out)
{
    slot_read(d->slot, out);
}

const struct slot *
db_entry_live_slot(const struct db_entry *d)
{
    return d->slot;
}

const char *
db_state_name(enum db_state s)
{
    switch (s) {
    case DB_DISABLED:
        return "disabled";
    case DB_WAITING:
        return "waiting";
    case DB_RUNNING:
        return "running";
    case DB_STOPPING:
        return "stopping";
    case DB_FAILED:
        return "failed";
    }
    return "unknown";
}

size_t
db_table_size(const struct db_table *t)
{
    return t->n_entries;
}

size_t
db_table_n_alive(const struct db_table *t)
{
    return t->n_alive;
}

size_t
db_table_n_failed(const struct db_table *t)
{
    return t->n_failed;
}

/* --- life of the table ----------------------------------------------------------------
 */

struct db_table *
db_table_new(const struct db_table_options *options)
{
    struct db_table *t = mem_try(1, sizeof(*t));

    proc_must_be(PROC_SUPERVISOR);
    if (t == NULL)
        return NULL;
    t->opt = *options;
    t->own_left = hub_own_budget();
    slot_pool_init(&t->slots);
    must(uv_idle_init(t->opt.loop, &t->work) == 0);
    t->n_handles = 1;
    uv_idle_start(&t->work, on_work);
    return t;
}

static void
on_work_closed(uv_handle_t *h)
{
    struct db_table *t = container_of(h, struct db_table, work);

    slot_pool_deinit(&t->slots);
    db_handle_closed(t);
}

void
db_table_free(struct db_table *t, void (*freed)(void *arg), void *arg)
{
    if (t == NULL || t->closing)
        return;
    must(t->n_alive == 0);
    t->ending = t->closing = t->idle_told = true;
    t->freed = freed;
    t->freed_arg = arg;
    while (t->first != NULL) {
        struct db_entry *d = t->first;
        struct err e;

        err_set(&e, ERR_CANCELLED, "the program is ending");
        db_ask_fail(d, ~0u, &e);
        uv_timer_stop(&d->restart);
        link_close(d->link);
        d->link = NULL;
        d->stopping = false;
        hide(d);
        forget(d);
    }
    uv_close((uv_handle_t *)&t->work, on_work_closed);
}
