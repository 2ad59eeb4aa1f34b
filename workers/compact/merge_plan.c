#include "workers/compact/merge_plan.h"

/* How far the sources were looked at. Every source is looked at once. */
struct cursor {
    const struct merge_plan_request *req;
    size_t next;
    struct ltx_info best;
    bool has_best;
    bool waits; /* a source that goes on ends behind limit_txid, so behind all choices */
};

/* Reaches further; else with less that is there already. */
static bool
better(const struct ltx_info *a, const struct ltx_info *b)
{
    if (a->max_txid != b->max_txid)
        return a->max_txid > b->max_txid;
    return a->min_txid > b->min_txid;
}

/* A name may say anything; no header does. */
static bool
is_range(const struct ltx_info *f)
{
    return f->min_txid > 0 && f->min_txid <= f->max_txid;
}

/* The best source that goes on from `cur`, in c->best. */
static bool
find_best(struct cursor *c, uint64_t cur)
{
    const struct merge_plan_request *req = c->req;

    /* What lost against the last choice does not reach behind it. */
    c->has_best = false;
    for (; c->next < req->n_src; c->next++) {
        const struct ltx_info *f = &req->src[c->next];

        if (!is_range(f) || f->max_txid <= cur || f->min_txid <= req->skip_to)
            continue;
        if (f->min_txid > cur + 1)
            break;
        if (f->max_txid > req->limit_txid) {
            c->waits = true;
        } else if (!c->has_best || better(f, &c->best)) {
            c->best = *f;
            c->has_best = true;
        }
    }
    return c->has_best;
}

/* The first source behind the hole that find_best stopped at; NULL: none, or it waits. */
static const struct ltx_info *
behind_hole(const struct cursor *c)
{
    const struct ltx_info *f = &c->req->src[c->next];

    if (c->waits || c->next == c->req->n_src || f->max_txid > c->req->limit_txid)
        return NULL;
    return f;
}

/* A snapshot holds everything before this source. */
static bool
is_bridged(const struct merge_plan_request *req, const struct ltx_info *f)
{
    return f->min_txid - 1 <= req->snapshot_max;
}

static bool
is_full(const struct merge_plan_request *req, size_t n, int64_t bytes, int64_t size)
{
    if (n == 0)
        return false;
    return (req->max_inputs > 0 && n >= req->max_inputs) ||
           (req->max_bytes > 0 && size > req->max_bytes - bytes);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Takes what goes on from c->best until a hole, the end or a limit. */
static void
take_row(struct cursor *c, struct merge_plan *plan, struct ltx_info *chosen)
{
    int64_t bytes = 0;

    plan->verdict = MERGE_GO;
    plan->min_txid = larger(c->best.min_txid, c->req->dst_max + 1);
    do {
        if (is_full(c->req, plan->n, bytes, c->best.size)) {
            plan->more = true;
            return;
        }
        bytes += c->best.size;
        plan->max_txid = c->best.max_txid;
        chosen[plan->n++] = c->best;
    } while (find_best(c, plan->max_txid));
    plan->more = behind_hole(c) != NULL && is_bridged(c->req, behind_hole(c));
}

struct merge_plan
merge_plan_make(const struct merge_plan_request *req, struct ltx_info *chosen)
{
    struct merge_plan plan = { .verdict = MERGE_NOTHING };
    struct cursor c = { .req = req };
    const struct ltx_info *f;

    if (!find_best(&c, req->dst_max)) {
        f = behind_hole(&c);
        if (f == NULL)
            return plan;
        if (!is_bridged(req, f)) {
            plan.verdict = MERGE_GAP;
            plan.have_txid = larger(req->dst_max, req->snapshot_max);
            plan.next_txid = f->min_txid;
            return plan;
        }
        find_best(&c, f->min_txid - 1);
    }
    take_row(&c, &plan, chosen);
    return plan;
}
