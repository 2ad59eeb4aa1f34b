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
