/*
 * pacer - when the next round is due: at once after a quiet interval, at most once per
 * interval under load. Arithmetic only; the same shape serves syncs and uploads.
 */
#ifndef WORKERS_SYNC_PACER_H
#define WORKERS_SYNC_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mono.h"

struct pacer {
    int64_t interval_ns; /* <= 0: never by time */
    struct mono last;    /* when the last round was due or started; 0: none yet */
    bool dirty;          /* something may be there */
};

void pacer_init(struct pacer *p, int64_t interval_ns);

/* Something happened: a round is wanted. */
void pacer_touch(struct pacer *p);

/* A round starts now. */
void pacer_start(struct pacer *p, struct mono now);

/* Milliseconds until the next round is due, rounded up; 0: now; -1: nothing to wait for.
 */
int64_t pacer_due_ms(const struct pacer *p, struct mono now);

#endif
