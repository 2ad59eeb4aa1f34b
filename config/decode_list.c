#include <string.h>

#include "config/decode.h"
#include "config/value.h"

static int
decode_string_item(struct build *b, struct ynode *item, const char *where,
    const char *key, const char **out, struct err *e)
{
    bool ok = false;
    int rc = decode_visit(b, e);

    *out = "";
    if (rc != 0)
        return rc;
    if (item->kind != YNODE_SCALAR) {
        decode_type_error(
            b, item, NULL, arena_printf(b->a, "an item of %s%s", where, key), "string");
        return 0;
    }
    rc = decode_check_text(b, item, where, key, &ok, e);
    if (ok)
        *out = decode_keep_text(b, item);
    return rc;
}

static int
decode_strings(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, struct cfg_strings *out, struct err *e)
{
    const char **items = arena_alloc(b->a, (n->n + 1) * sizeof(*items));
    size_t i = 0;
    int rc = 0;

    for (struct ynode *item = n->first; item != NULL && rc == 0; item = item->next)
        rc = decode_string_item(b, ynode_follow(item), t->where, o->name, &items[i++], e);
    *out = (struct cfg_strings){ items, n->n };
    return rc;
}

static int
decode_events(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, struct err *e)
{
    unsigned *events = decode_field(b, t, o);
    struct cfg_strings names = { .n = 0 };
    int rc = decode_strings(b, t, o, n, &names, e);

    *events = 0;
    for (size_t i = 0; i < names.n && rc == 0; i++)
        if (!cfg_event_parse(names.items[i], events))
            decode_value_error(b, n->line, t->where, o->name,
                arena_printf(b->a,
                    "must be start, stop, error, recovered, snapshot or restore (got %s)",
                    names.items[i]));
    return rc;
}

/* The map of entry i; NULL: it is none, which was noted. */
static int
list_entry(struct build *b, struct ynode *item, const char *where, size_t i,
    struct ynode **map, struct err *e)
{
    struct ynode *n = ynode_follow(item);
    bool null;
    int rc = decode_is_null(n, &null, e);

    *map = NULL;
    if (rc == 0 && null)
        decode_value_error(b, item->line, where, arena_printf(b->a, "[%zu]", i),
            "an entry must not be empty");
    else if (rc == 0 && n->kind != YNODE_MAP)
        decode_type_error(b, n, NULL, arena_printf(b->a, "%s[%zu]", where, i), "map");
    else if (rc == 0)
        *map = n;
    return rc;
}

static int
decode_levels(struct build *b, struct ynode *list, struct err *e)
{
    struct config *c = b->c;
    size_t i = 0;
    int rc = 0;

    b->levels_given = true;
    c->levels = arena_alloc(b->a, (list->n + 1) * sizeof(*c->levels));
    for (struct ynode *item = list->first; item != NULL && rc == 0; item = item->next) {
        struct cfg_level *level = &c->levels[c->n_levels];
        struct ynode *map;

        rc = list_entry(b, item, "levels", i, &map, e);
        if (rc == 0 && map != NULL) {
            rc = decode_object(b, CFG_LEVEL, level, &level->obj,
                arena_printf(b->a, "levels[%zu].", i), map, e);
            c->n_levels++;
        }
        i++;
    }
    return rc;
}

/* A map with `cmd`, or the command itself as a string or a list. */
static int
decode_hook(struct build *b, struct cfg_hook *hook, struct ynode *n, const char *where,
    struct err *e)
{
    struct target t = { .scope = CFG_HOOK, .base = hook, .where = where };
    bool null;
    int rc;

    build_defaults(b, CFG_HOOK, hook, false);
    hook->obj.line = n->line;
    if (n->kind == YNODE_MAP) {
        rc = decode_object(b, CFG_HOOK, hook, &hook->obj, where, n, e);
    } else {
        rc = decode_is_null(n, &null, e);
        if (rc == 0 && !null)
            rc = decode_value(b, &t, cfg_option_find(CFG_HOOK, "cmd"), n, n->line, e);
    }
    if (rc == 0 && hook->argv.n == 0)
        decode_value_error(b, n->line, where, "cmd", "a hook must have a command");
    return rc;
}

static int
decode_hooks(struct build *b, const char *key, struct ynode *list, struct err *e)
{
    struct config *c = b->c;
    struct cfg_hook *old = c->hooks;
    size_t i = 0;
    int rc = 0;

    c->hooks = arena_alloc(b->a, (c->n_hooks + list->n + 1) * sizeof(*c->hooks));
    if (c->n_hooks > 0)
        memcpy(c->hooks, old, c->n_hooks * sizeof(*old));
    for (struct ynode *item = list->first; item != NULL && rc == 0; item = item->next) {
        rc = decode_visit(b, e);
        if (rc == 0)
            rc = decode_hook(b, &c->hooks[c->n_hooks++], ynode_follow(item),
                arena_printf(b->a, "%s[%zu].", key, i++), e);
    }
    return rc;
}

int
decode_replicas(struct build *b, struct target *t, struct ynode *n, struct err *e)
{
    struct cfg_db *db = t->base;
    bool list = n->kind == YNODE_SEQ;
    size_t more = list ? n->n : 1, i = 0;
    struct cfg_replica *all =
        arena_alloc(b->a, (db->n_replicas + more + 1) * sizeof(*all));
    int rc = 0;

    if (b->n_replicas + more > BUILD_MAX_REPLICAS)
        return build_fail(e, n->line, "more than %zu replicas", BUILD_MAX_REPLICAS);
    b->n_replicas += more;
    if (db->n_replicas > 0)
        memcpy(all, db->replicas, db->n_replicas * sizeof(*all));
    db->both_spellings = db->n_replicas > 0 && more > 0;
    db->replicas = all;
    for (struct ynode *item = list ? n->first : n; item != NULL && rc == 0; i++) {
        const char *name = list ? arena_printf(b->a, "replicas[%zu]", i) : "replica";
        struct cfg_replica *r = &all[db->n_replicas];
        struct ynode *map = n;

        if (list)
            rc = list_entry(
                b, item, arena_printf(b->a, "%sreplicas", t->where), i, &map, e);
        if (rc == 0 && map != NULL) {
            *r = b->blank_replica;
            r->field = name;
            db->n_replicas++;
            rc = decode_object(b, CFG_REPLICA, r, &r->obj,
                arena_printf(b->a, "%s%s.", t->where, name), map, e);
        }
        item = list ? item->next : NULL;
    }
    return rc;
}

static int
decode_dbs(struct build *b, struct ynode *list, struct err *e)
{
    struct config *c = b->c;
    size_t i = 0;
    int rc = 0;

    if (list->n > BUILD_MAX_DBS)
        return build_fail(e, list->line, "dbs: more than %zu entries", BUILD_MAX_DBS);
    c->dbs = arena_alloc(b->a, (list->n + 1) * sizeof(*c->dbs));
    for (struct ynode *item = list->first; item != NULL && rc == 0; item = item->next) {
        struct cfg_db *db = &c->dbs[c->n_dbs];
        struct ynode *map;

        rc = list_entry(b, item, "dbs", i, &map, e);
        if (rc == 0 && map != NULL) {
            *db = b->blank_db;
            db->entry = (int)i + 1;
            c->n_dbs++;
            rc = decode_object(
                b, CFG_DB, db, &db->obj, arena_printf(b->a, "dbs[%zu].", i), map, e);
        }
        i++;
    }
    return rc;
}

int
decode_seq(struct build *b, struct target *t, const struct cfg_option *o, struct ynode *n,
    int line, struct err *e)
{
    switch (o->type) {
    case CFG_STRINGS:
    case CFG_COMMAND:
        decode_mark(t, o, line);
        return decode_strings(b, t, o, n, decode_field(b, t, o), e);
    case CFG_EVENTS:
        decode_mark(t, o, line);
        return decode_events(b, t, o, n, e);
    case CFG_EXEC:
    case CFG_HOOKS:
        decode_mark(t, o, line);
        return decode_hooks(b, o->name, n, e);
    case CFG_LEVELS:
        decode_mark(t, o, line);
        return decode_levels(b, n, e);
    case CFG_DBS:
        decode_mark(t, o, line);
        return decode_dbs(b, n, e);
    case CFG_REPLICA_LIST:
        decode_mark(t, o, line);
        return decode_replicas(b, t, n, e);
    case CFG_BOOL:
    case CFG_TRI:
    case CFG_INT:
    case CFG_INT64:
    case CFG_MODE:
    case CFG_DURATION:
    case CFG_BYTESIZE:
    case CFG_STRING:
    case CFG_SECRET:
    case CFG_LOG_TYPE:
    case CFG_SECTION:
    case CFG_REPLICA_MAP:
    case CFG_IGNORED:
        decode_type_error(b, n, NULL, decode_key(b, t, o), cfg_type_name(o->type));
        break;
    }
    return 0;
}
