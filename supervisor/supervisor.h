/*
 * supervisor - one thread, one loop, no database ever opened: starts a worker per
 * database, starts it again when it dies, and ends them all in order.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

#include "common/base/err.h"
#include "config/config.h"

struct supervisor_options {
    struct config *config; /* borrowed */

    /* Bring every replica up to date and end, instead of running until a signal. */
    bool once, force_snapshot, enforce_retention;
};

/*
 * Runs until a signal ends it, or all is done. Returns 0, or what went wrong: nothing
 * could be started, or the changes of a database did not reach its replicas.
 */
int supervisor_run(const struct supervisor_options *options, struct err *e);

#endif
