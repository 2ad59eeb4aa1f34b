#include <criterion/criterion.h>

#include "common/base/duration.h"

#define US INT64_C(1000)
#define MS DURATION_MS
#define S DURATION_SEC
#define M DURATION_MIN
#define H DURATION_HOUR

Test(duration, reads_what_Go_reads)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        { "0", 0 },
        { "+0", 0 },
        { "-0", 0 },
        { "0s", 0 },
        { "00s", 0 },
        { "5s", 5 * S },
        { "+5s", 5 * S },
        { "-5s", -5 * S },
        { "1478s", 1478 * S },
        { "5.0s", 5 * S },
        { "5.s", 5 * S },
        { ".5s", 500 * MS },
        { "-.5s", -500 * MS },
        { "1.004s", 1004 * MS },
        { "10ns", 10 },
        { "11us", 11 * US },
        { "12\xc2\xb5s", 12 * US },
        { "12\xce\xbcs", 12 * US },
        { "13ms", 13 * MS },
        { "14s", 14 * S },
        { "15m", 15 * M },
        { "16h", 16 * H },
        { "3h30m", 3 * H + 30 * M },
        { "10.5s4m", 4 * M + 10500 * MS },
        { "-2m3.4s", -(2 * M + 3400 * MS) },
        { "1h2m3s4ms5us6ns", H + 2 * M + 3 * S + 4 * MS + 5 * US + 6 },
        { "39h9m14.425s", 39 * H + 9 * M + 14425 * MS },
        { "1m1m", 2 * M },
        { "1.9ns", 1 },
        { "52763797000ns", INT64_C(52763797000) },
        /* digits beyond what 63 bits hold */
        { "0.3333333333333333333h", 20 * M },
        { "0.99999999999999999h", H },
        { "0.100000000000000000000h", 6 * M },
        { "0.9223372036854775807h", 55 * M + INT64_C(20413933267) },
        { "0.9223372036854775808h", 55 * M + INT64_C(20413933267) },
        { "0.830103483285477580700h", 49 * M + 48 * S + 372539827 },
        /* the ends of the range */
        { "9223372036854775807ns", INT64_MAX },
        { "9223372036854775.807us", INT64_MAX },
        { "9223372036s854ms775us807ns", INT64_MAX },
        { "-9223372036854775808ns", INT64_MIN },
        { "-9223372036854775.808us", INT64_MIN },
        { "-9223372036s854ms775us808ns", INT64_MIN },
        { "2562047h47m16.854775807s", INT64_MAX },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = -42;

        cr_expect(duration_parse(cases[i].text, &ns), "%s", cases[i].text);
        cr_expect_eq(ns, cases[i].ns, "%s gives %lld", cases[i].text, (long long)ns);
    }
}

Test(duration, refuses_everything_else)
{
    static const char *const cases[] = { "", "3", "-", "+", "s", ".", "-.", ".s", "+.s",
        "1d", "1w", "1.5", "1h30", "1:30", "--1s", "+-1s", "1 s", " 1s", "1s ", "1S",
        "1Ms", "1mm", "1e3s", "0x1s", "1.2.3s", "1s,", "s1", "1\xc2s", "1\xc2\xb5",
        "\x85\x85",
        /* out of range */
        "9223372036854775808ns", "9223372036854775.808us", "-9223372036854775809ns",
        "9223372036854776us", "3000000h", "99999999999999999999s",
        "2562047h47m16.854775808s", "9223372036s854ms775us808ns",
        "-9223372036s854ms775us809ns",
        /* wraps around 64 bits when added without care */
        "18446744073.999999999s", "-18446744073.999999999s", "18446744073709551615ns1ns",
        "9223372036854775807ns9223372036854775807ns2ns" };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = -42;

        cr_expect_not(
            duration_parse(cases[i], &ns), "%s gives %lld", cases[i], (long long)ns);
        cr_expect_eq(ns, -42, "%s: the result is untouched", cases[i]);
    }
}

Test(duration, writes_what_Go_writes)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 0, "0s" },
        { 1, "1ns" },
        { -1, "-1ns" },
        { 999, "999ns" },
        { 1000, "1\xc2\xb5s" },
        { 1100, "1.1\xc2\xb5s" },
        { 999999, "999.999\xc2\xb5s" },
        { MS, "1ms" },
        { 2200 * US, "2.2ms" },
        { 500 * MS, "500ms" },
        { MS + 1, "1.000001ms" },
        { S, "1s" },
        { -S, "-1s" },
        { 3300 * MS, "3.3s" },
        { S + 1, "1.000000001s" },
        { 59 * S + 999 * MS, "59.999s" },
        { M, "1m0s" },
        { M + 30 * S, "1m30s" },
        { 4 * M + 5 * S + 1 * MS, "4m5.001s" },
        { H, "1h0m0s" },
        { 24 * H, "24h0m0s" },
        { H + M + S, "1h1m1s" },
        { 5 * H + 6 * M + 7001 * MS, "5h6m7.001s" },
        { -(H + 30 * M), "-1h30m0s" },
        { INT64_MAX, "2562047h47m16.854775807s" },
        { INT64_MIN, "-2562047h47m16.854775808s" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DURATION_TEXT_MAX];

        duration_format(cases[i].ns, text);
        cr_expect_str_eq(text, cases[i].text);
    }
}

Test(duration, reads_back_what_it_writes)
{
    for (uint64_t u = 1; u != 0 && u <= INT64_MAX; u = u * 7 + 3) {
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t ns = sign * (int64_t)u, again = 0;
            char text[DURATION_TEXT_MAX];

            duration_format(ns, text);
            cr_expect(duration_parse(text, &again), "%s", text);
            cr_expect_eq(again, ns, "%s", text);
        }
        if (u > INT64_MAX / 7 - 3)
            break;
    }
}
