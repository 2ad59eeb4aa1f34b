/*
 * made_wal - WAL files of any page size and byte order, written by a plain second
 * implementation of the format.
 */
#ifndef TEST_UNIT_COMMON_WAL_MADE_WAL_H
#define TEST_UNIT_COMMON_WAL_MADE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MADE_WAL_MAX ((size_t)1 << 20)

struct made_wal {
    uint8_t bytes[MADE_WAL_MAX];
    size_t size;
    bool big_endian;
    uint32_t page_size, salt1, salt2, a, b;
};

/* Writes the header over the start of the bytes; what stood behind it stays. */
void made_wal_begin(struct made_wal *w, bool big_endian, uint32_t page_size, uint32_t seq,
    uint32_t salt1, uint32_t salt2);

/* Goes on at `size` with a frame whose page is filled with `fill`. */
void made_wal_frame(struct made_wal *w, uint32_t pgno, uint32_t commit, uint8_t fill);

#endif
