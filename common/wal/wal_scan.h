/*
 * wal_scan - finds what was committed in a WAL behind a known position.
 *
 * A frame counts only if its salts are those of the generation and the checksum chain
 * holds, and only up to the last commit frame: a stale, torn or rolled-back tail reads as
 * "nothing more yet". Reads through a descriptor in large blocks; never writes or locks.
 *
 * The last commit frame in a file need not be the last commit of the database (see
 * wal_index.h): of a WAL in use nothing behind the frame that the wal-index names is
 * looked at.
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

/* As last_frame_no: whatever is valid in the file. */
#define WAL_SCAN_ALL UINT32_MAX

/* What is scanned. */
struct wal_range {
    struct wal_place from;
    uint32_t last_frame_no; /* nothing behind it is looked at */
    int64_t
        limit; /* stop at the first commit at which so many bytes were taken; 0: none */
};

/*
 * Reads to the end of the range or of the valid frames. The map (wal_scan_map) then holds
 * their pages, until the next run.
 *
 *   fd      the WAL, borrowed for the call
 *   h       header of the generation
 *   cancel  looked at between frames, may be NULL; ends the run with ERR_CANCELLED
 */
int wal_scan_run(struct wal_scan *s, int fd, const struct wal_header *h,
    const struct wal_range *range, const struct cancel *cancel,
    struct wal_scan_result *out, struct err *e);

/* Walk it with max_pgno = commit and max_frame_no = last_frame_no of the result.
 * Borrowed. */
struct wal_pagemap *wal_scan_map(struct wal_scan *s);

/* Gives memory back while there is nothing to do; the map stays. */
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
