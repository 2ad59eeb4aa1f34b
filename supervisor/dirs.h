/*
 * dirs - databases that are found in folders: the `dir` entries of a configuration.
 *
 *     dirs_new      reads all folders: these are the members
 *     dirs_commit   from now on, where `watch` is on, the table follows the folders
 *
 * Whatever happens in a watched folder only calls for another look at it, 250 ms after
 * the first sign. A look compares what is there with what is known, so that lost and late
 * events, bursts and renames all come to the same. A member that is missing at two looks
 * is removed from the table (final sync; its replica stays); a file that takes the place
 * of another one in between is its worker's affair. A file that is not a database yet is
 * looked at again when it is written to. Where no watch can be had the folder is looked
 * at every 10 s, which is said once.
 *
 * Symbolic links are not followed. Loop thread of the supervisor, but for dirs_scan.
 */
#ifndef SUPERVISOR_DIRS_H
#define SUPERVISOR_DIRS_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "common/base/err.h"
#include "config/share.h"
#include "supervisor/db_table.h"

struct dirs;   /* opaque */
struct folder; /* opaque */

#define DIRS_MAX_FOLDERS 65536 /* of one entry; more are refused */

/* A member as it was found. */
struct dirs_member {
    struct cfg_share *share; /* of a configuration of its own; borrowed from dirs */
    const struct cfg_db *db;
    bool taken; /* for the caller to set: it is in the table as our member */
    struct folder *where;
};

/*
 * Reads the folders of all entries of share's configuration that are enabled and sets the
 * watches. The table is not touched.
 *
 *   returns  0; else nothing is left behind and *e says which folder cannot be read, or
 *            that an entry without `watch` has no database
 */
int dirs_new(uv_loop_t *loop, struct db_table *table, struct cfg_share *share,
    struct dirs **out, struct err *e);

/* What was found, in order; good until dirs_commit. */
struct dirs_member *dirs_members(struct dirs *d, size_t *n);

/* The members that were taken are ours from now on, and the folders are followed. */
void dirs_commit(struct dirs *d);

/* The table is left as it is. `closed` comes from the loop and may be NULL. */
void dirs_close(struct dirs *d, void (*closed)(void *arg), void *arg);

/* One pass over the folders of an entry for a command, in lexical order. */
typedef int dirs_found_cb(void *arg, const char *path, struct err *e);
int dirs_scan(const struct cfg_db *dir, dirs_found_cb *found, void *arg, struct err *e);

#endif
