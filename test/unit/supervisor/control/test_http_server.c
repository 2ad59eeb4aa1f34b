/*
 * The server on a loop of this process, and clients that are plain sockets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mono.h"
#include "supervisor/control/http_server.h"
#include "test/unit/support/tmp.h"

static uv_loop_t loop;
static struct http_server *server;
static const char *path; /* of the socket */
static bool gone;
static struct http_request *held[HTTP_MAX_CONNECTIONS];
static unsigned n_held, n_freed;
static struct mono skipped; /* how far our clock is ahead of the real one */

static struct mono
ahead(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){ (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + skipped.ns };
}

/* --- handlers -------------------------------------------------------------------------
 */

static void
on_echo(void *arg, struct http_request *r)
{
    const char *q = http_query(r, "q"), *h = http_get_header(r, "X-Test");
    size_t size;
    const char *body = http_body(r, &size);
    char text[512];

    cr_expect_eq(arg, &loop);
    snprintf(text, sizeof(text), "%s %s q=%s h=%s %.*s", http_method(r), http_path(r),
        q != NULL ? q : "-", h != NULL ? h : "-", (int)size, body);
    http_reply_header(r, "X-Reply", "yes");
    http_reply(r, 200, "text/plain", text);
}

static void
on_hold(void *arg, struct http_request *r)
{
    (void)arg;
    held[n_held++] = r;
}

static size_t
read_stream(void *arg, char *out, size_t max)
{
    size_t *left = arg;
    size_t n = *left < max ? *left : max;

    memset(out, 'x', n);
    *left -= n;
    return n;
}

static void
free_stream(void *arg)
{
    (void)arg;
    n_freed++;
}

static void
on_stream(void *arg, struct http_request *r)
{
    static size_t left;
    struct http_stream s = { .read = read_stream, .free = free_stream, .arg = &left };

    (void)arg;
    left = 1000000;
    http_reply_stream(r, 200, "text/plain", &s);
}

static const struct http_route routes[] = {
    { "GET", "/echo", false, on_echo },
    { "POST", "/echo", false, on_echo },
    { "GET", "/hold", false, on_hold },
    { "GET", "/stream", false, on_stream },
    { NULL, "/any/", true, on_echo },
};

/* --- the rig --------------------------------------------------------------------------
 */

static void
on_gone(void *arg)
{
    *(bool *)arg = true;
}

static void
start(void)
{
    struct http_options o = {
        .loop = &loop, .routes = routes, .n_routes = 5, .arg = &loop
    };
    struct err e;

    mono_set_source(ahead);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    path = tmp_path("s");
    cr_assert_eq(http_server_new(&o, &server, &e), 0);
    cr_assert_eq(http_server_listen_unix(server, path, 0600, &e), 0);
}

static void
finish(void)
{
    if (!gone)
        http_server_stop(server, 0, on_gone, &gone);
    while (!gone)
        uv_run(&loop, UV_RUN_ONCE);
    cr_expect_eq(uv_run(&loop, UV_RUN_NOWAIT), 0);
    cr_expect_eq(uv_loop_close(&loop), 0);
    cr_expect_not(tmp_exists(path));
}

/* Turns the loop for some time, at least once. */
static void
turn(int ms)
{
    struct timespec t0, t;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    do {
        struct timespec nap = { .tv_nsec = 200000 };

        uv_run(&loop, UV_RUN_NOWAIT);
        nanosleep(&nap, NULL);
        clock_gettime(CLOCK_MONOTONIC, &t);
    } while ((t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000 < ms);
}

static int
client(const char *request)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    return fd;
}

/* What came so far, until `end` is in it or the other side hangs up. */
static const char *
answer(int fd, const char *end)
{
    static char text[1200000];
    size_t n = 0;

    for (int i = 0; i < 20000; i++) {
        ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);

        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
        if (end != NULL && strstr(text, end) != NULL)
            break;
        turn(0);
    }
    text[n] = '\0';
    return text;
}

static bool
is_closed(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* --- tests ----------------------------------------------------------------------------
 */

Test(http_server, gives_a_handler_all_of_a_request, .init = start, .fini = finish)
{
    int fd = client("POST /e%63ho?q=a%20b HTTP/1.1\r\nHost: x\r\nx-test: 7\r\n"
                    "Content-Length: 5\r\n\r\nhel");
    const char *got;

    turn(20);
    cr_assert_eq(write(fd, "lo", 2), 2);
    got = answer(fd, "hello");
    cr_expect(strstr(got, "POST /echo q=a b h=7 hello") != NULL, "%s", got);
    cr_expect(strstr(got, "X-Reply: yes") != NULL);
    cr_expect(strstr(got, "Content-Type: text/plain") != NULL);
    close(fd);
}

Test(http_server, serves_one_request_after_the_other, .init = start, .fini = finish)
{
    int fd = client(GET("/echo?q=1"));

    cr_expect(strstr(answer(fd, "q=1"), "200 OK") != NULL);
    cr_assert_gt(write(fd, GET("/any/thing"), strlen(GET("/any/thing"))), 0);
    cr_expect(strstr(answer(fd, "q=-"), "GET /any/thing") != NULL);
    cr_assert_gt(write(fd, GET("/nope"), strlen(GET("/nope"))), 0);
    cr_expect(strstr(answer(fd, "not found\n"), " 404 ") != NULL);
    cr_assert_gt(write(fd, "PUT /echo HTTP/1.1\r\nHost: x\r\n\r\n", 31), 0);
    cr_expect(strstr(answer(fd, "Not Allowed\n"), "Allow: GET, HEAD, POST") != NULL);
    close(fd);
}

Test(http_server, answers_later_while_it_serves_others, .init = start, .fini = finish)
{
    int slow = client(GET("/hold")), quick;

    turn(30);
    cr_assert_eq(n_held, 1);
    quick = client(GET("/echo"));
    cr_expect(strstr(answer(quick, "q=-"), "200 OK") != NULL);
    http_reply(held[0], 418, "text/plain", "at last");
    cr_expect(strstr(answer(slow, "at last"), " 418 ") != NULL);
    close(slow);
    close(quick);
}

Test(http_server, drops_the_answer_of_a_client_that_has_gone, .init = start,
    .fini = finish)
{
    int fd = client(GET("/hold"));

    turn(30);
    cr_assert_eq(n_held, 1);
    close(fd);
    turn(1300); /* it is looked for once a second */
    http_reply(held[0], 200, "text/plain", "too late");
    turn(30);
}

Test(http_server, makes_a_long_answer_while_it_is_sent, .init = start, .fini = finish)
{
    int fd = client("GET /stream HTTP/1.0\r\n\r\n");
    const char *got = answer(fd, NULL);
    const char *body = strstr(got, "\r\n\r\n");

    cr_assert_not_null(body);
    cr_expect_eq(strlen(body + 4), 1000000, "%zu", strlen(body + 4));
    cr_expect_eq(strspn(body + 4, "x"), 1000000);
    turn(10);
    cr_expect_eq(n_freed, 1);
    close(fd);
    fd = client(GET("/stream"));
    turn(20);
    close(fd); /* in the middle of it */
    turn(50);
    cr_expect_eq(n_freed, 2);
}

Test(http_server, hangs_up_on_a_request_that_does_not_come, .init = start, .fini = finish)
{
    int silent = client(""), half = client("GET /ec"), waits = client(GET("/hold"));
    int body = client("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");

    turn(30);
    skipped.ns += (int64_t)(HTTP_READ_MS - 10000) * 1000000;
    turn(1300);
    cr_expect_not(is_closed(silent) || is_closed(half) || is_closed(body));
    skipped.ns += INT64_C(10000) * 1000000;
    turn(1300);
    cr_expect(is_closed(silent));
    cr_expect(is_closed(half));
    cr_expect(is_closed(body));
    cr_expect_not(is_closed(waits));
    http_reply(held[0], 200, "text/plain", "still here");
    cr_expect(strstr(answer(waits, "here"), "200 OK") != NULL);
    close(silent);
    close(half);
    close(body);
    close(waits);
}

Test(http_server, makes_room_by_closing_who_is_silent, .init = start, .fini = finish)
{
    int silent[HTTP_MAX_CONNECTIONS], fd, n_closed = 0;

    for (int i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        silent[i] = client("");
        turn(0);
    }
    turn(50);
    fd = client(GET("/echo"));
    turn(100);
    cr_expect_eq(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT | MSG_PEEK), -1); /* it waits */
    skipped.ns += INT64_C(2000) * 1000000;
    cr_expect(strstr(answer(fd, "q=-"), "200 OK") != NULL);
    for (int i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        n_closed += is_closed(silent[i]);
        close(silent[i]);
    }
    cr_expect(n_closed >= 1 && n_closed <= 4, "%d", n_closed);
    close(fd);
}

Test(http_server, lets_others_wait_while_all_places_are_at_work, .init = start,
    .fini = finish)
{
    int busy[HTTP_MAX_CONNECTIONS], fd;

    for (int i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        busy[i] = client(GET("/hold"));
        turn(0);
    }
    turn(100);
    cr_assert_eq(n_held, HTTP_MAX_CONNECTIONS);
    fd = client(GET("/echo"));
    skipped.ns += INT64_C(60000) * 1000000;
    turn(1200);
    cr_expect_eq(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    for (unsigned i = 0; i < n_held; i++)
        http_reply(held[i], 200, "text/plain", "done");
    cr_expect(strstr(answer(busy[0], "done"), "200 OK") != NULL);
    close(busy[0]);
    cr_expect(strstr(answer(fd, "q=-"), "200 OK") != NULL);
    for (int i = 1; i < HTTP_MAX_CONNECTIONS; i++)
        close(busy[i]);
    close(fd);
}

Test(http_server, refuses_a_body_that_is_too_large, .init = start, .fini = finish)
{
    static char big[HTTP_BODY_MAX + 2];
    char head[100];
    int fd;

    memset(big, 'x', HTTP_BODY_MAX + 1);
    snprintf(head, sizeof(head),
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
        HTTP_BODY_MAX + 1);
    fd = client(head);
    for (size_t sent = 0; sent < HTTP_BODY_MAX + 1;) {
        ssize_t n = send(fd, big + sent, HTTP_BODY_MAX + 1 - sent, MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        turn(0);
    }
    cr_expect(strstr(answer(fd, "too large"), " 413 ") != NULL);
    close(fd);
}

Test(http_server, stops_when_the_last_request_is_answered, .init = start, .fini = finish)
{
    int idle = client(""), slow = client(GET("/hold"));

    turn(30);
    cr_assert_eq(n_held, 1);
    http_server_stop(server, 60000, on_gone, &gone);
    cr_expect_not(tmp_exists(path)); /* at once */
    turn(50);
    cr_expect_not(gone);
    http_reply(held[0], 200, "text/plain", "just in time");
    cr_expect(strstr(answer(slow, "in time"), "200 OK") != NULL);
    for (int i = 0; i < 1000 && !gone; i++)
        turn(1);
    cr_expect(gone);
    cr_expect(is_closed(idle));
    close(idle);
    close(slow);
}

Test(
    http_server, answers_for_others_when_the_grace_is_over, .init = start, .fini = finish)
{
    int fd = client(GET("/hold"));
    const char *got;

    turn(30);
    http_server_stop(server, 100, on_gone, &gone);
    for (int i = 0; i < 5000 && !gone; i++)
        turn(1);
    cr_assert(gone);
    got = answer(fd, NULL);
    cr_expect(strstr(got, " 503 ") != NULL, "%s", got);
    http_reply(held[0], 200, "text/plain", "too late"); /* the server is gone */
    close(fd);
}

Test(http_server, a_second_stop_shortens_the_grace, .init = start, .fini = finish)
{
    int fd = client(GET("/hold"));

    turn(30);
    http_server_stop(server, 600000, on_gone, &gone);
    turn(30);
    cr_expect_not(gone);
    http_server_stop(server, 10, NULL, NULL);
    for (int i = 0; i < 5000 && !gone; i++)
        turn(1);
    cr_expect(gone);
    http_reply(held[0], 200, "text/plain", "");
    close(fd);
}
