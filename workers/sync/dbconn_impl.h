/*
 * dbconn_impl - what the two parts of a dbconn share: dbconn.c (opening, the read lock,
 * the wal-index) and dbconn_copy.c (the write lock, checkpoints, writes of our own).
 */
#ifndef WORKERS_SYNC_DBCONN_IMPL_H
#define WORKERS_SYNC_DBCONN_IMPL_H

#include <sys/types.h>

#include <sqlite3.h>

#include "common/base/mono.h"
#include "workers/sync/dbconn.h"

/* Which file it is; an inode of 0: not known. */
struct dbconn_file {
    dev_t dev;
    ino_t ino;
};

struct dbconn {
    char *path;            /* as configured; SQLite follows links */
    char *wal, *wal_index; /* paths of the -wal and -shm file */
    int fd;                /* opened first, closed last */
    struct dbconn_file file, wal_index_file;
    sqlite3 *reader; /* holds the read transaction */
    sqlite3 *writer; /* NULL unless something is being written */
    sqlite3 *ahead;  /* NULL, or holds a later read transaction that may take over */
    uint32_t ahead_frame_no; /* that transaction sees at least these frames */
    int64_t busy_timeout_ms;
    uint32_t page_size;
    bool barrier;
    struct mono barrier_from;
};

int dbconn_sqlite_err(sqlite3 *db, int rc, struct err *e, const char *what);
int dbconn_exec(sqlite3 *db, const char *sql, struct err *e, const char *what);

/* Opens a connection with what each of ours needs. */
int dbconn_connect(struct dbconn *c, int64_t busy_ms, sqlite3 **out, struct err *e);
int dbconn_begin_read(sqlite3 *db, struct err *e);

/* busy_ms: how long it waits for the write lock. */
int dbconn_open_writer(struct dbconn *c, int64_t busy_ms, struct err *e);
void dbconn_close_writer(struct dbconn *c);
int dbconn_create_tables(sqlite3 *db, struct err *e);

#endif
