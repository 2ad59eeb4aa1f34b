/*
 * rpc - the messages of the Model Context Protocol: what a request means, and the reply
 * to it. No sockets, no processes; pure but for the memory of JSON values.
 */
#ifndef SUPERVISOR_MCP_RPC_H
#define SUPERVISOR_MCP_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum rpc_error {
    RPC_PARSE = -32700,
    RPC_INVALID = -32600,
    RPC_NO_METHOD = -32601,
    RPC_BAD_PARAMS = -32602,
    RPC_INTERNAL = -32603,
};

enum rpc_kind {
    RPC_REPLY,        /* `reply` is the answer */
    RPC_INITIALIZE,   /* the same, and a session begins */
    RPC_NOTIFICATION, /* nothing is to be said */
    RPC_BAD,          /* `reply` is an error that no session is needed for: status 400 */
    RPC_CALL,         /* a tool: tools.h */
};

struct rpc_request {
    enum rpc_kind kind;
    json_t *root; /* what was received; NULL: no JSON */
    json_t *reply;
    json_t *id; /* of root; borrowed */

    /* RPC_CALL; borrowed from root */
    const char *tool;
    json_t *arguments; /* an object, or NULL */
};

/* Always gives a request that rpc_deinit() takes back. */
void rpc_read(const char *text, size_t size, struct rpc_request *out);
void rpc_deinit(struct rpc_request *r);

/* The caller's. `id` may be NULL. */
json_t *rpc_error(const json_t *id, enum rpc_error code, const char *message);
json_t *rpc_result(const json_t *id, json_t *result); /* takes result over */

/* The result of a tool. */
json_t *rpc_text(const json_t *id, const char *text, bool is_error);

/* "mcp-session-" and a UUID. */
#define RPC_SESSION_SIZE 49 /* with the NUL */
void rpc_new_session(char out[RPC_SESSION_SIZE]);
bool rpc_is_session(const char *text); /* NULL is none */

#endif
