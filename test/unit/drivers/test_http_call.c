#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "drivers/http/http_call.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

static const struct http_policy quick = { .max_tries = 4, .first_ms = 1, .cap_ms = 2000 };

/* What a test asks for and what became of it. */
struct errand {
    struct http_call *call;
    struct http_call_request req;
    const char *url;
    struct uri_pair header;
    char value[32];
    char path[256];
    int n_prepared, n_restarted, n_rewound, n_judged, n;
    int fail_prepare_at;
    size_t given, all, got;
    struct err err;
    int rc, status, tries;
    bool had_op;
    char body[256];
};

static int
errand_prepare(void *arg, struct http_request *req, struct err *e)
{
    struct errand *x = arg;

    if (++x->n_prepared == x->fail_prepare_at)
        return err_set(e, ERR_AUTH, "no credentials");
    snprintf(x->path, sizeof(x->path), "%s/try/%d", x->url, x->n_prepared);
    req->url = x->path;
    return 0;
}

static void
errand_restart(void *arg)
{
    struct errand *x = arg;

    x->n_restarted++;
    x->got = 0;
}

static int
errand_fill(
    void *arg, struct http_op *op, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct errand *x = arg;

    (void)op;
    (void)e;
    *n = x->all - x->given < cap ? x->all - x->given : cap;
    memset(buf, 'f', *n);
    x->given += *n;
    return 0;
}

static int
errand_rewind(void *arg, struct http_op *op, struct err *e)
{
    struct errand *x = arg;

    (void)op;
    (void)e;
    x->given = 0;
    x->n_rewound++;
    return 0;
}

static int
errand_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct errand *x = arg;

    (void)op;
    (void)bytes;
    (void)e;
    x->got += n;
    return 0;
}

static void
errand_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct errand *x = arg;

    x->n++;
    x->call = NULL;
    x->had_op = op != NULL;
    x->status = res->status;
    x->tries = res->tries;
    x->rc = res->err != NULL ? (int)res->err->code : 0;
    if (res->err != NULL)
        x->err = *res->err;
    snprintf(x->body, sizeof(x->body), "%s", res->body);
}

static struct errand
errand_to(const char *url)
{
    struct errand x = { .url = url,
        .req = { .req = { .method = "PUT" },
            .policy = &quick,
            .prepare = errand_prepare,
            .done = errand_done } };

    return x;
}

static void
run_errand(struct browser *b, struct errand *x)
{
    struct err e = ERR_NONE;

    x->req.req.arg = x;
    x->call = http_call_start(b->http, &x->req, &e);
    cr_assert_not_null(x->call, "%s", e.text);
    cr_assert_eq(x->n, 0);
    browser_run(b, &x->n, 1);
}

/* 503 until the request with the number in arg, then 200 and the size of the body. */
static void
serve_busy(struct peer *p)
{
    while (peer_request(p)) {
        int no = p->web->n_requests;
        size_t n = peer_body(p);
        char text[64];

        snprintf(text, sizeof(text), "%.40s %zu", p->target, n);
        if (no < *(int *)p->web->arg)
            peer_answer(p, 503, "", "busy");
        else
            peer_answer(p, 200, "", text);
    }
}

Test(http_call, a_request_is_made_until_it_is_answered_and_prepared_each_time)
{
    struct browser b;
    struct errand x;
    struct web w;
    int good = 3;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    run_errand(&b, &x);
    cr_expect_eq(x.rc, 0, "%s", x.err.text);
    cr_expect_eq(x.status, 200);
    cr_expect_eq(x.tries, 3);
    cr_expect_str_eq(x.body, "/try/3 0");
    cr_expect(x.had_op);
    browser_close(&b);
    web_close(&w);
}

Test(http_call, the_last_answer_is_handed_over)
{
    struct browser b;
    struct errand x;
    struct web w;
    int good = 100;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    run_errand(&b, &x);
    cr_expect_eq(x.rc, 0);
    cr_expect_eq(x.status, 503);
    cr_expect_eq(x.tries, 4);
    cr_expect_str_eq(x.body, "busy");
    cr_expect_eq(w.n_requests, 4);
    browser_close(&b);
    web_close(&w);
}

static void
serve_hangup(struct peer *p)
{
    if (peer_request(p))
        peer_reset(p);
}

Test(http_call, an_error_says_how_often_it_was_tried)
{
    struct browser b;
    struct errand x;
    struct web w;

    web_open(&w, serve_hangup, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    run_errand(&b, &x);
    cr_expect_eq(x.rc, ERR_NETWORK);
    cr_expect_eq(w.n_requests, 4);
    cr_expect_not_null(strstr(x.err.text, "(4 tries in 0 s)"), "%s", x.err.text);
    browser_close(&b);
    web_close(&w);
}

Test(http_call, a_body_goes_back_for_each_try)
{
    struct browser b;
    struct errand x;
    struct web w;
    int good = 3;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.all = 100000;
    x.req.req.fill = errand_fill;
    x.req.req.fill_bytes = 100000;
    x.req.req.rewind = errand_rewind;
    run_errand(&b, &x);
    cr_expect_eq(x.status, 200);
    cr_expect_str_eq(x.body, "/try/3 100000");
    cr_expect_eq(x.n_rewound, 2);
    browser_close(&b);
    web_close(&w);
}

Test(http_call, a_body_that_cannot_go_back_is_sent_once)
{
    struct browser b;
    struct errand x;
    struct web w;
    int good = 3;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.all = 100000;
    x.req.req.fill = errand_fill;
    x.req.req.fill_bytes = 100000;
    run_errand(&b, &x);
    cr_expect_eq(x.status, 503);
    cr_expect_eq(w.n_requests, 1);
    browser_close(&b);
    web_close(&w);
}

static void
serve_half_then_all(struct peer *p)
{
    while (peer_request(p)) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        if (p->web->n_requests == 1)
            return;
        peer_say(p, "67890");
    }
}

Test(http_call, an_answer_that_broke_off_is_void_or_the_last)
{
    struct browser b;
    struct errand x;
    struct web w;

    web_open(&w, serve_half_then_all, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.req.req.method = "GET";
    x.req.req.data = errand_data;
    x.req.restart = errand_restart;
    run_errand(&b, &x);
    cr_expect_eq(x.rc, 0, "%s", x.err.text);
    cr_expect_eq(x.got, 10);
    cr_expect_eq(x.n_restarted, 1);
    w.n_requests = 0;
    x = errand_to(w.url);
    x.req.req.method = "GET";
    x.req.req.data = errand_data;
    run_errand(&b, &x);
    cr_expect_eq(x.rc, ERR_NETWORK);
    cr_expect_eq(x.got, 5);
    cr_expect_eq(w.n_requests, 1);
    browser_close(&b);
    web_close(&w);
}

static void
serve_later(struct peer *p)
{
    while (peer_request(p))
        if (p->web->n_requests == 1)
            peer_answer(p, 429, "Retry-After: 1\r\n", "");
        else
            peer_answer(p, 200, "", "");
}

Test(http_call, retry_after_is_waited_for)
{
    struct browser b;
    struct errand x;
    struct web w;
    uint64_t t0;

    web_open(&w, serve_later, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    t0 = uv_hrtime();
    run_errand(&b, &x);
    cr_expect_eq(x.status, 200);
    cr_expect_geq(uv_hrtime() - t0, 900000000u);
    browser_close(&b);
    web_close(&w);
}

Test(http_call, a_request_that_cannot_be_prepared_is_no_request)
{
    struct browser b;
    struct errand x;
    struct err e;
    struct web w;
    int good = 100;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.req.req.arg = &x;
    x.fail_prepare_at = 1;
    cr_expect_null(http_call_start(b.http, &x.req, &e));
    cr_expect_eq(e.code, ERR_AUTH);
    x = errand_to(w.url);
    x.fail_prepare_at = 3;
    run_errand(&b, &x);
    cr_expect_eq(x.rc, ERR_AUTH);
    cr_expect(!x.had_op);
    cr_expect_eq(w.n_requests, 2);
    browser_close(&b);
    web_close(&w);
}

static enum http_verdict
judge_404(void *arg, const struct http_op *op, const struct http_result *res)
{
    struct errand *x = arg;

    cr_assert_not_null(op);
    x->n_judged++;
    return res->status == 503 && x->n_judged < 3 ? HTTP_AT_ONCE : HTTP_FINAL;
}

Test(http_call, a_driver_judges_by_rules_of_its_own)
{
    struct browser b;
    struct errand x;
    struct web w;
    int good = 100;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.req.judge = judge_404;
    run_errand(&b, &x);
    cr_expect_eq(x.status, 503);
    cr_expect_eq(w.n_requests, 3);
    browser_close(&b);
    web_close(&w);
}

Test(http_call, a_call_is_cancelled_while_it_asks_and_while_it_waits)
{
    const struct http_policy patient = { .first_ms = 60000, .cap_ms = 60000 };
    int before = browser_count_fds();
    struct browser b;
    struct errand x;
    struct err e;
    struct web w;
    int good = 100;

    web_open(&w, serve_busy, &good, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    x = errand_to(w.url);
    x.req.req.arg = &x;
    x.call = http_call_start(b.http, &x.req, &e);
    http_call_cancel(x.call);
    x = errand_to(w.url);
    x.req.policy = &patient;
    x.req.req.arg = &x;
    x.call = http_call_start(b.http, &x.req, &e);
    while (http_call_op(x.call) != NULL)
        uv_run(&b.loop, UV_RUN_ONCE);
    http_call_cancel(x.call);
    http_call_cancel(NULL);
    browser_close(&b);
    web_close(&w);
    cr_expect_eq(x.n, 0);
    cr_expect_leq(browser_count_fds(), before);
}
