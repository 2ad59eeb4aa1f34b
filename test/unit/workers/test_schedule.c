#include <stdio.h>

#include <criterion/criterion.h>

#include "workers/compact/schedule.h"

#define S INT64_C(1000000000)

static struct wall
at(const char *text)
{
    struct wall t;

    cr_assert(wall_parse(text, &t), "%s", text);
    return t;
}

static const char *
show(struct wall t)
{
    static char text[2][WALL_TEXT_MAX];
    static unsigned n;

    wall_format(t, WALL_TRIMMED, text[++n % 2]);
    return text[n % 2];
}

static const struct {
    const char *now;
    int64_t interval_ns;
    const char *prev, *next;
} vectors[] = {
    { "2026-01-01T00:00:00Z", 30 * S, "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z" },
    { "2026-01-01T00:00:29.999Z", 3 * S / 2, "2026-01-01T00:00:28.5Z",
        "2026-01-01T00:00:30Z" },
    { "2026-08-05T13:47:11.5Z", 300 * S, "2026-08-05T13:45:00Z", "2026-08-05T13:50:00Z" },
    { "2026-08-05T13:47:11.5Z", 45 * S, "2026-08-05T13:46:30Z", "2026-08-05T13:47:15Z" },
    { "2026-08-05T13:47:11.5Z", 7 * S, "2026-08-05T13:47:05Z", "2026-08-05T13:47:12Z" },
    { "2026-08-05T13:47:11.5Z", 7 * 3600 * S, "2026-08-05T08:00:00Z",
        "2026-08-05T15:00:00Z" },
    { "2026-01-01T00:00:00Z", 7 * 3600 * S, "2025-12-31T22:00:00Z",
        "2026-01-01T05:00:00Z" },
    { "2026-08-05T13:47:11.5Z", 168 * 3600 * S, "2026-08-03T00:00:00Z",
        "2026-08-10T00:00:00Z" },
    /* before 1970, in the year 1, and one that is not whole seconds */
    { "1969-12-31T23:59:59.9Z", 10 * S, "1969-12-31T23:59:50Z", "1970-01-01T00:00:00Z" },
    { "0001-01-01T00:00:00.5Z", 3600 * S, "0001-01-01T00:00:00Z",
        "0001-01-01T01:00:00Z" },
    { "2026-08-05T13:47:11.123456789Z", 1, "2026-08-05T13:47:11.123456789Z",
        "2026-08-05T13:47:11.12345679Z" },
};

Test(schedule, boundaries_are_counted_from_the_year_1)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wall now = at(vectors[i].now);

        cr_expect_str_eq(
            show(schedule_prev(now, vectors[i].interval_ns)), vectors[i].prev, "%zu", i);
        cr_expect_str_eq(
            show(schedule_next(now, vectors[i].interval_ns)), vectors[i].next, "%zu", i);
    }
}

static uint64_t rng = 88172645463325252u;

static uint64_t
draw(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

/* The definition, in arithmetic that is wide enough. */
static struct wall
naive_prev(struct wall t, int64_t d)
{
    __int128 ns = ((__int128)t.sec + 62135596800) * S + t.nsec, r = ns % d;

    ns -= r < 0 ? r + d : r;
    r = ns % S;
    if (r < 0)
        r += S;
    return (struct wall){ (int64_t)((ns - r) / S - 62135596800), (int32_t)r };
}

Test(schedule, agrees_with_wide_arithmetic_for_any_moment_and_interval)
{
    for (int i = 0; i < 20000; i++) {
        struct wall now = { (int64_t)draw() >> (10 + draw() % 50),
            (int32_t)(draw() % 1000000000) };
        int64_t d = (int64_t)(draw() >> (1 + draw() % 62));
        struct wall prev, next;

        if (d == 0)
            continue;
        prev = schedule_prev(now, d);
        next = schedule_next(now, d);
        cr_assert_eq(wall_cmp(prev, naive_prev(now, d)), 0, "%lld.%09d, %lld",
            (long long)now.sec, now.nsec, (long long)d);
        cr_assert_eq(wall_cmp(next, schedule_add(prev, d)), 0);
        cr_assert_leq(wall_cmp(prev, now), 0);
        cr_assert_gt(wall_cmp(next, now), 0);
        cr_assert_eq(wall_cmp(schedule_prev(prev, d), prev), 0);
    }
}

Test(schedule, no_interval_and_the_ends_of_time_are_harmless)
{
    struct wall now = at("2026-08-05T13:47:11.5Z"), last = { INT64_MAX, 999999999 },
                first = { INT64_MIN, 0 };

    cr_expect_eq(wall_cmp(schedule_prev(now, 0), now), 0);
    cr_expect_eq(wall_cmp(schedule_next(now, -5), now), 0);
    cr_expect_eq(schedule_wait_ns(now, 0, 0), 0);
    cr_expect_eq(wall_cmp(schedule_next(last, S), last), 0);
    cr_expect_leq(wall_cmp(schedule_prev(last, INT64_MAX), last), 0);
    cr_expect_eq(wall_cmp(schedule_prev(first, 7 * S), first), 0);
    cr_expect_eq(wall_cmp(schedule_add(first, INT64_MIN), first), 0);
}

Test(schedule, adding_carries_in_both_directions)
{
    struct wall t = { 10, 900000000 };

    cr_expect_str_eq(show(schedule_add(t, S / 5)), "1970-01-01T00:00:11.1Z");
    cr_expect_str_eq(show(schedule_add(t, -S)), "1970-01-01T00:00:09.9Z");
    cr_expect_str_eq(show(schedule_add(t, -95 * S / 10)), "1970-01-01T00:00:01.4Z");
    cr_expect_str_eq(show(schedule_add(t, -119 * S / 10)), "1969-12-31T23:59:59Z");
}

Test(schedule, offsets_are_stable_small_and_spread)
{
    static const int64_t intervals[] = { 1, 9, 10, S, 30 * S, 300 * S, 86400 * S };
    unsigned slot[10] = { 0 };

    for (size_t k = 0; k < sizeof(intervals) / sizeof(intervals[0]); k++)
        for (int i = 0; i < 1000; i++) {
            char path[64];
            int64_t offset;

            snprintf(path, sizeof(path), "/var/lib/tenants/%d.db", i);
            offset = schedule_offset_ns(path, intervals[k]);
            cr_assert_eq(offset, schedule_offset_ns(path, intervals[k]));
            cr_assert_geq(offset, 0);
            cr_assert_leq(offset, intervals[k] / 10);
            cr_assert_leq(offset, 5 * S);
            if (intervals[k] == 300 * S)
                slot[offset * 10 / (5 * S + 1)]++;
        }
    for (int i = 0; i < 10; i++)
        cr_expect(slot[i] > 60 && slot[i] < 140, "tenth %d: %u of 1000", i, slot[i]);
    cr_expect_eq(schedule_offset_ns("/db", 0), 0);
    cr_expect_eq(schedule_offset_ns("/db", -10 * S), 0);
}

Test(schedule, waits_for_the_shifted_boundary_never_zero)
{
    struct wall now = at("2026-08-05T13:47:11.5Z");

    cr_expect_eq(schedule_wait_ns(now, 300 * S, 0), 168500000000);
    cr_expect_eq(schedule_wait_ns(now, 300 * S, 2 * S), 170500000000);
    cr_expect_eq(schedule_wait_ns(at("2026-08-05T13:45:01Z"), 300 * S, 2 * S), S);
    cr_expect_eq(schedule_wait_ns(at("2026-08-05T13:45:02Z"), 300 * S, 2 * S), 300 * S);
    cr_expect_eq(schedule_wait_ns(at("2026-08-05T13:45:03Z"), 300 * S, 2 * S), 299 * S);
}
