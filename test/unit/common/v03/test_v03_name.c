#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/v03/v03_name.h"

Test(v03_name, generation_is_16_lower_case_hex_digits)
{
    uint64_t g;

    cr_assert(v03_generation_parse("d6eb3fd6a123931c", &g));
    cr_expect_eq(g, 0xd6eb3fd6a123931c);
    cr_expect(v03_generation_parse("0000000000000000", &g));
    cr_expect(v03_generation_parse("ffffffffffffffff", &g));

    static const char *const bad[] = { "", "d6eb3fd6a123931", "d6eb3fd6a123931c0",
        "D6EB3FD6A123931C", "d6eb3fd6a123931g", "d6eb3fd6a123931c/",
        " d6eb3fd6a123931c" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(v03_generation_parse(bad[i], &g), "%s", bad[i]);
}

Test(v03_name, snapshot_is_an_index)
{
    struct v03_object o;

    cr_assert(v03_object_parse(V03_SNAPSHOT, "0000001f.snapshot.lz4", &o));
    cr_expect_eq(o.kind, V03_SNAPSHOT);
    cr_expect_eq(o.index, 31);
    cr_expect_eq(o.off, 0);
    cr_expect(v03_object_parse(V03_SNAPSHOT, "7fffffff.snapshot.lz4", &o));
    cr_expect_eq(o.index, INT32_MAX);

    static const char *const bad[] = { "", "0000001f", "0000001F.snapshot.lz4",
        "000001f.snapshot.lz4", "00000001f.snapshot.lz4", "0000001f.snapshot.lz4.tmp",
        "0000001f.snapshot", "80000000.snapshot.lz4", "00000000_00000000.wal.lz4" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(v03_object_parse(V03_SNAPSHOT, bad[i], &o), "%s", bad[i]);
}

Test(v03_name, segment_is_an_index_and_an_offset_of_8_to_16_digits)
{
    struct v03_object o;

    cr_assert(v03_object_parse(V03_SEGMENT, "00000002_00001038.wal.lz4", &o));
    cr_expect_eq(o.kind, V03_SEGMENT);
    cr_expect_eq(o.index, 2);
    cr_expect_eq(o.off, 4152);
    cr_assert(v03_object_parse(V03_SEGMENT, "00000002_123456789.wal.lz4", &o));
    cr_expect_eq(o.off, 0x123456789);
    cr_assert(v03_object_parse(V03_SEGMENT, "7fffffff_7fffffffffffffff.wal.lz4", &o));
    cr_expect_eq(o.off, INT64_MAX);

    static const char *const bad[] = { "", "00000002.wal.lz4", "00000002_0001038.wal.lz4",
        "00000002_00001038.wal", "00000002-00001038.wal.lz4", "00000002_0000103G.wal.lz4",
        "00000002_00001038.wal.lz4~", "80000000_00000000.wal.lz4",
        "00000000_8000000000000000.wal.lz4", "00000000_00000000000000000.wal.lz4",
        "00000000.snapshot.lz4" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(v03_object_parse(V03_SEGMENT, bad[i], &o), "%s", bad[i]);
}

Test(v03_name, key_leads_back_to_the_name_that_was_listed)
{
    static const char *const segments[] = { "00000002_00001038.wal.lz4",
        "00000002_0000000000001038.wal.lz4", "00000002_000001038.wal.lz4",
        "00000000_7fffffffffffffff.wal.lz4" };
    struct v03_object o = { .generation = 0x04fa5c8fc9c40fe1 };
    char key[V03_KEY_SIZE], want[V03_KEY_SIZE];

    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        cr_assert(v03_object_parse(V03_SEGMENT, segments[i], &o));
        v03_key_format(&o, key);
        snprintf(want, sizeof(want), "generations/04fa5c8fc9c40fe1/wal/%s", segments[i]);
        cr_expect_str_eq(key, want);
        cr_expect_eq(strncmp(key + V03_KEY_SHORT, "wal/", 4), 0);
    }
    cr_assert(v03_object_parse(V03_SNAPSHOT, "0000000a.snapshot.lz4", &o));
    v03_key_format(&o, key);
    cr_expect_str_eq(key, "generations/04fa5c8fc9c40fe1/snapshots/0000000a.snapshot.lz4");
    v03_folder_format(o.generation, V03_SEGMENT, key);
    cr_expect_str_eq(key, "generations/04fa5c8fc9c40fe1/wal");
}

Test(v03_name, order_is_generation_kind_index_offset)
{
    static const struct v03_object sorted[] = {
        { .generation = 1, .kind = V03_SNAPSHOT, .index = 0 },
        { .generation = 1, .kind = V03_SNAPSHOT, .index = 5 },
        { .generation = 1, .kind = V03_SEGMENT, .index = 0 },
        { .generation = 1, .kind = V03_SEGMENT, .index = 0, .off = 1 },
        { .generation = 1, .kind = V03_SEGMENT, .index = 0, .off = INT64_MAX },
        { .generation = 1, .kind = V03_SEGMENT, .index = 1 },
        { .generation = UINT64_MAX, .kind = V03_SNAPSHOT, .index = 0 },
    };
    size_t n = sizeof(sorted) / sizeof(sorted[0]);

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            int c = v03_object_cmp(&sorted[i], &sorted[j]);

            cr_expect_eq((c > 0) - (c < 0), (i > j) - (i < j), "%zu %zu", i, j);
        }
}
