/*
 * http_impl - what the parts of a request share: http.c (its life), http_setup.c (what
 * libcurl is told) and http_body.c (what comes and goes). Only they include this header.
 */
#ifndef DRIVERS_HTTP_HTTP_IMPL_H
#define DRIVERS_HTTP_HTTP_IMPL_H

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/mono.h"
#include "drivers/http/curl_loop.h"
#include "drivers/http/http.h"

#define HTTP_CONNECT_MS 30000

struct http {
    uv_loop_t *loop;
    struct curl_loop *curl;
    char *ca_file;
    int64_t stall_ms;
    size_t n_ops;
    bool closing;
    bool timer_closed, curl_closed;
    void (*closed)(void *arg);
    void *closed_arg;
    uv_timer_t stall; /* runs while there are requests */
    struct http_op *first;
};

struct http_op {
    struct transfer transfer;
    struct http *http;
    struct http_op *prev, *next;
    struct http_request req;
    char *host; /* "name:port", for words */
    struct curl_slist *headers;
    struct buf head; /* "name\0value\0"... of the answer */
    struct buf kept;
    int64_t sent;     /* bytes that `fill` or the body gave */
    int64_t skipped;  /* bytes of the answer that were not kept */
    int64_t received; /* bytes of the answer, with its headers */
    int64_t moved;    /* what had come and gone when it was looked at last */
    struct mono moved_at;
    int n_heads;    /* answers so far: 100 Continue, a challenge, the last one */
    bool head_done; /* all headers of an answer are here */
    bool paused;    /* by http_pause */
    bool starved;   /* `fill` had nothing */
    bool enough;    /* the rest of the answer does not matter */
    bool cancelled;
    int status; /* 0: ask libcurl */
    char words[CURL_ERROR_SIZE];
    struct err err; /* of `data`, `fill`, or of us */
};

/* http_setup.c: everything that libcurl is to know of op->req. */
void http_setup(struct http_op *op);

/* http_body.c: callbacks of libcurl, arg is the op. */
size_t http_on_header(char *line, size_t one, size_t n, void *arg);
size_t http_on_data(char *bytes, size_t one, size_t n, void *arg);
size_t http_on_read(char *buf, size_t one, size_t n, void *arg);
int http_on_seek(void *arg, curl_off_t off, int origin);

#endif
