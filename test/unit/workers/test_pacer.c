#include <criterion/criterion.h>

#include "workers/sync/pacer.h"

#define SEC INT64_C(1000000000)

static struct mono
at(int64_t ms)
{
    return (struct mono){ SEC + ms * 1000000 };
}

Test(pacer, nothing_is_due_until_something_happened)
{
    struct pacer p;

    pacer_init(&p, SEC);
    cr_assert_eq(pacer_due_ms(&p, at(0)), -1);
    pacer_touch(&p);
    cr_assert_eq(pacer_due_ms(&p, at(0)), 0);
    pacer_start(&p, at(0));
    cr_assert_eq(pacer_due_ms(&p, at(5000)), -1);
}

Test(pacer, the_first_change_after_a_quiet_interval_goes_at_once)
{
    struct pacer p;

    pacer_init(&p, SEC);
    pacer_start(&p, at(0));
    pacer_touch(&p);
    cr_assert_eq(pacer_due_ms(&p, at(1000)), 0);
    cr_assert_eq(pacer_due_ms(&p, at(60000)), 0);
}

Test(pacer, a_busy_one_runs_once_per_interval)
{
    struct pacer p;
    int64_t now = 0;
    int rounds = 0;

    pacer_init(&p, SEC);
    for (; now < 100000; now += 7) { /* a change every 7 ms for 100 s */
        pacer_touch(&p);
        if (pacer_due_ms(&p, at(now)) == 0) {
            pacer_start(&p, at(now));
            rounds++;
        }
    }
    cr_assert_geq(rounds, 100);
    cr_assert_leq(rounds, 104); /* a little early, never late */
}

Test(pacer, waits_are_rounded_up_so_that_a_timer_is_never_early)
{
    struct pacer p;

    pacer_init(&p, SEC);
    pacer_start(&p, at(0));
    pacer_touch(&p);
    for (int64_t ns = 0; ns < SEC; ns += 333333) {
        struct mono now = { at(0).ns + ns };
        int64_t due = pacer_due_ms(&p, now);
        struct mono later = { now.ns + due * 1000000 };

        cr_assert_eq(pacer_due_ms(&p, later), 0);
        cr_assert_leq(due, 1000);
    }
}

Test(pacer, without_an_interval_time_never_asks)
{
    struct pacer p;

    pacer_init(&p, 0);
    pacer_touch(&p);
    cr_assert_eq(pacer_due_ms(&p, at(0)), -1);
    pacer_init(&p, -SEC);
    pacer_touch(&p);
    cr_assert_eq(pacer_due_ms(&p, at(0)), -1);
}

Test(pacer, an_interval_of_centuries_does_not_overflow)
{
    struct pacer p;

    pacer_init(&p, INT64_MAX);
    pacer_start(&p, at(0));
    pacer_touch(&p);
    cr_assert_gt(pacer_due_ms(&p, at(0)), 0);
}
