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

#include "common/base/err.h"
#include "config/config.h"

/* Role PROC_COMMAND. */
int restore_first(const struct config *c, struct err *e);

#endif
