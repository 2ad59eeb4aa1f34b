#include <criterion/criterion.h>

#include "common/wal/wal_format.h"
#include "workers/sync/checkpoint_policy.h"

#define PS 4096
#define MINUTE INT64_C(60000000000)

static struct mono
at(int64_t ms)
{
    return (struct mono){ INT64_C(1000000000) + ms * 1000000 };
}

static int64_t
size_of(int64_t frames)
{
    return wal_size_of(PS, frames);
}

/* Its own moments are the full minutes from at(0) on. */
static const struct ckpt_settings settings = {
    .min_pages = 1000, .interval_ns = MINUTE, .truncate_pages = 20000, .seed = 1000000000
};

static struct ckpt_policy
fresh(void)
{
    struct ckpt_policy p;

    ckpt_policy_init(&p, &settings, at(0));
    return p;
}

Test(checkpoint_policy, the_size_of_the_captured_wal_calls_for_one)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(999), PS, at(10)));
    cr_assert(ckpt_policy_due(&p, size_of(1000), PS, at(10)));
}

Test(checkpoint_policy, nothing_captured_means_nothing_to_do)
{
    struct ckpt_policy p = fresh();

    cr_assert_not(ckpt_policy_due(&p, size_of(5000), PS, at(3600000)));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(5000), PS, at(0)), -1);
}

Test(checkpoint_policy, time_calls_for_one_after_the_interval)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(2), PS, at(59999)));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(2), PS, at(59000)), 1000);
    cr_assert(ckpt_policy_due(&p, size_of(2), PS, at(60000)));
    cr_assert_not(ckpt_policy_due(&p, size_of(1), PS, at(60000))); /* a bump alone */
}

Test(checkpoint_policy, a_complete_one_is_not_followed_by_another_without_new_frames)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    ckpt_policy_done(&p, true, size_of(1200), PS, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(1200), PS, at(3600000)));
    ckpt_policy_captured(&p, at(0)); /* the WAL could not restart: a frame was appended */
    cr_assert_not(ckpt_policy_due(&p, size_of(1201), PS, at(1000)));
    cr_assert(ckpt_policy_due(&p, size_of(1451), PS, at(1000)));
    cr_assert(ckpt_policy_due(&p, size_of(1201), PS, at(60000)));
}

Test(checkpoint_policy, after_a_restart_of_the_wal_counting_begins_anew)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    ckpt_policy_done(&p, true, size_of(4000), PS, at(0));
    ckpt_policy_restarted(&p);
    ckpt_policy_captured(&p, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(999), PS, at(10)));
    cr_assert(ckpt_policy_due(&p, size_of(1000), PS, at(10)));
}

Test(checkpoint_policy, writers_are_held_up_longer_when_the_wal_is_far_too_large)
{
    static const int64_t lingers[] = { 5, 10, 20, 20 };
    struct ckpt_policy p = fresh();

    for (int i = 0; i < 10; i++)
        ckpt_policy_done(&p, i % 2 == 0, size_of(7900), PS, at(0));
    for (size_t i = 0; i < sizeof(lingers) / sizeof(lingers[0]); i++) {
        cr_assert_eq(p.linger_ms, lingers[i]);
        ckpt_policy_done(&p, true, size_of(8100), PS, at(0));
    }
    ckpt_policy_restarted(&p);
    cr_assert_eq(p.linger_ms, 15);
    for (int i = 0; i < 20; i++)
        ckpt_policy_restarted(&p);
    cr_assert_eq(p.linger_ms, 5);
}

Test(checkpoint_policy, writers_wait_rather_than_that_the_wal_grows_without_end)
{
    struct ckpt_policy p = fresh();

    cr_assert_eq(ckpt_policy_held_max(&p, size_of(63000), PS), 20);
    cr_assert_eq(ckpt_policy_held_max(&p, size_of(65000), PS), 80);
    for (int i = 0; i < 10; i++)
        ckpt_policy_done(&p, false, size_of(65000), PS, at(0));
    cr_assert_eq(p.linger_ms, 80);
    ckpt_policy_done(&p, false, size_of(9000), PS, at(0));
    cr_assert_eq(p.linger_ms, 20);
}

/* copied: frames; the rest is behind the mark of a reader. */
static bool
force(struct ckpt_policy *p, int64_t frames, int64_t copied, int64_t ms)
{
    return ckpt_policy_force(p, size_of(frames), size_of(copied), PS, at(ms));
}

Test(checkpoint_policy, readers_are_waited_for_beyond_the_limit_after_an_ordinary_attempt)
{
    struct ckpt_policy p = fresh();

    cr_assert_not(force(&p, 19999, 19990, 0));
    cr_assert_not(force(&p, 20000, 19990, 10));
    cr_assert_not(force(&p, 20400, 20390, 1009)); /* not yet long enough ago */
    cr_assert(force(&p, 20400, 20390, 1010));
    cr_assert_not(ckpt_policy_restarted(&p)); /* it was forced */
    cr_assert_not(force(&p, 20400, 20390, 5000));
    cr_assert(ckpt_policy_restarted(&p));
    cr_assert_not(ckpt_policy_restarted(&p));
}

Test(checkpoint_policy, a_reader_that_does_not_leave_is_never_waited_for)
{
    struct ckpt_policy p = fresh();

    for (int64_t i = 0; i < 1000; i++)
        cr_assert_not(force(&p, 20000 + i * 100, 19000, i * 1000));
    for (int64_t i = 1000; i < 2000; i++) /* idle */
        cr_assert_not(force(&p, 200000, 19000, i * 1000));
}

Test(checkpoint_policy, waits_for_readers_back_off_to_a_minute)
{
    static const int64_t delays[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
        60000 };
    struct ckpt_policy p = fresh();
    int64_t frames = 20000, next = 1000;

    cr_assert_not(force(&p, frames, frames, 0));
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        for (int64_t ms = next - delays[i] / 2; i > 0 && ms < next; ms += 500, frames++)
            cr_assert_not(force(&p, frames, frames, ms));
        while (!force(&p, frames, frames, next))
            next += 500; /* an attempt is judged a second after the one before */
        cr_assert_leq(next % 1000, 500);
        next += delays[i];
    }
}

Test(checkpoint_policy, a_negative_limit_is_none)
{
    struct ckpt_settings set = settings;
    struct ckpt_policy p;

    set.truncate_pages = -1;
    ckpt_policy_init(&p, &set, at(0));
    for (int64_t i = 0; i < 10; i++)
        cr_assert_not(force(&p, 1000000 * i, 1000000 * i, i * 5000));
}

Test(checkpoint_policy, those_of_many_databases_do_not_fall_together)
{
    int per_second[60] = { 0 };

    for (uint64_t i = 0; i < 600; i++) {
        struct ckpt_settings set = settings;
        struct ckpt_policy p;
        int64_t wait;

        set.seed = i * UINT64_C(0x9e3779b97f4a7c15);
        ckpt_policy_init(&p, &set, at(0));
        ckpt_policy_captured(&p, at(3600000)); /* all are written at one moment */
        wait = ckpt_policy_wait_ms(&p, size_of(5), PS, at(3600000));
        cr_assert(wait >= 0 && wait <= 60000);
        per_second[wait / 1000 % 60]++;
        ckpt_policy_done(&p, true, size_of(5), PS, at(3600000 + wait));
        ckpt_policy_captured(&p, at(3600000 + wait));
        cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(5), PS, at(3600000 + wait)), 60000);
    }
    for (int i = 0; i < 60; i++)
        cr_assert_leq(per_second[i], 30);
}

Test(checkpoint_policy, after_a_miss_it_waits_longer_and_pauses_in_between)
{
    static const int64_t waits[] = { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
    struct ckpt_policy p = fresh();
    int64_t now = 0;

    ckpt_policy_captured(&p, at(0));
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        cr_assert(ckpt_policy_due(&p, size_of(1500), PS, at(now)));
        cr_assert_eq(p.patience_ms, waits[i]);
        ckpt_policy_missed(&p, at(now));
        cr_assert_not(ckpt_policy_due(&p, size_of(1500), PS, at(now + 2 * waits[i] - 1)));
        now += 2 * waits[i];
    }
    ckpt_policy_done(&p, true, size_of(1500), PS, at(now));
    cr_assert_eq(p.patience_ms, waits[0]);
}

Test(checkpoint_policy, a_blocked_one_backs_off_to_a_minute)
{
    struct ckpt_policy p = fresh();
    static const int64_t delays[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
        60000 };
    int64_t now = 0;

    ckpt_policy_captured(&p, at(0));
    ckpt_policy_done(&p, false, size_of(1500), PS, at(now));
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        cr_assert_not(ckpt_policy_due(&p, size_of(1500), PS, at(now + delays[i] - 1)));
        cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(1500), PS, at(now)), delays[i]);
        now += delays[i];
        cr_assert(ckpt_policy_due(&p, size_of(1500), PS, at(now)));
        ckpt_policy_done(&p, false, size_of(1500), PS, at(now));
    }
}

Test(checkpoint_policy, a_blocked_one_is_tried_sooner_when_much_was_added)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    ckpt_policy_done(&p, false, size_of(1500), PS, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(1600), PS, at(1)));
    cr_assert(ckpt_policy_due(&p, size_of(1751), PS, at(1)));
}

Test(checkpoint_policy, attempts_for_want_of_room_do_not_put_off_those_by_time)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p, at(0));
    for (int64_t i = 0; i < 20; i++)
        ckpt_policy_done(&p, false, size_of(1500 + i * 500), PS, at(i));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(11000), PS, at(19)), 1000);
    /* and the larger the WAL has become, the more must be added */
    cr_assert_not(ckpt_policy_due(&p, size_of(12300), PS, at(20)));
    cr_assert(ckpt_policy_due(&p, size_of(12400), PS, at(20)));
}

Test(checkpoint_policy, without_an_interval_only_size_counts)
{
    struct ckpt_settings set = settings;
    struct ckpt_policy p;

    set.interval_ns = 0;
    ckpt_policy_init(&p, &set, at(0));
    ckpt_policy_captured(&p, at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(900), PS, at(360000000)));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(900), PS, at(0)), -1);
    cr_assert(ckpt_policy_due(&p, size_of(1000), PS, at(1)));
}

Test(checkpoint_policy, put_off_it_pauses_for_longer_each_time)
{
    static const int64_t pauses[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000 };
    struct ckpt_policy p = fresh();
    int64_t now = 0;

    ckpt_policy_captured(&p, at(0));
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        cr_assert(ckpt_policy_due(&p, size_of(5000), PS, at(now)));
        ckpt_policy_put_off(&p, at(now));
        cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(5000), PS, at(now)), pauses[i]);
        now += pauses[i];
        cr_assert_not(ckpt_policy_due(&p, size_of(5000), PS, at(now - 1)));
    }
    ckpt_policy_done(&p, true, size_of(5000), PS, at(now));
    cr_assert_not(ckpt_policy_due(&p, size_of(5000), PS, at(now + 1000)));
    ckpt_policy_put_off(&p, at(now));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(5000), PS, at(now)), pauses[0]);
}

Test(checkpoint_policy, far_too_large_is_eight_times_what_calls_for_one)
{
    struct ckpt_policy p = fresh();

    cr_assert_not(ckpt_policy_too_large(&p, size_of(7999), PS));
    cr_assert(ckpt_policy_too_large(&p, size_of(8001), PS));
}
