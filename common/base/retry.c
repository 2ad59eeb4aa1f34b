#include "common/base/retry.h"

#include "common/base/must.h"
#include "common/base/rand.h"

void
retry_init(struct retry *r, int64_t first_ms, int64_t max_ms)
{
    must(max_ms > 0);
    *r = (struct retry){ .first_ms = first_ms > 0 ? first_ms : 1, .max_ms = max_ms };
    if (r->first_ms > max_ms)
        r->first_ms = max_ms;
}

int64_t
retry_failed(struct retry *r)
{
    int64_t half;

    r->failures++;
    if (r->delay_ms == 0)
        r->delay_ms = r->first_ms;
    else
        r->delay_ms = r->delay_ms > r->max_ms / 2 ? r->max_ms : r->delay_ms * 2;
    half = r->delay_ms / 2;
    return r->delay_ms - half + (int64_t)rand_below((uint64_t)half + 1);
}

uint32_t
retry_succeeded(struct retry *r)
{
    uint32_t n = r->failures;

    r->failures = 0;
    r->delay_ms = 0;
    r->last_log = (struct mono){ 0 };
    return n;
}

bool
retry_should_log(struct retry *r, struct mono now)
{
    if (r->last_log.ns != 0 && mono_diff_ms(now, r->last_log) < RETRY_LOG_EVERY_MS)
        return false;
    r->last_log = now;
    return true;
}
