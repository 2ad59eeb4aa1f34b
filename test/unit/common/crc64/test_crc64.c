#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/crc64/crc64.h"
#include "common/crc64/crc64_impl.h"

static const enum crc64_impl impls[] = { CRC64_BYTEWISE, CRC64_SLICING, CRC64_FOLDING };

#define N_IMPLS (sizeof(impls) / sizeof(impls[0]))

static uint64_t
next(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 20;
}

static uint8_t *
noisy(size_t n, uint64_t state)
{
    uint8_t *bytes = malloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)next(&state);
    return bytes;
}

/* The definition, bit by bit, without any table. */
static uint64_t
by_definition(uint64_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ UINT64_C(0xd800000000000000) : crc >> 1;
    }
    return ~crc;
}

static void
expect_everywhere(const void *p, size_t n, uint64_t want)
{
    cr_expect_eq(crc64_update(0, p, n), want, "%zu bytes", n);
    cr_expect_eq(by_definition(0, p, n), want, "%zu bytes, definition", n);
    for (size_t i = 0; i < N_IMPLS; i++)
        if (crc64_impl_available(impls[i]))
            cr_expect_eq(crc64_update_with(impls[i], 0, p, n), want, "%zu bytes, %s", n,
                crc64_impl_name(impls[i]));
}

/* The catalogue's check value for CRC-64/GO-ISO, values of hash/crc64 in Go. */
Test(crc64, has_the_published_values)
{
    uint8_t all[256], ones[8], zeros[512] = { 0 };

    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    memset(ones, 0xff, sizeof(ones));
    expect_everywhere("123456789", 9, UINT64_C(0xb90956c775a41001));
    expect_everywhere("", 0, 0);
    expect_everywhere("a", 1, UINT64_C(0x3420000000000000));
    expect_everywhere("ab", 2, UINT64_C(0x36c4200000000000));
    expect_everywhere("LTX1", 4, UINT64_C(0x43350e58d0000000));
    expect_everywhere(zeros, 1, UINT64_C(0x6f90000000000000));
    expect_everywhere(ones, sizeof(ones), UINT64_MAX);
    expect_everywhere(all, sizeof(all), UINT64_C(0x89f7eaa7b75c07dd));
    expect_everywhere(zeros, sizeof(zeros), UINT64_C(0x7cd9900000000000));
}

Test(crc64, can_be_continued_anywhere)
{
    uint8_t *bytes = noisy(2000, 1);
    uint64_t whole = by_definition(0, bytes, 2000);

    for (size_t cut = 0; cut <= 2000; cut++)
        cr_assert_eq(
            crc64_update(crc64_update(0, bytes, cut), bytes + cut, 2000 - cut), whole);
    free(bytes);
}

/* Random lengths, alignments, start values; the last byte is the last of its block. */
Test(crc64, every_implementation_gives_the_same)
{
    uint64_t state = 7;

    for (int round = 0; round < 4000; round++) {
        size_t at = next(&state) % 64;
        size_t n = round < 1200 ? (size_t)round
                                : next(&state) % (round % 50 == 0 ? 69000 : 3000);
        uint64_t start = next(&state) << 30 ^ next(&state);
        uint8_t *bytes = noisy(at + n + 1, next(&state));
        uint8_t *exact = realloc(bytes, at + n + (at + n == 0));
        uint64_t want = by_definition(start, exact + at, n);

        for (size_t i = 0; i < N_IMPLS; i++)
            if (crc64_impl_available(impls[i]))
                cr_assert_eq(crc64_update_with(impls[i], start, exact + at, n), want,
                    "%s, %zu bytes at %zu", crc64_impl_name(impls[i]), n, at);
        cr_assert_eq(crc64_update(start, exact + at, n), want);
        free(exact);
    }
}

/* One value, taken on by another implementation at every cut. */
Test(crc64, implementations_go_on_for_each_other)
{
    uint64_t state = 9;
    uint8_t *bytes = noisy(9000, 2);
    uint64_t whole = by_definition(0, bytes, 9000);

    for (int round = 0; round < 300; round++) {
        uint64_t crc = 0;

        for (size_t at = 0; at < 9000;) {
            enum crc64_impl impl = impls[next(&state) % N_IMPLS];
            size_t n = next(&state) % 1500;

            if (!crc64_impl_available(impl))
                continue;
            if (n > 9000 - at)
                n = 9000 - at;
            crc = crc64_update_with(impl, crc, bytes + at, n);
            at += n;
        }
        cr_assert_eq(crc, whole, "round %d", round);
    }
    free(bytes);
}

/* Every single bit changes the value, at each place of the folded blocks. */
Test(crc64, no_bit_is_left_out)
{
    uint8_t bytes[700] = { 0 };
    uint64_t zero = crc64_update(0, bytes, sizeof(bytes));

    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (uint8_t)(1 << bit % 8);
        cr_assert_neq(crc64_update(0, bytes, sizeof(bytes)), zero, "bit %zu", bit);
        cr_assert_eq(crc64_update(0, bytes, sizeof(bytes)),
            by_definition(0, bytes, sizeof(bytes)), "bit %zu", bit);
        bytes[bit / 8] = 0;
    }
}

Test(crc64, powers_of_x_are_reduced)
{
    cr_expect_eq(crc64_x_pow(0), UINT64_C(1) << 63);
    cr_expect_eq(crc64_x_pow(63), 1);
    cr_expect_eq(crc64_x_pow(64), CRC64_POLY);
}

Test(crc64, prepared_tables_are_the_same)
{
    crc64_prepare();
    crc64_prepare();
    cr_expect_eq(crc64_update(0, "123456789", 9), UINT64_C(0xb90956c775a41001));
}

Test(crc64, implementations_have_names)
{
    cr_expect_str_eq(crc64_impl_name(CRC64_BYTEWISE), "bytewise");
    cr_expect_str_eq(crc64_impl_name(CRC64_SLICING), "slicing");
    cr_expect_str_eq(crc64_impl_name(CRC64_FOLDING), "folding");
}

Test(crc64, portable_ones_are_everywhere)
{
    cr_expect(crc64_impl_available(CRC64_BYTEWISE));
    cr_expect(crc64_impl_available(CRC64_SLICING));
}

/* The kernel's word on the processor against ours. */
Test(crc64, folds_where_the_processor_can)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t cap = 0;
    bool can = false;

    if (f == NULL)
        cr_skip_test("no /proc/cpuinfo");
    while (getline(&line, &cap, f) > 0)
        if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0)
            can = can || strstr(line, " pclmulqdq") != NULL ||
                  strstr(line, " pmull") != NULL;
    free(line);
    fclose(f);
#if defined(__x86_64__) || defined(__aarch64__)
    cr_expect_eq(crc64_impl_available(CRC64_FOLDING), can);
#else
    cr_expect_not(crc64_impl_available(CRC64_FOLDING));
#endif
}

static void *
first_call(void *arg)
{
    uint64_t *out = arg;
    uint8_t bytes[1000] = { 0 };

    *out = crc64_update(0, bytes, sizeof(bytes));
    return NULL;
}

/* Each test is a process of its own: the tables are made here, by whoever comes first. */
Test(crc64, the_first_call_may_come_from_any_thread)
{
    pthread_t threads[8];
    uint64_t sums[8];
    uint8_t bytes[1000] = { 0 };

    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, first_call, &sums[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(sums[i], by_definition(0, bytes, sizeof(bytes)));
}
