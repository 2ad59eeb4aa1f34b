#include "drivers/http/http_url.h"

#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/base/mem.h"
#include "common/base/must.h"

struct parts {
    char *scheme, *host, *port; /* libcurl's; NULL: no such URL */
};

static struct parts
split(CURLU *u)
{
    struct parts p = { 0 };

    curl_url_get(u, CURLUPART_SCHEME, &p.scheme, 0);
    curl_url_get(u, CURLUPART_HOST, &p.host, 0);
    curl_url_get(u, CURLUPART_PORT, &p.port, CURLU_DEFAULT_PORT);
    return p;
}

static void
free_parts(struct parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
}

static CURLU *
parse(const char *url)
{
    CURLU *u = curl_url();

    must(u != NULL);
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK)
        return u;
    curl_url_cleanup(u);
    return NULL;
}

static bool
is_whole(const struct parts *p)
{
    return p->scheme != NULL && p->host != NULL && p->port != NULL;
}

static bool
is_tls(const struct parts *p)
{
    return strcasecmp(p->scheme, "https") == 0;
}

static char *
shown(const struct parts *p)
{
    if (!is_whole(p))
        return mem_strdup("?");
    if (strcmp(p->port, is_tls(p) ? "443" : "80") == 0)
        return mem_strdup(p->host);
    return mem_printf("%s:%s", p->host, p->port);
}

char *
http_url_host(const char *url)
{
    CURLU *u = parse(url);
    struct parts p = { 0 };
    char *out;

    if (u != NULL)
        p = split(u);
    out = shown(&p);
    free_parts(&p);
    curl_url_cleanup(u);
    return out;
}

bool
http_url_is_local(const char *url)
{
    CURLU *u = parse(url);
    struct parts p = { 0 };
    bool is_local;

    if (u != NULL)
        p = split(u);
    is_local = is_whole(&p) && (strcasecmp(p.host, "localhost") == 0 ||
                                   (strncmp(p.host, "127.", 4) == 0 &&
                                       strspn(p.host, "0123456789.") == strlen(p.host)) ||
                                   strcmp(p.host, "[::1]") == 0);
    free_parts(&p);
    curl_url_cleanup(u);
    return is_local;
}

/* Not to another machine or program, and never from TLS to none. */
static int
judge(const struct parts *from, const struct parts *to, struct err *e)
{
    char *old = shown(from), *new = shown(to);
    bool same_host = strcasecmp(from->host, to->host) == 0;
    bool same_place = same_host && strcasecmp(from->scheme, to->scheme) == 0 &&
                      strcmp(from->port, to->port) == 0;
    bool upgrade = same_host && !is_tls(from) && is_tls(to) &&
                   strcmp(from->port, "80") == 0 && strcmp(to->port, "443") == 0;
    int rc = 0;

    if (!same_place && !upgrade) {
        rc = err_set(e, ERR_CONFIG,
            "%s sends us to %s://%s, where credentials are not sent unasked", old,
            to->scheme, new);
        err_hint(e, "if that is the right place, configure %s://%s", to->scheme, new);
    }
    mem_free(old);
    mem_free(new);
    return rc;
}

int
http_redirect(const char *url, const char *location, char **out, struct err *e)
{
    CURLU *u = parse(url);
    struct parts from = { 0 }, to = { 0 };
    char *target = NULL;
    int rc = 0;

    if (u != NULL)
        from = split(u);
    if (!is_whole(&from))
        rc = err_set(e, ERR_CONFIG, "what leads to another place is no URL itself");
    else if (location == NULL || location[0] == '\0')
        rc = err_set(
            e, ERR_CONFIG, "%s sends us elsewhere, but does not say where", from.host);
    else if (curl_url_set(u, CURLUPART_URL, location, CURLU_PATH_AS_IS) != CURLUE_OK)
        rc = err_set(e, ERR_CONFIG, "%s sends us to what is no URL", from.host);
    if (rc == 0) {
        to = split(u);
        rc = !is_whole(&to) || (!is_tls(&to) && strcasecmp(to.scheme, "http") != 0)
                 ? err_set(e, ERR_CONFIG, "%s sends us to what is no URL", from.host)
                 : judge(&from, &to, e);
    }
    if (rc == 0 && curl_url_get(u, CURLUPART_URL, &target, 0) != CURLUE_OK)
        rc = err_set(e, ERR_CONFIG, "%s sends us to what is no URL", from.host);
    if (rc == 0)
        *out = mem_strdup(target);
    curl_free(target);
    free_parts(&from);
    free_parts(&to);
    curl_url_cleanup(u);
    return rc;
}
