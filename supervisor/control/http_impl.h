/*
 * http_impl - what http_server.c (loop, connections, listening, the end) and
 * http_request.c (requests, routes, replies) share.
 *
 * A connection, as far as we know it:
 *
 *   READING --whole request--> BUSY --answer queued--> SENDING --sent--> READING ...
 *      | too late, or its place is wanted                | client gone
 *      '-----------------------> closed <----------------'
 *
 * While BUSY the connection is suspended in libmicrohttpd, unless the handler has
 * answered at once.
 */
#ifndef SUPERVISOR_CONTROL_HTTP_IMPL_H
#define SUPERVISOR_CONTROL_HTTP_IMPL_H

#include <stdint.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "common/base/buf.h"
#include "common/base/mono.h"
#include "supervisor/control/http_server.h"
#include "supervisor/control/listener.h"

enum http_conn_state { CONN_READING, CONN_BUSY, CONN_SENDING };

struct http_conn {
    struct http_conn *prev, *next; /* in the order of arrival */
    struct http_server *server;
    struct http_request *request; /* NULL: between two */
    enum http_conn_state state;
    struct mono since; /* in this state */
    int fd;            /* libmicrohttpd's */
};

struct http_request {
    struct http_conn *conn;     /* NULL: the client has gone */
    struct MHD_Connection *mhd; /* as long */
    char *method, *path;
    struct buf body;
    size_t discarded; /* bytes of a body that is too large */
    bool dispatched;
    bool suspended;
    bool owed; /* a handler has it and has not answered */
    bool cut;  /* no answer is waited for any more */
    unsigned status;
    struct MHD_Response *response;
    struct http_reply_header {
        struct http_reply_header *next;
        char *name, *value;
    } * headers;
};

struct http_watch {
    struct listener listener;
    uv_poll_t poll;
    bool active;
};

enum { HTTP_UNIX, HTTP_TCP, HTTP_N_WATCHES };

struct http_server {
    struct http_options opt;
    struct MHD_Daemon *mhd;
    uv_poll_t epoll;
    uv_timer_t due;   /* libmicrohttpd wants to run */
    uv_timer_t sweep; /* we look at the connections */
    uv_timer_t grace; /* the end */
    struct http_watch watches[HTTP_N_WATCHES];
    struct http_conn *first, *last;
    size_t n_conns;
    unsigned n_handles;
    bool waiting;  /* the listeners are not watched: no room */
    bool warned;   /* that connections cannot be accepted */
    bool running;  /* inside MHD_run */
    bool stopping; /* no more connections */
    bool closing;  /* libmicrohttpd is gone, or is just going */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* http_server.c */
void http_run_soon(struct http_server *s);
void http_set_state(struct http_conn *c, enum http_conn_state state);

/* http_request.c: callbacks of libmicrohttpd, and: */
enum MHD_Result http_on_request(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *size, void **ctx);
void http_on_completed(void *arg, struct MHD_Connection *mhd, void **ctx,
    enum MHD_RequestTerminationCode why);

/* A waiting request goes on without its answer: 503, or nothing when the client left. */
void http_cut(struct http_request *r);

#endif
