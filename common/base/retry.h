/*
 * retry - when to try again after errors: doubling from a first delay to a cap, full
 * jitter on the upper half so that many workers do not come back at once.
 *
 * Plain data and arithmetic, no clock of its own.
 */
#ifndef COMMON_BASE_RETRY_H
#define COMMON_BASE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mono.h"

struct retry {
    int64_t first_ms;
    int64_t max_ms;
    int64_t delay_ms;     /* of the last failure, without jitter; 0: none since success */
    uint32_t failures;    /* in a row */
    struct mono last_log; /* see retry_should_log */
};

#define RETRY_LOG_EVERY_MS 30000

void retry_init(struct retry *r, int64_t first_ms, int64_t max_ms);

/* Counts a failure and returns how long to wait: between half of the delay and all of it.
 */
int64_t retry_failed(struct retry *r);

/* Forgets the failures; returns how many there were in a row. */
uint32_t retry_succeeded(struct retry *r);

/* True for the first failure of a row, then at most every 30 seconds. */
bool retry_should_log(struct retry *r, struct mono now);

#endif
