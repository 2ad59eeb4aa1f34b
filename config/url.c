#include "config/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"

#define URL_TEXT_MAX ((size_t)1 << 20)

static bool
is_word_char(char c)
{
    return c == '_' || isalnum((unsigned char)c);
}

bool
url_is(const char *text)
{
    size_t n = 0;

    while (is_word_char(text[n]))
        n++;
    return n > 0 && strncmp(text + n, "://", 3) == 0;
}

static const char *
lower(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_strndup(a, s, n);

    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

const char *
url_scheme(struct arena *a, const char *text)
{
    return url_is(text) ? lower(a, text, strcspn(text, ":")) : NULL;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: a bad escape, named in *e. */
static char *
unescape(struct arena *a, const char *s, size_t n, bool plus, struct err *e)
{
    char *out = arena_alloc(a, n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        int high, low;

        if (s[i] != '%') {
            out[len++] = plus && s[i] == '+' ? ' ' : s[i];
            continue;
        }
        high = i + 2 < n ? hex_digit(s[i + 1]) : -1;
        low = i + 2 < n ? hex_digit(s[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            err_set(e, ERR_CONFIG, "invalid URL escape \"%.*s\"",
                (int)(n - i < 3 ? n - i : 3), s + i);
            return NULL;
        }
        out[len++] = (char)(high * 16 + low);
        i += 2;
    }
    out[len] = '\0';
    return out;
}

/* May stand in a path as it is; when an escape is made anyway, fewer may. */
static bool
is_path_char(char c, bool escaping)
{
    if (isalnum((unsigned char)c) || (c != '\0' && strchr("-_.~$&+,/:;=@", c) != NULL))
        return true;
    return !escaping && c != '\0' && strchr("!'()*[]%", c) != NULL;
}

const char *
url_escape_path(struct arena *a, const char *path)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, strlen(path) * 3 + 1);
    size_t len = 0;

    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;

        if (is_path_char(*path, true)) {
            out[len++] = *path;
            continue;
        }
        out[len++] = '%';
        out[len++] = digits[c >> 4];
        out[len++] = digits[c & 15];
    }
    return out;
}

static const char *
escaped_form(struct arena *a, const char *raw, const char *decoded)
{
    for (const char *s = raw; *s != '\0'; s++)
        if (!is_path_char(*s, false))
            return url_escape_path(a, decoded);
    return raw;
}

static int
parse_user(struct arena *a, const char *s, size_t n, struct url *u, struct err *e)
{
    const char *colon = memchr(s, ':', n);
    size_t user = colon != NULL ? (size_t)(colon - s) : n;

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && strchr("-._:~!$&'()*+,;=%@", s[i]) == NULL)
            return err_set(e, ERR_CONFIG, "invalid userinfo");
    u->has_user = true;
    u->has_password = colon != NULL;
    u->user = unescape(a, s, user, false, e);
    if (u->user != NULL && colon != NULL)
        u->password = unescape(a, colon + 1, n - user - 1, false, e);
    if (u->user == NULL ||
        (colon != NULL && u->password == NULL)) /* no part of a secret */
        return err_set(
            e, ERR_CONFIG, "invalid URL escape in the user part (a %% is written %%25)");
    return 0;
}

/* One of several hosts: its port must be digits. */
static int
check_host(const char *s, size_t n, struct err *e)
{
    const char *bracket = memrchr(s, ']', n), *colon;
    size_t from = bracket != NULL ? (size_t)(bracket - s) + 1 : 0;

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && (unsigned char)s[i] < 0x80 &&
            strchr("-_.~!$&'()*+,;=:[]", s[i]) == NULL)
            return err_set(e, ERR_CONFIG, "invalid character \"%c\" in host name", s[i]);
    if (n > 0 && s[0] == '[' && bracket == NULL)
        return err_set(e, ERR_CONFIG, "missing ']' in host");
    colon = memrchr(s + from, ':', n - from);
    if (colon == NULL)
        return 0;
    for (const char *digit = colon + 1; digit < s + n; digit++)
        if (!isdigit((unsigned char)*digit))
            return err_set(e, ERR_CONFIG, /* what stands there may be a password */
                "invalid port after host (in a password, / ? # @ are %%2F %%3F %%23 %%40)");
    return 0;
}

static int
parse_authority(struct arena *a, const char *s, size_t n, struct url *u, struct err *e)
{
    const char *at = memrchr(s, '@', n);
    int rc = 0;

    if (at != NULL) {
        rc = parse_user(a, s, (size_t)(at - s), u, e);
        n -= (size_t)(at - s) + 1;
        s = at + 1;
    }
    u->host = arena_strndup(a, s, n);
    for (const char *host = u->host; rc == 0;) {
        size_t len = strcspn(host, ",");

        rc = check_host(host, len, e);
        if (host[len] == '\0')
            break;
        host += len + 1;
    }
    return rc;
}

int
url_parse(struct arena *a, const char *text, struct url *out, struct err *e)
{
    const char *rest, *raw;
    size_t len;
    int rc;

    *out = (struct url){ .host = "", .path = "", .query = "", .fragment = "" };
    if (!url_is(text))
        return err_set(e, ERR_CONFIG, "no scheme");
    for (const char *s = text; *s != '\0'; s++)
        if (iscntrl((unsigned char)*s))
            return err_set(e, ERR_CONFIG, "invalid control character in URL");
    out->scheme = url_scheme(a, text);
    rest = strstr(text, "://") + 3;
    len = strcspn(rest, "/?#");
    rc = parse_authority(a, rest, len, out, e);
    if (rc != 0)
        return rc;
    rest += len;
    len = strcspn(rest, "?#");
    raw = arena_strndup(a, rest, len);
    out->path = unescape(a, rest, len, false, e);
    if (out->path == NULL)
        return (int)e->code;
    out->escaped = escaped_form(a, raw, out->path);
    rest += len;
    len = strcspn(rest, "#");
    if (*rest == '?')
        out->query = arena_strndup(a, rest + 1, len - 1);
    rest += len;
    if (*rest == '#')
        out->fragment = arena_strdup(a, rest + 1);
    return 0;
}

size_t
url_params(struct arena *a, const char *query, struct url_param **out)
{
    struct url_param *params;
    struct err ignored = ERR_NONE;
    size_t n = 1, kept = 0;

    for (const char *s = query; *s != '\0'; s++)
        n += *s == '&';
    params = arena_alloc(a, n * sizeof(*params));
    while (*query != '\0') {
        size_t len = strcspn(query, "&"), name = strcspn(query, "&=");
        size_t value = name < len ? name + 1 : name;
        struct url_param *p = &params[kept];

        p->name = unescape(a, query, name, true, &ignored);
        p->value = unescape(a, query + value, len - value, true, &ignored);
        kept += len > 0 && memchr(query, ';', len) == NULL && p->name != NULL &&
                p->value != NULL;
        query += len + (query[len] == '&');
    }
    *out = params;
    return kept;
}

void
url_wipe(struct url *u, struct url_param *params, size_t n_params)
{
    if (u->password != NULL)
        explicit_bzero(u->password, strlen(u->password));
    if (u->user != NULL)
        explicit_bzero(u->user, strlen(u->user));
    for (size_t i = 0; i < n_params; i++)
        explicit_bzero(params[i].value, strlen(params[i].value));
}

static bool
is_secret_param(const char *name, size_t n)
{
    static const char *const parts[] = { "customerkey=", "customer-key=", "secret",
        "password", "token", "sig=" };
    char text[64];

    if (n + 2 > sizeof(text))
        return true;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)tolower((unsigned char)name[i]);
    memcpy(text + n, "=", 2);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strstr(text, parts[i]) != NULL)
            return true;
    return false;
}

/* "?a=b&c=d" with the values of secrets masked. */
static void
add_query(struct buf *out, const char *query)
{
    while (*query != '\0') {
        size_t sign = 1, len = 1 + strcspn(query + 1, "&"), name;

        name = strcspn(query + sign, "&=");
        if (sign + name < len && is_secret_param(query + sign, name)) {
            buf_add(out, query, sign + name + 1);
            buf_add_str(out, "xxxxx");
        } else {
            buf_add(out, query, len);
        }
        query += len;
    }
}

/*
 * Where the user part ends, NULL: there is none. A password with a bare slash in it makes
 * the rest look like a path: where there may be one, all up to the last @ is taken for
 * the user part.
 */
static const char *
end_of_user(const char *rest)
{
    size_t len = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', len), *colon = memrchr(rest, ':', len);

    if (at != NULL)
        return memchr(rest, ':', (size_t)(at - rest)) != NULL ? strrchr(rest, '@') : at;
    if (colon == NULL ||
        (size_t)(colon - rest) + 1 + strspn(colon + 1, "0123456789") == len)
        return NULL;
    return strrchr(rest, '@');
}

/* USER[:PASSWORD]@; a lone user is a token with nats. */
static void
add_user(struct buf *out, const char *text, const char *user, size_t n)
{
    const char *colon = memchr(user, ':', n);

    if (colon != NULL) {
        buf_add(out, user, (size_t)(colon - user) + 1);
        buf_add_str(out, "xxxxx");
    } else if (strncasecmp(text, "nats:", 5) == 0) {
        buf_add_str(out, "xxxxx");
    } else {
        buf_add(out, user, n);
    }
    buf_add_char(out, '@');
}

const char *
url_without_password(struct arena *a, const char *text)
{
    const char *rest, *at, *query;
    struct buf out;

    if (!url_is(text))
        return text;
    rest = strstr(text, "://") + 3;
    at = end_of_user(rest);
    buf_init(&out, URL_TEXT_MAX);
    buf_add(&out, text, (size_t)(rest - text));
    if (at != NULL) {
        add_user(&out, text, rest, (size_t)(at - rest));
        rest = at + 1;
    }
    query = rest + strcspn(rest, "?");
    buf_add(&out, rest, (size_t)(query - rest));
    add_query(&out, query);
    text = arena_strdup(a, buf_str(&out));
    buf_deinit(&out);
    return text;
}

const char *
url_masked(struct arena *a, const char *text)
{
    const char *at = strrchr(text, '@'), *query;
    struct buf out;

    if (url_is(text))
        return url_without_password(a, text);
    buf_init(&out, URL_TEXT_MAX);
    if (at != NULL) {
        buf_add_str(&out, "xxxxx");
        text = at;
    }
    query = text + strcspn(text, "?");
    buf_add(&out, text, (size_t)(query - text));
    add_query(&out, query);
    text = arena_strdup(a, buf_str(&out));
    buf_deinit(&out);
    return text;
}

const char *
url_without_details(struct arena *a, const char *text)
{
    const char *rest, *at;
    size_t len;

    if (!url_is(text)) {
        len = strcspn(text, "/?#");
        return arena_printf(a, "%.*s%s", (int)len, text, text[len] != '\0' ? "/..." : "");
    }
    rest = strstr(text, "://") + 3;
    at = end_of_user(rest);
    if (at != NULL)
        rest = at + 1;
    len = strcspn(rest, "/?#");
    return arena_printf(
        a, "%.*s%.*s", (int)(strstr(text, "://") + 3 - text), text, (int)len, rest);
}
