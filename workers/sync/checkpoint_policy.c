#include "workers/sync/checkpoint_policy.h"

#include "common/wal/wal_format.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000

/* Waits for the write lock, and the pause after a miss as a multiple of the wait. */
#define PATIENCE_FIRST_MS 10
#define PATIENCE_MAX_MS 1000
#define MISS_PAUSE 2

/* A writer hardly notices so many milliseconds. */
#define LINGER_FIRST_MS 2
#define LINGER_MAX_MS 32

void
ckpt_policy_init(
    struct ckpt_policy *p, int64_t min_pages, int64_t interval_ns, struct mono now)
{
    *p = (struct ckpt_policy){ .min_pages = min_pages,
        .interval_ns = interval_ns,
        .last_attempt = now,
        .patience_ms = PATIENCE_FIRST_MS,
        .base_off = WAL_HEADER_SIZE };
}

void
ckpt_policy_restarted(struct ckpt_policy *p)
{
    p->base_off = WAL_HEADER_SIZE;
    p->linger_ms -= p->linger_ms / 4; /* it may do with less */
    p->whole = false;
    p->blocked = false;
    p->retry_ms = 0;
}

void
ckpt_policy_captured(struct ckpt_policy *p)
{
    p->captured = true;
}

/* The moment from which time alone allows an attempt; false: never. */
static bool
time_due(const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono *at)
{
    if (!p->captured)
        return false;
    if (p->blocked && off >= wal_size_of(page_size, p->min_pages)) {
        *at = mono_add_ms(p->last_attempt, p->retry_ms);
        return true;
    }
    if (p->interval_ns <= 0 || off <= wal_size_of(page_size, 1))
        return false;
    *at = mono_add_ms(p->last_attempt, (p->interval_ns - 1) / 1000000 + 1);
    return true;
}

bool
ckpt_policy_due(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now)
{
    int64_t threshold = wal_size_of(page_size, p->min_pages);
    struct mono at;

    if (p->not_before.ns > now.ns)
        return false;
    if (p->not_before.ns != 0)
        return true;
    if (p->captured && off >= threshold && off - p->base_off >= threshold / 4)
        return true;
    return time_due(p, off, page_size, &at) && now.ns >= at.ns;
}

int64_t
ckpt_policy_wait_ms(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now)
{
    struct mono at = p->not_before;

    if (at.ns == 0 && !time_due(p, off, page_size, &at))
        return -1;
    return at.ns <= now.ns ? 0 : (at.ns - now.ns - 1) / 1000000 + 1;
}

void
ckpt_policy_missed(struct ckpt_policy *p, struct mono now)
{
    p->not_before = mono_add_ms(now, p->patience_ms * MISS_PAUSE);
    p->patience_ms =
        p->patience_ms > PATIENCE_MAX_MS / 2 ? PATIENCE_MAX_MS : p->patience_ms * 2;
}

void
ckpt_policy_done(struct ckpt_policy *p, bool complete, int64_t off, struct mono now)
{
    p->patience_ms = PATIENCE_FIRST_MS;
    p->not_before = (struct mono){ 0 };
    p->last_attempt = now;
    p->base_off = off;
    if (complete && p->whole)
        p->linger_ms = p->linger_ms == 0                  ? LINGER_FIRST_MS
                       : p->linger_ms > LINGER_MAX_MS / 2 ? LINGER_MAX_MS
                                                          : p->linger_ms * 2;
    p->whole = complete;
    if (complete) {
        p->captured = false;
        p->blocked = false;
        p->retry_ms = 0;
        return;
    }
    if (!p->blocked)
        p->retry_ms = RETRY_FIRST_MS;
    else
        p->retry_ms = p->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS : p->retry_ms * 2;
    p->blocked = true;
}
