#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_name.h"
#include "workers/compact/retention_plan.h"

#define S INT64_C(1000000000)
#define MAX 64

/* "1-5@50 6-6@60", in this order */
static size_t
parse_files(const char *text, struct ltx_info *files)
{
    unsigned long long min, max;
    long created;
    size_t n = 0;
    int len;

    while (sscanf(text, " %llu-%llu@%ld%n", &min, &max, &created, &len) == 3) {
        text += len;
        files[n++] = (struct ltx_info){
            .min_txid = min, .max_txid = max, .created = { created, 0 }
        };
    }
    return n;
}

static const char *
show(const struct ltx_info *files, size_t n)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%llu-%llu",
            i > 0 ? " " : "", (unsigned long long)files[i].min_txid,
            (unsigned long long)files[i].max_txid);
    return text;
}

/* Now is 1000, the retention 100: the window begins at 900. */
static const struct {
    const char *what, *files, *del;
    uint64_t floor;
} snapshots[] = {
    { "none", "", "", 0 },
    { "one, young", "1-10@950", "", 0 },
    { "one, old: the base", "1-10@800", "", 10 },
    { "created when the window begins: not in the base", "1-10@900", "", 0 },
    { "a base and one inside", "1-10@800 1-20@950", "", 10 },
    { "two inside", "1-10@910 1-20@950", "", 0 },
    { "one before the base", "1-10@700 1-20@800 1-30@950", "1-10", 10 },
    { "two before the base", "1-10@600 1-20@700 1-30@800 1-40@950", "1-10 1-20", 20 },
    { "all old: the last stays", "1-10@600 1-20@700 1-30@800", "1-10 1-20", 20 },
    { "one instant before the window", "1-10@800 1-20@899 1-30@901", "1-10", 10 },
    /* the clock went back: the planner takes the last that fits, 20 */
    { "a young one before the base stays, and what it needs", "1-5@700 1-10@950 1-20@800",
        "1-5", 5 },
    { "a young one is the oldest", "1-10@950 1-20@800", "", 0 },
    { "an old one behind a young one", "1-5@950 1-10@700 1-20@800", "1-10", 0 },
    { "no snapshot by its range", "1-10@700 1-20@800 7-30@850", "1-10", 10 },
    { "no snapshot at all by its range", "2-10@700 3-20@800", "", 0 },
};

Test(retention_plan, snapshots_before_the_base_of_the_window_go)
{
    for (size_t i = 0; i < sizeof(snapshots) / sizeof(snapshots[0]); i++) {
        struct ltx_info files[MAX], del[MAX];
        size_t n = parse_files(snapshots[i].files, files), n_del;
        uint64_t floor = 99;

        n_del =
            retention_snapshots(files, n, (struct wall){ 1000, 0 }, 100 * S, del, &floor);
        cr_expect_str_eq(show(del, n_del), snapshots[i].del, "%s", snapshots[i].what);
        cr_expect_eq(floor, snapshots[i].floor, "%s: %llu", snapshots[i].what,
            (unsigned long long)floor);
        n_del = retention_snapshots(
            files, n, (struct wall){ 1000, 0 }, 100 * S, files, &floor);
        cr_expect_str_eq(
            show(files, n_del), snapshots[i].del, "%s, in place", snapshots[i].what);
        cr_expect_eq(floor, snapshots[i].floor, "%s, in place", snapshots[i].what);
    }
}

Test(retention_plan, the_floor_rises_to_the_base_one_pass_after_the_deletion)
{
    struct ltx_info files[MAX], del[MAX];
    size_t n = parse_files("1-10@700 1-20@800 1-30@950", files);
    struct wall now = { 1000, 0 };
    uint64_t floor;

    cr_expect_eq(retention_snapshots(files, n, now, 100 * S, del, &floor), 1);
    cr_expect_eq(floor, 10);
    cr_expect_eq(retention_snapshots(files + 1, n - 1, now, 100 * S, del, &floor), 0);
    cr_expect_eq(floor, 20);
}

Test(retention_plan, a_level_of_its_own_retention_is_cut_at_a_snapshot_that_old)
{
    struct ltx_info files[MAX];
    size_t n = parse_files("1-10@700 1-20@800 1-30@950 1-40@990", files);
    struct wall now = { 1000, 0 };

    cr_expect_eq(retention_level_floor(files, n, now, 0), 0);
    cr_expect_eq(retention_level_floor(files, n, now, 5 * S), 40);
    cr_expect_eq(retention_level_floor(files, n, now, 10 * S), 30);
    cr_expect_eq(retention_level_floor(files, n, now, 49 * S), 30);
    cr_expect_eq(retention_level_floor(files, n, now, 50 * S), 20);
    cr_expect_eq(retention_level_floor(files, n, now, 300 * S), 0);
    cr_expect_eq(retention_level_floor(files, 0, now, 5 * S), 0);
}

static const struct {
    const char *files;
    uint64_t floor;
    const char *del;
} levels[] = {
    { "", 10, "" },
    { "1-10@1 11-20@2 21-30@3", 0, "" },
    { "1-10@1 11-20@2 21-30@3", 10, "" },
    { "1-10@1 11-20@2 21-30@3", 11, "1-10" },
    { "1-10@1 11-20@2 21-30@3", 20, "1-10" },
    { "1-10@1 11-20@2 21-30@3", 99, "1-10 11-20" },
    { "1-10@1", 99, "" },
    { "1-30@1 2-10@1 11-20@1 21-31@1", 25, "2-10 11-20" },
    /* the last of the listing is not the one that reaches furthest */
    { "1-5@1 6-30@1 7-10@1", 99, "1-5" },
};

Test(retention_plan, a_level_loses_what_ends_before_the_floor_but_not_its_end)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        struct ltx_info files[MAX], del[MAX];
        size_t n = parse_files(levels[i].files, files), n_del;

        n_del = retention_level(files, n, levels[i].floor, del);
        cr_expect_str_eq(show(del, n_del), levels[i].del, "case %zu", i);
        n_del = retention_level(files, n, levels[i].floor, files);
        cr_expect_str_eq(show(files, n_del), levels[i].del, "case %zu in place", i);
    }
}

/* Now is 1000, the retention 100. */
static const struct {
    const char *what, *files, *l1, *del;
} l0[] = {
    { "nothing there", "", "1-9@0", "" },
    { "no level 1", "1-1@10 2-2@20", "", "" },
    { "old and merged", "1-1@10 2-2@20 3-3@950 4-4@990", "1-2@20", "1-1 2-2" },
    { "old, not merged", "1-1@10 2-2@20 3-3@30 4-4@990", "1-2@20", "1-1 2-2" },
    { "merged, young", "1-1@950 2-2@960 3-3@970", "1-2@960", "" },
    { "just old enough", "1-1@899 2-2@900 3-3@901 4-4@902", "1-1@0 2-2@0 3-4@0",
        "1-1 2-2" },
    { "the newest stays", "1-1@10 2-2@20 3-3@30", "1-3@30", "1-1 2-2" },
    { "the only one stays", "7-7@10", "1-9@10", "" },
    { "a young one ends the walk", "1-1@10 2-2@990 3-3@30 4-4@40", "1-1@10 2-4@40",
        "1-1" },
    { "those of a file that is still young stay together",
        "1-1@10 2-2@20 3-3@890 4-4@950 5-5@960", "1-2@20 3-4@950", "1-1 2-2" },
    { "no file of the young one's is known", "1-1@10 2-2@20 3-3@890 4-4@950 5-5@960",
        "1-3@20", "1-1 2-2 3-3" },
    { "only the newest of level 1 is known", "1-1@10 2-2@20 3-3@890 4-4@950 5-5@960",
        "3-5@960", "1-1 2-2" },
    { "a level-1 file that reaches into an unmerged one", "4-4@10 5-6@20 7-7@990",
        "1-5@9", "4-4" },
};

Test(retention_plan, level_0_loses_what_is_old_and_in_level_1_and_no_hole_is_made)
{
    for (size_t i = 0; i < sizeof(l0) / sizeof(l0[0]); i++) {
        struct ltx_info files[MAX], l1[MAX], del[MAX];
        size_t n = parse_files(l0[i].files, files), n_l1 = parse_files(l0[i].l1, l1);
        struct wall now = { 1000, 0 };
        size_t n_del = retention_l0(files, n, l1, n_l1, now, 100 * S, del);

        cr_expect_str_eq(show(del, n_del), l0[i].del, "%s", l0[i].what);
        cr_expect_eq(retention_l0(files, n, l1, n_l1, now, 0, del), 0);
        cr_expect_eq(retention_l0(files, n, l1, n_l1, now, -S, del), 0);
        n_del = retention_l0(files, n, l1, n_l1, now, 100 * S, files);
        cr_expect_str_eq(show(files, n_del), l0[i].del, "%s, in place", l0[i].what);
    }
}

Test(retention_plan, a_retention_longer_than_time_keeps_everything)
{
    struct ltx_info files[MAX], del[MAX];
    size_t n = parse_files("1-10@700 1-20@800 1-30@950", files);
    struct wall now = { INT64_MIN + 5, 0 };
    uint64_t floor;

    cr_expect_eq(retention_snapshots(files, n, now, INT64_MAX, del, &floor), 0);
    cr_expect_eq(floor, 0);
    cr_expect_eq(retention_l0(files, n, files, n, now, INT64_MAX, del), 0);
}
