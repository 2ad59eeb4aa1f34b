/*
 * spawn - forks workers and short tasks. The only fork() there is.
 *
 * The child takes its role, keeps descriptors 0 to 2 and its channel end, closes the rest
 * (a kept copy of a sister's channel end would hide that sister's death), leaves signals
 * to the supervisor (a terminal or an init system sends them to all), has the secrets of
 * its own database only, and never returns.
 */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <sys/types.h>

#include "workers/worker.h"

struct spawn {
    struct worker_start start; /* channel is filled in here */
};

/* *channel: the supervisor's end, non-blocking, the caller's. */
int spawn_worker(const struct spawn *s, pid_t *pid, int *channel, struct err *e);

/*
 * A piece of work on one database that may use threads: the child keeps descriptors 0 to
 * 2, is a command, ignores SIGINT and SIGTERM unless it says otherwise, and ends with
 * what `run` returns.
 */
typedef int spawn_task_cb(const struct cfg_db *db);
int spawn_task(const struct cfg_db *db, spawn_task_cb *run, pid_t *pid, struct err *e);

/*
 * The same for a short piece of work that is about no database: it has no secrets. `arg`
 * is read in the child's copy of our memory.
 */
typedef int spawn_helper_cb(const void *arg);
int spawn_helper(spawn_helper_cb *run, const void *arg, pid_t *pid, struct err *e);

#endif
