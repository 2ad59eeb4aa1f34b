/*
 * backlog - how long local files wait for a destination that is away. Plain data.
 *
 * They wait until they take more room than BACKLOG_BYTES and twice the database, or are
 * more than BACKLOG_FILES: then those that are there go, and the destination gets a
 * snapshot when it is back. Files that are made later wait again, up to the same limit,
 * so that what follows a snapshot is still there when the snapshot is.
 */
#ifndef WORKERS_REPLICA_BACKLOG_H
#define WORKERS_REPLICA_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#define BACKLOG_BYTES (INT64_C(1) << 30)
#define BACKLOG_FILES 65536

struct backlog {
    int64_t bytes;       /* of files that wait; may be too many while some go up */
    uint64_t dropped_to; /* files up to this TXID do not wait any more; 0: none */
    bool told;           /* that it came so far, since it was last in sync */
};

/* Bytes that may wait for a database of db_bytes. */
int64_t backlog_limit(int64_t db_bytes);

/* A local file was made. */
void backlog_wrote(struct backlog *b, int64_t bytes);

/* The destination has all files. */
void backlog_in_sync(struct backlog *b);

/* The first TXID that waits for a destination that is at replica_txid. */
uint64_t backlog_first(const struct backlog *b, uint64_t replica_txid);

/*
 * Too many bytes, as far as it is known: the caller counts what is there (in .bytes),
 * then asks backlog_is_over.
 */
bool backlog_may_be_over(const struct backlog *b, int64_t limit);
bool backlog_is_over(
    const struct backlog *b, int64_t limit, uint64_t replica_txid, uint64_t newest_txid);

/* Gives up all files up to newest_txid; true: it has to be told. */
bool backlog_drop(struct backlog *b, uint64_t newest_txid);

#endif
