/*
 * What workers counted in lives that have ended. The slot of a dead worker keeps its
 * numbers until the next one starts: which life a slot shows is told by its incarnation.
 */
#include <search.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "supervisor/control/metrics_impl.h"

static int
compare(const void *a, const void *b)
{
    return strcmp(
        ((const struct metrics_past *)a)->path, ((const struct metrics_past *)b)->path);
}

struct metrics *
metrics_new(void)
{
    return MEM_NEW(struct metrics);
}

static void
free_past(void *node)
{
    struct metrics_past *p = node;

    mem_free(p->counters);
    mem_free(p);
}

void
metrics_free(struct metrics *m)
{
    tdestroy(m->pasts, free_past);
    mem_free(m);
}

static struct metrics_past *
find(const struct metrics *m, const char *path)
{
    struct metrics_past key = { .path = path }, **found;

    found = tfind(&key, &m->pasts, compare);
    return found != NULL ? *found : NULL;
}

const struct metrics_past *
metrics_past_of(const struct metrics *m, const char *path)
{
    return find(m, path);
}

bool
metrics_counted(const struct metrics_past *past, const struct slot *s)
{
    return past != NULL &&
           slot_peek(s, offsetof(struct slot_data, incarnation)) == past->incarnation;
}

/* --- which number is where ------------------------------------------------------------
 */

static bool
is_counter(const struct metric *m, enum metric_scope scope)
{
    return m->type == METRIC_COUNTER && m->scope == scope;
}

/* How many counters of a scope stand before a line; of the end: how many there are. */
static size_t
rank(const struct metric *m, enum metric_scope scope)
{
    size_t n = 0;

    for (const struct metric *x = metrics_table; x < m; x++)
        n += is_counter(x, scope);
    return n;
}

static size_t
n_db_counters(void)
{
    return rank(metrics_table + n_metrics, METRIC_DB);
}

static size_t
n_replica_counters(void)
{
    return rank(metrics_table + n_metrics, METRIC_REPLICA);
}

uint64_t
metrics_past_db(const struct metrics_past *past, const struct metric *m)
{
    return past != NULL && m->type == METRIC_COUNTER ? past->counters[rank(m, METRIC_DB)]
                                                     : 0;
}

uint64_t
metrics_past_replica(const struct metrics_past *past, const struct metric *m, unsigned i)
{
    if (past == NULL || m->type != METRIC_COUNTER || i >= past->n_replicas)
        return 0;
    return past
        ->counters[n_db_counters() + i * n_replica_counters() + rank(m, METRIC_REPLICA)];
}

static uint64_t
number_at(const void *base, size_t offset)
{
    uint64_t n;

    memcpy(&n, (const char *)base + offset, sizeof(n));
    return n;
}

static void
add_life(struct metrics_past *p, const struct slot_data *s)
{
    size_t n_db = n_db_counters(), n_replica = n_replica_counters(), at;

    for (size_t i = 0; i < n_metrics; i++) {
        const struct metric *m = &metrics_table[i];

        if (is_counter(m, METRIC_DB))
            p->counters[rank(m, METRIC_DB)] += number_at(s, m->offset);
        for (unsigned k = 0; k < p->n_replicas && is_counter(m, METRIC_REPLICA); k++) {
            at = n_db + k * n_replica + rank(m, METRIC_REPLICA);
            p->counters[at] += number_at(&s->replica[k], m->offset);
        }
    }
    p->incarnation = (uint32_t)s->incarnation;
}

/* --- sums of the drivers --------------------------------------------------------------
 */

static uint64_t
peek(const struct slot *s, unsigned i, size_t offset)
{
    return slot_peek(s,
        offsetof(struct slot_data, replica) + i * sizeof(struct slot_replica) + offset);
}

static void
add_failure(
    struct metrics_failures *all, enum cfg_replica_type type, struct slot_failure more)
{
    struct metrics_failure *f = all->list;

    while (f < all->list + all->n &&
           (f->type != type || f->of.op != more.op || strcmp(f->of.code, more.code) != 0))
        f++;
    if (f < all->list + all->n) {
        f->of.n += more.n;
        return;
    }
    if (all->n >= METRICS_N_CODES && strcmp(more.code, "other") != 0) {
        memcpy(more.code, "other", sizeof("other"));
        add_failure(all, type, more);
        return;
    }
    must(all->n < METRICS_N_FAILURES);
    *f = (struct metrics_failure){ .type = type, .of = more };
    all->n++;
}

static void
add_failures(struct metrics_failures *all, const struct slot *s, unsigned i,
    enum cfg_replica_type type)
{
    struct slot_failure list[SLOT_N_FAILURES];
    size_t at = offsetof(struct slot_data, replica) + i * sizeof(struct slot_replica) +
                offsetof(struct slot_replica, failures);

    if (!slot_read_part(s, at, list, sizeof(list)))
        return; /* on the next page */
    for (size_t k = 0; k < SLOT_N_FAILURES; k++) {
        list[k].code[SLOT_CODE_MAX - 1] = '\0';
        if (list[k].n > 0 && list[k].op < SLOT_N_OPS)
            add_failure(all, type, list[k]);
    }
}

static void
add_op(struct metrics_ops *o, const struct slot *s, unsigned i, enum slot_op kind)
{
    static const size_t counts[SLOT_N_OPS] = {
        [SLOT_PUT] = offsetof(struct slot_replica, put_count),
        [SLOT_GET] = offsetof(struct slot_replica, get_count),
        [SLOT_DELETE] = offsetof(struct slot_replica, delete_count),
        [SLOT_LIST] = offsetof(struct slot_replica, list_count),
    };
    size_t op = offsetof(struct slot_replica, op) + kind * sizeof(struct slot_op_stats);

    o->count += peek(s, i, counts[kind]);
    if (kind == SLOT_PUT)
        o->bytes += peek(s, i, offsetof(struct slot_replica, put_bytes));
    if (kind == SLOT_GET)
        o->bytes += peek(s, i, offsetof(struct slot_replica, get_bytes));
    o->more.ns += peek(s, i, op + offsetof(struct slot_op_stats, ns));
    for (size_t k = 0; k < SLOT_N_BUCKETS; k++)
        o->more.le[k] +=
            peek(s, i, op + offsetof(struct slot_op_stats, le) + k * sizeof(uint64_t));
}

static void
add_held(struct metrics_held *h, const struct slot *s)
{
#define HELD(name) offsetof(struct slot_data, held_##name)
    static const size_t counts[METRICS_N_HELD] = { HELD(below_1ms), HELD(below_5ms),
        HELD(below_10ms), HELD(below_20ms), HELD(below_50ms), HELD(below_100ms),
        HELD(below_500ms), HELD(longer) };

    for (size_t i = 0; i < METRICS_N_HELD; i++)
        h->below[i] += slot_peek(s, counts[i]);
    h->ns += slot_peek(s, HELD(ns));
#undef HELD
}

void
metrics_add_ops(struct metrics_totals *t, const struct db_entry *d)
{
    const struct slot *s = db_entry_live_slot(d);
    struct db_info info;

    db_entry_info(d, &info);
    add_held(&t->held, s);
    for (unsigned i = 0; i < info.db->n_replicas && i < SLOT_MAX_REPLICAS; i++) {
        enum cfg_replica_type type = info.db->replicas[i].type;

        for (unsigned kind = 0; kind < SLOT_N_OPS; kind++)
            add_op(&t->op[type][kind], s, i, (enum slot_op)kind);
        add_failures(&t->failures, s, i, type);
    }
}

/* --- events ---------------------------------------------------------------------------
 */

/* A reload may give a database another number of replicas. */
static void
resize(struct metrics_past *p, unsigned n)
{
    size_t had = n_db_counters() + p->n_replicas * n_replica_counters();
    size_t has = n_db_counters() + n * n_replica_counters();

    p->counters = mem_resize(p->counters, has * sizeof(uint64_t));
    if (has > had)
        memset(p->counters + had, 0, (has - had) * sizeof(uint64_t));
    p->n_replicas = n;
}

static struct metrics_past *
past_for(struct metrics *m, const struct db_info *info)
{
    struct metrics_past *p = find(m, info->path);
    size_t len = strlen(info->path) + 1;
    unsigned n = (unsigned)info->db->n_replicas;
    char *path;

    if (p == NULL) {
        p = mem_new(sizeof(*p) + len);
        path = (char *)(p + 1);
        memcpy(path, info->path, len);
        p->path = path;
        p->counters = mem_new_array(n_db_counters(), sizeof(uint64_t));
        must(tsearch(p, &m->pasts, compare) != NULL);
    }
    resize(p, n < SLOT_MAX_REPLICAS ? n : SLOT_MAX_REPLICAS);
    return p;
}

void
metrics_event(struct metrics *m, const struct db_entry *d, enum db_event event)
{
    struct metrics_past *p;
    struct slot_data life;
    struct db_info info;

    db_entry_info(d, &info);
    switch (event) {
    case DB_EVENT_DIED:
    case DB_EVENT_STOPPED:
        db_entry_slot(d, &life);
        p = past_for(m, &info);
        if (life.incarnation == 0 || life.incarnation == p->incarnation)
            return; /* it never ran, or is in there */
        metrics_add_ops(&m->past, d);
        add_life(p, &life);
        return;
    case DB_EVENT_REMOVED:
        p = find(m, info.path);
        if (p == NULL)
            return;
        tdelete(p, &m->pasts, compare);
        free_past(p);
        return;
    case DB_EVENT_ADDED:
    case DB_EVENT_STARTED:
    case DB_EVENT_READY:
        return;
    }
}
