/*
 * self_run - a command of this program, in a process of its own: what waits for disks and
 * networks has no place on the supervisor's loop.
 *
 * Its stdout and stderr come as one text. It is killed when it takes too long or says too
 * much. Loop thread of the supervisor.
 */
#ifndef SUPERVISOR_MCP_SELF_RUN_H
#define SUPERVISOR_MCP_SELF_RUN_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"

#define SELF_RUN_OUTPUT_MAX ((size_t)4 << 20)

struct self_run; /* opaque */

struct self_run_result {
    int status;       /* exit status; -1: killed by a signal, or by us: see why */
    const char *why;  /* "exit status 1", "signal 9", "took longer than 60 s", ... */
    const char *text; /* what it said, NUL-terminated; borrowed for the call */
    size_t size;
};

typedef void self_run_done_cb(void *arg, const struct self_run_result *res);

/*
 *   argv     of the program, NULL at the end; argv[0] is for show; copied
 *   done     from the loop, exactly once; the run is gone when it returns
 */
int self_run_start(uv_loop_t *loop, const char *const *argv, int64_t timeout_ms,
    self_run_done_cb *done, void *arg, struct self_run **out, struct err *e);

/* Kills it; `done` follows. NULL is fine. */
void self_run_kill(struct self_run *r);

#endif
