/*
 * What the supervisor may ask for besides syncs: a snapshot on every replica, or a
 * checkpoint, now. One after the other; each begins with a look at the WAL, so that what
 * was committed before the request is in it.
 *
 *   ASK_NONE --request--> ASK_SYNC --captured--> ASK_TASKS <--> ASK_TASK (a snapshot
 * runs) ^                      |                      |
 *      '------- answered -----+----------------------'
 */
#include "common/base/log.h"
#include "workers/worker_impl.h"

/* A checkpoint that must copy all tries again after this time, until its request ends. */
#define TRY_AGAIN_MS 50
#define TRY_MAX_MS 30000

static void
finish(struct worker *w, const struct err *e, bool complete)
{
    struct msg m = { .head = { .id = MSG_DONE, .request = w->ask.queue[0].id } };

    m.u.done.complete = complete;
    worker_fill_done(w, &m.u.done, e);
    w->ask.n--;
    for (unsigned i = 0; i < w->ask.n; i++)
        w->ask.queue[i] = w->ask.queue[i + 1];
    w->ask.step = ASK_NONE;
    if (w->link != NULL)
        link_send(w->link, &m);
    worker_kick(w);
}

void
worker_asks_end(struct worker *w, const struct err *e)
{
    while (w->ask.n > 0)
        finish(w, e, false);
}

static bool
good_mode(const struct msg *m)
{
    return m->head.id != MSG_CHECKPOINT ||
           (m->u.checkpoint.mode >= MSG_CHECKPOINT_PASSIVE &&
               m->u.checkpoint.mode <= MSG_CHECKPOINT_TRUNCATE);
}

void
worker_add_ask(struct worker *w, const struct msg *m)
{
    struct err e = ERR_NONE;

    if (w->end.asked)
        err_set(&e, ERR_CANCELLED, "the worker is stopping");
    else if (w->start->once.wanted)
        err_set(&e, ERR_BUSY, "the worker runs once only");
    else if (w->state == WS_WAITING)
        err_set(&e, ERR_NOT_FOUND, "no such database: %s", w->start->db->path);
    else if (w->ask.n == WORKER_MAX_ASKS)
        err_set(&e, ERR_LIMIT, "too many requests are waiting");
    else if (!good_mode(m))
        err_set(&e, ERR_UNSUPPORTED, "there is no such kind of checkpoint");
    if (e.code != ERR_OK) {
        worker_answer(w, m->head.request, &e);
        return;
    }
    w->ask.queue[w->ask.n++] = (struct heavy_ask){ .id = m->head.request,
        .snapshot = m->head.id == MSG_SNAPSHOT,
        .mode = m->head.id == MSG_CHECKPOINT ? m->u.checkpoint.mode : 0,
        .since = mono_now() };
}

/* Called in the middle of something else: acted upon from the loop. */
void
worker_ask_synced(struct worker *w, const struct err *e)
{
    if (w->ask.step != ASK_SYNC)
        return;
    w->ask.step = ASK_TASKS;
    w->ask.replica = 0;
    if (e != NULL)
        finish(w, e, false);
    worker_kick(w);
}

static void
on_snapshot(void *arg, const struct err *e)
{
    struct worker *w = arg;

    if (w->ask.step != ASK_TASK)
        return; /* answered already: the worker is stopping */
    w->ask.step = ASK_TASKS;
    w->ask.replica++;
    if (e != NULL)
        finish(w, e, false);
    worker_kick(w);
}

/* The next replica's, once it is known what that holds. */
static void
snapshot(struct worker *w)
{
    struct replica *r;

    if (w->ask.replica == w->n_replicas) {
        finish(w, NULL, false);
        return;
    }
    r = w->replicas[w->ask.replica];
    if (!replica_known(r)) {
        if (replica_error(r) != NULL)
            finish(w, replica_error(r), false);
        return; /* its answer kicks */
    }
    w->ask.step = ASK_TASK;
    log_info("taking snapshot", LF_STR("path", w->start->db->path));
    compactor_snapshot(w->compactors[w->ask.replica], on_snapshot, w);
}

/* What was asked for is done; *e tells when its last step has failed. */
static bool
achieved(struct worker *w, const struct heavy_ask *a,
    const struct engine_checkpoint *done, struct err *e)
{
    int rc;

    *e = (struct err)ERR_NONE;
    if (!done->ran)
        return false;
    switch ((enum msg_checkpoint_mode)a->mode) {
    case MSG_CHECKPOINT_PASSIVE:
        return true;
    case MSG_CHECKPOINT_FULL:
        return done->complete;
    case MSG_CHECKPOINT_RESTART:
        return done->restartable;
    case MSG_CHECKPOINT_TRUNCATE:
        break;
    }
    if (!done->restartable)
        return false;
    rc = engine_truncate_wal(w->eng, e);
    return rc != ERR_BUSY; /* a writer was faster */
}

static void
checkpoint(struct worker *w)
{
    const struct heavy_ask *a = &w->ask.queue[0];
    struct engine_checkpoint done;
    struct err e;

    if (w->ask.again_at.ns != 0 && !mono_reached(w->ask.again_at))
        return;
    w->ask.again_at = (struct mono){ 0 };
    if (worker_checkpoint(w, &done, &e) != 0) {
        finish(w, &e, false);
    } else if (achieved(w, a, &done, &e)) {
        finish(w, e.code != ERR_OK ? &e : NULL, done.complete);
    } else if (mono_since_ms(a->since) >= TRY_MAX_MS) {
        err_set(&e, ERR_BUSY, "%s",
            done.ran
                ? "readers keep the WAL from being copied as a whole"
                : "a writer, another checkpoint or a snapshot keeps it from running");
        finish(w, &e, false);
    } else {
        w->ask.again_at = mono_add_ms(mono_now(), TRY_AGAIN_MS);
    }
}

void
worker_ask_run(struct worker *w)
{
    static const struct msg sync = { .head = { .id = MSG_SYNC, .request = ASK_REQUEST } };

    if (w->ask.n == 0 || w->end.asked)
        return;
    if (w->ask.step == ASK_NONE) {
        w->ask.step = ASK_SYNC;
        w->ask.again_at = (struct mono){ 0 };
        worker_add_request(w, &sync);
        worker_kick(w);
    } else if (w->ask.step == ASK_TASKS && w->state == WS_RUNNING && !w->reopen_wanted &&
               w->rebase_to == 0 && engine_can_name(w->eng)) {
        if (w->ask.queue[0].snapshot)
            snapshot(w);
        else
            checkpoint(w);
    }
}

int64_t
worker_ask_due_ms(const struct worker *w)
{
    return w->ask.n > 0 && w->ask.again_at.ns != 0
               ? (int64_t)mono_wait_ms(w->ask.again_at)
               : -1;
}
