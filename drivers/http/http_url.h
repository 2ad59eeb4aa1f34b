/*
 * http_url - what is to be known of a URL before it is used or shown.
 */
#ifndef DRIVERS_HTTP_HTTP_URL_H
#define DRIVERS_HTTP_HTTP_URL_H

#include <stdbool.h>

#include "common/base/err.h"

/*
 * "name" or "name:port" as it is shown to people: no user, no password, no path, no
 * query. The port only when it is not the usual one. "?" when there is none; the
 * caller's.
 */
char *http_url_host(const char *url);

/* localhost, 127.x.x.x, ::1 */
bool http_url_is_local(const char *url);

/*
 * Where an answer with a Location leads, and whether the request may go there with its
 * credentials: same host, same port, or the step from http to https on the usual ports.
 *
 *   url       of the request
 *   location  as it came, may be relative; NULL: none came
 *   out       the new URL, mem_free(); set on success only
 *   returns   0, ERR_CONFIG: there is none, it is no URL, or leads to another host or out
 *             of TLS: the text names both, the hint what to configure
 */
int http_redirect(const char *url, const char *location, char **out, struct err *e);

#endif
