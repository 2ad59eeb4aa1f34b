/*
 * supervisor - one thread, one loop, no database ever opened: starts a worker per
 * database, starts it again when it dies, and ends them all in order.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "config/config.h"

struct supervisor; /* opaque */
struct db_table;
struct cfg_share;

struct supervisor_options {
    struct config *config; /* borrowed until supervisor_run returns */

    /*
     * Reads the configuration again, checks it as at start and reads its secrets; *out
     * becomes the supervisor's. NULL: there is nothing to read again.
     */
    int (*load)(void *arg, struct config **out, struct err *e);
    void *load_arg;

    uint64_t features; /* what a database that is registered may ask for; features.h */

    /* Bring every replica up to date and end, instead of running until a signal. */
    bool once, force_snapshot, enforce_retention;
};

/*
 * Runs until a signal ends it, or all is done. Returns 0, or what went wrong: nothing
 * could be started, or the changes of a database did not reach its replicas.
 */
int supervisor_run(const struct supervisor_options *options, struct err *e);

/* --- for the servers that run on its loop ---------------------------------------------
 */

struct db_table *supervisor_table(struct supervisor *s);

/* The one in effect, borrowed until the loop goes on: a reload replaces it. */
const struct config *supervisor_config(const struct supervisor *s);
struct cfg_share *supervisor_share(struct supervisor *s); /* borrowed */

/* What a reload did. */
struct reload_report {
    size_t n_added, n_removed, n_restarted, n_kept; /* databases */
    const char *ignored; /* changed keys that need a new start of the program, "a, b"; "":
                            none. Borrowed until the next reload */
};

/*
 * Reads the configuration again and applies what is different: added databases start,
 * removed ones make their final sync and stop, changed ones restart, all others are not
 * disturbed. Databases that were registered at run time stay. What it did is logged.
 *
 *   returns  0; else nothing has changed and *e says why: the file cannot be read or is
 *            wrong, ERR_UNSUPPORTED: there is no file, ERR_CANCELLED: we are ending
 */
int supervisor_reload(struct supervisor *s, struct reload_report *out, struct err *e);

#endif
