/*
 * mcp - the server of the Model Context Protocol: tools that show databases and replicas
 * and restore them, for a language model.
 *
 * Streamable HTTP as Litestream has it: JSON-RPC 2.0, one object a POST, one a reply;
 * `initialize` answers with a session id that later requests have to bring along. There
 * is no stream for a GET: 405. Tools are commands of this program, each in a process of
 * its own (self_run.h).
 *
 * The listener is on the loopback interface unless the address names another one. A
 * request that a web page made from elsewhere (header Origin) is refused with 403, and so
 * is one without the token where `mcp-auth-token` is set (401).
 *
 * Loop thread of the supervisor.
 */
#ifndef SUPERVISOR_MCP_MCP_H
#define SUPERVISOR_MCP_MCP_H

#include <stdint.h>

#include <uv.h>

#include "common/base/secret.h"

struct mcp; /* opaque */

struct mcp_options {
    uv_loop_t *loop;
    const char *address;
    const char *config_file;    /* of the daemon; "": none, the default one is meant */
    const struct secret *token; /* not set: everybody on the interface may ask */
};

/* All of it is copied. NULL: it cannot listen, which was logged. */
struct mcp *mcp_start(const struct mcp_options *options);

/*
 * No more connections; what runs has grace_ms to end, then it is killed. `closed` (may be
 * NULL) comes from the loop; m is gone then. Until then a second call is fine and can
 * make the grace shorter. NULL is fine.
 */
void mcp_stop(struct mcp *m, int64_t grace_ms, void (*closed)(void *arg), void *arg);

#endif
