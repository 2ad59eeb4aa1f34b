#include "workers/compact/retention_plan.h"

#include <stdbool.h>

#include "workers/compact/schedule.h"

static struct wall
start_of(struct wall now, int64_t retention_ns)
{
    return schedule_add(now, retention_ns > 0 ? -retention_ns : 0);
}

/* A file of another range is no snapshot, whoever put it there. */
static bool
is_old_snapshot(const struct ltx_info *f, struct wall start)
{
    return f->min_txid == 1 && wall_cmp(f->created, start) < 0;
}

/* Index of the newest snapshot created before `start`; n: none. */
static size_t
find_base(const struct ltx_info *files, size_t n, struct wall start)
{
    for (size_t i = n; i > 0; i--)
        if (is_old_snapshot(&files[i - 1], start))
            return i - 1;
    return n;
}

size_t
retention_snapshots(const struct ltx_info *files, size_t n, struct wall now,
    int64_t retention_ns, struct ltx_info *del, uint64_t *floor)
{
    struct wall start = start_of(now, retention_ns);
    size_t base = find_base(files, n, start), n_del = 0;
    bool all_before = true; /* every snapshot so far is deleted */

    *floor = 0;
    if (base == n)
        return 0;
    for (size_t i = 0; i < base; i++) {
        struct ltx_info f = files[i];

        if (!is_old_snapshot(&f, start)) {
            all_before = false;
            continue;
        }
        if (all_before)
            *floor = f.max_txid;
        del[n_del++] = f;
    }
    if (n_del == 0 && all_before)
        *floor = files[base].max_txid;
    return n_del;
}

uint64_t
retention_level_floor(
    const struct ltx_info *files, size_t n, struct wall now, int64_t retention_ns)
{
    size_t base;

    if (retention_ns <= 0)
        return 0;
    base = find_base(files, n, start_of(now, retention_ns));
    return base < n ? files[base].max_txid : 0;
}

static uint64_t
highest(const struct ltx_info *files, size_t n)
{
    uint64_t max = 0;

    for (size_t i = 0; i < n; i++)
        if (files[i].max_txid > max)
            max = files[i].max_txid;
    return max;
}

size_t
retention_level(
    const struct ltx_info *files, size_t n, uint64_t floor, struct ltx_info *del)
{
    uint64_t reach = highest(files, n);
    size_t n_del = 0;

    for (size_t i = 0; i + 1 < n; i++)
        if (files[i].max_txid < floor && files[i].max_txid < reach)
            del[n_del++] = files[i];
    return n_del;
}

/* The first TXID of the level-1 files that hold `f`; f's own when there is none. */
static uint64_t
group_start(const struct ltx_info *f, const struct ltx_info *l1, size_t n_l1)
{
    uint64_t start = f->min_txid;

    for (size_t i = 0; i < n_l1; i++)
        if (l1[i].min_txid < start && l1[i].max_txid >= f->min_txid)
            start = l1[i].min_txid;
    return start;
}

size_t
retention_l0(const struct ltx_info *files, size_t n, const struct ltx_info *l1,
    size_t n_l1, struct wall now, int64_t retention_ns, struct ltx_info *del)
{
    struct wall start = start_of(now, retention_ns);
    uint64_t merged = highest(l1, n_l1), keep_from = UINT64_MAX;
    size_t n_del = 0, young = 0;

    if (retention_ns <= 0 || n == 0)
        return 0;
    while (young < n && wall_cmp(files[young].created, start) <= 0)
        young++;
    if (young < n)
        keep_from = group_start(&files[young], l1, n_l1);
    for (size_t i = 0; i < young && i + 1 < n; i++)
        if (files[i].max_txid <= merged && files[i].max_txid < keep_from)
            del[n_del++] = files[i];
        else
            break; /* no hole */
    return n_del;
}
