/*
 * http_server - HTTP/1.1 on the supervisor's loop: libmicrohttpd without threads of its
 * own, its epoll descriptor watched by libuv.
 *
 * A handler gets a request with its whole body and answers it with one http_reply...:
 * at once, or later from the loop. It may take its time; the client is held, not the
 * loop. When the client has gone meanwhile the reply is dropped, and that is all a
 * handler sees of it.
 *
 * Bounds: HTTP_MAX_CONNECTIONS at a time (those behind wait; one that sends no request
 * makes room for them), HTTP_READ_MS for a request to arrive, HTTP_BODY_MAX for its body
 * and HTTP_MEMORY for its header, HTTP_IDLE_S without a byte taken of an answer. With no
 * connection there is no timer.
 *
 * Loop thread of the supervisor. Linux (epoll).
 */
#ifndef SUPERVISOR_CONTROL_HTTP_SERVER_H
#define SUPERVISOR_CONTROL_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <uv.h>

#include "common/base/err.h"

#define HTTP_MAX_CONNECTIONS 256
#define HTTP_MEMORY 32768
#define HTTP_BODY_MAX 65536
#define HTTP_READ_MS 30000
#define HTTP_IDLE_S 30

struct http_server;  /* opaque */
struct http_request; /* opaque */

typedef void http_handler_cb(void *arg, struct http_request *r);

struct http_route {
    const char *method; /* "GET" (HEAD is answered, too), "POST"; NULL: every one */
    const char *path;   /* exact, or */
    bool below;         /* the beginning of the path */
    http_handler_cb *handle;
};

struct http_options {
    uv_loop_t *loop;
    const struct http_route *routes; /* the first that fits; borrowed */
    size_t n_routes;
    void *arg; /* of the handlers */
};

int http_server_new(
    const struct http_options *options, struct http_server **out, struct err *e);

/* Once each at most; see listener.h. */
int http_server_listen_unix(
    struct http_server *s, const char *path, mode_t mode, struct err *e);
int http_server_listen_tcp(struct http_server *s, const char *address, struct err *e);

const char *http_server_url(const struct http_server *s); /* of the TCP socket; or NULL */

/*
 * No more connections; the socket file goes at once. Requests under way have grace_ms to
 * come to their end, then the rest is answered with 503. `closed` (may be NULL) comes
 * from the loop; the server is gone then, requests that are not answered stay good. A
 * second call is fine and can only make the grace shorter. s NULL is fine.
 */
void http_server_stop(
    struct http_server *s, int64_t grace_ms, void (*closed)(void *arg), void *arg);

/* --- a request ------------------------------------------------------------------------
 */

const char *http_method(const struct http_request *r);
const char *http_path(const struct http_request *r); /* decoded, without the query */

/* Decoded; NULL: not there. Borrowed, only good inside the handler's call. */
const char *http_query(const struct http_request *r, const char *name);
const char *http_get_header(const struct http_request *r, const char *name);

const char *http_body(const struct http_request *r, size_t *size);

/* A header of the reply that is to come. */
void http_reply_header(struct http_request *r, const char *name, const char *value);

/* After these r is gone. `text` is copied, or with _take freed with mem_free. */
void http_reply(
    struct http_request *r, unsigned status, const char *type, const char *text);
void http_reply_take(
    struct http_request *r, unsigned status, const char *type, char *bytes, size_t size);

/* A body that is made while it is sent, some kilobytes at a time. */
struct http_stream {
    /* Fills up to max bytes (at least 1024); 0: this is the end. */
    size_t (*read)(void *arg, char *out, size_t max);
    void (*free)(void *arg); /* also when the client has gone */
    void *arg;
};
void http_reply_stream(struct http_request *r, unsigned status, const char *type,
    const struct http_stream *stream);

#endif
