/*
 * s3_request - one signed request of a call. For s3_client.c alone.
 */
#ifndef DRIVERS_S3_S3_REQUEST_H
#define DRIVERS_S3_S3_REQUEST_H

#include <uv.h>

#include "common/base/mono.h"
#include "drivers/auth/aws.h"
#include "drivers/http/http.h"
#include "drivers/s3/s3_client.h"
#include "drivers/s3/s3_sse.h"

struct s3_client {
    uv_loop_t *loop;
    struct s3_address address;
    struct s3_sse sse;
    struct http *http;
    struct aws_transport transport;
    struct aws_auth *auth;
    struct mono told; /* when it was said last that requests fail */
    int64_t skew_s;   /* the server's clock less ours */
    size_t n_timers;  /* of calls, not closed yet */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* What a call needs while it is under way. */
struct s3_attempt {
    struct s3_client *client;
    struct s3_op *op;
    struct http_op *http;
    struct aws_auth_wait wait;
    uv_timer_t timer;
    uint64_t generation; /* of the credentials used */
    char *region;        /* that the request was signed for */
    int tries;           /* since something came */
    bool came;           /* `data` got something of this request */
    /* Corrected once already. */
    bool was_damaged, was_refused, was_skewed, was_moved, was_stale;
};

/*
 * Signs with the time, the region and the address of now, and starts it as a->http; both
 * callbacks get `a`. Not 0: nothing was started.
 */
int s3_request_send(struct s3_attempt *a, const struct sigv4_keys *keys,
    int (*data)(
        void *arg, struct http_op *http, const void *bytes, size_t n, struct err *e),
    void (*done)(void *arg, struct http_op *http, const struct http_result *res),
    struct err *e);

#endif
