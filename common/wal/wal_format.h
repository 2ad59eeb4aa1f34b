/*
 * wal_format - the bytes of a SQLite write-ahead log
 * (sqlite.org/fileformat2.html#walformat).
 *
 *   header, 32 bytes, big-endian            frame header, 24 bytes, big-endian
 *   0   4  magic 377f0682 / 377f0683        0   4  page number
 *   4   4  version 3007000                  4   4  0, or pages after this commit
 *   8   4  page size                        8   8  salt-1, salt-2 of the generation
 *   12  4  checkpoint sequence              16  8  cumulative checksum
 *   16  8  salt-1, salt-2
 *   24  8  checksum of bytes 0..23          one page follows each frame header
 *
 * The last bit of the magic tells the byte order of the checksum's *input* words (0
 * little, 1 big); checksum fields are always big-endian. The chain starts with the
 * header's checksum and runs over bytes 0..7 of each frame header and the page.
 */
#ifndef COMMON_WAL_WAL_FORMAT_H
#define COMMON_WAL_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define WAL_HEADER_SIZE 32
#define WAL_FRAME_HEADER_SIZE 24
#define WAL_MAGIC_LE 0x377f0682u
#define WAL_MAGIC_BE 0x377f0683u
#define WAL_VERSION 3007000u

struct wal_sum {
    uint32_t a, b;
};

struct wal_salt {
    uint32_t s1, s2;
};

struct wal_header {
    bool big_endian; /* byte order of the checksum's input words */
    uint32_t page_size;
    uint32_t seq;
    struct wal_salt salt;
    struct wal_sum sum;
};

struct wal_frame {
    uint32_t pgno;
    uint32_t commit; /* pages of the database after this transaction; 0: not a commit */
    struct wal_salt salt;
    struct wal_sum sum;
};

/*
 * Decodes a header. ERR_AGAIN: its checksum is wrong (a writer is at it, or it is all
 * zeros); ERR_CORRUPT: another magic, version or page size under a right checksum.
 */
int wal_header_decode(
    const uint8_t in[WAL_HEADER_SIZE], struct wal_header *h, struct err *e);

void wal_frame_decode(const uint8_t in[WAL_FRAME_HEADER_SIZE], struct wal_frame *f);

/* Continues the running checksum; n is a multiple of 8. */
void wal_sum_update(struct wal_sum *sum, bool big_endian, const void *bytes, size_t n);

static inline bool
wal_sum_equal(struct wal_sum x, struct wal_sum y)
{
    return x.a == y.a && x.b == y.b;
}

static inline bool
wal_salt_equal(struct wal_salt x, struct wal_salt y)
{
    return x.s1 == y.s1 && x.s2 == y.s2;
}

/* Bytes of one frame with its page. */
static inline int64_t
wal_frame_size(uint32_t page_size)
{
    return (int64_t)page_size + WAL_FRAME_HEADER_SIZE;
}

/* Offset of the frame with this number (from 1), and the reverse. */
static inline int64_t
wal_frame_off(uint32_t page_size, uint32_t frame_no)
{
    return WAL_HEADER_SIZE + (int64_t)(frame_no - 1) * wal_frame_size(page_size);
}

/* Size of a WAL with n frames. */
static inline int64_t
wal_size_of(uint32_t page_size, int64_t n_frames)
{
    return WAL_HEADER_SIZE + n_frames * wal_frame_size(page_size);
}

#endif
