#include <criterion/criterion.h>

#include "supervisor/restart_policy.h"

Test(restart_policy, delays_double_to_a_minute)
{
    static const int64_t want[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
    struct restart_policy p = { 0 };
    bool failed;

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        cr_assert_eq(restart_policy_died(&p, 10, true, &failed), want[i]);
    cr_assert_eq(p.restarts, 8u);
}

Test(restart_policy, a_minute_of_health_starts_over)
{
    struct restart_policy p = { 0 };
    bool failed;

    restart_policy_died(&p, 10, true, &failed);
    restart_policy_died(&p, 10, true, &failed);
    cr_assert_eq(restart_policy_died(&p, 59999, true, &failed), 4000);
    cr_assert_eq(restart_policy_died(&p, 60000, true, &failed), 1000);
}

Test(restart_policy, one_that_never_gets_ready_is_failed_once_and_tried_slowly)
{
    struct restart_policy p = { 0 };
    int said = 0;
    bool failed;

    for (int i = 0; i < 30; i++) {
        int64_t delay = restart_policy_died(&p, 5, false, &failed);

        said += failed;
        if (i >= RESTART_START_DEATHS)
            cr_assert_eq(delay, RESTART_MAX_MS);
    }
    cr_assert_eq(said, 1);
    cr_assert(p.failed);
    restart_policy_ready(&p);
    cr_assert_not(p.failed);
    restart_policy_died(&p, 5, false, &failed);
    cr_assert_not(failed);
}

Test(restart_policy, so_many_deaths_at_the_start_are_borne_and_no_more)
{
    struct restart_policy p = { 0 };
    bool failed;

    for (int i = 0; i < RESTART_START_DEATHS; i++) {
        restart_policy_died(&p, 5, false, &failed);
        cr_assert_not(failed || p.failed, "death %d", i + 1);
    }
    restart_policy_died(&p, 5, false, &failed);
    cr_assert(failed && p.failed);
}

/* One life that got to work in between: the deaths are not in a row. */
Test(restart_policy, a_life_that_was_at_work_breaks_the_row)
{
    struct restart_policy p = { 0 };
    bool failed;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < RESTART_START_DEATHS; i++) {
            restart_policy_died(&p, 5, false, &failed);
            cr_assert_not(failed);
        }
        restart_policy_died(&p, 5, true, &failed);
        cr_assert_not(failed);
    }
    cr_assert_eq(p.restarts, 3 * (RESTART_START_DEATHS + 1));
}

Test(restart_policy, one_that_fails_again_after_it_was_at_work_is_reported_again)
{
    struct restart_policy p = { 0 };
    bool failed;
    int said = 0;

    for (int i = 0; i < 40; i++) {
        if (i == 20)
            restart_policy_ready(&p);
        restart_policy_died(&p, 5, false, &failed);
        said += failed;
    }
    cr_assert_eq(said, 2);
}

/* A start that takes long is a start all the same. */
Test(restart_policy, long_starts_that_end_badly_count_and_are_tried_slowly_in_the_end)
{
    struct restart_policy p = { 0 };
    int64_t delay = 0;
    bool failed;

    for (int i = 0; i <= RESTART_START_DEATHS; i++)
        delay = restart_policy_died(&p, 10 * RESTART_HEALTHY_MS, false, &failed);
    cr_assert(p.failed);
    cr_assert_eq(delay, RESTART_MAX_MS);
}

/* To be at work is not yet to be healthy. */
Test(restart_policy, the_delay_stays_long_until_a_minute_of_health)
{
    struct restart_policy p = { 0 };
    bool failed;

    for (int i = 0; i < 1000; i++)
        restart_policy_died(&p, 5, false, &failed);
    restart_policy_ready(&p);
    cr_assert_eq(restart_policy_died(&p, 10, true, &failed), RESTART_MAX_MS);
    cr_assert_eq(
        restart_policy_died(&p, RESTART_HEALTHY_MS - 1, true, &failed), RESTART_MAX_MS);
    cr_assert_eq(
        restart_policy_died(&p, RESTART_HEALTHY_MS, true, &failed), RESTART_FIRST_MS);
    cr_assert_eq(restart_policy_died(&p, 10, true, &failed), 2 * RESTART_FIRST_MS);
}
