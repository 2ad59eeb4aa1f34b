/*
 * http - requests of one worker on its loop, by libcurl.
 *
 * Connections are kept for a minute after the last request and shared by all requests of
 * one client; after that nothing is left, neither connections nor timers. There are as
 * many as requests are under way: how many that are is up to the caller. HTTP/2 over TLS
 * where it is offered, but not for what sends a body or takes one in pieces, which could
 * hold up what shares its connection. Bodies are not decoded, paths are sent as they are
 * given. Proxies come from http_proxy, https_proxy, all_proxy and no_proxy, in capitals
 * as well; this machine is never reached through one.
 *
 * There is no limit in time for a body, but one for standing still: no byte in either
 * direction while neither side of ours has asked for a pause.
 *
 * A request is made once (http_call tries again, http_get resumes); only one that found a
 * kept connection closed goes out again by itself. Redirects are answers like others:
 * whoever follows one signs anew, and http_redirect says whether credentials may go
 * there.
 *
 * Errors name the host and what to do; they never hold a path, a query or a password.
 * ERR_NETWORK and ERR_TIMEOUT: it may heal. ERR_CONFIG: the address, the certificate.
 *
 * All functions may be called from all callbacks, unless they say otherwise.
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
    int64_t stall_ms;    /* 0: 60 s */
    int64_t idle_ms;     /* connections are kept so long; 0: 60 s */
};

struct http_result {
    const struct err *err; /* no answer, or not all of it; NULL: see status */
    int status;            /* 0: none came */
    const char *body;      /* what came unless there is a `data`; NUL-terminated */
    size_t body_bytes;
    bool cut;   /* there was more of the body, see answer_limit */
    int tries;  /* 1, or how many it took http_call */
    bool stale; /* a kept connection broke before a byte came: again, at once */
};

/* Bodies of errors that go on and on are not read to their end. */
#define HTTP_ERROR_BODY_MAX ((size_t)1 << 20)

struct http_request {
    const char *method, *url;       /* the URL is encoded already */
    const struct uri_pair *headers; /* besides Host and Content-Length */
    size_t n_headers;
    const void *body; /* borrowed until done; NULL: none */
    size_t body_bytes;
    bool copy_body; /* the body is copied, too */

    /*
     * Of a kept body, in bytes; 0: 64 KiB. An answer below 300 that is longer is an
     * error, since half of it means nothing; what comes with an error is cut.
     */
    size_t answer_limit;

    /*
     * The body in pieces, in place of `body`: 1..cap bytes, *n = 0 at the end. ERR_AGAIN:
     * none yet, http_resume() when there are. Any other error ends the request with it.
     * fill_bytes: how many there will be, fewer are an error; -1: not known, which needs
     * a server that takes chunked bodies.
     */
    int (*fill)(
        void *arg, struct http_op *op, void *buf, size_t cap, size_t *n, struct err *e);
    int64_t fill_bytes;
    /* Back to the first byte, for a server that wants it all again; NULL: impossible. */
    int (*rewind)(void *arg, struct http_op *op, struct err *e);

    /* Takes the body in place of keeping it. Not 0 with *e set: the request ends with
     * that. Not for what comes with a status of 300 or more, which is kept. */
    int (*data)(
        void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e);
    /* From the loop, once. What the result points to is gone after it. An answer with a
     * status of 300 or more is an answer, also when its body broke off. */
    void (*done)(void *arg, struct http_op *op, const struct http_result *res);
    void *arg;

    /* NULL: no user. Basic is sent at once; else the server is asked first whether it
     * wants Basic or Digest, which costs a round trip each time. A body of up to 64 KiB
     * is sent twice then, a larger one waits for the answer (100 Continue). */
    const char *user, *password;
    bool basic;

    bool insecure;              /* the certificate is not checked */
    bool direct;                /* never through a proxy */
    int64_t timeout_ms;         /* of the whole; 0: none */
    int64_t connect_timeout_ms; /* 0: 30 s */
    int64_t stall_ms;           /* 0: the client's; for calls that take long to answer */
};

struct http *http_open(const struct http_options *options);

/* No request is under way any more; closed comes from the loop. */
void http_close(struct http *h, void (*closed)(void *arg), void *arg);

/* All but the body is copied. Never NULL; `done` does not come inside the call. */
struct http_op *http_start(struct http *h, const struct http_request *req);

/* No callback comes any more. NULL is fine. */
void http_cancel(struct http_op *op);

/* In `data`: what comes after these bytes waits for http_resume(). When nothing does,
 * `done` may come meanwhile. */
void http_pause(struct http_op *op);

/* Ends the pause, and calls `fill` that had nothing again, from the loop. */
void http_resume(struct http_op *op);

/* In `data` and `done`. A header of the answer, without case; NULL: not there. */
const char *http_header(const struct http_op *op, const char *name);
int http_status(const struct http_op *op);

#endif
