#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "common/base/wall.h"

static struct wall fake;

static struct wall
fake_now(void)
{
    return fake;
}

Test(wall, the_source_can_be_replaced_and_put_back)
{
    fake = (struct wall){ 42, 7 };
    wall_set_source(fake_now);
    cr_expect_eq(wall_cmp(wall_now(), fake), 0);
    wall_set_source(NULL);
    cr_expect_gt(wall_now().sec, 1600000000);
}

Test(wall, converts_from_and_to_milliseconds_also_before_1970)
{
    static const struct {
        int64_t ms, sec;
        int32_t nsec;
    } cases[] = {
        { 0, 0, 0 },
        { 1, 0, 1000000 },
        { 1767366245069, 1767366245, 69000000 },
        { -1, -1, 999000000 },
        { -1000, -1, 0 },
        { -1001, -2, 999000000 },
        { INT64_MAX, INT64_MAX / 1000, 807000000 },
        { INT64_MIN + 808, INT64_MIN / 1000, 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wall t = wall_from_ms(cases[i].ms);

        cr_expect_eq(t.sec, cases[i].sec, "%lld", (long long)cases[i].ms);
        cr_expect_eq(t.nsec, cases[i].nsec, "%lld", (long long)cases[i].ms);
        cr_expect_eq(wall_to_ms(t), cases[i].ms);
    }
    cr_expect_eq(wall_to_ms((struct wall){ -1, 999999999 }), -1, "rounded down");
    cr_expect_eq(wall_to_ms((struct wall){ 0, 999999 }), 0);
    cr_expect_eq(wall_to_ms((struct wall){ INT64_MAX, 0 }), INT64_MAX);
    cr_expect_eq(wall_to_ms((struct wall){ INT64_MIN, 0 }), INT64_MIN);
}

Test(wall, is_ordered)
{
    struct wall a = { 1, 5 }, b = { 1, 6 }, c = { 2, 0 }, zero = { 0, 0 };

    cr_expect_lt(wall_cmp(a, b), 0);
    cr_expect_lt(wall_cmp(b, c), 0);
    cr_expect_gt(wall_cmp(c, a), 0);
    cr_expect_eq(wall_cmp(a, a), 0);
    cr_expect(wall_is_zero(zero));
    cr_expect_not(wall_is_zero(a));
    cr_expect_not(wall_is_zero((struct wall){ 0, 1 }));
}

Test(wall, shows_known_moments)
{
    static const struct {
        struct wall t;
        const char *seconds, *ms, *trimmed;
    } cases[] = {
        { { 0, 0 }, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00Z" },
        { { 1767366245, 69455595 }, "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.069Z",
            "2026-01-02T15:04:05.069455595Z" },
        { { 1767366245, 69000000 }, "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.069Z",
            "2026-01-02T15:04:05.069Z" },
        { { 1767366245, 500000000 }, "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.500Z",
            "2026-01-02T15:04:05.5Z" },
        { { 1709164800, 1 }, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z",
            "2024-02-29T00:00:00.000000001Z" },
        { { -1, 999999999 }, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z",
            "1969-12-31T23:59:59.999999999Z" },
        { { -2208988800, 0 }, "1900-01-01T00:00:00Z", "1900-01-01T00:00:00.000Z",
            "1900-01-01T00:00:00Z" },
        { { -62135596800, 0 }, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00Z" },
        { { 253402300799, 0 }, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z",
            "9999-12-31T23:59:59Z" },
        { { 253402300800, 0 }, "10000-01-01T00:00:00Z", "10000-01-01T00:00:00.000Z",
            "10000-01-01T00:00:00Z" },
        { { INT64_MAX, 0 }, "@9223372036854775807", "@9223372036854775807",
            "@9223372036854775807" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[WALL_TEXT_MAX];

        wall_format(cases[i].t, WALL_SECONDS, text);
        cr_expect_str_eq(text, cases[i].seconds);
        wall_format(cases[i].t, WALL_MS, text);
        cr_expect_str_eq(text, cases[i].ms);
        wall_format(cases[i].t, WALL_TRIMMED, text);
        cr_expect_str_eq(text, cases[i].trimmed);
    }
}

static void
expect_local(const char *zone, int64_t sec, const char *want)
{
    char text[WALL_TEXT_MAX];

    setenv("TZ", zone, 1);
    tzset();
    wall_format_local((struct wall){ sec, 0 }, WALL_SECONDS, text);
    cr_expect_str_eq(text, want, "%s: %s", zone, text);
}

Test(wall, shows_the_local_zone)
{
    expect_local("UTC0", 1767366245, "2026-01-02T15:04:05Z");
    expect_local("CET-1CEST,M3.5.0,M10.5.0/3", 1767366245, "2026-01-02T16:04:05+01:00");
    expect_local("CET-1CEST,M3.5.0,M10.5.0/3", 1783000800, "2026-07-02T16:00:00+02:00");
    expect_local("EST5", 1767366245, "2026-01-02T10:04:05-05:00");
    expect_local("NST3:30", 1767366245, "2026-01-02T11:34:05-03:30");
    expect_local("XXX-5:45", 1767366245, "2026-01-02T20:49:05+05:45");
}

Test(wall, reads_RFC_3339)
{
    static const struct {
        const char *text;
        struct wall t;
    } cases[] = {
        { "1970-01-01T00:00:00Z", { 0, 0 } },
        { "2026-01-02T15:04:05Z", { 1767366245, 0 } },
        { "2026-01-02t15:04:05z", { 1767366245, 0 } },
        { "2026-01-02 15:04:05Z", { 1767366245, 0 } },
        { "2026-01-02T15:04:05.5Z", { 1767366245, 500000000 } },
        { "2026-01-02T15:04:05.069455595Z", { 1767366245, 69455595 } },
        { "2026-01-02T15:04:05.0694555959999Z", { 1767366245, 69455595 } },
        { "2026-01-02T16:04:05+01:00", { 1767366245, 0 } },
        { "2026-01-02T10:04:05-05:00", { 1767366245, 0 } },
        { "2026-01-02T11:34:05-03:30", { 1767366245, 0 } },
        { "2026-01-03T15:03:05+23:59", { 1767366245, 0 } },
        { "2024-02-29T00:00:00Z", { 1709164800, 0 } },
        { "2000-02-29T00:00:00Z", { 951782400, 0 } },
        { "1969-12-31T23:59:59.999999999Z", { -1, 999999999 } },
        { "1900-01-01T00:00:00Z", { -2208988800, 0 } },
        { "0001-01-01T00:00:00Z", { -62135596800, 0 } },
        { "9999-12-31T23:59:59Z", { 253402300799, 0 } },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wall t = { 0 };

        cr_expect(wall_parse(cases[i].text, &t), "%s", cases[i].text);
        cr_expect_eq(wall_cmp(t, cases[i].t), 0, "%s gives %lld.%09d", cases[i].text,
            (long long)t.sec, t.nsec);
    }
}

Test(wall, refuses_everything_else)
{
    static const char *const cases[] = { "", "2026", "2026-01-02", "2026-01-02T15:04:05",
        "2026-01-02T15:04Z", "2026-1-02T15:04:05Z", "2026-01-02T15:04:05.Z",
        "2026-01-02T15:04:05,5Z", "2026-01-02T15:04:05+1:00", "2026-01-02T15:04:05+0100",
        "2026-01-02T15:04:05+24:00", "2026-01-02T15:04:05+00:60", "2026-01-02T15:04:05Zx",
        "2026-01-02T15:04:05Z ", " 2026-01-02T15:04:05Z", "2026-00-02T15:04:05Z",
        "2026-13-02T15:04:05Z", "2026-01-00T15:04:05Z", "2026-01-32T15:04:05Z",
        "2026-02-29T15:04:05Z", "2100-02-29T00:00:00Z", "2026-04-31T15:04:05Z",
        "2026-01-02T24:00:00Z", "2026-01-02T15:60:05Z", "2026-01-02T15:04:60Z",
        "-026-01-02T15:04:05Z", "+2026-01-02T15:04:05Z", "20260102T150405Z",
        "2026-01-02_15:04:05Z", "10000-01-01T00:00:00Z" };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wall t = { 42, 42 };

        cr_expect_not(wall_parse(cases[i], &t), "%s", cases[i]);
        cr_expect_eq(t.sec, 42, "%s: the result is untouched", cases[i]);
    }
}

Test(wall, reads_back_what_it_writes)
{
    for (int64_t sec = -62135596800; sec <= 253402300799; sec += 86399 * 997) {
        struct wall t = { sec, (int32_t)(sec & 0x1fffffff) }, again;
        char text[WALL_TEXT_MAX];

        wall_format(t, WALL_TRIMMED, text);
        cr_assert(wall_parse(text, &again), "%s", text);
        cr_assert_eq(wall_cmp(t, again), 0, "%s", text);
    }
}
