/*
 * ltx_encoder - writes one LTX file, page by page, in the block dialect.
 *
 * Memory does not grow with the number of pages: the page index is spooled (struct
 * spool). States: header written -> pages -> closed. The order rules of the format are
 * checked and reported with Litestream's messages (ERR_BUG: the caller's mistake). After
 * an error, whichever, every further call fails: a file that went on would lack a page
 * and look whole. Not thread-safe; any thread, one at a time.
 */
#ifndef COMMON_LTX_LTX_ENCODER_H
#define COMMON_LTX_LTX_ENCODER_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

/* Where the bytes go; an error ends the encoding. */
struct ltx_sink {
    int (*write)(void *arg, const void *bytes, size_t n, struct err *e);
    void *arg;
};

struct ltx_encoder; /* opaque */

/*
 * Checks and writes the header.
 *
 *   spool_dir  folder for the index of a large file (an unlinked temporary file);
 *              NULL: the index stays in memory
 *   out        set on success; the caller's, ltx_encoder_free()
 */
int ltx_encoder_open(const struct ltx_header *h, struct ltx_sink sink,
    const char *spool_dir, struct ltx_encoder **out, struct err *e);

/* Compresses and writes one page of header.page_size bytes. */
int ltx_encoder_page(
    struct ltx_encoder *enc, uint32_t pgno, const void *page, struct err *e);

/*
 * The same with a payload that is compressed already (copied from another file or made on
 * another thread); `page` is still needed for the checksum.
 */
int ltx_encoder_page_compressed(struct ltx_encoder *enc, uint32_t pgno, const void *page,
    const void *payload, uint32_t payload_size, struct err *e);

/*
 * Writes end marker, index and trailer. post_apply: 0 with LTX_FLAG_NO_CHECKSUM. trailer
 * may be NULL. A second call does nothing.
 */
int ltx_encoder_close(struct ltx_encoder *enc, uint64_t post_apply,
    struct ltx_trailer *trailer, struct err *e);

/* For a source of pages that fails: from now on every call fails. */
void ltx_encoder_abandon(struct ltx_encoder *enc);

int64_t ltx_encoder_size(const struct ltx_encoder *enc); /* bytes given to the sink */
uint32_t ltx_encoder_n_pages(const struct ltx_encoder *enc);
void ltx_encoder_free(struct ltx_encoder *enc); /* NULL is fine; writes nothing */

/*
 * One page as an LZ4 block, for threads that compress ahead of the encoder. out holds at
 * least ltx_payload_bound(page_size) bytes; returns the payload's size.
 */
uint32_t ltx_payload_bound(uint32_t page_size);
uint32_t ltx_compress_page(const void *page, uint32_t page_size, void *out);

#endif
