#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "drivers/http/http_get.h"
#include "test/unit/drivers/browser.h"
#include "test/unit/drivers/web.h"

static const struct http_policy quick = { .max_tries = 4, .first_ms = 1, .cap_ms = 2000 };

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
    char etag[32], if_match[32];
    struct err err;
};

static int
fetch_prepare(void *arg, const struct uri_pair *extra, size_t n_extra,
    struct http_request *req, struct err *e)
{
    struct fetch *f = arg;

    (void)e;
    f->n_prepared++;
    for (size_t i = 0; i < n_extra; i++) {
        f->headers[i] = extra[i];
        if (strcmp(extra[i].name, "If-Match") == 0)
            snprintf(f->if_match, sizeof(f->if_match), "%s", extra[i].value);
    }
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
    cr_expect_str_eq(f.if_match, "\"one\"");
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
