#include "config/features.h"

#include <limits.h>
#include <string.h>

#include "config/value.h"

static const char *const words[CFG_F_COUNT] = {
    [CFG_F_CORE] = "replication",
    [CFG_F_METRICS] = "the metrics server",
    [CFG_F_MCP] = "the MCP server",
    [CFG_F_EXEC] = "running a command",
    [CFG_F_HOOKS] = "hooks",
    [CFG_F_SOCKET] = "the control socket",
    [CFG_F_TRUNCATE] = "truncation of the WAL",
    [CFG_F_COMPACTION] = "compaction",
    [CFG_F_SNAPSHOT] = "snapshots",
    [CFG_F_VALIDATION] = "validation",
    [CFG_F_RETENTION] = "retention",
    [CFG_F_HEARTBEAT] = "heartbeats",
    [CFG_F_DIRECTORY] = "folders of databases",
    [CFG_F_RESTORE_ON_START] = "restoring at start",
    [CFG_F_AUTO_RECOVER] = "automatic recovery",
    [CFG_F_LOG_FILE] = "log files",
    [CFG_F_MULTI_REPLICA] = "several replicas of a database",
    [CFG_F_DRIVER_FILE] = "replicas of type file",
    [CFG_F_DRIVER_S3] = "replicas of type s3",
    [CFG_F_DRIVER_GS] = "replicas of type gs",
    [CFG_F_DRIVER_ABS] = "replicas of type abs",
    [CFG_F_DRIVER_OSS] = "replicas of type oss",
    [CFG_F_DRIVER_SFTP] = "replicas of type sftp",
    [CFG_F_DRIVER_WEBDAV] = "replicas of type webdav",
    [CFG_F_DRIVER_NATS] = "replicas of type nats",
};

/* The earliest thing in the file that is not there. */
struct missing {
    uint64_t built;
    int line;
    enum cfg_feature feature;
    const char *field; /* in front of the key */
    const char *key;
    const char *value;
    struct arena *scratch;
};

const char *
cfg_feature_words(enum cfg_feature f)
{
    return words[f];
}

static void
need(struct missing *m, enum cfg_feature feature, int line, const char *field,
    const char *key, const char *value)
{
    int at = line > 0 ? line : INT_MAX - 1; /* what has no line comes last */

    if (feature == CFG_F_CORE || (m->built & CFG_FEATURE(feature)) != 0 || at >= m->line)
        return;
    m->line = at;
    m->feature = feature;
    m->field = field;
    m->key = key;
    m->value = value;
}

/* Says the option anything but what holds without it? */
static bool
has_effect(struct missing *m, const struct cfg_option *o, const void *field)
{
    union {
        int64_t number;
        bool flag;
        const char *text;
        struct cfg_strings list;
        struct secret secret;
        enum log_format format;
        unsigned mask;
    } def = { .list = { .n = 0 } };

    if (cfg_value_is_zero(o, field) ||
        (o->negative_is_off && *(const int64_t *)field < 0))
        return false;
    if (o->def == NULL)
        return true;
    cfg_value_default(m->scratch, o, &def);
    return !cfg_value_equal(o, field, &def);
}

static bool
gate_is_open(
    struct missing *m, const struct cfg_option *o, enum cfg_scope scope, const void *base)
{
    const struct cfg_option *gate;

    if (o->gate == NULL)
        return true;
    gate = cfg_option_find(scope, o->gate);
    return has_effect(m, gate, cfg_field_const(base, gate));
}

/* Arguments of a command may be secrets: its first word is enough. */
static const char *
shown(struct missing *m, const struct cfg_option *o, const void *field)
{
    const char *text = cfg_value_text(m->scratch, o, field);
    size_t len = strcspn(text, " \t\n");

    if (o->type != CFG_EXEC || text[len] == '\0')
        return text;
    return arena_printf(m->scratch, "%.*s ...", (int)len, text);
}

static void
need_keys(struct missing *m, const struct config *c, enum cfg_scope scope,
    const void *base, const struct cfg_obj *obj, const char *field)
{
    for (size_t i = 0; i < obj->n_marks; i++) {
        const struct cfg_option *o = &cfg_options[obj->marks[i].option];
        const void *owner = scope == CFG_GLOBAL && (o->scope & CFG_REPLICA) != 0
                                ? (const void *)&c->global
                                : base;

        if (cfg_type_is_container(o->type) || o->feature == CFG_F_CORE ||
            !gate_is_open(m, o, scope, owner) ||
            !has_effect(m, o, cfg_field_const(owner, o)))
            continue;
        need(m, o->feature, obj->marks[i].line, field, o->name,
            shown(m, o, cfg_field_const(owner, o)));
    }
}

static void
need_replica(struct missing *m, const struct config *c, const struct cfg_replica *r)
{
    bool url = r->url[0] != '\0', by_file = r->obj.line != 0;
    const char *key = url ? "url" : "type";
    int line = cfg_line_of(&r->obj, key);

    need(m, (enum cfg_feature)(CFG_F_DRIVER_FILE + (unsigned)r->type),
        line != 0 ? line : r->obj.line,
        by_file ? arena_printf(m->scratch, "%s.", r->field) : "",
        by_file ? key : r->field,
        !by_file ? ""
        : url    ? r->url
                 : cfg_replica_type_name(r->type));
    need_keys(m, c, CFG_REPLICA, r, &r->obj, arena_printf(m->scratch, "%s.", r->field));
}

static void
need_db(struct missing *m, const struct config *c, const struct cfg_db *db)
{
    const char *name = db->path[0] != '\0' ? db->path : db->dir;
    const char *field = arena_printf(m->scratch, "dbs[%s].", name);

    if (!db->enabled)
        return;
    need_keys(m, c, CFG_DB, db, &db->obj, field);
    if (db->n_replicas > 1)
        need(m, CFG_F_MULTI_REPLICA, db->replicas[1].obj.line, field, "replicas",
            arena_printf(m->scratch, "%zu of them", db->n_replicas));
    for (size_t i = 0; i < db->n_replicas; i++)
        need_replica(m, c, &db->replicas[i]);
}

static void
need_lists(struct missing *m, const struct config *c)
{
    int levels = cfg_line_of(&c->obj, "levels");

    if (levels != 0 && c->n_levels > 0)
        need(m, CFG_F_COMPACTION, levels, "", "levels",
            arena_printf(m->scratch, "%zu of them", c->n_levels));
    for (size_t i = 0; i < c->n_levels; i++)
        need_keys(m, c, CFG_LEVEL, &c->levels[i], &c->levels[i].obj,
            arena_printf(m->scratch, "levels[%zu].", i));
    if (c->n_hooks > 0)
        need(m, CFG_F_HOOKS, c->hooks[0].obj.line, "", "hooks",
            arena_printf(m->scratch, "%zu of them", c->n_hooks));
}

int
cfg_require_features(const struct config *c, uint64_t built, struct err *e)
{
    struct arena scratch;
    struct missing m = { .built = built, .line = INT_MAX, .scratch = &scratch };

    arena_init(&scratch);
    need_keys(&m, c, CFG_GLOBAL, c, &c->obj, "");
    need_lists(&m, c);
    for (size_t i = 0; i < c->n_dbs; i++)
        need_db(&m, c, &c->dbs[i]);
    if (m.line != INT_MAX) {
        err_set(e, ERR_UNSUPPORTED, "%s%s: %s%sthis build does not have %s yet; %s",
            m.field, m.key, m.value, m.value[0] != '\0' ? ": " : "", words[m.feature],
            m.feature >= CFG_F_DRIVER_FILE ? "use a folder, file:///PATH"
                                           : "remove the key");
        if (m.line != INT_MAX - 1)
            err_wrap(e, "line %d", m.line);
        if (c->file[0] != '\0')
            err_wrap(e, "%s", c->file);
    }
    arena_deinit(&scratch);
    return m.line != INT_MAX ? (int)e->code : 0;
}
