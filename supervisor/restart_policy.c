#include "supervisor/restart_policy.h"

int64_t
restart_policy_died(
    struct restart_policy *p, int64_t lived_ms, bool ready, bool *failed_now)
{
    *failed_now = false;
    p->restarts++;
    if (lived_ms >= RESTART_HEALTHY_MS)
        p->delay_ms = 0;
    p->delay_ms = p->delay_ms == 0                   ? RESTART_FIRST_MS
                  : p->delay_ms > RESTART_MAX_MS / 2 ? RESTART_MAX_MS
                                                     : p->delay_ms * 2;
    p->start_deaths = ready ? 0 : p->start_deaths + 1;
    if (p->start_deaths > RESTART_START_DEATHS) {
        *failed_now = !p->failed;
        p->failed = true;
        p->delay_ms = RESTART_MAX_MS;
    }
    return p->delay_ms;
}

void
restart_policy_ready(struct restart_policy *p)
{
    p->failed = false;
    p->start_deaths = 0;
}
