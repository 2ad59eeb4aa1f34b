/*
 * The step that makes a replica of its keys: kind, URL, inherited settings, defaults of
 * the kind. What is wrong with it is kept as its fault.
 */
#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "config/build.h"
#include "config/replica_url.h"
#include "config/value.h"

#define KINDS 2
#define TYPES "file, s3, gs, abs, oss, sftp, webdav or nats"

static const struct rules {
    const char *label;
    const char *conflicts[KINDS]; /* keys that may not stand beside `url` */
    struct {
        const char *key;
        const char *text;
    } required[KINDS];
} rules[CFG_N_REPLICA_TYPES] = {
    [CFG_REPLICA_FILE] = { "file", { "path" },
        { { "path", "file replica path required" } } },
    [CFG_REPLICA_S3] = { "s3", { "path", "bucket" },
        { { "bucket", "bucket required for s3 replica" } } },
    [CFG_REPLICA_GS] = { "gs", { "path", "bucket" },
        { { "bucket", "bucket required for gs replica" } } },
    [CFG_REPLICA_ABS] = { "abs", { "path", "bucket" },
        { { "bucket", "bucket required for abs replica" } } },
    [CFG_REPLICA_OSS] = { "oss", { "path", "bucket" },
        { { "bucket", "bucket required for oss replica" } } },
    [CFG_REPLICA_SFTP] = { "sftp", { "path", "host" },
        { { "host", "host required for sftp replica" },
            { "user", "user required for sftp replica" } } },
    [CFG_REPLICA_WEBDAV] = { "webdav", { "path", "webdav-url" },
        { { "webdav-url", "webdav-url required for webdav replica" } } },
    [CFG_REPLICA_NATS] = { "nats", { NULL },
        { { "bucket", "bucket required for NATS replica" } } },
};

static bool
is_set(const struct cfg_replica *r, const char *name)
{
    const struct cfg_option *o = cfg_option_find(CFG_REPLICA, name);

    return !cfg_value_is_zero(o, cfg_field_const(r, o));
}

/* One replica while it is made. */
struct making {
    struct build *b;
    const struct cfg_db *db;
    struct cfg_replica *r;
    bool taken[CFG_MAX_OPTIONS]; /* settings that the URL gave */
    bool path_style;             /* and what else it means */
};

static int
line_of(const struct making *m, const char *key)
{
    return build_replica_line(m->b->c, m->r, m->taken, key);
}

static int
resolve_type(const struct making *m, struct err *e)
{
    struct cfg_replica *r = m->r;
    struct build *b = m->b;
    const char *scheme = url_scheme(b->a, secret_reveal(&r->url_text));

    if (scheme != NULL) {
        if (!replica_url_type(scheme, &r->type))
            return build_fail(e, line_of(m, "url"),
                "%s: unknown replica type in config: \"%s\" (a URL begins with one of " TYPES
                ")",
                r->field, scheme);
        if (r->type_text[0] != '\0' &&
            strcmp(r->type_text, cfg_replica_type_name(r->type)) != 0)
            build_warn(b, cfg_line_of(&r->obj, "type"), r->field,
                "`type: %s` has no effect: the URL says %s", r->type_text,
                cfg_replica_type_name(r->type));
        return 0;
    }
    if (r->type_text[0] != '\0' && !cfg_replica_type_parse(r->type_text, &r->type))
        return build_fail(e, line_of(m, "type"),
            "%s: unknown replica type in config: \"%s\" (must be " TYPES ")", r->field,
            r->type_text);
    if (secret_is_set(&r->url_text))
        return build_fail(e, line_of(m, "url"),
            "%s: replica url scheme required: %s (write s3://... or file://..., or use "
            "`path` for a folder)",
            r->field, r->url);
    return 0;
}

static int
check_conflicts(const struct making *m, struct err *e)
{
    const struct cfg_replica *r = m->r;
    const struct rules *rule = &rules[r->type];

    for (size_t i = 0; i < KINDS && secret_is_set(&r->url_text); i++)
        if (rule->conflicts[i] != NULL && is_set(r, rule->conflicts[i]))
            return build_fail(e, line_of(m, rule->conflicts[i]),
                "%s: cannot specify url & %s for %s replica", r->field,
                rule->conflicts[i], rule->label);
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i], *file = m->b->partners[i];

        if (file != NULL && (o->scope & CFG_REPLICA) != 0 &&
            strlen(file->name) > strlen(o->name) && is_set(r, o->name) &&
            is_set(r, file->name))
            return build_fail(e, line_of(m, file->name),
                "%s: cannot specify both '%s' and '%s'", r->field, o->name, file->name);
    }
    return 0;
}

static int
check_age(const struct cfg_age *age, int line, const char *field, struct err *e)
{
    if (age->identities.n == 0 && age->recipients.n == 0)
        return 0;
    return build_fail(e, line,
        "%s: age encryption is not currently supported, if you need encryption please "
        "revert back to Litestream v0.3.x",
        field);
}

/* Line of an age key, wherever it was inherited from. */
static int
age_line(const struct config *c, const struct cfg_obj *obj)
{
    int line = cfg_line_of(obj, "age.identities");

    if (line == 0)
        line = cfg_line_of(obj, "age.recipients");
    if (line == 0)
        line = cfg_line_of(&c->obj, "age.identities");
    return line != 0 ? line : cfg_line_of(&c->obj, "age.recipients");
}

static int
check_nats(const struct making *m, struct err *e)
{
    const struct cfg_replica *r = m->r;
    if ((r->client_cert[0] == '\0') != (r->client_key[0] == '\0'))
        return build_fail(e,
            line_of(m, r->client_cert[0] != '\0' ? "client-cert" : "client-key"),
            "%s: client-cert and client-key must both be specified for mutual TLS "
            "authentication",
            r->field);
    for (const char *s = r->bucket; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-')
            return build_fail(e, line_of(m, "bucket"),
                "%s.bucket: a NATS bucket has letters, digits, _ and - only (got %s)",
                r->field, r->bucket);
    return 0;
}

static int
check_required(const struct making *m, struct err *e)
{
    const struct cfg_replica *r = m->r;
    const struct rules *rule = &rules[r->type];

    for (size_t i = 0; i < KINDS; i++)
        if (rule->required[i].key != NULL && !is_set(r, rule->required[i].key))
            return build_fail(
                e, line_of(m, "type"), "%s: %s", r->field, rule->required[i].text);
    return r->type == CFG_REPLICA_NATS ? check_nats(m, e) : 0;
}

static int
finish_file(const struct making *m, struct err *e)
{
    struct cfg_replica *r = m->r;
    char *path;
    int rc =
        r->path_escaped ? path_abs(r->path, &path, e) : path_expand(r->path, &path, e);

    if (rc != 0)
        return err_wrap(e, "%s.path", r->field);
    r->path = arena_strdup(m->b->a, path);
    mem_free(path);
    if (m->db->path[0] != '\0' && strcmp(r->path, m->db->path) == 0)
        return build_fail(e, line_of(m, r->url[0] != '\0' ? "url" : "path"),
            "%s: the replica is the database itself, give a folder elsewhere: %s",
            r->field, r->path);
    return 0;
}

/* An endpoint asks for path style, unless the URL named it and has a say of its own. */
static void
finish_s3(const struct making *m)
{
    const struct cfg_option *endpoint = cfg_option_find(CFG_REPLICA, "endpoint");
    struct build *b = m->b;
    struct cfg_replica *r = m->r;
    bool path_style = m->path_style;
    const char *env = NULL;

    if (r->endpoint[0] == '\0' && b->env != NULL)
        env = b->env("LITESTREAM_S3_ENDPOINT");
    if (env != NULL && env[0] != '\0')
        r->endpoint = replica_url_endpoint(b->a, env);
    if (r->endpoint[0] != '\0' && strstr(r->endpoint, "://") == NULL)
        r->endpoint = arena_printf(b->a, "https://%s", r->endpoint);
    if (r->endpoint[0] != '\0' && !m->taken[cfg_option_index(endpoint)])
        path_style = true;
    if (path_style && r->force_path_style == CFG_UNSET)
        r->force_path_style = CFG_ON;
    if (r->endpoint[0] != '\0' && r->region[0] == '\0')
        r->region = "us-east-1";
}

/* A secret that neither a key nor a file gives comes from a variable. */
static void
secret_by_env(struct build *b, const char *file, const char *name, struct secret *out)
{
    const char *value =
        file[0] == '\0' && !secret_is_set(out) && b->env != NULL ? b->env(name) : NULL;

    if (value != NULL && value[0] != '\0')
        secret_set(out, value);
}

static void
finish_oss(struct build *b, struct cfg_replica *r)
{
    bool own = r->access_key_id[0] != '\0' || r->access_key_id_file[0] != '\0' ||
               secret_is_set(&r->secret_access_key) ||
               r->secret_access_key_file[0] != '\0';
    const char *id = own || b->env == NULL ? NULL : b->env("OSS_ACCESS_KEY_ID");

    if (id != NULL && id[0] != '\0') {
        r->access_key_id = arena_strdup(b->a, id);
        secret_by_env(b, "", "OSS_ACCESS_KEY_SECRET", &r->secret_access_key);
    }
    if (r->region[0] == '\0')
        r->region = "cn-hangzhou";
    if (r->endpoint[0] != '\0' && strstr(r->endpoint, "://") == NULL)
        r->endpoint = arena_printf(b->a, "https://%s", r->endpoint);
}

static void
finish_abs(struct build *b, struct cfg_replica *r)
{
    size_t len = strlen(r->endpoint);

    secret_by_env(
        b, r->account_key_file, "LITESTREAM_AZURE_ACCOUNT_KEY", &r->account_key);
    secret_by_env(b, r->sas_token_file, "LITESTREAM_AZURE_SAS_TOKEN", &r->sas_token);
    while (len > 0 && r->endpoint[len - 1] == '/')
        len--;
    r->endpoint = arena_strndup(b->a, r->endpoint, len);
}

static void
finish_nats(struct cfg_replica *r)
{
    static const char *const local[] = { "nats://127.0.0.1:4222" };

    if (r->servers.n == 0)
        r->servers = (struct cfg_strings){ local, 1 };
}

/* Keys that the kind of replica does not use; half a pair of keys. */
static void
warn_useless(const struct making *m)
{
    struct build *b = m->b;
    const struct cfg_replica *r = m->r;
    bool id = r->access_key_id[0] != '\0' || r->access_key_id_file[0] != '\0';
    bool key =
        secret_is_set(&r->secret_access_key) || r->secret_access_key_file[0] != '\0';

    for (size_t i = 0; i < r->obj.n_marks; i++) {
        const struct cfg_option *o = &cfg_options[r->obj.marks[i].option];

        if (o->kinds != 0 && (o->kinds & (1u << r->type)) == 0)
            build_warn(b, r->obj.marks[i].line, r->field,
                "`%s` has no effect on a replica of type %s", o->name,
                cfg_replica_type_name(r->type));
    }
    if ((r->type == CFG_REPLICA_S3 || r->type == CFG_REPLICA_OSS) && id != key)
        build_warn(b, line_of(m, id ? "access-key-id" : "secret-access-key"), r->field,
            "`%s` has no effect without `%s`", id ? "access-key-id" : "secret-access-key",
            id ? "secret-access-key" : "access-key-id");
}

static int
finish(const struct making *m, struct err *e)
{
    switch (m->r->type) {
    case CFG_REPLICA_FILE:
        return finish_file(m, e);
    case CFG_REPLICA_S3:
        finish_s3(m);
        return 0;
    case CFG_REPLICA_OSS:
        finish_oss(m->b, m->r);
        return 0;
    case CFG_REPLICA_ABS:
        finish_abs(m->b, m->r);
        return 0;
    case CFG_REPLICA_NATS:
        finish_nats(m->r);
        return 0;
    case CFG_REPLICA_GS:
    case CFG_REPLICA_SFTP:
    case CFG_REPLICA_WEBDAV:
        break;
    }
    return 0;
}

/* What is said first when several things are wrong. */
enum { WRONG_PATH, WRONG_AGE, WRONG_TYPE, WRONG_PAIR, WRONG_URL, WRONG_REST, N_WRONG };

static int
check_own_path(const struct making *m, struct err *e)
{
    const struct cfg_replica *r = m->r;
    if (!url_is(r->path))
        return 0;
    return build_fail(e, line_of(m, "path"),
        "%s: replica path cannot be a url, please use the 'url' field instead: %s",
        r->field, url_without_password(m->b->a, r->path));
}

static void
keep_fault(const struct making *m, const struct err *wrong)
{
    struct cfg_replica *r = m->r;

    for (size_t i = 0; i < N_WRONG && r->fault == NULL; i++)
        if (wrong[i].code != ERR_OK)
            r->fault = build_fault(m->b, 0, "%s", wrong[i].text);
    if (r->fault == NULL)
        warn_useless(m);
}

static int
resolve_replica(
    struct build *b, const struct cfg_db *db, struct cfg_replica *r, struct err *e)
{
    static const struct err none = ERR_NONE;
    struct err wrong[N_WRONG];
    struct making m = { .b = b, .db = db, .r = r };
    int rc;

    for (size_t i = 0; i < N_WRONG; i++)
        wrong[i] = none;
    r->url = arena_strdup(b->a, url_masked(b->a, secret_reveal(&r->url_text)));
    r->field = db->entry == 0 ? r->url
                              : arena_printf(b->a, "dbs[%s].%s",
                                    db->path[0] != '\0' ? db->path : db->dir, r->field);
    check_own_path(&m, &wrong[WRONG_PATH]);
    if (resolve_type(&m, &wrong[WRONG_TYPE]) == 0 &&
        check_conflicts(&m, &wrong[WRONG_PAIR]) == 0 && secret_is_set(&r->url_text) &&
        replica_url_apply(b, r, m.taken, &m.path_style, &wrong[WRONG_URL]) != 0)
        build_fail(&wrong[WRONG_URL], line_of(&m, "url"), "%s: %s", r->field,
            arena_strdup(b->a, wrong[WRONG_URL].text));
    rc = build_inherit(b, r, m.taken, e);
    if (rc != 0)
        return rc;
    check_age(&r->age, age_line(b->c, &r->obj), r->field, &wrong[WRONG_AGE]);
    if (check_required(&m, &wrong[WRONG_REST]) == 0)
        finish(&m, &wrong[WRONG_REST]);
    keep_fault(&m, wrong);
    r->snapshot = db->snapshot;
    if (r->own_snapshot_interval_ns != 0)
        r->snapshot.interval_ns = r->own_snapshot_interval_ns;
    if (r->own_retention_ns != 0)
        r->snapshot.retention_ns = r->own_retention_ns;
    return 0;
}

/* What is wrong with a database beside its replicas. */
static void
resolve_db_fault(struct build *b, struct cfg_db *db)
{
    const char *name = db->path[0] != '\0' ? db->path : db->dir;
    struct err e = ERR_NONE;

    if (db->fault != NULL)
        return;
    if (db->both_spellings)
        build_fail(&e, db->obj.line,
            "dbs[%s]: cannot specify 'replica' and 'replicas' on a database", name);
    else if (check_age(&db->age, age_line(b->c, &db->obj),
                 arena_printf(b->a, "dbs[%s]", name), &e) == 0 &&
             db->n_replicas == 0)
        build_fail(&e, db->obj.line, "dbs[%s]: must specify replica for database", name);
    if (e.code != ERR_OK)
        db->fault = build_fault(b, 0, "%s", e.text);
}

int
build_resolve(struct build *b, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < b->c->n_dbs && rc == 0; i++) {
        struct cfg_db *db = &b->c->dbs[i];

        resolve_db_fault(b, db);
        for (size_t k = 0; k < db->n_replicas && rc == 0; k++)
            rc = resolve_replica(b, db, &db->replicas[k], e);
    }
    return rc;
}
