/*
 * heartbeat_ping - the request of a heartbeat. Blocks, may use threads: a command or a
 * child process.
 */
#ifndef SUPERVISOR_HEARTBEAT_PING_H
#define SUPERVISOR_HEARTBEAT_PING_H

#include "common/base/err.h"

#define HEARTBEAT_PING_MS 30000

/*
 * GET url, redirects followed. 0: the answer was 2xx; ERR_NETWORK, ERR_TIMEOUT with a
 * text that has nothing of the URL but its host.
 */
int heartbeat_get(const char *url, struct err *e);

/* For spawn_helper: does it and logs what became of it, with the host only. */
int heartbeat_ping(const void *url);

#endif
