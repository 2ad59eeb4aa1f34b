#include "supervisor/control/client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/must.h"

#define REPLY_MAX ((size_t)256 << 20)

static const char connect_hint[] =
    "litestream replicate, with \"socket: {enabled: true}\" in its configuration (it is "
    "off by default), or -socket PATH when it is elsewhere";

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
    return buf_add(arg, data, size * n) ? size * n : 0;
}

static int
call_failed(const struct client *c, CURL *h, CURLcode rc, const char *method,
    const char *url, const struct buf *got, struct err *e)
{
    long sys_errno = 0;

    if (buf_failed(got)) {
        err_set(e, ERR_LIMIT, "answer is larger than %zu bytes", REPLY_MAX);
    } else if (rc == CURLE_OPERATION_TIMEDOUT) {
        err_set(e, ERR_TIMEOUT,
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
    } else if (rc == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &sys_errno);
        err_set(e, ERR_NETWORK, "dial unix %s: connect: %s", c->socket,
            sys_errno != 0 ? err_errno_text((int)sys_errno) : curl_easy_strerror(rc));
        err_hint(e, "%s", connect_hint);
    } else {
        err_set(e, ERR_NETWORK, "%s", curl_easy_strerror(rc));
    }
    err_wrap(e, "%s \"%s\"", method, url);
    return err_wrap(e, "failed to connect to control socket");
}

static CURL *
prepare(const struct client *c, const char *url, const char *body, struct buf *got)
{
    CURL *h = curl_easy_init();

    must(h != NULL);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, got);
    if (c->timeout_ms > 0)
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    if (body != NULL)
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    return h;
}

int
client_call(const struct client *c, const char *path, const json_t *body,
    struct client_reply *out, struct err *e)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    char *url = mem_printf("http://localhost%s", path);
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    struct buf got;
    CURLcode code;
    CURL *h;
    int rc = 0;

    buf_init(&got, REPLY_MAX);
    h = prepare(c, url, text, &got);
    if (body != NULL)
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    code = curl_easy_perform(h);
    if (code == CURLE_OK) {
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &out->status);
        out->size = got.size;
        out->body = buf_take_str(&got);
    } else {
        rc = call_failed(c, h, code, body != NULL ? "Post" : "Get", url, &got, e);
    }
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    buf_deinit(&got);
    mem_free(url);
    free(text);
    return rc;
}

void
client_reply_deinit(struct client_reply *r)
{
    mem_free(r->body);
    *r = (struct client_reply){ .status = 0 };
}

static void
trim(char *text)
{
    size_t n = strlen(text);

    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
}

/* Their words, when it is our JSON, else all of it. */
static int
refused(const char *what, struct client_reply *r, struct err *e)
{
    json_t *body = json_loads(r->body, 0, NULL);
    const char *error = json_string_value(json_object_get(body, "error"));
    const char *details = json_string_value(json_object_get(body, "details"));

    trim(r->body);
    err_set(e, ERR_UNSUPPORTED, "%s failed: %s", what, error != NULL ? error : r->body);
    if (details != NULL)
        err_set(e, ERR_UNSUPPORTED, "%s failed: %s: %s", what, error, details);
    json_decref(body);
    return (int)e->code;
}

int
client_call_json(const struct client *c, const char *what, const char *path,
    const json_t *body, json_t **out, struct err *e)
{
    struct client_reply r = { .status = 0 };
    json_error_t why;
    int rc = client_call(c, path, body, &r, e);

    if (rc != 0)
        return rc;
    if (r.status != 200) {
        rc = refused(what, &r, e);
    } else {
        *out = json_loadb(r.body, r.size, 0, &why);
        if (*out == NULL)
            rc = err_set(e, ERR_CORRUPT, "failed to parse response: %s", why.text);
    }
    client_reply_deinit(&r);
    return rc;
}

char *
client_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy;

    must(escaped != NULL);
    copy = mem_strdup(escaped);
    curl_free(escaped);
    return copy;
}
