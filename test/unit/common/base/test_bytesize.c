#include <string.h>

#include <criterion/criterion.h>

#include "common/base/bytesize.h"

Test(bytesize, reads_what_people_write)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        { "0", 0 },
        { "42", 42 },
        { "42B", 42 },
        { "42 b", 42 },
        { "42k", 42000 },
        { "42 KB", 42000 },
        { "42ki", 43008 },
        { "42 KiB", 43008 },
        { "5M", 5000000 },
        { "5MB", 5000000 },
        { "5MiB", 5242880 },
        { "5 mib", 5242880 },
        { "5 MB ", 5000000 },
        { "5\tMB\n", 5000000 },
        { "1.5GB", 1500000000 },
        { "1.5GiB", 1610612736 },
        { "1T", INT64_C(1000000000000) },
        { "1TiB", INT64_C(1) << 40 },
        { "1P", INT64_C(1000000000000000) },
        { "1PiB", INT64_C(1) << 50 },
        { "1E", INT64_C(1000000000000000000) },
        { "1EiB", INT64_C(1) << 60 },
        { "1,005.03 MB", 1005030000 },
        { "12,345", 12345 },
        { ".5k", 500 },
        { "5.k", 5000 },
        { "1.9", 1 },
        { "0.0001 KB", 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NONE;
        int64_t bytes = -1;

        cr_expect_eq(bytesize_parse(cases[i].text, &bytes, &e), 0, "%s: %s",
            cases[i].text, e.text);
        cr_expect_eq(
            bytes, cases[i].bytes, "%s gives %lld", cases[i].text, (long long)bytes);
    }
}

Test(bytesize, says_what_is_wrong)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "", "empty size string" },
        { "5xb", "invalid size format: unhandled size name: xb" },
        { "5 KBB", "invalid size format: unhandled size name: KBB" },
        { "5 iB", "invalid size format" },
        { "5 i", "invalid size format" },
        { "5 Bi", "invalid size format" },
        { "1e3", "invalid size format" },
        { "MB", "invalid size format" },
        { ".", "invalid size format" },
        { ",", "invalid size format" },
        { "1.2.3", "invalid size format" },
        { "-5", "invalid size format" },
        { "+5", "invalid size format" },
        { " 5", "invalid size format" },
        { "5 M B", "invalid size format" },
        { "16EiB", "invalid size format: too large: 16EiB" },
        { "99999999999999999999999999", "invalid size format: too large" },
        { "8EiB", "size 9223372036854775808 exceeds maximum allowed value "
                  "(9223372036854775807)" },
        { "10EB", "exceeds maximum" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = ERR_NONE;
        int64_t bytes = -1;

        cr_expect_eq(
            bytesize_parse(cases[i].text, &bytes, &e), ERR_CONFIG, "%s", cases[i].text);
        cr_expect_not_null(
            strstr(e.text, cases[i].words), "%s says: %s", cases[i].text, e.text);
        cr_expect_eq(bytes, -1, "the result is untouched");
    }
}

Test(bytesize, a_number_of_any_length_is_refused_or_read_but_never_overruns)
{
    char text[300];
    struct err e = ERR_NONE;
    int64_t bytes;

    for (size_t n = 1; n < sizeof(text); n++) {
        memset(text, '9', n);
        text[n] = '\0';
        cr_expect_eq(bytesize_parse(text, &bytes, &e) == 0, n <= 18, "%zu digits", n);
    }
}

Test(bytesize, shows_SI_sizes)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 9, "9 B" },
        { 10, "10 B" },
        { 999, "999 B" },
        { 1000, "1.0 kB" },
        { 1049, "1.0 kB" },
        { 1050, "1.1 kB" },
        { 4096, "4.1 kB" },
        { 4152, "4.2 kB" },
        { 9949, "9.9 kB" },
        { 9950, "10 kB" },
        { 10000, "10 kB" },
        { 10499, "10 kB" },
        { 32992, "33 kB" },
        { 999999, "1000 kB" },
        { 1000000, "1.0 MB" },
        { 1250000, "1.3 MB" },
        { 67108864, "67 MB" },
        { 1000000000, "1.0 GB" },
        { UINT64_C(5497558138880), "5.5 TB" },
        { UINT64_C(1000000000000000), "1.0 PB" },
        { UINT64_MAX, "18 EB" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[BYTESIZE_TEXT_MAX];

        bytesize_format(cases[i].bytes, text);
        cr_expect_str_eq(text, cases[i].text);
    }
}
