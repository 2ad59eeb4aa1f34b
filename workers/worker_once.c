/*
 * The life of a worker that is to bring its replicas up to date once: sync, upload, what
 * else was asked for, end. The first failure ends it; what was reached stays.
 */
#include "common/base/log.h"
#include "workers/worker_impl.h"

static void
failed(struct worker *w, const struct err *e)
{
    w->once.step = ONCE_FAILED;
    w->end.err = *e;
    worker_kick(w);
}

/* The sync has its answer; acted upon from the loop, the caller is in the middle of it.
 */
void
worker_once_synced(struct worker *w, const struct err *e)
{
    const char *path = w->start->db->path;
    struct err why;

    if (w->once.step != ONCE_SYNC)
        return;
    if (e == NULL) {
        w->once.step = ONCE_TASKS;
        worker_kick(w);
        return;
    }
    why = *e;
    if (e->code == ERR_NOT_FOUND && !engine_is_open(w->eng))
        err_set(&why, ERR_NOT_FOUND, "sync replica for %s: no position, waiting for data",
            path);
    else
        err_wrap(&why,
            engine_txid(w->eng) == 0 ? "sync database %s" : "sync replica for %s", path);
    failed(w, &why);
}

static void
on_task_done(void *arg, const struct err *e)
{
    struct worker *w = arg;
    bool snapshot = w->once.task < w->n_replicas;
    struct err why;

    w->once.task++;
    w->once.step = ONCE_TASKS;
    if (e != NULL) {
        why = *e;
        err_wrap(&why, snapshot ? "snapshot %s" : "enforce retention for %s",
            w->start->db->path);
        failed(w, &why);
    }
    worker_kick(w);
}

/*
 * The next task: a snapshot for each replica, then retention on each. False: all is done.
 */
static bool
start_task(struct worker *w)
{
    const char *path = w->start->db->path;
    unsigned n = w->n_replicas;

    if (!w->start->once.snapshot && w->once.task < n)
        w->once.task = n;
    if (w->once.task < n) {
        log_info("taking snapshot", LF_STR("path", path));
        compactor_snapshot(w->compactors[w->once.task], on_task_done, w);
    } else if (w->start->once.retention && w->once.task < 2 * n) {
        log_info("enforcing retention", LF_STR("path", path));
        compactor_enforce_retention(w->compactors[w->once.task - n], on_task_done, w);
    } else {
        return false;
    }
    w->once.step = ONCE_TASK;
    return true;
}

static void
give_up(struct worker *w)
{
    struct err e = w->end.err;

    log_error("one-shot replication failed", LF_STR("path", w->start->db->path),
        LF_ERR(&e), LF_STR("hint", e.hint));
    w->once.step = ONCE_OVER;
    worker_stop_begin(w, NULL);
    w->end.failed = w->end.synced = w->end.skip = true;
    w->end.err = e;
}

void
worker_once_run(struct worker *w)
{
    struct msg m = { .head = { .id = MSG_SYNC, .request = ONCE_REQUEST },
        .u.sync.wait = 1 };

    if (!w->start->once.wanted || w->end.asked)
        return;
    switch (w->once.step) {
    case ONCE_NOT_BEGUN:
        w->once.step = ONCE_SYNC;
        log_info("syncing database", LF_STR("path", w->start->db->path));
        worker_add_request(w, &m);
        break;
    case ONCE_TASKS:
        if (!start_task(w)) {
            w->once.step = ONCE_OVER;
            worker_stop_begin(w, NULL);
        }
        break;
    case ONCE_FAILED:
        give_up(w);
        break;
    case ONCE_SYNC:
    case ONCE_TASK:
    case ONCE_OVER:
        break;
    }
}
