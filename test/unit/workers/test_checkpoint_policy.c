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

static struct ckpt_policy
fresh(void)
{
    struct ckpt_policy p;

    ckpt_policy_init(&p, 1000, MINUTE, at(0));
    return p;
}

Test(checkpoint_policy, the_size_of_the_captured_wal_calls_for_one)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p);
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

    ckpt_policy_captured(&p);
    cr_assert_not(ckpt_policy_due(&p, size_of(2), PS, at(59999)));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(2), PS, at(59000)), 1000);
    cr_assert(ckpt_policy_due(&p, size_of(2), PS, at(60000)));
    cr_assert_not(ckpt_policy_due(&p, size_of(1), PS, at(60000))); /* a bump alone */
}

Test(checkpoint_policy, a_complete_one_is_not_followed_by_another_without_new_frames)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p);
    ckpt_policy_done(&p, true, size_of(1200), at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(1200), PS, at(3600000)));
    ckpt_policy_captured(&p); /* the WAL could not restart: a frame was appended */
    cr_assert_not(ckpt_policy_due(&p, size_of(1201), PS, at(1000)));
    cr_assert(ckpt_policy_due(&p, size_of(1451), PS, at(1000)));
    cr_assert(ckpt_policy_due(&p, size_of(1201), PS, at(60000)));
}

Test(checkpoint_policy, after_a_restart_of_the_wal_counting_begins_anew)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p);
    ckpt_policy_done(&p, true, size_of(4000), at(0));
    ckpt_policy_restarted(&p);
    ckpt_policy_captured(&p);
    cr_assert_not(ckpt_policy_due(&p, size_of(999), PS, at(10)));
    cr_assert(ckpt_policy_due(&p, size_of(1000), PS, at(10)));
}

Test(checkpoint_policy, one_that_lets_nobody_restart_makes_the_next_ones_linger)
{
    static const int64_t lingers[] = { 0, 2, 4, 8, 16, 32, 32 };
    struct ckpt_policy p = fresh();

    for (size_t i = 0; i < sizeof(lingers) / sizeof(lingers[0]); i++) {
        ckpt_policy_captured(&p);
        ckpt_policy_done(&p, true, size_of(1500), at(0));
        cr_assert_eq(p.linger_ms, lingers[i]);
    }
    ckpt_policy_restarted(&p);
    cr_assert_eq(p.linger_ms, 24);
    ckpt_policy_done(&p, true, size_of(1500), at(0)); /* the first since the restart */
    cr_assert_eq(p.linger_ms, 24);
    ckpt_policy_done(&p, false, size_of(1500), at(0));
    ckpt_policy_done(&p, true, size_of(1500), at(0));
    cr_assert_eq(p.linger_ms, 24);
    for (int i = 0; i < 20; i++)
        ckpt_policy_restarted(&p);
    cr_assert_leq(p.linger_ms, 3);
}

Test(checkpoint_policy, after_a_miss_it_waits_longer_and_pauses_in_between)
{
    static const int64_t waits[] = { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
    struct ckpt_policy p = fresh();
    int64_t now = 0;

    ckpt_policy_captured(&p);
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        cr_assert(ckpt_policy_due(&p, size_of(1500), PS, at(now)));
        cr_assert_eq(p.patience_ms, waits[i]);
        ckpt_policy_missed(&p, at(now));
        cr_assert_not(ckpt_policy_due(&p, size_of(1500), PS, at(now + 2 * waits[i] - 1)));
        now += 2 * waits[i];
    }
    ckpt_policy_done(&p, true, size_of(1500), at(now));
    cr_assert_eq(p.patience_ms, waits[0]);
}

Test(checkpoint_policy, a_blocked_one_backs_off_to_a_minute)
{
    struct ckpt_policy p = fresh();
    static const int64_t delays[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
        60000 };
    int64_t now = 0;

    ckpt_policy_captured(&p);
    ckpt_policy_done(&p, false, size_of(1500), at(now));
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        cr_assert_not(ckpt_policy_due(&p, size_of(1500), PS, at(now + delays[i] - 1)));
        cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(1500), PS, at(now)), delays[i]);
        now += delays[i];
        cr_assert(ckpt_policy_due(&p, size_of(1500), PS, at(now)));
        ckpt_policy_done(&p, false, size_of(1500), at(now));
    }
}

Test(checkpoint_policy, a_blocked_one_is_tried_sooner_when_much_was_added)
{
    struct ckpt_policy p = fresh();

    ckpt_policy_captured(&p);
    ckpt_policy_done(&p, false, size_of(1500), at(0));
    cr_assert_not(ckpt_policy_due(&p, size_of(1600), PS, at(1)));
    cr_assert(ckpt_policy_due(&p, size_of(1751), PS, at(1)));
}

Test(checkpoint_policy, without_an_interval_only_size_counts)
{
    struct ckpt_policy p;

    ckpt_policy_init(&p, 1000, 0, at(0));
    ckpt_policy_captured(&p);
    cr_assert_not(ckpt_policy_due(&p, size_of(900), PS, at(360000000)));
    cr_assert_eq(ckpt_policy_wait_ms(&p, size_of(900), PS, at(0)), -1);
    cr_assert(ckpt_policy_due(&p, size_of(1000), PS, at(1)));
}
