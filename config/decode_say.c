#include <string.h>

#include "config/decode.h"
#include "config/suggest.h"

#define MAX_TYPE_ERRORS 8 /* more are counted only */
#define SHORT_DURATION_NS 1000000

static const char *
node_tag(const struct ynode *n)
{
    struct err ignored = ERR_NONE;
    struct yscalar s;

    if (n->tag != NULL)
        return n->tag;
    if (n->kind == YNODE_SCALAR && yscalar_resolve(n, &s, &ignored) == 0)
        return s.tag;
    return n->kind == YNODE_MAP ? "!!map" : "!!seq";
}

/* What to write instead, by the name of the type. */
static const char *
type_hint(const char *type)
{
    static const char *const hints[][2] = {
        { "bool", "true or false, without quotes" },
        { "int", "a whole number without quotes or unit" },
        { "int64", "a whole number without quotes or unit" },
        { "uint32", "a file mode such as 0600" },
        { "time.Duration", "a duration such as 500ms, 30s or 24h" },
        { "string", "a single value" },
        { "[]string", "a list, as in [one, two]" },
        { "map", "a map of keys" },
        { "list", "a list, each entry behind a dash" },
    };

    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(hints[i][0], type) == 0)
            return hints[i][1];
    return type;
}

void
decode_type_error(struct build *b, const struct ynode *n, const char *tag,
    const char *key, const char *into)
{
    if (b->n_type_errors++ >= MAX_TYPE_ERRORS)
        return;
    buf_printf(&b->type_errors, "\n  line %d: cannot unmarshal %s", n->line,
        tag != NULL ? tag : node_tag(n));
    if (n->kind == YNODE_SCALAR && n->size > 10)
        buf_printf(&b->type_errors, " `%.7s...`", n->value);
    else if (n->kind == YNODE_SCALAR)
        buf_printf(&b->type_errors, " `%s`", n->value);
    buf_printf(&b->type_errors, " into %s: %s must be %s", into, key, type_hint(into));
}

void
decode_value_error(
    struct build *b, int line, const char *where, const char *key, const char *why)
{
    if (b->value_error.code == ERR_OK)
        build_fail(&b->value_error, line, "%s%s: %s", where, key, why);
}

const char *
decode_key(struct build *b, const struct target *t, const struct cfg_option *o)
{
    return arena_printf(b->a, "%s%s", t->where, o->name);
}

/* scope: an or of the scopes to look in. */
static const struct cfg_option *
nearest(unsigned scope, const char *section, const char *key)
{
    const struct cfg_option *best = NULL;
    size_t tolerance = suggest_tolerance(key), best_distance = tolerance + 1;
    size_t prefix = strlen(section);

    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        size_t d;

        if ((o->scope & scope) == 0 || o->type == CFG_IGNORED || o->alias_of != NULL ||
            strncmp(o->name, section, prefix) != 0 ||
            strchr(o->name + prefix, '.') != NULL)
            continue;
        d = suggest_distance(key, o->name + prefix, tolerance);
        if (d < best_distance) {
            best = o;
            best_distance = d;
        }
    }
    return best;
}

static const char *
place_of(const struct cfg_option *o)
{
    if ((o->scope & CFG_REPLICA) != 0)
        return "a replica";
    if ((o->scope & CFG_DB) != 0)
        return "an entry of `dbs`";
    if ((o->scope & CFG_LEVEL) != 0)
        return "an entry of `levels`";
    return (o->scope & CFG_HOOK) != 0 ? "a hook" : "the top level";
}

/* The key here that was meant, else the same or a similar one that belongs elsewhere. */
void
decode_warn_unknown(
    struct build *b, const struct target *t, const char *section, const struct ynode *key)
{
    /* Behind a `:` or `=` without a space is the value, which may be a secret. */
    size_t len = strcspn(key->value, ":=");
    const struct cfg_option *near;
    const char *path;

    if (b->notices.n >= NOTICES_MAX) { /* looking for neighbours takes time */
        b->notices.n++;
        return;
    }
    path = arena_printf(
        b->a, "%s%s%.*s", t->where, section, (int)(len < 64 ? len : 64), key->value);
    if (key->value[len] != '\0') {
        build_warn(b, key->line, path,
            "unknown key: a space is missing behind `%s:`, or this is not a key", path);
        return;
    }
    near = cfg_option_find(t->scope, key->value);
    if (near != NULL && section[0] == '\0') { /* only a name with its section gets here */
        len = strcspn(near->name, ".");
        build_warn(b, key->line, path,
            "unknown key `%s`; write `%s` in a map under `%.*s`", path,
            near->name + len + 1, (int)len, near->name);
        return;
    }
    near = nearest(t->scope, section, key->value);
    if (near != NULL) {
        build_warn(b, key->line, path, "unknown key `%s`, did you mean `%s`?", path,
            near->name + strlen(section));
        return;
    }
    near = nearest(~0u, "", key->value);
    if (near != NULL)
        build_warn(b, key->line, path, "unknown key `%s`; `%s` belongs to %s", path,
            near->name, place_of(near));
    else
        build_warn(b, key->line, path, "unknown key `%s`", path);
}

void
decode_warn_gaps(struct build *b, const struct target *t, const struct cfg_option *o,
    const struct ynode *n)
{
    const struct expanded *x = b->expanded;

    for (size_t i = 0; x != NULL && i < x->n_gaps && b->notices.n < NOTICES_MAX; i++) {
        const struct expand_gap *gap = &x->gaps[i];
        bool inside = n->size == 0 ? gap->line == n->line && gap->index >= n->index
                                   : gap->index >= n->index && gap->index <= n->end_index;

        if (!inside)
            continue;
        if (gap->name[0] != '\0')
            build_warn(b, n->line, decode_key(b, t, o),
                "the variable %s in `%s` is not set and was replaced by nothing",
                gap->name, decode_key(b, t, o));
        else
            build_warn(b, n->line, decode_key(b, t, o),
                "a `$` in `%s` was taken for a variable that is not set and was replaced "
                "by nothing; use -no-expand-env or a file for a value with a `$`",
                decode_key(b, t, o));
        return;
    }
}

void
decode_warn_value(struct build *b, const struct target *t, const struct cfg_option *o,
    const struct ynode *n, const struct yscalar *s, const void *field)
{
    if (o->type == CFG_SECRET)
        decode_warn_gaps(b, t, o, n);
    if (o->type == CFG_DURATION && s->type != YSCALAR_STR) {
        int64_t ns = *(const int64_t *)field;

        if (ns > 0 && ns < SHORT_DURATION_NS)
            build_warn(b, n->line, decode_key(b, t, o),
                "`%s: %s` is a number of nanoseconds; write a unit, as in `%ss`",
                decode_key(b, t, o), s->text, s->text);
    }
    if (o->type == CFG_MODE && s->type == YSCALAR_INT && s->text[0] != '0' &&
        s->text[strspn(s->text, "01234567")] == '\0')
        build_warn(b, n->line, decode_key(b, t, o),
            "`%s: %s` is a decimal number and means mode %#llo; write 0%s for an octal one",
            decode_key(b, t, o), s->text, (unsigned long long)*(const int64_t *)field,
            s->text);
}

void
decode_warn_deprecated(
    struct build *b, const struct target *t, const struct cfg_option *o, int line)
{
    if (o->unused != NULL)
        build_warn(b, line, decode_key(b, t, o), "`%s` has no effect: %s",
            decode_key(b, t, o), o->unused);
    if (o->instead != NULL)
        build_warn(b, line, decode_key(b, t, o),
            "`%s` is a key of an older version and has no effect; see %s",
            decode_key(b, t, o), o->instead);
}

int
decode_report(struct build *b, struct err *e)
{
    if (b->n_type_errors > MAX_TYPE_ERRORS)
        buf_printf(
            &b->type_errors, "\n  and %zu more", b->n_type_errors - MAX_TYPE_ERRORS);
    if (b->n_type_errors > 0)
        return err_set(
            e, ERR_CONFIG, "yaml: unmarshal errors:%s", buf_str(&b->type_errors));
    if (b->value_error.code != ERR_OK) {
        *e = b->value_error;
        return (int)e->code;
    }
    return 0;
}
