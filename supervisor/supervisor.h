/*
 * supervisor - one thread, one loop, no database ever opened: starts a worker per
 * database, starts it again when it dies, and ends them all in order.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "common/base/err.h"
#include "config/config.h"

/*
 * Runs until a signal ends it. Returns 0, or what went wrong: nothing could be started,
 * or the last changes of a database did not reach its replicas.
 */
int supervisor_run(struct config *config, struct err *e);

#endif
