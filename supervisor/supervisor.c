#include "supervisor/supervisor.h"

#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "common/ipc/slot.h"
#include "supervisor/restart_policy.h"
#include "supervisor/spawn.h"
#include "supervisor/watch/hub.h"
#include "workers/link.h"

/* How many workers are forked before the loop looks at anything else. */
#define START_BATCH 32

/* After a second signal a worker that is still there gets this long. */
#define KILL_MS 5000

struct supervisor;

struct wproc {
    struct supervisor *sup;
    const struct cfg_db *db;
    struct slot *slot;
    pid_t pid; /* 0: not running */
    uint32_t incarnation;
    struct link *link;
    struct mono started;
    bool ready, own_watch, stopping;
    bool answered;    /* it told how its final sync went */
    bool failed;      /* its status says that it did not go well */
    bool second_stop; /* it died during its final sync and makes it again */
    struct restart_policy policy;
    uv_timer_t restart;
    struct hub_watch watch;
};

struct supervisor {
    const struct supervisor_options *options;
    struct config *config;
    uv_loop_t loop;
    uv_signal_t sigint, sigterm, sighup, sigchld;
    uv_idle_t starter;
    uv_timer_t kill_timer;
    struct slot *slots;
    struct wproc *procs;
    void *by_pid; /* tsearch tree of the running ones */
    size_t n_procs, next_start, n_alive;
    unsigned own_left; /* inotify instances that workers may still have */
    int signals;       /* SIGINT and SIGTERM so far */
    bool stopping, closing;
    size_t n_failed; /* databases whose last changes did not get through */
};

static void end_if_done(struct supervisor *sup);

static int
compare_pids(const void *a, const void *b)
{
    const struct wproc *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* --- a worker's life ------------------------------------------------------------------
 */

static void on_restart_due(uv_timer_t *h);

static void
send_wal_event(struct wproc *p, bool armed, bool failed)
{
    struct msg m = { .head.id = MSG_WAL_EVENT,
        .u.wal_event = { .armed = armed, .failed = failed } };

    if (p->link != NULL)
        link_send(p->link, &m);
}

static void
on_watch_fired(struct hub_watch *w)
{
    send_wal_event(container_of(w, struct wproc, watch), false, false);
}

static void
set_watch(struct wproc *p, bool arm)
{
    char *wal;
    bool good;

    if (!arm) {
        hub_disarm(&p->watch);
        return;
    }
    wal = mem_printf("%s-wal", p->db->path);
    good = hub_arm(&p->watch, &p->sup->loop, wal, on_watch_fired);
    mem_free(wal);
    send_wal_event(p, good, !good);
}

static void
on_message(void *arg, const struct msg *m)
{
    struct wproc *p = arg;

    switch (m->head.id) {
    case MSG_READY:
        p->ready = true;
        restart_policy_ready(&p->policy);
        log_debug("worker is ready", LF_STR("path", p->db->path),
            LF_TXID("txid", m->u.ready.txid));
        break;
    case MSG_DONE:
        p->answered = p->answered || p->stopping;
        if (m->u.done.code != 0 && p->stopping) {
            p->sup->n_failed++;
            log_error("failed to close database", LF_STR("path", p->db->path),
                LF_STR("error", m->u.done.text));
        }
        break;
    case MSG_WATCH:
        set_watch(p, m->u.watch.arm != 0);
        break;
    default:
        break;
    }
}

/*
 * A worker that failed says so in its answer to STOP. One that could not is known when it
 * has ended and all that it said was read, in whichever order.
 */
static void
count_silent_failure(struct wproc *p)
{
    if (p->pid != 0 || p->link != NULL || !p->failed || p->answered)
        return;
    p->failed = false;
    p->sup->n_failed++;
    log_error("worker ended without saying why", LF_STR("path", p->db->path));
}

static void
on_channel_end(void *arg, const struct err *e)
{
    struct wproc *p = arg;

    if (e != NULL) {
        log_error("channel to worker failed", LF_STR("path", p->db->path), LF_ERR(e));
        if (p->pid > 0)
            kill(p->pid, SIGKILL); /* what it says cannot be understood */
    }
    link_close(p->link);
    p->link = NULL;
    count_silent_failure(p);
}

static void
send_stop(struct wproc *p, bool skip)
{
    const struct config *c = p->sup->config;
    struct msg m = { .head = { .id = MSG_STOP, .request = 1 },
        .u.stop = { .timeout_ms = c->shutdown_sync_timeout_ns > 0
                                      ? (c->shutdown_sync_timeout_ns + 999999) / 1000000
                                      : 0,
            .skip = skip } };

    p->stopping = true;
    if (p->link != NULL)
        link_send(p->link, &m);
}

static void
start_again_later(struct wproc *p, int64_t delay_ms)
{
    uv_timer_start(&p->restart, on_restart_due, (uint64_t)delay_ms, 0);
}

static int
start_worker(struct wproc *p, struct err *e)
{
    struct supervisor *sup = p->sup;
    struct spawn s = {
        .start = { .config = sup->config,
            .db = p->db,
            .slot = p->slot,
            .incarnation = ++p->incarnation,
            .shutdown_timeout_ms = sup->config->shutdown_sync_timeout_ns / 1000000,
            .shutdown_interval_ms = sup->config->shutdown_sync_interval_ns / 1000000,
            .once = { .wanted = sup->options->once,
                .snapshot = sup->options->force_snapshot,
                .retention = sup->options->enforce_retention } }
    };
    struct link_options options = { .loop = &sup->loop,
        .from = MSG_FROM_WORKER,
        .incarnation = p->incarnation,
        .message = on_message,
        .ended = on_channel_end,
        .arg = p };
    struct slot_data fresh = { .incarnation = p->incarnation, .state = WS_STARTING };
    int rc;

    if (!p->own_watch && sup->own_left > 0) {
        p->own_watch = true;
        sup->own_left--;
    }
    s.start.own_watch = p->own_watch;
    slot_write(p->slot, &fresh);
    p->ready = false;
    rc = spawn_worker(&s, &p->pid, &options.fd, e);
    if (rc != 0) {
        p->pid = 0;
        return rc;
    }
    p->started = mono_now();
    sup->n_alive++;
    must(tsearch(p, &sup->by_pid, compare_pids) != NULL);
    return link_open(&options, &p->link, e);
}

/* Starts or, when the system has no room for a process now, tries again like after a
 * death. */
static void
try_start(struct wproc *p)
{
    bool failed_now;
    struct err e;

    if (start_worker(p, &e) == 0)
        return;
    log_error("cannot start worker", LF_STR("path", p->db->path), LF_ERR(&e));
    if (p->pid > 0)
        kill(p->pid, SIGKILL); /* without a channel it is of no use; reaped as a death */
    else
        start_again_later(p, restart_policy_died(&p->policy, 0, false, &failed_now));
}

static void
on_restart_due(uv_timer_t *h)
{
    struct wproc *p = container_of(h, struct wproc, restart);

    if (!p->sup->stopping)
        try_start(p);
}

/* --- deaths ---------------------------------------------------------------------------
 */

/* Why a worker ended, in words: what it said last, or its status and what it did. */
static void
obituary(const struct wproc *p, int status, char *out, size_t size)
{
    struct slot_data last;

    slot_read(p->slot, &last);
    if (last.last_words[0] != '\0')
        snprintf(out, size, "%s", last.last_words);
    else if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s) while %s", WTERMSIG(status),
            strsignal(WTERMSIG(status)), slot_phase_name(last.phase));
    else
        snprintf(out, size, "exit status %d while %s", WEXITSTATUS(status),
            slot_phase_name(last.phase));
}

static void
worker_died(struct wproc *p, int status)
{
    bool failed_now;
    char why[SLOT_TEXT_MAX * 2];
    int64_t delay;

    obituary(p, status, why, sizeof(why));
    delay =
        restart_policy_died(&p->policy, mono_since_ms(p->started), p->ready, &failed_now);
    log_error("worker died", LF_STR("path", p->db->path), LF_STR("reason", why),
        LF_UINT("restarts", p->policy.restarts), LF_MS("restart_in", delay));
    if (failed_now)
        log_error("worker keeps dying while it starts", LF_STR("path", p->db->path),
            LF_UINT("deaths", p->policy.start_deaths));
    start_again_later(p, delay);
}

/* One more life for the final sync, unless the user does not want to wait for it. */
static void
died_while_stopping(struct wproc *p, int status)
{
    char why[SLOT_TEXT_MAX * 2];
    bool again = p->sup->signals == 1 && !p->second_stop;

    obituary(p, status, why, sizeof(why));
    log_error("worker died during its final sync", LF_STR("path", p->db->path),
        LF_STR("reason", why), LF_BOOL("again", again));
    if (again) {
        p->second_stop = true;
        link_close(p->link);
        p->link = NULL;
        try_start(p);
        uv_timer_stop(&p->restart);
    }
    if (p->pid > 0)
        send_stop(p, false);
    else
        p->sup->n_failed++;
}

/* A worker that was to do its work once is not started again. */
static bool
once_over(struct wproc *p, int status)
{
    char why[SLOT_TEXT_MAX * 2];

    if (!p->sup->options->once || p->stopping)
        return false;
    link_close(p->link);
    p->link = NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    p->sup->n_failed++;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) { /* 1: it has said why */
        obituary(p, status, why, sizeof(why));
        log_error("worker died", LF_STR("path", p->db->path), LF_STR("reason", why));
    }
    return true;
}

static void
reap(struct wproc *p)
{
    int status;

    if (p->pid <= 0 || waitpid(p->pid, &status, WNOHANG) != p->pid)
        return;
    tdelete(p, &p->sup->by_pid, compare_pids);
    p->pid = 0;
    p->sup->n_alive--;
    hub_disarm(&p->watch);
    if (once_over(p, status))
        return;
    if (!p->stopping) {
        link_close(p->link);
        p->link = NULL;
        worker_died(p, status);
        return;
    }
    /* The answer to STOP may still be in the channel: it is read before its end is seen.
     */
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) /* 1: its answer says why */
        died_while_stopping(p, status);
    else
        p->failed = WEXITSTATUS(status) != 0;
    count_silent_failure(p);
}

/* The worker that has ended; NULL: none, or the child is not a worker. */
static struct wproc *
ended_worker(struct supervisor *sup, bool *foreign)
{
    siginfo_t info = { 0 };
    struct wproc key, **found;

    *foreign = false;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return NULL;
    key.pid = info.si_pid;
    found = tfind(&key, &sup->by_pid, compare_pids);
    *foreign = found == NULL;
    return found != NULL ? *found : NULL;
}

static void
on_sigchld(uv_signal_t *h, int signum)
{
    struct supervisor *sup = container_of(h, struct supervisor, sigchld);
    struct wproc *p;
    bool foreign;

    (void)signum;
    while ((p = ended_worker(sup, &foreign)) != NULL)
        reap(p);
    /* A child that libuv will reap hides those behind it. */
    for (size_t i = 0; foreign && i < sup->n_procs; i++)
        reap(&sup->procs[i]);
    end_if_done(sup);
}

/* --- the end --------------------------------------------------------------------------
 */

static void
close_all(struct supervisor *sup)
{
    sup->closing = true;
    uv_close((uv_handle_t *)&sup->sigint, NULL);
    uv_close((uv_handle_t *)&sup->sigterm, NULL);
    uv_close((uv_handle_t *)&sup->sighup, NULL);
    uv_close((uv_handle_t *)&sup->sigchld, NULL);
    uv_close((uv_handle_t *)&sup->starter, NULL);
    uv_close((uv_handle_t *)&sup->kill_timer, NULL);
    for (size_t i = 0; i < sup->n_procs; i++) {
        hub_close(&sup->procs[i].watch);
        uv_close((uv_handle_t *)&sup->procs[i].restart, NULL);
    }
}

static void
end_if_done(struct supervisor *sup)
{
    if (sup->options->once && !sup->stopping && sup->n_alive == 0 &&
        sup->next_start == sup->n_procs) {
        sup->stopping = true;
        if (sup->n_failed == 0)
            log_info("one-shot replication complete");
        log_info("replication complete, litestream shutting down");
    }
    if (sup->stopping && sup->n_alive == 0 && !sup->closing)
        close_all(sup);
}

static void
on_kill_due(uv_timer_t *h)
{
    struct supervisor *sup = container_of(h, struct supervisor, kill_timer);

    for (size_t i = 0; i < sup->n_procs; i++)
        if (sup->procs[i].pid > 0) {
            log_error(
                "worker did not end, killing it", LF_STR("path", sup->procs[i].db->path));
            kill(sup->procs[i].pid, SIGKILL);
        }
}

static void
log_database(const struct cfg_db *db)
{
    log_info("initialized db", LF_STR("path", db->path));
    for (size_t i = 0; i < db->n_replicas; i++) {
        const struct cfg_replica *r = &db->replicas[i];

        log_info("replicating to", LF_STR("type", cfg_replica_type_name(r->type)),
            LF_NS("sync-interval", r->sync_interval_ns), LF_STR("path", r->path));
    }
}

static void
start_next(struct supervisor *sup)
{
    struct wproc *p = &sup->procs[sup->next_start++];

    log_database(p->db);
    try_start(p);
}

/*
 * A worker that waits to be started again starts now: what its database holds has not
 * been captured, and nobody else will do it.
 */
static void
stop_worker(struct wproc *p, bool skip)
{
    if (p->pid == 0 && !skip && uv_is_active((uv_handle_t *)&p->restart)) {
        uv_timer_stop(&p->restart);
        try_start(p);
        if (p->pid == 0) {
            uv_timer_stop(&p->restart);
            p->sup->n_failed++;
        }
    }
    if (p->pid > 0)
        send_stop(p, skip);
}

static void
on_signal(uv_signal_t *h, int signum)
{
    struct supervisor *sup = h->data;

    if (++sup->signals > 2)
        return;
    if (sup->signals == 1) {
        log_info("signal received, litestream shutting down",
            LF_STR("signal", signum == SIGINT ? "interrupt" : "terminated"));
        /* What was committed while no daemon ran is captured even now. */
        while (sup->next_start < sup->n_procs)
            start_next(sup);
        sup->stopping = true;
        uv_idle_stop(&sup->starter);
    } else {
        log_warn("shutdown sync skipped by user interrupt");
        uv_timer_start(&sup->kill_timer, on_kill_due, KILL_MS, 0);
    }
    for (size_t i = 0; i < sup->n_procs; i++)
        stop_worker(&sup->procs[i], sup->signals > 1);
    end_if_done(sup);
}

static void
on_sighup(uv_signal_t *h, int signum)
{
    (void)h;
    (void)signum;
    log_warn("reloading the configuration is not in this build, restart instead");
}

/* --- start ----------------------------------------------------------------------------
 */

static void
on_starter(uv_idle_t *h)
{
    struct supervisor *sup = container_of(h, struct supervisor, starter);

    for (int i = 0; i < START_BATCH && sup->next_start < sup->n_procs; i++)
        start_next(sup);
    if (sup->next_start == sup->n_procs) {
        uv_idle_stop(&sup->starter);
        end_if_done(sup); /* there may be none */
    }
}

/* Each worker costs a descriptor here. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int
make_procs(struct supervisor *sup, struct err *e)
{
    const struct config *c = sup->config;

    for (size_t i = 0; i < c->n_dbs; i++)
        sup->n_procs += c->dbs[i].enabled && c->dbs[i].path[0] != '\0' ? 1 : 0;
    if (sup->n_procs == 0)
        return 0;
    sup->procs = mem_try(sup->n_procs, sizeof(sup->procs[0]));
    sup->slots = slot_area_new(sup->n_procs);
    if (sup->procs == NULL || sup->slots == NULL)
        return err_set(e, ERR_MEMORY, "no memory for %zu databases", sup->n_procs);
    for (size_t i = 0, n = 0; i < c->n_dbs; i++) {
        struct wproc *p = &sup->procs[n];

        if (!c->dbs[i].enabled || c->dbs[i].path[0] == '\0')
            continue;
        p->sup = sup;
        p->db = &c->dbs[i];
        p->slot = &sup->slots[n++];
        uv_timer_init(&sup->loop, &p->restart);
    }
    return 0;
}

static void
start_signal(struct supervisor *sup, uv_signal_t *h, int signum, uv_signal_cb cb)
{
    must(uv_signal_init(&sup->loop, h) == 0);
    h->data = sup;
    must(uv_signal_start(h, cb, signum) == 0);
}

int
supervisor_run(const struct supervisor_options *options, struct err *e)
{
    struct supervisor *sup = MEM_NEW(struct supervisor);
    int rc;

    proc_set_role(PROC_SUPERVISOR);
    raise_descriptor_limit();
    worker_prepare();
    signal(SIGPIPE, SIG_IGN);
    sup->options = options;
    sup->config = options->config;
    sup->own_left = hub_own_budget();
    must(uv_loop_init(&sup->loop) == 0);
    start_signal(sup, &sup->sigint, SIGINT, on_signal);
    start_signal(sup, &sup->sigterm, SIGTERM, on_signal);
    start_signal(sup, &sup->sighup, SIGHUP, on_sighup);
    start_signal(sup, &sup->sigchld, SIGCHLD, on_sigchld);
    uv_idle_init(&sup->loop, &sup->starter);
    uv_timer_init(&sup->loop, &sup->kill_timer);
    rc = make_procs(sup, e);
    if (rc != 0)
        close_all(sup);
    else
        uv_idle_start(&sup->starter, on_starter);
    uv_run(&sup->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&sup->loop) == 0);
    if (rc == 0) {
        log_info("litestream shut down");
        if (sup->n_failed > 0)
            rc = err_set(e, ERR_TIMEOUT,
                options->once
                    ? "%zu databases failed, see above"
                    : "the last changes of %zu databases did not reach every replica",
                sup->n_failed);
    }
    slot_area_free(sup->slots, sup->n_procs);
    mem_free(sup->procs);
    mem_free(sup);
    proc_set_role(PROC_COMMAND);
    return rc;
}
