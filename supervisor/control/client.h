/*
 * client - a request to the control socket of a daemon, for one-shot commands. Blocks.
 */
#ifndef SUPERVISOR_CONTROL_CLIENT_H
#define SUPERVISOR_CONTROL_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/base/err.h"

struct client {
    const char *socket;
    int64_t timeout_ms; /* of a whole request; <= 0: none */
};

struct client_reply {
    long status;
    char *body; /* the caller's, NUL-terminated, client_reply_deinit() */
    size_t size;
};

/*
 * Sends a request and reads the whole answer, whatever its status.
 *
 *   path     with the query, "/list"
 *   body     of a POST; NULL: it is a GET
 *   returns  0; ERR_NETWORK: there is no daemon (*e has a hint) or the connection broke;
 *            ERR_TIMEOUT; ERR_LIMIT: the answer is too large
 */
int client_call(const struct client *c, const char *path, const json_t *body,
    struct client_reply *out, struct err *e);
void client_reply_deinit(struct client_reply *r);

/*
 * The same, for an answer that must be 200 and JSON: *out is the caller's. `what` is put
 * in front of what the daemon has to say against it ("sync failed: database not found").
 */
int client_call_json(const struct client *c, const char *what, const char *path,
    const json_t *body, json_t **out, struct err *e);

/* Text as a part of a query; the caller's. */
char *client_escape(const char *text);

#endif
