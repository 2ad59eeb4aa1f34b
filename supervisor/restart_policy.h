/*
 * restart_policy - when a worker that died is started again. Plain values.
 *
 * After 1 s, doubling to 60 s, back to 1 s after a minute of health. One that dies again
 * and again before it was ready is reported as failed and from then on tried at the
 * longest delay only.
 */
#ifndef SUPERVISOR_RESTART_POLICY_H
#define SUPERVISOR_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_FIRST_MS 1000
#define RESTART_MAX_MS 60000
#define RESTART_HEALTHY_MS 60000
#define RESTART_START_DEATHS 10

struct restart_policy {
    int64_t delay_ms;      /* of the last restart, 0: none */
    unsigned start_deaths; /* in a row, before it was ready */
    unsigned restarts;     /* ever */
    bool failed;
};

/*
 * A worker died after lived_ms; ready: its first sync had been done. Returns the delay.
 * *failed_now: this death makes it failed.
 */
int64_t restart_policy_died(
    struct restart_policy *p, int64_t lived_ms, bool ready, bool *failed_now);

/* It is at work: no longer failed. */
void restart_policy_ready(struct restart_policy *p);

#endif
