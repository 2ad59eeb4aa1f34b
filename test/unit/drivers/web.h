/*
 * web - a server of plain sockets for tests: what it says is up to the test.
 *
 * Each connection has a thread that runs `serve`, which reads requests and writes bytes
 * as it likes, and blocks. When it returns the connection is closed. web_close ends all
 * of them, wherever they are: what they read ends, what they write goes nowhere.
 */
#ifndef TEST_UNIT_DRIVERS_WEB_H
#define TEST_UNIT_DRIVERS_WEB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define WEB_MAX_PEERS 64

struct web;

/* One connection, in its thread. */
struct peer {
    struct web *web;
    int no; /* from 0 */
    int n_requests;
    char head[65536]; /* of the request, with its empty line */
    char method[16], target[1024];
    /* The server's. */
    int fd;
    void *tls;
    char ahead[65536]; /* read, not asked for yet */
    size_t n_ahead;
};

typedef void web_serve_cb(struct peer *p);

struct web {
    int port;
    char url[64]; /* "http://127.0.0.1:port" */
    web_serve_cb *serve;
    void *arg;              /* the test's */
    atomic_int n_peers;     /* connections so far */
    atomic_int n_closed;    /* connections that are over */
    atomic_int n_requests;  /* requests so far */
    atomic_long n_received; /* bytes of bodies */
    atomic_int stage;       /* what the test and its server tell each other */
    void *state;
};

enum web_cert { WEB_NO_TLS, WEB_CERT, WEB_CERT_EXPIRED, WEB_CERT_OTHER_NAME };

/* The certificate, which is its own authority, lies in *ca (NULL: of no interest). */
void web_open(
    struct web *w, web_serve_cb *serve, void *arg, enum web_cert cert, const char **ca);
void web_close(struct web *w);

/* --- in `serve` */

/* The head of the next request; false: the client has gone. */
bool peer_request(struct peer *p);

/* A header of it without case, "" when it is not there; valid until the next call. */
const char *peer_header(struct peer *p, const char *name);

/* Up to n bytes of its body, fewer: the client has gone. buf NULL: thrown away. */
size_t peer_read(struct peer *p, void *buf, size_t n);

/* The body as its headers announce it, thrown away; its size. */
size_t peer_body(struct peer *p);

void peer_send(struct peer *p, const void *bytes, size_t n);
void peer_say(struct peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole answer. */
void peer_answer(struct peer *p, int status, const char *headers, const char *body);

/* Until the client closes. */
void peer_wait_closed(struct peer *p);

/* Until the stage is at least that. */
void peer_wait_stage(struct peer *p, int stage);

/* The connection breaks: the client gets a reset. */
void peer_reset(struct peer *p);

#endif
