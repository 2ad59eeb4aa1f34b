/*
 * Entries of dbs[]: their structure and paths; those with the same path become one
 * database with the replicas of all of them; snapshot settings find their databases.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "config/build.h"
#include "config/glob.h"
#include "config/value.h"

/* ---- structure and paths ---- */

static const char *
structure_fault(const struct cfg_db *db)
{
    bool dir = db->dir[0] != '\0';

    if (db->path[0] != '\0' && dir)
        return "cannot specify both 'path' and 'dir'";
    if (db->path[0] == '\0' && !dir)
        return "must specify either 'path' or 'dir'";
    if (dir && db->pattern[0] == '\0')
        return "'pattern' is required when using 'dir'";
    if (dir && !glob_valid(db->pattern))
        return "'pattern' is not well-formed: a '[' is not closed, or a '\\' ends it";
    if (!dir && db->watch)
        return "'watch' can only be enabled with a directory";
    if (!dir && db->meta_dir[0] != '\0')
        return "'meta-dir' can only be used with a directory";
    if (db->meta_path[0] != '\0' && db->meta_dir[0] != '\0')
        return "cannot specify both 'meta-path' and 'meta-dir'";
    return NULL;
}

/* Makes one path absolute; "" stays. */
static int
expand(struct build *b, const char **path, bool is_db, struct err *e)
{
    char *abs;
    int rc;

    if ((*path)[0] == '\0')
        return 0;
    rc = is_db ? path_expand_db(*path, &abs, e) : path_expand(*path, &abs, e);
    if (rc != 0)
        return rc;
    *path = arena_strdup(b->a, abs);
    mem_free(abs);
    return 0;
}

static const char *
default_meta_path(struct build *b, const char *db_path)
{
    char *path = config_default_meta_path(db_path);
    const char *meta = arena_strdup(b->a, path);

    mem_free(path);
    return meta;
}

/* The database's own path ends loading when it is bad, the others only its use. */
static int
expand_paths(struct build *b, struct cfg_db *db, struct err *e)
{
    struct err later = ERR_NONE;
    int rc = expand(b, &db->path, true, e);

    if (rc != 0)
        return err_wrap(
            e, "line %d: dbs[%d].path", cfg_line_of(&db->obj, "path"), db->entry - 1);
    db->dir_path = db->dir;
    if (expand(b, &db->dir_path, false, &later) != 0 ||
        expand(b, &db->meta_path, false, &later) != 0 ||
        expand(b, &db->meta_dir, false, &later) != 0)
        db->fault = build_fault(b, db->obj.line, "%s", later.text);
    if (db->path[0] != '\0' && db->meta_path[0] == '\0')
        db->meta_path = default_meta_path(b, db->path);
    return 0;
}

int
build_entries(struct build *b, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < b->c->n_dbs && rc == 0; i++) {
        struct cfg_db *db = &b->c->dbs[i];
        const char *fault = structure_fault(db);

        if (fault != NULL)
            return build_fail(
                e, db->obj.line, "database config #%d: %s", db->entry, fault);
        rc = expand_paths(b, db, e);
        if (db->truncate_pages == 0)
            cfg_value_default(
                b->a, cfg_option_find(CFG_DB, "truncate-page-n"), &db->truncate_pages);
    }
    return rc;
}

/* ---- merging ---- */

static int
by_path(const void *a, const void *b)
{
    const struct cfg_db *const *x = a, *const *y = b;
    int order = strcmp((*x)->path, (*y)->path);

    return order != 0 ? order : (*x)->entry - (*y)->entry;
}

static int
conflict(struct build *b, const struct cfg_db *into, const struct cfg_db *from,
    const struct cfg_option *o, struct err *e)
{
    int line = cfg_line_of(&from->obj, o->name);

    return build_fail(e, line != 0 ? line : from->obj.line,
        "dbs[%s].%s: database config #%d and #%d have the same path and different "
        "values: %s and %s",
        into->path, o->name, into->entry, from->entry,
        cfg_value_text(b->a, o, cfg_field_const(into, o)),
        cfg_value_text(b->a, o, cfg_field_const(from, o)));
}

/* Keys of one entry hold for the whole database. */
static int
unite(struct build *b, struct cfg_db *into, const struct cfg_db *from, struct err *e)
{
    static const char *const apart[] = { "path", "enabled" };
    struct cfg_mark *marks =
        arena_alloc(b->a, (into->obj.n_marks + from->obj.n_marks + 1) * sizeof(*marks));
    size_t n = into->obj.n_marks;

    /* Not united: a database that one entry switches off must not be on by the other. */
    if (into->enabled != from->enabled)
        return conflict(b, into, from, cfg_option_find(CFG_DB, "enabled"), e);
    memcpy(marks, into->obj.marks, n * sizeof(*marks));
    for (size_t i = 0; i < from->obj.n_marks; i++) {
        const struct cfg_option *o = &cfg_options[from->obj.marks[i].option];
        void *to = cfg_field(into, o);
        const void *value = cfg_field_const(from, o);

        if (cfg_type_is_container(o->type) || strcmp(o->name, apart[0]) == 0 ||
            strcmp(o->name, apart[1]) == 0)
            continue;
        if (!cfg_is_set(&into->obj, o->name)) {
            cfg_value_copy(o, to, value);
            marks[n++] = from->obj.marks[i];
        } else if (!cfg_value_equal(o, to, value)) {
            return conflict(b, into, from, o, e);
        }
    }
    into->obj.marks = marks;
    into->obj.n_marks = n;
    if (into->fault == NULL)
        into->fault = from->fault;
    into->both_spellings = into->both_spellings || from->both_spellings;
    return 0;
}

/* n entries with one path, the first of the file first. */
static int
merge_group(struct build *b, struct cfg_db *const *group, size_t n, struct err *e)
{
    struct cfg_db *into = group[0];
    struct cfg_replica *all;
    size_t n_all = 0;
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        n_all += group[i]->n_replicas;
    all = arena_alloc(b->a, (n_all + 1) * sizeof(*all));
    n_all = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i > 0)
            rc = unite(b, into, group[i], e);
        if (group[i]->n_replicas > 0)
            memcpy(all + n_all, group[i]->replicas, group[i]->n_replicas * sizeof(*all));
        n_all += group[i]->n_replicas;
        group[i]->n_replicas = 0; /* moved, secrets included */
        if (i > 0)
            group[i]->path = NULL; /* to be dropped */
    }
    into->replicas = all;
    into->n_replicas = n_all;
    return rc;
}

int
build_merge(struct build *b, struct err *e)
{
    struct config *c = b->c;
    struct cfg_db **order = mem_new_array(c->n_dbs + 1, sizeof(*order));
    size_t n = 0, kept = 0;
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs; i++)
        if (c->dbs[i].path[0] != '\0')
            order[n++] = &c->dbs[i];
    qsort(order, n, sizeof(*order), by_path);
    for (size_t i = 0, next; i < n && rc == 0; i = next) {
        for (next = i + 1; next < n; next++)
            if (strcmp(order[i]->path, order[next]->path) != 0)
                break;
        if (next - i > 1)
            rc = merge_group(b, order + i, next - i, e);
    }
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        if (c->dbs[i].path != NULL)
            c->dbs[kept++] = c->dbs[i];
    if (rc == 0)
        c->n_dbs = kept;
    mem_free(order);
    return rc;
}

/* ---- snapshots ---- */

/*
 * One of the two values for all databases. What the top level says wins over databases. A
 * value that is the only one among them holds for all (so does Litestream, which dies
 * when there are two); else each keeps its own.
 */
static void
spread(struct build *b, const char *name, int64_t *global, size_t off)
{
    struct config *c = b->c;
    bool given = cfg_is_set(&c->obj, name), several = false;
    int64_t only = 0;

    for (size_t i = 0; i < c->n_dbs; i++) {
        const struct cfg_db *db = &c->dbs[i];
        int64_t value = *(const int64_t *)((const char *)&db->snapshot + off);

        if (!cfg_is_set(&db->obj, name))
            continue;
        if (given && value != *global)
            build_warn(b, cfg_line_of(&db->obj, name), name,
                "`%s` of this database has no effect: the top level has it too", name);
        several = several || (only != 0 && value != only);
        only = value;
    }
    if (!given && !several && only != 0)
        *global = only;
    for (size_t i = 0; i < c->n_dbs; i++) {
        int64_t *value = (int64_t *)((char *)&c->dbs[i].snapshot + off);

        if (given || !several || !cfg_is_set(&c->dbs[i].obj, name))
            *value = *global;
    }
}

void
build_snapshots(struct build *b)
{
    spread(b, "snapshot.interval", &b->c->snapshot.interval_ns,
        offsetof(struct cfg_snapshot, interval_ns));
    spread(b, "snapshot.retention", &b->c->snapshot.retention_ns,
        offsetof(struct cfg_snapshot, retention_ns));
}
