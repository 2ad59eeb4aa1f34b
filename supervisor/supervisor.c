#include "supervisor/supervisor.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include <uv.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "supervisor/supervisor_impl.h"
#include "workers/worker.h"

/* After a second signal a worker that is still there gets this long. */
#define KILL_MS 5000

/* After a first signal requests to the control socket have so long to be answered, and
 * what is answered when the last worker has ended so long to be sent. */
#define ANSWERS_MS 5000
#define LAST_ANSWERS_MS 1000

struct db_table *
supervisor_table(struct supervisor *s)
{
    return s->table;
}

const struct config *
supervisor_config(const struct supervisor *s)
{
    return cfg_share_config(s->share);
}

struct cfg_share *
supervisor_share(struct supervisor *s)
{
    return s->share;
}

/* --- the end --------------------------------------------------------------------------
 */

static void
close_all(struct supervisor *sup)
{
    if (sup->closing)
        return;
    sup->closing = true;
    sup->n_failed = sup->table != NULL ? db_table_n_failed(sup->table) : 0;
    uv_close((uv_handle_t *)&sup->sigint, NULL);
    uv_close((uv_handle_t *)&sup->sigterm, NULL);
    uv_close((uv_handle_t *)&sup->sighup, NULL);
    uv_close((uv_handle_t *)&sup->sigusr2, NULL);
    uv_close((uv_handle_t *)&sup->sigchld, NULL);
    uv_close((uv_handle_t *)&sup->kill_timer, NULL);
    uv_close((uv_handle_t *)&sup->late_timer, NULL);
    dirs_close(sup->dirs, NULL, NULL);
    reload_drop_late(sup);
    control_end(sup->control, LAST_ANSWERS_MS);
    heartbeat_close(sup->heartbeat);
    sup->heartbeat = NULL;
    db_table_free(sup->table, NULL, NULL);
}

/* No process is left, and none is to be started. */
static void
on_idle(void *arg)
{
    struct supervisor *sup = arg;

    if (sup->options->once && !sup->stopping) {
        sup->stopping = true;
        if (db_table_n_failed(sup->table) == 0)
            log_info("one-shot replication complete");
        log_info("replication complete, litestream shutting down");
    }
    if (sup->stopping)
        close_all(sup);
}

static void
on_kill_due(uv_timer_t *h)
{
    db_table_kill(container_of(h, struct supervisor, kill_timer)->table);
}

static void
on_signal(uv_signal_t *h, int signum)
{
    struct supervisor *sup = h->data;

    if (++sup->signals > 2)
        return;
    sup->stopping = true;
    dirs_close(sup->dirs, NULL, NULL);
    sup->dirs = NULL;
    control_stop(sup->control, ANSWERS_MS);
    heartbeat_close(sup->heartbeat);
    sup->heartbeat = NULL;
    if (sup->signals == 1) {
        log_info("signal received, litestream shutting down",
            LF_STR("signal", signum == SIGINT ? "interrupt" : "terminated"));
    } else {
        log_warn("shutdown sync skipped by user interrupt");
        uv_timer_start(&sup->kill_timer, on_kill_due, KILL_MS, 0);
    }
    db_table_end(sup->table, sup->signals > 1);
}

static void
on_sigchld(uv_signal_t *h, int signum)
{
    struct supervisor *sup = h->data;

    (void)signum;
    db_table_on_sigchld(sup->table);
    heartbeat_on_sigchld(sup->heartbeat);
}

static void
on_sighup(uv_signal_t *h, int signum)
{
    struct reload_report report;
    struct err e;

    (void)signum;
    db_table_reopen_log(((struct supervisor *)h->data)->table);
    supervisor_reload(h->data, &report, &e); /* it has said what it did */
}

static void
on_sigusr2(uv_signal_t *h, int signum)
{
    (void)signum;
    db_table_reopen_log(((struct supervisor *)h->data)->table);
}

/* From the table: what it says may call it again only from the loop. */
static void
on_late(uv_timer_t *h)
{
    reload_retry_late(container_of(h, struct supervisor, late_timer));
}

static void
on_event(void *arg, const struct db_entry *d, enum db_event event)
{
    struct supervisor *sup = arg;

    control_event(sup->control, d, event);
    if (event == DB_EVENT_STOPPED && sup->late != NULL && !sup->closing)
        uv_timer_start(&sup->late_timer, on_late, 0, 0);
}

/* --- start ----------------------------------------------------------------------------
 */

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
make_table(struct supervisor *sup, struct err *e)
{
    struct db_table_options options = { .loop = &sup->loop,
        .once = sup->options->once,
        .force_snapshot = sup->options->force_snapshot,
        .enforce_retention = sup->options->enforce_retention,
        .event = on_event,
        .idle = on_idle,
        .arg = sup };
    struct reload_report report = { .n_added = 0 };

    sup->table = db_table_new(&options);
    if (sup->table == NULL)
        return err_set(e, ERR_MEMORY, "no memory for databases");
    return reload_apply(sup, sup->share, &report, e);
}

static void
start_control(struct supervisor *sup)
{
    const struct control_options options = { .loop = &sup->loop,
        .sup = sup,
        .once = sup->options->once,
        .features = sup->options->features };

    sup->control = control_start(&options);
}

static void
start_signal(struct supervisor *sup, uv_signal_t *h, int signum, uv_signal_cb cb)
{
    must(uv_signal_init(&sup->loop, h) == 0);
    h->data = sup;
    must(uv_signal_start(h, cb, signum) == 0);
}

static int
result(const struct supervisor *sup, struct err *e)
{
    log_info("litestream shut down");
    if (sup->n_failed == 0)
        return 0;
    return err_set(e, ERR_TIMEOUT,
        sup->options->once
            ? "%zu databases failed, see above"
            : "the last changes of %zu databases did not reach every replica",
        sup->n_failed);
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
    sup->share = cfg_share_new(options->config, false);
    must(uv_loop_init(&sup->loop) == 0);
    start_signal(sup, &sup->sigint, SIGINT, on_signal);
    start_signal(sup, &sup->sigterm, SIGTERM, on_signal);
    start_signal(sup, &sup->sighup, SIGHUP, on_sighup);
    start_signal(sup, &sup->sigusr2, SIGUSR2, on_sigusr2);
    start_signal(sup, &sup->sigchld, SIGCHLD, on_sigchld);
    uv_timer_init(&sup->loop, &sup->kill_timer);
    uv_timer_init(&sup->loop, &sup->late_timer);
    rc = make_table(sup, e);
    if (rc == 0)
        start_control(sup);
    else
        close_all(sup);
    if (rc == 0 && !options->once)
        sup->heartbeat = heartbeat_start(&sup->loop, sup);
    uv_run(&sup->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&sup->loop) == 0);
    if (rc == 0)
        rc = result(sup, e);
    cfg_share_put(sup->share);
    mem_free(sup->ignored);
    mem_free(sup);
    proc_set_role(PROC_COMMAND);
    return rc;
}
