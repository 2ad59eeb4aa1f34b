/*
 * uri - percent-encoding as the signatures of object stores want it: every byte outside
 * of A-Z a-z 0-9 - . _ ~ as %XX in upper case.
 */
#ifndef DRIVERS_AUTH_URI_H
#define DRIVERS_AUTH_URI_H

#include <stdbool.h>

#include "common/base/buf.h"

struct uri_pair {
    const char *name;
    const char *value; /* "": sent as "name=" */
};

bool uri_add(struct buf *out, const char *text);      /* "/" is encoded too */
bool uri_add_path(struct buf *out, const char *path); /* "/" stays */

/*
 * A query without the "?": pairs encoded, sorted by encoded name and value, joined with
 * "&". Both what is sent and what is signed. At most URI_MAX_PAIRS.
 */
#define URI_MAX_PAIRS 32
bool uri_add_query(struct buf *out, const struct uri_pair *pairs, size_t n);

/* The same in the order given: the body of a form. */
bool uri_add_form(struct buf *out, const struct uri_pair *pairs, size_t n);

#endif
