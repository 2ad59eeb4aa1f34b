/*
 * mono - intervals and deadlines on the monotonic clock.
 *
 * A type of its own, so that it cannot be mixed with a stored timestamp (struct wall).
 * Tests replace the clock through mono_set_source.
 */
#ifndef COMMON_BASE_MONO_H
#define COMMON_BASE_MONO_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
    int64_t ns; /* since some moment in the past; 0 is "never" by convention */
};

struct mono mono_now(void);
int64_t mono_since_ns(struct mono t); /* from t to now */
int64_t mono_since_ms(struct mono t);
struct mono mono_add_ms(struct mono t, int64_t ms); /* stops at the ends of the range */
int64_t mono_diff_ms(struct mono later, struct mono earlier);
bool mono_reached(struct mono deadline); /* a deadline of 0 is never reached */

/*
 * Milliseconds from now to t, rounded up, at least 0. "Never" has no such number: a
 * caller with a deadline of 0 asks before.
 */
uint64_t mono_wait_ms(struct mono t);

void mono_set_source(struct mono (*now)(void)); /* NULL: the real clock */

#endif
