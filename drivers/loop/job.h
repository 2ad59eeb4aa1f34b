/*
 * job - a piece of work on a thread of its own that reports back to the loop.
 *
 * For what would hold the loop for long: large copies, full images, merges, restores. The
 * thread ends with the work, so that an idle worker has none (libuv's pool keeps its
 * threads for ever). Never in the supervisor.
 */
#ifndef DRIVERS_LOOP_JOB_H
#define DRIVERS_LOOP_JOB_H

#include <uv.h>

#include "common/base/cancel.h"
#include "common/base/err.h"

struct job; /* opaque */

/* On the thread; looks at *cancel now and then. */
typedef void job_run_cb(void *arg, const struct cancel *cancel);

/* From the loop, once, after the thread has ended; the job is gone when it returns. */
typedef void job_done_cb(void *arg);

/* *out is valid until `done` runs; may be NULL. ERR_LIMIT when no thread can be had. */
int job_start(uv_loop_t *loop, job_run_cb *run, job_done_cb *done, void *arg,
    struct job **out, struct err *e);

/* Asks the work to end soon; `done` still comes. NULL is fine. */
void job_cancel(struct job *j);

#endif
