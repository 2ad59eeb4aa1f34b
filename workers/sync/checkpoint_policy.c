#include "workers/sync/checkpoint_policy.h"

#include "common/wal/wal_format.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000

/* After a blocked attempt the next one waits for this part of the WAL to be added. */
#define BLOCKED_STEP 8

/* Waits for the write lock, and the pause after a miss as a multiple of the wait. */
#define PATIENCE_FIRST_MS 10
#define PATIENCE_MAX_MS 1000
#define MISS_PAUSE 2

/* A writer hardly notices so many milliseconds, and may be asked for so many. */
#define LINGER_FIRST_MS 5
#define LINGER_MAX_MS 20

/* A WAL so many times as large as it should be is far too large. */
#define TOO_LARGE 8

/* One so many times as large is a greater evil than writers that wait for longer. */
#define MUCH_TOO_LARGE 64
#define LINGER_UTMOST_MS 80

/* Pauses in which something else may get out of the way. */
#define PUT_OFF_FIRST_MS 100
#define PUT_OFF_MAX_MS 5000

/* How long readers may live to be waited for, and the delay after the first wait. */
#define FORCE_FIRST_MS 1000

void
ckpt_policy_init(struct ckpt_policy *p, const struct ckpt_settings *set, struct mono now)
{
    *p = (struct ckpt_policy){ .set = *set,
        .last_attempt = now,
        .base_off = WAL_HEADER_SIZE,
        .linger_ms = LINGER_FIRST_MS,
        .patience_ms = PATIENCE_FIRST_MS,
        .put_off_ms = PUT_OFF_FIRST_MS,
        .force_ms = FORCE_FIRST_MS };
    if (set->interval_ns > 0)
        p->phase_ns = (int64_t)(set->seed % (uint64_t)set->interval_ns);
}

bool
ckpt_policy_restarted(struct ckpt_policy *p)
{
    bool unforced = p->over && !p->forced;

    p->base_off = WAL_HEADER_SIZE;
    p->linger_ms -= p->linger_ms / 4; /* it may do with less */
    if (p->linger_ms < LINGER_FIRST_MS)
        p->linger_ms = LINGER_FIRST_MS;
    p->blocked = false;
    p->retry_ms = 0;
    p->over = p->forced = false;
    p->force_from = (struct mono){ 0 };
    p->force_ms = FORCE_FIRST_MS;
    return unforced;
}

void
ckpt_policy_captured(struct ckpt_policy *p, struct mono now)
{
    if (!p->captured)
        p->captured_at = now;
    p->captured = true;
}

/* The first moment of this database that is not before t. */
static struct mono
own_moment(const struct ckpt_policy *p, int64_t t_ns)
{
    int64_t behind = (t_ns - p->phase_ns) % p->set.interval_ns;

    if (behind < 0)
        behind += p->set.interval_ns;
    return (struct mono){ behind == 0 ? t_ns : t_ns - behind + p->set.interval_ns };
}

/* The moment from which time alone allows an attempt; false: never. */
static bool
time_due(const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono *at)
{
    int64_t from;

    if (!p->captured)
        return false;
    if (p->blocked && off >= wal_size_of(page_size, p->set.min_pages)) {
        *at = mono_add_ms(p->last_attempt, p->retry_ms);
        return true;
    }
    if (p->set.interval_ns <= 0 || off <= wal_size_of(page_size, 1))
        return false;
    from = p->last_attempt.ns + p->set.interval_ns / 2;
    *at = own_moment(p, from > p->captured_at.ns ? from : p->captured_at.ns);
    return true;
}

/* How much must be added since the last attempt: the more there is, the more. */
static int64_t
step(const struct ckpt_policy *p, int64_t threshold)
{
    int64_t part = p->blocked ? p->base_off / BLOCKED_STEP : 0;

    return part > threshold / 4 ? part : threshold / 4;
}

bool
ckpt_policy_due(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now)
{
    int64_t threshold = wal_size_of(page_size, p->set.min_pages);
    struct mono at;

    if (p->not_before.ns > now.ns)
        return false;
    if (p->not_before.ns != 0)
        return true;
    if (p->captured && off >= threshold && off - p->base_off >= step(p, threshold))
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

bool
ckpt_policy_force(struct ckpt_policy *p, int64_t off, int64_t copied_off,
    uint32_t page_size, struct mono now)
{
    bool first = !p->over, old_readers = copied_off < p->over_off;

    if (p->set.truncate_pages <= 0 || off < wal_size_of(page_size, p->set.truncate_pages))
        return false;
    if (!first && now.ns < mono_add_ms(p->over_at, FORCE_FIRST_MS).ns)
        return false;
    p->over = true;
    p->over_at = now;
    p->over_off = off;
    if (first || old_readers || now.ns < p->force_from.ns)
        return false;
    p->forced = true;
    p->force_from = mono_add_ms(now, p->force_ms);
    p->force_ms = p->force_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS : p->force_ms * 2;
    return true;
}

void
ckpt_policy_missed(struct ckpt_policy *p, struct mono now)
{
    p->not_before = mono_add_ms(now, p->patience_ms * MISS_PAUSE);
    p->patience_ms =
        p->patience_ms > PATIENCE_MAX_MS / 2 ? PATIENCE_MAX_MS : p->patience_ms * 2;
}

void
ckpt_policy_put_off(struct ckpt_policy *p, struct mono now)
{
    p->not_before = mono_add_ms(now, p->put_off_ms);
    p->put_off_ms =
        p->put_off_ms > PUT_OFF_MAX_MS / 2 ? PUT_OFF_MAX_MS : p->put_off_ms * 2;
}

bool
ckpt_policy_too_large(const struct ckpt_policy *p, int64_t off, uint32_t page_size)
{
    return off / TOO_LARGE >= wal_size_of(page_size, p->set.min_pages);
}

int64_t
ckpt_policy_held_max(const struct ckpt_policy *p, int64_t off, uint32_t page_size)
{
    bool much = off / MUCH_TOO_LARGE >= wal_size_of(page_size, p->set.min_pages);

    return much ? LINGER_UTMOST_MS : LINGER_MAX_MS;
}

void
ckpt_policy_done(struct ckpt_policy *p, bool complete, int64_t off, uint32_t page_size,
    struct mono now)
{
    int64_t most = ckpt_policy_held_max(p, off, page_size);
    bool waited = now.ns >= mono_add_ms(p->last_attempt, p->retry_ms).ns;

    p->patience_ms = PATIENCE_FIRST_MS;
    p->put_off_ms = PUT_OFF_FIRST_MS;
    p->not_before = (struct mono){ 0 };
    p->last_attempt = now;
    p->base_off = off;
    if (ckpt_policy_too_large(p, off, page_size))
        p->linger_ms = p->linger_ms > most / 2 ? most : p->linger_ms * 2;
    if (complete) {
        p->captured = false;
        p->blocked = false;
        p->retry_ms = 0;
        return;
    }
    if (!p->blocked)
        p->retry_ms = RETRY_FIRST_MS;
    else if (waited)
        p->retry_ms = p->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS : p->retry_ms * 2;
    p->blocked = true;
}
