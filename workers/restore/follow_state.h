/*
 * follow_state - how far a followed database is: a mark in its page 1 and a file beside
 * it.
 *
 * The mark goes into the database together with the pages it speaks of, so it is right
 * whenever the program was killed; the file OUT-txid is written after each change of the
 * database and may be one change behind. The file is what Litestream reads.
 *
 *   page 1, offset 18  2  01 01: rollback-journal mode (a reader in WAL mode would hold
 *                         its lock for as long as it is connected)
 *                  24  4  change counter: low 32 bits of the TXID, so that every applied
 *                         file makes readers drop their caches
 *                  92  4  "version valid for": a hash of the TXID that is never equal to
 *                         the counter, so that SQLite goes by the size of the file
 *
 * A commit by SQLite makes 24 and 92 equal: a database that somebody else has written to
 * can be told.
 */
#ifndef WORKERS_RESTORE_FOLLOW_STATE_H
#define WORKERS_RESTORE_FOLLOW_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define FOLLOW_HEADER_SIZE 100 /* of a database, at the start of page 1 */

enum follow_mark {
    FOLLOW_MARK_OURS,
    FOLLOW_MARK_NONE,   /* not written by a follower of this kind, or before it began */
    FOLLOW_MARK_WRITER, /* SQLite has committed to it in rollback-journal mode */
};

/* page: at least FOLLOW_HEADER_SIZE bytes of page 1. */
void follow_mark_set(uint8_t *page, uint64_t txid);

/* near: a TXID not 2^31 or more away from the one of the mark; *txid only if OURS. */
enum follow_mark follow_mark_get(const uint8_t *page, uint64_t near, uint64_t *txid);

/* OUT-txid: 16 hex digits and a newline. Missing: *txid is 0. */
int follow_txid_read(const char *output, uint64_t *txid, struct err *e);
int follow_txid_write(const char *output, uint64_t txid, struct err *e);

#endif
