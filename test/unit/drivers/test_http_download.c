#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/container.h"
#include "drivers/http/http.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

#define MIB ((size_t)1 << 20)

static uint8_t
byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

/* --- downloads */

static uint8_t file[8 << 20];

static void
make_file(void)
{
    for (size_t i = 0; i < sizeof(file); i++)
        file[i] = byte_at(i);
}

TestSuite(http_download, .init = make_file);

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
    bool bad, paused, failed;
    size_t fail_at, cancel_at;
    struct visit *other; /* cancelled in place of us */
};

static int
sink_data(void *arg, struct http_op *op, const void *bytes, size_t n, struct err *e)
{
    struct sink *s = container_of(arg, struct sink, v);

    cr_assert_eq(op, s->v.op);
    cr_assert(!s->paused, "data came in a pause");
    cr_assert(!s->failed, "data came after an error");
    for (size_t i = 0; i < n; i++)
        s->bad |= ((const uint8_t *)bytes)[i] != byte_at(s->got + i);
    s->got += n;
    if (s->pause_every > 0 && s->got >= s->next_pause) {
        s->next_pause = s->got + s->pause_every;
        s->paused = true;
        s->n_pauses++;
        http_pause(op);
    }
    s->failed = s->fail_at > 0 && s->got >= s->fail_at;
    if (s->failed)
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

Test(http_download, a_download_comes_whole_and_in_order)
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

Test(http_download, a_download_pauses_and_goes_on)
{
    download_with_pauses(WEB_NO_TLS);
}

Test(http_download, a_download_over_tls_pauses_and_goes_on)
{
    download_with_pauses(WEB_CERT);
}

Test(http_download, going_on_without_a_pause_means_nothing)
{
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    s = sink_for(&w);
    visit_start(&b, &s.v);
    while (s.v.n == 0) {
        http_resume(s.v.op); /* before there is a connection, too */
        uv_run(&b.loop, UV_RUN_ONCE);
    }
    cr_expect_eq(s.v.rc, 0, "%s", s.v.err.text);
    cr_expect_eq(s.got, 8 * MIB);
    browser_close(&b);
    web_close(&w);
}

static void
pause_for_long(enum web_cert cert)
{
    struct http_options o = { 0 };
    struct browser b;
    struct sink s;
    struct web w;

    web_open(&w, serve_file, NULL, cert, &o.ca_file);
    browser_open(&b, &o);
    s = sink_for(&w);
    s.pause_every = 1;
    visit_start(&b, &s.v);
    while (!s.paused)
        uv_run(&b.loop, UV_RUN_ONCE);
    cr_expect(browser_sleeps(&b), "the loop spins in a pause");
    cr_expect_lt(s.got, 200000);
    cr_expect_lt(w.n_received, 8 * MIB, "all of it went somewhere");
    http_cancel(s.v.op);
    browser_close(&b);
    web_close(&w);
}

Test(http_download, a_pause_holds_up_the_server_and_costs_nothing)
{
    pause_for_long(WEB_NO_TLS);
}

Test(http_download, a_pause_over_tls_holds_up_the_server_and_costs_nothing)
{
    pause_for_long(WEB_CERT);
}

Test(http_download, an_error_of_the_sink_is_the_error_of_the_request)
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

Test(http_download, a_request_is_cancelled_from_its_own_data)
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

Test(http_download, a_request_is_cancelled_from_the_data_of_another)
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
        http_resume(s->second.op); /* it has no connection yet: means nothing */
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

Test(http_download, requests_are_started_and_cancelled_inside_data)
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
    cr_expect_eq(s.second.rc, 0, "%s", s.second.err.text);
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

Test(http_download, a_request_is_cancelled_from_the_end_of_another)
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

Test(http_download, a_client_is_closed_from_the_end_of_its_last_request)
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
Test(http_download, a_request_is_cancelled_at_every_stage)
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
