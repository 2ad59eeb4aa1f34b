/*
 * live - what a running daemon says of the databases of a configuration file, for
 * commands that work without one, too.
 */
#ifndef SUPERVISOR_COMMANDS_LIVE_H
#define SUPERVISOR_COMMANDS_LIVE_H

#include <jansson.h>

#include "common/base/duration.h"
#include "common/base/err.h"
#include "common/ltx/ltx_format.h"
#include "common/ltx/ltx_name.h"
#include "config/config.h"

/*
 * /list of the daemon; the caller's. It is asked in passing: ERR_TIMEOUT when it does not
 * answer at once; ERR_UNSUPPORTED where the configuration has no control socket.
 */
int live_ask(const struct config *c, json_t **out, struct err *e);

/* Its entry of a database, NULL: not known to it. Borrowed; so is that of a replica,
 * which is known by its place in the configuration. */
const json_t *live_db(const json_t *live, const char *path);
const json_t *live_replica(const json_t *db, size_t i);

/* "-" where it says nothing. Of a database `key` is "replica_txid", of a replica "txid".
 */
const char *live_txid(const json_t *o, const char *key, char text[LTX_TXID_SIZE]);
const char *live_lag(const json_t *o, char text[DURATION_TEXT_MAX]);

#endif
