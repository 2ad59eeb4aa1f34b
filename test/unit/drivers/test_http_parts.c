/* The pure parts of drivers/http: no socket, no loop. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "drivers/http/http_error.h"
#include "drivers/http/http_range.h"
#include "drivers/http/http_retry.h"
#include "drivers/http/http_url.h"

/* --- http_retry */

static struct mono
at_ms(int64_t ms)
{
    return (struct mono){ 1000000000 + ms * 1000000 };
}

static enum http_verdict
verdict(int status, enum err_code code, bool stale)
{
    struct err e = { .code = code };

    return http_verdict_of(&(struct http_result){
        .status = status, .err = code != ERR_OK ? &e : NULL, .stale = stale });
}

Test(http_retry, what_may_heal_is_tried_again_and_nothing_else)
{
    const int again[] = { 408, 425, 429, 500, 502, 503, 504, 520, 529, 599 };
    const int final[] = { 200, 206, 301, 307, 400, 401, 403, 404, 409, 412, 416, 501, 505,
        507, 508, 511 };

    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
        cr_expect_eq(verdict(again[i], ERR_OK, false), HTTP_AGAIN, "%d", again[i]);
    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
        cr_expect_eq(verdict(final[i], ERR_OK, false), HTTP_FINAL, "%d", final[i]);
    cr_expect_eq(verdict(0, ERR_NETWORK, false), HTTP_AGAIN);
    cr_expect_eq(verdict(0, ERR_TIMEOUT, false), HTTP_AGAIN);
    cr_expect_eq(verdict(200, ERR_NETWORK, false), HTTP_AGAIN);
    cr_expect_eq(verdict(0, ERR_NETWORK, true), HTTP_AT_ONCE);
    cr_expect_eq(verdict(0, ERR_CONFIG, false), HTTP_FINAL);
    cr_expect_eq(verdict(200, ERR_NO_SPACE, false), HTTP_FINAL);
    cr_expect_eq(verdict(503, ERR_CORRUPT, false), HTTP_FINAL);
}

Test(http_retry, waits_grow_to_the_cap_and_are_spread)
{
    const struct http_policy p = { .max_tries = 100, .first_ms = 100, .cap_ms = 1000 };
    int64_t largest[8] = { 0 }, smallest = INT64_MAX;

    rand_seed_with(7);
    for (int round = 0; round < 500; round++) {
        struct http_retry r;

        http_retry_init(&r, &p, at_ms(0));
        for (int i = 0; i < 8; i++) {
            int64_t wait = http_retry_next(&r, HTTP_AGAIN, -1, at_ms(0));

            cr_assert_geq(wait, 0);
            if (wait > largest[i])
                largest[i] = wait;
            if (i == 7 && wait < smallest)
                smallest = wait;
        }
    }
    for (int i = 0; i < 8; i++) {
        int64_t most = i < 4 ? 100 << i : 1000;

        cr_expect_leq(largest[i], most);
        cr_expect_gt(
            largest[i], most * 9 / 10, "wait %d: %lld", i, (long long)largest[i]);
    }
    cr_expect_lt(smallest, 100, "all of them come back late");
}

Test(http_retry, tries_have_a_number)
{
    struct http_retry r;

    http_retry_init(&r, NULL, at_ms(0));
    for (int i = 1; i < 10; i++)
        cr_expect_geq(http_retry_next(&r, HTTP_AGAIN, -1, at_ms(0)), 0, "try %d", i);
    cr_expect_eq(http_retry_next(&r, HTTP_AGAIN, -1, at_ms(0)), -1);
    cr_expect_eq(r.all, 10);
    http_retry_progress(&r, at_ms(0));
    cr_expect_geq(http_retry_next(&r, HTTP_AGAIN, -1, at_ms(0)), 0);
    cr_expect_eq(http_retry_next(&r, HTTP_FINAL, -1, at_ms(0)), -1);
}

Test(http_retry, at_once_is_not_counted_but_does_not_go_on_for_ever)
{
    const struct http_policy p = { .max_tries = 2, .first_ms = 5000 };
    struct http_retry r;

    http_retry_init(&r, &p, at_ms(0));
    for (int i = 0; i < 3; i++)
        cr_expect_eq(http_retry_next(&r, HTTP_AT_ONCE, -1, at_ms(0)), 0);
    cr_expect_eq(r.tries, 0);
    cr_expect_geq(http_retry_next(&r, HTTP_AT_ONCE, -1, at_ms(0)), 0);
    cr_expect_eq(r.tries, 1);
}

Test(http_retry, a_server_that_asks_for_time_gets_it_up_to_the_cap)
{
    const struct http_policy p = { .first_ms = 10, .cap_ms = 20000 };
    struct http_retry r;

    http_retry_init(&r, &p, at_ms(0));
    cr_expect_eq(http_retry_next(&r, HTTP_AGAIN, 7000, at_ms(0)), 7000);
    cr_expect_eq(http_retry_next(&r, HTTP_AGAIN, 3600000, at_ms(0)), 20000);
    cr_expect_leq(http_retry_next(&r, HTTP_AGAIN, 0, at_ms(0)), 40);
}

Test(http_retry, no_try_begins_after_the_budget)
{
    const struct http_policy p = { .first_ms = 10, .budget_ms = 5000 };
    struct http_retry r;

    http_retry_init(&r, &p, at_ms(0));
    cr_expect_geq(http_retry_next(&r, HTTP_AGAIN, -1, at_ms(4900)), 0);
    cr_expect_eq(http_retry_next(&r, HTTP_AGAIN, 200, at_ms(4900)), -1);
    cr_expect_eq(http_retry_next(&r, HTTP_AGAIN, -1, at_ms(5001)), -1);
}

Test(http_retry, retry_after_is_seconds_or_a_date)
{
    const struct wall now = { .sec = 1700000000 }; /* Tue, 14 Nov 2023 22:13:20 GMT */

    cr_expect_eq(http_retry_after_ms("5", now), 5000);
    cr_expect_eq(http_retry_after_ms("0", now), 0);
    cr_expect_eq(http_retry_after_ms("99999999999999999999", now), 86400000);
    cr_expect_eq(http_retry_after_ms("Tue, 14 Nov 2023 22:13:30 GMT", now), 10000);
    cr_expect_eq(http_retry_after_ms("Tuesday, 14-Nov-23 22:13:30 GMT", now), 10000);
    cr_expect_eq(http_retry_after_ms("Tue, 14 Nov 2023 22:13:10 GMT", now), 0);
    cr_expect_eq(http_retry_after_ms("Tue, 14 Nov 2033 22:13:10 GMT", now), 86400000);
    cr_expect_eq(http_retry_after_ms(NULL, now), -1);
    cr_expect_eq(http_retry_after_ms("", now), -1);
    cr_expect_eq(http_retry_after_ms("-5", now), -1);
    cr_expect_eq(http_retry_after_ms("5.5", now), -1);
    cr_expect_eq(http_retry_after_ms("soon", now), -1);
}

/* --- http_url */

static void
expect_host(const char *url, const char *host)
{
    char *got = http_url_host(url);

    cr_expect_str_eq(got, host, "%s: %s", url, got);
    mem_free(got);
}

Test(http_url, what_is_shown_has_neither_password_nor_query)
{
    expect_host("https://bucket.example/a/b?X-Amz-Signature=x", "bucket.example");
    expect_host("https://user:pass@bucket.example:8443/a", "bucket.example:8443");
    expect_host("http://[::1]:9000/a", "[::1]:9000");
    expect_host("http://h:80/", "h");
    expect_host("https://h:80/", "h:80");
    expect_host("http://user:secret@", "?");
    expect_host("secret", "?");
    expect_host("", "?");
}

Test(http_url, this_machine_is_known)
{
    cr_expect(http_url_is_local("http://localhost:9000/x"));
    cr_expect(http_url_is_local("http://127.1.2.3/"));
    cr_expect(http_url_is_local("https://[::1]/"));
    cr_expect(http_url_is_local("http://u:p@localhost/"));
    cr_expect(!http_url_is_local("http://localhost.evil.example/"));
    cr_expect(!http_url_is_local("http://127.evil.example/"));
    cr_expect(!http_url_is_local("http://evil.example/127.0.0.1"));
    cr_expect(!http_url_is_local("http://localhost@evil.example/"));
}

static void
expect_redirect(const char *url, const char *location, const char *expected)
{
    struct err e = ERR_NONE;
    char *out = NULL;
    int rc = http_redirect(url, location, &out, &e);

    if (expected == NULL) {
        cr_expect_eq(rc, ERR_CONFIG, "%s -> %s", url, location);
        cr_expect_null(out);
        cr_expect_null(strstr(e.text, "SECRET"), "%s", e.text);
        cr_expect_null(strstr(e.hint, "SECRET"), "%s", e.hint);
    } else {
        cr_expect_eq(rc, 0, "%s -> %s: %s", url, location, e.text);
        cr_expect(out != NULL && strcmp(out, expected) == 0, "%s -> %s: %s", url,
            location, out);
    }
    mem_free(out);
}

Test(http_url, redirects_stay_on_their_host)
{
    expect_redirect("https://h/a/b", "/c?x=%2F", "https://h/c?x=%2F");
    expect_redirect("https://h/a/b", "c", "https://h/a/c");
    expect_redirect("https://h:443/a", "https://H/b", "https://H/b");
    expect_redirect("http://h/a", "https://h/a", "https://h/a");
    expect_redirect("http://h:8080/a", "//h:8080/b", "http://h:8080/b");
    expect_redirect("https://h/a", "https://evil.example/?t=SECRET", NULL);
    expect_redirect("https://h/a", "//evil.example/a", NULL);
    expect_redirect("https://h/a", "http://h/a", NULL);
    expect_redirect("https://h/a", "https://h:8443/a", NULL);
    expect_redirect("http://h:8080/a", "https://h/a", NULL);
    expect_redirect("https://h/a", "https://h.evil.example/a", NULL);
    expect_redirect("https://h/a", "https://h@evil.example/SECRET", NULL);
    expect_redirect("https://h/a", "https://u:SECRET@evil.example/", NULL);
    expect_redirect("https://h/a", "ftp://h/a", NULL);
    expect_redirect("https://h/a", "file:///etc/passwd", NULL);
    expect_redirect("https://h/a", "javascript:SECRET", NULL);
    expect_redirect("https://h/a", "", NULL);
    expect_redirect("https://h/a", NULL, NULL);
    expect_redirect("no url", "https://h/a", NULL);
}

Test(http_url, a_redirect_elsewhere_names_both_places)
{
    struct err e = ERR_NONE;
    char *out = NULL;

    cr_expect_eq(
        http_redirect("https://old.example/a", "https://new.example:8443/b", &out, &e),
        ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "old.example"), "%s", e.text);
    cr_expect_not_null(strstr(e.text, "https://new.example:8443"), "%s", e.text);
    cr_expect_not_null(strstr(e.hint, "https://new.example:8443"), "%s", e.hint);
}

/* --- http_range */

static void
expect_asked(int64_t off, int64_t size, int64_t got, const char *expected)
{
    struct http_range r;
    char out[64];

    http_range_init(&r, off, size);
    r.got = got;
    http_range_ask(&r, out);
    cr_expect_str_eq(out, expected);
}

Test(http_range, what_is_missing_is_asked_for)
{
    expect_asked(0, -1, 0, "");
    expect_asked(0, 100, 0, "bytes=0-99");
    expect_asked(50, 100, 0, "bytes=50-149");
    expect_asked(50, 100, 30, "bytes=80-149");
    expect_asked(0, -1, 30, "bytes=30-");
    expect_asked(50, -1, 0, "bytes=50-");
}

static int
part(struct http_range *r, int status, const char *range, const char *length,
    const char *etag, int64_t *skip)
{
    struct http_part p = {
        .status = status, .content_range = range, .content_length = length, .etag = etag
    };
    struct err e = ERR_NONE;

    return http_range_begin(r, &p, skip, &e);
}

Test(http_range, a_part_is_taken_when_it_is_the_one_asked_for)
{
    const char *const bad[] = { NULL, "", "bytes", "bytes 10-19", "bytes 10-19/15",
        "bytes 19-10/100", "bytes a-b/100", "items 10-19/100", "bytes 10-19/100x",
        "bytes 11-20/100", "bytes 0-19/100", "bytes */100", "bytes 10-/100",
        "bytes 99999999999999999999-99999999999999999999/*", "bytes -10-19/100" };
    struct http_range r;
    int64_t skip;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        http_range_init(&r, 10, 10);
        cr_expect_eq(part(&r, 206, bad[i], "10", NULL, &skip), ERR_CORRUPT, "%s", bad[i]);
    }
    http_range_init(&r, 10, 10);
    cr_expect_eq(part(&r, 206, "bytes 10-19/100", "10", "\"a\"", &skip), 0);
    cr_expect_eq(skip, 0);
    cr_expect_eq(r.total, 100);
    http_range_init(&r, 10, 10);
    cr_expect_eq(part(&r, 206, "bytes 10-19/*", NULL, NULL, &skip), 0);
    cr_expect_eq(r.total, -1);
}

Test(http_range, a_whole_file_is_skipped_to_the_place)
{
    struct http_range r;
    int64_t skip;

    http_range_init(&r, 10, 10);
    r.got = 5;
    cr_expect_eq(part(&r, 200, NULL, "100", NULL, &skip), 0);
    cr_expect_eq(skip, 15);
    cr_expect_eq(r.total, 100);
    http_range_init(&r, 100, 10);
    cr_expect_eq(part(&r, 200, NULL, "100", NULL, &skip), ERR_RANGE);
}

Test(http_range, another_file_is_noticed)
{
    struct http_range r;
    int64_t skip;

    http_range_init(&r, 0, -1);
    cr_expect_eq(part(&r, 200, NULL, "100", "W/\"a\"", &skip), 0);
    cr_expect_str_eq(http_range_if_match(&r), "", "a weak one never matches");
    r.got = 50;
    cr_expect_eq(part(&r, 206, "bytes 50-99/100", "50", "\"a\"", &skip), 0);
    cr_expect_eq(part(&r, 206, "bytes 50-99/100", "50", "\"b\"", &skip), ERR_MOVED);
    cr_expect_eq(part(&r, 206, "bytes 50-100/101", "51", "\"a\"", &skip), ERR_MOVED);
    cr_expect_eq(part(&r, 200, NULL, "101", NULL, &skip), ERR_MOVED);
    http_range_init(&r, 0, -1);
    part(&r, 200, NULL, "100", "\"s\"", &skip);
    cr_expect_str_eq(http_range_if_match(&r), "\"s\"");
}

Test(http_range, a_refused_range_is_the_end_or_beyond_it)
{
    struct http_part p = { .status = 416, .content_range = "bytes */50" };
    struct http_range r;
    struct err e;
    int64_t skip;

    http_range_init(&r, 50, 10);
    cr_expect_eq(http_range_refused(&r, &p, &e), ERR_RANGE);
    http_range_init(&r, 0, -1);
    part(&r, 200, NULL, NULL, "\"s\"", &skip);
    r.got = 50;
    cr_expect_eq(http_range_refused(&r, &p, &e), 0);
    cr_expect(http_range_is_complete(&r));
    p.content_range = "bytes */40";
    cr_expect_eq(http_range_refused(&r, &p, &e), ERR_MOVED);
    p.content_range = NULL;
    cr_expect_eq(http_range_refused(&r, &p, &e), ERR_MOVED);
}

/* --- http_error */

static struct err
error_of(CURLcode code, enum http_phase phase, const char *words, int sys_errno)
{
    struct err e = ERR_NONE;
    struct http_fault f = { .code = code,
        .phase = phase,
        .words = words,
        .host = "h:1",
        .sys_errno = sys_errno,
        .connect_time_ms = 30000 };

    cr_expect_neq(http_error(&f, &e), 0);
    return e;
}

Test(http_error, every_code_is_an_error_that_names_the_host_and_shows_no_url)
{
    for (int code = 1; code < CURL_LAST; code++)
        for (int phase = 0; phase < 3; phase++) {
            struct err e = error_of((CURLcode)code, (enum http_phase)phase, "", 0);

            cr_expect_neq(e.code, ERR_OK);
            cr_expect(strstr(e.text, "h:1") != NULL || code == CURLE_SSL_CACERT_BADFILE,
                "%d: %s", code, e.text);
        }
    /* These are known to hold what they complain of. */
    cr_expect_null(strstr(error_of(CURLE_COULDNT_RESOLVE_PROXY, HTTP_CONNECTING,
                              "in 'http://u:SECRET@p'", 0)
                              .text,
        "SECRET"));
    cr_expect_null(strstr(
        error_of(CURLE_URL_MALFORMAT, HTTP_CONNECTING, "SECRET", 0).text, "SECRET"));
}

Test(http_error, words_are_exact)
{
    struct err e = error_of(CURLE_COULDNT_CONNECT, HTTP_CONNECTING, "", ECONNREFUSED);

    cr_expect_str_eq(e.text, "cannot connect to h:1: connection refused");
    cr_expect_eq(e.code, ERR_NETWORK);
    e = error_of(CURLE_OUT_OF_MEMORY, HTTP_CONNECTING, "", 0);
    cr_expect_eq(e.code, ERR_MEMORY);
    e = error_of(CURLE_OPERATION_TIMEDOUT, HTTP_CONNECTING, "", 0);
    cr_expect_str_eq(e.text, "h:1: no connection within 30 s");
    cr_expect_eq(e.code, ERR_TIMEOUT);
    e = error_of(CURLE_RECV_ERROR, HTTP_ANSWERING, "", ECONNRESET);
    cr_expect_str_eq(e.text,
        "h:1: the connection broke in the middle of the answer: connection reset by peer");
}

Test(http_error, seconds_are_for_people)
{
    char s[32];

    cr_expect_str_eq(http_seconds(60000, s), "60 s");
    cr_expect_str_eq(http_seconds(200, s), "0.2 s");
    cr_expect_str_eq(http_seconds(1234, s), "1.234 s");
    cr_expect_str_eq(http_seconds(0, s), "0 s");
}
