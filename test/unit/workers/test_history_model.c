/*
 * Random histories of a replica against a model that remembers every state: commits,
 * merges, snapshots and retention as the planners want them, and after every step
 * restores whose result must be the model's state byte for byte.
 *
 * HISTORY_SEED (default 1) and HISTORY_CASES (default 60) in the environment choose other
 * or more histories; a failure prints the seed and the last steps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_name.h"
#include "test/unit/workers/history.h"
#include "workers/compact/merge_plan.h"
#include "workers/compact/retention_plan.h"
#include "workers/compact/validate.h"

#define N_MERGED 3 /* levels 1..3 are merged into */
#define MAX_STEPS 150
#define MAX_PLANS 8
#define N_LOG 30
#define MS INT64_C(1000000)

static struct history h;

/* What is different from history to history. */
static struct {
    uint64_t seed;
    uint32_t max_pages;
    int64_t retention_ms, l0_retention_ms, own_ms[LTX_N_LEVELS]; /* own: 0: none */
    bool no_retention, knows_l1, stale_writer, page_sizes, damage;
} how;

/* What the passes so far have left of the promises; moments in Unix milliseconds. */
static struct {
    int64_t window_start, l0_start, own_start[LTX_N_LEVELS];
    bool is_l1_end[HISTORY_MAX_TXID + 1]; /* a file of level 1 ends here */
    bool lost_files;
} past;

/* That the histories reach what they are about. */
static struct {
    unsigned restores, exact, l1_grained, txids, planned, graced, merges, bridged,
        trimmed, gaps, resized, split, crossed, deleted_snapshots, deleted, deleted_l0;
} did;

static char log_lines[N_LOG][160];
static unsigned n_log;

__attribute__((format(printf, 1, 2))) static void
note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(log_lines[n_log++ % N_LOG], sizeof(log_lines[0]), fmt, ap);
    va_end(ap);
}

static void
print_history(void)
{
    for (unsigned i = n_log > N_LOG ? n_log - N_LOG : 0; i < n_log; i++)
        fprintf(stderr, "  %u %s\n", i + 1, log_lines[i % N_LOG]);
    history_print(&h);
}

__attribute__((format(printf, 2, 3), noreturn)) static void
fail(const char *cond, const char *fmt, ...)
{
    va_list ap;

    print_history();
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    cr_assert_fail("%s: HISTORY_SEED=%llu HISTORY_CASES=1, step %u", cond,
        (unsigned long long)how.seed, n_log);
    abort();
}

#define CHECK(cond, ...)                                                                 \
    do {                                                                                 \
        if (!(cond))                                                                     \
            fail(#cond, __VA_ARGS__);                                                    \
    } while (0)

static uint32_t
below(uint32_t n)
{
    return history_below(&h, n);
}

static int64_t
below_ms(int64_t n)
{
    return (int64_t)(((uint64_t)below(1u << 31) << 31 | below(1u << 31)) % (uint64_t)n);
}

static int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- restoring ------------------------------------------------------------------------
 */

static struct restore_target
at_moment(int64_t ms)
{
    return (struct restore_target){ .by_time = true, .timestamp = wall_from_ms(ms) };
}

static struct restore_target
at_txid(uint64_t txid)
{
    return (struct restore_target){ .by_txid = true, .txid = txid };
}

static void
restore(const struct restore_plan *plan, const char *what)
{
    bool same = false;
    struct err e = ERR_NONE;

    CHECK(history_restore(&h, plan, &same, &e) == 0, "%s: %s", what, e.text);
    CHECK(same, "%s: not the state after TXID %llu", what,
        (unsigned long long)plan->files[plan->n - 1].max_txid);
    did.restores++;
}

/* Where the files stop to have the first one's page size; UINT64_MAX: they do not. */
static uint64_t
page_size_until(const struct ltx_info *files, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (history_page_size(&h, &files[i]) != history_page_size(&h, &files[0]))
            return files[i - 1].max_txid;
    return UINT64_MAX;
}

/* The TXID that a target gives, or 0: not available. */
static uint64_t
reach(struct restore_target target, const char *what)
{
    struct restore_plan plan;
    struct err e = ERR_NONE;
    uint64_t reached = 0;
    int rc = history_plan(&h, &target, &plan, &e);

    CHECK(rc == 0 || rc == ERR_NOT_FOUND || (rc == ERR_CORRUPT && how.damage), "%s: %s",
        what, e.text);
    if (rc == 0) {
        reached = plan.files[plan.n - 1].max_txid;
        restore(&plan, what);
        did.crossed += page_size_until(plan.files, plan.n) != UINT64_MAX;
    }
    restore_plan_deinit(&plan);
    return reached;
}

/* The least that a restore to this moment has to give; 0: nothing is promised. */
static uint64_t
promised(int64_t ms)
{
    uint64_t exact = history_txid_at(&h, ms), least = 0;
    bool l1_whole = ms >= past.own_start[1];

    if (ms < past.window_start || how.damage)
        return 0;
    if (l1_whole && how.knows_l1 && ms > past.l0_start) {
        did.exact++;
        return exact;
    }
    for (size_t i = 0; i < h.level[LTX_LEVEL_SNAPSHOT].n; i++) {
        const struct ltx_info *s = &h.level[LTX_LEVEL_SNAPSHOT].files[i];

        if (wall_to_ms(s->created) < ms)
            least = s->max_txid;
    }
    for (uint64_t t = exact; l1_whole && t > least; t--)
        if (past.is_l1_end[t]) {
            did.l1_grained++;
            least = t;
        }
    return least;
}

static void
check_moment(int64_t ms)
{
    uint64_t exact = history_txid_at(&h, ms), least = promised(ms), got;
    char what[80];

    snprintf(what, sizeof(what), "moment %lld", (long long)(ms - h.now_ms));
    got = reach(at_moment(ms), what);
    CHECK(got <= exact, "%s: %llu is too new", what, (unsigned long long)got);
    CHECK(got >= least, "%s: %llu, not %llu", what, (unsigned long long)got,
        (unsigned long long)least);
}

static void
check_txid(uint64_t txid)
{
    uint64_t got;
    char what[80];
    bool must_work = txid == h.n && !how.damage;

    /* The moment right before the next one, where there is one between the two. */
    if (txid < h.n && h.created_ms[txid + 1] > h.created_ms[txid])
        must_work = promised(h.created_ms[txid + 1]) == txid;
    snprintf(what, sizeof(what), "TXID %llu", (unsigned long long)txid);
    got = reach(at_txid(txid), what);
    CHECK(got == txid || (got == 0 && !must_work), "%s: %llu", what,
        (unsigned long long)got);
    did.txids += must_work;
}

static void
check(void)
{
    uint64_t latest;

    if (h.n == 0)
        return;
    latest = reach((struct restore_target){ 0 }, "latest");
    CHECK(latest == h.n || how.damage, "latest is %llu", (unsigned long long)latest);
    check_txid(1 + below((uint32_t)h.n));
    check_moment(h.now_ms + 1 - below_ms(how.l0_retention_ms + 2));
    check_moment(h.now_ms + 1 - below_ms(how.retention_ms * 5 / 4 + 2));
    check_moment(h.created_ms[1 + below((uint32_t)h.n)] + below(2));
}

/* --- restores that were planned before a pass -----------------------------------------
 */

struct before {
    struct restore_plan plans[MAX_PLANS];
    size_t n;
};

static void
plan_before(struct before *b, struct restore_target target)
{
    struct err e;

    if (history_plan(&h, &target, &b->plans[b->n], &e) == 0)
        b->n++;
}

/* Targets of now and back to `since_ms`. */
static void
plan_some(struct before *b, int64_t since_ms)
{
    int64_t span = h.now_ms - since_ms;
    uint64_t first = history_txid_at(&h, since_ms);

    b->n = 0;
    plan_before(b, (struct restore_target){ 0 });
    plan_before(b, at_moment(since_ms));
    for (int i = 0; i < 3; i++)
        plan_before(b, at_moment(since_ms + below_ms(span + 2)));
    for (int i = 0; i < 3; i++)
        plan_before(b, at_txid(first + below((uint32_t)(h.n - first) + 1)));
}

static void
restore_planned(struct before *b, const char *pass)
{
    for (size_t i = 0; i < b->n; i++) {
        restore(&b->plans[i], pass);
        restore_plan_deinit(&b->plans[i]);
        did.planned++;
    }
}

/* --- what the daemon does -------------------------------------------------------------
 */

static struct merge_plan_request
merge_request(int level)
{
    return (struct merge_plan_request){ .src = h.level[level - 1].files,
        .n_src = h.level[level - 1].n,
        .dst_max = history_max(&h, level),
        .snapshot_max = history_max(&h, LTX_LEVEL_SNAPSHOT),
        .limit_txid = UINT64_MAX };
}

/* As the daemon: a merge ends where another page size follows. */
static struct merge_plan
plan_merge(struct merge_plan_request req, struct ltx_info *chosen)
{
    struct merge_plan p = merge_plan_make(&req, chosen);
    uint64_t until = page_size_until(chosen, p.n);

    if (until != UINT64_MAX) {
        did.split++;
        req.limit_txid = until;
        p = merge_plan_make(&req, chosen);
        CHECK(p.verdict == MERGE_GO && p.max_txid == until, "not up to the change");
    }
    return p;
}

static enum merge_verdict
run_merge(int level, const struct merge_plan_request *req, bool real)
{
    struct ltx_info *chosen = malloc((req->n_src + 1) * sizeof(chosen[0]));
    struct merge_plan p = plan_merge(*req, chosen);
    uint64_t min = p.min_txid;
    struct err e = ERR_NONE;

    note("merge into %d behind %llu: verdict %d, %llu-%llu of %zu", level,
        (unsigned long long)req->dst_max, (int)p.verdict, (unsigned long long)p.min_txid,
        (unsigned long long)p.max_txid, p.n);
    if (p.verdict == MERGE_GO) {
        did.merges++;
        did.bridged += p.min_txid > req->dst_max + 1;
        did.trimmed += p.min_txid > chosen[0].min_txid;
        if (!real && below(2) == 0)
            min = chosen[0].min_txid; /* an overlap is no harm either */
        CHECK(history_merge(&h, chosen, p.n, level, min, &e) == 0, "%s", e.text);
        if (real && level == 1)
            past.is_l1_end[p.max_txid] = true;
    }
    free(chosen);
    return p.verdict;
}

/* One run as the daemon would; a hole is closed by a snapshot. */
static bool
merge(int level, struct merge_plan_request req)
{
    enum merge_verdict verdict = run_merge(level, &req, true);
    struct err e = ERR_NONE;

    if (verdict == MERGE_GAP) {
        CHECK(how.damage, "a hole below level %d", level);
        did.gaps++;
        history_snapshot(&h);
        req = merge_request(level);
        verdict = run_merge(level, &req, true);
        CHECK(verdict != MERGE_GAP, "not closed by a snapshot");
    }
    if (level == 1 && !past.lost_files && !how.stale_writer)
        CHECK(validate_merged(h.level[1].files, h.level[1].n, 0, &e) == 0, "%s", e.text);
    return verdict == MERGE_GO;
}

static void
merge_some(int level)
{
    struct merge_plan_request req = merge_request(level);

    if (below(3) == 0)
        req.max_inputs = 1 + below(6);
    if (below(4) == 0)
        req.max_bytes = 1 + below(20000);
    if (below(4) == 0)
        req.limit_txid = h.n - below((uint32_t)h.n + 1);
    merge(level, req);
}

static void
merge_all(uint64_t limit_txid)
{
    for (int level = 1; level <= N_MERGED; level++) {
        struct merge_plan_request req;

        do {
            req = merge_request(level);
            req.limit_txid = limit_txid;
        } while (merge(level, req));
    }
}

/* Another process, which has not seen the newest files of the level. */
static void
merge_stale(int level)
{
    struct merge_plan_request req = merge_request(level);

    req.dst_max -= below((uint32_t)req.dst_max + 1);
    req.max_inputs = below(5);
    run_merge(level, &req, false);
}

/* The snapshot comes at once as a rule; it may fail, and then comes much later. */
static void
change_page_size(void)
{
    uint32_t size = h.state[h.n].page_size == 512 ? 1024 : 512;

    note("page size %u at %llu", size, (unsigned long long)h.n + 1);
    history_change_page_size(&h, size);
    if (below(2) == 0)
        history_snapshot(&h);
    did.resized++;
}

/* A plan from the newest snapshot that goes to where level 1 ends before the next one. */
static bool
plan_grace(const struct ltx_info *del, size_t n_del, struct restore_plan *plan)
{
    uint64_t from = del[n_del - 1].max_txid;
    uint64_t to = h.level[LTX_LEVEL_SNAPSHOT].files[n_del].max_txid - 1;
    struct restore_target target;
    struct err e;

    for (int l = 1; l <= N_MERGED; l++)
        if (how.own_ms[l] > 0)
            return false;
    while (to > from && !past.is_l1_end[to])
        to--;
    target = at_txid(to);
    return history_plan(&h, &target, plan, &e) == 0;
}

/* One generation of grace: all is there but the snapshot itself. */
static void
check_grace(struct restore_plan *plan)
{
    for (size_t i = 1; i < plan->n; i++) {
        if (plan->files[i].level == 0 || plan->files[i].level == LTX_LEVEL_SNAPSHOT)
            continue;
        CHECK(history_find(&h, &plan->files[i]) != NULL, "%d:%llu-%llu is gone",
            plan->files[i].level, (unsigned long long)plan->files[i].min_txid,
            (unsigned long long)plan->files[i].max_txid);
        did.graced++;
    }
    restore_plan_deinit(plan);
}

static void
prune_level(int level, uint64_t floor)
{
    const struct history_level *l = &h.level[level];
    struct ltx_info *del = malloc((l->n + 1) * sizeof(del[0]));
    size_t n = retention_level(l->files, l->n, floor, del);

    CHECK(n < l->n || n == 0, "all of level %d", level);
    history_delete(&h, del, n);
    did.deleted += (unsigned)n;
    free(del);
}

static void
retain(void)
{
    const struct history_level *s = &h.level[LTX_LEVEL_SNAPSHOT];
    struct wall now = wall_from_ms(h.now_ms);
    struct ltx_info del[HISTORY_MAX_TXID];
    uint64_t floor, floors[LTX_N_LEVELS];
    int64_t start = h.now_ms - how.retention_ms, since = start;
    struct before before;
    struct restore_plan grace;
    bool graced = false;
    size_t n;

    for (int l = 1; l <= N_MERGED; l++) {
        floors[l] = retention_level_floor(s->files, s->n, now, how.own_ms[l] * MS);
        if (how.own_ms[l] > 0) {
            since = larger(since, h.now_ms - how.own_ms[l]);
            past.own_start[l] = larger(past.own_start[l], h.now_ms - how.own_ms[l]);
        }
    }
    plan_some(&before, since);
    n = retention_snapshots(s->files, s->n, now, how.retention_ms * MS, del, &floor);
    note("retention: %zu of %zu snapshots, floor %llu", n, s->n,
        (unsigned long long)floor);
    CHECK(n < s->n || n == 0, "all snapshots");
    if (n > 0)
        graced = plan_grace(del, n, &grace);
    history_delete(&h, del, n);
    did.deleted_snapshots += (unsigned)n;
    for (int l = 1; l <= N_MERGED; l++)
        prune_level(l, floor > floors[l] ? floor : floors[l]);
    past.window_start = larger(past.window_start, start);
    restore_planned(&before, "planned before retention");
    if (graced)
        check_grace(&grace);
}

static void
prune_l0(const struct ltx_info *l1, size_t n_l1)
{
    const struct history_level *l = &h.level[0];
    struct ltx_info *del = malloc((l->n + 1) * sizeof(del[0]));
    int64_t start = h.now_ms - how.l0_retention_ms;
    size_t n = retention_l0(
        l->files, l->n, l1, n_l1, wall_from_ms(h.now_ms), how.l0_retention_ms * MS, del);

    note("level-0 retention: %zu of %zu", n, l->n);
    for (size_t i = 0; i < n; i++)
        CHECK(ltx_info_cmp(&del[i], &l->files[i]) == 0, "a hole in level 0");
    CHECK(n < l->n || n == 0, "all of level 0");
    history_delete(&h, del, n);
    did.deleted_l0 += (unsigned)n;
    past.l0_start = larger(past.l0_start, start);
    free(del);
}

static void
retain_l0(void)
{
    const struct history_level *l1 = &h.level[1];
    size_t known = how.knows_l1 || l1->n == 0 ? l1->n : 1;
    struct before before;

    if (how.damage) {
        before.n = 0; /* what level 1 lost, level 0 may have been needed for */
    } else if (how.knows_l1) {
        plan_some(&before, larger(h.now_ms - how.l0_retention_ms + 1, past.own_start[1]));
    } else {
        before.n = 0;
        plan_before(&before, (struct restore_target){ 0 });
    }
    prune_l0(l1->files + l1->n - known, known);
    restore_planned(&before, "planned before level-0 retention");
}

/* Level 0 was planned with, then merged: leaving the new file out saves the plan. */
static void
merge_and_retain_l0(void)
{
    size_t n_l1 = h.level[1].n;
    struct ltx_info *l1 = malloc((n_l1 + 1) * sizeof(l1[0]));
    struct before before = { .n = 0 };

    if (n_l1 > 0)
        memcpy(l1, h.level[1].files, n_l1 * sizeof(l1[0]));
    plan_before(&before, (struct restore_target){ 0 });
    merge(1, merge_request(1));
    if (!how.damage) /* else a snapshot may have come in */
        prune_l0(l1, n_l1);
    restore_planned(&before, "planned before merge and level-0 retention");
    free(l1);
}

static void
lose_a_file(void)
{
    int level = (int)below(N_MERGED + 1);
    struct ltx_info f;

    if (h.level[level].n == 0)
        return;
    f = h.level[level].files[below((uint32_t)h.level[level].n)];
    note("lost %d:%llu-%llu", level, (unsigned long long)f.min_txid,
        (unsigned long long)f.max_txid);
    history_delete(&h, &f, 1);
    past.lost_files = true;
}

/* --- histories ------------------------------------------------------------------------
 */

static void
special(void)
{
    if (how.page_sizes && h.n > 0 && below(4) == 0)
        change_page_size();
    else if (how.damage)
        lose_a_file();
    else if (how.stale_writer && below(2) == 0)
        merge_stale(1 + (int)below(N_MERGED));
}

static void
advance(void)
{
    switch (below(4)) {
    case 0:
    case 1:
        h.now_ms += below_ms(how.l0_retention_ms / 8 + 2);
        break;
    case 2:
        h.now_ms += below_ms(how.l0_retention_ms * 2);
        break;
    default:
        h.now_ms += below_ms(how.retention_ms / 2);
        break;
    }
    note("time passes");
}

static void
step(void)
{
    uint32_t what = below(100);

    if (h.n == 0 || (what < 28 && h.n < HISTORY_MAX_TXID - 3)) {
        note("commit %llu", (unsigned long long)h.n + 1);
        history_commit(&h, how.max_pages);
    } else if (what < 46) {
        advance();
    } else if (what < 68) {
        uint32_t level = below(6);

        merge_some(level < 3 ? 1 : level < 5 ? 2 : 3);
    } else if (what < 77) {
        note("snapshot %llu", (unsigned long long)h.n);
        history_snapshot(&h);
    } else if (what < 93) {
        if (how.no_retention)
            return;
        if (what < 81)
            merge_and_retain_l0();
        else if (what < 88)
            retain();
        else
            retain_l0();
    } else {
        special();
    }
}

static void
choose_how(uint64_t seed, bool damage)
{
    static const uint32_t pages[] = { 3, 8, 24, HISTORY_MAX_PAGES };

    memset(&how, 0, sizeof(how));
    how.seed = seed;
    how.max_pages = pages[below(4)];
    how.retention_ms = 3600000 * (1 + below(24));
    how.l0_retention_ms = below(3) == 0 ? how.retention_ms / 2 : 300000;
    how.no_retention = below(10) == 0;
    how.knows_l1 = below(4) != 0;
    how.stale_writer = below(4) == 0;
    how.page_sizes = below(3) == 0;
    how.damage = damage;
    for (int l = 1; l <= N_MERGED && below(3) == 0; l++)
        how.own_ms[l] = below_ms(how.retention_ms * 2);
    memset(&past, 0, sizeof(past));
    past.window_start = past.l0_start = INT64_MIN;
    for (int l = 0; l < LTX_N_LEVELS; l++)
        past.own_start[l] = INT64_MIN;
}

/* However it went, a snapshot makes everything good, and all levels go on. */
static void
finish(void)
{
    history_snapshot(&h);
    CHECK(reach((struct restore_target){ 0 }, "the end") == h.n, "not the newest");
    for (int i = 0; i < 3; i++)
        history_commit(&h, how.max_pages);
    how.damage = false; /* a hole now would be a mistake */
    merge_all(UINT64_MAX);
    for (int level = 1; level <= N_MERGED; level++)
        CHECK(history_max(&h, level) == h.n, "level %d stays behind", level);
    CHECK(
        reach((struct restore_target){ 0 }, "the end, merged") == h.n, "not the newest");
}

/* True: it was the usual run, which reaches everything. */
static bool
run(bool damage)
{
    const char *seed_text = getenv("HISTORY_SEED"), *cases_text = getenv("HISTORY_CASES");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    uint64_t cases = cases_text != NULL ? strtoull(cases_text, NULL, 10) : 60;

    for (uint64_t end = seed + cases; seed < end; seed++) {
        history_init(&h, seed);
        choose_how(seed, damage);
        n_log = 0;
        for (uint32_t n = 20 + below(MAX_STEPS - 20), i = 0; i < n; i++) {
            step();
            check();
        }
        finish();
        history_deinit(&h);
    }
    return seed_text == NULL && cases_text == NULL;
}

Test(history_model, every_moment_that_is_promised_restores_to_its_state)
{
    if (run(false)) {
        cr_expect(did.exact > 1000 && did.l1_grained > 1000 && did.txids > 500);
        cr_expect(did.merges > 500 && did.trimmed > 2 && did.resized > 20);
        cr_expect(did.split > 20 && did.crossed > 100);
        cr_expect(did.planned > 1000 && did.graced > 3 && did.bridged > 20);
        cr_expect(did.deleted_snapshots > 20 && did.deleted > 50 && did.deleted_l0 > 200);
    }
}

Test(history_model, lost_files_never_give_a_wrong_state_and_a_snapshot_heals)
{
    if (run(true))
        cr_expect(did.restores > 5000 && did.gaps > 2 && did.bridged > 20);
}
