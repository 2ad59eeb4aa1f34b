#include "drivers/loop/job.h"

#include <errno.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "common/base/proc.h"

#define JOB_STACK ((size_t)512 << 10)

struct job {
    uv_async_t finished;
    uv_thread_t thread;
    struct cancel cancel;
    job_run_cb *run;
    job_done_cb *done;
    void *arg;
};

static void
job_main(void *arg)
{
    struct job *j = arg;

    j->run(j->arg, &j->cancel);
    uv_async_send(&j->finished);
}

static void
on_closed(uv_handle_t *h)
{
    struct job *j = container_of(h, struct job, finished);
    job_done_cb *done = j->done;
    void *arg = j->arg;

    mem_free(j);
    if (done != NULL)
        done(arg);
}

static void
on_finished(uv_async_t *h)
{
    struct job *j = container_of(h, struct job, finished);

    uv_thread_join(&j->thread);
    uv_close((uv_handle_t *)h, on_closed);
}

int
job_start(uv_loop_t *loop, job_run_cb *run, job_done_cb *done, void *arg,
    struct job **out, struct err *e)
{
    struct job *j = MEM_NEW(struct job);
    uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
        .stack_size = JOB_STACK };
    int rc;

    proc_must_be(PROC_WORKER | PROC_COMMAND);
    j->run = run;
    j->done = done;
    j->arg = arg;
    rc = uv_async_init(loop, &j->finished, on_finished);
    if (rc != 0) {
        mem_free(j);
        return err_set(e, ERR_LIMIT, "start a job: %s", uv_strerror(rc));
    }
    rc = uv_thread_create_ex(&j->thread, &options, job_main, j);
    if (rc != 0) {
        j->done = NULL; /* nothing was started: nobody is told */
        uv_close((uv_handle_t *)&j->finished, on_closed);
        return err_set(e, ERR_LIMIT, "start a thread: %s", uv_strerror(rc));
    }
    if (out != NULL)
        *out = j;
    return 0;
}

void
job_cancel(struct job *j)
{
    if (j != NULL)
        cancel_ask(&j->cancel);
}
