#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/container.h"
#include "drivers/http/http.h"
#include "drivers/source.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

#define MIB ((size_t)1 << 20)

static uint8_t
byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

/* --- uploads */

/* Answers with "method length-or-chunked expect sum-of-bytes number-of-bytes". */
static void
serve_store(struct peer *p)
{
    while (peer_request(p)) {
        bool chunked = strcmp(peer_header(p, "Transfer-Encoding"), "chunked") == 0;
        bool asks = strcmp(peer_header(p, "Expect"), "100-continue") == 0;
        char text[128];
        size_t n;

        if (asks)
            peer_say(p, "HTTP/1.1 100 Continue\r\n\r\n");
        n = peer_body(p);
        snprintf(text, sizeof(text), "%s%s%s %zu", p->method, chunked ? " chunked" : "",
            asks ? " asked" : "", n);
        peer_answer(p, 200, "", text);
    }
}

/* A source of `all` bytes that has nothing at first, and again after each `burst`. */
struct spring {
    struct visit v;
    struct browser *b;
    uv_timer_t timer;
    size_t all, given, burst, left;
    int n_dry, n_rewinds;
    int fail_with;
    const char *user;
    bool closed;
};

static int
spring_fill(
    void *arg, struct http_op *op, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct spring *s = arg;

    cr_assert_eq(op, s->v.op);
    cr_assert_gt(cap, 0);
    if (s->fail_with != 0 && s->given > s->all / 2)
        return err_set(e, (enum err_code)s->fail_with, "the source is broken");
    *n = s->all - s->given < cap ? s->all - s->given : cap;
    if (*n > s->left)
        *n = s->left;
    if (*n == 0 && s->given < s->all) {
        s->n_dry++;
        return err_set(e, ERR_AGAIN, "dry");
    }
    for (size_t i = 0; i < *n; i++)
        ((uint8_t *)buf)[i] = byte_at(s->given + i);
    s->given += *n;
    s->left -= *n;
    return 0;
}

static int
spring_rewind(void *arg, struct http_op *op, struct err *e)
{
    struct spring *s = arg;

    (void)op;
    (void)e;
    s->given = 0;
    s->n_rewinds++;
    return 0;
}

static void
on_spring_timer(uv_timer_t *t)
{
    struct spring *s = t->data;

    s->left = s->burst;
    if (s->v.op != NULL)
        http_resume(s->v.op);
}

static void
on_spring_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct spring *s = arg;

    (void)op;
    s->v.op = NULL;
    s->v.n++;
    s->v.rc = res->err != NULL ? (int)res->err->code : 0;
    s->v.status = res->status;
    if (res->err != NULL)
        s->v.err = *res->err;
    snprintf(s->v.body, sizeof(s->v.body), "%s", res->body);
}

static void
on_spring_closed(uv_handle_t *h)
{
    ((struct spring *)h->data)->closed = true;
}

/* Uploads it; every_ms between bursts. */
static int
upload(
    struct browser *b, struct web *w, struct spring *s, int64_t announced, int every_ms)
{
    s->v = visit_get(w->url, "/file");
    s->v.req.method = "PUT";
    s->v.req.fill = spring_fill;
    s->v.req.fill_bytes = announced;
    s->v.req.rewind = spring_rewind;
    s->v.req.user = s->user;
    s->v.req.password = "secret";
    s->v.req.done = on_spring_done;
    s->v.req.arg = s;
    uv_timer_init(&b->loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_spring_timer, (uint64_t)every_ms, (uint64_t)every_ms);
    s->v.op = http_start(b->http, &s->v.req);
    browser_run(b, &s->v.n, 1);
    uv_close((uv_handle_t *)&s->timer, on_spring_closed);
    while (!s->closed)
        uv_run(&b->loop, UV_RUN_ONCE);
    return s->v.rc;
}

Test(http_stream, a_body_in_pieces_of_known_length)
{
    struct spring s = { .all = 3 * MIB, .burst = 1300000 };
    struct http_options o = { .stall_ms = 300 }; /* the source's pauses do not count */
    struct browser b;
    struct web w;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    cr_assert_eq(upload(&b, &w, &s, 3 * MIB, 450), 0, "%s", s.v.err.text);
    cr_expect_str_eq(s.v.body, "PUT asked 3145728");
    cr_expect_geq(s.n_dry, 3);
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, a_body_in_pieces_of_unknown_length)
{
    struct spring s = { .all = MIB, .burst = MIB };
    struct browser b;
    struct web w;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    cr_assert_eq(upload(&b, &w, &s, -1, 5), 0, "%s", s.v.err.text);
    cr_expect_str_eq(s.v.body, "PUT chunked asked 1048576");
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, an_empty_body_in_pieces)
{
    struct spring s = { .all = 0, .burst = 1 };
    struct browser b;
    struct web w;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    cr_assert_eq(upload(&b, &w, &s, 0, 5), 0, "%s", s.v.err.text);
    cr_expect_str_eq(s.v.body, "PUT 0");
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, a_source_that_ends_early_ends_the_request)
{
    struct spring s = { .all = 1000, .burst = MIB };
    struct browser b;
    struct web w;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    cr_expect_eq(upload(&b, &w, &s, 2000, 5), ERR_CORRUPT, "%s", s.v.err.text);
    cr_expect_not_null(strstr(s.v.err.text, "1000 of 2000"), "%s", s.v.err.text);
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, an_error_of_the_source_is_the_error_of_the_request)
{
    struct spring s = { .all = MIB, .burst = MIB, .fail_with = ERR_IO };
    struct browser b;
    struct web w;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    cr_expect_eq(upload(&b, &w, &s, MIB, 5), ERR_IO, "%s", s.v.err.text);
    cr_expect_str_eq(s.v.err.text, "the source is broken");
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, bodies_in_memory_of_all_sizes)
{
    const size_t sizes[] = { 0, 1, 65536, 65537, MIB, 2 * MIB, 5 * MIB };
    char *body = malloc(5 * MIB);
    struct browser b;
    struct web w;

    memset(body, 'b', 5 * MIB);
    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct visit v = visit_get(w.url, "/file");
        char expected[64];

        v.req.method = "PUT";
        v.req.body = body;
        v.req.body_bytes = sizes[i];
        v.req.copy_body = i % 2 == 0 && sizes[i] < 2 * MIB;
        cr_assert_eq(visit(&b, &v), 0, "%s", v.err.text);
        snprintf(expected, sizeof(expected), "PUT%s %zu",
            sizes[i] >= 2 * MIB ? " asked" : "", sizes[i]);
        cr_expect_str_eq(v.body, expected);
    }
    browser_close(&b);
    web_close(&w);
    free(body);
}

/* Refuses as soon as the headers are here, and closes. */
static void
serve_refusal(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_answer(p, 403, "Connection: close\r\n", "no room here");
    peer_wait_stage(p, 1);
}

Test(http_stream, an_early_refusal_is_seen_and_the_body_is_not_sent)
{
    struct spring s = { .all = 64 * MIB, .burst = 64 * MIB };
    struct browser b;
    struct web w;

    web_open(&w, serve_refusal, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    cr_expect_eq(upload(&b, &w, &s, 64 * MIB, 5), 0, "%s", s.v.err.text);
    cr_expect_eq(s.v.status, 403);
    cr_expect_str_eq(s.v.body, "no room here");
    cr_expect_eq(s.given, 0, "%zu bytes were read for nothing", s.given);
    browser_close(&b);
    web_close(&w);
}

/* The same for a server that did not wait to be asked, in the middle of the body. */
static void
serve_late_refusal(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_say(p, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_read(p, NULL, MIB);
    peer_answer(p, 507, "Connection: close\r\n", "no room here");
    peer_reset(p);
}

Test(http_stream, a_refusal_in_the_middle_of_an_upload_is_seen)
{
    struct browser b;
    struct web w;

    web_open(&w, serve_late_refusal, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    for (int i = 0; i < 10; i++) {
        struct spring s = { .all = 16 * MIB, .burst = 16 * MIB };

        upload(&b, &w, &s, 16 * MIB, 5);
        /* The reset may overtake the answer; then it is an error that heals. */
        cr_expect(s.v.rc == 0 ? s.v.status == 507 : s.v.rc == ERR_NETWORK, "%d %d %s",
            s.v.rc, s.v.status, s.v.err.text);
        cr_expect_lt(s.given, 16 * MIB);
    }
    browser_close(&b);
    web_close(&w);
}

/* A kept connection that breaks during the second upload, before an answer. */
static void
serve_broken_reuse(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_body(p);
    peer_answer(p, 200, "", "one");
    if (p->no == 0 && peer_request(p))
        peer_reset(p);
    else if (p->no > 0 && peer_request(p)) {
        peer_body(p);
        peer_answer(p, 200, "", "two");
    }
}

Test(http_stream, a_source_that_goes_back_is_sent_again_on_a_new_connection)
{
    struct browser b;
    struct web w;

    web_open(&w, serve_broken_reuse, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    for (int i = 0; i < 2; i++) {
        struct spring s = { .all = 100000, .burst = 100000, .left = 100000 };

        upload(&b, &w, &s, 100000, 5);
        cr_expect(s.v.rc == 0 || (i == 1 && s.v.rc == ERR_NETWORK), "%s", s.v.err.text);
        if (s.v.rc == 0)
            cr_expect_eq(s.given, 100000);
    }
    browser_close(&b);
    web_close(&w);
}

static void
serve_digest(struct peer *p)
{
    while (peer_request(p)) {
        bool has = strncmp(peer_header(p, "Authorization"), "Digest ", 7) == 0;
        char text[64];

        if (has) {
            peer_say(p, "HTTP/1.1 100 Continue\r\n\r\n");
            snprintf(text, sizeof(text), "known %zu", peer_body(p));
            peer_answer(p, 200, "", text);
        } else {
            peer_answer(p, 401,
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\"\r\n",
                "who are you?");
        }
    }
}

Test(http_stream, a_challenge_is_answered_and_the_body_is_sent_once)
{
    struct spring s = { .all = 100000, .burst = 100000 };
    struct browser b;
    struct web w;

    web_open(&w, serve_digest, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s.user = "user";
    cr_expect_eq(upload(&b, &w, &s, 100000, 5), 0, "%s", s.v.err.text);
    cr_expect_str_eq(s.v.body, "known 100000");
    cr_expect_eq(w.n_received, 100000, "%d of the body's bytes came", (int)w.n_received);
    browser_close(&b);
    web_close(&w);
}

/* --- a pipe that a thread fills, as merges and snapshots come */

struct pump {
    struct http_op *op;
    struct drv_pipe *pipe;
    struct drv_source *src;
    int n, rc;
    char body[64];
};

static void
pump_wake(void *arg)
{
    struct pump *p = arg;

    if (p->op != NULL)
        http_resume(p->op);
}

static int
pump_fill(void *arg, struct http_op *op, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct pump *p = arg;

    (void)op;
    return p->src->read(p->src, buf, cap, false, n, e);
}

static void
pump_done(void *arg, struct http_op *op, const struct http_result *res)
{
    struct pump *p = arg;

    (void)op;
    p->op = NULL;
    p->rc = res->err != NULL ? (int)res->err->code : 0;
    snprintf(p->body, sizeof(p->body), "%s", res->body);
    p->n++;
}

static void
pump_thread(void *arg)
{
    struct pump *p = arg;
    static char bytes[10000];
    struct err e;

    for (int i = 0; i < 500; i++)
        drv_pipe_write(p->pipe, bytes, sizeof(bytes), &e);
    drv_pipe_end(p->pipe, NULL);
}

Test(http_stream, a_pipe_that_a_thread_fills_is_an_upload)
{
    struct pump p = { 0 };
    struct browser b;
    struct web w;
    struct err e;
    uv_thread_t thread;
    struct http_request req;

    web_open(&w, serve_store, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    req = visit_get(w.url, "/file").req;
    cr_assert_eq(drv_pipe_new(&b.loop, 65536, &p.pipe, &e), 0);
    p.src = drv_pipe_source(p.pipe);
    p.src->wake = pump_wake;
    p.src->wake_arg = &p;
    req.method = "PUT";
    req.fill = pump_fill;
    req.fill_bytes = -1;
    req.done = pump_done;
    req.arg = &p;
    p.op = http_start(b.http, &req);
    uv_thread_create(&thread, pump_thread, &p);
    browser_run(&b, &p.n, 1);
    cr_expect_eq(p.rc, 0);
    cr_expect_str_eq(p.body, "PUT chunked asked 5000000");
    uv_thread_join(&thread);
    drv_pipe_free(p.pipe);
    browser_close(&b);
    web_close(&w);
}

/* --- downloads */

static uint8_t file[8 << 20];

static void
make_file(void)
{
    for (size_t i = 0; i < sizeof(file); i++)
        file[i] = byte_at(i);
}

TestSuite(http_stream, .init = make_file);

static void
serve_file(struct peer *p)
{
    while (peer_request(p)) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(file));
        for (size_t at = 0; at < sizeof(file); at += 65536) {
            peer_send(p, file + at, 65536);
            p->web->n_received += 65536; /* sent, here */
        }
    }
}

struct sink {
    struct visit v;
    size_t got;
    size_t pause_every, next_pause;
    int n_pauses;
    bool bad, paused;
    size_t fail_at, cancel_at;
    struct visit *other; /* cancelled in place of us */
};

static int
sink_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct sink *s = container_of(arg, struct sink, v);

    cr_assert_eq(op, s->v.op);
    cr_assert(!s->paused, "data came in a pause");
    for (size_t i = 0; i < n; i++)
        s->bad |= ((const uint8_t *)bytes)[i] != byte_at(s->got + i);
    s->got += n;
    if (s->pause_every > 0 && s->got >= s->next_pause) {
        s->next_pause = s->got + s->pause_every;
        s->paused = true;
        s->n_pauses++;
        http_pause(op);
    }
    if (s->fail_at > 0 && s->got >= s->fail_at)
        return err_set(e, ERR_NO_SPACE, "the disk is full");
    if (s->cancel_at > 0 && s->got >= s->cancel_at) {
        struct visit *v = s->other != NULL ? s->other : &s->v;

        http_cancel(v->op);
        v->op = NULL;
        s->cancel_at = 0;
        if (v == &s->v)
            s->v.n = 1000; /* nothing comes any more */
    }
    return 0;
}

static struct sink
sink_for(struct web *w)
{
    struct sink s = { .v = visit_get(w->url, "/file") };

    s.v.req.data = sink_data;
    return s;
}

Test(http_stream, a_download_comes_whole_and_in_order)
{
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    cr_expect_eq(visit(&b, &s.v), 0, "%s", s.v.err.text);
    cr_expect_eq(s.got, 8 * MIB);
    cr_expect(!s.bad);
    cr_expect_str_eq(s.v.body, "");
    browser_close(&b);
    web_close(&w);
}

static void
download_with_pauses(enum web_cert cert)
{
    struct http_options o = { .stall_ms = 300 };
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, cert, &o.ca_file);
    browser_open(&b, &o);
    s = sink_for(&w);
    s.pause_every = MIB;
    visit_start(&b, &s.v);
    while (s.v.n == 0) {
        uv_run(&b.loop, UV_RUN_ONCE);
        if (s.paused && s.n_pauses == 3)
            for (int i = 0; i < 100; i++) /* longer than a stall */
                uv_run(&b.loop, UV_RUN_ONCE);
        if (s.paused) {
            s.paused = false;
            http_resume(s.v.op);
        }
    }
    cr_expect_eq(s.v.rc, 0, "%s", s.v.err.text);
    cr_expect_eq(s.got, 8 * MIB);
    cr_expect_geq(s.n_pauses, 7);
    cr_expect(!s.bad);
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, a_download_pauses_and_goes_on)
{
    download_with_pauses(WEB_NO_TLS);
}

Test(http_stream, a_download_over_tls_pauses_and_goes_on)
{
    download_with_pauses(WEB_CERT);
}

Test(http_stream, a_pause_holds_up_the_server)
{
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    s.pause_every = 1;
    visit_start(&b, &s.v);
    while (!s.paused)
        uv_run(&b.loop, UV_RUN_ONCE);
    for (int i = 0; i < 50; i++)
        uv_run(&b.loop, UV_RUN_ONCE);
    cr_expect_lt(s.got, 200000);
    cr_expect_lt(w.n_received, 8 * MIB, "all of it went somewhere");
    http_cancel(s.v.op);
    browser_close(&b);
    web_close(&w);
}

Test(http_stream, an_error_of_the_sink_is_the_error_of_the_request)
{
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    s.fail_at = MIB;
    cr_expect_eq(visit(&b, &s.v), ERR_NO_SPACE);
    cr_expect_str_eq(s.v.err.text, "the disk is full");
    cr_expect_lt(s.got, 2 * MIB);
    /* After a pause, too, when the bytes come out of libcurl's own memory. */
    s = sink_for(&w);
    s.pause_every = 1;
    s.fail_at = 100000;
    visit_start(&b, &s.v);
    while (s.v.n == 0) {
        uv_run(&b.loop, UV_RUN_ONCE);
        if (s.paused && s.v.op != NULL) {
            s.paused = false;
            http_resume(s.v.op);
        }
    }
    cr_expect_eq(s.v.rc, ERR_NO_SPACE);
    browser_close(&b);
    web_close(&w);
}

/* --- cancelling */

Test(http_stream, a_request_is_cancelled_from_its_own_data)
{
    int before = browser_count_fds();
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    s.cancel_at = MIB;
    visit_start(&b, &s.v);
    browser_run(&b, &s.v.n, 1000);
    for (int i = 0; i < 5; i++)
        uv_run(&b.loop, UV_RUN_ONCE);
    cr_expect_eq(s.v.n, 1000, "done came after the cancellation");
    browser_close(&b);
    web_close(&w);
    cr_expect_leq(browser_count_fds(), before);
}

Test(http_stream, a_request_is_cancelled_from_the_data_of_another)
{
    struct browser b;
    struct sink s, other;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    other = sink_for(&w);
    s.cancel_at = MIB;
    s.other = &other.v;
    visit_start(&b, &other.v);
    visit_start(&b, &s.v);
    browser_run(&b, &s.v.n, 1);
    cr_expect_eq(s.v.rc, 0, "%s", s.v.err.text);
    cr_expect_eq(s.got, 8 * MIB);
    cr_expect(other.v.n == 0 || other.got == 8 * MIB);
    browser_close(&b);
    web_close(&w);
}

/* Starts another request, cancels a third and closes nothing: all inside `data`. */
struct starter {
    struct sink sink;
    struct browser *b;
    struct visit second;
    struct http_op *third;
};

static int
starter_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct starter *s = container_of(arg, struct starter, sink.v);

    if (s->third != NULL) {
        visit_start(s->b, &s->second);
        http_cancel(s->third);
        s->third = NULL;
    }
    return sink_data(arg, op, bytes, n, e);
}

static void
serve_silence(struct peer *p)
{
    peer_request(p);
    peer_wait_closed(p);
}

Test(http_stream, requests_are_started_and_cancelled_inside_data)
{
    struct starter s = { 0 };
    struct visit third;
    struct browser b;
    struct web w, silent;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    web_open(&silent, serve_silence, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s.b = &b;
    s.sink = sink_for(&w);
    s.sink.v.req.data = starter_data;
    s.second = visit_get(w.url, "/second");
    s.second.req.answer_limit = 9 * MIB;
    s.second.req.data = NULL;
    s.second.req.method = "HEAD";
    third = visit_get(silent.url, "/");
    visit_start(&b, &third);
    s.third = third.op;
    visit_start(&b, &s.sink.v);
    browser_run(&b, &s.sink.v.n, 1);
    browser_run(&b, &s.second.n, 1);
    cr_expect_eq(s.sink.v.rc, 0);
    cr_expect_eq(third.n, 0);
    browser_close(&b);
    web_close(&silent);
    web_close(&w);
}

static void
cancel_in_done(struct visit *v)
{
    struct visit *other = v->arg;

    http_cancel(other->op);
    other->op = NULL;
}

static void
serve_quickly(struct peer *p)
{
    while (peer_request(p)) {
        peer_body(p);
        if (strcmp(p->target, "/silent") == 0)
            peer_wait_closed(p);
        peer_answer(p, 200, "", "ok");
    }
}

Test(http_stream, a_request_is_cancelled_from_the_end_of_another)
{
    struct browser b;
    struct web w;
    struct visit v, other;

    web_open(&w, serve_quickly, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    other = visit_get(w.url, "/silent");
    v.then = cancel_in_done;
    v.arg = &other;
    visit_start(&b, &other);
    cr_expect_eq(visit(&b, &v), 0);
    cr_expect_eq(other.n, 0);
    browser_close(&b);
    web_close(&w);
}

static void
on_closed(void *arg)
{
    *(int *)arg = 1;
}

static void
close_in_done(struct visit *v)
{
    struct browser *b = v->arg;
    static int closed;

    http_cancel(v->op); /* over already: nothing happens */
    http_close(b->http, on_closed, &closed);
    b->http = NULL;
}

Test(http_stream, a_client_is_closed_from_the_end_of_its_last_request)
{
    int before = browser_count_fds();
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_quickly, NULL, WEB_CERT, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    v.req.insecure = true;
    v.then = close_in_done;
    v.arg = &b;
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
    cr_expect_leq(browser_count_fds(), before);
}

/* Cancelled after so many turns of the loop: in the middle of anything. */
Test(http_stream, a_request_is_cancelled_at_every_stage)
{
    int before = browser_count_fds();
    char *body = calloc(3, MIB);

    for (int tls = 0; tls < 2; tls++) {
        struct http_options o = { 0 };
        struct browser b;
        struct web w;

        web_open(&w, serve_quickly, NULL, tls != 0 ? WEB_CERT : WEB_NO_TLS, &o.ca_file);
        browser_open(&b, &o);
        for (int turns = 0; turns < 20; turns++) {
            struct visit v = visit_get(w.url, "/");

            v.req.method = turns % 2 == 0 ? "PUT" : "GET";
            v.req.body = turns % 2 == 0 ? body : NULL;
            v.req.body_bytes = turns % 2 == 0 ? 3 * MIB : 0;
            visit_start(&b, &v);
            for (int i = 0; i < turns && v.n == 0; i++)
                uv_run(&b.loop, UV_RUN_NOWAIT);
            if (v.n == 0)
                http_cancel(v.op);
            v.n = 1000;
            uv_run(&b.loop, UV_RUN_NOWAIT);
            cr_expect_eq(v.n, 1000);
        }
        browser_close(&b);
        web_close(&w);
    }
    free(body);
    cr_expect_leq(browser_count_fds(), before);
}

Test(http_stream, giving_up_on_a_name_does_not_wait_for_it)
{
    struct browser b;
    struct visit v;
    uint64_t t0;

    browser_open(&b, NULL);
    v = visit_get("http://nowhere.invalid", "/");
    v.req.direct = true;
    visit_start(&b, &v);
    for (int i = 0; i < 3; i++)
        uv_run(&b.loop, UV_RUN_NOWAIT);
    t0 = uv_hrtime();
    if (v.op != NULL)
        http_cancel(v.op);
    cr_expect_lt(uv_hrtime() - t0, 500000000u);
    browser_close(&b);
}
