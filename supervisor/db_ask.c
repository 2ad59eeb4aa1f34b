/*
 * Requests to workers, and callers that wait for a start or a stop. One that is answered
 * leaves the list of its entry first, so that its callback may do what it likes.
 */
#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "supervisor/db_table_impl.h"

/* A caller that waits for a stop hears of its end, or this much after its deadline. */
#define STOP_GRACE_MS 5000

static void
on_ask_closed(uv_handle_t *h)
{
    struct db_ask *a = container_of(h, struct db_ask, timer);
    struct db_table *t = h->data;

    mem_free(a);
    db_handle_closed(t);
}

static void
unlink_ask(struct db_ask *a)
{
    struct db_entry *d = a->entry;
    struct db_ask **at = &d->asks;

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    d->n_asks--;
}

/* The caller's callback, last; the memory of `a` has its own end. */
static void
answer(struct db_ask *a, const struct db_answer *with)
{
    struct db_answer copy = *with;
    db_answer_cb *done = a->done;
    void *arg = a->arg;

    copy.already = a->already;
    unlink_ask(a);
    a->entry = NULL;
    if (a->timer.data != NULL)
        uv_close((uv_handle_t *)&a->timer, on_ask_closed);
    else
        mem_free(a);
    if (done != NULL)
        done(arg, &copy);
}

static void
answer_error(struct db_ask *a, const struct err *e)
{
    struct db_answer with = { .err = *e };

    answer(a, &with);
}

static void
on_timeout(uv_timer_t *h)
{
    struct db_ask *a = container_of(h, struct db_ask, timer);
    struct err e;

    err_set(
        &e, ERR_TIMEOUT, "no answer from the worker of %s in time", a->entry->path.text);
    answer_error(a, &e);
}

struct db_ask *
db_ask_new(struct db_entry *d, enum ask_kind kind, int64_t timeout_ms, db_answer_cb *done,
    void *arg)
{
    struct db_table *t = d->table;
    struct db_ask *a = d->n_asks < DB_MAX_ASKS ? mem_try(1, sizeof(*a)) : NULL;
    struct db_ask **at = &d->asks;

    if (a == NULL)
        return NULL;
    *a = (struct db_ask){ .entry = d, .kind = kind, .done = done, .arg = arg };
    while (*at != NULL)
        at = &(*at)->next;
    *at = a;
    d->n_asks++;
    if (timeout_ms <= 0)
        return a;
    timeout_ms += kind == ASK_STOP ? STOP_GRACE_MS : 0;
    uv_timer_init(t->opt.loop, &a->timer);
    a->timer.data = t;
    t->n_handles++;
    uv_timer_start(&a->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return a;
}

static bool
id_in_use(const struct db_entry *d, uint16_t id)
{
    for (const struct db_ask *a = d->asks; a != NULL; a = a->next)
        if (a->id == id)
            return true;
    return false;
}

static uint16_t
next_id(struct db_entry *d)
{
    do
        d->last_request = d->last_request >= LAST_REQUEST
                              ? FIRST_REQUEST
                              : (uint16_t)(d->last_request + 1);
    while (id_in_use(d, d->last_request));
    return d->last_request;
}

static void
send_request(struct db_ask *a, const struct msg *request)
{
    struct msg m = *request;

    a->id = next_id(a->entry);
    m.head.request = a->id;
    link_send(a->entry->link, &m);
}

int
db_table_ask(struct db_table *t, const char *path, const struct msg *request,
    int64_t timeout_ms, db_answer_cb *done, void *arg, struct err *e)
{
    struct db_entry *d = db_find(t, path);
    struct db_info info;
    struct db_ask *a;

    if (d == NULL || d->removing)
        return err_set(e, ERR_NOT_FOUND, "database not found: %s", path);
    db_entry_info(d, &info);
    if (d->link == NULL || d->stopping || d->pid == 0)
        return err_set(
            e, ERR_BUSY, "database not open: %s (%s)", path, db_state_name(info.state));
    a = db_ask_new(d, ASK_PLAIN, timeout_ms, done, arg);
    if (a == NULL)
        return err_set(e, ERR_LIMIT, "too many requests are under way: %s", path);
    send_request(a, request);
    return 0;
}

void
db_ask_send_starts(struct db_entry *d)
{
    static const struct msg sync = { .head.id = MSG_SYNC };

    for (struct db_ask *a = d->asks; a != NULL && d->link != NULL; a = a->next)
        if (a->kind == ASK_START && !a->due && a->id == 0)
            send_request(a, &sync);
}

void
db_ask_answer(struct db_entry *d, const struct msg *m)
{
    const struct msg_done *done = &m->u.done;
    struct db_answer with = { .txid = done->txid,
        .replicated_txid = done->replicated_txid,
        .complete = done->complete != 0 };
    struct db_ask *a = d->asks;

    while (a != NULL && (a->id == 0 || a->id != m->head.request))
        a = a->next;
    if (a == NULL)
        return; /* it was not waited for any longer */
    /* A database that is not there yet is waited for: that is a good start. */
    if (done->code != 0 && !(a->kind == ASK_START && done->code == ERR_NOT_FOUND))
        err_set(&with.err, (enum err_code)done->code, "%s", done->text);
    answer(a, &with);
}

void
db_ask_answer_due(struct db_entry *d)
{
    struct db_answer with = { .err = ERR_NONE };
    struct slot_data slot;
    struct db_ask *a;

    slot_read(d->slot, &slot);
    with.txid = slot.txid;
    for (;;) {
        for (a = d->asks; a != NULL && !a->due;)
            a = a->next;
        if (a == NULL)
            return;
        answer(a, &with);
    }
}

void
db_ask_end(struct db_entry *d, unsigned kinds, const struct db_answer *with)
{
    unsigned n = d->n_asks; /* callbacks may add more of them */

    while (n-- > 0) {
        struct db_ask *a = d->asks;

        while (a != NULL && (kinds & (1u << a->kind)) == 0)
            a = a->next;
        if (a == NULL)
            return;
        answer(a, with);
    }
}

void
db_ask_fail(struct db_entry *d, unsigned kinds, const struct err *e)
{
    struct db_answer with = { .err = *e };

    db_ask_end(d, kinds, &with);
}
