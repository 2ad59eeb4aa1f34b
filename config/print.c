#include "config/print.h"

#include <string.h>

#include "config/options.h"
#include "config/value.h"

struct printer {
    struct buf *out;
    struct arena scratch;
};

static void
print_line(struct printer *p, int indent, const char *name, const char *value)
{
    buf_printf(
        p->out, "%*s%s: %s\n", indent, "", name, value[0] != '\0' ? value : "\"\"");
}

/* Replicas show what came of these two. */
static bool
is_printed_apart(const struct cfg_option *o)
{
    return o->scope == CFG_REPLICA &&
           (strcmp(o->name, "type") == 0 || strcmp(o->name, "url") == 0);
}

/* Keys of one object; what a replica's kind does not use is left out. */
static void
print_object(
    struct printer *p, int indent, enum cfg_scope scope, const void *base, unsigned kind)
{
    const char *section = "";
    size_t len = 0;

    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        const char *dot = strchr(o->name, '.'), *text;

        if ((o->scope & scope) == 0 || cfg_type_is_container(o->type) ||
            o->alias_of != NULL || o->doc == NULL || is_printed_apart(o) ||
            (scope == CFG_GLOBAL && (o->scope & CFG_REPLICA) != 0) ||
            (o->kinds != 0 && (o->kinds & kind) == 0))
            continue;
        if (dot != NULL && (len == 0 || strncmp(section, o->name, len) != 0)) {
            len = (size_t)(dot - o->name) + 1;
            section = o->name;
            buf_printf(p->out, "%*s%.*s:\n", indent, "", (int)len - 1, section);
        }
        text = cfg_value_text(&p->scratch, o, cfg_field_const(base, o));
        if (dot != NULL)
            print_line(p, indent + 2, dot + 1, text);
        else
            print_line(p, indent, o->name, text);
    }
}

static void
print_replica(struct printer *p, const struct cfg_replica *r)
{
    struct cfg_replica shown = *r;

    shown.own_snapshot_interval_ns = r->snapshot.interval_ns;
    shown.own_retention_ns = r->snapshot.retention_ns;
    buf_printf(p->out, "      - # line %d\n", r->obj.line);
    print_line(p, 8, "type", cfg_replica_type_name(r->type));
    if (r->url[0] != '\0')
        print_line(p, 8, "# url", r->url);
    print_object(p, 8, CFG_REPLICA, &shown, 1u << r->type);
}

static void
print_db(struct printer *p, const struct cfg_db *db)
{
    buf_printf(p->out, "  - # line %d\n", db->obj.line);
    print_object(p, 4, CFG_DB, db, 0);
    buf_add_str(p->out, "    replicas:\n");
    for (size_t i = 0; i < db->n_replicas; i++)
        print_replica(p, &db->replicas[i]);
}

bool
config_print(const struct config *c, struct buf *out)
{
    struct printer p = { .out = out };

    arena_init(&p.scratch);
    print_object(&p, 0, CFG_GLOBAL, c, 0);
    buf_add_str(out, "levels:\n");
    for (size_t i = 0; i < c->n_levels; i++) {
        buf_add_str(out, "  -\n");
        print_object(&p, 4, CFG_LEVEL, &c->levels[i], 0);
    }
    buf_add_str(out, "hooks:\n");
    for (size_t i = 0; i < c->n_hooks; i++) {
        buf_add_str(out, "  -\n");
        print_object(&p, 4, CFG_HOOK, &c->hooks[i], 0);
    }
    buf_add_str(out, "dbs:\n");
    for (size_t i = 0; i < c->n_dbs; i++)
        print_db(&p, &c->dbs[i]);
    arena_deinit(&p.scratch);
    return !buf_failed(out);
}
