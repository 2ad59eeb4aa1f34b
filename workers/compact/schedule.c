#include "workers/compact/schedule.h"

#define NS_PER_SEC INT64_C(1000000000)
#define OFFSET_MAX (5 * NS_PER_SEC)

/* Seconds from 0001-01-01T00:00:00Z to the Unix epoch. */
#define SEC_FROM_YEAR_1 INT64_C(62135596800)

/* a modulo d, never negative; d > 0. */
static uint64_t
modulo(int64_t a, int64_t d)
{
    int64_t r = a % d;

    return (uint64_t)(r < 0 ? r + d : r);
}

/*
 * a * NS_PER_SEC modulo d for a < d: the product does not fit in 64 bits, so it is built
 * bit by bit. d < 2^63, so a sum of two remainders does fit.
 */
static uint64_t
seconds_modulo(uint64_t a, uint64_t d)
{
    uint64_t r = 0;

    for (int bit = 29; bit >= 0; bit--) { /* 2^29 < NS_PER_SEC < 2^30 */
        r = (r + r) % d;
        if ((NS_PER_SEC >> bit & 1) != 0)
            r = (r + a) % d;
    }
    return r;
}

/* Nanoseconds since the last boundary; interval_ns > 0. */
static int64_t
since_prev(struct wall now, int64_t interval_ns)
{
    uint64_t d = (uint64_t)interval_ns;
    uint64_t sec =
        (modulo(now.sec, interval_ns) + modulo(SEC_FROM_YEAR_1, interval_ns)) % d;

    return (int64_t)((seconds_modulo(sec, d) + (uint64_t)now.nsec % d) % d);
}

struct wall
schedule_add(struct wall t, int64_t ns)
{
    int64_t sec = ns / NS_PER_SEC, nsec = t.nsec + ns % NS_PER_SEC;

    if (nsec >= NS_PER_SEC) {
        nsec -= NS_PER_SEC;
        sec++;
    } else if (nsec < 0) {
        nsec += NS_PER_SEC;
        sec--;
    }
    if (__builtin_add_overflow(t.sec, sec, &t.sec))
        return sec < 0 ? (struct wall){ INT64_MIN, 0 }
                       : (struct wall){ INT64_MAX, (int32_t)(NS_PER_SEC - 1) };
    t.nsec = (int32_t)nsec;
    return t;
}

struct wall
schedule_prev(struct wall now, int64_t interval_ns)
{
    return interval_ns > 0 ? schedule_add(now, -since_prev(now, interval_ns)) : now;
}

struct wall
schedule_next(struct wall now, int64_t interval_ns)
{
    return interval_ns > 0 ? schedule_add(now, interval_ns - since_prev(now, interval_ns))
                           : now;
}

int64_t
schedule_offset_ns(const char *seed, int64_t interval_ns)
{
    int64_t most = interval_ns / 10 < OFFSET_MAX ? interval_ns / 10 : OFFSET_MAX;
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    if (most <= 0)
        return 0;
    for (const char *p = seed; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return (int64_t)(h % ((uint64_t)most + 1));
}

int64_t
schedule_wait_ns(struct wall now, int64_t interval_ns, int64_t offset_ns)
{
    if (interval_ns <= 0)
        return 0;
    return interval_ns - since_prev(schedule_add(now, -offset_ns), interval_ns);
}
