/*
 * curl_loop - transfers of libcurl on a libuv loop.
 *
 * libcurl must not be called from its own callbacks. What those ask for - one transfer
 * more or less, going on after a pause, closing it all - is done when its outermost call
 * has returned; until then the owner's memory has to stay, which `gone` tells. Everything
 * may therefore be called from anywhere.
 *
 * libcurl is told about a transfer by its easy handle, whose CURLOPT_PRIVATE and
 * CURLOPT_SHARE are set here.
 */
#ifndef DRIVERS_HTTP_CURL_LOOP_H
#define DRIVERS_HTTP_CURL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <uv.h>

struct curl_loop; /* opaque */

/* Part of its owner, zeroed but for `easy`. */
struct transfer {
    CURL *easy; /* the owner's; not freed here */
    struct transfer *prev, *next;
    bool added;  /* libcurl knows it */
    bool doomed; /* dropped inside libcurl */
    bool broken; /* ends with CURLE_OUT_OF_MEMORY; may be set before it is added */
    bool resume, resume_now;
};

struct curl_loop_calls {
    /* It is over and not in the loop any more. Never inside libcurl: it may free. */
    void (*ended)(struct transfer *t, CURLcode code);
    /* What curl_loop_drop promises. */
    void (*gone)(struct transfer *t);
};

/* The loop lives as long. idle_ms: connections are closed so long after the last use. */
struct curl_loop *curl_loop_open(uv_loop_t *loop, const struct curl_loop_calls *calls,
    int64_t idle_ms, long max_idle_connections);

/* No transfer is left but dropped ones; closed (NULL: none) comes from the loop. */
void curl_loop_close(struct curl_loop *cl, void (*closed)(void *arg), void *arg);

void curl_loop_add(struct curl_loop *cl, struct transfer *t);

/* `ended` does not come any more; `gone` does, inside the call or soon after. */
void curl_loop_drop(struct curl_loop *cl, struct transfer *t);

/* Ends both pauses of a transfer in the next turn of the loop. */
void curl_loop_resume(struct curl_loop *cl, struct transfer *t);

/* Fails a transfer from outside: `ended` comes at once. Not inside libcurl. */
void curl_loop_end(struct curl_loop *cl, struct transfer *t, CURLcode code);

#endif
