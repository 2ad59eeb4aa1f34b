/*
 * url - replica URLs: taken apart as text, and put into the settings of a replica.
 *
 * The form is SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY][#FRAGMENT]; a string
 * is a URL when word characters and "://" stand at its start. Scheme lower-cased, user,
 * password, path and query values percent-decoded, host as written.
 */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/err.h"

struct url {
    const char *scheme;
    bool has_user, has_password;
    char *user;
    char *password;
    const char *host;    /* with port */
    const char *path;    /* decoded; "" or with a leading slash */
    const char *escaped; /* the path with nothing but valid characters and escapes */
    const char *query;   /* as written */
    const char *fragment;
};

struct url_param {
    const char *name;
    char *value;
};

bool url_is(const char *text);

/* The scheme in lower case, or NULL when it is not a URL. */
const char *url_scheme(struct arena *a, const char *text);

/* *out and all strings live in the arena; it holds secrets, see url_wipe. */
int url_parse(struct arena *a, const char *text, struct url *out, struct err *e);

/* Parameters of a query, malformed ones left out. */
size_t url_params(struct arena *a, const char *query, struct url_param **out);

void url_wipe(struct url *u, struct url_param *params, size_t n_params);

/* Percent-encodes what may not stand in a path. */
const char *url_escape_path(struct arena *a, const char *path);

/* For people: the same without a password and without values that are secrets. */
const char *url_without_password(struct arena *a, const char *text);

/* The same for what was meant as a URL and may be none: all up to the last @ is masked.
 */
const char *url_masked(struct arena *a, const char *text);

/* SCHEME://HOST and no more; what is no URL ends where a path or a query would begin. */
const char *url_without_details(struct arena *a, const char *text);

#endif
