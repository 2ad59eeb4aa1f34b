/*
 * db_view - a database as the outside sees it: what the table and the slot say, put into
 * the words of the control socket, the metrics and the health checks. Asks no worker and
 * touches no disk.
 */
#ifndef SUPERVISOR_CONTROL_DB_VIEW_H
#define SUPERVISOR_CONTROL_DB_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/db_table.h"

struct db_view {
    struct db_info info;
    struct slot_data slot;
    unsigned n_replicas; /* of the configuration; the slot may not have them yet */
};

void db_view_of(const struct db_entry *d, struct db_view *out);

/* "replicating", "open" (once: nothing is followed) or "stopped". */
const char *db_view_status(const struct db_view *v, bool once);

/* "running", "waiting for the database", "stopping", ...: for people. */
const char *db_view_state(const struct db_view *v);

/* Its worker lives, knows the destination, and everything captured is there. */
bool db_view_replica_in_sync(const struct db_view *v, unsigned i);
bool db_view_in_sync(const struct db_view *v); /* on all of them */

/*
 * Everything was on the destination then, Unix ms; 0: not in this life of the worker. Of
 * one in sync that is now.
 */
int64_t db_view_replica_last_sync_ms(const struct db_view *v, unsigned i, int64_t now_ms);
int64_t db_view_last_sync_ms(const struct db_view *v, int64_t now_ms); /* the oldest */

/*
 * For how long there have been changes that a destination does not hold, at most; 0 when
 * it is in sync. -1: nothing is followed.
 */
int64_t db_view_replica_lag_ms(const struct db_view *v, unsigned i, int64_t now_ms);
int64_t db_view_lag_ms(const struct db_view *v, int64_t now_ms); /* the worst */

/* Lowest TXID over the destinations. */
uint64_t db_view_replicated_txid(const struct db_view *v);

/* What is wrong now, or why the last worker died while there is no other; "": nothing. */
const char *db_view_error(const struct db_view *v);

/* Its name, else its type; with a number where others of the database have the same. */
#define DB_VIEW_LABEL_MAX 80
void db_view_replica_label(const struct cfg_db *db, unsigned i, char out[]);

#endif
