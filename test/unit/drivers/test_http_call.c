#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "drivers/http/http_call.h"
#include "drivers/http/http_get.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

static const struct http_policy quick = { .max_tries = 4, .first_ms = 1, .cap_ms = 2000 };

/* --- http_call */

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

/* --- http_get */

#define FILE_SIZE 300000

static uint8_t
byte_at(int64_t i)
{
    return (uint8_t)(i * 7 + i / 256);
}

/* How the file is served. */
struct shop {
    bool no_ranges, no_length, wrong_part, ignores_if_match, no_etag;
    int64_t cut_after; /* bytes of each answer, then it breaks; 0: never */
    int64_t less;      /* bytes of a part at most, as a whole answer; 0: no limit */
    int change_at;     /* the file is another one from this request on; 0: never */
    int n_busy;        /* 503 to so many requests at first */
    int64_t size;
};

static void
send_file(struct peer *p, const struct shop *s, int64_t from, int64_t to)
{
    static _Thread_local uint8_t bytes[FILE_SIZE];
    int64_t n = to - from + 1;

    if (s->cut_after > 0 && n > s->cut_after)
        n = s->cut_after;
    for (int64_t i = 0; i < n; i++)
        bytes[i] = byte_at(from + i);
    peer_send(p, bytes, (size_t)n);
}

static void
serve_shop(struct peer *p)
{
    const struct shop *s = p->web->arg;

    while (peer_request(p)) {
        int no = p->web->n_requests;
        bool changed = s->change_at > 0 && no >= s->change_at;
        const char *etag = changed ? "\"two\"" : "\"one\"";
        int64_t size = s->size > 0 ? s->size : FILE_SIZE, from = 0, to = size - 1;
        bool part = false;
        char ask[64], match[64];
        long long a, b;

        snprintf(ask, sizeof(ask), "%s", peer_header(p, "Range"));
        snprintf(match, sizeof(match), "%s", peer_header(p, "If-Match"));
        if (no <= s->n_busy) {
            peer_answer(p, 503, "", "busy");
            continue;
        }
        if (match[0] != '\0' && strcmp(match, etag) != 0 && !s->ignores_if_match) {
            peer_answer(p, 412, "", "");
            continue;
        }
        if (!s->no_ranges && sscanf(ask, "bytes=%lld-%lld", &a, &b) >= 1) {
            part = true;
            from = a;
            if (sscanf(ask, "bytes=%lld-%lld", &a, &b) == 2 && b < to)
                to = b;
            if (from >= size) {
                char text[64];

                snprintf(text, sizeof(text), "Content-Range: bytes */%lld\r\n",
                    (long long)size);
                peer_answer(p, 416, text, "");
                continue;
            }
            if (s->less > 0 && to - from + 1 > s->less)
                to = from + s->less - 1;
        }
        peer_say(p, "HTTP/1.1 %d X\r\n", part ? 206 : 200);
        if (!s->no_etag)
            peer_say(p, "ETag: %s\r\n", etag);
        if (part)
            peer_say(p, "Content-Range: bytes %lld-%lld/%lld\r\n",
                (long long)from + s->wrong_part, (long long)to + s->wrong_part,
                (long long)size + s->wrong_part);
        if (s->no_length)
            peer_say(p, "Connection: close\r\n\r\n");
        else
            peer_say(p, "Content-Length: %lld\r\n\r\n", (long long)(to - from + 1));
        send_file(p, s, from, to);
        if (s->no_length || (s->cut_after > 0 && to - from + 1 > s->cut_after))
            return;
    }
}

struct fetch {
    struct http_get *get;
    const char *url;
    struct uri_pair headers[4];
    int64_t off, next;
    bool bad, cancel;
    int n, rc, status, n_prepared;
    int64_t got, total;
    char etag[32];
    struct err err;
};

static int
fetch_prepare(void *arg, const struct uri_pair *extra, size_t n_extra,
    struct http_request *req, struct err *e)
{
    struct fetch *f = arg;

    (void)e;
    f->n_prepared++;
    for (size_t i = 0; i < n_extra; i++)
        f->headers[i] = extra[i];
    req->url = f->url;
    req->headers = f->headers;
    req->n_headers = n_extra;
    return 0;
}

static int
fetch_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct fetch *f = arg;

    (void)op;
    (void)e;
    for (size_t i = 0; i < n; i++)
        f->bad |= ((const uint8_t *)bytes)[i] != byte_at(f->next + (int64_t)i);
    f->next += (int64_t)n;
    if (f->cancel) {
        http_get_cancel(f->get);
        f->n = 1;
    }
    return 0;
}

static void
fetch_done(void *arg, struct http_op *op, const struct http_get_result *res)
{
    struct fetch *f = arg;

    (void)op;
    cr_assert(!f->cancel);
    f->n++;
    f->rc = res->err != NULL ? (int)res->err->code : 0;
    if (res->err != NULL)
        f->err = *res->err;
    f->status = res->status;
    f->got = res->got;
    f->total = res->total;
    snprintf(f->etag, sizeof(f->etag), "%s", res->etag);
}

/* The whole of a download on a server of its own. */
static struct fetch
fetch(const struct shop *s, int64_t off, int64_t size, int *n_requests)
{
    struct http_get_request req = { .off = off,
        .size = size,
        .policy = &quick,
        .prepare = fetch_prepare,
        .data = fetch_data,
        .done = fetch_done };
    struct fetch f = { .off = off, .next = off };
    struct browser b;
    struct web w;
    struct err e;

    web_open(&w, serve_shop, (void *)s, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    f.url = w.url;
    req.req.arg = &f;
    f.get = http_get_start(b.http, &req, &e);
    cr_assert_not_null(f.get);
    browser_run(&b, &f.n, 1);
    cr_expect(!f.bad, "other bytes");
    cr_expect(f.rc != 0 || f.status / 100 != 2 || f.next == off + f.got);
    if (n_requests != NULL)
        *n_requests = w.n_requests;
    browser_close(&b);
    web_close(&w);
    return f;
}

Test(http_get, a_file_and_a_part_of_it)
{
    struct shop s = { 0 };
    struct fetch f = fetch(&s, 0, -1, NULL);

    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.status, 200);
    cr_expect_eq(f.got, FILE_SIZE);
    cr_expect_eq(f.total, FILE_SIZE);
    cr_expect_str_eq(f.etag, "\"one\"");
    f = fetch(&s, 1000, 500, NULL);
    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.status, 206);
    cr_expect_eq(f.got, 500);
    cr_expect_eq(f.total, FILE_SIZE);
    f = fetch(&s, FILE_SIZE - 10, 500, NULL);
    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, 10);
    f = fetch(&s, FILE_SIZE, 500, NULL);
    cr_expect_eq(f.rc, ERR_RANGE);
}

Test(http_get, what_breaks_off_goes_on_from_its_last_byte)
{
    struct shop s = { .cut_after = 20000 };
    int n = 0;
    struct fetch f = fetch(&s, 0, -1, &n);

    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, FILE_SIZE);
    cr_expect_eq(n, 15, "tries count anew after progress: %d", n);
    f = fetch(&s, 100, 50000, &n);
    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, 50000);
    cr_expect_eq(n, 3);
}

Test(http_get, a_server_without_ranges_is_good_enough)
{
    struct shop s = { .no_ranges = true };
    struct fetch f = fetch(&s, 100000, 50000, NULL);

    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, 50000);
    f = fetch(&s, FILE_SIZE + 1, 50000, NULL);
    cr_expect_eq(f.rc, ERR_RANGE);
    s.no_length = true;
    f = fetch(&s, FILE_SIZE - 100, 50000, NULL);
    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, 100);
    f = fetch(&s, FILE_SIZE + 1, 50000, NULL);
    cr_expect_eq(f.rc, ERR_RANGE);
}

Test(http_get, a_file_that_changes_meanwhile_is_never_mixed)
{
    struct shop s = { .cut_after = 20000, .change_at = 3 };
    struct fetch f = fetch(&s, 0, -1, NULL);

    cr_expect_eq(f.rc, ERR_MOVED, "%s", f.err.text);
    cr_expect_eq(f.next, 40000);
    s.ignores_if_match = true;
    f = fetch(&s, 0, -1, NULL);
    cr_expect_eq(f.rc, ERR_MOVED, "%s", f.err.text);
    cr_expect_eq(f.next, 40000);
}

Test(http_get, other_bytes_than_asked_for_are_refused)
{
    struct shop s = { .wrong_part = true };
    struct fetch f = fetch(&s, 100, 100, NULL);

    cr_expect_eq(f.rc, ERR_CORRUPT, "%s", f.err.text);
    cr_expect_eq(f.next, 100);
}

Test(http_get, a_server_that_sends_less_is_asked_for_more)
{
    struct shop s = { .less = 30000, .no_etag = true };
    int n = 0;
    struct fetch f = fetch(&s, 0, FILE_SIZE, &n);

    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, FILE_SIZE);
    cr_expect_eq(n, 10);
}

Test(http_get, a_busy_server_is_asked_again)
{
    struct shop s = { .n_busy = 3 };
    int n = 0;
    struct fetch f = fetch(&s, 5, 5, &n);

    cr_expect_eq(f.rc, 0, "%s", f.err.text);
    cr_expect_eq(f.got, 5);
    cr_expect_eq(n, 4);
    s.n_busy = 100;
    f = fetch(&s, 5, 5, &n);
    cr_expect_eq(f.rc, 0);
    cr_expect_eq(f.status, 503);
    cr_expect_eq(n, 4);
}

Test(http_get, a_download_is_cancelled_from_its_own_data)
{
    struct http_get_request req = { .size = -1,
        .policy = &quick,
        .prepare = fetch_prepare,
        .data = fetch_data,
        .done = fetch_done };
    struct shop s = { 0 };
    struct fetch f = { .cancel = true };
    struct browser b;
    struct web w;
    struct err e;

    web_open(&w, serve_shop, &s, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    f.url = w.url;
    req.req.arg = &f;
    f.get = http_get_start(b.http, &req, &e);
    browser_run(&b, &f.n, 1);
    for (int i = 0; i < 5; i++)
        uv_run(&b.loop, UV_RUN_ONCE);
    browser_close(&b);
    web_close(&w);
    cr_expect_eq(f.n, 1);
}
