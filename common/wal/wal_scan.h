/*
 * wal_scan - finds what was committed in a WAL behind a known position.
 *
 * A frame counts only if its salts are those of the generation and the checksum chain
 * holds, and only up to the last commit frame: a stale, torn or rolled-back tail reads as
 * "nothing more yet". Reads through a descriptor in large blocks; never writes or locks.
 *
 * A scan that found no commit can be continued later: when the last frame it saw is still
 * the same it goes on behind it, else it starts over, so that an unfinished transaction
 * of many gigabytes is not read again each time.
 */
#ifndef COMMON_WAL_WAL_SCAN_H
#define COMMON_WAL_WAL_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_pagemap.h"

/* A place between two frames of a generation and the checksum chain up to it. */
struct wal_place {
    int64_t off; /* WAL_HEADER_SIZE + k * frame size */
    struct wal_sum sum;
};

struct wal_scan_result {
    struct wal_place end; /* behind the last commit frame; the start when there is none */
    struct wal_place valid_end; /* behind the last valid frame, committed or not */
    uint32_t commit;            /* database pages after the last commit; 0: none found */
    uint32_t last_frame_no;     /* number of the last commit frame */
    uint32_t n_commits;
    bool limited; /* stopped at the limit: there may be more commits behind end */
};

struct wal_scan; /* opaque */

struct wal_scan *wal_scan_new(const char *spool_dir);
void wal_scan_free(struct wal_scan *s); /* NULL is fine */

/* Forgets everything; the next run starts at `from` of the generation that `h` names. */
void wal_scan_start(
    struct wal_scan *s, const struct wal_header *h, struct wal_place from);

/*
 * Reads on to the end of the valid frames, or to the first commit at which at least
 * `limit` bytes were taken since the start (0: no limit).
 *
 *   fd      the WAL, borrowed for the call
 *   cancel  looked at between blocks, may be NULL; ends the run with ERR_CANCELLED
 *
 * After a run that found a commit the map (wal_scan_map) holds the pages; the next use
 * needs wal_scan_start.
 */
int wal_scan_run(struct wal_scan *s, int fd, int64_t limit, const struct cancel *cancel,
    struct wal_scan_result *out, struct err *e);

/* Walk it with max_pgno = commit and max_frame_no = last_frame_no of the result.
 * Borrowed. */
struct wal_pagemap *wal_scan_map(struct wal_scan *s);

/* Gives memory back while there is nothing to do; keeps a started scan valid. */
void wal_scan_trim(struct wal_scan *s);

/*
 * Recomputes the chain from the header to `off`, which must be the end of a commit frame
 * of the header's generation; *place gets it. ERR_CORRUPT when the chain does not reach
 * it.
 */
int wal_chain_to(int fd, const struct wal_header *h, int64_t off, struct wal_place *place,
    const struct cancel *cancel, struct err *e);

/* Reads and decodes the header: ERR_NOT_FOUND when the file has fewer than 32 bytes. */
int wal_read_header(int fd, struct wal_header *h, struct err *e);

/* Reads the frame header at off; ERR_END when the file has fewer bytes. */
int wal_read_frame(int fd, int64_t off, struct wal_frame *f, struct err *e);

#endif
