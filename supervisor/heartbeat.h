/*
 * heartbeat - tells a monitoring service that all is well, by asking for an address of
 * its for as long as it is; what is missed raises the alarm there.
 *
 * Every HEARTBEAT_CHECK_MS the databases are counted by the address that is theirs: their
 * own heartbeat-url, else the one of the top level; "" is none. An address is asked when
 * every open database that counts for it had everything on every replica within its last
 * heartbeat-interval, there is at least one, and the last attempt, good or not, is one
 * interval ago (of several, the shortest). The first may come at once.
 *
 * The request runs in a short-lived child process, so that neither name resolution nor
 * TLS holds up or threads the supervisor; it logs what became of it. There is no timer
 * while no address is set. Loop thread of the supervisor.
 *
 * For tests: LITESTREAM_TEST_HEARTBEAT_MS=N in the environment makes the check come every
 * N ms, and every interval shorter in the same measure.
 */
#ifndef SUPERVISOR_HEARTBEAT_H
#define SUPERVISOR_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "supervisor/db_table.h"
#include "supervisor/supervisor.h"

#define HEARTBEAT_CHECK_MS 15000

struct heartbeat; /* opaque */

/* By the configuration in effect. Its timer is on the loop until the end. */
struct heartbeat *heartbeat_start(uv_loop_t *loop, struct supervisor *sup);

/* Another configuration is in effect. NULL is fine, here and below. */
void heartbeat_reloaded(struct heartbeat *h);

/* A child has ended: reaps ours, and leaves the others alone. */
void heartbeat_on_sigchld(struct heartbeat *h);

/* Requests under way are given up; h is gone when its timer is. */
void heartbeat_close(struct heartbeat *h);

/* --- the decision ---------------------------------------------------------------------
 */

struct heartbeat_db {
    bool open;           /* it is to be replicated */
    bool alive;          /* its worker is there */
    int64_t ok_ms;       /* everything was on every replica then, Unix ms; 0: never */
    int64_t interval_ms; /* > 0 */
};

/* The databases of one address. */
struct heartbeat_tally {
    size_t n_open;
    size_t n_ill;        /* of those */
    int64_t interval_ms; /* shortest of the open ones */
};

void heartbeat_add(
    struct heartbeat_tally *t, const struct heartbeat_db *db, int64_t now_ms);

/* since_ms: the time since the last attempt; < 0: there was none. */
bool heartbeat_is_due(const struct heartbeat_tally *t, int64_t since_ms);

#endif
