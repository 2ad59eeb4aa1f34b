#include "drivers/http/http_retry.h"

#include <ctype.h>
#include <string.h>

#include <curl/curl.h>

#include "common/base/rand.h"

#define MAX_TRIES 10
#define FIRST_MS 1000
#define CAP_MS 20000
#define MAX_AT_ONCE 3
#define DAY_MS ((int64_t)24 * 3600 * 1000)

void
http_retry_init(struct http_retry *r, const struct http_policy *policy, struct mono now)
{
    *r = (struct http_retry){ .started = now };
    if (policy != NULL)
        r->policy = *policy;
    if (r->policy.max_tries <= 0)
        r->policy.max_tries = MAX_TRIES;
    if (r->policy.first_ms <= 0)
        r->policy.first_ms = FIRST_MS;
    if (r->policy.cap_ms <= 0)
        r->policy.cap_ms = CAP_MS;
}

static bool
heals(int status)
{
    switch (status) {
    case 408: /* request timeout */
    case 425: /* too early */
    case 429: /* too many requests */
        return true;
    case 501: /* not implemented */
    case 505: /* HTTP version */
    case 507: /* no space */
    case 508: /* loop */
    case 511: /* a login page in between */
        return false;
    default:
        return status >= 500;
    }
}

enum http_verdict
http_verdict_of(const struct http_result *res)
{
    if (res->err == NULL)
        return heals(res->status) ? HTTP_AGAIN : HTTP_FINAL;
    if (res->err->code != ERR_NETWORK && res->err->code != ERR_TIMEOUT)
        return HTTP_FINAL;
    return res->stale ? HTTP_AT_ONCE : HTTP_AGAIN;
}

/* Between 0 and first * 2^(tries - 1), at most the cap. */
static int64_t
jitter(const struct http_retry *r)
{
    int64_t most = r->policy.first_ms;

    for (int i = 1; i < r->tries && most < r->policy.cap_ms; i++)
        most *= 2;
    if (most > r->policy.cap_ms)
        most = r->policy.cap_ms;
    return (int64_t)rand_below((uint64_t)most + 1);
}

int64_t
http_retry_next(struct http_retry *r, enum http_verdict verdict, int64_t retry_after_ms,
    struct mono now)
{
    int64_t wait = 0;

    r->all++;
    if (verdict == HTTP_FINAL)
        return -1;
    if (verdict == HTTP_AT_ONCE && r->at_once < MAX_AT_ONCE) {
        r->at_once++;
        return 0;
    }
    r->at_once = 0;
    if (++r->tries >= r->policy.max_tries)
        return -1;
    wait = jitter(r);
    if (retry_after_ms > r->policy.cap_ms)
        retry_after_ms = r->policy.cap_ms;
    if (wait < retry_after_ms)
        wait = retry_after_ms;
    if (r->policy.budget_ms > 0 &&
        mono_diff_ms(now, r->started) + wait > r->policy.budget_ms)
        return -1;
    return wait;
}

void
http_retry_progress(struct http_retry *r, struct mono now)
{
    r->tries = r->at_once = 0;
    r->started = now;
}

int64_t
http_retry_after_ms(const char *value, struct wall now)
{
    int64_t ms = 0;
    time_t at;

    if (value == NULL || value[0] == '\0')
        return -1;
    if (strspn(value, "0123456789") == strlen(value)) {
        for (; *value != '\0' && ms < DAY_MS; value++)
            ms = ms * 10 + (*value - '0') * 1000;
        return ms < DAY_MS ? ms : DAY_MS;
    }
    at = isalpha((unsigned char)value[0]) ? curl_getdate(value, NULL) : -1;
    if (at < 0)
        return -1;
    if (at <= now.sec)
        return 0;
    return at - now.sec < DAY_MS / 1000 ? ((int64_t)at - now.sec) * 1000 : DAY_MS;
}
