/*
 * db_id - which file the local LTX files describe: its inode number and, where the file
 * system tells, when the inode was made.
 *
 * The WAL alone does not say whether it still belongs to the database file beside it: a
 * file that was moved into its place reads with the old WAL, and when all of that WAL had
 * been copied, without a single frame of it. So the identity is kept in the local folder
 * (".database", one line of text) and compared whenever the database is opened. It is
 * written once what it names is captured; one that is missing or cannot be read says
 * nothing. The device number is no part of it: it may be another after a reboot.
 */
#ifndef WORKERS_SYNC_DB_ID_H
#define WORKERS_SYNC_DB_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/sys.h"

struct db_id {
    uint64_t inode; /* 0: not known */
    int64_t born_s; /* seconds since 1970; 0: not known */
    uint32_t born_ns;
};

/* Of an open file; not known when it cannot be asked. */
struct db_id db_id_of(int fd);

bool db_id_equal(const struct db_id *a, const struct db_id *b);

/* False when both are known and differ. */
bool db_id_may_be(const struct db_id *a, const struct db_id *b);

/* Out of the local folder; *id is not known when there is none that can be read. */
int db_id_load(const char *meta, struct db_id *id, struct err *e);

/* Not made durable: a lost one says nothing, an older one costs a full image. */
int db_id_store(const char *meta, const struct sys_owner *owner, const struct db_id *id,
    struct err *e);

#endif
