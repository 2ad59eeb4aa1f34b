/*
 * aws_fetch - carries out a plan (aws_plan): the exchanges with STS, containers, instance
 * metadata and SSO, one after another.
 *
 *     web identity   POST STS: Action=AssumeRoleWithWebIdentity, the token read anew
 *     role           POST STS: Action=AssumeRole, signed with what there is so far
 *     container      GET with Authorization: as given
 *     instance       PUT /latest/api/token, GET .../security-credentials/, GET .../ROLE
 *     SSO            GET /federation/credentials with the token of `aws sso login`
 *
 * What fails by chance is tried three times. How requests are made is the transport's
 * matter.
 */
#ifndef DRIVERS_AUTH_AWS_FETCH_H
#define DRIVERS_AUTH_AWS_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"
#include "drivers/auth/aws_creds.h"
#include "drivers/auth/aws_plan.h"
#include "drivers/auth/uri.h"

#define AWS_ANSWER_MAX ((size_t)64 << 10) /* bytes of a body that are of interest */

/* One exchange of little size. */
struct aws_exchange {
    const char *method, *url;
    const struct uri_pair *headers; /* borrowed until start() returns, as all of it */
    size_t n_headers;
    const char *body; /* NULL: none */
    size_t body_bytes;
    int64_t timeout_ms; /* of the whole */
    bool local; /* metadata: never through a proxy, no redirects followed anywhere */
};

/* err: no answer came; else status and body, borrowed for the call. */
typedef void aws_answer_cb(
    void *arg, const struct err *err, int status, const char *body, size_t n);

struct aws_transport {
    /* Starts one; NULL with *e set. done comes from the loop, not inside this call, and
     * not after cancel(). */
    void *(*start)(void *arg, const struct aws_exchange *x, aws_answer_cb *done,
        void *done_arg, struct err *e);
    void (*cancel)(void *arg, void *exchange);
    void *arg;
};

struct aws_fetch; /* opaque */

/* err NULL: creds are there to be taken (aws_creds_take). The fetch is gone after it. */
typedef void aws_fetch_cb(void *arg, const struct err *err, struct aws_creds *creds);

/* plan and transport are borrowed until done or cancel. done comes from the loop. */
struct aws_fetch *aws_fetch_start(uv_loop_t *loop, const struct aws_plan *plan,
    const struct aws_transport *transport, aws_fetch_cb *done, void *arg);

/* done does not come any more; the memory goes with the next turn of the loop. */
void aws_fetch_cancel(struct aws_fetch *f); /* NULL is fine */

#endif
