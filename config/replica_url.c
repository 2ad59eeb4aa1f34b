#include "config/replica_url.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"

bool
replica_url_type(const char *scheme, enum cfg_replica_type *type)
{
    if (strcmp(scheme, "webdavs") == 0)
        scheme = "webdav";
    else if (strcmp(scheme, "gcs") == 0)
        scheme = "gs";
    return cfg_replica_type_parse(scheme, type);
}

static const struct cfg_option *
option(const char *name)
{
    const struct cfg_option *o = cfg_option_find(CFG_REPLICA, name);

    must(o != NULL);
    return o;
}

void
replica_url_give(struct replica_url *x, const char *name, const char *value)
{
    const struct cfg_option *o = option(name);
    void *field = cfg_field(x->r, o);

    if (build_own(x->r, o) || x->taken[cfg_option_index(o)])
        return;
    if (o->type == CFG_SECRET)
        secret_set(field, value);
    else
        *(const char **)field = arena_strdup(x->b->a, value);
    x->taken[cfg_option_index(o)] = true;
}

const char *
replica_url_key(struct arena *a, const char *path)
{
    char *clean = path_clean(path);
    const char *key = arena_strdup(a, clean + (clean[0] == '/'));

    mem_free(clean);
    return key;
}

/* Named parts of the path: the first element, and the rest as a key. */
static const char *
split_path(struct arena *a, const char *path, const char **rest)
{
    size_t slashes = strspn(path, "/");
    size_t len = strcspn(path + slashes, "/");
    const char *tail = path + slashes + len;

    *rest = tail[strspn(tail, "/")] == '\0' ? "" : replica_url_key(a, tail);
    return arena_strndup(a, path + slashes, len);
}

static void
take_user(struct replica_url *x, const char *user, const char *password)
{
    if (x->u->has_user && x->u->user[0] != '\0')
        replica_url_give(x, user, x->u->user);
    if (x->u->has_password && x->u->password[0] != '\0')
        replica_url_give(x, password, x->u->password);
}

/*
 * The rest of the URL as it stands, still percent-encoded; the query is dropped, the
 * fragment kept. The host is the first folder.
 */
static void
apply_file(struct replica_url *x)
{
    const struct url *u = x->u;
    const char *hash = strchr(x->text, '#');
    const char *path = arena_printf(x->scratch, "%s%s%s%s", u->host[0] != '\0' ? "/" : "",
        u->host, u->escaped, hash != NULL ? hash : "");
    char *clean = path_clean(path);

    if (u->query[0] != '\0')
        build_warn(x->b, x->line, x->r->field,
            "what follows the `?` of a file URL is not used; for a name with a `?` give "
            "`path` instead of `url`");
    x->r->path =
        path[0] != '\0' ? arena_strdup(x->b->a, clean) : ""; /* not the current one */
    x->r->path_escaped = true;
    mem_free(clean);
}

static void
apply_bucket(struct replica_url *x)
{
    replica_url_give(x, "bucket", x->u->host);
    x->r->path = replica_url_key(x->b->a, x->u->path);
}

/*
 * abs://[ACCOUNT@]CONTAINER/PATH. A container cannot have a dot in its name, so that a
 * host with one is the service:
 * abs://[ACCOUNT@]ACCOUNT.blob.core.windows.net/CONTAINER/P.
 */
static void
apply_abs(struct replica_url *x)
{
    const struct url *u = x->u;
    const char *account = u->has_user ? u->user : "";

    if (strchr(u->host, '.') == NULL) {
        if (account[0] != '\0')
            replica_url_give(x, "account-name", account);
        apply_bucket(x);
        return;
    }
    if (account[0] == '\0')
        account = arena_strndup(x->scratch, u->host, strcspn(u->host, "."));
    replica_url_give(x, "account-name", account);
    replica_url_give(x, "endpoint", arena_printf(x->scratch, "https://%s", u->host));
    replica_url_give(x, "bucket", split_path(x->b->a, u->path, &x->r->path));
    build_inform(x->b, x->line, x->r->field,
        "URL read as account `%s`, container `%s`, path `%s`", x->r->account_name,
        x->r->bucket, x->r->path);
}

/* BUCKET[.oss-REGION[-internal].aliyuncs.com] */
static void
apply_oss(struct replica_url *x)
{
    static const char suffix[] = ".aliyuncs.com", internal[] = "-internal";
    const char *host = x->u->host, *service = strstr(host, ".oss-");
    size_t len = strlen(host);
    char *region;

    for (const char *next = service; next != NULL; next = strstr(next + 1, ".oss-"))
        service = next;
    if (service == NULL || service == host || len < sizeof(suffix) ||
        strcmp(host + len - (sizeof(suffix) - 1), suffix) != 0 ||
        service + 5 >= host + len - (sizeof(suffix) - 1)) {
        apply_bucket(x);
        return;
    }
    region = arena_strndup(x->scratch, service + 5,
        (size_t)(host + len - (sizeof(suffix) - 1) - (service + 5)));
    replica_url_give(
        x, "bucket", arena_strndup(x->scratch, host, (size_t)(service - host)));
    x->r->path = replica_url_key(x->b->a, x->u->path);
    len = strlen(region);
    if (len > sizeof(internal) - 1 &&
        strcmp(region + len - (sizeof(internal) - 1), internal) == 0) {
        replica_url_give(x, "endpoint",
            arena_printf(x->scratch, "https://oss-%s.aliyuncs.com", region));
        region[len - (sizeof(internal) - 1)] = '\0';
    }
    replica_url_give(x, "region", region);
}

static void
apply_sftp(struct replica_url *x)
{
    replica_url_give(x, "host", x->u->host);
    take_user(x, "user", "password");
    x->r->path = arena_strdup(x->b->a, x->u->path);
}

static void
apply_webdav(struct replica_url *x)
{
    const char *scheme = strcmp(x->u->scheme, "webdavs") == 0 ? "https" : "http";

    if (x->u->host[0] != '\0')
        replica_url_give(
            x, "webdav-url", arena_printf(x->scratch, "%s://%s", scheme, x->u->host));
    take_user(x, "webdav-username", "webdav-password");
    x->r->path = arena_strdup(x->b->a, x->u->path);
}

/* HOST[:PORT][,HOST...] */
static void
set_servers(struct replica_url *x, const char *hosts)
{
    size_t n = 1;
    const char **items;

    if (hosts[0] == '\0')
        return;
    for (const char *s = hosts; *s != '\0'; s++)
        n += *s == ',';
    items = arena_alloc(x->b->a, n * sizeof(*items));
    n = 0;
    while (*hosts != '\0') {
        size_t len = strcspn(hosts, ",");

        if (len > 0)
            items[n++] = arena_printf(x->b->a, "nats://%.*s", (int)len, hosts);
        hosts += len + (hosts[len] == ',');
    }
    x->r->servers = (struct cfg_strings){ items, n };
}

/* nats://[USER:PASSWORD@|TOKEN@]HOST/BUCKET[/PATH]; the URL's bucket wins over the key.
 */
static void
apply_nats(struct replica_url *x)
{
    const struct url *u = x->u;
    const char *rest, *bucket = split_path(x->b->a, u->path, &rest);

    set_servers(x, u->host);
    if (u->has_user && !u->has_password && u->user[0] != '\0')
        replica_url_give(x, "token", u->user);
    else
        take_user(x, "username", "password");
    if (bucket[0] != '\0') {
        x->r->bucket = bucket;
        x->taken[cfg_option_index(option("bucket"))] = true;
    }
    if (x->r->path[0] == '\0')
        x->r->path = rest;
}

static int
apply(struct replica_url *x, struct err *e)
{
    must(x->u != NULL || x->r->type == CFG_REPLICA_S3); /* an access point */
    switch (x->r->type) {
    case CFG_REPLICA_FILE:
        apply_file(x);
        return 0;
    case CFG_REPLICA_S3:
        return replica_url_s3(x, e);
    case CFG_REPLICA_GS:
        apply_bucket(x);
        break;
    case CFG_REPLICA_ABS:
        apply_abs(x);
        break;
    case CFG_REPLICA_OSS:
        apply_oss(x);
        break;
    case CFG_REPLICA_SFTP:
        apply_sftp(x);
        break;
    case CFG_REPLICA_WEBDAV:
        apply_webdav(x);
        break;
    case CFG_REPLICA_NATS:
        apply_nats(x);
        break;
    }
    return replica_url_query(x, x->u->query, e);
}

static bool
is_access_point(const char *text)
{
    return strncasecmp(text, "s3://arn:", 9) == 0;
}

int
replica_url_apply(
    struct build *b, struct cfg_replica *r, bool *taken, bool *path_style, struct err *e)
{
    struct arena scratch;
    struct url u;
    struct replica_url x = {
        .b = b,
        .scratch = &scratch,
        .r = r,
        .text = secret_reveal(&r->url_text),
        .line = build_replica_line(b->c, r, NULL, "url"),
        .taken = taken,
    };
    int rc = 0;

    arena_init(&scratch);
    u = (struct url){ .host = "" };
    if (!is_access_point(x.text)) {
        rc = url_parse(&scratch, x.text, &u, e);
        x.u = &u;
    }
    if (rc != 0 && r->type == CFG_REPLICA_NATS)
        rc = err_wrap(e, "invalid NATS URL");
    else if (rc != 0)
        rc = err_wrap(e, "invalid replica url \"%s\"", r->url);
    else
        rc = apply(&x, e);
    *path_style = x.path_style;
    url_wipe(&u, NULL, 0);
    arena_deinit(&scratch);
    return rc;
}
