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

Test(pacer, a_round_that_was_held_up_does_not_delay_those_behind_it)
{
    struct pacer p;

    pacer_init(&p, SEC);
    pacer_start(&p, at(0));
    pacer_start(&p, at(1700)); /* due at 1000 */
    pacer_touch(&p);
    cr_assert_gt(pacer_due_ms(&p, at(1900)), 0);
    cr_assert_eq(pacer_due_ms(&p, at(2000)), 0);
    pacer_start(&p, at(2000));
    pacer_touch(&p);
    cr_assert_gt(pacer_due_ms(&p, at(2900)), 0);
    cr_assert_eq(pacer_due_ms(&p, at(3000)), 0);
}

Test(pacer, a_round_after_a_quiet_time_owes_nothing)
{
    struct pacer p;

    pacer_init(&p, SEC);
    pacer_start(&p, at(0));
    pacer_start(&p, at(7900));
    pacer_touch(&p);
    cr_assert_gt(pacer_due_ms(&p, at(8800)), 0);
}

/* Syncs feed uploads; both keep the same pace, and one of each is slow once. */
Test(pacer, one_that_feeds_another_stays_in_step_with_it)
{
    struct pacer sync, upload;
    int64_t made = -1, now, worst = 0, uploads = 0;

    pacer_init(&sync, SEC);
    pacer_init(&upload, SEC);
    for (now = 0; now < 60000; now++) {
        bool sync_stuck = now > 20300 && now < 21000;
        bool upload_stuck = now > 40100 && now < 40700;

        pacer_touch(&sync);
        if (!sync_stuck && pacer_due_ms(&sync, at(now)) == 0) {
            pacer_start(&sync, at(now));
            pacer_touch(&upload);
            made = made < 0 ? now : made;
        }
        if (!upload_stuck && pacer_due_ms(&upload, at(now)) == 0) {
            pacer_start(&upload, at(now));
            uploads++;
            if (now > 45000 && now - made > worst)
                worst = now - made;
            made = -1;
        }
    }
    cr_expect_leq(worst, 40, "%lld ms", (long long)worst);
    cr_expect_leq(uploads, 63);
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
