#include "test/unit/common/ltx/ltx_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/crc64/crc64.h"
#include "test/unit/support/tmp.h"

#define IMAGE_MAX ((uint64_t)128 << 20)

struct bytes
bytes_copy(const void *p, size_t n)
{
    struct bytes b = { malloc(n + 1), n };

    memcpy(b.p, p, n);
    return b;
}

void
bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ 0 };
}

struct bytes
sample(const char *name)
{
    char path[512];
    struct bytes b;

    snprintf(path, sizeof(path), "%s/ltx/%s", FIXTURES, name);
    b.p = tmp_read(path, &b.n);
    cr_assert_not_null(b.p, "%s", path);
    return b;
}

/* --- reading and writing memory -------------------------------------------------------
 */

static int
read_memory(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct reader *r = arg;
    size_t left = r->n - r->at;

    (void)e;
    *n = cap < left ? cap : left;
    if (r->chunk > 0 && *n > r->chunk)
        *n = r->chunk;
    memcpy(buf, r->p + r->at, *n);
    r->at += *n;
    return 0;
}

struct ltx_source
reader_source(struct reader *r)
{
    return (struct ltx_source){ read_memory, r };
}

static int
append(void *arg, const void *p, size_t n, struct err *e)
{
    struct bytes *b = arg;

    (void)e;
    b->p = realloc(b->p, b->n + n + 1);
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

struct ltx_sink
bytes_sink(struct bytes *b)
{
    return (struct ltx_sink){ append, b };
}

/* --- databases ------------------------------------------------------------------------
 */

void
image_resize(struct image *im, uint32_t page_size, uint32_t commit)
{
    size_t old = (size_t)im->page_size * im->commit, now = (size_t)page_size * commit;

    im->pages = realloc(im->pages, now + 1);
    if (now > old)
        memset(im->pages + old, 0, now - old);
    im->page_size = page_size;
    im->commit = commit;
}

uint8_t *
image_page(struct image *im, uint32_t pgno)
{
    return im->pages + (size_t)(pgno - 1) * im->page_size;
}

void
image_free(struct image *im)
{
    free(im->pages);
    *im = (struct image){ 0 };
}

bool
image_equals(const struct image *im, const void *p, size_t n)
{
    return (size_t)im->page_size * im->commit == n &&
           (n == 0 || memcmp(im->pages, p, n) == 0);
}

static int
read_pages(struct ltx_decoder *dec, struct image *im, struct err *e)
{
    const struct ltx_header *h = ltx_decoder_header(dec);
    uint8_t *page = malloc(h->page_size);
    struct ltx_page info;
    int rc;

    while ((rc = ltx_decoder_page(dec, &info, page, e)) == 0) {
        cr_assert(info.pgno >= 1 && info.pgno <= h->commit);
        if (im != NULL)
            memcpy(image_page(im, info.pgno), page, h->page_size);
    }
    free(page);
    return rc == ERR_END ? 0 : rc;
}

int
image_apply(struct image *im, const void *p, size_t n, size_t chunk, struct err *e)
{
    struct reader r = { p, n, 0, chunk };
    struct ltx_decoder *dec = NULL;
    int rc = ltx_decoder_open(reader_source(&r), &dec, e);

    if (rc == 0) {
        const struct ltx_header *h = ltx_decoder_header(dec);

        /* A damaged file may claim any size: then its verdict is all that counts. */
        bool sane = (uint64_t)h->commit * h->page_size <= IMAGE_MAX;

        if (sane)
            image_resize(im, h->page_size, h->commit);
        rc = read_pages(dec, sane ? im : NULL, e);
    }
    if (rc == 0)
        rc = ltx_decoder_close(dec, NULL, e);
    ltx_decoder_free(dec);
    return rc;
}

struct ltx_header
header_of(uint32_t page_size, uint32_t commit, uint64_t min_txid, uint64_t max_txid)
{
    return (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = page_size,
        .commit = commit,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .timestamp_ms = 1767225600000 + (int64_t)max_txid,
        .wal_offset = 32,
        .wal_size = 24 + (int64_t)page_size,
        .wal_salt1 = 0x11223344,
        .wal_salt2 = 0x55667788 };
}

struct bytes
encode(const struct ltx_header *h, struct image *im, const uint32_t *pgnos, size_t n)
{
    struct bytes out = { 0 };
    struct ltx_encoder *enc;
    struct err e;
    int rc = ltx_encoder_open(h, bytes_sink(&out), NULL, &enc, &e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = ltx_encoder_page(enc, pgnos[i], image_page(im, pgnos[i]), &e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, &e);
    cr_assert_eq(rc, 0, "%s", e.text);
    ltx_encoder_free(enc);
    return out;
}

uint32_t
noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* Half of it compresses well, half does not. */
void
fill_page(uint64_t *state, uint8_t *page, uint32_t page_size)
{
    uint8_t same = (uint8_t)noise(state);

    for (uint32_t i = 0; i < page_size; i++)
        page[i] = i < page_size / 2 ? same : (uint8_t)noise(state);
}

/* --- files by hand --------------------------------------------------------------------
 */

size_t
put_tail(uint8_t *out, const uint32_t *pgnos, const size_t *sizes, size_t n)
{
    uint64_t offset = LTX_HEADER_SIZE;
    size_t at = LTX_PAGE_HEADER_SIZE;

    memset(out, 0, LTX_PAGE_HEADER_SIZE);
    for (size_t i = 0; i < n; i++) {
        at += ltx_put_uvarint(out + at, pgnos[i]);
        at += ltx_put_uvarint(out + at, offset);
        at += ltx_put_uvarint(out + at, sizes[i]);
        offset += sizes[i];
    }
    out[at++] = 0;
    ltx_put_u64(out + at, at - LTX_PAGE_HEADER_SIZE);
    memset(out + at + 8, 0, LTX_TRAILER_SIZE);
    return at + 8 + LTX_TRAILER_SIZE;
}

void
seal(struct bytes *b, const uint8_t *pages, const size_t *heads, const size_t *sizes,
    size_t n)
{
    uint32_t page_size = ltx_get_u32(b->p + 8);
    uint64_t crc = crc64_update(0, b->p, LTX_HEADER_SIZE);
    size_t at = LTX_HEADER_SIZE;

    for (size_t i = 0; i < n; i++) {
        crc = crc64_update(crc, b->p + at, heads[i]);
        crc = crc64_update(crc, pages + i * page_size, page_size);
        at += sizes[i];
    }
    crc = crc64_update(crc, b->p + at, b->n - 8 - at);
    ltx_put_u64(b->p + b->n - 8, crc | LTX_CHECKSUM_FLAG);
}
