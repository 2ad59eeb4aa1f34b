/*
 * ltx_files - LTX files in memory, and databases as plain arrays of pages.
 */
#ifndef TEST_UNIT_COMMON_LTX_LTX_FILES_H
#define TEST_UNIT_COMMON_LTX_LTX_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"

struct bytes {
    uint8_t *p; /* malloc, at least one byte */
    size_t n;
};

struct bytes bytes_copy(const void *p, size_t n);
void bytes_free(struct bytes *b);

/* A file below the folder of LTX samples; fails the test when it is not there. */
struct bytes sample(const char *name);

/* --- reading and writing memory */

struct reader {
    const uint8_t *p;
    size_t n, at;
    size_t chunk; /* most bytes a read gives; 0: no limit */
};

struct ltx_source reader_source(struct reader *r);
struct ltx_sink bytes_sink(struct bytes *b); /* appends */

/* --- databases */

struct image {
    uint32_t page_size, commit;
    uint8_t *pages; /* commit times page_size */
};

void image_resize(struct image *im, uint32_t page_size, uint32_t commit);
uint8_t *image_page(struct image *im, uint32_t pgno);
void image_free(struct image *im);
bool image_equals(const struct image *im, const void *p, size_t n);

/*
 * Decodes a whole file and puts its pages into the image, as a restore would; 0 or the
 * first error. The image is spoilt by an error. chunk as in struct reader.
 */
int image_apply(struct image *im, const void *p, size_t n, size_t chunk, struct err *e);

/* A header for TXID min..max as the daemon writes it. */
struct ltx_header header_of(
    uint32_t page_size, uint32_t commit, uint64_t min_txid, uint64_t max_txid);

/* Encodes the pages listed (ascending); fails the test on an error. */
struct bytes encode(
    const struct ltx_header *h, struct image *im, const uint32_t *pgnos, size_t n);

/* --- files by hand */

/* End marker, index of n frames and a trailer of zeros; returns the bytes. */
size_t put_tail(uint8_t *out, const uint32_t *pgnos, const size_t *sizes, size_t n);

/*
 * Makes the file checksum right: n frames of `sizes` bytes, of which the first `heads`
 * are hashed, holding `pages`.
 */
void seal(struct bytes *b, const uint8_t *pages, const size_t *heads, const size_t *sizes,
    size_t n);

/* Deterministic noise, the same on every machine. */
uint32_t noise(uint64_t *state);
void fill_page(uint64_t *state, uint8_t *page, uint32_t page_size);

#endif
