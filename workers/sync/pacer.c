#include "workers/sync/pacer.h"

/*
 * A round that starts a little early joins the beat of whoever feeds it (an upload right
 * after the sync that made the file) instead of missing it by a timer's rounding.
 */
#define SLACK_SHIFT 5 /* 1/32 of the interval */

void
pacer_init(struct pacer *p, int64_t interval_ns)
{
    *p = (struct pacer){ .interval_ns = interval_ns };
}

void
pacer_touch(struct pacer *p)
{
    p->dirty = true;
}

/*
 * A round that was held up counts from when it was due: counting from its start would
 * leave uploads out of step with the syncs that feed them, for as long as the load lasts,
 * and add up to an interval to the delay of every change.
 */
void
pacer_start(struct pacer *p, struct mono now)
{
    int64_t late_ns = now.ns - p->last.ns;

    if (p->last.ns != 0 && p->interval_ns > 0 && late_ns >= p->interval_ns &&
        late_ns - p->interval_ns < p->interval_ns)
        p->last.ns += p->interval_ns;
    else
        p->last = now;
    p->dirty = false;
}

int64_t
pacer_due_ms(const struct pacer *p, struct mono now)
{
    int64_t due_ns, left;

    if (!p->dirty || p->interval_ns <= 0)
        return -1;
    if (p->last.ns == 0)
        return 0;
    if (__builtin_add_overflow(p->last.ns, p->interval_ns, &due_ns))
        due_ns = INT64_MAX;
    left = due_ns - (p->interval_ns >> SLACK_SHIFT) - now.ns;
    return left <= 0 ? 0 : (left - 1) / 1000000 + 1;
}
