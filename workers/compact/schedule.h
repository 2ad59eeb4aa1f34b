/*
 * schedule - when the next merge, snapshot or retention pass of a database begins.
 *
 * Boundaries are multiples of the interval counted from 0001-01-01T00:00:00Z (proleptic
 * Gregorian), as Litestream counts them: intervals that divide a day agree with rounding
 * from 1970, others (7h, 168h, 7s) do not. Weeks begin on Mondays.
 *
 * All functions are plain and take any value; a result that a struct wall cannot hold is
 * limited to what it can.
 */
#ifndef WORKERS_COMPACT_SCHEDULE_H
#define WORKERS_COMPACT_SCHEDULE_H

#include <stdint.h>

#include "common/base/wall.h"

/* The boundary at or before `now`; `now` itself when interval_ns <= 0. */
struct wall schedule_prev(struct wall now, int64_t interval_ns);

/* The first boundary after `now`: schedule_prev and one interval. */
struct wall schedule_next(struct wall now, int64_t interval_ns);

/*
 * How long after each boundary this database begins: the same in every life, spread over
 * 0..min(interval / 10, 5 s), so that many databases do not begin in the same moment.
 *
 *   seed  the path of the database
 */
int64_t schedule_offset_ns(const char *seed, int64_t interval_ns);

/*
 * Nanoseconds until the next boundary that is shifted by the offset; 1..interval_ns, so a
 * task that ends exactly on one waits for the one after it. 0 when interval_ns <= 0.
 */
int64_t schedule_wait_ns(struct wall now, int64_t interval_ns, int64_t offset_ns);

struct wall schedule_add(struct wall t, int64_t ns); /* ns may be negative */

#endif
