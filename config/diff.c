#include "config/diff.h"

#include <string.h>

#include "config/options.h"
#include "config/value.h"

/* Of a database, but nothing to its worker. */
static const char *const not_of_worker[] = { "path", "dir", "pattern", "recursive",
    "watch", "meta-dir", "restore-if-db-not-exists", "heartbeat-url",
    "heartbeat-interval" };

/* Of the top level, and used by every worker. */
static const char *const of_all_workers[] = { "validation.interval", "l0-retention",
    "l0-retention-check-interval", "verify-compaction", "retention.enabled",
    "shutdown-sync-timeout", "shutdown-sync-interval" };

static const char *const fixed[] = { "addr", "mcp-addr", "mcp-auth-token",
    "mcp-auth-token-file", "exec", "socket.enabled", "socket.path", "socket.permissions",
    "logging.type", "logging.stderr", "logging.source", "logging.path" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool
is_in(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool
same_key(const struct cfg_option *o, const void *a, const void *b)
{
    return cfg_value_equal(o, cfg_field_const(a, o), cfg_field_const(b, o));
}

/* All keys of a scope but those of the list. */
static bool
same_object(
    enum cfg_scope scope, const void *a, const void *b, const char *const *but, size_t n)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];

        if ((o->scope & scope) != 0 && !cfg_type_is_container(o->type) &&
            o->alias_of == NULL && !is_in(o->name, but, n) && !same_key(o, a, b))
            return false;
    }
    return true;
}

static bool
same_snapshot(const struct cfg_snapshot *a, const struct cfg_snapshot *b)
{
    return a->interval_ns == b->interval_ns && a->retention_ns == b->retention_ns;
}

/* With what its URL gave. */
static bool
same_replica(const struct cfg_replica *a, const struct cfg_replica *b)
{
    static const struct cfg_option list = { .type = CFG_STRINGS };

    return a->type == b->type && a->path_escaped == b->path_escaped &&
           strcmp(a->path, b->path) == 0 && strcmp(a->url, b->url) == 0 &&
           strcmp(secret_reveal(&a->url_text), secret_reveal(&b->url_text)) == 0 &&
           strcmp(a->sse_customer_key_md5, b->sse_customer_key_md5) == 0 &&
           cfg_value_equal(&list, &a->servers, &b->servers) &&
           same_snapshot(&a->snapshot, &b->snapshot) &&
           same_object(CFG_REPLICA, a, b, NULL, 0);
}

static bool
same_levels(const struct config *a, const struct config *b)
{
    if (a->n_levels != b->n_levels)
        return false;
    for (size_t i = 0; i < a->n_levels; i++)
        if (a->levels[i].interval_ns != b->levels[i].interval_ns ||
            a->levels[i].retention_ns != b->levels[i].retention_ns)
            return false;
    return true;
}

static bool
same_for_all(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < COUNT(of_all_workers); i++)
        if (!same_key(cfg_option_find(CFG_GLOBAL, of_all_workers[i]), a, b))
            return false;
    return same_levels(a, b);
}

bool
cfg_db_same(const struct config *a, const struct cfg_db *x, const struct config *b,
    const struct cfg_db *y)
{
    if (x->n_replicas != y->n_replicas || strcmp(x->path, y->path) != 0 ||
        strcmp(x->meta_path, y->meta_path) != 0 ||
        !same_snapshot(&x->snapshot, &y->snapshot) ||
        !same_object(CFG_DB, x, y, not_of_worker, COUNT(not_of_worker)) ||
        !same_for_all(a, b))
        return false;
    for (size_t i = 0; i < x->n_replicas; i++)
        if (!same_replica(&x->replicas[i], &y->replicas[i]))
            return false;
    return true;
}

static bool
same_hooks(const struct config *a, const struct config *b)
{
    static const struct cfg_option list = { .type = CFG_STRINGS };

    if (a->n_hooks != b->n_hooks)
        return false;
    for (size_t i = 0; i < a->n_hooks; i++)
        if (a->hooks[i].on != b->hooks[i].on ||
            a->hooks[i].timeout_ns != b->hooks[i].timeout_ns ||
            !cfg_value_equal(&list, &a->hooks[i].argv, &b->hooks[i].argv))
            return false;
    return true;
}

const char *
config_fixed_changes(struct arena *arena, const struct config *a, const struct config *b)
{
    const char *text = "";

    for (size_t i = 0; i < COUNT(fixed); i++)
        if (!same_key(cfg_option_find(CFG_GLOBAL, fixed[i]), a, b))
            text = arena_printf(
                arena, "%s%s%s", text, text[0] != '\0' ? ", " : "", fixed[i]);
    if (!same_hooks(a, b))
        text = arena_printf(arena, "%s%shooks", text, text[0] != '\0' ? ", " : "");
    return text;
}
