#include "common/base/rand.h"

#include <sys/random.h>
#include <time.h>

#include "common/base/must.h"

static uint64_t state = 0x9e3779b97f4a7c15u;

void
rand_seed_with(uint64_t s)
{
    state = s;
}

void
rand_seed(void)
{
    uint64_t s;

    /* getrandom cannot fail for 8 bytes once the system is up; fall back to the clock. */
    if (getrandom(&s, sizeof(s), GRND_NONBLOCK) != (ssize_t)sizeof(s)) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        s = (uint64_t)ts.tv_sec * 1000000007u ^ (uint64_t)ts.tv_nsec ^ (uint64_t)getpid();
    }
    rand_seed_with(s);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t
rand_u64(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t
rand_below(uint64_t n)
{
    must(n > 0);
    return rand_u64() % n;
}
