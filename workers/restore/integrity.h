/*
 * integrity - SQLite's own check of a restored file that nobody else has open.
 */
#ifndef WORKERS_RESTORE_INTEGRITY_H
#define WORKERS_RESTORE_INTEGRITY_H

#include "common/base/err.h"
#include "workers/restore/output.h"

/*
 * Runs PRAGMA quick_check or integrity_check and removes the -wal and -shm files it made.
 * ERR_CORRUPT "integrity check failed: TEXT" with the first row that is not "ok".
 */
int integrity_check(const char *path, enum restore_integrity mode, struct err *e);

#endif
