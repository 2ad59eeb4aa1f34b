#include "drivers/sftp/sftp.h"

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "drivers/loop/job.h"
#include "drivers/sftp/ssh_conn.h"
#include "drivers/sftp/store.h"

#define N_LINES 4

/* Write requests under way for one file: 2 MiB. */
#define WRITES 64

/* A connection that is not used is kept as long. */
#define IDLE_MS 60000

/* A connection, or the place for one. */
struct line {
    struct sftp_session *session; /* NULL: not connected; the job's while it runs */
    struct sftp_op *user;
};

struct sftp_drv {
    const struct cfg_replica *cfg;
    struct sftp_store store;
    struct line lines[N_LINES];
    struct sftp_op *waiting, **last_waiting;
    uv_timer_t idle;
    bool told; /* that the server's key is not verified */
};

struct sftp_op {
    struct drv_op op;
    int (*run)(struct sftp_op *so, struct err *e); /* on the job's thread */
    struct sftp_op *next;                          /* waiting */
    struct line *line;                             /* while the job runs */
    struct sftp_session *session;
    const struct cancel *cancel;
    struct job *job;
    bool taken; /* part of the source was read */
    int rc;
    struct err err;
    union {
        struct drv_list list;
        struct drv_get get;
        struct drv_put put;
        struct drv_del del;
        struct drv_list_keys list_keys;
        struct drv_get_key get_key;
    } req;
    struct ltx_info *infos;
    size_t n_infos;
    struct sftp_keys keys;
};

static struct sftp_op *
sftp_op_of(struct drv_op *op)
{
    return container_of(op, struct sftp_op, op);
}

static struct sftp_drv *
drv_of(const struct sftp_op *so)
{
    return so->op.drv->state;
}

/* --- jobs and connections -------------------------------------------------------------
 */

static int
run_once(struct sftp_op *so)
{
    int rc = 0;

    if (so->session == NULL)
        rc = sftp_session_open(drv_of(so)->cfg, so->cancel, &so->session, &so->err);
    if (rc != 0)
        return rc;
    sftp_session_set_cancel(so->session, so->cancel);
    rc = so->run(so, &so->err);
    /* A cancelled call may have left answers that nobody took. */
    if (sftp_session_broken(so->session) || rc == ERR_CANCELLED) {
        sftp_session_close(so->session);
        so->session = NULL;
    }
    return rc;
}

static void
run_on_thread(void *arg, const struct cancel *cancel)
{
    struct sftp_op *so = arg;
    bool kept = so->session != NULL;

    so->cancel = cancel;
    so->rc = run_once(so);
    if (so->rc != 0 && kept && so->session == NULL && !so->taken && !cancel_asked(cancel))
        so->rc = run_once(so);
    if (so->session != NULL)
        sftp_session_set_cancel(so->session, NULL);
}

static void pump(struct sftp_drv *sd);

static void
tell_unverified(struct sftp_drv *sd, const struct sftp_session *s)
{
    if (s == NULL || sd->told || sftp_session_verified(s))
        return;
    sd->told = true;
    log_warn("sftp host key not verified", LF_STR("host", sd->cfg->host),
        LF_STR("hint", "set host-key of the replica, or add the server to known_hosts"));
}

static void
on_job_done(void *arg)
{
    struct sftp_op *so = arg;
    struct sftp_drv *sd = drv_of(so);

    so->job = NULL;
    tell_unverified(sd, so->session);
    so->line->session = so->session;
    so->line->user = NULL;
    drv_op_finish(&so->op, so->rc != 0 ? &so->err : NULL);
    pump(sd);
}

static void
on_idle(uv_timer_t *h)
{
    struct sftp_drv *sd = container_of(h, struct sftp_drv, idle);

    for (unsigned i = 0; i < N_LINES; i++) {
        struct line *l = &sd->lines[i];

        if (l->user != NULL)
            continue;
        sftp_session_close(l->session);
        l->session = NULL;
    }
}

/* A free one, connected if possible. */
static struct line *
free_line(struct sftp_drv *sd)
{
    struct line *found = NULL;

    for (unsigned i = 0; i < N_LINES; i++) {
        struct line *l = &sd->lines[i];

        if (l->user == NULL && (found == NULL || found->session == NULL))
            found = l;
    }
    return found;
}

/* Starts what waits, as far as there are lines. */
static void
pump(struct sftp_drv *sd)
{
    struct line *l;

    while (sd->waiting != NULL && (l = free_line(sd)) != NULL) {
        struct sftp_op *so = sd->waiting;

        sd->waiting = so->next;
        if (sd->waiting == NULL)
            sd->last_waiting = &sd->waiting;
        so->session = l->session;
        if (job_start(so->op.drv->env.loop, run_on_thread, on_job_done, so, &so->job,
                &so->err) != 0) {
            so->session = NULL;
            drv_op_finish(&so->op, &so->err);
            continue;
        }
        so->line = l;
        l->user = so;
        l->session = NULL;
    }
    uv_timer_start(&sd->idle, on_idle, IDLE_MS, 0);
    uv_unref((uv_handle_t *)&sd->idle);
}

static int
start(struct sftp_op *so)
{
    struct sftp_drv *sd = drv_of(so);

    so->next = NULL;
    *sd->last_waiting = so;
    sd->last_waiting = &so->next;
    pump(sd);
    return 0;
}

static void
sftp_cancel(struct drv_op *op)
{
    struct sftp_op *so = sftp_op_of(op);
    struct sftp_drv *sd = drv_of(so);

    if (so->line != NULL || op->finished) {
        job_cancel(so->job);
        return;
    }
    for (struct sftp_op **at = &sd->waiting; *at != NULL; at = &(*at)->next)
        if (*at == so) {
            *at = so->next;
            if (*at == NULL)
                sd->last_waiting = at;
            err_set(&so->err, ERR_CANCELLED, "cancelled");
            drv_op_finish(op, &so->err);
            return;
        }
}

/* --- operations -----------------------------------------------------------------------
 */

static int
run_list(struct sftp_op *so, struct err *e)
{
    return sftp_store_list(
        &drv_of(so)->store, so->session, &so->req.list, &so->infos, &so->n_infos, e);
}

static void
deliver_list(struct drv_op *op)
{
    struct sftp_op *so = sftp_op_of(op);

    if (so->n_infos > 0)
        so->req.list.entries(so->req.list.arg, so->infos, so->n_infos);
}

static void
release_list(struct drv_op *op)
{
    mem_free(sftp_op_of(op)->infos);
}

static int
sftp_list(struct drv_op *op, const struct drv_list *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.list = *req;
    so->run = run_list;
    op->deliver = deliver_list;
    op->release = release_list;
    return start(so);
}

static int
run_get(struct sftp_op *so, struct err *e)
{
    const struct drv_get *g = &so->req.get;
    char *path =
        ltx_file_path(drv_of(so)->store.root, g->level, g->min_txid, g->max_txid);
    size_t got = 0;
    int rc = sftp_store_get(so->session, path, g->off, g->buf, g->size, &got, e);

    so->op.res.size = (int64_t)got;
    mem_free(path);
    return rc;
}

static int
sftp_get(struct drv_op *op, const struct drv_get *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.get = *req;
    so->run = run_get;
    return start(so);
}

static int
run_put(struct sftp_op *so, struct err *e)
{
    return sftp_store_put(&drv_of(so)->store, so->session, &so->req.put, so->cancel,
        &so->op.res, &so->taken, e);
}

static int
sftp_put(struct drv_op *op, const struct drv_put *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.put = *req;
    so->run = run_put;
    return start(so);
}

static int
run_del(struct sftp_op *so, struct err *e)
{
    return sftp_store_del(
        &drv_of(so)->store, so->session, so->req.del.files, so->req.del.n, e);
}

static int
sftp_del(struct drv_op *op, const struct drv_del *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.del = *req;
    so->run = run_del;
    return start(so);
}

static int
run_del_all(struct sftp_op *so, struct err *e)
{
    return sftp_store_del_all(&drv_of(so)->store, so->session, e);
}

static int
sftp_del_all(struct drv_op *op, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->run = run_del_all;
    return start(so);
}

/* Also what a first try on a dead connection found. */
static void
forget_keys(struct sftp_op *so)
{
    mem_free(so->keys.items);
    arena_deinit(&so->keys.names);
    so->keys = (struct sftp_keys){ .n = 0 };
}

static int
run_list_keys(struct sftp_op *so, struct err *e)
{
    char *path = path_join(drv_of(so)->store.root, so->req.list_keys.folder);
    int rc;

    forget_keys(so);
    rc = sftp_store_keys(so->session, path, &so->keys, e);
    mem_free(path);
    return rc;
}

static void
deliver_list_keys(struct drv_op *op)
{
    struct sftp_op *so = sftp_op_of(op);

    if (so->keys.n > 0)
        so->req.list_keys.entries(so->req.list_keys.arg, so->keys.items, so->keys.n);
}

static void
release_list_keys(struct drv_op *op)
{
    forget_keys(sftp_op_of(op));
}

static int
sftp_list_keys(struct drv_op *op, const struct drv_list_keys *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.list_keys = *req;
    so->run = run_list_keys;
    op->deliver = deliver_list_keys;
    op->release = release_list_keys;
    return start(so);
}

static int
run_get_key(struct sftp_op *so, struct err *e)
{
    const struct drv_get_key *g = &so->req.get_key;
    char *path = path_join(drv_of(so)->store.root, g->key);
    size_t got = 0;
    int rc = sftp_store_get(so->session, path, g->off, g->buf, g->size, &got, e);

    so->op.res.size = (int64_t)got;
    mem_free(path);
    return rc;
}

static int
sftp_get_key(struct drv_op *op, const struct drv_get_key *req, struct err *e)
{
    struct sftp_op *so = sftp_op_of(op);

    (void)e;
    so->req.get_key = *req;
    so->run = run_get_key;
    return start(so);
}

/* --- life -----------------------------------------------------------------------------
 */

static int
sftp_open(struct drv *d, const struct cfg_replica *cfg, struct err *e)
{
    struct sftp_drv *sd = d->state;
    int rc = ssh_conn_check(cfg, e);

    if (rc != 0)
        return rc;
    sd->cfg = cfg;
    sd->store.root = path_join(cfg->path, "");
    sd->store.n_writes = cfg->concurrent_writes ? WRITES : 1;
    sd->last_waiting = &sd->waiting;
    uv_timer_init(d->env.loop, &sd->idle);
    sd->idle.data = d;
    return 0;
}

static void
on_closed(uv_handle_t *h)
{
    struct drv *d = h->data;
    struct sftp_drv *sd = d->state;

    mem_free(sd->store.root);
    drv_closed(d);
}

static void
sftp_close(struct drv *d)
{
    struct sftp_drv *sd = d->state;

    for (unsigned i = 0; i < N_LINES; i++)
        sftp_session_close(sd->lines[i].session);
    uv_close((uv_handle_t *)&sd->idle, on_closed);
}

const struct drv_ops drv_sftp_ops = {
    .type = "sftp",
    .state_bytes = sizeof(struct sftp_drv),
    .op_bytes = sizeof(struct sftp_op),
    .open = sftp_open,
    .close = sftp_close,
    .list = sftp_list,
    .get = sftp_get,
    .put = sftp_put,
    .del = sftp_del,
    .del_all = sftp_del_all,
    .list_keys = sftp_list_keys,
    .get_key = sftp_get_key,
    .cancel = sftp_cancel,
};
