/*
 * ltx_index - the page index at the end of a file, for reading single pages.
 *
 * u64 index_size stands at file size - 24; the index starts at size - 24 - index_size.
 */
#ifndef COMMON_LTX_LTX_INDEX_H
#define COMMON_LTX_LTX_INDEX_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

struct ltx_index_entry {
    uint32_t pgno;
    int64_t offset; /* of the page header in the file */
    int64_t size;   /* bytes of the whole page frame */
};

/*
 * From the last 24 bytes of a file of file_size bytes: where its index starts and how
 * many bytes it has (entries and terminator). ERR_CORRUPT when that cannot be.
 */
int ltx_index_locate(const uint8_t tail[24], int64_t file_size, int64_t *off,
    int64_t *size, struct err *e);

/*
 * Walks the entries in a buffer that holds the whole index. *pos starts at 0. Checks that
 * pages ascend and that offsets follow each other from 100. ERR_END at the terminator,
 * which must be the last byte.
 */
struct ltx_index_walk {
    const uint8_t *data;
    size_t size;
    size_t pos;
    uint32_t last_pgno;
    int64_t next_offset;
};

void ltx_index_walk_init(struct ltx_index_walk *w, const void *data, size_t size);
int ltx_index_walk_next(
    struct ltx_index_walk *w, struct ltx_index_entry *entry, struct err *e);

/*
 * Decodes one page frame that was read by itself. Its page number must be pgno, which is
 * not 0; page gets page_size bytes.
 */
int ltx_page_decode(const void *frame, size_t frame_size, uint32_t pgno,
    uint32_t page_size, void *page, struct err *e);

#endif
