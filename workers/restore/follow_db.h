/*
 * follow_db - a database that is changed in place while others read it.
 *
 * A change goes through SQLite's own locks and its own rollback journal:
 *
 *   begin   SHARED and RESERVED: others read on, nobody else writes
 *   save    what is going to be overwritten or cut off, into OUT-journal
 *   seal    the journal is durable; EXCLUSIVE as soon as the last reader lets go
 *   write   pages
 *   commit  page 1 with its mark (follow_state.h), size, fsync, the journal is deleted
 *
 * So a reader never sees half a change, not even after a kill or a power failure: the
 * journal that is left then is played back by whoever opens the database first.
 *
 * SQLite's locks are POSIX locks, which a process loses with the first close of any
 * descriptor of the file: nothing else in this process may open the database meanwhile.
 * One thread. After an error between begin and commit: follow_db_abort.
 */
#ifndef WORKERS_RESTORE_FOLLOW_DB_H
#define WORKERS_RESTORE_FOLLOW_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"

struct follow_db; /* opaque */

/*
 * Opens an existing database and rolls back what a killed writer has left.
 *
 *   saved  TXID of OUT-txid, not 0
 *   returns 0; ERR_EXISTS: a -wal or -shm file is beside it; ERR_CONFLICT: another
 *   program has written to it; ERR_CORRUPT: no database; ERR_BUSY: it is locked
 */
int follow_db_open(
    const char *path, uint64_t saved, struct follow_db **out, struct err *e);
void follow_db_close(struct follow_db *db); /* fsync first; NULL is fine */

/* The state it is in; 0: not known, only a whole new content leads out of that. */
uint64_t follow_db_txid(const struct follow_db *db);
uint32_t follow_db_page_size(const struct follow_db *db);

/* Pages, as of the last begin or commit. */
uint32_t follow_db_n_pages(const struct follow_db *db);

/* A page as it is. Between begin and commit only; not beyond follow_db_n_pages. */
int follow_db_read(
    struct follow_db *db, uint32_t pgno, uint32_t n, void *pages, struct err *e);

/*
 * commit: pages the database will have. Pages that are cut off are saved here.
 *
 *   returns 0; ERR_CONFLICT: another program has written to it, or it is not the file at
 *   this path any more; ERR_CANCELLED while it waits for another writer
 */
int follow_db_begin(
    struct follow_db *db, uint32_t commit, const struct cancel *cancel, struct err *e);

/* May come several times for a page, also for one that is new. */
int follow_db_save(struct follow_db *db, uint32_t pgno, struct err *e);

/*
 * Waits until nobody reads, letting new readers in now and then, and says so when that
 * takes long.
 */
int follow_db_seal(struct follow_db *db, const struct cancel *cancel, struct err *e);

/* Only pages that are saved or new. */
int follow_db_write(struct follow_db *db, uint32_t pgno, const void *page, struct err *e);
int follow_db_commit(struct follow_db *db, uint64_t txid, struct err *e);

/* Gives the change up. True: it can be used on; false: it must be closed and opened. */
bool follow_db_abort(struct follow_db *db);

#endif
