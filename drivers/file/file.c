#include "drivers/file/file.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "drivers/file/keys.h"
#include "drivers/file/store.h"
#include "drivers/loop/job.h"

/* Up to this many bytes are handled on the loop. */
#define INLINE_BYTES ((int64_t)1 << 20)

/* As many deletions, too. */
#define INLINE_DELETES 64

struct file_drv {
    struct file_store store;
    atomic_uint tidy; /* a bit per level: left-overs were removed */
};

struct file_op {
    struct drv_op op;
    int (*run)(struct file_op *fo, const struct cancel *cancel, struct err *e);
    struct job *job; /* NULL: done on the loop, or finished */
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
    struct file_keys keys;
};

static struct file_op *
file_op_of(struct drv_op *op)
{
    return container_of(op, struct file_op, op);
}

static const struct file_store *
store_of(const struct file_op *fo)
{
    const struct file_drv *fd = fo->op.drv->state;

    return &fd->store;
}

static void
run_on_thread(void *arg, const struct cancel *cancel)
{
    struct file_op *fo = arg;

    fo->rc = fo->run(fo, cancel, &fo->err);
}

static void
on_job_done(void *arg)
{
    struct file_op *fo = arg;

    fo->job = NULL;
    drv_op_finish(&fo->op, fo->rc != 0 ? &fo->err : NULL);
}

static int
start(struct file_op *fo, bool small, struct err *e)
{
    if (small && !fo->op.drv->env.isolate) {
        fo->rc = fo->run(fo, NULL, &fo->err);
        drv_op_finish(&fo->op, fo->rc != 0 ? &fo->err : NULL);
        return 0;
    }
    return job_start(fo->op.drv->env.loop, run_on_thread, on_job_done, fo, &fo->job, e);
}

static int
run_list(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    (void)cancel;
    return file_store_list(
        store_of(fo), fo->req.list.level, fo->req.list.seek, &fo->infos, &fo->n_infos, e);
}

static void
deliver_list(struct drv_op *op)
{
    struct file_op *fo = file_op_of(op);

    if (fo->n_infos > 0)
        fo->req.list.entries(fo->req.list.arg, fo->infos, fo->n_infos);
}

static void
release_list(struct drv_op *op)
{
    mem_free(file_op_of(op)->infos);
}

static int
file_list(struct drv_op *op, const struct drv_list *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.list = *req;
    fo->run = run_list;
    op->deliver = deliver_list;
    op->release = release_list;
    return start(fo, true, e);
}

static int
run_get(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    const struct drv_get *g = &fo->req.get;
    const struct file_name name = { g->level, g->min_txid, g->max_txid };
    size_t got = 0;
    int rc = file_store_get(store_of(fo), &name, g->off, g->buf, g->size, &got, e);

    (void)cancel;
    fo->op.res.size = (int64_t)got;
    return rc;
}

static int
file_get(struct drv_op *op, const struct drv_get *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.get = *req;
    fo->run = run_get;
    return start(fo, (int64_t)req->size <= INLINE_BYTES, e);
}

/* Before the first file of a level: what a killed writer left would stay for ever. */
static void
tidy_once(struct file_drv *fd, int level)
{
    unsigned bit = 1u << level;

    if ((atomic_fetch_or(&fd->tidy, bit) & bit) == 0)
        file_store_tidy(&fd->store, level);
}

static int
run_put(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    const struct drv_put *p = &fo->req.put;
    const struct file_name name = { p->level, p->min_txid, p->max_txid };
    const struct file_input in = { p->src, p->size, p->exclusive };

    tidy_once(fo->op.drv->state, p->level);
    return file_store_put(
        store_of(fo), &name, &in, cancel, &fo->op.res.size, &fo->op.res.created, e);
}

static int
file_put(struct drv_op *op, const struct drv_put *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.put = *req;
    fo->run = run_put;
    /* A source that is still being filled would hold the loop. */
    return start(fo, req->src->fd >= 0 && req->size >= 0 && req->size <= INLINE_BYTES, e);
}

static int
run_del(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    return file_store_del(store_of(fo), fo->req.del.files, fo->req.del.n, cancel, e);
}

static int
file_del(struct drv_op *op, const struct drv_del *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.del = *req;
    fo->run = run_del;
    return start(fo, req->n <= INLINE_DELETES, e);
}

static int
run_del_all(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    (void)cancel;
    return file_store_del_all(store_of(fo), e);
}

static int
file_del_all(struct drv_op *op, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->run = run_del_all;
    return start(fo, false, e);
}

static int
run_list_keys(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    return file_keys_list(
        store_of(fo)->root, fo->req.list_keys.folder, &fo->keys, cancel, e);
}

static void
deliver_list_keys(struct drv_op *op)
{
    struct file_op *fo = file_op_of(op);

    if (fo->keys.n > 0)
        fo->req.list_keys.entries(fo->req.list_keys.arg, fo->keys.items, fo->keys.n);
}

static void
release_list_keys(struct drv_op *op)
{
    file_keys_deinit(&file_op_of(op)->keys);
}

static int
file_list_keys(struct drv_op *op, const struct drv_list_keys *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.list_keys = *req;
    fo->run = run_list_keys;
    op->deliver = deliver_list_keys;
    op->release = release_list_keys;
    return start(fo, true, e);
}

static int
run_get_key(struct file_op *fo, const struct cancel *cancel, struct err *e)
{
    const struct drv_get_key *g = &fo->req.get_key;
    char *path = path_join(store_of(fo)->root, g->key);
    size_t got = 0;
    int rc = file_read_part(path, g->off, g->buf, g->size, &got, e);

    (void)cancel;
    fo->op.res.size = (int64_t)got;
    mem_free(path);
    return rc;
}

static int
file_get_key(struct drv_op *op, const struct drv_get_key *req, struct err *e)
{
    struct file_op *fo = file_op_of(op);

    fo->req.get_key = *req;
    fo->run = run_get_key;
    return start(fo, (int64_t)req->size <= INLINE_BYTES, e);
}

static void
file_cancel(struct drv_op *op)
{
    job_cancel(file_op_of(op)->job);
}

static int
file_open(struct drv *d, const struct cfg_replica *cfg, struct err *e)
{
    struct file_drv *fd = d->state;

    if (cfg->path == NULL || cfg->path[0] == '\0')
        return err_set(e, ERR_CONFIG, "file replica path required");
    fd->store.root = mem_strdup(cfg->path);
    fd->store.owner = d->env.owner;
    return 0;
}

static void
file_close(struct drv *d)
{
    struct file_drv *fd = d->state;

    mem_free(fd->store.root);
    drv_closed(d);
}

const struct drv_ops drv_file_ops = {
    .type = "file",
    .state_bytes = sizeof(struct file_drv),
    .op_bytes = sizeof(struct file_op),
    .open = file_open,
    .close = file_close,
    .list = file_list,
    .get = file_get,
    .put = file_put,
    .del = file_del,
    .del_all = file_del_all,
    .list_keys = file_list_keys,
    .get_key = file_get_key,
    .cancel = file_cancel,
};
