#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/must.h"
#include "supervisor/heartbeat.h"
#include "supervisor/heartbeat_ping.h"

#define NOW INT64_C(1700000000000)
#define MINUTE 60000

/* --- the decision ---------------------------------------------------------------------
 */

static const struct heartbeat_db well = {
    .open = true, .alive = true, .ok_ms = NOW, .interval_ms = MINUTE
};

/* Is an address due that these databases count for? */
static bool
due(const struct heartbeat_db *dbs, size_t n, int64_t since_ms)
{
    struct heartbeat_tally t = { 0 };

    for (size_t i = 0; i < n; i++)
        heartbeat_add(&t, &dbs[i], NOW);
    return heartbeat_is_due(&t, since_ms);
}

static bool
one_due(struct heartbeat_db db)
{
    return due(&db, 1, -1);
}

Test(heartbeat, the_first_comes_at_once_the_next_an_interval_later)
{
    cr_expect(due(&well, 1, -1));
    cr_expect_not(due(&well, 1, 0));
    cr_expect_not(due(&well, 1, MINUTE - 1));
    cr_expect(due(&well, 1, MINUTE));
}

Test(heartbeat, no_database_is_no_heartbeat)
{
    cr_expect_not(due(NULL, 0, -1));
}

Test(heartbeat, stopped_databases_do_not_count)
{
    struct heartbeat_db dbs[2] = { well, { .open = false, .interval_ms = 1 } };

    cr_expect_not(due(&dbs[1], 1, -1), "none is open");
    cr_expect(due(dbs, 2, -1));
    cr_expect_not(due(dbs, 2, MINUTE - 1), "nor does its interval");
}

Test(heartbeat, a_sync_within_the_interval_is_enough)
{
    struct heartbeat_db db = well;

    db.ok_ms = NOW - MINUTE;
    cr_expect(one_due(db));
    db.ok_ms = NOW - MINUTE - 1;
    cr_expect_not(one_due(db));
    db.ok_ms = 0;
    cr_expect_not(one_due(db), "never");
}

Test(heartbeat, a_database_without_a_worker_is_ill)
{
    struct heartbeat_db db = well;

    db.alive = false;
    cr_expect_not(one_due(db));
}

Test(heartbeat, a_clock_that_was_set_back_proves_nothing)
{
    struct heartbeat_db db = well;

    db.ok_ms = NOW + MINUTE;
    cr_expect(one_due(db));
    db.ok_ms = NOW + MINUTE + 1;
    cr_expect_not(one_due(db));
}

Test(heartbeat, one_that_is_ill_is_enough)
{
    struct heartbeat_db dbs[3] = { well, well, well };

    cr_expect(due(dbs, 3, -1));
    for (int i = 0; i < 3; i++) {
        dbs[i].ok_ms = NOW - 2 * MINUTE;
        cr_expect_not(due(dbs, 3, -1), "database %d", i);
        dbs[i] = well;
    }
}

Test(heartbeat, each_database_has_its_own_measure_the_shortest_counts)
{
    struct heartbeat_db dbs[2] = { well, well };

    dbs[0].interval_ms = 5 * MINUTE;
    dbs[0].ok_ms = NOW - 4 * MINUTE;
    cr_expect(due(dbs, 2, MINUTE));
    cr_expect_not(due(dbs, 2, MINUTE - 1));
    dbs[1].ok_ms = NOW - 2 * MINUTE;
    cr_expect_not(due(dbs, 2, -1));
}

/* --- the request ----------------------------------------------------------------------
 */

struct server {
    int fd;
    unsigned port;
    const char *const *answers; /* a connection each, until NULL */
    char got[4096];             /* of the last one */
    pthread_t thread;
};

static void *
serve(void *arg)
{
    struct server *s = arg;

    for (size_t i = 0; s->answers[i] != NULL; i++) {
        int fd = accept(s->fd, NULL, NULL);
        ssize_t n = recv(fd, s->got, sizeof(s->got) - 1, 0);

        s->got[n > 0 ? n : 0] = '\0';
        must(send(fd, s->answers[i], strlen(s->answers[i]), MSG_NOSIGNAL) >= 0);
        close(fd);
    }
    return NULL;
}

static void
start(struct server *s, const char *const *answers)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(a);

    *s = (struct server){ .answers = answers, .fd = socket(AF_INET, SOCK_STREAM, 0) };
    must(bind(s->fd, (struct sockaddr *)&a, size) == 0 && listen(s->fd, 4) == 0);
    must(getsockname(s->fd, (struct sockaddr *)&a, &size) == 0);
    s->port = ntohs(a.sin_port);
    must(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static int
ask(struct server *s, struct err *e)
{
    char url[128];
    int rc;

    snprintf(url, sizeof(url), "http://u:secret@127.0.0.1:%u/ping/secret", s->port);
    rc = heartbeat_get(url, e);
    pthread_join(s->thread, NULL);
    close(s->fd);
    cr_expect_null(strstr(e->text, "secret"), "%s", e->text);
    return rc;
}

#define EMPTY "Content-Length: 0\r\nConnection: close\r\n\r\n"

Test(heartbeat, any_2xx_is_delivered)
{
    static const char *const ok[] = { "HTTP/1.1 200 OK\r\n" EMPTY, NULL },
                             *const none[] = { "HTTP/1.1 204 No\r\n" EMPTY, NULL };
    struct err e = ERR_NONE;
    struct server s;

    start(&s, ok);
    cr_expect_eq(ask(&s, &e), 0, "%s", e.text);
    cr_expect_eq(strncmp(s.got, "GET /ping/secret HTTP/1.1\r\n", 27), 0, "%s", s.got);
    cr_expect_not_null(strstr(s.got, "User-Agent: litestream/"));
    start(&s, none);
    cr_expect_eq(ask(&s, &e), 0, "%s", e.text);
}

Test(heartbeat, redirects_are_followed)
{
    static const char *const moved[] = {
        "HTTP/1.1 302 Found\r\nLocation: /other\r\n" EMPTY,
        "HTTP/1.1 200 OK\r\n" EMPTY,
        NULL,
    };
    struct err e = ERR_NONE;
    struct server s;

    start(&s, moved);
    cr_expect_eq(ask(&s, &e), 0, "%s", e.text);
    cr_expect_eq(strncmp(s.got, "GET /other ", 11), 0, "%s", s.got);
}

Test(heartbeat, other_answers_and_none_are_failures_that_name_no_secret)
{
    static const char *const
        refused[] = { "HTTP/1.1 404 Not Found\r\n" EMPTY, NULL },
        *const file[] = { "HTTP/1.1 302 Found\r\nLocation: file:///secret\r\n" EMPTY,
            NULL };
    struct err e = ERR_NONE;
    struct server s;

    start(&s, refused);
    cr_expect_eq(ask(&s, &e), ERR_NETWORK);
    cr_expect_str_eq(e.text, "unexpected status code: 404");
    start(&s, file);
    cr_expect_eq(ask(&s, &e), ERR_NETWORK);
    cr_expect_eq(strncmp(e.text, "http request: ", 14), 0, "%s", e.text);
    cr_expect_eq(heartbeat_get("http://127.0.0.1:1/ping/secret", &e), ERR_NETWORK);
    cr_expect_eq(strncmp(e.text, "http request: ", 14), 0, "%s", e.text);
    cr_expect_null(strstr(e.text, "secret"));
}
