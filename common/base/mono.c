#include "common/base/mono.h"

#include <time.h>

#include "common/base/must.h"

static struct mono
real_now(void)
{
    struct timespec ts;

    must(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (struct mono){ (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec };
}

static struct mono (*source)(void) = real_now;

void mono_set_source(struct mono (*now)(void))
{
    source = now != NULL ? now : real_now;
}

struct mono
mono_now(void)
{
    return source();
}

/* Deadlines may lie at the ends of the range (mono_add_ms). */
static int64_t
diff_ns(struct mono later, struct mono earlier)
{
    int64_t ns;

    if (__builtin_sub_overflow(later.ns, earlier.ns, &ns))
        return later.ns > earlier.ns ? INT64_MAX : INT64_MIN;
    return ns;
}

int64_t
mono_since_ns(struct mono t)
{
    return diff_ns(mono_now(), t);
}

int64_t
mono_since_ms(struct mono t)
{
    return mono_since_ns(t) / 1000000;
}

struct mono
mono_add_ms(struct mono t, int64_t ms)
{
    int64_t ns, sum;

    if (__builtin_mul_overflow(ms, (int64_t)1000000, &ns) ||
        __builtin_add_overflow(t.ns, ns, &sum))
        return (struct mono){ ms > 0 ? INT64_MAX : INT64_MIN };
    return (struct mono){ sum };
}

int64_t
mono_diff_ms(struct mono later, struct mono earlier)
{
    return diff_ns(later, earlier) / 1000000;
}

bool
mono_reached(struct mono deadline)
{
    return deadline.ns != 0 && mono_now().ns >= deadline.ns;
}

uint64_t
mono_wait_ms(struct mono t)
{
    int64_t left = diff_ns(t, mono_now());

    return left <= 0 ? 0 : (uint64_t)(left - 1) / 1000000 + 1;
}
