/*
 * follow_journal - a rollback journal as SQLite writes it.
 *
 * It holds what pages of a database were before they are overwritten. While it stands
 * beside the database any SQLite that opens it, in whatever process, puts these pages
 * back first: a change that was cut short is never seen.
 *
 *   offset 0    8  d9 d5 05 f9 20 a1 63 d7
 *          8    4  number of records; 0 until all of them are on the disk
 *          12   4  nonce
 *          16   4  database pages before the change
 *          20   4  sector size: where the records begin
 *          24   4  page size
 *   then per record: page number (4), page, checksum (4): nonce plus every 200th byte
 *
 * Big-endian. The journal is the caller's to hide: it must hold RESERVED on the database
 * from before follow_journal_create until after follow_journal_remove.
 */
#ifndef WORKERS_RESTORE_FOLLOW_JOURNAL_H
#define WORKERS_RESTORE_FOLLOW_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/err.h"

struct follow_journal; /* opaque */

/*
 * Is there a journal that SQLite would play back? An empty one, or one whose first byte
 * is 0, is not (journal modes TRUNCATE and PERSIST leave such).
 */
int follow_journal_is_hot(const char *path, bool *hot, struct err *e);

/* like: the database, whose mode and owner the journal gets. An old one is replaced. */
int follow_journal_create(const char *path, const struct stat *like, uint32_t page_size,
    uint32_t n_pages, struct follow_journal **out, struct err *e);

/* What page `pgno` is now; each page at most once. */
int follow_journal_add(
    struct follow_journal *j, uint32_t pgno, const void *page, struct err *e);

/* Everything is durable, also the name; from now on it is hot once the lock is gone. */
int follow_journal_seal(struct follow_journal *j, struct err *e);

/* Deletes it: with that the change is made, and durable when this returns 0. */
int follow_journal_remove(struct follow_journal *j, struct err *e);

/* Closes, leaves the file; NULL is fine. */
void follow_journal_free(struct follow_journal *j);

#endif
