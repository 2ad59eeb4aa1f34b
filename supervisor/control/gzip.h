/*
 * gzip - the body of an answer compressed while it is sent (RFC 1952, RFC 9110 12.5.3).
 *
 * Loop thread of the supervisor. Memory: some 270 KB for each answer under way.
 */
#ifndef SUPERVISOR_CONTROL_GZIP_H
#define SUPERVISOR_CONTROL_GZIP_H

#include <stdbool.h>

#include "supervisor/control/http_server.h"

/* Does a client that sends this Accept-Encoding (NULL: none) want gzip? */
bool gzip_is_accepted(const char *accept_encoding);

/*
 * *stream becomes one that gives the same bytes compressed and owns the one it was.
 * false: there is no memory for it, and *stream is as it was.
 */
bool gzip_wrap(struct http_stream *stream);

#endif
