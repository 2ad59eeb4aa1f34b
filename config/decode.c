/*
 * The step from the YAML tree to a struct config, by the option table.
 *
 * Errors of type are collected and reported together, as the peer does; the first bad
 * value is kept for after that. Maps merged by `<<` fill in what the map itself leaves
 * out. Everything visited is counted, so that aliases cannot multiply without end.
 */
#include "config/decode.h"

#include <stdio.h>
#include <string.h>

#include "config/value.h"

#define TYPE_ERRORS_TEXT_MAX 4096
#define MAX_MERGE_DEPTH 32
#define KEY_MAX 128

int
decode_visit(struct build *b, struct err *e)
{
    if (b->visits++ < BUILD_MAX_VISITS)
        return 0;
    return err_set(e, ERR_CONFIG, "yaml: document contains excessive aliasing");
}

void *
decode_field(struct build *b, struct target *t, const struct cfg_option *o)
{
    bool inherited = t->scope == CFG_GLOBAL && (o->scope & CFG_REPLICA) != 0;

    return cfg_field(inherited ? (void *)&b->c->global : t->base, o);
}

void
decode_mark(struct target *t, const struct cfg_option *o, int line)
{
    const struct cfg_option *main =
        o->alias_of != NULL ? cfg_option_find(t->scope, o->alias_of) : o;

    t->marks[t->n_marks++] = (struct cfg_mark){
        .option = (uint16_t)cfg_option_index(main),
        .line = line,
    };
}

/* ---- scalars ---- */

const char *
decode_keep_text(struct build *b, struct ynode *n)
{
    if (n->shared == NULL)
        n->shared = arena_strndup(b->a, n->value, n->size);
    return n->shared;
}

int
decode_check_text(struct build *b, const struct ynode *n, const char *where,
    const char *key, bool *ok, struct err *e)
{
    *ok = false;
    if (n->size > BUILD_MAX_VALUE)
        decode_value_error(b, n->line, where, key,
            arena_printf(b->a, "value of more than %zu bytes", BUILD_MAX_VALUE));
    else if (strlen(n->value) != n->size)
        decode_value_error(b, n->line, where, key, "value with a NUL character");
    else if (!build_take_text(b, n->size))
        return err_set(e, ERR_CONFIG, "values of more than %zu bytes", BUILD_MAX_TEXT);
    else
        *ok = true;
    return 0;
}

static int
decode_scalar(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, int line, struct err *e)
{
    void *field = decode_field(b, t, o);
    struct err why = ERR_NONE;
    struct yscalar s;
    bool ok;
    int rc = yscalar_resolve(n, &s, e);

    if (rc != 0)
        return err_wrap(e, "line %d: %s", n->line, decode_key(b, t, o));
    rc = decode_check_text(b, n, t->where, o->name, &ok, e);
    if (rc != 0 || !ok)
        return rc;
    /* A secret is copied by its owner and leaves none in the arena. */
    s.text = o->type == CFG_SECRET ? n->value : decode_keep_text(b, n);
    switch (cfg_value_take(b->a, o, &s, field, &why)) {
    case CFG_VALUE_OK:
        decode_mark(t, o, line);
        decode_warn_value(b, t, o, n, &s, field);
        decode_warn_deprecated(b, t, o, line);
        return 0;
    case CFG_VALUE_TYPE:
        decode_type_error(b, n, s.tag, decode_key(b, t, o), cfg_type_name(o->type));
        return 0;
    case CFG_VALUE_BAD:
        decode_value_error(b, n->line, t->where, o->name, why.text);
        return 0;
    }
    return 0;
}

/* null: strings and lists become empty, everything else stays as it was. */
static void
decode_null(struct build *b, struct target *t, const struct cfg_option *o)
{
    switch (o->type) {
    case CFG_STRING:
    case CFG_EXEC:
        *(const char **)decode_field(b, t, o) = "";
        break;
    case CFG_SECRET:
        secret_wipe(decode_field(b, t, o));
        break;
    case CFG_STRINGS:
    case CFG_COMMAND:
        *(struct cfg_strings *)decode_field(b, t, o) = (struct cfg_strings){ .n = 0 };
        break;
    case CFG_LEVELS:
        b->levels_given = true;
        break;
    case CFG_BOOL:
    case CFG_TRI:
    case CFG_INT:
    case CFG_INT64:
    case CFG_MODE:
    case CFG_DURATION:
    case CFG_BYTESIZE:
    case CFG_LOG_TYPE:
    case CFG_EVENTS:
    case CFG_SECTION:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_MAP:
    case CFG_REPLICA_LIST:
    case CFG_IGNORED:
        break;
    }
}

int
decode_is_null(const struct ynode *n, bool *null, struct err *e)
{
    struct yscalar s;
    int rc = 0;

    *null = false;
    if (n->kind != YNODE_SCALAR)
        return 0;
    if (n->tag == NULL || strcmp(n->tag, "!!null") == 0) {
        rc = yscalar_resolve(n, &s, e);
        *null = rc == 0 && s.type == YSCALAR_NULL;
    }
    return rc != 0 ? err_wrap(e, "line %d", n->line) : 0;
}

/* ---- maps ---- */

/* What a map says, merged maps included, by option index. */
struct slots {
    struct ynode *key[CFG_MAX_OPTIONS];
    struct ynode *value[CFG_MAX_OPTIONS];
    const struct cfg_option *as[CFG_MAX_OPTIONS]; /* the spelling that was used */
    uint16_t order[CFG_MAX_OPTIONS];
    size_t n;
};

static void
put_slot(struct build *b, struct target *t, struct slots *s, const struct cfg_option *o,
    struct ynode *key, struct ynode *value, bool merged)
{
    const struct cfg_option *main =
        o->alias_of != NULL ? cfg_option_find(t->scope, o->alias_of) : o;
    size_t index = cfg_option_index(main);

    if (s->value[index] == NULL)
        s->order[s->n++] = (uint16_t)index;
    else if (merged)
        return;
    else
        build_warn(b, key->line, decode_key(b, t, o),
            "`%s` is there twice; the one on line %d is not used", decode_key(b, t, o),
            s->key[index]->line);
    s->key[index] = key;
    s->value[index] = value;
    s->as[index] = o;
}

static bool
is_merge_key(const struct ynode *key)
{
    return key->kind == YNODE_SCALAR && strcmp(key->value, "<<") == 0 &&
           (key->tag != NULL ? strcmp(key->tag, "!!merge") == 0 : key->plain);
}

static int
collect_key(struct build *b, struct target *t, const char *section, struct slots *s,
    struct ynode *key, struct ynode *value, bool merged)
{
    char name[KEY_MAX];
    const struct cfg_option *o = NULL;

    if (key->kind != YNODE_SCALAR) {
        decode_type_error(b, key, NULL, "a key", "string");
        return 0;
    }
    if (snprintf(name, sizeof(name), "%s%s", section, key->value) < KEY_MAX &&
        strchr(key->value, '.') == NULL)
        o = cfg_option_find(t->scope, name);
    if (o == NULL)
        decode_warn_unknown(b, t, section, key);
    else
        put_slot(b, t, s, o, key, value, merged);
    return 0;
}

static int collect(struct build *b, struct target *t, const char *section,
    struct slots *s, struct ynode *map, int merge_depth, struct err *e);

static int
collect_merged(struct build *b, struct target *t, const char *section, struct slots *s,
    struct ynode *value, int depth, struct err *e)
{
    int rc = 0;

    value = ynode_follow(value);
    if (value->kind == YNODE_MAP)
        return collect(b, t, section, s, value, depth, e);
    if (value->kind != YNODE_SEQ)
        return build_fail(e, value->line,
            "yaml: map merge requires map or sequence of maps as the value");
    for (struct ynode *item = value->first; item != NULL && rc == 0; item = item->next) {
        struct ynode *map = ynode_follow(item);

        if (map->kind != YNODE_MAP)
            return build_fail(e, item->line,
                "yaml: map merge requires map or sequence of maps as the value");
        rc = collect(b, t, section, s, map, depth, e);
    }
    return rc;
}

static int
collect(struct build *b, struct target *t, const char *section, struct slots *s,
    struct ynode *map, int merge_depth, struct err *e)
{
    int rc = merge_depth > MAX_MERGE_DEPTH
                 ? build_fail(e, map->line, "yaml: maps merged more than %d deep",
                       MAX_MERGE_DEPTH)
                 : decode_visit(b, e);

    for (struct ynode *k = map->first; k != NULL && rc == 0; k = k->next->next) {
        rc = decode_visit(b, e);
        if (rc == 0 && !is_merge_key(ynode_follow(k)))
            rc = collect_key(b, t, section, s, ynode_follow(k), ynode_follow(k->next),
                merge_depth > 0);
    }
    for (struct ynode *k = map->first; k != NULL && rc == 0; k = k->next->next)
        if (is_merge_key(ynode_follow(k)))
            rc = collect_merged(b, t, section, s, k->next, merge_depth + 1, e);
    return rc;
}

static int
decode_map(struct build *b, struct target *t, const char *section, struct ynode *map,
    struct err *e)
{
    struct slots s = { .n = 0 };
    int rc = collect(b, t, section, &s, map, 0, e);

    for (size_t i = 0; i < s.n && rc == 0; i++) {
        size_t index = s.order[i];

        rc = decode_value(b, t, s.as[index], s.value[index], s.key[index]->line, e);
    }
    return rc;
}

static int
decode_section(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, struct err *e)
{
    if (n->kind != YNODE_MAP) {
        decode_type_error(b, n, NULL, decode_key(b, t, o), cfg_type_name(o->type));
        return 0;
    }
    return decode_map(b, t, arena_printf(b->a, "%s.", o->name), n, e);
}

/* One object of a list or under a key. */
int
decode_object(struct build *b, enum cfg_scope scope, void *base, struct cfg_obj *obj,
    const char *where, struct ynode *map, struct err *e)
{
    struct target t = { .scope = scope, .base = base, .where = where };
    int rc = decode_map(b, &t, "", map, e);

    obj->line = map->line;
    obj->n_marks = t.n_marks;
    obj->marks = arena_alloc(b->a, (t.n_marks + 1) * sizeof(*obj->marks));
    memcpy(obj->marks, t.marks, t.n_marks * sizeof(*obj->marks));
    return rc;
}

int
decode_value(struct build *b, struct target *t, const struct cfg_option *o,
    struct ynode *n, int line, struct err *e)
{
    bool null = false;
    int rc = decode_visit(b, e);

    if (rc == 0)
        rc = decode_is_null(n, &null, e);
    if (rc != 0)
        return rc;
    if (o->type == CFG_IGNORED) {
        decode_warn_deprecated(b, t, o, line);
        return 0;
    }
    if (null) {
        decode_null(b, t, o);
        if (o->type == CFG_SECRET)
            decode_warn_gaps(b, t, o, n);
        return 0;
    }
    if (o->type == CFG_SECTION)
        return decode_section(b, t, o, n, e);
    if (n->kind == YNODE_SEQ)
        return decode_seq(b, t, o, n, line, e);
    if (o->type == CFG_REPLICA_MAP && n->kind == YNODE_MAP) {
        decode_mark(t, o, line);
        return decode_replicas(b, t, n, e);
    }
    if (n->kind == YNODE_MAP || cfg_type_is_container(o->type) ||
        o->type == CFG_STRINGS) {
        decode_type_error(b, n, NULL, decode_key(b, t, o), cfg_type_name(o->type));
        return 0;
    }
    return decode_scalar(b, t, o, n, line, e);
}

int
build_decode(struct build *b, struct ynode *root, struct err *e)
{
    struct ynode *n = root != NULL ? ynode_follow(root) : NULL;
    bool null = true;
    int rc = 0;

    buf_init(&b->type_errors, TYPE_ERRORS_TEXT_MAX);
    if (n != NULL)
        rc = decode_is_null(n, &null, e);
    if (rc == 0 && !null) {
        if (n->kind == YNODE_MAP)
            rc = decode_object(b, CFG_GLOBAL, b->c, &b->c->obj, "", n, e);
        else
            decode_type_error(b, n, NULL, "the file", "map");
    }
    b->c->global.obj = b->c->obj;
    return rc != 0 ? rc : decode_report(b, e);
}
