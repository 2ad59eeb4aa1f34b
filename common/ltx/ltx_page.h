/*
 * ltx_page - one page frame out of memory, in either dialect. Shared by the decoder and
 * by random access.
 */
#ifndef COMMON_LTX_LTX_PAGE_H
#define COMMON_LTX_LTX_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* Enough bytes to tell the size of a frame of either dialect. */
#define LTX_PAGE_PROBE 17

/* Most bytes a frame may have. */
size_t ltx_page_frame_max(uint32_t page_size);

struct ltx_page_frame {
    uint32_t pgno;
    uint16_t flags;
    size_t head_size;   /* header bytes that are hashed: 6 or 10 */
    size_t payload_off; /* block dialect: of the LZ4 block; frame dialect: of the LZ4
                           frame */
    size_t payload_size;
    size_t size; /* of the whole frame */
};

/*
 * Reads the header; n bytes are there, LTX_PAGE_PROBE unless the file ends before. A page
 * number of 0 is the end marker. ERR_CORRUPT: no valid header, or lengths that cannot be.
 */
int ltx_page_probe(const uint8_t *bytes, size_t n, uint32_t page_size,
    struct ltx_page_frame *f, struct err *e);

/*
 * Expands the payload of a probed frame (not of the end marker) to exactly page_size
 * bytes. `bytes` is the whole frame.
 */
int ltx_page_expand(const uint8_t *bytes, const struct ltx_page_frame *f,
    uint32_t page_size, void *page, struct err *e);

#endif
