#include "workers/compact/upload.h"

#include "common/base/mem.h"
#include "drivers/loop/job.h"

#define PIPE_SIZE ((size_t)1 << 20)

struct upload {
    struct upload_options opt;
    struct drv_pipe *pipe;
    struct drv_op *op; /* NULL: the driver is through */
    struct job *job;   /* NULL: the maker is through */
    struct err err;    /* the first thing that went wrong; code ERR_OK: none */
    struct ltx_info written;
};

static void
remember(struct upload *u, const struct err *e)
{
    if (u->err.code == ERR_OK)
        u->err = *e;
}

/* The maker's work is in vain. */
static void
stop_maker(struct upload *u)
{
    drv_pipe_abandon(u->pipe);
    if (u->job == NULL)
        return;
    job_cancel(u->job);
    if (u->opt.stop != NULL)
        u->opt.stop(u->opt.arg);
}

static void
finish_if_over(struct upload *u)
{
    bool good = u->err.code == ERR_OK;

    if (u->op != NULL || u->job != NULL)
        return;
    drv_pipe_free(u->pipe);
    u->opt.done(u->opt.arg, good ? &u->written : NULL, good ? NULL : &u->err);
    mem_free(u);
}

/* --- the maker's thread ---------------------------------------------------------------
 */

static int
sink_write(void *arg, const void *bytes, size_t n, struct err *e)
{
    return drv_pipe_write(arg, bytes, n, e);
}

static void
run(void *arg, const struct cancel *cancel)
{
    struct upload *u = arg;
    struct ltx_sink sink = { .write = sink_write, .arg = u->pipe };
    struct err e;
    int rc = u->opt.make(u->opt.arg, sink, cancel, &e);

    /* The driver gets the error and passes it on; when it has gone nobody needs it. */
    drv_pipe_end(u->pipe, rc != 0 ? &e : NULL);
}

/* --- the loop -------------------------------------------------------------------------
 */

static void
on_made(void *arg)
{
    struct upload *u = arg;

    u->job = NULL;
    finish_if_over(u);
}

static void
on_stored(void *arg, const struct drv_result *res)
{
    struct upload *u = arg;

    u->op = NULL;
    if (res->err != NULL) {
        remember(u, res->err);
        stop_maker(u);
    } else {
        u->err.code = ERR_OK; /* all of it is there, whatever was asked meanwhile */
        u->written = (struct ltx_info){ .level = u->opt.level,
            .min_txid = u->opt.min_txid,
            .max_txid = u->opt.max_txid,
            .size = res->size,
            .created = res->created };
    }
    finish_if_over(u);
}

int
upload_start(const struct upload_options *options, struct upload **out, struct err *e)
{
    struct upload *u = MEM_NEW(struct upload);
    struct drv_put put = { .level = options->level,
        .min_txid = options->min_txid,
        .max_txid = options->max_txid,
        .size = -1,
        .bound = options->bound,
        .done = on_stored,
        .arg = u };
    int rc = drv_pipe_new(options->loop, PIPE_SIZE, &u->pipe, e);

    if (rc != 0) {
        mem_free(u);
        return rc;
    }
    u->opt = *options;
    put.src = drv_pipe_source(u->pipe);
    u->op = drv_put(options->drv, &put, e);
    if (u->op == NULL) {
        drv_pipe_free(u->pipe);
        mem_free(u);
        return err_code(e);
    }
    *out = u;
    rc = job_start(options->loop, run, on_made, u, &u->job, e);
    if (rc != 0) { /* told by `done`, when the driver has heard of it */
        remember(u, e);
        drv_pipe_end(u->pipe, e);
    }
    return 0;
}

void
upload_cancel(struct upload *u)
{
    struct err e;

    if (u == NULL)
        return;
    err_set(&e, ERR_CANCELLED, "cancelled");
    remember(u, &e);
    stop_maker(u);
    drv_cancel(u->op);
}
