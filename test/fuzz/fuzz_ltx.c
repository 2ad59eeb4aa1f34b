/*
 * fuzz_ltx - the LTX decoder, the page index and the merge on hostile bytes.
 *
 * What the decoder accepts must survive a round: encoded again and decoded again it has
 * the same pages, its index leads to the same pages, and merging it alone gives it back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_index.h"
#include "common/ltx/ltx_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    const uint8_t *p;
    size_t n, at;
};

struct bytes {
    uint8_t *p;
    size_t n;
};

static int
read_memory(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct reader *r = arg;

    (void)e;
    *n = cap < r->n - r->at ? cap : r->n - r->at;
    if (*n > 0)
        memcpy(buf, r->p + r->at, *n);
    r->at += *n;
    return 0;
}

static int
append(void *arg, const void *p, size_t n, struct err *e)
{
    struct bytes *b = arg;
    uint8_t *more = realloc(b->p, b->n + n + 1);

    (void)e;
    must(more != NULL);
    memcpy(more + b->n, p, n);
    b->p = more;
    b->n += n;
    return 0;
}

/* The index must not lead out of the file, whatever it says. */
static void
walk_index(const uint8_t *data, size_t size, uint32_t page_size)
{
    struct ltx_index_walk w;
    struct ltx_index_entry entry;
    uint8_t *page = malloc(page_size);
    int64_t off, n;
    struct err e;

    must(page != NULL);
    if (size >= 24 &&
        ltx_index_locate(data + size - 24, (int64_t)size, &off, &n, &e) == 0) {
        ltx_index_walk_init(&w, data + off, (size_t)n);
        while (ltx_index_walk_next(&w, &entry, &e) == 0)
            if (entry.offset <= (int64_t)size &&
                entry.size <= (int64_t)size - entry.offset)
                (void)ltx_page_decode(data + entry.offset, (size_t)entry.size, entry.pgno,
                    page_size, page, &e);
    }
    free(page);
}

/* Decodes all of it and encodes the pages into *out. */
static int
encode_again(const uint8_t *data, size_t size, struct bytes *out)
{
    struct reader r = { data, size, 0 };
    struct ltx_decoder *dec = NULL;
    struct ltx_encoder *enc = NULL;
    struct ltx_trailer t;
    uint8_t *page = NULL;
    struct ltx_page info;
    struct err e;
    int rc = ltx_decoder_open((struct ltx_source){ read_memory, &r }, &dec, &e);

    if (rc == 0) {
        page = malloc(ltx_decoder_header(dec)->page_size);
        must(page != NULL);
        rc = ltx_encoder_open(
            ltx_decoder_header(dec), (struct ltx_sink){ append, out }, NULL, &enc, &e);
        must(rc == 0);
        while ((rc = ltx_decoder_page(dec, &info, page, &e)) == 0)
            must(ltx_encoder_page(enc, info.pgno, page, &e) == 0);
        if (rc == ERR_END)
            rc = ltx_decoder_close(dec, &t, &e);
        if (rc == 0)
            must(ltx_encoder_close(enc, t.post_apply, NULL, &e) == 0);
        walk_index(data, size, ltx_decoder_header(dec)->page_size);
    }
    ltx_encoder_free(enc);
    ltx_decoder_free(dec);
    free(page);
    return rc;
}

/* Both decode, and to the same pages. */
static void
must_be_equal(const struct bytes *a, const struct bytes *b)
{
    struct reader ra = { a->p, a->n, 0 }, rb = { b->p, b->n, 0 };
    struct ltx_decoder *da, *db;
    struct ltx_page ia, ib;
    uint8_t *pa, *pb;
    uint32_t size;
    struct err e;
    int rc;

    must(ltx_decoder_open((struct ltx_source){ read_memory, &ra }, &da, &e) == 0);
    must(ltx_decoder_open((struct ltx_source){ read_memory, &rb }, &db, &e) == 0);
    size = ltx_decoder_header(da)->page_size;
    must(ltx_decoder_header(db)->page_size == size);
    must(ltx_decoder_header(db)->commit == ltx_decoder_header(da)->commit);
    pa = malloc(size);
    pb = malloc(size);
    must(pa != NULL && pb != NULL);
    while ((rc = ltx_decoder_page(da, &ia, pa, &e)) == 0) {
        must(ltx_decoder_page(db, &ib, pb, &e) == 0);
        must(ia.pgno == ib.pgno && memcmp(pa, pb, size) == 0);
    }
    must(rc == ERR_END && ltx_decoder_page(db, &ib, pb, &e) == ERR_END);
    must(ltx_decoder_close(da, NULL, &e) == 0 && ltx_decoder_close(db, NULL, &e) == 0);
    ltx_decoder_free(da);
    ltx_decoder_free(db);
    free(pa);
    free(pb);
}

static void
merge_alone(const struct bytes *in, struct bytes *out)
{
    struct reader r = { in->p, in->n, 0 };
    struct ltx_decoder *dec;
    struct ltx_encoder *enc;
    struct ltx_merge *m;
    struct err e;

    must(ltx_decoder_open((struct ltx_source){ read_memory, &r }, &dec, &e) == 0);
    must(ltx_merge_open(&dec, 1, &m, &e) == 0);
    must(ltx_encoder_open(
             ltx_merge_header(m), (struct ltx_sink){ append, out }, NULL, &enc, &e) == 0);
    must(ltx_merge_run(m, enc, NULL, &e) == 0);
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    ltx_decoder_free(dec);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes again = { 0 }, merged = { 0 };
    struct bytes first = { (uint8_t *)(uintptr_t)data, size };

    if (encode_again(data, size, &again) == 0) {
        must_be_equal(&first, &again);
        merge_alone(&again, &merged);
        must_be_equal(&again, &merged);
    }
    free(again.p);
    free(merged.p);
    return 0;
}
