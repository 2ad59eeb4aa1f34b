#include "workers/restore/v03_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

int
v03_files_add(struct v03_files *f, const struct v03_object *o, struct err *e)
{
    if (f->n == f->cap) {
        size_t cap = f->cap > 0 ? f->cap * 2 : 64;
        struct v03_object *more = mem_try(cap, sizeof(*more));

        if (more == NULL)
            return err_set(e, ERR_MEMORY, "no memory for a list of %zu files", cap);
        if (f->n > 0)
            memcpy(more, f->items, f->n * sizeof(*more));
        mem_free(f->items);
        f->items = more;
        f->cap = cap;
    }
    f->items[f->n++] = *o;
    return 0;
}

void
v03_files_deinit(struct v03_files *f)
{
    mem_free(f->items);
    *f = (struct v03_files){ 0 };
}

void
v03_files_bounds(
    const struct v03_files *f, bool *any, struct wall *earliest, struct wall *latest)
{
    for (size_t i = 0; i < f->n; i++) {
        struct wall t = f->items[i].created;

        if (!*any || wall_cmp(t, *earliest) < 0)
            *earliest = t;
        if (!*any || wall_cmp(t, *latest) > 0)
            *latest = t;
        *any = true;
    }
}

/* --- selection ------------------------------------------------------------------------
 */

/* What one generation offers. */
struct offer {
    const struct v03_object *snapshot; /* NULL: nothing */
    size_t n_segments;
    struct wall newest;
};

static bool
eligible(const struct restore_target *t, const struct v03_object *o)
{
    return !t->by_time || wall_cmp(o->created, t->timestamp) <= 0;
}

static bool
is_wanted_segment(const struct restore_target *t, const struct v03_object *snapshot,
    const struct v03_object *o)
{
    return o->kind == V03_SEGMENT && o->index >= snapshot->index && eligible(t, o);
}

/* The objects of one generation, sorted: snapshots come first. */
static struct offer
look_at_generation(
    const struct v03_object *objects, size_t n, const struct restore_target *t)
{
    struct offer offer = { 0 };

    for (size_t i = 0; i < n && objects[i].kind == V03_SNAPSHOT; i++)
        if (eligible(t, &objects[i]))
            offer.snapshot = &objects[i];
    if (offer.snapshot == NULL)
        return offer;
    offer.newest = offer.snapshot->created;
    for (size_t i = 0; i < n; i++)
        if (is_wanted_segment(t, offer.snapshot, &objects[i])) {
            offer.n_segments++;
            if (wall_cmp(objects[i].created, offer.newest) > 0)
                offer.newest = objects[i].created;
        }
    return offer;
}

/* Later generations are asked later and win a tie. */
static bool
is_better(const struct offer *a, const struct offer *than)
{
    int c;

    if (a->snapshot == NULL || than->snapshot == NULL)
        return than->snapshot == NULL && a->snapshot != NULL;
    c = wall_cmp(a->newest, than->newest);
    if (c == 0)
        c = wall_cmp(a->snapshot->created, than->snapshot->created);
    return c >= 0;
}

static size_t
generation_end(const struct v03_files *f, size_t from)
{
    size_t i = from;

    while (i < f->n && f->items[i].generation == f->items[from].generation)
        i++;
    return i;
}

static int
take(const struct v03_files *f, const struct offer *offer, const struct restore_target *t,
    struct v03_plan *plan, struct err *e)
{
    plan->files = mem_try(offer->n_segments + 1, sizeof(plan->files[0]));
    if (plan->files == NULL)
        return err_set(
            e, ERR_MEMORY, "no memory for a list of %zu files", offer->n_segments + 1);
    plan->files[plan->n++] = *offer->snapshot;
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].generation == offer->snapshot->generation &&
            is_wanted_segment(t, offer->snapshot, &f->items[i]))
            plan->files[plan->n++] = f->items[i];
    plan->newest = offer->newest;
    return 0;
}

int
v03_plan_make(struct v03_files *f, const struct restore_target *target,
    struct v03_plan *plan, struct err *e)
{
    struct offer best = { 0 };

    *plan = (struct v03_plan){ 0 };
    if (f->n > 0)
        qsort(f->items, f->n, sizeof(f->items[0]), v03_object_cmp);
    for (size_t from = 0, to; from < f->n; from = to) {
        struct offer offer;

        to = generation_end(f, from);
        offer = look_at_generation(f->items + from, to - from, target);
        if (is_better(&offer, &best))
            best = offer;
    }
    if (best.snapshot == NULL)
        return err_set(e, ERR_NOT_FOUND, "no snapshots available");
    return take(f, &best, target, plan, e);
}

void
v03_plan_deinit(struct v03_plan *plan)
{
    mem_free(plan->files);
    *plan = (struct v03_plan){ 0 };
}

int
v03_plan_check(const struct v03_plan *plan, struct err *e)
{
    uint32_t next = plan->files[0].index;

    for (size_t i = 1; i < plan->n; i++) {
        const struct v03_object *s = &plan->files[i];
        struct v03_object missing = *s;
        char key[V03_KEY_SIZE];

        if (s->index == next && s->off == 0)
            next++;
        else if (s->off == 0 || s->index + 1 != next) {
            missing.index = next;
            missing.off = 0;
            missing.off_digits = 8;
            v03_key_format(&missing, key);
            return err_set(e, ERR_CORRUPT,
                "missing WAL index: expected %u/0, got %u/%lld (no %s)", next, s->index,
                (long long)s->off, key);
        }
    }
    return 0;
}
