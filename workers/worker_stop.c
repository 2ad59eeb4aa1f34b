/*
 * The end of a worker: final look at the WAL, final uploads until a deadline, close.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/must.h"
#include "workers/worker_impl.h"

/* How long the last message may take to leave. */
#define FLUSH_MS 1000

void
worker_stop_begin(struct worker *w, const struct msg *m)
{
    struct worker_end *end = &w->end;
    int64_t timeout_ms = m != NULL ? m->u.stop.timeout_ms : w->start->shutdown_timeout_ms;
    struct err e;

    if (m != NULL && m->u.stop.skip != 0) {
        end->skip = true;
        engine_cancel(w->eng);
    }
    if (m != NULL && m->head.request != 0) {
        end->answer = true;
        end->request = m->head.request;
    }
    if (end->asked)
        return;
    end->asked = true;
    end->started = mono_now();
    end->one_attempt = timeout_ms <= 0;
    if (timeout_ms > 0)
        end->deadline = mono_add_ms(end->started, timeout_ms);
    end->opened = w->state == WS_RUNNING;
    err_set(&e, ERR_CANCELLED, "the worker is stopping");
    worker_asks_end(w, &e);
    worker_stop_compacting(w);
    worker_drop_tails(w);
    worker_set_state(w, WS_STOPPING);
    w->view.phase = PHASE_FINAL_SYNC;
}

/* A database that was never opened is opened once now: what it holds must not be lost. */
static bool
open_once(struct worker *w)
{
    struct err e;
    int rc;

    if (w->end.opened)
        return true;
    w->end.opened = true;
    if (engine_is_open(w->eng))
        return true;
    rc = worker_open_db(w, &e);
    if (rc == 0)
        return true;
    w->end.synced = true;
    if (rc != ERR_NOT_FOUND) {
        w->end.failed = true;
        w->end.err = e;
        log_error("final sync failed", LF_ERR(&e));
    }
    return false;
}

/* Another database came to the place at the last moment: it is captured as well, once. */
static void
open_again(struct worker *w)
{
    struct err e;
    int rc;

    w->end.reopened = true;
    log_warn("database or wal file was replaced, opening it again",
        LF_STR("path", w->start->db->path));
    worker_close_db(w);
    rc = worker_open_db(w, &e);
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        w->end.synced = rc != 0; /* nothing came to the place of what is gone */
        return;
    }
    w->end.failed = w->end.synced = true;
    w->end.err = e;
    log_error("final sync failed", LF_ERR(&e));
}

void
worker_stop_captured(struct worker *w, const struct engine_report *rep)
{
    if (rep->replaced && !w->end.reopened) {
        open_again(w);
        return;
    }
    w->end.synced = !rep->more && rep->again_ms == 0;
    if (!w->end.synced)
        w->again_at = mono_add_ms(mono_now(), rep->again_ms);
}

static bool
all_in_sync(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL && !replica_in_sync(w->replicas[i]))
            return false;
    return true;
}

/* Those that are behind will stay so, whatever is tried. */
static bool
all_stopped(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL && !replica_in_sync(w->replicas[i]) &&
            !replica_is_stopped(w->replicas[i]))
            return false;
    return true;
}

static const struct err *
first_error(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL && !replica_in_sync(w->replicas[i]) &&
            replica_error(w->replicas[i]) != NULL)
            return replica_error(w->replicas[i]);
    return NULL;
}

static void
push_all(struct worker *w)
{
    struct worker_end *end = &w->end;

    end->next_push = mono_add_ms(mono_now(), w->start->shutdown_interval_ms);
    end->attempts++;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        struct replica *r = w->replicas[i];

        if (r == NULL || replica_in_sync(r))
            continue;
        if (!end->uploading)
            end->attempts_before[i] = replica_attempts(r);
        replica_push(r);
    }
    end->uploading = true;
}

/* Every destination that is behind has failed once since the uploads began. */
static bool
all_tried(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct replica *r = w->replicas[i];

        if (r != NULL && !replica_in_sync(r) &&
            (replica_error(r) == NULL ||
                replica_attempts(r) == w->end.attempts_before[i]))
            return false;
    }
    return true;
}

/* --- the final look -------------------------------------------------------------------
 */

static void
final_sync_failed(struct worker *w, const struct err *e)
{
    w->end.failed = true;
    w->end.err = *e;
    w->end.synced = true;
    log_error("final sync failed", LF_ERR(e));
}

/*
 * Without a local position the next file cannot be named before a replica has told what
 * it holds. True when the wait for it is over: it has told, or nothing can be captured.
 */
static bool
may_name(struct worker *w)
{
    struct worker_end *end = &w->end;
    const struct err *why;
    struct err e;

    if (engine_can_name(w->eng))
        return true;
    if (mono_reached(end->deadline) ||
        (end->one_attempt && end->uploading && all_tried(w))) {
        why = first_error(w);
        if (why == NULL) {
            err_set(&e, ERR_TIMEOUT, "no replica has told what it holds");
            why = &e;
        }
        final_sync_failed(w, why);
        return true;
    }
    if (!end->uploading || (!end->one_attempt && mono_reached(end->next_push)))
        push_all(w);
    return false;
}

/*
 * A replica that tells only now what it holds may be ahead: then what is there locally
 * does not count, and the final look starts anew.
 */
static void
follow_replica(struct worker *w)
{
    struct err e;

    if (w->rebase_to == 0 || w->end.failed || w->end.skip || !engine_is_open(w->eng))
        return;
    if (worker_rebase(w, &e) == 0)
        w->end.synced = false;
    else
        final_sync_failed(w, &e);
}

/*
 * One step of the final look; true when everything that was committed before the stop is
 * captured (or cannot be). What the application writes meanwhile is not waited for.
 */
static bool
capture(struct worker *w)
{
    struct engine_report rep;
    struct err e;

    if (w->end.synced || !open_once(w))
        return true;
    if (!may_name(w) || (w->again_at.ns != 0 && !mono_reached(w->again_at)))
        return false;
    if (w->end.synced)
        return true;
    w->again_at = (struct mono){ 0 };
    w->sync_started = mono_now();
    w->view.sync_count++;
    /* What was asked of the replicas so far was their position. */
    w->end.uploading = false;
    w->end.attempts = 0;
    switch (engine_sync(w->eng, false, true, &rep, &e)) {
    case ENGINE_JOB:
        w->end.job = true;
        return false;
    case ENGINE_FAILED:
        final_sync_failed(w, &e);
        return true;
    case ENGINE_DONE:
        break;
    }
    worker_took_report(w, &rep);
    worker_stop_captured(w, &rep);
    return w->end.synced;
}

/* --- the uploads ----------------------------------------------------------------------
 */

static void
give_up(struct worker *w, const char *msg, enum log_level level)
{
    struct worker_end *end = &w->end;
    const struct err *why = first_error(w);

    end->failed = true;
    if (why != NULL)
        end->err = *why;
    else
        err_set(&end->err, ERR_TIMEOUT, "the last changes did not reach every replica");
    LOG_AT(level, msg, LF_UINT("attempts", end->attempts),
        LF_MS("duration", mono_since_ms(end->started)), LF_ERR(&end->err));
}

/* True when the uploads have come to an end, good or bad. */
static bool
upload(struct worker *w)
{
    struct worker_end *end = &w->end;

    if (end->failed && w->rebase_to != 0)
        return true; /* nothing of what is there locally may go up */
    if (all_in_sync(w)) {
        if (end->attempts > 1)
            log_info("shutdown sync succeeded after retry",
                LF_UINT("attempts", end->attempts),
                LF_MS("duration", mono_since_ms(end->started)));
        return true;
    }
    if (end->skip) {
        give_up(w,
            end->uploading ? "shutdown sync interrupted by signal"
                           : "shutdown sync skipped, interrupted by signal",
            LOG_WARN);
        return true;
    }
    if (all_stopped(w)) {
        give_up(w, "shutdown sync failed, replica stopped", LOG_ERROR);
        return true;
    }
    if (mono_reached(end->deadline) ||
        (end->one_attempt && end->uploading && all_tried(w))) {
        give_up(w, "shutdown sync failed after timeout", LOG_ERROR);
        return true;
    }
    if (!end->uploading) {
        push_all(w);
    } else if (!end->one_attempt && mono_reached(end->next_push)) {
        const struct err *why = first_error(w);

        if (why != NULL)
            log_warn("shutdown sync failed, retrying (press Ctrl+C again to skip)",
                LF_UINT("attempts", end->attempts), LF_ERR(why),
                LF_MS("elapsed", mono_since_ms(end->started)),
                LF_MS("remaining", (int64_t)mono_wait_ms(end->deadline)));
        push_all(w);
    }
    return false;
}

/* --- closing --------------------------------------------------------------------------
 */

static void
on_timer_closed(uv_handle_t *h)
{
    (void)h;
}

static void
close_link(uv_timer_t *h)
{
    struct worker *w = h->data;

    if (w->link != NULL && !link_flushed(w->link) && mono_since_ms(w->end.started) >= 0 &&
        !mono_reached(w->end.deadline))
        return; /* again at the next tick */
    uv_timer_stop(h);
    link_close(w->link);
    w->link = NULL;
    uv_close((uv_handle_t *)h, on_timer_closed);
}

static void
on_replica_closed(void *arg)
{
    struct worker *w = arg;

    must(w->n_open_replicas > 0);
    if (--w->n_open_replicas > 0)
        return;
    if (w->end.answer)
        worker_answer(w, w->end.request, w->end.failed ? &w->end.err : NULL);
    w->timer.data = w;
    w->end.deadline = mono_add_ms(mono_now(), FLUSH_MS);
    uv_timer_start(&w->timer, close_link, 0, 5);
}

static void
finish(struct worker *w)
{
    struct err e;

    w->end.closing = true;
    err_set(&e, ERR_CANCELLED, "the worker is stopping");
    worker_fail_requests(w, w->end.failed ? &w->end.err : &e);
    worker_close_compactors(w);
    worker_close_db(w);
    uv_timer_stop(&w->timer);
    uv_close((uv_handle_t *)&w->now, NULL);
    w->n_open_replicas++; /* ours: the end is reached once, after the last of them */
    for (unsigned i = 0; i < w->n_replicas; i++) {
        struct replica *r = w->replicas[i];

        if (r != NULL)
            replica_close(r, on_replica_closed, w);
        w->replicas[i] = NULL;
    }
    on_replica_closed(w);
}

void
worker_stop_run(struct worker *w)
{
    if (w->end.closing || engine_busy(w->eng))
        return;
    if (!w->end.synced && w->end.skip) {
        w->end.synced = true;
        w->end.failed = true;
        err_set(&w->end.err, ERR_CANCELLED, "final sync skipped");
    }
    follow_replica(w);
    if (!capture(w))
        return;
    if (upload(w) && !worker_compacts(w))
        finish(w);
}

int64_t
worker_stop_due_ms(const struct worker *w)
{
    const struct worker_end *end = &w->end;
    int64_t due = -1;

    if (!end->synced && (!end->opened || engine_can_name(w->eng)))
        return engine_busy(w->eng)   ? -1
               : w->again_at.ns == 0 ? 0
                                     : (int64_t)mono_wait_ms(w->again_at);
    if (end->uploading && !end->one_attempt)
        due = (int64_t)mono_wait_ms(end->next_push);
    if (end->deadline.ns != 0 && (due < 0 || (int64_t)mono_wait_ms(end->deadline) < due))
        due = (int64_t)mono_wait_ms(end->deadline);
    return due;
}
