/*
 * The s3 half of replica_url.
 *
 *     BUCKET                                       AWS, region looked up
 *     BUCKET.s3[.dualstack].REGION.amazonaws.com[.cn]   AWS
 *     BUCKET.REGION.digitaloceanspaces.com         and other providers: the table
 *     BUCKET.HOST:PORT                             plain HTTP, path style
 *     arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME   access point
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "config/replica_url.h"
#include "config/value.h"

static const struct host_form {
    const char *suffix;
    bool s3_label;        /* ".s3." stands between bucket and region */
    const char *endpoint; /* before the region; NULL: AWS */
    bool path_style;
} forms[] = {
    { ".amazonaws.com", true, NULL, false },
    { ".amazonaws.com.cn", true, NULL, false },
    { ".digitaloceanspaces.com", false, "https://", false },
    { ".backblazeb2.com", true, "https://s3.", true },
    { ".scw.cloud", true, "https://s3.", false },
};

static const struct {
    const char *name, *alias;
    const char *option; /* NULL: the MD5 of the customer key, no key of the file */
} params[] = {
    { "endpoint", "endpoint", "endpoint" },
    { "region", "region", "region" },
    { "forcePathStyle", "force-path-style", "force-path-style" },
    { "skipVerify", "skip-verify", "skip-verify" },
    { "signPayload", "sign-payload", "sign-payload" },
    { "requireContentMD5", "require-content-md5", "require-content-md5" },
    { "storageClass", "storage-class", "storage-class" },
    { "partSize", "part-size", "part-size" },
    { "concurrency", "concurrency", "concurrency" },
    { "sseCustomerAlgorithm", "sse-customer-algorithm", "sse-customer-algorithm" },
    { "sseCustomerKey", "sse-customer-key", "sse-customer-key" },
    { "sseCustomerKeyMD5", "sse-customer-key-md5", NULL },
    { "sseKmsKeyId", "sse-kms-key-id", "sse-kms-key-id" },
};

/* What the peer takes for a machine nearby; 172.2 is a little too wide there, too. */
static bool
is_local(const char *host)
{
    static const char *const prefixes[] = { "10.", "192.168.", "172.16.", "172.17.",
        "172.18.", "172.19.", "172.2", "172.30.", "172.31." };
    static const char *const suffixes[] = { ".local", ".localhost" };
    size_t len = strcspn(host, ":/");

    if ((len == 9 &&
            (strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.0.0.1", 9) == 0)))
        return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(host, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t n = strlen(suffixes[i]);

        if (len > n && strncmp(host + len - n, suffixes[i], n) == 0)
            return true;
    }
    return false;
}

const char *
replica_url_endpoint(struct arena *a, const char *endpoint)
{
    if (strstr(endpoint, "://") != NULL)
        return arena_strdup(a, endpoint);
    return arena_printf(a, "%s://%s", is_local(endpoint) ? "http" : "https", endpoint);
}

static bool
query_bool(const char *text)
{
    static const char *const yes[] = { "true", "1", "t", "yes" };

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcasecmp(text, yes[i]) == 0)
            return true;
    return false;
}

static bool
query_int(const char *text, int64_t *out)
{
    int64_t value = 0;

    for (const char *s = text; *s != '\0'; s++)
        if (!isdigit((unsigned char)*s) ||
            __builtin_mul_overflow(value, INT64_C(10), &value) ||
            __builtin_add_overflow(value, (int64_t)(*s - '0'), &value))
            return false;
    *out = value;
    return value > 0;
}

static int
take_param(struct replica_url *x, const struct cfg_option *o, const struct url_param *p,
    struct err *e)
{
    void *field = cfg_field(x->r, o);
    int64_t number = 0;

    if ((o->type == CFG_INT || o->type == CFG_BYTESIZE) && !query_int(p->value, &number))
        return err_set(e, ERR_CONFIG,
            "invalid value for query parameter \"%s\": \"%s\" (must be a positive "
            "integer)",
            p->name, p->value);
    if (build_own(x->r, o))
        return 0;
    if (strcmp(o->name, "endpoint") == 0) {
        replica_url_give(x, o->name, replica_url_endpoint(x->scratch, p->value));
        x->path_style = true;
        return 0;
    }
    if (o->type == CFG_STRING || o->type == CFG_SECRET) {
        replica_url_give(x, o->name, p->value);
        return 0;
    }
    if (o->type == CFG_BOOL)
        *(bool *)field = query_bool(p->value);
    else if (o->type == CFG_TRI)
        *(enum cfg_tri *)field = query_bool(p->value) ? CFG_ON : CFG_OFF;
    else
        *(int64_t *)field = number;
    x->taken[cfg_option_index(o)] = true;
    return 0;
}

static int
use_param(struct replica_url *x, const struct url_param *p, struct err *e)
{
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        const struct cfg_option *o;

        if (strcmp(params[i].name, p->name) != 0 && strcmp(params[i].alias, p->name) != 0)
            continue;
        if (params[i].option == NULL) {
            x->r->sse_customer_key_md5 = arena_strdup(x->b->a, p->value);
            return 0;
        }
        o = cfg_option_find(CFG_REPLICA, params[i].option);
        must(o != NULL);
        /* oss keeps to the one that users expect there */
        if (x->r->type == CFG_REPLICA_S3 ||
            (x->r->type == CFG_REPLICA_OSS && strcmp(o->name, "endpoint") == 0))
            return p->value[0] != '\0' ? take_param(x, o, p, e) : 0;
    }
    build_warn(x->b, x->line, x->r->field, "URL parameter `%s` has no effect", p->name);
    return 0;
}

int
replica_url_query(struct replica_url *x, const char *query, struct err *e)
{
    struct url_param *list;
    size_t n = url_params(x->scratch, query, &list);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        bool again = false;

        for (size_t k = 0; k < i; k++) /* of equal names the first counts */
            again = again || strcmp(list[k].name, list[i].name) == 0;
        if (!again)
            rc = use_param(x, &list[i], e);
    }
    for (size_t i = 0; i < n; i++)
        explicit_bzero(list[i].value, strlen(list[i].value));
    return rc;
}

/* Removes `end` from the first *len bytes of s when something is left in front of it. */
static bool
cut_end(const char *s, size_t *len, const char *end)
{
    size_t n = strlen(end);

    if (*len <= n || strncmp(s + *len - n, end, n) != 0)
        return false;
    *len -= n;
    return true;
}

static bool
match_form(struct replica_url *x, const struct host_form *form)
{
    const char *host = x->u->host, *region, *dot;
    size_t len = strlen(host);

    if (!cut_end(host, &len, form->suffix))
        return false;
    if (form->endpoint == NULL && cut_end(host, &len, ".s3")) {
        replica_url_give(x, "bucket", arena_strndup(x->scratch, host, len));
        return true;
    }
    dot = memrchr(host, '.', len);
    if (dot == NULL || dot == host || dot + 1 == host + len)
        return false;
    region = arena_strndup(x->scratch, dot + 1, (size_t)(host + len - dot) - 1);
    len = (size_t)(dot - host);
    if (form->endpoint == NULL)
        cut_end(host, &len, ".dualstack");
    if (form->s3_label && !cut_end(host, &len, ".s3"))
        return false;
    replica_url_give(x, "bucket", arena_strndup(x->scratch, host, len));
    replica_url_give(x, "region", region);
    if (form->endpoint != NULL)
        replica_url_give(x, "endpoint",
            arena_printf(x->scratch, "%s%s%s", form->endpoint, region, form->suffix));
    x->path_style = x->path_style || form->path_style;
    return true;
}

static bool
match_filebase(struct replica_url *x)
{
    size_t len = strlen(x->u->host);

    if (!cut_end(x->u->host, &len, ".s3.filebase.com"))
        return false;
    replica_url_give(x, "bucket", arena_strndup(x->scratch, x->u->host, len));
    replica_url_give(x, "endpoint", "https://s3.filebase.com");
    return true;
}

/* BUCKET.HOST:PORT; never where a name looks like that of a provider. */
static bool
match_port(struct replica_url *x)
{
    const char *host = x->u->host, *dot = strchr(host, '.');

    if (strchr(host, ':') == NULL || strstr(host, ".com") != NULL)
        return false;
    if (dot == NULL || dot == host || host[0] == '[') {
        replica_url_give(x, "bucket", ""); /* none, and none is inherited */
        return true;
    }
    replica_url_give(x, "bucket", arena_strndup(x->scratch, host, (size_t)(dot - host)));
    replica_url_give(x, "endpoint", arena_printf(x->scratch, "http://%s", dot + 1));
    x->path_style = true;
    return true;
}

/* The region of arn:aws:s3:REGION:...; "" when there are not that many fields. */
static const char *
arn_region(struct arena *a, const char *arn)
{
    for (int i = 0; i < 3; i++) {
        arn = strchr(arn, ':');
        if (arn == NULL)
            return "";
        arn++;
    }
    return arena_strndup(a, arn, strcspn(arn, ":/"));
}

/* Cut by hand: an ARN is no host name. */
static int
apply_access_point(struct replica_url *x, struct err *e)
{
    static const char marker[] = ":accesspoint/";
    const char *text = x->text + strlen("s3://"), *query = strchr(text, '?');
    const char *arn = arena_strndup(x->scratch, text, strcspn(text, "?#"));
    const char *name = strcasestr(arn, marker);
    size_t len;
    int rc = 0;

    if (name == NULL || strcspn(name + sizeof(marker) - 1, "/") == 0)
        return err_set(e, ERR_CONFIG, "invalid s3 access point arn: %s", arn);
    name += sizeof(marker) - 1;
    len = (size_t)(name - arn) + strcspn(name, "/");
    if (query != NULL)
        rc = replica_url_query(
            x, arena_strndup(x->scratch, query + 1, strcspn(query + 1, "#")), e);
    if (rc != 0)
        return rc;
    x->r->path = arn[len] != '\0' ? replica_url_key(x->b->a, arn + len) : "";
    replica_url_give(x, "region", arn_region(x->scratch, arn));
    replica_url_give(x, "bucket", arena_strndup(x->scratch, arn, len));
    return 0;
}

int
replica_url_s3(struct replica_url *x, struct err *e)
{
    int rc;

    if (x->u == NULL)
        return apply_access_point(x, e);
    rc = replica_url_query(x, x->u->query, e);
    if (rc != 0)
        return rc;
    x->r->path = replica_url_key(x->b->a, x->u->path);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (match_form(x, &forms[i]))
            return 0;
    if (!match_filebase(x) && !match_port(x))
        replica_url_give(x, "bucket", x->u->host);
    return 0;
}
