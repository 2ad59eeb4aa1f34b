#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_name.h"
#include "workers/compact/merge_plan.h"

#define MAX 64

/* "1-5 6-6:200" (size, 100 where nothing is said), sorted. */
static size_t
parse_files(const char *text, struct ltx_info *files)
{
    unsigned long long min, max;
    size_t n = 0;
    int len;

    while (sscanf(text, " %llu-%llu%n", &min, &max, &len) == 2) {
        text += len;
        files[n] = (struct ltx_info){ .min_txid = min, .max_txid = max, .size = 100 };
        if (*text == ':')
            files[n].size = strtol(text + 1, (char **)&text, 10);
        n++;
    }
    qsort(files, n, sizeof(files[0]), ltx_info_cmp);
    return n;
}

#define TEXT_MAX 1024

/* "go 1-6+: 1-5 6-6", "gap 5 8", "nothing" */
static void
print_plan(const struct merge_plan *p, const struct ltx_info *chosen, char out[TEXT_MAX])
{
    int len = 0;

    switch (p->verdict) {
    case MERGE_NOTHING:
        snprintf(out, TEXT_MAX, "nothing");
        break;
    case MERGE_GAP:
        snprintf(out, TEXT_MAX, "gap %llu %llu", (unsigned long long)p->have_txid,
            (unsigned long long)p->next_txid);
        break;
    case MERGE_GO:
        len = snprintf(out, TEXT_MAX, "go %llu-%llu%s:", (unsigned long long)p->min_txid,
            (unsigned long long)p->max_txid, p->more ? "+" : "");
        for (size_t i = 0; i < p->n; i++)
            len += snprintf(out + len, TEXT_MAX - (size_t)len, " %llu-%llu",
                (unsigned long long)chosen[i].min_txid,
                (unsigned long long)chosen[i].max_txid);
        break;
    }
}

static const struct {
    const char *what, *src;
    struct merge_plan_request req;
    const char *plan;
} vectors[] = {
    { "no source", "", { 0 }, "nothing" },
    { "from the beginning", "1-1 2-2 3-3", { 0 }, "go 1-3: 1-1 2-2 3-3" },
    { "goes on behind the destination", "1-1 2-2 3-3 4-4", { .dst_max = 2 },
        "go 3-4: 3-3 4-4" },
    { "nothing new", "1-1 2-2", { .dst_max = 2 }, "nothing" },
    { "destination ahead", "1-1 2-2", { .dst_max = 7 }, "nothing" },
    { "one file moves up by itself", "1-5 6-9", { .dst_max = 5 }, "go 6-9: 6-9" },

    { "stops at a hole", "3-3 4-4 6-6", { .dst_max = 2 }, "go 3-4: 3-3 4-4" },
    { "hole at once", "4-4 5-5", { .dst_max = 2 }, "gap 2 4" },
    { "empty destination, sources do not begin at 1", "3-3 4-4", { 0 }, "gap 0 3" },

    { "empty destination, snapshot before", "3-3 4-4", { .snapshot_max = 2 },
        "go 3-4: 3-3 4-4" },
    { "empty destination, snapshot beyond", "3-3 4-4", { .snapshot_max = 9 },
        "go 3-4: 3-3 4-4" },
    { "empty destination, snapshot one short", "3-3 4-4", { .snapshot_max = 1 },
        "gap 1 3" },
    { "hole that a snapshot covers", "8-8 9-9", { .dst_max = 5, .snapshot_max = 7 },
        "go 8-9: 8-8 9-9" },
    { "hole that ends behind the snapshot", "8-8 9-9",
        { .dst_max = 5, .snapshot_max = 6 }, "gap 6 8" },
    { "snapshot that is older than the destination", "8-8",
        { .dst_max = 5, .snapshot_max = 3 }, "gap 5 8" },
    { "what follows the hole, also before the snapshot", "3-3 7-7 8-8 9-9",
        { .dst_max = 5, .snapshot_max = 8 }, "go 7-9: 7-7 8-8 9-9" },
    { "a snapshot does not make the row skip what is there", "6-6 7-7 8-8",
        { .dst_max = 5, .snapshot_max = 7 }, "go 6-8: 6-6 7-7 8-8" },
    { "a row ends at a hole, the next run crosses it", "6-6 9-9",
        { .dst_max = 5, .snapshot_max = 8 }, "go 6-6+: 6-6" },
    { "a hole that the next run cannot cross", "6-6 9-9",
        { .dst_max = 5, .snapshot_max = 7 }, "go 6-6: 6-6" },

    { "reaches into the destination", "1-4 5-9 10-12", { .dst_max = 7 },
        "go 8-12: 5-9 10-12" },
    { "overlap inside the row", "1-5 4-8 9-9", { 0 }, "go 1-9: 1-5 4-8 9-9" },
    { "a file inside another", "1-9 3-5 6-6 10-11", { 0 }, "go 1-11: 1-9 10-11" },
    { "the one that reaches furthest", "1-2 1-4 1-3 3-9 5-6", { 0 }, "go 1-9: 1-4 3-9" },
    { "equal reach: what is not there yet", "4-9 6-9 7-9", { .dst_max = 5 },
        "go 6-9: 6-9" },
    { "names that are no range", "0-4 9-2 1-1 2-2", { .snapshot_max = 20 },
        "go 1-2: 1-1 2-2" },
    { "nothing but names that are no range", "0-4 9-2", { .snapshot_max = 20 },
        "nothing" },

    { "what may not be merged yet", "1-1 2-2 3-3", { .limit_txid = 2 },
        "go 1-2: 1-1 2-2" },
    { "nothing may be merged yet", "3-3 4-4", { .dst_max = 2, .limit_txid = 2 },
        "nothing" },
    { "waits inside a file", "3-6 7-7", { .dst_max = 2, .limit_txid = 5 }, "nothing" },
    { "waiting is not a hole", "3-6 5-5",
        { .dst_max = 2, .limit_txid = 5, .snapshot_max = 4 }, "nothing" },
    { "what waits may have been seen earlier", "1-9 1-2 4-4",
        { .limit_txid = 5, .snapshot_max = 3 }, "go 1-2: 1-2" },
    { "a hole behind the limit is not told yet", "5-5",
        { .dst_max = 2, .limit_txid = 4, .snapshot_max = 4 }, "nothing" },

    { "number of inputs", "1-1 2-2 3-3", { .max_inputs = 2 }, "go 1-2+: 1-1 2-2" },
    { "just the number of inputs", "1-1 2-2", { .max_inputs = 2 }, "go 1-2: 1-1 2-2" },
    { "bytes", "1-1:60 2-2:40 3-3:1", { .max_bytes = 100 }, "go 1-2+: 1-1 2-2" },
    { "one file, whatever its size", "1-1:500 2-2", { .max_bytes = 100 },
        "go 1-1+: 1-1" },
    { "sizes that make no sum", "1-1:9223372036854775807 2-2:9223372036854775807",
        { .max_bytes = INT64_MAX }, "go 1-1+: 1-1" },

    { "skip, with a snapshot", "3-3 4-4 5-5 6-6",
        { .dst_max = 2, .skip_to = 4, .snapshot_max = 4 }, "go 5-6: 5-5 6-6" },
    { "skip what reaches over it", "3-3 4-5 6-6",
        { .dst_max = 2, .skip_to = 4, .snapshot_max = 4 }, "gap 4 6" },
    { "skip without the snapshot", "3-3 4-4 5-5", { .dst_max = 2, .skip_to = 4 },
        "gap 2 5" },
    { "skip to the end", "3-3 4-4", { .dst_max = 2, .skip_to = 4, .snapshot_max = 4 },
        "nothing" },
    { "skip that lies behind", "3-3 8-8 9-9", { .dst_max = 7, .skip_to = 4 },
        "go 8-9: 8-8 9-9" },

    { "the highest TXID",
        "18446744073709551614-18446744073709551614 "
        "18446744073709551615-18446744073709551615",
        { .dst_max = UINT64_MAX - 2, .limit_txid = UINT64_MAX },
        "go 18446744073709551614-18446744073709551615: "
        "18446744073709551614-18446744073709551614 "
        "18446744073709551615-18446744073709551615" },
    { "nothing follows the highest TXID", "1-18446744073709551615",
        { .dst_max = UINT64_MAX }, "nothing" },
};

Test(merge_plan, every_case)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct merge_plan_request req = vectors[i].req;
        struct ltx_info src[MAX], chosen[MAX];
        struct merge_plan p;
        char text[TEXT_MAX];

        req.src = src;
        req.n_src = parse_files(vectors[i].src, src);
        if (req.limit_txid == 0)
            req.limit_txid = UINT64_MAX;
        p = merge_plan_make(&req, chosen);
        print_plan(&p, chosen, text);
        cr_expect_str_eq(text, vectors[i].plan, "%s: %s", vectors[i].what, text);

        /* the sources themselves as the place for the answer */
        p = merge_plan_make(&req, src);
        print_plan(&p, src, text);
        cr_expect_str_eq(
            text, vectors[i].plan, "%s, in place: %s", vectors[i].what, text);
    }
}

static unsigned seed;

static uint64_t
below(unsigned n)
{
    return (uint64_t)rand_r(&seed) % n;
}

static void
random_request(struct merge_plan_request *req, struct ltx_info *src)
{
    *req = (struct merge_plan_request){ .src = src,
        .n_src = (size_t)below(14),
        .dst_max = below(3) == 0 ? 0 : below(12),
        .snapshot_max = below(2) == 0 ? 0 : below(16),
        .limit_txid = below(3) != 0 ? UINT64_MAX : below(20),
        .skip_to = below(4) != 0 ? 0 : below(12),
        .max_inputs = below(2) == 0 ? 0 : 1 + (size_t)below(4),
        .max_bytes = below(2) == 0 ? 0 : 1 + (int64_t)below(600) };
    for (size_t i = 0; i < req->n_src; i++) {
        src[i] = (struct ltx_info){ .min_txid = 1 + below(18),
            .size = 50 + (int64_t)below(100) };
        src[i].max_txid = src[i].min_txid + (below(2) == 0 ? 0 : below(6));
    }
    qsort(src, req->n_src, sizeof(src[0]), ltx_info_cmp);
}

/* Some source that may be taken brings `txid`. */
static bool
is_covered(const struct merge_plan_request *req, uint64_t txid)
{
    for (size_t i = 0; i < req->n_src; i++)
        if (req->src[i].min_txid <= txid && req->src[i].max_txid >= txid &&
            req->src[i].min_txid > req->skip_to)
            return true;
    return false;
}

static void
check_go(const struct merge_plan_request *req, const struct merge_plan *p,
    const struct ltx_info *chosen)
{
    int64_t bytes = 0;
    bool behind_hole = chosen[0].min_txid > req->dst_max + 1;

    cr_assert_gt(p->n, 0);
    cr_assert_gt(chosen[0].max_txid, req->dst_max);
    cr_assert_gt(p->min_txid, req->dst_max);
    cr_assert(p->min_txid >= chosen[0].min_txid && p->min_txid <= chosen[0].max_txid);
    cr_assert_eq(p->max_txid, chosen[p->n - 1].max_txid);
    if (behind_hole) {
        cr_assert_leq(chosen[0].min_txid, req->snapshot_max + 1);
        for (uint64_t t = req->dst_max + 1; t < chosen[0].min_txid; t++)
            cr_assert_not(is_covered(req, t), "%llu was left out", (unsigned long long)t);
    }
    for (size_t i = 0; i < p->n; i++) {
        cr_assert_gt(chosen[i].min_txid, req->skip_to);
        cr_assert_leq(chosen[i].max_txid, req->limit_txid);
        bytes += chosen[i].size;
        if (i > 0)
            cr_assert(ltx_contiguous(
                chosen[i - 1].max_txid, chosen[i].min_txid, chosen[i].max_txid));
        if (i > 1) /* else the one between them was of no use */
            cr_assert_gt(chosen[i].min_txid, chosen[i - 2].max_txid + 1);
    }
    cr_assert(req->max_inputs == 0 || p->n <= req->max_inputs);
    cr_assert(req->max_bytes == 0 || p->n == 1 || bytes <= req->max_bytes);
}

Test(merge_plan, random_sets_give_rows_that_merge_and_leave_nothing_out)
{
    unsigned n_go = 0, n_gap = 0, n_more = 0;

    seed = 11;
    for (int round = 0; round < 50000; round++) {
        struct merge_plan_request req;
        struct ltx_info src[MAX], chosen[MAX], again[MAX];
        struct merge_plan p, next;

        random_request(&req, src);
        p = merge_plan_make(&req, chosen);
        switch (p.verdict) {
        case MERGE_NOTHING:
            /* nothing is ready that a run without limit would not have to wait for */
            for (size_t i = 0; i < req.n_src; i++)
                cr_assert(src[i].max_txid <= req.dst_max ||
                          src[i].min_txid <= req.skip_to || req.limit_txid != UINT64_MAX);
            break;
        case MERGE_GAP:
            n_gap++;
            cr_assert_not(is_covered(&req, req.dst_max + 1));
            cr_assert_gt(p.next_txid, req.snapshot_max + 1);
            cr_assert(is_covered(&req, p.next_txid));
            cr_assert_gt(p.next_txid, p.have_txid + 1);
            break;
        case MERGE_GO:
            n_go++;
            check_go(&req, &p, chosen);
            req.dst_max = p.max_txid;
            next = merge_plan_make(&req, again);
            cr_assert_eq(p.more, next.verdict == MERGE_GO);
            n_more += p.more;
            break;
        }
    }
    cr_expect(
        n_go > 10000 && n_gap > 2000 && n_more > 2000, "%u %u %u", n_go, n_gap, n_more);
}

Test(merge_plan, runs_of_two_inputs_end_where_one_run_does)
{
    seed = 5;
    for (int round = 0; round < 5000; round++) {
        struct merge_plan_request req;
        struct ltx_info src[MAX], chosen[MAX];
        struct merge_plan p;
        uint64_t reached;

        random_request(&req, src);
        req.max_inputs = 0;
        req.max_bytes = 0;
        reached = req.dst_max;
        do {
            struct merge_plan_request r = req;

            r.dst_max = reached;
            p = merge_plan_make(&r, chosen);
            if (p.verdict == MERGE_GO)
                reached = p.max_txid;
        } while (p.verdict == MERGE_GO);
        req.max_inputs = 2;
        for (;;) {
            p = merge_plan_make(&req, chosen);
            if (p.verdict != MERGE_GO)
                break;
            req.dst_max = p.max_txid;
        }
        cr_assert_eq(req.dst_max, reached);
    }
}
