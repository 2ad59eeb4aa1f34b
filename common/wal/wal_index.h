/*
 * wal_index - what counts as committed, out of the header of a wal-index
 * (sqlite.org/walformat.html).
 *
 *   two copies, 48 bytes each, at 0 and 48 of the -shm file, in the machine's byte order
 *   0   4  version 3007000                  20  4  pages of the database
 *   8   4  change counter                   24  8  checksum of frame mxFrame
 *   12  1  initialised                      32  8  salts, bytes as in the WAL
 *   13  1  byte order of the checksums      40  8  checksum of bytes 0..39
 *   14  2  page size (1: 65536)
 *   16  4  mxFrame
 *
 * A commit counts when its writer has set mxFrame, which comes after the commit frame was
 * written and, with synchronous=FULL, made durable. When the writer dies or fails in
 * between, the WAL ends in a valid commit that nobody sees and that the next writer
 * overwrites, unless all connections went away meanwhile and the WAL is recovered. So the
 * frames of a WAL in use are committed up to mxFrame, whatever stands behind it.
 */
#ifndef COMMON_WAL_WAL_INDEX_H
#define COMMON_WAL_WAL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wal/wal_format.h"

#define WAL_INDEX_COPY_SIZE 48
#define WAL_INDEX_HEADER_SIZE (2 * WAL_INDEX_COPY_SIZE)

struct wal_index {
    uint32_t last_frame_no; /* mxFrame; 0: nothing is committed in this WAL */
    struct wal_salt salt;
    struct wal_sum sum; /* chain behind the last frame; meaningless without one */
};

/* False while a writer is between the two copies, or when there is no wal-index yet. */
bool wal_index_decode(const uint8_t in[WAL_INDEX_HEADER_SIZE], struct wal_index *out);

/*
 * How many frames of the WAL with this header are committed. False when the wal-index is
 * not about this header: a writer is restarting the WAL right now, or died doing it.
 */
bool wal_index_committed(
    const struct wal_index *index, const struct wal_header *h, uint32_t *n_frames);

#endif
