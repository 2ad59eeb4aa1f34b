#include "drivers/s3/s3_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/auth/uri.h"

#define MAX_URL ((size_t)16 << 10)
#define DEFAULT_REGION "us-east-1"

static bool
has_text(const char *s)
{
    return s != NULL && s[0] != '\0';
}

static void
replace(char **to, char *value)
{
    mem_free(*to);
    *to = value;
}

/* --- names
 * ------------------------------------------------------------------------------ */

/* Letters, digits and hyphens: nothing that would lead to another host. */
static bool
is_label(const char *s)
{
    size_t n = 0;

    for (; s[n] != '\0'; n++)
        if (!isalnum((unsigned char)s[n]) && s[n] != '-')
            return false;
    return n > 0 && n <= 63;
}

/* A port behind it does not matter. */
static bool
is_ip_address(const char *host)
{
    char v4[INET_ADDRSTRLEN];
    struct in_addr bytes;
    size_t n = strcspn(host, ":");

    if (host[0] == '[')
        return true;
    if (n >= sizeof(v4))
        return false;
    memcpy(v4, host, n);
    v4[n] = '\0';
    return inet_pton(AF_INET, v4, &bytes) == 1;
}

/* Can the bucket stand in front of a host, also of one whose certificate has a wildcard?
 */
static bool
fits_in_host(const char *bucket, bool tls)
{
    size_t n = strlen(bucket);
    char before = '.';

    if (n < 3 || n > 63 || is_ip_address(bucket))
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = bucket[i];

        if (c == '.' ? tls || before == '.' || before == '-'
                     : !(islower((unsigned char)c) || isdigit((unsigned char)c) ||
                           (c == '-' && before != '.')))
            return false;
        before = c;
    }
    return before != '.' && before != '-';
}

static int
check_bucket(const char *bucket, struct err *e)
{
    if (bucket[0] == '\0')
        return err_set(e, ERR_CONFIG, "s3: bucket name is required");
    if (strchr(bucket, '/') != NULL)
        return err_set(e, ERR_CONFIG,
            "s3: the bucket name \"%s\" has a slash in it; what follows the slash belongs "
            "into `path`",
            bucket);
    for (const char *s = bucket; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("?#\\", *s) != NULL)
            return err_set(e, ERR_CONFIG,
                "s3: the bucket name \"%s\" has a character in it that none can have",
                bucket);
    if (strlen(bucket) > 255)
        return err_set(e, ERR_CONFIG, "s3: the bucket name is longer than 255 bytes");
    return 0;
}

/* --- access points
 * ------------------------------------------------------------------------ */

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:accesspoint/NAME (or :NAME) */
static int
parse_arn(struct s3_address *a, const char *arn, struct err *e)
{
    char *copy = mem_strdup(arn), *rest = copy;
    char *field[5] = { copy, copy, copy, copy, copy };
    const char *name;
    int rc = 0;

    must(copy != NULL);
    for (size_t i = 0; i < 5 && rest != NULL; i++) {
        field[i] = strsep(&rest, ":");
        if (rest == NULL)
            rc = err_set(e, ERR_CONFIG, "invalid s3 access point arn: %s", arn);
    }
    if (rc != 0)
        goto out;
    if (strcmp(field[2], "s3") != 0) {
        rc = err_set(e, ERR_CONFIG,
            "s3: %s: access points of %s are not supported; use one of the bucket itself",
            arn, field[2]);
        goto out;
    }
    if (field[3][0] == '\0') {
        rc = err_set(e, ERR_CONFIG,
            "s3: %s: multi-region access points are not supported (they need signatures "
            "of another kind); use an access point of one region",
            arn);
        goto out;
    }
    name = strncmp(rest, "accesspoint", 11) == 0 && strchr("/:", rest[11]) != NULL &&
                   rest[11] != '\0'
               ? rest + 12
               : "";
    if (!is_label(name) || !is_label(field[3]) || !is_label(field[4])) {
        rc = err_set(e, ERR_CONFIG, "invalid s3 access point arn: %s", arn);
        goto out;
    }
    replace(&a->name, mem_strdup(name));
    replace(&a->account, mem_strdup(field[4]));
    replace(&a->region, mem_strdup(field[3]));
    a->access_point = true;
out:
    mem_free(copy);
    return rc;
}

/* --- endpoints
 * ---------------------------------------------------------------------------- */

static char *
url_part(CURLU *u, CURLUPart part)
{
    unsigned flags = part == CURLUPART_PATH ? CURLU_URLDECODE : 0;
    char *text = NULL, *copy = NULL;

    if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

/* SCHEME://HOST[:PORT][/PATH]; a port that the scheme has anyway is left out. */
static int
parse_endpoint(struct s3_address *a, const char *endpoint, bool *has_port, struct err *e)
{
    CURLU *u = curl_url();
    char *port = NULL, *user = NULL, *query = NULL, *host = NULL;
    const char *own;
    int rc = 0;

    must(u != NULL);
    if (curl_url_set(u, CURLUPART_URL, endpoint, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        rc = err_set(e, ERR_CONFIG,
            "s3: the endpoint%s%s is no URL; it should look like https://HOST or "
            "http://HOST:PORT",
            strchr(endpoint, '@') == NULL ? " " : "",
            strchr(endpoint, '@') == NULL ? endpoint : ""); /* no password in a log */
        goto out;
    }
    replace(&a->scheme, url_part(u, CURLUPART_SCHEME));
    host = url_part(u, CURLUPART_HOST);
    user = url_part(u, CURLUPART_USER);
    query = url_part(u, CURLUPART_QUERY);
    port = url_part(u, CURLUPART_PORT);
    if (user != NULL) {
        rc = err_set(e, ERR_CONFIG,
            "s3: the endpoint has a user in it; keys belong into `access-key-id` and "
            "`secret-access-key`");
        goto out;
    }
    if (host == NULL || query != NULL ||
        (strcmp(a->scheme, "http") != 0 && strcmp(a->scheme, "https") != 0)) {
        rc = err_set(e, ERR_CONFIG,
            "s3: the endpoint \"%s\" must be http://HOST[:PORT][/PATH] or https://...",
            endpoint);
        goto out;
    }
    *has_port = port != NULL;
    own = strcmp(a->scheme, "https") == 0 ? "443" : "80";
    replace(&a->endpoint_host, port != NULL && strcmp(port, own) != 0
                                   ? mem_printf("%s:%s", host, port)
                                   : mem_strdup(host));
    replace(&a->endpoint_path, url_part(u, CURLUPART_PATH));
    if (a->endpoint_path == NULL) {
        rc = err_set(e, ERR_CONFIG, "s3: the path of the endpoint \"%s\" cannot be used",
            endpoint);
        goto out;
    }
    for (size_t n = strlen(a->endpoint_path); n > 0 && a->endpoint_path[n - 1] == '/';
         n--)
        a->endpoint_path[n - 1] = '\0';
out:
    curl_url_cleanup(u);
    mem_free(port);
    mem_free(user);
    mem_free(query);
    mem_free(host);
    return rc;
}

/* --- the whole
 * ---------------------------------------------------------------------------- */

static char *
aws_host(const struct s3_address *a)
{
    const char *region = s3_address_region(a);
    const char *domain =
        strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
    const char *fips = a->fips ? "-fips" : "", *dual = a->dualstack ? ".dualstack" : "";

    if (a->access_point)
        return mem_printf("%s-%s.s3-accesspoint%s%s.%s.%s", a->name, a->account, fips,
            dual, region, domain);
    return mem_printf("%s%ss3%s%s.%s.%s", a->path_style ? "" : a->name,
        a->path_style ? "" : ".", fips, dual, region, domain);
}

static char *
endpoint_host(const struct s3_address *a)
{
    if (a->access_point)
        return mem_printf("%s-%s.%s", a->name, a->account, a->endpoint_host);
    if (!a->path_style)
        return mem_printf("%s.%s", a->name, a->endpoint_host);
    return mem_strdup(a->endpoint_host);
}

static int
make_host(struct s3_address *a, struct err *e)
{
    struct buf base;

    replace(&a->host, a->endpoint_host != NULL ? endpoint_host(a) : aws_host(a));
    buf_init(&base, MAX_URL);
    uri_add_path(&base, a->endpoint_path != NULL ? a->endpoint_path : "");
    if (a->path_style) {
        buf_add_char(&base, '/');
        uri_add(&base, a->name);
    }
    replace(&a->base, mem_strdup(buf_str(&base)));
    if (buf_failed(&base) || strlen(a->host) > 255) {
        buf_deinit(&base);
        return err_set(e, ERR_CONFIG, "s3: endpoint and bucket make too long an address");
    }
    buf_deinit(&base);
    return 0;
}

static int
choose_style(
    struct s3_address *a, const struct cfg_replica *cfg, bool from_around, struct err *e)
{
    bool tls = strcmp(a->scheme, "https") == 0;

    a->path_style = cfg->force_path_style != CFG_UNSET
                        ? cfg->force_path_style == CFG_ON
                        : a->provider->path_style || from_around;
    if (a->access_point) {
        if (a->path_style && cfg->force_path_style == CFG_ON && a->endpoint_host == NULL)
            return err_set(e, ERR_CONFIG,
                "s3: Path-style addressing cannot be used with ARN buckets; remove "
                "`force-path-style`");
        a->path_style = false;
        if (a->endpoint_host != NULL && is_ip_address(a->endpoint_host))
            return err_set(e, ERR_CONFIG,
                "s3: an access point cannot be used with an endpoint that is an IP address");
        return 0;
    }
    if (!fits_in_host(a->name, tls) ||
        (a->endpoint_host != NULL && is_ip_address(a->endpoint_host)))
        a->path_style = true;
    return 0;
}

static void
take_habits(struct s3_address *a, const struct cfg_replica *cfg)
{
    a->sign_payload = cfg->sign_payload != CFG_OFF;
    a->content_md5 = cfg->require_content_md5 != CFG_UNSET
                         ? cfg->require_content_md5 == CFG_ON
                         : !a->provider->no_content_md5;
    a->checksums = a->endpoint_host == NULL;
    a->verify_tls = !cfg->skip_verify;
    a->concurrency = cfg->concurrency > 0 ? cfg->concurrency : a->provider->concurrency;
    a->part_bytes = cfg->part_size_bytes > 0 ? cfg->part_size_bytes : S3_MIN_PART_BYTES;
}

static int
check_region(const char *region, struct err *e)
{
    for (const char *s = region; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '/' || *s == ',')
            return err_set(e, ERR_CONFIG,
                "s3: the region \"%s\" has a character in it that none can have", region);
    return 0;
}

int
s3_address_make(const struct cfg_replica *cfg, const struct s3_surroundings *around,
    struct s3_address *out, struct err *e)
{
    bool from_around = !has_text(cfg->endpoint) && has_text(around->endpoint);
    const char *endpoint = from_around ? around->endpoint : cfg->endpoint;
    bool has_port = false;
    int rc = 0;

    *out = (struct s3_address){ .fips = around->fips, .dualstack = around->dualstack };
    out->bucket = mem_strdup(cfg->bucket);
    out->region = mem_strdup(cfg->region);
    out->name = mem_strdup(cfg->bucket);
    if (strncmp(cfg->bucket, "arn:", 4) == 0)
        rc = parse_arn(out, cfg->bucket, e);
    else
        rc = check_bucket(cfg->bucket, e);
    if (rc == 0)
        rc = check_region(out->region, e);
    if (rc == 0 && has_text(endpoint))
        rc = parse_endpoint(out, endpoint, &has_port, e);
    if (rc != 0)
        goto out;
    if (out->endpoint_host == NULL) {
        out->scheme = mem_strdup("https");
        out->provider = s3_provider_of(NULL);
    } else {
        char *seen = has_port && strrchr(out->endpoint_host, ':') == NULL
                         ? mem_printf("%s:", out->endpoint_host)
                         : mem_strdup(out->endpoint_host);

        out->provider = s3_provider_of(seen);
        mem_free(seen);
        if (out->region[0] == '\0')
            replace(&out->region, mem_strdup(DEFAULT_REGION));
    }
    take_habits(out, cfg);
    rc = choose_style(out, cfg, from_around, e);
    if (rc == 0 && out->endpoint_host == NULL && !is_label(s3_address_region(out)))
        rc = err_set(e, ERR_CONFIG, "s3: \"%s\" is no region of AWS", out->region);
    if (rc == 0)
        rc = make_host(out, e);
out:
    if (rc != 0)
        s3_address_deinit(out);
    return rc;
}

void
s3_address_deinit(struct s3_address *a)
{
    mem_free(a->scheme);
    mem_free(a->host);
    mem_free(a->base);
    mem_free(a->region);
    mem_free(a->bucket);
    mem_free(a->account);
    mem_free(a->name);
    mem_free(a->endpoint_host);
    mem_free(a->endpoint_path);
    *a = (struct s3_address){ 0 };
}

const char *
s3_address_region(const struct s3_address *a)
{
    return a->region[0] != '\0' ? a->region : DEFAULT_REGION;
}

int
s3_address_set_region(struct s3_address *a, const char *region, struct err *e)
{
    if (region[0] == '\0')
        region = DEFAULT_REGION;
    else if (strcmp(region, "EU") == 0)
        region = "eu-west-1";
    if (!is_label(region)) /* it becomes part of a host name */
        return err_set(e, ERR_PROTOCOL, "s3: the server names a region that can be none");
    replace(&a->region, mem_strdup(region));
    return make_host(a, e);
}

bool
s3_address_path(const struct s3_address *a, const char *key, struct buf *out)
{
    if (!buf_add_str(out, a->base))
        return false;
    if (key == NULL)
        return a->base[0] != '\0' || buf_add_char(out, '/');
    return buf_add_char(out, '/') && uri_add_path(out, key);
}

bool
s3_address_url(const struct s3_address *a, const char *key, struct buf *out)
{
    return buf_printf(out, "%s://%s", a->scheme, a->host) && s3_address_path(a, key, out);
}

int64_t
s3_address_part_bytes(const struct s3_address *a, int64_t bound)
{
    const int64_t step = (int64_t)1 << 20;
    int64_t parts = a->provider->max_parts - 1, need = bound / parts;

    if (need < a->part_bytes)
        return a->part_bytes;
    need = (need / step + 1) * step;
    return need < S3_MAX_PART_BYTES ? need : S3_MAX_PART_BYTES;
}
