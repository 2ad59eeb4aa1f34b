/*
 * http - requests of one worker on its loop, by libcurl.
 *
 * Connections are kept for a minute after the last request and shared by all requests of
 * one client; after that nothing is left, neither connections nor timers. HTTP/2 over TLS
 * where it is offered. Redirects are answers like others, bodies are not decoded, paths
 * are sent as they are given. There is no limit in time for a body, but one for standing
 * still (60 s). A request is made once: trying again is up to the caller.
 */
#ifndef DRIVERS_HTTP_HTTP_H
#define DRIVERS_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "drivers/auth/uri.h"

struct http;    /* opaque */
struct http_op; /* a request under way; dead once its `done` has run */

struct http_options {
    uv_loop_t *loop;
    const char *ca_file; /* NULL: SSL_CERT_FILE, else the system's */
};

struct http_result {
    const struct err *err; /* no answer, or not all of it; NULL: see status */
    int status;            /* 0: none came */
    const char *body;      /* what came unless there is a `data`; NUL-terminated */
    size_t body_bytes;
};

struct http_request {
    const char *method, *url;       /* the URL is encoded already */
    const struct uri_pair *headers; /* besides Host and Content-Length */
    size_t n_headers;
    const void *body; /* borrowed until done; NULL: none */
    size_t body_bytes;
    bool copy_body; /* the body is copied, too */
    size_t answer_limit; /* of a kept body; 0: 64 KiB; more is cut */

    /* Takes the body in place of keeping it. Not 0 with *e set: the request ends with
     * that. Not for what comes with a status of 300 or more, which is kept. */
    int (*data)(
        void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e);
    /* From the loop, once. What the result points to is gone after it. */
    void (*done)(void *arg, struct http_op *op, const struct http_result *res);
    void *arg;

    bool insecure;              /* the certificate is not checked */
    bool direct;                /* never through a proxy */
    int64_t timeout_ms;         /* of the whole; 0: none */
    int64_t connect_timeout_ms; /* 0: 30 s */
};

struct http *http_open(const struct http_options *options);

/* No request is under way any more; closed comes from the loop. */
void http_close(struct http *h, void (*closed)(void *arg), void *arg);

/* All but the body is copied. Never NULL; `done` does not come inside the call. */
struct http_op *http_start(struct http *h, const struct http_request *req);

/* `done` does not come any more. Not from `data`. */
void http_cancel(struct http_op *op);

/* In `data` and `done`. A header of the answer, without case; NULL: not there. */
const char *http_header(const struct http_op *op, const char *name);
int http_status(const struct http_op *op);

#endif
