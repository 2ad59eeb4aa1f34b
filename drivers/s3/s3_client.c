/*
 * begin -> [credentials] -> request -> answer -> done
 *   ^                                    |
 *   +---- wait, or corrected at once ----+
 */
#include "drivers/s3/s3_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/must.h"
#include "common/base/rand.h"
#include "drivers/auth/aws_http.h"
#include "drivers/s3/s3_request.h"

#define MAX_TRIES 10
#define FIRST_WAIT_MS 1000
#define MAX_WAIT_MS 20000

/* So many tries may fail before somebody is told, and not more often than that. */
#define QUIET_TRIES 2
#define TELL_EVERY_MS 60000

const char *
s3_header(const struct s3_op *op, const char *name)
{
    return op->answer != NULL ? http_header(op->answer, name) : NULL;
}

int
s3_status(const struct s3_op *op)
{
    return op->answer != NULL ? http_status(op->answer) : op->status;
}

const struct s3_answer *
s3_answer(const struct s3_op *op)
{
    must(op->xml != NULL);
    return s3_xml_answer(op->xml);
}

const struct s3_address *
s3_client_address(const struct s3_client *c)
{
    return &c->address;
}

struct wall
s3_client_now(const struct s3_client *c)
{
    struct wall now = wall_now();

    now.sec += c->skew_s;
    return now;
}

/* --- the end of a call
 * --------------------------------------------------------------------- */

static void close_if_empty(struct s3_client *c);

static void
on_timer_closed(uv_handle_t *h)
{
    struct s3_attempt *a = container_of((uv_timer_t *)h, struct s3_attempt, timer);
    struct s3_client *c = a->client;

    mem_free(a->region);
    mem_free(a);
    must(c->n_timers-- > 0);
    close_if_empty(c);
}

static void
attempt_free(struct s3_attempt *a)
{
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

/* `done` may start the op anew, or free it. */
static void
finish(struct s3_attempt *a)
{
    struct s3_op *op = a->op;
    struct s3_xml *xml = op->xml;

    op->attempt = NULL;
    attempt_free(a);
    op->done(op->arg);
    s3_xml_free(xml);
}

void
s3_cancel(struct s3_op *op)
{
    struct s3_attempt *a = op != NULL ? op->attempt : NULL;

    if (a == NULL)
        return;
    if (a->http != NULL)
        http_cancel(a->http);
    aws_auth_wait_cancel(a->client->auth, &a->wait);
    s3_xml_free(op->xml);
    op->xml = NULL;
    op->attempt = NULL;
    op->answer = NULL;
    attempt_free(a);
}

/* Puts what was done in front of what went wrong. */
static int
name_call(const struct s3_attempt *a, struct err *e)
{
    const struct s3_op *op = a->op;

    if (op->tries > 1)
        err_wrap(e, "s3: %s s3://%s%s%s: tried %d times", s3_call_name(op->call),
            a->client->address.bucket, op->key != NULL ? "/" : "",
            op->key != NULL ? op->key : "", op->tries);
    else
        err_wrap(e, "s3: %s s3://%s%s%s", s3_call_name(op->call),
            a->client->address.bucket, op->key != NULL ? "/" : "",
            op->key != NULL ? op->key : "");
    return err_code(e);
}

/* --- trying again
 * -------------------------------------------------------------------------- */

static void begin(struct s3_attempt *a);

static void
on_timer(uv_timer_t *h)
{
    struct s3_attempt *a = container_of(h, struct s3_attempt, timer);

    if (a->op->err.code != ERR_OK)
        finish(a); /* it could not even be sent */
    else
        begin(a);
}

/* "120", or a date; milliseconds, -1: nothing is asked for. */
static int64_t
retry_after_ms(const struct s3_attempt *a)
{
    const char *text = s3_header(a->op, "Retry-After");
    char *end;
    long long seconds;
    time_t when;

    if (text == NULL || text[0] == '\0')
        return -1;
    seconds = strtoll(text, &end, 10);
    if (*end != '\0') {
        when = curl_getdate(text, NULL);
        seconds = when >= 0 ? (long long)when - s3_client_now(a->client).sec : -1;
    }
    if (seconds < 0)
        return -1;
    return seconds < MAX_WAIT_MS / 1000 ? seconds * 1000 : MAX_WAIT_MS;
}

static int64_t
wait_ms(const struct s3_attempt *a)
{
    int shift = a->tries - 1 < 5 ? a->tries - 1 : 5;
    int64_t most = (int64_t)FIRST_WAIT_MS << shift, asked = retry_after_ms(a), ms;

    ms = (int64_t)rand_below((uint64_t)(most < MAX_WAIT_MS ? most : MAX_WAIT_MS));
    return ms > asked ? ms : asked;
}

static void
tell(struct s3_attempt *a, const struct err *e, int64_t ms)
{
    struct s3_client *c = a->client;

    log_debug("s3 request is tried again", LF_ERR(e), LF_INT("tries", a->op->tries),
        LF_MS("wait", ms));
    if (a->tries <= QUIET_TRIES ||
        (c->told.ns != 0 && mono_since_ms(c->told) < TELL_EVERY_MS))
        return;
    c->told = mono_now();
    log_warn("s3 requests fail and are tried again", LF_ERR(e));
}

/* e: what it was; false: often enough. */
static bool
try_later(struct s3_attempt *a, const struct err *e)
{
    int most = a->op->max_tries > 0 ? a->op->max_tries : MAX_TRIES;
    int64_t ms;

    if (a->came)
        a->tries = 1; /* it goes on, if slowly */
    if (a->tries >= most)
        return false;
    ms = wait_ms(a);
    tell(a, e, ms);
    a->op->answer = NULL;
    uv_timer_start(&a->timer, on_timer, (uint64_t)ms, 0);
    return true;
}

/* Something was wrong that is right now: no wait, and not counted. */
static void
try_now(struct s3_attempt *a)
{
    a->op->answer = NULL;
    a->tries--;
    begin(a);
}

/* --- corrections
 * --------------------------------------------------------------------------- */

static bool
correct_region(struct s3_attempt *a, const struct s3_fault *fault)
{
    struct s3_client *c = a->client;
    const char *named = s3_header(a->op, "x-amz-bucket-region"), *now;
    struct err e;

    if (a->was_moved || c->address.access_point)
        return false;
    if (named == NULL || named[0] == '\0')
        named = fault->region;
    now = s3_address_region(&c->address);
    if (strcmp(now, a->region) != 0) { /* another call has found it out */
        a->was_moved = true;
        return true;
    }
    if (named[0] == '\0' || strcmp(named, now) == 0)
        return false;
    a->was_moved = true;
    if (s3_address_set_region(&c->address, named, &e) != 0)
        return false;
    log_info("s3 bucket is in another region", LF_STR("bucket", c->address.bucket),
        LF_STR("region", s3_address_region(&c->address)), LF_STR("asked", a->region));
    return true;
}

static bool
correct_clock(struct s3_attempt *a)
{
    struct s3_client *c = a->client;
    const char *date = s3_header(a->op, "Date");
    time_t theirs = date != NULL ? curl_getdate(date, NULL) : -1;

    if (a->was_skewed || theirs < 0)
        return false;
    a->was_skewed = true;
    c->skew_s = (int64_t)theirs - wall_now().sec;
    log_warn("the clock of this machine differs from that of the s3 server",
        LF_INT("seconds", c->skew_s));
    return true;
}

static bool
correct_keys(struct s3_attempt *a)
{
    if (a->was_refused || !aws_auth_refused(a->client->auth, a->generation))
        return false;
    a->was_refused = true;
    return true;
}

static bool
correct(struct s3_attempt *a, const struct s3_fault *fault)
{
    const struct s3_verdict *v = &a->op->verdict;
    bool names_region = s3_header(a->op, "x-amz-bucket-region") != NULL;

    return ((v->region || (names_region && a->op->status >= 300)) &&
               correct_region(a, fault)) ||
           (v->skew && correct_clock(a)) || (v->refresh && correct_keys(a));
}

/* --- answers
 * ------------------------------------------------------------------------------- */

static int
on_data(void *arg, struct http_op *http, const void *bytes, size_t n, struct err *e)
{
    struct s3_attempt *a = arg;
    struct s3_op *op = a->op;

    op->answer = http;
    if (op->xml != NULL)
        return s3_xml_feed(op->xml, bytes, n, e);
    if (op->data == NULL)
        return 0;
    if (op->data(op->arg, bytes, n, e) != 0)
        return err_code(e);
    a->came = true;
    return 0;
}

/* The <Error> of an answer; all empty when there is none that can be read. */
static void
read_fault(const struct http_result *res, struct s3_fault *out)
{
    struct s3_xml *x = s3_xml_new(S3_DOC_NONE, NULL, NULL);
    struct err ignored;

    if (s3_xml_feed(x, res->body, res->body_bytes, &ignored) == 0)
        (void)s3_xml_finish(x, &ignored);
    *out = s3_xml_answer(x)->fault;
    s3_xml_free(x);
}

/* No answer, or not all of it, or one that cannot be read. */
static void
has_broken(struct s3_attempt *a, const struct err *e)
{
    struct s3_op *op = a->op;
    bool again = e->code == ERR_NETWORK || e->code == ERR_TIMEOUT;

    op->err = *e;
    name_call(a, &op->err);
    if (e->code == ERR_PROTOCOL && !a->was_damaged) {
        a->was_damaged = true;
        again = true;
    }
    if (again && try_later(a, &op->err))
        op->err = (struct err)ERR_NONE;
    else
        finish(a);
}

static void
judge(struct s3_attempt *a, const struct s3_fault *fault)
{
    struct s3_op *op = a->op;
    struct s3_verdict *v = &op->verdict;
    bool again;

    s3_judge(op->call, op->status, fault->code, v);
    if (v->code == ERR_OK) {
        finish(a);
        return;
    }
    if (correct(a, fault)) {
        try_now(a);
        return;
    }
    s3_error(op->call, op->status, fault, a->client->address.bucket,
        op->key != NULL ? op->key : "", op->tries, &op->err);
    again = v->retry && !(v->once && a->was_damaged);
    a->was_damaged = a->was_damaged || v->once;
    if (again && try_later(a, &op->err))
        op->err = (struct err)ERR_NONE;
    else
        finish(a);
}

static void
on_answer(void *arg, struct http_op *http, const struct http_result *res)
{
    struct s3_attempt *a = arg;
    struct s3_op *op = a->op;
    struct s3_fault fault = { .code = "" };
    struct err e;

    a->http = NULL;
    op->answer = http;
    op->status = res->status;
    log_debug("s3 request", LF_STR("call", s3_call_name(op->call)),
        LF_STR("key", op->key != NULL ? op->key : ""), LF_INT("status", res->status));
    if (res->stale && !a->was_stale) {
        a->was_stale =
            true; /* the server had closed the connection: no fault of anybody */
        try_now(a);
    } else if (res->err != NULL) {
        has_broken(a, res->err);
    } else if (res->status < 300 && op->xml != NULL && s3_xml_finish(op->xml, &e) != 0) {
        has_broken(a, &e);
    } else {
        if (res->status >= 300)
            read_fault(res, &fault);
        else if (op->xml != NULL)
            fault = s3_xml_answer(op->xml)->fault;
        judge(a, &fault);
    }
}

/* --- requests
 * ------------------------------------------------------------------------------ */

static void
send_request(struct s3_attempt *a, const struct sigv4_keys *keys)
{
    struct s3_op *op = a->op;

    a->tries++;
    a->came = false;
    op->tries++;
    op->answer = NULL;
    op->status = 0;
    s3_xml_free(op->xml);
    op->xml = op->doc != S3_DOC_NONE ? s3_xml_new(op->doc, op->entry, op->arg) : NULL;
    if (op->begin != NULL)
        op->begin(op->arg);
    if (s3_request_send(a, keys, on_data, on_answer, &op->err) == 0)
        return;
    name_call(a, &op->err);
    uv_timer_start(&a->timer, on_timer, 0, 0); /* not inside s3_start */
}

static void
on_keys(void *arg, const struct err *err)
{
    struct s3_attempt *a = arg;
    struct s3_op *op = a->op;
    struct sigv4_keys keys;

    if (err == NULL && aws_auth_keys(a->client->auth, &keys, &a->generation)) {
        send_request(a, &keys);
        return;
    }
    if (err != NULL)
        op->err = *err;
    else
        err_set(&op->err, ERR_AUTH, "the credentials expired as soon as they came");
    name_call(a, &op->err);
    finish(a);
}

static void
begin(struct s3_attempt *a)
{
    struct sigv4_keys keys;

    if (aws_auth_keys(a->client->auth, &keys, &a->generation)) {
        send_request(a, &keys);
        return;
    }
    a->wait = (struct aws_auth_wait){ .done = on_keys, .arg = a };
    aws_auth_wait(a->client->auth, &a->wait);
}

void
s3_start(struct s3_client *c, struct s3_op *op)
{
    struct s3_attempt *a = MEM_NEW(struct s3_attempt);

    must(op->attempt == NULL && !c->closing);
    a->client = c;
    a->op = op;
    op->attempt = a;
    op->answer = NULL;
    op->xml = NULL;
    op->err = (struct err)ERR_NONE;
    op->verdict = (struct s3_verdict){ .code = ERR_OK };
    op->tries = op->status = 0;
    uv_timer_init(c->loop, &a->timer);
    c->n_timers++;
    begin(a);
}

/* --- life
 * ---------------------------------------------------------------------------------- */

static void
free_client(struct s3_client *c)
{
    void (*closed)(void *) = c->closed;
    void *arg = c->closed_arg;

    s3_address_deinit(&c->address);
    mem_free(c);
    if (closed != NULL)
        closed(arg);
}

static void
on_http_closed(void *arg)
{
    free_client(arg);
}

static void
on_auth_closed(void *arg)
{
    struct s3_client *c = arg;

    http_close(c->http, on_http_closed, c);
}

static void
close_if_empty(struct s3_client *c)
{
    if (c->closing && c->n_timers == 0)
        aws_auth_close(c->auth, on_auth_closed, c);
}

void
s3_client_close(struct s3_client *c, void (*closed)(void *arg), void *arg)
{
    must(!c->closing);
    c->closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    close_if_empty(c);
}

/* What can be said without a request. */
static int
check(const struct cfg_replica *cfg, struct s3_client *c, struct err *e)
{
    struct aws_files *files = aws_files_read(aws_getenv);
    struct s3_surroundings around = { .endpoint =
                                          aws_files_endpoint(files, aws_getenv, "s3"),
        .fips = aws_files_fips(files, aws_getenv),
        .dualstack = aws_files_dualstack(files, aws_getenv) };
    int rc = s3_address_make(cfg, &around, &c->address, e);

    if (rc == 0) {
        rc = s3_sse_make(cfg, &c->address, &c->sse, e);
        if (rc != 0)
            s3_address_deinit(&c->address);
    }
    aws_files_free(files);
    return rc;
}

int
s3_client_open(
    uv_loop_t *loop, const struct cfg_replica *cfg, struct s3_client **out, struct err *e)
{
    struct s3_client *c = MEM_NEW(struct s3_client);
    struct http_options http = { .loop = loop, .ca_file = aws_getenv("AWS_CA_BUNDLE") };
    struct aws_auth_options auth = { .loop = loop,
        .access_key = cfg->access_key_id,
        .secret = &cfg->secret_access_key,
        .region = cfg->region,
        .env = aws_getenv };
    int rc = check(cfg, c, e);

    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    c->loop = loop;
    c->http = http_open(&http);
    c->transport = aws_http_transport(c->http);
    auth.transport = &c->transport;
    c->auth = aws_auth_open(&auth);
    *out = c;
    return 0;
}
