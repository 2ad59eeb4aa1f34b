#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "workers/restore/v03_plan.h"

/*
 * "a:s0@10 a:w0/0@11 a:w0/4152@12": generation a has a snapshot of index 0 stored at 10 s
 * and two segments.
 */
static struct v03_files
parse(const char *text)
{
    struct v03_files f = { 0 };
    unsigned generation, index;
    char kind;
    int n;
    struct err e;

    while (sscanf(text, " %x:%c%u%n", &generation, &kind, &index, &n) == 3) {
        struct v03_object o = { .generation = generation,
            .kind = kind == 's' ? V03_SNAPSHOT : V03_SEGMENT,
            .index = index,
            .size = 100 };
        long long off = 0, created;

        text += n;
        if (kind == 'w') {
            cr_assert_eq(sscanf(text, "/%lld%n", &off, &n), 1);
            text += n;
        }
        cr_assert_eq(sscanf(text, "@%lld%n", &created, &n), 1);
        text += n;
        o.off = off;
        o.off_digits = kind == 'w' ? 8 : 0;
        o.created.sec = created;
        cr_assert_eq(v03_files_add(&f, &o, &e), 0);
    }
    return f;
}

static void
print(const struct v03_plan *p, char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0; i < p->n; i++) {
        const struct v03_object *o = &p->files[i];
        size_t len = strlen(out);

        len += (size_t)snprintf(out + len, size - len, "%s%x:%c%u", i > 0 ? " " : "",
            (unsigned)o->generation, o->kind == V03_SNAPSHOT ? 's' : 'w', o->index);
        if (o->kind == V03_SEGMENT)
            snprintf(out + len, size - len, "/%lld", (long long)o->off);
    }
}

/* at: timestamp, 0: the newest. plan: NULL: none. */
static const struct {
    const char *what, *files;
    long at;
    const char *plan;
    long newest;
} vectors[] = {
    { "nothing", "", 0, NULL, 0 },
    { "segments without a snapshot", "a:w0/0@10 a:w0/4152@11", 0, NULL, 0 },
    { "snapshot only", "a:s0@10", 0, "a:s0", 10 },
    { "snapshot and segments", "a:w0/4152@12 a:w0/0@11 a:s0@10", 0,
        "a:s0 a:w0/0 a:w0/4152", 12 },
    { "last snapshot, from its WAL on",
        "a:s0@10 a:w0/0@11 a:w1/0@12 a:s2@13 a:w2/0@14 a:w3/0@15", 0,
        "a:s2 a:w2/0 a:w3/0", 15 },
    { "offsets are numbers", "a:s0@1 a:w0/0@2 a:w0/5000000000@4 a:w0/90@3", 0,
        "a:s0 a:w0/0 a:w0/90 a:w0/5000000000", 4 },
    { "later generation", "a:s0@10 a:w0/0@11 b:s0@20 b:w0/0@21", 0, "b:s0 b:w0/0", 21 },
    { "names do not say which is later", "b:s0@10 b:w0/0@11 a:s0@20 a:w0/0@21", 0,
        "a:s0 a:w0/0", 21 },
    { "later moment, not later snapshot", "a:s0@10 a:w0/0@40 b:s0@20 b:w0/0@30", 0,
        "a:s0 a:w0/0", 40 },
    { "generation without a snapshot", "a:s0@10 b:w0/0@30", 0, "a:s0", 10 },
    { "equal moments: later snapshot", "a:s0@20 a:w0/0@30 b:s0@10 b:w0/0@30", 0,
        "a:s0 a:w0/0", 30 },
    { "all times equal", "a:s0@10 a:w0/0@10 b:s0@10 b:w0/0@10", 0, "b:s0 b:w0/0", 10 },
    { "before the first", "a:s0@10 a:w0/0@11", 9, NULL, 0 },
    { "at the snapshot, which counts", "a:s0@10 a:w0/0@11", 10, "a:s0", 10 },
    { "at a segment, which counts", "a:s0@10 a:w0/0@11 a:w0/4152@12", 11, "a:s0 a:w0/0",
        11 },
    { "between two", "a:s0@10 a:w0/0@11 a:w0/4152@20", 19, "a:s0 a:w0/0", 11 },
    { "behind all", "a:s0@10 a:w0/0@11", 99, "a:s0 a:w0/0", 11 },
    { "snapshot of then", "a:s0@10 a:w0/0@11 a:w1/0@12 a:s2@13 a:w2/0@14", 12,
        "a:s0 a:w0/0 a:w1/0", 12 },
    { "generation of then", "a:s0@10 a:w0/0@11 b:s0@20 b:w0/0@21", 19, "a:s0 a:w0/0",
        11 },
    { "snapshot made again behind its segments",
        "a:s0@14 a:w0/0@11 a:w0/4152@12 a:w0/8272@16", 15, "a:s0 a:w0/0 a:w0/4152", 14 },
    { "segments of then without their snapshot", "a:s0@14 a:w0/0@11", 12, NULL, 0 },
};

Test(v03_plan, picks_what_leads_to_the_wanted_moment)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct v03_files f = parse(vectors[i].files);
        struct restore_target target = { .by_time = vectors[i].at != 0,
            .timestamp = { vectors[i].at, 0 } };
        struct v03_plan plan;
        struct err e = ERR_NONE;
        char text[500];
        int rc = v03_plan_make(&f, &target, &plan, &e);

        if (vectors[i].plan == NULL) {
            cr_expect_eq(rc, ERR_NOT_FOUND, "%s", vectors[i].what);
            cr_expect_str_eq(e.text, "no snapshots available");
            cr_expect_eq(plan.n, 0);
        } else {
            cr_expect_eq(rc, 0, "%s", vectors[i].what);
            print(&plan, text, sizeof(text));
            cr_expect_str_eq(text, vectors[i].plan, "%s: %s", vectors[i].what, text);
            cr_expect_eq(plan.newest.sec, vectors[i].newest, "%s", vectors[i].what);
        }
        v03_plan_deinit(&plan);
        v03_files_deinit(&f);
    }
}

Test(v03_plan, nanosecond_decides)
{
    struct v03_files f = parse("a:s0@10 a:w0/0@11");
    struct restore_target target = { .by_time = true, .timestamp = { 11, 499 } };
    struct v03_plan plan;
    struct err e = ERR_NONE;

    f.items[1].created.nsec = 500;
    cr_assert_eq(v03_plan_make(&f, &target, &plan, &e), 0);
    cr_expect_eq(plan.n, 1);
    v03_plan_deinit(&plan);
    target.timestamp.nsec = 500;
    cr_assert_eq(v03_plan_make(&f, &target, &plan, &e), 0);
    cr_expect_eq(plan.n, 2);
    v03_plan_deinit(&plan);
    v03_files_deinit(&f);
}

static const struct {
    const char *files, *error;
} gaps[] = {
    { "a:s0@1", NULL },
    { "a:s3@1 a:w3/0@2 a:w3/9@3 a:w4/0@4 a:w5/0@5", NULL },
    { "a:s3@1 a:w4/0@4", "missing WAL index: expected 3/0, got 4/0 (no "
                         "generations/000000000000000a/wal/00000003_00000000.wal.lz4)" },
    { "a:s0@1 a:w0/4152@2",
        "missing WAL index: expected 0/0, got 0/4152 (no "
        "generations/000000000000000a/wal/00000000_00000000.wal.lz4)" },
    { "a:s0@1 a:w0/0@2 a:w2/0@2",
        "missing WAL index: expected 1/0, got 2/0 (no "
        "generations/000000000000000a/wal/00000001_00000000.wal.lz4)" },
    { "a:s0@1 a:w0/0@2 a:w1/4152@2",
        "missing WAL index: expected 1/0, got 1/4152 (no "
        "generations/000000000000000a/wal/00000001_00000000.wal.lz4)" },
};

Test(v03_plan, wal_that_is_missing_is_named)
{
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        struct v03_files f = parse(gaps[i].files);
        struct restore_target target = { 0 };
        struct v03_plan plan;
        struct err e = ERR_NONE;
        int rc;

        cr_assert_eq(v03_plan_make(&f, &target, &plan, &e), 0);
        rc = v03_plan_check(&plan, &e);
        cr_expect_eq(rc, gaps[i].error != NULL ? ERR_CORRUPT : 0, "%s", gaps[i].files);
        if (gaps[i].error != NULL)
            cr_expect_str_eq(e.text, gaps[i].error);
        v03_plan_deinit(&plan);
        v03_files_deinit(&f);
    }
}

Test(v03_plan, bounds_are_those_of_all_objects)
{
    struct v03_files f = parse("a:s0@10 a:w0/0@5 b:w9/0@77"), none = { 0 };
    struct wall from = { 20, 0 }, to = { 80, 0 };
    bool any = false;

    v03_files_bounds(&none, &any, &from, &to);
    cr_expect_not(any);
    v03_files_bounds(&f, &any, &from, &to);
    cr_expect(any && from.sec == 5 && to.sec == 77);
    from.sec = 1;
    to.sec = 80;
    v03_files_bounds(&f, &any, &from, &to);
    cr_expect(from.sec == 1 && to.sec == 80);
    v03_files_deinit(&f);
}
