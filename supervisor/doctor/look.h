/*
 * look - facts about the machine and the databases, for doctor.h.
 *
 * Changes nothing, and opens no database by SQLite. Blocks as long as the disk does, so
 * that databases are looked at on threads; doctor_look_host asks the control socket.
 */
#ifndef SUPERVISOR_DOCTOR_LOOK_H
#define SUPERVISOR_DOCTOR_LOOK_H

#include "config/config.h"
#include "supervisor/doctor/doctor.h"

/* All but problem, n_dbs, n_dirs and newest. c is borrowed as long as out is used. */
void doctor_look_host(
    const struct config *c, int64_t timeout_ms, struct doctor_host *out);

/*
 * All but restored_if_missing. Any thread. To know whether another process holds the lock
 * of the local folder it is taken for a moment, shared, if it is free: a worker that
 * starts in that moment tries again.
 */
void doctor_look_db(const char *path, const char *meta_path, struct doctor_db *out);

/* Of the file system of a path, or of the nearest folder above it that exists. */
void doctor_look_space(const char *path, struct doctor_space *out);

/* The path, or the nearest folder above it that exists; the caller's. */
char *doctor_nearest(const char *path);

#endif
