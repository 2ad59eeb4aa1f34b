/*
 * ltx_decoder - reads one LTX file of either dialect, strictly.
 *
 * Bounded memory whatever the file claims. Refused, beyond what the checksums catch:
 * pages not ascending, above commit or the lock page; a payload of 0 bytes, above
 * LZ4_COMPRESSBOUND or that does not expand to one page; a snapshot that does not hold
 * every page; an index that differs from the pages read; a post-apply checksum in a file
 * without tracked checksums; bytes behind the trailer. Messages follow Litestream's
 * `verify` where it has one. Reserved header bytes are accepted.
 *
 * Nothing a decoder delivered may be trusted before ltx_decoder_close returned 0: only
 * then is the file checksum known to be right.
 */
#ifndef COMMON_LTX_LTX_DECODER_H
#define COMMON_LTX_LTX_DECODER_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

/* Where the bytes come from: up to cap bytes, *n = 0 at the end. */
struct ltx_source {
    int (*read)(void *arg, void *buf, size_t cap, size_t *n, struct err *e);
    void *arg;
};

struct ltx_page {
    uint32_t pgno;
    int64_t offset; /* of the page header in the file */
    int64_t size;   /* page header, size field and payload */
    /* LZ4 block, valid until the next call; NULL in the frame dialect */
    const void *payload;
    uint32_t payload_size;
};

struct ltx_decoder; /* opaque */

/* Reads and checks the header; *out is the caller's, ltx_decoder_free(). */
int ltx_decoder_open(struct ltx_source src, struct ltx_decoder **out, struct err *e);

/* From an open descriptor, read sequentially from `off`; borrowed until ltx_decoder_free.
 */
int ltx_decoder_open_fd(int fd, int64_t off, struct ltx_decoder **out, struct err *e);

const struct ltx_header *ltx_decoder_header(const struct ltx_decoder *dec);

/*
 * The next page: its bytes go to `page` (page_size bytes). ERR_END after the last one.
 */
int ltx_decoder_page(
    struct ltx_decoder *dec, struct ltx_page *info, void *page, struct err *e);

/* Reads to the end of the stream and verifies; after ERR_END only. trailer may be NULL.
 */
int ltx_decoder_close(
    struct ltx_decoder *dec, struct ltx_trailer *trailer, struct err *e);

void ltx_decoder_free(struct ltx_decoder *dec); /* NULL is fine */

/* Reads header, all pages and trailer of an open file; checks everything. */
int ltx_verify_fd(int fd, struct ltx_header *h, struct err *e);

#endif
