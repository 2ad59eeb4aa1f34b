/*
 * v03 - fetches the objects of a Litestream v0.3 plan and rebuilds the database.
 */
#ifndef WORKERS_RESTORE_V03_H
#define WORKERS_RESTORE_V03_H

#include <stdint.h>

#include "common/base/err.h"
#include "workers/restore/output.h"
#include "workers/restore/session.h"
#include "workers/restore/v03_plan.h"

/*
 * Into an open output, which the caller publishes. *size: bytes of the database.
 *
 *   returns 0; ERR_CORRUPT when something is missing or damaged
 */
int v03_restore(struct session *s, const struct v03_plan *plan, unsigned parallelism,
    struct output *output, int64_t *size, struct err *e);

#endif
