/*
 * http_get - a download, or a part of one, that goes on where it broke off.
 *
 * Each further try asks for what is missing (Range) of the same file (If-Match with a
 * strong ETag; in any case its answers are compared, see http_range.h). Bytes come once
 * and in order. Tries count anew after progress. A server that knows no ranges sends all
 * of it, and what is not wanted is passed over.
 */
#ifndef DRIVERS_HTTP_HTTP_GET_H
#define DRIVERS_HTTP_HTTP_GET_H

#include "drivers/http/http.h"
#include "drivers/http/http_retry.h"

struct http_get; /* opaque; dead once `done` has run */

struct http_get_result {
    /* NULL: see status. ERR_MOVED: the file changed meanwhile, what came is worth
     * nothing. ERR_RANGE: off lies beyond its end. */
    const struct err *err;
    int status; /* 200 or 206 with err NULL: success; else of the refusal, 0: none */
    const char *body; /* of the refusal */
    size_t body_bytes;
    int64_t got;      /* bytes that `data` had; fewer than wanted: the file ends there */
    int64_t total;    /* bytes of the file, -1: not known */
    const char *etag; /* "": none */
};

struct http_get_request {
    int64_t off;
    int64_t size; /* > 0; -1: to the end */

    /* Limits, timeouts, user; `arg` is that of all callbacks here. What is about bodies,
     * and `done`, is not used. */
    struct http_request req;
    const struct http_policy *policy; /* NULL: as http_retry says */

    /* Before each try: URL and headers. Those in `extra` (Range, If-Match) must be among
     * them; they are borrowed until the next try. */
    int (*prepare)(void *arg, const struct uri_pair *extra, size_t n_extra,
        struct http_request *req, struct err *e);

    /* What a refusal means; NULL: http_verdict_of. Not asked about 200, 206, 412, 416. */
    enum http_verdict (*judge)(
        void *arg, const struct http_op *op, const struct http_result *res);

    /* The next bytes; may pause (http_pause). */
    int (*data)(
        void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e);

    /* From the loop, once. op: the last answer, NULL: there was none. */
    void (*done)(void *arg, struct http_op *op, const struct http_get_result *res);
};

/* NULL: nothing was started and *e says why. */
struct http_get *http_get_start(
    struct http *h, const struct http_get_request *req, struct err *e);

/* No callback comes any more. NULL is fine. */
void http_get_cancel(struct http_get *g);

#endif
