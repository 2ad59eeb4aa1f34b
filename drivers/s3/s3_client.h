/*
 * s3_client - calls of S3 for one replica: signed, tried again, corrected.
 *
 * One call may take several requests: what may heal is tried again up to ten times with
 * growing waits (Retry-After counts), and once each with new credentials, with the clock
 * of the server, or for the region that an answer names. A region that is not known is
 * found that way, too: the first request goes to us-east-1, and the answer corrects it.
 */
#ifndef DRIVERS_S3_S3_CLIENT_H
#define DRIVERS_S3_S3_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/base/wall.h"
#include "config/config.h"
#include "drivers/auth/uri.h"
#include "drivers/s3/s3_address.h"
#include "drivers/s3/s3_error.h"
#include "drivers/s3/s3_xml.h"

#define S3_MAX_QUERY 8
#define S3_MAX_HEADERS 16

struct http_op;
struct s3_client; /* opaque */

/* A call; memory of the caller until done. Strings are borrowed as long. */
struct s3_op {
    enum s3_call call;
    const char *method;
    const char *key; /* NULL: of the bucket */
    struct uri_pair query[S3_MAX_QUERY];
    size_t n_query;
    struct uri_pair
        headers[S3_MAX_HEADERS]; /* besides those of encryption; all are signed */
    size_t n_headers;
    const void *body;
    size_t body_bytes;
    const char *body_hash; /* its SHA-256 in hex; NULL: not known yet */
    int max_tries;         /* 0: ten */
    int64_t timeout_ms;    /* of each request; 0: none but for standing still */

    /* What a good answer has: a document, or bytes for `data`, or nothing of interest. */
    enum s3_doc doc;
    s3_entry_cb *entry;
    int (*data)(void *arg, const void *bytes, size_t n, struct err *e);
    void (*begin)(void *arg); /* before each request, may set headers; NULL: not needed */
    void (*done)(void *arg);  /* from the loop, once, unless cancelled */
    void *arg;

    /* Set when it is done. */
    struct err err; /* code ERR_OK: success */
    struct s3_verdict verdict;
    int status; /* of the last answer; 0: there was none */
    int tries;

    /* The client's. */
    struct s3_attempt *attempt;
    const struct http_op *answer;
    struct s3_xml *xml;
};

int s3_client_open(uv_loop_t *loop, const struct cfg_replica *cfg, struct s3_client **out,
    struct err *e);

/* cfg is borrowed until it is closed. No call is under way any more. */
void s3_client_close(struct s3_client *c, void (*closed)(void *arg), void *arg);

const struct s3_address *s3_client_address(const struct s3_client *c);

/* The time of the server as far as it is known. */
struct wall s3_client_now(const struct s3_client *c);

/* Only what is set by the caller has to be; an op that is over may be started again. */
void s3_start(struct s3_client *c, struct s3_op *op);

/* done does not come any more. NULL, and one that is over, are fine. */
void s3_cancel(struct s3_op *op);

void s3_add_query(struct s3_op *op, const char *name, const char *value);
void s3_add_header(struct s3_op *op, const char *name, const char *value);

/* In `data` and `done`: a header of the last answer, NULL: not there; its status. */
const char *s3_header(const struct s3_op *op, const char *name);
int s3_status(const struct s3_op *op);

/* In `done`, of an op with a `doc` that came; borrowed. */
const struct s3_answer *s3_answer(const struct s3_op *op);

#endif
