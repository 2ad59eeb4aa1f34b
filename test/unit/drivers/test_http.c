#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/buf.h"
#include "drivers/http/http.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

/* --- connections */

static void
serve_numbers(struct peer *p)
{
    char text[64];

    while (peer_request(p)) {
        peer_body(p);
        snprintf(text, sizeof(text), "connection %d request %d", p->no, p->n_requests);
        peer_answer(p, 200, "ETag: \"x\"\r\nX-Empty:\r\n", text);
    }
}

Test(http, connections_are_used_again)
{
    struct browser b;
    struct web w;

    web_open(&w, serve_numbers, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    for (int i = 1; i <= 5; i++) {
        struct visit v = visit_get(w.url, "/a");

        cr_assert_eq(visit(&b, &v), 0, "%s", v.err.text);
        cr_expect_eq(v.status, 200);
        cr_expect_str_eq(v.etag, "\"x\"");
        cr_expect_eq(strncmp(v.body, "connection 0", 12), 0, "%s", v.body);
    }
    cr_expect_eq(w.n_peers, 1);
    browser_close(&b);
    web_close(&w);
}

static void
serve_one_each(struct peer *p)
{
    if (peer_request(p))
        peer_answer(p, 200, "", "one"); /* and closes, as after a time without use */
}

Test(http, a_kept_connection_that_was_closed_is_replaced_unseen)
{
    struct browser b;
    struct web w;

    web_open(&w, serve_one_each, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    for (int i = 0; i < 3; i++) {
        struct visit v = visit_get(w.url, "/a");

        cr_assert_eq(visit(&b, &v), 0, "%s", v.err.text);
        cr_expect_str_eq(v.body, "one");
    }
    cr_expect_eq(w.n_peers, 3);
    browser_close(&b);
    web_close(&w);
}

static void
serve_closing_at_the_second(struct peer *p)
{
    if (peer_request(p))
        peer_answer(p, 200, "", "one");
    if (p->no == 0 && peer_request(p))
        peer_reset(p); /* the request has arrived, no byte of an answer comes */
    else if (peer_request(p))
        peer_answer(p, 200, "", "two");
}

Test(http, a_request_on_a_kept_connection_that_breaks_goes_out_again_or_says_so)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_closing_at_the_second, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/a");
    cr_assert_eq(visit(&b, &v), 0);
    v = visit_get(w.url, "/b");
    visit(&b, &v);
    cr_expect(v.rc == 0 || v.stale, "%s", v.err.text);
    cr_expect_eq(w.n_peers, v.rc == 0 ? 2 : 1);
    browser_close(&b);
    web_close(&w);
}

Test(http, idle_connections_go_after_a_while_and_come_back)
{
    struct http_options o = { .idle_ms = 30 };
    int before = browser_count_fds(), open, n = 0;
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_numbers, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/a");
    cr_assert_eq(visit(&b, &v), 0);
    open = browser_count_fds();
    while (browser_count_fds() > open - 2 && n++ < 1000) /* both ends */
        uv_run(&b.loop, UV_RUN_ONCE);
    cr_expect_leq(browser_count_fds(), open - 2, "the connection stays open");
    v = visit_get(w.url, "/a");
    cr_expect_eq(visit(&b, &v), 0);
    cr_expect_eq(w.n_peers, 2);
    browser_close(&b);
    web_close(&w);
    cr_expect_leq(browser_count_fds(), before);
}

Test(http, closing_leaves_no_descriptor_and_no_handle)
{
    struct visit v[8];
    struct browser b;
    struct web w;
    int before;

    web_open(&w, serve_numbers, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    browser_close(&b);
    before = browser_count_fds();
    browser_open(&b, NULL);
    for (int i = 0; i < 8; i++) {
        v[i] = visit_get(w.url, "/a");
        visit_start(&b, &v[i]);
    }
    for (int i = 0; i < 8; i++)
        browser_run(&b, &v[i].n, 1);
    cr_expect_eq(w.n_peers, 8);
    browser_close(&b); /* with eight idle connections */
    web_close(&w);
    cr_expect_leq(browser_count_fds(), before);
}

/* --- answers */

Test(http, a_header_is_found_in_any_case_and_only_whole)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_numbers, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/a");
    visit(&b, &v);
    cr_expect_str_eq(v.etag, "\"x\"");
    cr_expect_null(http_header(NULL, "etag"));
    browser_close(&b);
    web_close(&w);
}

static void
serve_paths(struct peer *p)
{
    while (peer_request(p))
        peer_answer(p, 200, "", p->head);
}

Test(http, what_is_sent_is_what_was_given_and_nothing_that_was_not)
{
    const struct uri_pair headers[] = { { "X-One", "1" }, { "X-None", "" } };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_paths, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/a/../b//c%2Fd?x=%20");
    v.req.method = "PROPFIND";
    v.req.headers = headers;
    v.req.n_headers = 2;
    cr_assert_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect_eq(strncmp(v.body, "PROPFIND /a/../b//c%2Fd?x=%20 HTTP/1.1\r\n", 40), 0,
        "%s", v.body);
    cr_expect_not_null(strstr(v.body, "\r\nX-One: 1\r\n"));
    cr_expect_not_null(strstr(v.body, "\r\nX-None:\r\n"));
    cr_expect_not_null(strstr(v.body, "\r\nUser-Agent: litestream/"));
    cr_expect_null(strstr(v.body, "Content-"), "%s", v.body);
    cr_expect_null(strstr(v.body, "Accept"), "%s", v.body);
    cr_expect_null(strstr(v.body, "Expect"), "%s", v.body);
    browser_close(&b);
    web_close(&w);
}

Test(http, a_value_with_a_line_break_is_refused_before_anything_is_sent)
{
    const struct uri_pair bad = { "X-Token", "secret\r\nX-Evil: 1" };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_paths, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    v.req.headers = &bad;
    v.req.n_headers = 1;
    cr_expect_eq(visit(&b, &v), ERR_CONFIG);
    cr_expect_not_null(strstr(v.err.text, "X-Token"), "%s", v.err.text);
    cr_expect_null(strstr(v.err.text, "secret"));
    cr_expect_eq(w.n_peers, 0);
    browser_close(&b);
    web_close(&w);
}

static void
serve_raw(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_send(p, p->web->arg, strlen(p->web->arg));
}

/* One answer of these bytes, then the connection closes. */
static struct visit
visit_raw(const char *bytes)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_raw, (void *)bytes, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/path?signature=SECRET");
    visit(&b, &v);
    if (v.rc != 0) {
        cr_expect_not_null(strstr(v.err.text, "127.0.0.1:"), "%s", v.err.text);
        cr_expect_null(strstr(v.err.text, "SECRET"), "%s", v.err.text);
        cr_expect_null(strstr(v.err.text, "/path"), "%s", v.err.text);
    }
    browser_close(&b);
    web_close(&w);
    return v;
}

Test(http, a_body_that_breaks_off_is_an_error)
{
    struct visit v = visit_raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");

    cr_expect_eq(v.rc, ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "middle of the answer"), "%s", v.err.text);
}

Test(http, a_refusal_whose_body_breaks_off_is_that_refusal)
{
    struct visit v = visit_raw("HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n12345");

    cr_expect_eq(v.rc, 0);
    cr_expect_eq(v.status, 403);
    cr_expect(v.cut);
    cr_expect_str_eq(v.body, "12345");
}

Test(http, headers_that_break_off_are_no_answer)
{
    struct visit v = visit_raw("HTTP/1.1 403 No\r\nContent-Le");

    cr_expect_eq(v.rc, ERR_NETWORK, "%s", v.err.text);
}

Test(http, no_answer_at_all_is_said)
{
    struct visit v = visit_raw("");

    cr_expect_eq(v.rc, ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "the connection broke"), "%s", v.err.text);
}

Test(http, garbage_is_no_http)
{
    struct visit v = visit_raw("\x15\x03\x01\x00\x02\x02\x50 what is this\r\n\r\n");

    cr_expect_eq(v.rc, ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "does not speak HTTP"), "%s", v.err.text);
    cr_expect_neq(v.err.hint[0], '\0');
}

/* "A" + n times "B" + "C"; free(). */
static char *
repeated(const char *a, int n, const char *b, const char *c)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_add_str(&text, a);
    for (int i = 0; i < n; i++)
        buf_add_str(&text, b);
    buf_add_str(&text, c);
    return buf_take_str(&text);
}

Test(http, headers_have_a_limit)
{
    char *text = repeated("HTTP/1.1 200 OK\r\n", 1500,
        "X-Header: 1234567890123456789012345678901234567890\r\n",
        "Content-Length: 0\r\n\r\n");
    struct visit v = visit_raw(text);

    cr_expect_eq(v.rc, ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "too many headers"), "%s", v.err.text);
    free(text);
}

Test(http, interim_answers_are_passed_over)
{
    char *text = repeated("", 10, "HTTP/1.1 103 Early Hints\r\nETag: no\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    struct visit v = visit_raw(text);

    cr_expect_eq(v.rc, 0, "%s", v.err.text);
    cr_expect_str_eq(v.body, "ok");
    cr_expect_str_eq(v.etag, "", "a header of an interim answer counts");
    free(text);
}

Test(http, interim_answers_have_a_limit)
{
    char *text = repeated("", 100, "HTTP/1.1 103 Early Hints\r\n\r\n", "");
    struct visit v = visit_raw(text);

    cr_expect_eq(v.rc, ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "interim"), "%s", v.err.text);
    free(text);
}

static void
serve_nul_header(struct peer *p)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nETag: a\0b\r\nContent-Length: 0\r\n\r\n";

    if (peer_request(p))
        peer_send(p, text, sizeof(text) - 1);
}

Test(http, a_header_with_a_nul_byte_is_an_error)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_nul_header, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    browser_close(&b);
    web_close(&w);
}

/* A body of 100 KiB with the status of the path. */
static void
serve_long(struct peer *p)
{
    static char text[100 << 10];

    while (peer_request(p)) {
        peer_say(p, "HTTP/1.1 %s X\r\nContent-Length: %zu\r\n\r\n", p->target + 1,
            sizeof(text));
        memset(text, 'x', sizeof(text));
        peer_send(p, text, sizeof(text));
    }
}

static void
check_length(struct visit *v)
{
    *(size_t *)v->arg = strlen(v->body);
}

Test(http, a_long_answer_is_an_error_and_a_long_error_is_cut)
{
    struct browser b;
    struct web w;
    struct visit v;
    size_t n = 0;

    web_open(&w, serve_long, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/200");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "longer than 65536"), "%s", v.err.text);
    v = visit_get(w.url, "/200");
    v.req.answer_limit = 100 << 10;
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect(!v.cut);
    v = visit_get(w.url, "/500");
    v.req.answer_limit = 1000;
    v.then = check_length;
    v.arg = &n;
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect_eq(v.status, 500);
    cr_expect(v.cut);
    cr_expect_eq(n, 1000);
    browser_close(&b);
    web_close(&w);
}

static void
serve_endless_error(struct peer *p)
{
    static char text[64 << 10];

    if (!peer_request(p))
        return;
    peer_say(p, "HTTP/1.1 500 X\r\n\r\n");
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 1000; i++)
        peer_send(p, text, sizeof(text));
}

Test(http, an_error_without_end_is_not_read_to_its_end)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_endless_error, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect_eq(v.status, 500);
    cr_expect(v.cut);
    browser_close(&b);
    web_close(&w);
}

static void
serve_redirect(struct peer *p)
{
    while (peer_request(p))
        peer_answer(p, 307, "Location: http://127.0.0.2:1/other\r\n", "");
}

Test(http, a_redirect_is_an_answer_like_others)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_redirect, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/");
    cr_expect_eq(visit(&b, &v), 0);
    cr_expect_eq(v.status, 307);
    cr_expect_eq(w.n_requests, 1);
    browser_close(&b);
    web_close(&w);
}
