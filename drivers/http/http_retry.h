/*
 * http_retry - whether and when a request is made again. Pure functions of plain values;
 * http_call does it.
 *
 *     no answer, but it may heal (ERR_NETWORK, ERR_TIMEOUT)   again
 *     a kept connection that was dead (res->stale)            at once, and not counted
 *     408 425 429, 5xx but 501 505 507 508 511                again
 *     everything else                                         final
 *
 * The wait before try n+1 is random between 0 and first_ms * 2^n, at most cap_ms, but not
 * shorter than what the server asks for in Retry-After, which counts up to cap_ms as
 * well.
 */
#ifndef DRIVERS_HTTP_HTTP_RETRY_H
#define DRIVERS_HTTP_HTTP_RETRY_H

#include <stdint.h>

#include "common/base/mono.h"
#include "common/base/wall.h"
#include "drivers/http/http.h"

enum http_verdict {
    HTTP_FINAL,  /* a success, or an error that stays */
    HTTP_AGAIN,  /* after a wait */
    HTTP_AT_ONCE /* without one, and not counted; three times in a row at most */
};

struct http_policy {
    int max_tries;     /* 0: 10 */
    int64_t first_ms;  /* 0: 1 s */
    int64_t cap_ms;    /* 0: 20 s */
    int64_t budget_ms; /* no try begins later than that after the first; 0: no limit */
};

struct http_retry {
    struct http_policy policy;
    int tries;   /* that were counted since the last progress */
    int at_once; /* in a row */
    int all;     /* tries in all */
    struct mono started;
};

/* policy NULL: all defaults. */
void http_retry_init(
    struct http_retry *r, const struct http_policy *policy, struct mono now);

/* What an answer means for a store without rules of its own. */
enum http_verdict http_verdict_of(const struct http_result *res);

/*
 * Counts the try that has just ended.
 *
 *   retry_after_ms  what the server asked for, -1: nothing
 *   returns         ms to wait before the next try, -1: there is none
 */
int64_t http_retry_next(struct http_retry *r, enum http_verdict verdict,
    int64_t retry_after_ms, struct mono now);

/* It got further: earlier failures do not count any more, nor does their time. */
void http_retry_progress(struct http_retry *r, struct mono now);

/* A Retry-After, seconds or a date; at most a day. -1: none, or it makes no sense. */
int64_t http_retry_after_ms(const char *value, struct wall now);

#endif
