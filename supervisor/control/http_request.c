#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "supervisor/control/http_impl.h"

#define DISCARD_MAX ((size_t)8 << 20) /* of a body that is too large; then we hang up */
#define STREAM_BLOCK ((size_t)16 * 1024)
#define ALLOW_MAX 64

static void
free_request(struct http_request *r)
{
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    while (r->headers != NULL) {
        struct http_reply_header *h = r->headers;

        r->headers = h->next;
        mem_free(h->name);
        mem_free(h->value);
        mem_free(h);
    }
    buf_deinit(&r->body);
    mem_free(r->method);
    mem_free(r->path);
    mem_free(r);
}

static void
resume(struct http_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->mhd);
    http_run_soon(r->conn->server);
}

void
http_cut(struct http_request *r)
{
    r->cut = true;
    resume(r);
}

/* --- routes ---------------------------------------------------------------------------
 */

static bool
path_fits(const struct http_route *route, const char *path)
{
    return route->below ? strncmp(path, route->path, strlen(route->path)) == 0
                        : strcmp(path, route->path) == 0;
}

static bool
method_fits(const struct http_route *route, const char *method)
{
    return route->method == NULL || strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* Which methods the path has; false: there is no such path. */
static bool
allowed(const struct http_server *s, const char *path, char out[ALLOW_MAX])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < s->opt.n_routes; i++) {
        const struct http_route *route = &s->opt.routes[i];

        if (!path_fits(route, path) || route->method == NULL)
            continue;
        len += (size_t)snprintf(out + len, ALLOW_MAX - len, "%s%s%s", len > 0 ? ", " : "",
            route->method, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
        must(len < ALLOW_MAX);
    }
    return len > 0;
}

static void
refuse(struct http_request *r)
{
    static const char type[] = "text/plain; charset=utf-8";
    char allow[ALLOW_MAX];

    http_reply_header(r, "X-Content-Type-Options", "nosniff");
    if (!allowed(r->conn->server, r->path, allow)) {
        http_reply(r, MHD_HTTP_NOT_FOUND, type, "404 page not found\n");
        return;
    }
    http_reply_header(r, "Allow", allow);
    http_reply(r, MHD_HTTP_METHOD_NOT_ALLOWED, type, "Method Not Allowed\n");
}

static void
dispatch(struct http_request *r)
{
    const struct http_options *opt = &r->conn->server->opt;

    r->owed = true;
    if (r->discarded > 0) {
        http_reply(r, MHD_HTTP_CONTENT_TOO_LARGE, "application/json",
            "{\"error\":\"request body is too large\"}\n");
        return;
    }
    for (size_t i = 0; i < opt->n_routes; i++)
        if (path_fits(&opt->routes[i], r->path) &&
            method_fits(&opt->routes[i], r->method)) {
            opt->routes[i].handle(opt->arg, r);
            return;
        }
    refuse(r);
}

/* --- callbacks of libmicrohttpd -------------------------------------------------------
 */

static struct http_request *
new_request(struct MHD_Connection *mhd, const char *url, const char *method)
{
    struct http_request *r = MEM_NEW(struct http_request);

    r->mhd = mhd;
    r->conn =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    r->conn->request = r;
    r->method = mem_strdup(method);
    r->path = mem_strdup(url);
    buf_init(&r->body, HTTP_BODY_MAX);
    return r;
}

static enum MHD_Result
take_body(struct http_request *r, const char *data, size_t size)
{
    if (r->discarded == 0 && buf_add(&r->body, data, size))
        return MHD_YES;
    r->discarded += size;
    return r->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result
queue(struct http_request *r)
{
    for (const struct http_reply_header *h = r->headers; h != NULL; h = h->next)
        MHD_add_response_header(r->response, h->name, h->value);
    http_set_state(r->conn, CONN_SENDING);
    return MHD_queue_response(r->mhd, r->status, r->response);
}

/* Nobody answers any more. */
static enum MHD_Result
queue_unavailable(struct http_request *r)
{
    static char text[] = "{\"error\":\"the daemon is ending\"}\n";
    struct MHD_Response *response;
    enum MHD_Result rc;

    if (!r->conn->server->stopping)
        return MHD_NO; /* the client is not there to read it */
    response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    must(response != NULL);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Connection", "close");
    http_set_state(r->conn, CONN_SENDING);
    rc = MHD_queue_response(r->mhd, MHD_HTTP_SERVICE_UNAVAILABLE, response);
    MHD_destroy_response(response);
    return rc;
}

enum MHD_Result
http_on_request(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *size, void **ctx)
{
    struct http_request *r = *ctx;

    (void)arg;
    (void)version;
    if (r == NULL) { /* the header is there */
        *ctx = new_request(mhd, url, method);
        return MHD_YES;
    }
    if (*size > 0) {
        size_t n = *size;

        *size = 0;
        return take_body(r, data, n);
    }
    if (!r->dispatched) {
        r->dispatched = true;
        http_set_state(r->conn, CONN_BUSY);
        dispatch(r);
    }
    if (r->response != NULL)
        return queue(r);
    if (r->cut)
        return queue_unavailable(r);
    if (!r->suspended) {
        r->suspended = true;
        MHD_suspend_connection(mhd);
    }
    return MHD_YES;
}

void
http_on_completed(void *arg, struct MHD_Connection *mhd, void **ctx,
    enum MHD_RequestTerminationCode why)
{
    struct http_request *r = *ctx;

    (void)arg;
    (void)mhd;
    (void)why;
    if (r == NULL)
        return;
    *ctx = NULL;
    r->conn->request = NULL;
    http_set_state(r->conn, CONN_READING);
    r->conn = NULL;
    r->mhd = NULL;
    r->suspended = false;
    if (!r->owed)
        free_request(r);
}

/* --- for handlers ---------------------------------------------------------------------
 */

const char *
http_method(const struct http_request *r)
{
    return r->method;
}

const char *
http_path(const struct http_request *r)
{
    return r->path;
}

const char *
http_query(const struct http_request *r, const char *name)
{
    return r->mhd != NULL
               ? MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, name)
               : NULL;
}

const char *
http_get_header(const struct http_request *r, const char *name)
{
    return r->mhd != NULL ? MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name)
                          : NULL;
}

const char *
http_body(const struct http_request *r, size_t *size)
{
    *size = r->body.size;
    return r->body.size > 0 ? (const char *)r->body.data : "";
}

void
http_reply_header(struct http_request *r, const char *name, const char *value)
{
    struct http_reply_header *h = MEM_NEW(struct http_reply_header);

    *h = (struct http_reply_header){
        .next = r->headers, .name = mem_strdup(name), .value = mem_strdup(value)
    };
    r->headers = h;
}

static void
answer(struct http_request *r, unsigned status, const char *type,
    struct MHD_Response *response)
{
    must(r->owed && response != NULL);
    r->owed = false;
    r->response = response;
    if (r->mhd == NULL) { /* nobody is there to take it */
        free_request(r);
        return;
    }
    r->status = status;
    http_reply_header(r, "Content-Type", type);
    if (r->cut)
        return; /* answered already, and soon over */
    resume(r);
}

void
http_reply(struct http_request *r, unsigned status, const char *type, const char *text)
{
    char *copy = mem_strdup(text);

    http_reply_take(r, status, type, copy, strlen(copy));
}

void
http_reply_take(
    struct http_request *r, unsigned status, const char *type, char *bytes, size_t size)
{
    answer(r, status, type,
        MHD_create_response_from_buffer_with_free_callback(size, bytes, mem_free));
}

static ssize_t
on_stream(void *arg, uint64_t pos, char *out, size_t max)
{
    const struct http_stream *stream = arg;
    size_t n = stream->read(stream->arg, out, max);

    (void)pos;
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void
on_stream_over(void *arg)
{
    struct http_stream *stream = arg;

    stream->free(stream->arg);
    mem_free(stream);
}

void
http_reply_stream(struct http_request *r, unsigned status, const char *type,
    const struct http_stream *stream)
{
    struct http_stream *own = MEM_NEW(struct http_stream);

    *own = *stream;
    answer(r, status, type,
        MHD_create_response_from_callback(
            MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_stream, own, on_stream_over));
}
