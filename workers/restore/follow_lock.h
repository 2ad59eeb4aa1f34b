/*
 * follow_lock - SQLite's locks on a database file, as byte ranges.
 *
 *   0x40000000    1  PENDING   no new readers
 *   0x40000001    1  RESERVED  one writer, readers go on
 *   0x40000002  510  SHARED    read-locked by each reader; write-locked: EXCLUSIVE
 *
 * POSIX record locks: those of one process do not exclude each other, and all of them go
 * with the first close of any descriptor of the file.
 */
#ifndef WORKERS_RESTORE_FOLLOW_LOCK_H
#define WORKERS_RESTORE_FOLLOW_LOCK_H

#include "common/base/cancel.h"
#include "common/base/err.h"

/*
 * SHARED and RESERVED. Waits while another writer has it.
 *
 *   path  for messages
 *   returns 0; ERR_CANCELLED; ERR_IO: no locks on this file system
 */
int follow_lock_reserve(
    int fd, const char *path, const struct cancel *cancel, struct err *e);

/*
 * From there to EXCLUSIVE. New readers are held off for some seconds at most at a time;
 * when readers stay longer they are let in for a moment, a warning is logged, and it is
 * tried again.
 */
int follow_lock_exclude(
    int fd, const char *path, const struct cancel *cancel, struct err *e);

void follow_unlock(int fd);

#endif
