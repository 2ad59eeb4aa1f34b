/*
 * diff - what a new configuration changes for a program that runs with an old one.
 */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include "config/config.h"

/*
 * Everything that the worker of a database uses is the same: its own settings, those of
 * its replicas, secrets included, and what holds for all databases. x is of a, y of b.
 */
bool cfg_db_same(const struct config *a, const struct cfg_db *x, const struct config *b,
    const struct cfg_db *y);

/* Names of changed keys that are read at start only, "addr, socket.path"; "": none. */
const char *config_fixed_changes(
    struct arena *arena, const struct config *a, const struct config *b);

/*
 * Where a database writes to: its local folder and each of its replicas, one name for
 * each, equal when the place is. No two databases may have one in common.
 *
 *   returns their number, at most `max`; the names are the arena's
 */
size_t cfg_db_places(
    struct arena *arena, const struct cfg_db *db, const char **names, size_t max);

/* The name of one destination; a NATS server's without its account. */
const char *cfg_place_name(struct arena *arena, const struct cfg_replica *r);

/* The user of a NATS server decides which buckets there are. */
bool cfg_same_account(const struct cfg_replica *a, const struct cfg_replica *b);

#endif
