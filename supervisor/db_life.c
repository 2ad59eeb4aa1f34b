/*
 * The process of an entry: started, watched for, reaped, started again, stopped.
 */
#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/log_file.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "supervisor/db_table_impl.h"
#include "supervisor/restore_first.h"
#include "supervisor/spawn.h"

static int
compare_pids(const void *a, const void *b)
{
    const struct db_entry *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* A stop may be over: what follows comes from the loop. */
static void
check_over(struct db_entry *d)
{
    if (d->stopping && d->pid == 0 && d->link == NULL)
        db_enqueue(d);
    db_settle(d);
}

/* The last changes did not get through, or nobody knows. */
static void
stop_failed(struct db_entry *d, enum err_code code, const char *why)
{
    if (!d->behind)
        d->table->n_failed++;
    d->behind = true;
    err_set(&d->farewell.err, code, "%s", why);
}

/* --- words of the worker --------------------------------------------------------------
 */

static void
send_wal_event(struct db_entry *d, bool armed, bool failed)
{
    struct msg m = { .head.id = MSG_WAL_EVENT,
        .u.wal_event = { .armed = armed, .failed = failed } };

    if (d->link != NULL)
        link_send(d->link, &m);
}

static void
on_watch_fired(struct hub_watch *w)
{
    send_wal_event(container_of(w, struct db_entry, watch), false, false);
}

static void
set_watch(struct db_entry *d, bool arm)
{
    char *wal;
    bool good;

    if (!arm) {
        hub_disarm(&d->watch);
        return;
    }
    wal = mem_printf("%s-wal", d->path.text);
    good = hub_arm(&d->watch, d->table->opt.loop, wal, on_watch_fired);
    mem_free(wal);
    send_wal_event(d, good, !good);
}

static void
take_farewell(struct db_entry *d, const struct msg_done *done)
{
    d->answered = true;
    d->farewell.txid = done->txid;
    d->farewell.replicated_txid = done->replicated_txid;
    if (done->code == 0)
        return;
    log_error("failed to close database", LF_STR("path", d->path.text),
        LF_STR("error", done->text));
    stop_failed(d, (enum err_code)done->code, done->text);
}

static void
on_message(void *arg, const struct msg *m)
{
    struct db_entry *d = arg;

    switch (m->head.id) {
    case MSG_READY:
        d->ready = true;
        restart_policy_ready(&d->policy);
        log_debug("worker is ready", LF_STR("path", d->path.text),
            LF_TXID("txid", m->u.ready.txid));
        db_tell(d, DB_EVENT_READY);
        break;
    case MSG_DONE:
        if (m->head.request != STOP_REQUEST)
            db_ask_answer(d, m);
        else if (d->stopping)
            take_farewell(d, &m->u.done);
        break;
    case MSG_WATCH:
        set_watch(d, m->u.watch.arm != 0);
        break;
    default:
        break;
    }
}

static void
drop_link(struct db_entry *d)
{
    link_close(d->link);
    d->link = NULL;
}

/*
 * A worker that failed says so in its answer to STOP. One that could not is known when it
 * has ended and all that it said was read, in whichever order.
 */
static void
count_silent_failure(struct db_entry *d)
{
    if (d->pid != 0 || d->link != NULL || !d->failed || d->answered)
        return;
    d->failed = false;
    log_error("worker ended without saying why", LF_STR("path", d->path.text));
    stop_failed(d, ERR_IO, "worker ended without saying why");
}

static void
on_channel_end(void *arg, const struct err *e)
{
    struct db_entry *d = arg;

    if (e != NULL) {
        log_error("channel to worker failed", LF_STR("path", d->path.text), LF_ERR(e));
        if (d->pid > 0)
            kill(d->pid, SIGKILL); /* what it says cannot be understood */
    }
    drop_link(d);
    count_silent_failure(d);
    check_over(d);
}

/* --- starts ---------------------------------------------------------------------------
 */

struct db_start {
    struct db_entry *entry;
    struct spawn spawn;
    int failed; /* an error class; 0: pid and channel are there */
    struct err err;
    pid_t pid;
    int channel;
};

static void on_restart_due(uv_timer_t *h);

static void
start_again_later(struct db_entry *d, int64_t delay_ms)
{
    uv_timer_start(&d->restart, on_restart_due, (uint64_t)delay_ms, 0);
}

static void
announce(struct db_entry *d)
{
    const struct cfg_db *db = d->now.db;

    if (d->announced)
        return;
    d->announced = true;
    log_info("initialized db", LF_STR("path", db->path));
    for (size_t i = 0; i < db->n_replicas; i++) {
        const struct cfg_replica *r = &db->replicas[i];

        log_info("replicating to", LF_STR("type", cfg_replica_type_name(r->type)),
            LF_NS("sync-interval", r->sync_interval_ns), LF_STR("path", r->path));
    }
}

static void
take_own_watch(struct db_entry *d)
{
    if (d->own_watch || d->table->own_left == 0)
        return;
    d->own_watch = true;
    d->table->own_left--;
}

static void
describe_start(struct db_entry *d, struct spawn *s)
{
    const struct config *c = cfg_share_config(d->now.share);
    const struct db_table_options *o = &d->table->opt;
    struct slot_data fresh;

    take_own_watch(d);
    *s = (struct spawn){ .start = { .config = c,
                             .db = d->now.db,
                             .slot = d->slot,
                             .incarnation = ++d->incarnation,
                             .own_watch = d->own_watch,
                             .shutdown_timeout_ms = c->shutdown_sync_timeout_ns / 1000000,
                             .shutdown_interval_ms =
                                 c->shutdown_sync_interval_ns / 1000000,
                             .once = { .wanted = o->once,
                                 .snapshot = o->force_snapshot,
                                 .retention = o->enforce_retention } } };
    fresh = (struct slot_data){ .incarnation = d->incarnation, .state = WS_STARTING };
    slot_write(d->slot, &fresh);
    d->ready = false;
}

/* Its worker is there: what it says is listened to. */
static int
take_worker(struct db_entry *d, const struct db_start *s, struct err *e)
{
    struct db_table *t = d->table;
    struct link_options options = { .loop = t->opt.loop,
        .fd = s->channel,
        .from = MSG_FROM_WORKER,
        .incarnation = d->incarnation,
        .message = on_message,
        .ended = on_channel_end,
        .arg = d };

    d->pid = s->pid;
    if (d->behind) /* what is missing is up to this life */
        t->n_failed--;
    d->behind = false;
    d->started = mono_now();
    d->started_at = wall_now();
    t->n_alive++;
    must(tsearch(d, &t->by_pid, compare_pids) != NULL);
    return link_open(&options, &d->link, e);
}

/* When the system has no room for a process now, it is tried again like after a death. */
static void
tell_of_start(const struct db_start *s)
{
    struct db_entry *d = s->entry;
    bool failed_now;

    if (s->failed == 0) {
        db_settle(d);
        db_ask_send_starts(d);
        db_tell(d, DB_EVENT_STARTED);
        return;
    }
    log_error("cannot start worker", LF_STR("path", d->path.text), LF_ERR(&s->err));
    if (d->pid > 0)
        kill(d->pid, SIGKILL); /* without a channel it is of no use; reaped as a death */
    else
        start_again_later(d, restart_policy_died(&d->policy, 0, false, &failed_now));
    db_settle(d);
    db_ask_fail(d, 1u << ASK_START, &s->err);
}

/*
 * The forks come in a row, with nothing between them: a page that we write to between two
 * forks is copied, and the older of the two workers keeps the copy for as long as it
 * lives.
 */
static void
start_these(struct db_start *starts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        announce(starts[i].entry);
        describe_start(starts[i].entry, &starts[i].spawn);
    }
    mem_seal();
    for (size_t i = 0; i < n; i++) {
        struct db_start *s = &starts[i];

        s->failed = spawn_worker(&s->spawn, &s->pid, &s->channel, &s->err);
    }
    mem_unseal();
    for (size_t i = 0; i < n; i++) {
        struct db_start *s = &starts[i];

        s->entry->starting = false;
        if (s->failed == 0)
            s->failed = take_worker(s->entry, s, &s->err);
    }
    for (size_t i = 0; i < n; i++) /* others may ask for more starts and stops now */
        tell_of_start(&starts[i]);
}

void
db_start_all(struct db_table *t)
{
    struct db_start *starts;
    size_t n = t->n_starts;

    if (n == 0)
        return;
    starts = mem_new_array(n, sizeof(*starts));
    for (size_t i = 0; i < n; i++)
        starts[i].entry = t->starts[i];
    t->n_starts = 0;
    start_these(starts, n);
    mem_free(starts);
}

/* At the next db_start_all(). */
static void
start_with_others(struct db_entry *d)
{
    struct db_table *t = d->table;

    if (d->starting)
        return;
    if (t->n_starts == DB_START_BATCH)
        db_start_all(t);
    d->starting = true;
    t->starts[t->n_starts++] = d;
}

/* With those that were to be started anyway. */
static void
start_now(struct db_entry *d)
{
    start_with_others(d);
    db_start_all(d->table);
}

/*
 * A database that was added and is missing is restored before its worker starts. False:
 * nothing of the kind.
 */
static bool
try_restore(struct db_entry *d)
{
    struct err e;

    if (!d->restore || !restore_first_wanted(d->now.db)) {
        d->restore = false;
        return false;
    }
    if (spawn_task(d->now.db, restore_first_task, &d->pid, &e) != 0) {
        d->pid = 0;
        log_error("cannot start restore", LF_STR("path", d->path.text), LF_ERR(&e));
        start_again_later(d, RESTART_MAX_MS);
        return true;
    }
    d->restoring = true;
    d->table->n_alive++;
    must(tsearch(d, &d->table->by_pid, compare_pids) != NULL);
    return true;
}

static void
start(struct db_entry *d)
{
    if (!try_restore(d))
        start_with_others(d);
    db_settle(d);
}

/* It has said what went wrong. Nothing may be replicated in place of what is on the
 * replica: it is tried again. */
static void
restore_ended(struct db_entry *d, int status)
{
    struct err e;

    d->restoring = false;
    if (d->stopping) {
        check_over(d);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        d->restore = false;
        db_enqueue(d);
        return;
    }
    start_again_later(d, RESTART_MAX_MS);
    db_settle(d);
    err_set(&e, ERR_IO, "restore failed: %s", d->path.text);
    db_ask_fail(d, 1u << ASK_START, &e);
}

static void
on_restart_due(uv_timer_t *h)
{
    struct db_entry *d = container_of(h, struct db_entry, restart);

    if (d->wanted && !d->stopping && d->pid == 0)
        start(d);
    db_start_all(d->table);
    db_settle(d);
}

void
db_work(struct db_entry *d)
{
    db_ask_answer_due(d);
    if (d->stopping && d->pid == 0 && d->link == NULL)
        db_stopped(d); /* it may be gone now */
    else if (d->wanted && !d->stopping && d->pid == 0 && !d->table->ending &&
             !uv_is_active((uv_handle_t *)&d->restart))
        start(d);
    else
        db_settle(d);
}

/* --- stops ----------------------------------------------------------------------------
 */

static void
send_stop(struct db_entry *d, bool skip)
{
    int64_t limit_ns = cfg_share_config(d->now.share)->shutdown_sync_timeout_ns;
    int64_t limit_ms = limit_ns > 0 ? (limit_ns + 999999) / 1000000 : 0;
    struct msg m = { .head = { .id = MSG_STOP, .request = STOP_REQUEST },
        .u.stop = { .timeout_ms = limit_ms, .skip = skip } };

    if (d->stop_timeout_ms > 0 && (limit_ms == 0 || d->stop_timeout_ms < limit_ms))
        m.u.stop.timeout_ms = d->stop_timeout_ms;
    if (d->link != NULL)
        link_send(d->link, &m);
}

/* It was to be restored first: there is nothing that could be lost. */
static bool
is_missing(const struct db_entry *d)
{
    return d->restore && access(d->path.text, F_OK) != 0;
}

/*
 * A worker that waits to be started (again) starts now: what its database holds has not
 * been captured, and nobody else will do it.
 */
void
db_begin_stop(struct db_entry *d, int64_t timeout_ms, bool skip)
{
    bool waits = d->wanted && !d->table->opt.once && d->pid == 0 && !is_missing(d) &&
                 (d->queued || uv_is_active((uv_handle_t *)&d->restart));

    if (d->starting)
        db_start_all(d->table);
    if (d->stopping) {
        if (skip && d->pid > 0)
            send_stop(d, true);
        return;
    }
    uv_timer_stop(&d->restart);
    d->stopping = true;
    d->stop_timeout_ms = timeout_ms;
    d->farewell = (struct db_answer){ .err = ERR_NONE };
    if (waits && !skip) {
        start_now(d);
        uv_timer_stop(&d->restart);
        if (d->pid == 0)
            stop_failed(d, ERR_LIMIT, "no worker could be started for the final sync");
    }
    if (d->restoring)
        kill(d->pid, SIGTERM); /* there is no database that could have changed */
    else if (d->pid > 0)
        send_stop(d, skip);
    check_over(d);
}

void
db_table_end(struct db_table *t, bool skip)
{
    struct db_entry *next;

    t->ending = true;
    t->skip = t->skip || skip;
    for (struct db_entry *d = t->first; d != NULL; d = next) {
        next = d->next;
        if (db_is_active(d))
            db_begin_stop(d, 0, t->skip);
    }
    db_tell_idle(t); /* there may be none */
}

void
db_table_kill(struct db_table *t)
{
    for (struct db_entry *d = t->first; d != NULL; d = d->next)
        if (d->pid > 0) {
            log_error("worker did not end, killing it", LF_STR("path", d->path.text));
            kill(d->pid, SIGKILL);
        }
}

void
db_table_set_log_level(struct db_table *t, enum log_level level)
{
    struct msg m = { .head.id = MSG_LOG_LEVEL, .u.log_level.level = (uint32_t)level };

    log_set_level(level);
    for (struct db_entry *d = t->first; d != NULL; d = d->next)
        if (d->link != NULL)
            link_send(d->link, &m);
}

void
db_table_reopen_log(struct db_table *t)
{
    struct msg m = { .head.id = MSG_LOG_REOPEN };
    struct err e;

    if (log_file_fd() < 0)
        return;
    if (log_file_reopen(&e) != 0)
        log_error("log file could not be opened again", LF_ERR(&e));
    for (struct db_entry *d = t->first; d != NULL; d = d->next)
        if (d->link != NULL)
            link_send(d->link, &m);
}

/* --- deaths ---------------------------------------------------------------------------
 */

/* Why a worker ended, in words: what it said last, or its status and what it did. */
static void
write_obituary(struct db_entry *d, int status)
{
    struct slot_data last;

    mem_free(d->obituary);
    d->died_at = wall_now();
    slot_read(d->slot, &last);
    if (last.last_words[0] != '\0')
        d->obituary = mem_strdup(last.last_words);
    else if (WIFSIGNALED(status))
        d->obituary = mem_printf("signal %d (%s) while %s", WTERMSIG(status),
            strsignal(WTERMSIG(status)), slot_phase_name(last.phase));
    else
        d->obituary = mem_printf(
            "exit status %d while %s", WEXITSTATUS(status), slot_phase_name(last.phase));
}

static void
fail_asks(struct db_entry *d)
{
    struct err e;

    err_set(&e, ERR_IO, "worker of %s died: %s", d->path.text, d->obituary);
    db_ask_fail(d, 1u << ASK_PLAIN | 1u << ASK_START, &e);
}

static void
worker_died(struct db_entry *d, int status)
{
    bool failed_now;
    int64_t delay;

    drop_link(d);
    write_obituary(d, status);
    delay =
        restart_policy_died(&d->policy, mono_since_ms(d->started), d->ready, &failed_now);
    log_error("worker died", LF_STR("path", d->path.text), LF_STR("reason", d->obituary),
        LF_UINT("restarts", d->policy.restarts), LF_MS("restart_in", delay));
    if (failed_now)
        log_error("worker keeps dying while it starts", LF_STR("path", d->path.text),
            LF_UINT("deaths", d->policy.start_deaths));
    start_again_later(d, delay);
    db_settle(d);
    db_tell(d, DB_EVENT_DIED);
    fail_asks(d);
}

/* One more life for the final sync, unless the user does not want to wait for it. */
static void
died_while_stopping(struct db_entry *d, int status)
{
    bool again = !d->table->skip && !d->second_stop;

    write_obituary(d, status);
    log_error("worker died during its final sync", LF_STR("path", d->path.text),
        LF_STR("reason", d->obituary), LF_BOOL("again", again));
    if (again) {
        d->second_stop = true;
        drop_link(d);
        start_now(d);
        uv_timer_stop(&d->restart);
    }
    if (d->pid > 0)
        send_stop(d, false);
    else
        stop_failed(d, ERR_IO, d->obituary);
    fail_asks(d);
}

/* A worker that was to do its work once is not started again. */
static bool
once_over(struct db_entry *d, int status)
{
    if (!d->table->opt.once || d->stopping)
        return false;
    drop_link(d);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        d->table->n_failed++;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) { /* 1: it has said why */
        write_obituary(d, status);
        log_error(
            "worker died", LF_STR("path", d->path.text), LF_STR("reason", d->obituary));
    }
    db_tell(d, DB_EVENT_STOPPED);
    return true;
}

static void
reap(struct db_entry *d)
{
    int status;

    if (d->pid <= 0 || waitpid(d->pid, &status, WNOHANG) != d->pid)
        return;
    tdelete(d, &d->table->by_pid, compare_pids);
    d->pid = 0;
    d->ready = false;
    d->table->n_alive--;
    hub_disarm(&d->watch);
    if (d->restoring) {
        restore_ended(d, status);
        return;
    }
    if (once_over(d, status)) {
        db_settle(d);
        return;
    }
    if (!d->stopping) {
        worker_died(d, status);
        return;
    }
    /* The answer to STOP may still be in the channel: it is read before its end is seen.
     */
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) /* 1: its answer says why */
        died_while_stopping(d, status);
    else
        d->failed = WEXITSTATUS(status) != 0;
    count_silent_failure(d);
    check_over(d);
}

/* The worker that has ended; NULL: none, or the child is not a worker. */
static struct db_entry *
ended_worker(struct db_table *t, bool *foreign)
{
    siginfo_t info = { 0 };
    struct db_entry key, **found;

    *foreign = false;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return NULL;
    key.pid = info.si_pid;
    found = tfind(&key, &t->by_pid, compare_pids);
    *foreign = found == NULL;
    return found != NULL ? *found : NULL;
}

void
db_table_on_sigchld(struct db_table *t)
{
    struct db_entry *d, *next;
    bool foreign;

    while ((d = ended_worker(t, &foreign)) != NULL)
        reap(d);
    /* A child that libuv will reap hides those behind it. */
    for (d = foreign ? t->first : NULL; d != NULL; d = next) {
        next = d->next;
        reap(d);
    }
}
