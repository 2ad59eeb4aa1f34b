/*
 * position - where the last life of the worker stopped, out of its local L0 files.
 */
#ifndef WORKERS_SYNC_POSITION_H
#define WORKERS_SYNC_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_scan.h"

struct position {
    uint64_t txid;        /* newest intact file; 0: none */
    bool have_mark;       /* the file names a place in a WAL */
    struct wal_salt salt; /* generation of that place */
    int64_t off;          /* end of what was captured */
    uint32_t commit;      /* database pages at txid */
    uint32_t page_size;
    uint64_t damaged_txid; /* newest file that was put aside; 0: none */
};

/*
 * Decodes the newest local L0 file and checks all of it. A damaged one is put aside
 * (NAME.bad) and the one before it is taken: *damaged tells how many. What was lost with
 * them is captured again, or a full image replaces it, once the replicas have told what
 * they hold.
 */
int position_find(
    const char *meta, struct position *pos, unsigned *damaged, struct err *e);

/*
 * The generation of the WAL is still that of the position: proves that the bytes up to
 * pos->off are what the local files say. After a power loss SQLite may have gone back to
 * an earlier commit and written other frames over it (synchronous below FULL).
 *
 *   place    gets the chain at pos->off
 *   same     false: a full image is needed
 */
int position_verify(const char *meta, const struct position *pos, int wal_fd,
    const struct wal_header *h, struct wal_place *place, bool *same, struct err *e);

/*
 * The WAL was restarted since, and its file still holds the frame before pos->off: is
 * that the frame that the newest local file ends with? True when nothing was captured
 * from that generation.
 */
int position_verify_end(
    const char *meta, const struct position *pos, int wal_fd, bool *same, struct err *e);

#endif
