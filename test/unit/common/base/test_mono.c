#include <criterion/criterion.h>

#include "common/base/mono.h"

static struct mono fake;

static struct mono
fake_now(void)
{
    return fake;
}

static void
set_clock(int64_t ns)
{
    fake.ns = ns;
    mono_set_source(fake_now);
}

Test(mono, the_real_clock_never_goes_back)
{
    struct mono before = mono_now();

    for (int i = 0; i < 1000; i++) {
        struct mono now = mono_now();

        cr_assert_geq(now.ns, before.ns);
        before = now;
    }
    cr_expect_gt(before.ns, 0);
}

Test(mono, the_source_can_be_replaced_and_put_back)
{
    set_clock(42);
    cr_expect_eq(mono_now().ns, 42);
    mono_set_source(NULL);
    cr_expect_gt(mono_now().ns, 42);
}

Test(mono, measures_what_has_passed)
{
    struct mono start = { 5000000000 };

    set_clock(5012999999);
    cr_expect_eq(mono_since_ns(start), 12999999);
    cr_expect_eq(mono_since_ms(start), 12);
    cr_expect_eq(mono_diff_ms(mono_now(), start), 12);
    cr_expect_eq(mono_diff_ms(start, mono_now()), -12);
}

Test(mono, a_deadline_is_reached_at_its_moment_and_zero_never_is)
{
    struct mono never = { 0 }, deadline;

    set_clock(1000000000);
    deadline = mono_add_ms(mono_now(), 100);
    cr_expect_not(mono_reached(deadline));
    set_clock(1099999999);
    cr_expect_not(mono_reached(deadline));
    set_clock(1100000000);
    cr_expect(mono_reached(deadline));
    cr_expect_not(mono_reached(never));
}

Test(mono, waits_are_rounded_up_so_that_a_timer_never_fires_early)
{
    set_clock(1000000000);
    cr_expect_eq(mono_wait_ms((struct mono){ 1000000000 }), 0);
    cr_expect_eq(mono_wait_ms((struct mono){ 999999999 }), 0);
    cr_expect_eq(mono_wait_ms((struct mono){ 1000000001 }), 1);
    cr_expect_eq(mono_wait_ms((struct mono){ 1001000000 }), 1);
    cr_expect_eq(mono_wait_ms((struct mono){ 1001000001 }), 2);
}

Test(mono, arithmetic_stops_at_the_ends_of_the_range)
{
    struct mono far, past;

    set_clock(1000000000);
    far = mono_add_ms(mono_now(), INT64_MAX);
    past = mono_add_ms(mono_now(), INT64_MIN);
    cr_expect_eq(far.ns, INT64_MAX);
    cr_expect_eq(past.ns, INT64_MIN);
    cr_expect_not(mono_reached(far));
    cr_expect(mono_reached(past));
    cr_expect_gt(mono_wait_ms(far), INT64_C(9000000000000));
    cr_expect_eq(mono_wait_ms(past), 0);
    cr_expect_eq(mono_since_ns(past), INT64_MAX);
    cr_expect_lt(mono_since_ns(far), 0);
    cr_expect_eq(mono_diff_ms(past, far), INT64_MIN / 1000000);
    cr_expect_eq(mono_add_ms((struct mono){ INT64_MAX }, 1).ns, INT64_MAX);
    cr_expect_eq(mono_add_ms((struct mono){ INT64_MIN }, -1).ns, INT64_MIN);
}
