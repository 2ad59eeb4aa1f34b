/*
 * follow - keeps a restored database up to date with a replica.
 *
 * In each round: list level 0 behind what is here, apply file by file. All levels are
 * listed at the start, when level 0 has a gap (growing intervals while it stays), after
 * an error and once a minute. When nothing on any level follows what is here, the newest
 * state is built beside the database and what differs is written into it.
 *
 * Readers of the database see committed states only (follow_db.h).
 */
#ifndef WORKERS_RESTORE_FOLLOW_H
#define WORKERS_RESTORE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "config/config.h"

struct follow_options {
    const struct cfg_replica *replica;
    const char *output; /* an existing database that is followed already */
    int64_t interval_ms;
    unsigned parallelism;
    bool resumed;                /* it was there before this process */
    const struct cancel *cancel; /* ends it, set by a signal handler */
};

/*
 * Before a restored database is put in place (restore_options.finish): makes it one that
 * can be followed, and writes OUT-txid.
 */
int follow_prepare(const char *output, int fd, uint64_t txid, struct err *e);

/*
 * Until *cancel is asked for: returns 0 then. What may heal is logged and tried again;
 * an error comes back when the database cannot be resumed or must not be touched.
 *
 *   txid  what the database is at, in the end
 */
int follow_run(const struct follow_options *options, uint64_t *txid, struct err *e);

#endif
