#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_name.h"
#include "workers/restore/plan.h"

/* "9:1-5@50 0:6-6@60" to sorted listings. */
static void
parse_files(const char *text, struct restore_files *f)
{
    struct err e;
    int level, n;
    unsigned long long min, max;
    long created;

    *f = (struct restore_files){ 0 };
    while (sscanf(text, " %d:%llu-%llu@%ld%n", &level, &min, &max, &created, &n) == 4) {
        struct ltx_info info = { .level = level,
            .min_txid = min,
            .max_txid = max,
            .size = 1000,
            .created = { created, 0 } };

        cr_assert_eq(restore_files_add(f, &info, &e), 0);
        text += n;
    }
    for (int i = 0; i < LTX_N_LEVELS; i++)
        if (f->n[i] > 0)
            qsort(f->level[i], f->n[i], sizeof(f->level[i][0]), ltx_info_cmp);
}

static void
print_plan(const struct restore_plan *p, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < p->n; i++) {
        size_t len = strlen(out);

        snprintf(out + len, size - len, "%s%d:%llu-%llu", i > 0 ? " " : "",
            p->files[i].level, (unsigned long long)p->files[i].min_txid,
            (unsigned long long)p->files[i].max_txid);
    }
}

/* What Litestream's planner answers. target: 0 latest, "tN" txid, "sN" timestamp. */
static const struct {
    const char *what, *files, *target, *plan;
} vectors[] = {
    { "snapshot only", "9:1-5@50", "", "9:1-5" },
    { "snapshot and tail", "9:1-5@50 0:6-6@60 0:7-7@70", "", "9:1-5 0:6-6 0:7-7" },
    { "longest reach wins over level", "9:1-5@50 2:6-12@120 0:6-20@200", "t20",
        "9:1-5 0:6-20" },
    { "hole in L1 filled from L0",
        "9:1-5@50 1:6-7@70 1:9-10@100 0:8-8@80 0:9-9@90 0:10-10@100", "t10",
        "9:1-5 1:6-7 0:8-8 1:9-10" },
    { "no L9", "1:1-4@40 0:5-5@50", "", "1:1-4 0:5-5" },
    { "equal max: smaller min", "9:1-3@30 1:2-6@60 2:4-6@60", "", "9:1-3 1:2-6" },
    { "equal range: higher level", "9:1-3@30 1:4-6@60 2:4-6@60", "", "9:1-3 2:4-6" },
    { "overlap with what is covered", "9:1-3@30 1:2-6@60 0:7-7@70", "",
        "9:1-3 1:2-6 0:7-7" },
    { "gap at the end", "9:1-5@50 0:8-8@80", "",
        "!non-contiguous ltx files: have up to 0000000000000005 but next file starts at "
        "0000000000000008" },
    { "gap above, other level", "9:1-5@50 0:6-6@60 2:9-12@120", "",
        "!non-contiguous ltx files: have up to 0000000000000006 but next file starts at "
        "0000000000000009" },
    { "gap on one level only", "9:1-5@50 1:6-8@80 0:6-6@60 0:8-8@80 0:9-9@90", "",
        "9:1-5 1:6-8 0:9-9" },
    { "txid inside L1, L0 gone", "9:1-5@50 1:6-10@100", "t8",
        "!transaction not available" },
    { "txid inside L1, L0 there", "9:1-5@50 1:6-10@100 0:6-6@60 0:7-7@70 0:8-8@80", "t8",
        "9:1-5 0:6-6 0:7-7 0:8-8" },
    { "txid older than the only snapshot", "9:1-10@100 0:11-11@110", "t7",
        "!transaction not available" },
    { "txid equals snapshot", "9:1-10@100 0:11-11@110", "t10", "9:1-10" },
    { "timestamp equals a file's", "9:1-5@50 0:6-6@60 0:7-7@70", "s70", "9:1-5 0:6-6" },
    { "timestamp inside L1, L0 gone", "9:1-5@50 1:6-10@100", "s80", "9:1-5" },
    { "timestamp and gap", "9:1-5@50 0:6-6@60 0:8-8@80", "s90", "9:1-5 0:6-6" },
    { "timestamp too early", "9:1-5@50 0:6-6@60", "s40", "!transaction not available" },
    { "nothing", "", "", "!transaction not available" },
    { "history does not start at 1", "0:5-5@50 0:6-6@60", "",
        "!transaction not available" },
    { "two snapshots", "9:1-5@50 9:1-9@90 1:6-9@90 0:10-10@100", "", "9:1-9 0:10-10" },
    { "txid between two snapshots", "9:1-5@50 9:1-9@90 1:6-9@90 0:6-6@60 0:7-7@70", "t7",
        "9:1-5 0:6-6 0:7-7" },
};

Test(plan, agrees_with_litestream_on_every_recorded_case)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const char *target = vectors[i].target;
        struct restore_target t = { .by_txid = target[0] == 't',
            .by_time = target[0] == 's' };
        struct restore_files f;
        struct restore_plan p;
        char text[2048];
        struct err e;

        if (t.by_txid)
            t.txid = strtoull(target + 1, NULL, 10);
        if (t.by_time)
            t.timestamp.sec = strtol(target + 1, NULL, 10);
        parse_files(vectors[i].files, &f);
        if (restore_plan_make(&f, &t, &p, &e) == 0)
            print_plan(&p, text, sizeof(text));
        else
            snprintf(text, sizeof(text), "!%s", e.text);
        cr_expect_str_eq(text, vectors[i].plan, "%s: %s", vectors[i].what, text);
        restore_plan_deinit(&p);
        restore_files_deinit(&f);
    }
}

/* A timestamp takes what it can reach, and says so when there is more. */
Test(plan, a_state_older_than_asked_for_is_told)
{
    static const struct {
        const char *files;
        long at;
        bool cut_short;
    } cases[] = {
        { "9:1-5@50 0:6-6@60 0:8-8@80", 90, true },
        { "9:1-5@50 0:6-6@60 0:8-8@80 0:9-9@95", 90, true },
        { "9:1-5@50 0:6-6@60 0:8-8@80", 80, false },
        { "9:1-5@50 0:6-6@60 0:7-7@70", 90, false },
        { "9:1-5@50 1:6-10@100", 80, false },
        { "9:1-5@50 0:6-6@60 2:8-12@70", 90, true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct restore_target t = { .by_time = true, .timestamp.sec = cases[i].at };
        struct restore_files f;
        struct restore_plan p;
        struct err e;

        parse_files(cases[i].files, &f);
        cr_assert_eq(restore_plan_make(&f, &t, &p, &e), 0, "%s", e.text);
        cr_expect_eq(p.cut_short, cases[i].cut_short, "case %zu", i);
        restore_plan_deinit(&p);
        restore_files_deinit(&f);
    }
}

Test(plan, two_kinds_of_target_are_refused)
{
    struct restore_target t = { .by_txid = true, .by_time = true };
    struct restore_files f;
    struct restore_plan p;
    struct err e;

    parse_files("9:1-5@50", &f);
    cr_assert_eq(restore_plan_make(&f, &t, &p, &e), ERR_USAGE);
    cr_assert_str_eq(e.text, "cannot specify both TXID & timestamp to restore");
    restore_files_deinit(&f);
}

/*
 * Random sets: whatever is planned is contiguous, starts at 1, ends where it was asked
 * to, and "latest" ends at the highest TXID there is.
 */
Test(plan, a_plan_never_has_a_gap)
{
    unsigned seed = 7;
    int planned = 0;

    for (int round = 0; round < 20000; round++) {
        struct restore_files f = { 0 };
        struct restore_target t = { 0 };
        struct restore_plan p;
        struct err e;
        uint64_t highest = 0, cur = 0;
        int n = 1 + rand_r(&seed) % 12;

        for (int i = 0; i < n; i++) {
            struct ltx_info info = { .size = 200 };

            info.level = rand_r(&seed) % LTX_N_LEVELS;
            info.min_txid = info.level == 9 ? 1 : 1 + (uint64_t)rand_r(&seed) % 10;
            info.max_txid = info.min_txid + (uint64_t)rand_r(&seed) % 6;
            info.created.sec = (int64_t)info.max_txid * 10;
            highest = info.max_txid > highest ? info.max_txid : highest;
            restore_files_add(&f, &info, &e);
        }
        for (int i = 0; i < LTX_N_LEVELS; i++)
            if (f.n[i] > 0)
                qsort(f.level[i], f.n[i], sizeof(f.level[i][0]), ltx_info_cmp);
        switch (rand_r(&seed) % 3) {
        case 0:
            t.by_txid = true;
            t.txid = 1 + (uint64_t)rand_r(&seed) % 14;
            break;
        case 1:
            t.by_time = true;
            t.timestamp.sec = rand_r(&seed) % 150;
            break;
        default:
            break;
        }
        if (restore_plan_make(&f, &t, &p, &e) == 0) {
            planned++;
            for (size_t i = 0; i < p.n; i++) {
                cr_assert_leq(p.files[i].min_txid, cur + 1);
                cr_assert_gt(p.files[i].max_txid, cur);
                cur = p.files[i].max_txid;
                if (t.by_time)
                    cr_assert_lt(p.files[i].created.sec, t.timestamp.sec);
            }
            if (t.by_txid)
                cr_assert_eq(cur, t.txid);
            if (!t.by_txid && !t.by_time)
                cr_assert_eq(cur, highest);
        }
        restore_plan_deinit(&p);
        restore_files_deinit(&f);
    }
    cr_assert_gt(planned, 1000);
}
