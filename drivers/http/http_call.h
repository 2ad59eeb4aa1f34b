/*
 * http_call - a request that is made again until it is answered or given up.
 *
 * For drivers without rules of their own; what differs is asked of `judge`. Each try is
 * prepared anew, since signatures and tokens age. A body of `fill` goes back to its
 * beginning for each further try (`rewind`), and one that cannot is sent once. What
 * `data` got of a try that failed is void when `restart` comes; without it such a try is
 * the last.
 */
#ifndef DRIVERS_HTTP_HTTP_CALL_H
#define DRIVERS_HTTP_HTTP_CALL_H

#include "drivers/http/http.h"
#include "drivers/http/http_retry.h"

struct http_call; /* opaque; dead once `done` has run */

struct http_call_request {
    /* `arg` is that of all callbacks here; `done` is not used. Strings and headers that
     * `prepare` does not set stay until done, as the body does. */
    struct http_request req;
    const struct http_policy *policy; /* NULL: as http_retry says */

    /* Before each try: URL, headers, signature; what it sets is copied when it has
     * returned. Not 0 with *e set: that is the end. NULL: nothing to do. */
    int (*prepare)(void *arg, struct http_request *req, struct err *e);

    /* What an answer means; NULL: http_verdict_of. */
    enum http_verdict (*judge)(
        void *arg, const struct http_op *op, const struct http_result *res);

    void (*restart)(void *arg); /* may be NULL */

    /* From the loop, once. The last answer; op NULL: there was none (prepare failed).
     * An error after several tries says how many they were. */
    void (*done)(void *arg, struct http_op *op, const struct http_result *res);
};

/* NULL: nothing was started and *e says why. */
struct http_call *http_call_start(
    struct http *h, const struct http_call_request *req, struct err *e);

/* No callback comes any more. NULL is fine. */
void http_call_cancel(struct http_call *c);

/* In `data` and `judge`: it got further, so the tries begin anew. */
void http_call_progress(struct http_call *c);

/* The request under way; NULL: it waits. For http_pause and http_resume. */
struct http_op *http_call_op(struct http_call *c);

#endif
