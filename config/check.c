/*
 * Values against the rules of the option table, and what only shows when everything is
 * resolved: destinations that are the same, retention shorter than the interval.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/duration.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "config/build.h"
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
            o->name, o->rule_text,
            o->private ? *(const char *const *)value : cfg_value_text(b->a, o, value));
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

/* ---- destinations ---- */

struct destination {
    const char *name; /* equal names are one place */
    const struct cfg_db *db;
    const struct cfg_replica *r;
};

static int
by_name(const void *a, const void *b)
{
    const struct destination *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order == 0)
        order = x->db < y->db ? -1 : x->db > y->db;
    if (order == 0)
        order = x->r < y->r ? -1 : x->r > y->r;
    return order;
}

/* s3 and oss do not clean the path of a key, the others do. */
static const char *
destination_name(struct build *b, const struct cfg_replica *r)
{
    bool exact = r->type == CFG_REPLICA_S3 || r->type == CFG_REPLICA_OSS;
    char *path = exact ? mem_strdup(r->path) : path_clean(r->path);
    const char *place = r->bucket, *service = r->endpoint, *name;

    if (r->type == CFG_REPLICA_SFTP || r->type == CFG_REPLICA_FILE) {
        place = r->type == CFG_REPLICA_SFTP ? r->user : "";
        service = r->type == CFG_REPLICA_SFTP ? r->host : "";
    } else if (r->type == CFG_REPLICA_WEBDAV) {
        place = "";
        service = r->webdav_url;
    } else if (r->type == CFG_REPLICA_NATS) {
        service = r->servers.n > 0 ? r->servers.items[0] : "";
    } else if (r->type == CFG_REPLICA_ABS && service[0] == '\0') {
        service = r->account_name;
    } else if (r->type == CFG_REPLICA_OSS) {
        service = "";
    }
    name = arena_printf(
        b->a, "%s %s %s %s", cfg_replica_type_name(r->type), service, place, path);
    mem_free(path);
    return name;
}

/* Two neighbours in the sorted list that are one place. */
static int
check_pair(struct build *b, const struct destination *one, const struct destination *two,
    struct err *e)
{
    if (one->db == two->db)
        return build_fail(e, two->r->obj.line,
            "%s: the destination is the same as that of %s on line %d", two->r->field,
            one->r->field, one->r->obj.line);
    if (two->r->type == CFG_REPLICA_NATS) {
        struct cfg_db *db = &b->c->dbs[two->db - b->c->dbs];

        if (db->fault == NULL)
            db->fault = build_fault(b, two->r->obj.line,
                "%s: bucket \"%s\" and path \"%s\" are those of %s on line %d",
                two->r->field, two->r->bucket, two->r->path, one->r->field,
                one->r->obj.line);
        return 0;
    }
    build_warn(b, two->r->obj.line, two->r->field,
        "%s: the destination is the same as that of %s on line %d; two databases cannot "
        "share one",
        two->r->field, one->r->field, one->r->obj.line);
    return 0;
}

static int
check_destinations(struct build *b, struct err *e)
{
    struct config *c = b->c;
    struct destination *all;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs; i++)
        n += c->dbs[i].n_replicas;
    all = mem_new_array(n + 1, sizeof(*all));
    n = 0;
    for (size_t i = 0; i < c->n_dbs; i++) /* members of a folder get their own path */
        for (size_t k = 0; k < c->dbs[i].n_replicas && c->dbs[i].path[0] != '\0'; k++)
            if (c->dbs[i].replicas[k].fault == NULL)
                all[n++] = (struct destination){
                    destination_name(b, &c->dbs[i].replicas[k]),
                    &c->dbs[i],
                    &c->dbs[i].replicas[k],
                };
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
    if (rc == 0)
        check_retention(b);
    return rc == 0 ? check_destinations(b, e) : rc;
}
