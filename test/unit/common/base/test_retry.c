#include <signal.h>

#include <criterion/criterion.h>

#include "common/base/rand.h"
#include "common/base/retry.h"

Test(retry, doubles_from_the_first_delay_to_the_cap)
{
    static const int64_t delays[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
        60000 };
    struct retry r;

    retry_init(&r, 1000, 60000);
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        int64_t wait = retry_failed(&r);

        cr_expect_eq(r.delay_ms, delays[i]);
        cr_expect(wait >= delays[i] / 2 && wait <= delays[i], "failure %zu: %lld", i,
            (long long)wait);
        cr_expect_eq(r.failures, i + 1);
    }
}

Test(retry, spreads_over_the_upper_half)
{
    int64_t least = INT64_MAX, most = 0;

    rand_seed_with(7);
    for (int i = 0; i < 1000; i++) {
        struct retry r;
        int64_t wait;

        retry_init(&r, 1000, 60000);
        wait = retry_failed(&r);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    cr_expect(least >= 500 && least < 520, "%lld", (long long)least);
    cr_expect(most <= 1000 && most > 980, "%lld", (long long)most);
}

Test(retry, success_starts_again_and_tells_how_long_the_row_was)
{
    struct retry r;

    retry_init(&r, 100, 1000);
    cr_expect_eq(retry_succeeded(&r), 0);
    for (int i = 0; i < 5; i++)
        retry_failed(&r);
    cr_expect_eq(retry_succeeded(&r), 5);
    cr_expect_eq(retry_succeeded(&r), 0);
    retry_failed(&r);
    cr_expect_eq(r.delay_ms, 100);
}

Test(retry, odd_limits_are_put_right)
{
    struct retry r;

    retry_init(&r, 0, 10);
    retry_failed(&r);
    cr_expect_eq(r.delay_ms, 1);
    retry_init(&r, 5000, 1000);
    cr_expect_leq(retry_failed(&r), 1000);
    cr_expect_leq(retry_failed(&r), 1000);
    retry_init(&r, 1, INT64_MAX);
    for (int i = 0; i < 200; i++)
        cr_expect_gt(retry_failed(&r), 0, "never negative, also after many failures");
    cr_expect_eq(r.delay_ms, INT64_MAX);
}

Test(retry, needs_a_cap, .signal = SIGABRT)
{
    struct retry r;

    retry_init(&r, 100, 0);
}

Test(retry, the_first_failure_of_a_row_is_told_then_one_each_half_minute)
{
    struct mono t = { 1000000000 };
    struct retry r;

    retry_init(&r, 100, 1000);
    cr_expect(retry_should_log(&r, t));
    cr_expect_not(retry_should_log(&r, t));
    cr_expect_not(retry_should_log(&r, mono_add_ms(t, RETRY_LOG_EVERY_MS - 1)));
    cr_expect(retry_should_log(&r, mono_add_ms(t, RETRY_LOG_EVERY_MS)));
    cr_expect_not(retry_should_log(&r, mono_add_ms(t, RETRY_LOG_EVERY_MS + 1)));
    retry_succeeded(&r);
    cr_expect(retry_should_log(&r, mono_add_ms(t, RETRY_LOG_EVERY_MS + 2)));
}
