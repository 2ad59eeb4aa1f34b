/*
 * control - what the daemon shows and takes orders by: the control socket, the metrics
 * and health pages of `addr`, and the MCP server.
 *
 * None is needed for replication: what cannot be opened is said and the daemon goes
 * on. Answers come from the worker table and the slots; only what a worker has to do
 * waits for that worker, and nobody else does.
 *
 * What is served where: the route tables at the end of api.c. Loop thread of the
 * supervisor.
 */
#ifndef SUPERVISOR_CONTROL_CONTROL_H
#define SUPERVISOR_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "supervisor/db_table.h"
#include "supervisor/supervisor.h"

struct control; /* opaque */

struct control_options {
    uv_loop_t *loop;
    struct supervisor *sup; /* its table is there already; nothing is borrowed from it */
    bool once;
    uint64_t features; /* what a database that is registered may ask for; features.h */
};

/* By the socket and addr settings in effect. The handles are on the loop until the end.
 */
struct control *control_start(const struct control_options *options);

/* Every event of the table comes here. NULL is fine, here and below. */
void control_event(struct control *c, const struct db_entry *d, enum db_event event);

/*
 * No more connections, the socket file goes. Requests under way have so long to come to
 * an end. May be called again with a shorter time.
 */
void control_stop(struct control *c, int64_t grace_ms);

/* Stops as well; the table is not touched any more. c is gone when its handles are. */
void control_end(struct control *c, int64_t grace_ms);

#endif
