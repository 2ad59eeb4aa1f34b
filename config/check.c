/*
 * Values against the rules of the option table, and what only shows when everything is
 * resolved: places that two databases would write to, retention shorter than the
 * interval.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/duration.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "config/build.h"
#include "config/diff.h"
#include "config/value.h"

/* ---- rules ---- */

static bool
keeps_rule(const struct cfg_option *o, const void *field)
{
    const char *url;

    switch (o->rule) {
    case CFG_ANY:
        return true;
    case CFG_POSITIVE:
        return *(const int64_t *)field > 0;
    case CFG_NOT_NEGATIVE:
        return *(const int64_t *)field >= 0;
    case CFG_MINUTE:
        return *(const int64_t *)field >= DURATION_MIN;
    case CFG_HTTP_URL:
        url = *(const char *const *)field;
        return url[0] == '\0' || strncmp(url, "http://", 7) == 0 ||
               strncmp(url, "https://", 8) == 0;
    }
    return true;
}

/* field: what stands in front of the key in messages, with its dot. */
static int
check_object(struct build *b, enum cfg_scope scope, const void *base,
    const struct cfg_obj *obj, const char *field, struct err *e)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        const void *value = cfg_field_const(base, o);
        int line;

        if ((o->scope & scope) == 0 || o->rule == CFG_ANY ||
            (scope == CFG_GLOBAL && (o->scope & CFG_REPLICA) != 0) ||
            (o->def == NULL && !cfg_is_set(obj, o->name)) || keeps_rule(o, value))
            continue;
        line = cfg_line_of(obj, o->name);
        if (line == 0 && scope == CFG_REPLICA)
            line = cfg_line_of(&b->c->obj, o->name);
        return build_fail(e, line != 0 ? line : obj->line, "%s%s: %s (got %s)", field,
            o->name, o->rule_text, cfg_value_text(b->a, o, value));
    }
    return 0;
}

int
build_check_values(struct build *b, struct err *e)
{
    struct config *c = b->c;
    int rc = check_object(b, CFG_GLOBAL, c, &c->obj, "", e);

    for (size_t i = 0; i < c->n_levels && rc == 0; i++)
        rc = check_object(b, CFG_LEVEL, &c->levels[i], &c->levels[i].obj,
            arena_printf(b->a, "levels[%zu].", i), e);
    for (size_t i = 0; i < c->n_hooks && rc == 0; i++)
        rc = check_object(b, CFG_HOOK, &c->hooks[i], &c->hooks[i].obj,
            arena_printf(b->a, "hooks[%zu].", i), e);
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++) {
        const struct cfg_db *db = &c->dbs[i];

        rc = check_object(b, CFG_DB, db, &db->obj,
            arena_printf(b->a, "dbs[%s].", db->path[0] != '\0' ? db->path : db->dir), e);
    }
    return rc;
}

/* ---- retention ---- */

static void
warn_retention(struct build *b, const struct cfg_snapshot *s, int line, const char *field)
{
    char interval[DURATION_TEXT_MAX], retention[DURATION_TEXT_MAX];

    if (s->retention_ns >= s->interval_ns)
        return;
    duration_format(s->interval_ns, interval);
    duration_format(s->retention_ns, retention);
    build_warn(b, line, field,
        "snapshot retention (%s) is shorter than the snapshot interval (%s): only what "
        "follows the newest snapshot can be restored",
        retention, interval);
}

static bool
same_snapshot(const struct cfg_snapshot *a, const struct cfg_snapshot *b)
{
    return a->interval_ns == b->interval_ns && a->retention_ns == b->retention_ns;
}

static int
either_line(const struct cfg_obj *obj, const char *one, const char *other)
{
    int line = cfg_line_of(obj, one);

    return line != 0 ? line : cfg_line_of(obj, other);
}

static void
check_retention(struct build *b)
{
    const struct config *c = b->c;

    warn_retention(b, &c->snapshot,
        either_line(&c->obj, "snapshot.retention", "snapshot.interval"), "snapshot");
    for (size_t i = 0; i < c->n_dbs; i++) {
        const struct cfg_db *db = &c->dbs[i];

        if (!same_snapshot(&db->snapshot, &c->snapshot))
            warn_retention(b, &db->snapshot,
                either_line(&db->obj, "snapshot.retention", "snapshot.interval"),
                "snapshot");
        for (size_t k = 0; k < db->n_replicas; k++) {
            const struct cfg_replica *r = &db->replicas[k];

            if (!same_snapshot(&r->snapshot, &db->snapshot))
                warn_retention(b, &r->snapshot,
                    either_line(&r->obj, "retention", "snapshot-interval"), r->field);
        }
    }
}

/* ---- log ---- */

static void
check_log_level(struct build *b)
{
    const char *level = b->c->logging.level;
    enum log_level ignored;

    if (level[0] != '\0' && !log_level_parse(level, &ignored))
        build_warn(b, cfg_line_of(&b->c->obj, "logging.level"), "logging.level",
            "`logging.level: %.40s` is no level and means info; there are trace, debug, info, "
            "warn and error",
            level);
}

/* ---- places ---- */

/* A folder, or what stands for one, that a database writes to. */
struct place {
    const char *name; /* equal names are one place */
    struct cfg_db *db;
    const struct cfg_replica *r; /* NULL: the meta folder */
};

static int
by_name(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order == 0)
        order = x->db < y->db ? -1 : x->db > y->db;
    if (order == 0)
        order = x->r < y->r ? -1 : x->r > y->r;
    return order;
}

static const char *
owner_of(struct build *b, const struct place *p)
{
    return p->r != NULL ? p->r->field
                        : arena_printf(b->a, "dbs[%s].meta-path", p->db->path);
}

static int
line_of(const struct place *p)
{
    int line = p->r != NULL ? p->r->obj.line : cfg_line_of(&p->db->obj, "meta-path");

    return line != 0 ? line : p->db->obj.line;
}

/* "that of dbs[/a].replica on line 7", without a line for a command line. */
static const char *
that_of(struct build *b, const struct place *p)
{
    const char *line =
        line_of(p) > 0 ? arena_printf(b->a, " on line %d", line_of(p)) : "";

    return arena_printf(b->a, "that of %s%s", p->r->field, line);
}

/* Two neighbours in the sorted list that are one place. */
static int
check_pair(
    struct build *b, const struct place *one, const struct place *two, struct err *e)
{
    const struct place *swap = one;

    if (one->r != NULL && two->r != NULL && one->r->type == CFG_REPLICA_NATS &&
        !cfg_same_account(one->r, two->r))
        return 0;
    if (one->db == two->db && one->r != NULL && two->r != NULL)
        return build_fail(e, line_of(two), "%s: the destination is the same as %s",
            two->r->field, that_of(b, one));
    if (!one->db->enabled || !two->db->enabled)
        return 0;
    if (two->r == NULL && one->r != NULL) { /* what is said is said of the replica */
        one = two;
        two = swap;
    }
    if (two->db->clash != NULL)
        return 0;
    if (two->r == NULL)
        two->db->clash = build_fault(b, line_of(two),
            "meta-path collision: databases %s and %s would share meta-path %s, causing "
            "replication state corruption",
            one->db->path, two->db->path, two->db->meta_path);
    else if (one->r == NULL)
        two->db->clash = build_fault(b, line_of(two),
            "%s: the destination is the folder of the local state, %s; give another folder",
            two->r->field, owner_of(b, one));
    else
        two->db->clash = build_fault(b, line_of(two),
            "%s: the destination is the same as %s; two databases cannot share one, give each "
            "its own path",
            two->r->field, that_of(b, one));
    return 0;
}

static size_t
collect_places(struct build *b, struct place *all)
{
    size_t n = 0;

    for (size_t i = 0; i < b->c->n_dbs; i++) {
        struct cfg_db *db = &b->c->dbs[i];

        if (db->path[0] == '\0') /* members of a folder get their own path */
            continue;
        all[n++] =
            (struct place){ arena_printf(b->a, "file   %s", db->meta_path), db, NULL };
        for (size_t k = 0; k < db->n_replicas; k++)
            if (db->replicas[k].fault == NULL)
                all[n++] = (struct place){ cfg_place_name(b->a, &db->replicas[k]), db,
                    &db->replicas[k] };
    }
    return n;
}

static int
check_places(struct build *b, struct err *e)
{
    struct config *c = b->c;
    struct place *all;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs; i++)
        n += 1 + c->dbs[i].n_replicas;
    all = mem_new_array(n + 1, sizeof(*all));
    n = collect_places(b, all);
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 1; i < n && rc == 0; i++)
        if (strcmp(all[i - 1].name, all[i].name) == 0)
            rc = check_pair(b, &all[i - 1], &all[i], e);
    mem_free(all);
    return rc;
}

int
build_check(struct build *b, struct err *e)
{
    struct config *c = b->c;
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        for (size_t k = 0; k < c->dbs[i].n_replicas && rc == 0; k++) {
            const struct cfg_replica *r = &c->dbs[i].replicas[k];

            rc = check_object(
                b, CFG_REPLICA, r, &r->obj, arena_printf(b->a, "%s.", r->field), e);
        }
    if (rc == 0) {
        check_log_level(b);
        check_retention(b);
    }
    return rc == 0 ? check_places(b, e) : rc;
}
