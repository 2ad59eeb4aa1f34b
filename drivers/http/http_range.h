/*
 * http_range - which bytes of a file are asked for and which ones an answer holds.
 *
 * Pure functions. The file is pinned by its first answer: an ETag, else Last-Modified,
 * and its size. A later answer about another file is ERR_MOVED, never mixed in.
 */
#ifndef DRIVERS_HTTP_HTTP_RANGE_H
#define DRIVERS_HTTP_HTTP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define HTTP_PIN_MAX 256

struct http_range {
    int64_t off;   /* of the file */
    int64_t size;  /* wanted from there, -1: all that there is */
    int64_t got;   /* of that */
    int64_t total; /* bytes of the file, -1: not known yet */
    char etag[HTTP_PIN_MAX], modified[HTTP_PIN_MAX]; /* "": none */
    bool pinned;
};

/* What is to be known of an answer. Headers: NULL: not there. */
struct http_part {
    int status;
    const char *content_range, *content_length, *etag, *modified;
};

void http_range_init(struct http_range *r, int64_t off, int64_t size);

/* Everything that was wanted is here. */
bool http_range_is_complete(const struct http_range *r);

/* The value of Range for what is missing; "": none is needed. */
void http_range_ask(const struct http_range *r, char out[64]);

/* What If-Match has to be, so that another file is not sent at all; "": it cannot say. */
const char *http_range_if_match(const struct http_range *r);

/*
 * An answer with status 200 or 206 begins. *skip: bytes to pass over.
 *
 *   returns  0, ERR_MOVED (another file than before), ERR_RANGE (off lies beyond its
 * end), ERR_CORRUPT (the server sends other bytes than asked for)
 */
int http_range_begin(
    struct http_range *r, const struct http_part *p, int64_t *skip, struct err *e);

/* A 416 came. 0: there is nothing more, it is complete; else as above. */
int http_range_refused(struct http_range *r, const struct http_part *p, struct err *e);

#endif
