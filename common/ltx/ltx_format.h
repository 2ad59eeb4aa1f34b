/*
 * ltx_format - the bytes of an LTX file, version 3, and the rules for its fields.
 *
 *   offset 0      header       100 bytes
 *   100           page frames  0..N, ascending page number
 *                 end marker   6 zero bytes
 *                 page index   N times three uvarints (page, offset, size), one 0x00, u64
 *   size - 16     trailer      u64 post-apply checksum, u64 file checksum
 *
 * All fixed-width integers are big-endian. A page frame in the block dialect (the one
 * that is written) is
 *
 *   0   4  page number
 *   4   2  flags, bit 0: size field follows and the payload is an LZ4 block
 *   6   4  payload bytes n
 *   10  n  LZ4 block that expands to exactly one page
 *
 * and in the frame dialect (flags 0; Litestream 0.5.0 to 0.5.15; read only)
 *
 *   6   7  LZ4 frame header 04 22 4d 18 64 40 a7
 *   13  4  block bytes n, little-endian; bit 31: stored uncompressed
 *   17  n  block
 *       4  zeros, end of the LZ4 frame
 *       4  xxHash32 (seed 0) of the page, little-endian
 *
 * The file checksum is the CRC-64 over header, then per page its header, size field
 * (block dialect) and *uncompressed* bytes, end marker, whole index with its size, and
 * the post-apply checksum; bit 63 is forced to one.
 */
#ifndef COMMON_LTX_LTX_FORMAT_H
#define COMMON_LTX_LTX_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/wall.h"

#define LTX_HEADER_SIZE 100
#define LTX_PAGE_HEADER_SIZE 6
#define LTX_PAGE_SIZE_FIELD 4
#define LTX_TRAILER_SIZE 16
#define LTX_MIN_FILE_SIZE 131 /* no pages */
#define LTX_INDEX_ENTRY_MAX 30
#define LTX_MAX_PAGE_SIZE 65536

#define LTX_FLAG_NO_CHECKSUM 0x00000002u /* database checksums are not tracked */
#define LTX_PAGE_FLAG_SIZE 0x0001u

#define LTX_CHECKSUM_FLAG (UINT64_C(1) << 63)

#define LTX_LEVEL_SNAPSHOT 9
#define LTX_N_LEVELS 10

struct ltx_header {
    uint32_t flags;
    uint32_t page_size; /* bytes */
    uint32_t commit;    /* database pages after this file; 0: empty */
    uint64_t min_txid, max_txid;
    int64_t timestamp_ms; /* Unix epoch; any value */
    uint64_t pre_apply;   /* database checksum before; 0: untracked or snapshot */
    int64_t wal_offset;   /* where the covered frames start in the WAL */
    int64_t wal_size;     /* bytes of WAL covered, frame headers included */
    uint32_t wal_salt1, wal_salt2;
    uint64_t node_id;
    uint8_t reserved[20]; /* written as zero, kept as read */
};

struct ltx_trailer {
    uint64_t post_apply;    /* 0: untracked */
    uint64_t file_checksum; /* bit 63 set */
};

/* One file of a replica as a listing tells it. */
struct ltx_info {
    int level;
    uint64_t min_txid, max_txid;
    int64_t size; /* bytes */
    struct wall created;
};

/* A snapshot is a file that starts at TXID 1; nothing else marks it. */
static inline bool
ltx_header_is_snapshot(const struct ltx_header *h)
{
    return h->min_txid == 1;
}

/* The first rule that is broken, in the words of Litestream; ERR_CORRUPT. */
int ltx_header_check(const struct ltx_header *h, struct err *e);

void ltx_header_encode(const struct ltx_header *h, uint8_t out[LTX_HEADER_SIZE]);

/* Checks the magic, then ltx_header_check. */
int ltx_header_decode(
    const uint8_t in[LTX_HEADER_SIZE], struct ltx_header *h, struct err *e);

bool ltx_page_size_valid(uint32_t page_size);

/* The page with byte 0x40000000, which SQLite never uses and no LTX file holds. */
uint32_t ltx_lock_pgno(uint32_t page_size);

/* Unsigned LEB128; returns the bytes written (1..10). */
size_t ltx_put_uvarint(uint8_t out[10], uint64_t v);

/* Bytes read (1..10); 0: the input ends inside the number; -1: longer than 64 bits. */
int ltx_get_uvarint(const uint8_t *in, size_t n, uint64_t *v);

uint64_t ltx_get_u64(const uint8_t *p);
uint32_t ltx_get_u32(const uint8_t *p);
uint16_t ltx_get_u16(const uint8_t *p);
void ltx_put_u64(uint8_t *p, uint64_t v);
void ltx_put_u32(uint8_t *p, uint32_t v);
void ltx_put_u16(uint8_t *p, uint16_t v);

/*
 * Checksum of one page and rolling checksum of a database; only foreign files track them.
 * The lock page is left out by the caller. A database starts at 0 (no pages).
 */
uint64_t ltx_page_checksum(uint32_t pgno, const void *page, uint32_t page_size);
uint64_t ltx_rolling_checksum(uint64_t sum, uint64_t page_checksum);

#endif
