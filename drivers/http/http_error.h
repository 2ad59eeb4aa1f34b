/*
 * http_error - why a request got no answer, in words for people.
 *
 * A pure function of what libcurl reports. Its own words are used only where they say
 * more than the code does, and never where they could hold a URL.
 */
#ifndef DRIVERS_HTTP_HTTP_ERROR_H
#define DRIVERS_HTTP_HTTP_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "common/base/err.h"

enum http_phase { HTTP_CONNECTING, HTTP_SENDING, HTTP_ANSWERING };

struct http_fault {
    CURLcode code;
    const char *words;   /* libcurl's, "": none */
    int sys_errno;       /* 0: none */
    const char *host;    /* as http_url_host shows it */
    const char *ca_file; /* NULL: the system's */
    enum http_phase phase;
    int connect_status;      /* what a proxy said to CONNECT, 0: nothing */
    int64_t timeout_ms;      /* of the whole, 0: none */
    int64_t connect_time_ms; /* how long a connection may take */
};

/* Sets *e and its hint; returns the code, never 0. */
int http_error(const struct http_fault *f, struct err *e);

/* "60 s", "0.2 s"; 32 bytes are enough. */
const char *http_seconds(int64_t ms, char out[32]);

#endif
