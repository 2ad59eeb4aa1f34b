#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "drivers/http/http.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

#define UPLOAD ((size_t)64 << 20)

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

/* --- no way there */

Test(http_way, a_refused_connection_names_host_and_port)
{
    struct browser b;
    struct web w;
    struct visit v;
    char url[96];

    web_open(&w, serve_numbers, NULL, WEB_NO_TLS, NULL);
    snprintf(url, sizeof(url), "http://user:SECRET@127.0.0.1:%d", w.port);
    web_close(&w);
    browser_open(&b, NULL);
    v = visit_get(url, "/bucket?X-Amz-Signature=SECRET");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    cr_expect_not_null(
        strstr(v.err.text, "cannot connect to 127.0.0.1:"), "%s", v.err.text);
    cr_expect_not_null(strstr(v.err.text, "refused"), "%s", v.err.text);
    cr_expect_null(strstr(v.err.text, "SECRET"), "%s", v.err.text);
    cr_expect_neq(v.err.hint[0], '\0');
    browser_close(&b);
}

Test(http_way, a_name_that_does_not_resolve_is_named)
{
    struct browser b;
    struct visit v;

    browser_open(&b, NULL);
    v = visit_get("http://nowhere.invalid", "/?token=SECRET");
    v.req.direct = true;
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    cr_expect_str_eq(v.err.text, "cannot resolve the host name nowhere.invalid");
    browser_close(&b);
}

/* A resolver that takes its time for one name, in place of the C library's. */
static atomic_int n_resolving;
static atomic_bool may_resolve;

int
getaddrinfo(const char *restrict node, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (node != NULL && strcmp(node, "slow.invalid") == 0) {
        n_resolving++;
        for (int i = 0; i < 5000 && !may_resolve; i++)
            uv_sleep(1);
        n_resolving--;
        return EAI_NONAME;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, res);
}

Test(http_way, giving_up_on_a_name_does_not_hold_the_loop)
{
    struct browser b;
    struct visit v;
    uint64_t t0;

    browser_open(&b, NULL);
    v = visit_get("http://slow.invalid", "/");
    v.req.direct = true;
    visit_start(&b, &v);
    while (n_resolving == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    t0 = uv_hrtime();
    http_cancel(v.op);
    cr_expect_lt(uv_hrtime() - t0, 2000000000u);
    v = visit_get("http://slow.invalid", "/");
    v.req.direct = true;
    v.req.connect_timeout_ms = 50;
    cr_expect_eq(visit(&b, &v), ERR_TIMEOUT);
    cr_expect_lt(uv_hrtime() - t0, 4000000000u);
    may_resolve = true;
    while (n_resolving > 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    browser_close(&b);
}

Test(http_way, what_is_no_address_is_said_without_showing_it)
{
    struct browser b;
    struct visit v;

    browser_open(&b, NULL);
    v = visit_get("ftp://user:SECRET@host", "/x");
    cr_expect_eq(visit(&b, &v), ERR_CONFIG);
    cr_expect_null(strstr(v.err.text, "SECRET"), "%s", v.err.text);
    v = visit_get("http://user:SECRET@[bad", "/x");
    cr_expect_eq(visit(&b, &v), ERR_CONFIG, "%s", v.err.text);
    cr_expect_null(strstr(v.err.text, "SECRET"), "%s", v.err.text);
    browser_close(&b);
}

/* --- proxies */

static void
serve_proxy(struct peer *p)
{
    while (peer_request(p)) {
        if (strcmp(p->method, "CONNECT") == 0)
            peer_answer(p, 407, "Proxy-Authenticate: Basic\r\n", "");
        else
            peer_answer(p, 200, "", p->target);
    }
}

Test(http_way, proxies_come_from_the_environment)
{
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_proxy, NULL, WEB_NO_TLS, NULL);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    setenv("HTTP_PROXY", w.url, 1);
    setenv("https_proxy", w.url, 1);
    setenv("NO_PROXY", "not.invalid", 1);
    browser_open(&b, NULL);
    v = visit_get("http://some.invalid", "/a");
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect_str_eq(v.body, "http://some.invalid/a");
    v = visit_get("http://not.invalid", "/a");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK, "NO_PROXY is not looked at");
    v = visit_get("http://some.invalid", "/a");
    v.req.direct = true;
    cr_expect_eq(visit(&b, &v), ERR_NETWORK, "metadata goes through a proxy");
    v = visit_get("http://127.0.0.1:1", "/a");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK, "this machine is asked through a proxy");
    v = visit_get("https://some.invalid", "/a");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "proxy refused the connection with status 407"),
        "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}

Test(http_way, a_proxy_that_makes_no_sense_is_not_shown)
{
    struct browser b;
    struct visit v;

    setenv("http_proxy", "nonsense://user:SECRET@proxy:1", 1);
    browser_open(&b, NULL);
    v = visit_get("http://some.invalid", "/a");
    cr_expect_neq(visit(&b, &v), 0);
    cr_expect_null(strstr(v.err.text, "SECRET"), "%s", v.err.text);
    browser_close(&b);
}

/* --- time */

static void
serve_nothing(struct peer *p)
{
    if (peer_request(p))
        peer_wait_closed(p);
}

Test(http_way, an_answer_that_does_not_come_is_a_stall)
{
    struct http_options o = { .stall_ms = 100 };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_nothing, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/");
    cr_expect_eq(visit(&b, &v), ERR_TIMEOUT);
    cr_expect_not_null(strstr(v.err.text, "nothing moved for 0.1 s"), "%s", v.err.text);
    v = visit_get(w.url, "/");
    v.req.stall_ms = 30000;
    v.req.timeout_ms = 200;
    cr_expect_eq(visit(&b, &v), ERR_TIMEOUT);
    cr_expect_not_null(strstr(v.err.text, "answer within 0.2 s"), "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}

static void
serve_slowly(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    for (int i = 0; i < 8; i++) {
        uv_sleep(100); /* what the test is about */
        peer_say(p, "%d", i);
    }
    if (p->web->arg != NULL)
        peer_wait_closed(p);
}

Test(http_way, slow_bytes_are_no_stall)
{
    struct http_options o = { .stall_ms = 400 };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_slowly, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/"); /* takes 800 ms in all */
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    cr_expect_str_eq(v.body, "01234567");
    browser_close(&b);
    web_close(&w);
}

static void
serve_half(struct peer *p)
{
    if (!peer_request(p))
        return;
    peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234");
    peer_wait_closed(p);
}

Test(http_way, a_body_that_stands_still_is_a_stall)
{
    struct http_options o = { .stall_ms = 100 };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_half, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/");
    cr_expect_eq(visit(&b, &v), ERR_TIMEOUT);
    cr_expect_not_null(
        strstr(v.err.text, "answer stood still for 0.1 s"), "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}

static void
serve_deaf(struct peer *p)
{
    if (peer_request(p))
        peer_wait_stage(p, 1); /* reads nothing of the body */
}

Test(http_way, an_upload_that_nobody_reads_is_a_stall)
{
    struct http_options o = { .stall_ms = 150 };
    const struct uri_pair no_question = { "Expect", "" };
    struct browser b;
    struct web w;
    struct visit v;
    char *body = calloc(1, UPLOAD);

    web_open(&w, serve_deaf, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/");
    v.req.method = "PUT";
    v.req.headers = &no_question;
    v.req.n_headers = 1;
    v.req.body = body;
    v.req.body_bytes = UPLOAD;
    cr_expect_eq(visit(&b, &v), ERR_TIMEOUT, "%d %s", v.rc, v.err.text);
    browser_close(&b);
    web_close(&w);
    free(body);
}

Test(http_way, a_connection_that_is_not_accepted_times_out)
{
    struct http_options o = { .stall_ms = 50 }; /* does not count before there is one */
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_nothing, NULL, WEB_CERT, NULL);
    browser_open(&b, &o);
    v = visit_get("https://127.0.0.1", "/");
    v.req.connect_timeout_ms = 200;
    web_close(&w);
    /* A listener that never answers the first bytes of TLS. */
    web_open(&w, serve_nothing, NULL, WEB_NO_TLS, NULL);
    {
        char url[64];

        snprintf(url, sizeof(url), "https://127.0.0.1:%d", w.port);
        v = visit_get(url, "/");
        v.req.connect_timeout_ms = 200;
        cr_expect_eq(visit(&b, &v), ERR_TIMEOUT);
        cr_expect_not_null(
            strstr(v.err.text, "no connection within 0.2 s"), "%s", v.err.text);
    }
    browser_close(&b);
    web_close(&w);
}

/* --- TLS */

static struct visit
visit_tls(enum web_cert cert, bool with_ca, bool insecure, int *n_peers)
{
    struct http_options o = { 0 };
    struct browser b;
    struct web w;
    struct visit v;
    const char *ca;

    unsetenv("SSL_CERT_FILE");
    web_open(&w, serve_numbers, NULL, cert, &ca);
    o.ca_file = with_ca ? ca : NULL;
    browser_open(&b, &o);
    for (int i = 0; i < 2; i++) {
        v = visit_get(w.url, "/a");
        v.req.insecure = insecure;
        visit(&b, &v);
    }
    if (n_peers != NULL)
        *n_peers = w.n_peers;
    browser_close(&b);
    web_close(&w);
    return v;
}

Test(http_way, a_certificate_of_nobody_is_refused)
{
    struct visit v = visit_tls(WEB_CERT, false, false, NULL);

    cr_expect_eq(v.rc, ERR_CONFIG);
    cr_expect_not_null(
        strstr(v.err.text, "TLS certificate is refused: self"), "%s", v.err.text);
    cr_expect_not_null(strstr(v.err.hint, "SSL_CERT_FILE"), "%s", v.err.hint);
}

Test(http_way, a_certificate_of_an_authority_of_ours_is_taken)
{
    int n = 0;
    struct visit v = visit_tls(WEB_CERT, true, false, &n);

    cr_expect_eq(v.rc, 0, "%s", v.err.text);
    cr_expect_eq(v.status, 200);
    cr_expect_eq(n, 1);
}

Test(http_way, an_authority_is_named_in_the_environment)
{
    struct browser b;
    struct web w;
    struct visit v;
    const char *ca;

    web_open(&w, serve_numbers, NULL, WEB_CERT, &ca);
    setenv("SSL_CERT_FILE", ca, 1);
    browser_open(&b, NULL);
    v = visit_get(w.url, "/a");
    cr_expect_eq(visit(&b, &v), 0, "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}

Test(http_way, insecure_takes_any_certificate)
{
    struct visit v = visit_tls(WEB_CERT_OTHER_NAME, false, true, NULL);

    cr_expect_eq(v.rc, 0, "%s", v.err.text);
}

Test(http_way, a_certificate_for_another_name_is_refused)
{
    struct visit v = visit_tls(WEB_CERT_OTHER_NAME, true, false, NULL);

    cr_expect_eq(v.rc, ERR_CONFIG);
    cr_expect_not_null(strstr(v.err.text, "for another name"), "%s", v.err.text);
}

Test(http_way, a_certificate_that_has_expired_is_refused)
{
    struct visit v = visit_tls(WEB_CERT_EXPIRED, true, false, NULL);

    cr_expect_eq(v.rc, ERR_CONFIG);
    cr_expect_not_null(strstr(v.err.text, "expired"), "%s", v.err.text);
    cr_expect_not_null(strstr(v.err.hint, "clock"), "%s", v.err.hint);
}

Test(http_way, authorities_that_cannot_be_read_are_named)
{
    struct http_options o = { .ca_file = "/nonexistent/ca.pem" };
    struct browser b;
    struct web w;
    struct visit v;

    web_open(&w, serve_numbers, NULL, WEB_CERT, NULL);
    browser_open(&b, &o);
    v = visit_get(w.url, "/a");
    cr_expect_eq(visit(&b, &v), ERR_CONFIG);
    cr_expect_not_null(strstr(v.err.text, "/nonexistent/ca.pem"), "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}

static void
serve_plain_at_once(struct peer *p)
{
    peer_say(p, "HTTP/1.1 400 Bad Request\r\n\r\n");
    peer_wait_closed(p);
}

Test(http_way, tls_to_a_server_that_speaks_none_is_said)
{
    struct browser b;
    struct web w;
    struct visit v;
    char url[64];

    web_open(&w, serve_plain_at_once, NULL, WEB_NO_TLS, NULL);
    browser_open(&b, NULL);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d", w.port);
    v = visit_get(url, "/a");
    cr_expect_eq(visit(&b, &v), ERR_NETWORK);
    cr_expect_not_null(strstr(v.err.text, "no TLS is spoken there"), "%s", v.err.text);
    browser_close(&b);
    web_close(&w);
}
