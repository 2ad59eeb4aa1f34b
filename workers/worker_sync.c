#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/wall.h"
#include "workers/replica/verify.h"
#include "workers/worker_impl.h"

/* Looks that find nothing are spaced out: a long transaction writes frames for a while.
 */
#define LOOK_FIRST_MS 2
#define LOOK_MAX_MS 100

#define WAITING_LOOK_MS 50

/* --- requests -------------------------------------------------------------------------
 */

static uint64_t
replicated_txid(const struct worker *w)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < w->n_replicas; i++) {
        uint64_t txid = w->replicas[i] != NULL ? replica_txid(w->replicas[i]) : 0;

        if (txid < lowest)
            lowest = txid;
    }
    return lowest == UINT64_MAX ? 0 : lowest;
}

void
worker_fill_done(struct worker *w, struct msg_done *done, const struct err *e)
{
    done->txid = engine_txid(w->eng);
    done->replicated_txid = replicated_txid(w);
    if (e == NULL)
        return;
    done->code = (int32_t)e->code;
    snprintf(done->text, sizeof(done->text), "%.*s", MSG_TEXT_MAX - 1, e->text);
}

void
worker_answer(struct worker *w, uint16_t request, const struct err *e)
{
    struct msg m = { .head = { .id = MSG_DONE, .request = request } };

    if (request == ONCE_REQUEST)
        worker_once_synced(w, e);
    else if (request == ASK_REQUEST)
        worker_ask_synced(w, e);
    if (request >= ASK_REQUEST || w->link == NULL)
        return;
    worker_fill_done(w, &m.u.done, e);
    link_send(w->link, &m);
}

static void
drop_request(struct worker *w, unsigned i)
{
    w->requests[i] = w->requests[--w->n_requests];
}

void
worker_fail_requests(struct worker *w, const struct err *e)
{
    while (w->n_requests > 0) {
        worker_answer(w, w->requests[0].id, e);
        drop_request(w, 0);
    }
}

void
worker_add_request(struct worker *w, const struct msg *m)
{
    struct err e;

    if (w->n_requests == WORKER_MAX_REQUESTS) {
        err_set(&e, ERR_LIMIT, "too many requests are waiting");
        worker_answer(w, m->head.request, &e);
        return;
    }
    w->requests[w->n_requests++] =
        (struct sync_request){ .id = m->head.request, .wait = m->u.sync.wait != 0 };
    w->again_at = mono_now();
    w->retry_at = (struct mono){ 0 };
}

static void
push_replicas(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL)
            replica_push(w->replicas[i]);
}

/* A look found everything captured: the local half of the requests is done. */
static void
requests_captured(struct worker *w)
{
    bool wait = false;

    for (unsigned i = 0; i < w->n_requests; i++) {
        struct sync_request *r = &w->requests[i];

        if (r->local_done)
            continue;
        r->local_done = true;
        r->txid = engine_txid(w->eng);
        wait = wait || r->wait;
    }
    if (wait)
        push_replicas(w);
}

/* The first replica that keeps a waiting request from its answer; an error ends the wait.
 */
static bool
uploaded(const struct worker *w, uint64_t txid, const struct err **why)
{
    bool all = true;

    *why = NULL;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct replica *r = w->replicas[i];

        if (replica_known(r) && replica_txid(r) >= txid && replica_error(r) == NULL)
            continue;
        all = false;
        if (replica_error(r) != NULL)
            *why = replica_error(r);
    }
    return all;
}

static void
answer_requests(struct worker *w)
{
    for (unsigned i = 0; i < w->n_requests;) {
        struct sync_request *r = &w->requests[i];
        const struct err *why = NULL;

        if (r->local_done && (!r->wait || uploaded(w, r->txid, &why) || why != NULL)) {
            worker_answer(w, r->id, why);
            drop_request(w, i);
        } else {
            i++;
        }
    }
}

/* --- replicas -------------------------------------------------------------------------
 */

/*
 * A destination told its position for the first time. What it holds beyond the position
 * this life started from was written by somebody else: the first one decides that the
 * local files are behind, together with those that tell theirs before this is acted upon;
 * one that comes later with another history is stopped, not followed.
 */
static void
see_replica(struct worker *w, unsigned i)
{
    struct replica *r = w->replicas[i];
    uint64_t found = replica_found_txid(r);
    bool first = true;
    bool other = found > engine_start_txid(w->eng) || replica_is_foreign(r);
    struct err e;

    for (unsigned k = 0; k < w->n_replicas; k++)
        if (k != i && w->replica_seen[k])
            first = false;
    w->replica_seen[i] = true;
    if (replica_is_foreign(r) && found < engine_txid(w->eng))
        found = engine_txid(w->eng); /* no TXID of either line may be used again */
    if (other && (first || w->rebase_to != 0)) {
        /* What is there locally belongs to another line: nothing of it may go up. */
        for (unsigned k = 0; k < w->n_replicas; k++)
            replica_hold(w->replicas[k], NULL);
        if (found > w->rebase_to)
            w->rebase_to = found;
    } else if (other) {
        err_set(&e, ERR_CONFLICT,
            "the replica holds transactions up to %016llx of another history",
            (unsigned long long)found);
        err_hint(&e, "use another path for this replica, or empty it");
        replica_hold(r, &e);
        return;
    }
    engine_set_floor(w->eng, found);
    w->again_at = mono_now();
}

void
worker_on_replica(void *arg, struct replica *r)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < w->n_replicas; i++) {
        if (w->replicas[i] != r)
            continue;
        if (replica_known(r) && !w->replica_seen[i])
            see_replica(w, i);
        worker_note_position(w, i);
        worker_see_loss(w, i);
    }
    worker_kick(w);
}

static void
set_targets(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        replica_set_target(w->replicas[i], engine_txid(w->eng));
}

int
worker_rebase(struct worker *w, struct err *e)
{
    uint64_t to = w->rebase_to;
    int rc;

    if (to == 0)
        return 0;
    log_info("detected database behind replica", LF_TXID("db_txid", engine_txid(w->eng)),
        LF_TXID("replica_txid", to));
    rc = engine_rebase(w->eng, to, e);
    if (rc != 0)
        return rc;
    w->rebase_to = 0;
    w->recover_wanted = false; /* what was damaged is gone as well */
    w->again_at = mono_now();
    for (unsigned i = 0; i < w->n_replicas; i++)
        replica_release(w->replicas[i], to);
    return 0;
}

/*
 * One destination is ahead: how far the others are is asked first, for the next file has
 * to come behind all of them. One that cannot be asked is not waited for.
 */
static bool
rebase_waits(const struct worker *w)
{
    for (unsigned i = 0; w->rebase_to != 0 && i < w->n_replicas; i++)
        if (!replica_known(w->replicas[i]) && replica_error(w->replicas[i]) == NULL)
            return true;
    return false;
}

static bool
rebase(struct worker *w)
{
    struct err e;

    if (rebase_waits(w))
        return false; /* its answer tells */
    if (worker_rebase(w, &e) == 0)
        return true;
    worker_sync_failed(w, &e);
    return false;
}

/* --- results of a sync ----------------------------------------------------------------
 */

static void
log_report(struct worker *w, const struct engine_report *rep)
{
    if (rep->image && rep->txid != 1)
        log_info("full image written", LF_TXID("txid", rep->txid),
            LF_INT("size", rep->size), LF_STR("reason", rep->reason));
    else
        log_debug("sync", LF_TXID("txid", rep->txid),
            LF_INT("offset", engine_wal_offset(w->eng)), LF_INT("size", rep->size),
            LF_BOOL("snap", rep->image));
}

void
worker_took_report(struct worker *w, const struct engine_report *rep)
{
    if (!rep->wrote)
        return;
    w->view.total_wal_bytes += (uint64_t)rep->wal_bytes;
    w->view.image_count += rep->image ? 1 : 0;
    log_report(w, rep);
    worker_note_backlog(w, rep->size);
    for (unsigned i = 0; rep->size > VERIFY_INLINE_BYTES && i < w->n_replicas; i++)
        if (w->replicas[i] != NULL)
            replica_trust(w->replicas[i], rep->txid);
    if (rep->image)
        worker_recovered(w);
    for (unsigned i = 0; rep->resized && i < w->n_replicas; i++)
        if (w->compactors[i] != NULL)
            compactor_page_size_changed(w->compactors[i]);
    set_targets(w);
}

static void
sync_succeeded(struct worker *w)
{
    uint32_t n = retry_succeeded(&w->retry);

    w->retry_at = (struct mono){ 0 };
    w->view.sync_errors_in_row = 0;
    w->view.disk_full = 0;
    w->view.last_sync_ms = (uint64_t)wall_to_ms(wall_now());
    worker_show_error(w, NULL);
    if (n > 0)
        log_info("sync recovered", LF_UINT("previous_errors", n));
}

/* Nothing was found: the interval is not used up, but the next look waits a little. */
static void
found_nothing(struct worker *w)
{
    w->pacer.last = w->last_round;
    w->look_wait_ms = w->look_wait_ms == 0 ? LOOK_FIRST_MS : w->look_wait_ms * 2;
    if (w->look_wait_ms > LOOK_MAX_MS)
        w->look_wait_ms = LOOK_MAX_MS;
    w->look_from = mono_add_ms(mono_now(), w->look_wait_ms);
}

/* The database or its WAL is another file now. A snapshot that is under way reads it. */
static void
reopen(struct worker *w)
{
    w->reopen_wanted = true;
    if (worker_snapshot_reads_db(w)) {
        worker_stop_compacting(w);
        return;
    }
    w->reopen_wanted = false;
    worker_resume_compacting(w);
    log_warn("database or wal file was replaced, opening it again",
        LF_STR("path", w->start->db->path));
    worker_drop_tails(w);
    worker_close_db(w);
    worker_set_state(w, WS_STARTING);
    worker_kick(w);
}

static void
send_ready(struct worker *w)
{
    struct msg m = { .head.id = MSG_READY, .u.ready.txid = engine_txid(w->eng) };

    if (w->ready_sent || w->link == NULL || engine_txid(w->eng) == 0)
        return;
    w->ready_sent = true;
    link_send(w->link, &m);
}

static void
took_sync(struct worker *w, const struct engine_report *rep)
{
    bool safety = w->safety_look;

    w->safety_look = false;
    w->view.sync_ns += (uint64_t)mono_since_ns(w->sync_started);
    sync_succeeded(w);
    worker_took_report(w, rep);
    if (rep->wrote) {
        w->look_wait_ms = 0;
        w->look_from = (struct mono){ 0 };
        if (safety && w->tail != NULL)
            tail_missed(w->tail);
    } else {
        found_nothing(w);
    }
    if (w->state != WS_RUNNING)
        return;
    if (rep->replaced) {
        reopen(w);
    } else if (rep->more || rep->again_ms > 0) {
        w->again_at = mono_add_ms(mono_now(), rep->again_ms);
    } else {
        if (rep->peek_ms > 0)
            w->again_at = mono_add_ms(mono_now(), rep->peek_ms);
        requests_captured(w);
        send_ready(w);
    }
}

void
worker_on_engine_done(void *arg, const struct engine_report *report, const struct err *e)
{
    struct worker *w = arg;

    worker_set_phase(w, PHASE_IDLE);
    if (e == NULL) {
        took_sync(w, report);
        if (w->end.job)
            worker_stop_captured(w, report);
    } else if (w->end.asked) {
        w->end.failed = true;
        w->end.err = *e;
        w->end.synced = true;
        if (e->code != ERR_CANCELLED)
            log_error("final sync failed", LF_ERR(e));
    } else {
        worker_sync_failed(w, e);
    }
    worker_kick(w);
}

/* --- what is due ----------------------------------------------------------------------
 */

static int64_t
until(struct mono t)
{
    return t.ns == 0 ? -1 : (int64_t)mono_wait_ms(t);
}

/* Until the next look; 0: now, -1: not by time. */
static int64_t
look_due_ms(const struct worker *w)
{
    int64_t due = pacer_due_ms(&w->pacer, mono_now());
    int64_t from = until(w->look_from), again = until(w->again_at);

    if (due >= 0 && from > due)
        due = from;
    if (again >= 0 && (due < 0 || again < due))
        due = again;
    return due;
}

int64_t
worker_due_ms(const struct worker *w)
{
    int64_t due, check;

    if (w->reopen_wanted)
        return -1; /* the end of the snapshot tells */
    if (w->retry_at.ns != 0)
        return until(w->retry_at);
    if (rebase_waits(w) || (!engine_can_name(w->eng) && w->rebase_to == 0))
        return -1; /* a replica will tell */
    if (w->recover_wanted)
        return 0;
    due = look_due_ms(w);
    check = worker_may_checkpoint(w) ? engine_checkpoint_wait_ms(w->eng) : -1;
    if (check >= 0 && (due < 0 || check < due))
        due = check;
    return due;
}

static void
look(struct worker *w)
{
    struct engine_report rep;
    struct err e;

    w->last_round = w->pacer.last;
    pacer_start(&w->pacer, mono_now());
    w->again_at = (struct mono){ 0 };
    w->sync_started = mono_now();
    w->untidy = true;
    w->view.sync_count++;
    worker_set_phase(w, PHASE_LOOKING);
    switch (engine_sync(w->eng, true, true, &rep, &e)) {
    case ENGINE_JOB:
        worker_set_phase(w, PHASE_WRITING_IMAGE);
        return;
    case ENGINE_FAILED:
        worker_sync_failed(w, &e);
        break;
    case ENGINE_DONE:
        took_sync(w, &rep);
        break;
    }
    w->view.phase = PHASE_IDLE;
}

/*
 * Without a local position the next file cannot be named before a replica has told what
 * it holds: nothing is captured until then. A replica that cannot be asked ends the
 * requests.
 */
static bool
can_name(struct worker *w)
{
    if (engine_can_name(w->eng))
        return true;
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (replica_error(w->replicas[i]) != NULL)
            worker_fail_requests(w, replica_error(w->replicas[i]));
    return false;
}

/* Arm, look once whether something came in between, then sleep. */
static void
check_after_arming(struct worker *w)
{
    if (engine_has_news(w->eng)) {
        pacer_touch(&w->pacer);
        tail_disarm(w->tail);
    }
}

/*
 * An upload is about to start because its time has come: what was committed since the
 * last look goes with it, unless that was only just now.
 */
void
worker_on_round(void *arg)
{
    struct worker *w = arg;
    int64_t interval_ns = w->start->db->monitor_interval_ns;

    if (w->state == WS_RUNNING && !engine_busy(w->eng) && w->retry_at.ns == 0 &&
        w->rebase_to == 0 && engine_can_name(w->eng) && w->pacer.dirty &&
        mono_since_ns(w->pacer.last) >= interval_ns / 2)
        look(w);
    worker_kick(w);
}

void
worker_run(struct worker *w)
{
    if (w->reopen_wanted) {
        reopen(w);
        return;
    }
    if (w->retry_at.ns != 0 && !mono_reached(w->retry_at))
        return;
    w->retry_at = (struct mono){ 0 };
    if (w->view.disk_full != 0 && w->again_at.ns == 0)
        w->again_at = mono_now(); /* whether there is room again */
    if (!rebase(w) || !worker_recover(w) || !can_name(w))
        return;
    if (look_due_ms(w) == 0)
        look(w);
    if (w->state != WS_RUNNING || engine_busy(w->eng) || w->retry_at.ns != 0)
        return;
    if (w->again_at.ns == 0 && worker_may_checkpoint(w) && engine_checkpoint_due(w->eng))
        worker_checkpoint_run(w);
    answer_requests(w);
    if (!w->pacer.dirty && w->again_at.ns == 0 && tail_arm(w->tail))
        check_after_arming(w);
}

/* It was quiet for a while: what the last work left behind is not needed soon. */
static void
give_memory_back(struct worker *w)
{
    if (w->untidy)
        mem_trim();
    w->untidy = false;
}

void
worker_on_tail(void *arg, enum tail_event event)
{
    struct worker *w = arg;

    if (w->state == WS_WAITING) {
        /* any change of the folder wakes us: look now and then only */
        w->again_at = mono_add_ms(mono_now(), WAITING_LOOK_MS);
    } else if (w->state == WS_RUNNING) {
        switch (event) {
        case TAIL_CHANGED:
            if (engine_busy(w->eng) || engine_has_news(w->eng))
                pacer_touch(&w->pacer);
            break;
        case TAIL_ARMED:
            check_after_arming(w);
            break;
        case TAIL_SAFETY:
            w->view.sync_count++;
            if (!engine_has_news(w->eng)) {
                give_memory_back(w);
                break;
            }
            w->safety_look = true;
            pacer_touch(&w->pacer);
            break;
        }
    }
    worker_kick(w);
}
