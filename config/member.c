/*
 * Configurations made from another one: the shared settings, and a database that was
 * found in a folder.
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "config/build.h"
#include "config/glob.h"
#include "config/url.h"
#include "config/value.h"

/* ---- settings of the top level ---- */

static void
copy_levels(struct build *b, const struct config *from)
{
    b->levels_given = true;
    b->c->n_levels = from->n_levels;
    b->c->levels = arena_alloc(b->a, (from->n_levels + 1) * sizeof(*b->c->levels));
    for (size_t i = 0; i < from->n_levels; i++) {
        b->c->levels[i] = from->levels[i];
        b->c->levels[i].obj = (struct cfg_obj){ .line = 0 };
    }
}

void
build_copy_global(struct build *b, const struct config *from)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        bool inherited = (o->scope & CFG_REPLICA) != 0;
        void *to;

        if ((o->scope & CFG_GLOBAL) == 0 || cfg_type_is_container(o->type) ||
            o->alias_of != NULL)
            continue;
        to = cfg_field(inherited ? (void *)&b->c->global : (void *)b->c, o);
        cfg_value_copy(o, to,
            cfg_field_const(
                inherited ? (const void *)&from->global : (const void *)from, o));
        cfg_value_own(b->a, o, to);
    }
    copy_levels(b, from);
}

/* ---- members of folders ---- */

/* Takes over every string of an object that was copied by assignment. */
static void
own_object(struct build *b, enum cfg_scope scope, void *base, const void *from)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        void *field = cfg_field(base, o);

        if ((o->scope & scope) == 0 || cfg_type_is_container(o->type) ||
            o->alias_of != NULL)
            continue;
        if (o->type == CFG_SECRET) {
            *(struct secret *)field = (struct secret){ .value = NULL };
            cfg_value_copy(o, field, cfg_field_const(from, o));
        }
        cfg_value_own(b->a, o, field);
    }
}

static void
own_marks(struct build *b, struct cfg_obj *obj)
{
    struct cfg_mark *marks = arena_alloc(b->a, (obj->n_marks + 1) * sizeof(*marks));

    memcpy(marks, obj->marks, obj->n_marks * sizeof(*marks));
    obj->marks = marks;
}

/* An escaped path is used as it is, so that the name is escaped, too. */
static const char *
replica_path(struct build *b, const struct cfg_replica *r, const char *name)
{
    char *joined =
        path_join(r->path, r->path_escaped ? url_escape_path(b->a, name) : name);
    const char *path = arena_strdup(b->a, joined);

    mem_free(joined);
    return path;
}

static void
copy_replica(struct build *b, struct cfg_replica *to, const struct cfg_replica *from,
    const char *name)
{
    static const struct cfg_option servers = { .type = CFG_STRINGS };

    *to = *from;
    own_object(b, CFG_REPLICA, to, from);
    own_marks(b, &to->obj);
    to->field = arena_strdup(b->a, from->field);
    to->url = arena_strdup(b->a, from->url);
    to->sse_customer_key_md5 = arena_strdup(b->a, from->sse_customer_key_md5);
    cfg_value_own(b->a, &servers, &to->servers);
    to->path = replica_path(b, from, name);
}

static const char *
member_meta_path(
    struct build *b, const struct cfg_db *dir, const char *path, const char *name)
{
    char *folder = path_dir(name), *joined;
    const char *meta;

    if (dir->meta_dir[0] != '\0')
        joined = path_join(dir->meta_dir, arena_printf(b->a, "%s-litestream", name));
    else
        joined = path_join3(dir->meta_path[0] != '\0' ? dir->meta_path : dir->dir_path,
            folder, arena_printf(b->a, ".%s-litestream", path_base(path)));
    meta = arena_strdup(b->a, joined);
    mem_free(joined);
    mem_free(folder);
    return meta;
}

static void
copy_db(struct build *b, const struct cfg_db *dir, const char *path, const char *name)
{
    struct cfg_db *db = ARENA_NEW(b->a, struct cfg_db);

    *db = *dir;
    own_object(b, CFG_DB, db, dir);
    own_marks(b, &db->obj);
    db->path = arena_strdup(b->a, path);
    db->meta_path = member_meta_path(b, dir, path, name);
    db->dir = db->dir_path = db->pattern = db->meta_dir = "";
    db->watch = db->recursive = false;
    db->replicas = arena_alloc(b->a, (dir->n_replicas + 1) * sizeof(*db->replicas));
    for (size_t i = 0; i < dir->n_replicas; i++)
        copy_replica(b, &db->replicas[i], &dir->replicas[i], name);
    b->c->dbs = db;
    b->c->n_dbs = 1;
}

int
config_member(const struct config *c, const struct cfg_db *dir, const char *path,
    struct config **out, struct err *e)
{
    size_t len = strlen(dir->dir_path);
    struct build b;
    int rc = cfg_check_replicas(dir, e);

    must(len > 0);
    if (rc != 0)
        return rc;
    if (dir->dir_path[len - 1] == '/') /* the root */
        len--;
    if (strncmp(path, dir->dir_path, len) != 0 || path[len] != '/' ||
        path[len + 1] == '\0')
        return err_set(e, ERR_CONFIG, "%s is not in the folder %s", path, dir->dir_path);
    build_init(&b, NULL);
    b.c->file = arena_strdup(b.a, c->file);
    build_copy_global(&b, c);
    copy_db(&b, dir, path, path + len + 1);
    *out = b.c;
    b.c = NULL;
    build_deinit(&b);
    return 0;
}

/* ---- which names are members ---- */

static bool
ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);

    return len >= n && strcmp(name + len - n, end) == 0;
}

bool
cfg_dir_wants(const struct cfg_db *dir, const char *name)
{
    return !ends_with(name, "-wal") && !ends_with(name, "-shm") &&
           !ends_with(name, "-journal") && glob_match(dir->pattern, name);
}

bool
cfg_dir_skips(const struct cfg_db *dir, const char *path)
{
    const char *name = path_base(path);

    for (size_t i = 0; i < dir->n_replicas; i++)
        if (dir->replicas[i].type == CFG_REPLICA_FILE &&
            strcmp(path, dir->replicas[i].path) == 0)
            return true;
    return (name[0] == '.' && ends_with(name, "-litestream")) ||
           strcmp(path, dir->meta_dir) == 0 || strcmp(path, dir->meta_path) == 0;
}

/* NULL: not below the folder. */
static const char *
name_below(const struct cfg_db *dir, const char *path)
{
    size_t len = strlen(dir->dir_path);

    if (len == 0)
        return NULL;
    if (dir->dir_path[len - 1] == '/') /* the root */
        len--;
    return strncmp(path, dir->dir_path, len) == 0 && path[len] == '/' ? path + len + 1
                                                                      : NULL;
}

const struct cfg_db *
config_find_dir(const struct config *c, const char *path)
{
    for (size_t i = 0; i < c->n_dbs; i++) {
        const struct cfg_db *dir = &c->dbs[i];
        const char *name = dir->dir_path[0] != '\0' ? name_below(dir, path) : NULL;

        if (name != NULL && (dir->recursive || strchr(name, '/') == NULL) &&
            cfg_dir_wants(dir, path_base(name)))
            return dir;
    }
    return NULL;
}
