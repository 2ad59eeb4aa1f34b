/*
 * restore_first - databases that are to be restored before they are replicated, because
 * their file is missing (a new machine, a container without a disk).
 *
 * Each in a process of its own, some at a time, with a quick integrity check. A database
 * without any backup starts fresh; any other failure ends the command before anything
 * else begins.
 */
#ifndef SUPERVISOR_RESTORE_FIRST_H
#define SUPERVISOR_RESTORE_FIRST_H

#include <stdbool.h>

#include "common/base/err.h"
#include "config/config.h"

/* Role PROC_COMMAND. */
int restore_first(const struct config *c, struct err *e);

/*
 * The same for one database, in a process that spawn_task makes for it: for one that is
 * added while the supervisor runs. SIGTERM ends it without a trace. Returns the exit
 * status.
 */
int restore_first_task(const struct cfg_db *db);

/* It is to be restored, and its file is missing; says so. */
bool restore_first_wanted(const struct cfg_db *db);

#endif
