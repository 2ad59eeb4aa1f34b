#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <lz4frame.h>

#include "common/ltx/ltx_page.h"
#include "test/unit/common/ltx/ltx_files.h"

/* Offset of the first frame in every file. */
#define FIRST LTX_HEADER_SIZE

static int
probe(const struct bytes *b, size_t at, uint32_t page_size, struct ltx_page_frame *f)
{
    struct err e;

    return ltx_page_probe(b->p + at, b->n - at, page_size, f, &e);
}

Test(ltx_page, tells_the_parts_of_a_block_frame)
{
    struct bytes b = sample("untracked/p512.ltx");
    struct ltx_page_frame f;

    cr_assert_eq(probe(&b, FIRST, 512, &f), 0);
    cr_expect_eq(f.pgno, 1);
    cr_expect_eq(f.flags, LTX_PAGE_FLAG_SIZE);
    cr_expect_eq(f.head_size, 10);
    cr_expect_eq(f.payload_off, 10);
    cr_expect_eq(f.payload_size, 110);
    cr_expect_eq(f.size, 120);
    bytes_free(&b);
}

Test(ltx_page, tells_the_parts_of_a_legacy_frame)
{
    struct bytes b = sample("legacy/p512.ltx");
    struct ltx_page_frame f;

    cr_assert_eq(probe(&b, FIRST, 512, &f), 0);
    cr_expect_eq(f.pgno, 1);
    cr_expect_eq(f.flags, 0);
    cr_expect_eq(f.head_size, 6, "there is no size field to hash");
    cr_expect_eq(f.payload_off, 6);
    cr_expect_eq(f.payload_size, 7 + 4 + 110 + 8);
    cr_expect_eq(f.size, 110 + 25);
    cr_assert_eq(probe(&b, FIRST + f.size, 512, &f), 0);
    cr_expect_eq(f.pgno, 2);
    bytes_free(&b);
}

Test(ltx_page, six_zeros_are_the_end_marker)
{
    const uint8_t zeros[LTX_PAGE_PROBE] = { 0 };
    struct ltx_page_frame f;
    struct err e;

    cr_assert_eq(ltx_page_probe(zeros, 6, 512, &f, &e), 0);
    cr_expect_eq(f.pgno, 0);
    cr_expect_eq(f.size, 6);
}

/* Both dialects, all page sizes, compressible and not: the pages of the database. */
Test(ltx_page, expands_both_dialects)
{
    static const char *const names[] = { "p512", "p4096", "p65536" };
    static const uint32_t sizes[] = { 512, 4096, 65536 };

    for (int i = 0; i < 6; i++) {
        char name[64];
        uint32_t size = sizes[i / 2];
        struct bytes b, db;
        uint8_t *page = malloc(size);
        size_t at = FIRST, n = 0;
        struct ltx_page_frame f;
        struct err e;

        snprintf(name, sizeof(name), "%s/%s.ltx", i % 2 ? "legacy" : "untracked",
            names[i / 2]);
        b = sample(name);
        snprintf(name, sizeof(name), "db/%s.db", names[i / 2]);
        db = sample(name);
        for (; probe(&b, at, size, &f) == 0 && f.pgno != 0; at += f.size, n++) {
            cr_assert_leq(f.size, ltx_page_frame_max(size));
            cr_assert_eq(
                ltx_page_expand(b.p + at, &f, size, page, &e), 0, "%s: %s", name, e.text);
            cr_expect_arr_eq(page, db.p + (size_t)(f.pgno - 1) * size, size);
        }
        cr_expect_eq(n * size, db.n, "%s", name);
        free(page);
        bytes_free(&b);
        bytes_free(&db);
    }
}

static void
refused(const uint8_t *bytes, size_t n, uint32_t page_size, const char *words)
{
    struct bytes copy = bytes_copy(bytes, n); /* so that ASan sees a byte too far */
    struct ltx_page_frame f;
    struct err e;

    cr_expect_eq(ltx_page_probe(copy.p, n, page_size, &f, &e), ERR_CORRUPT, "%s", words);
    cr_expect_str_eq(e.text, words);
    bytes_free(&copy);
}

Test(ltx_page, refuses_headers_that_cannot_be)
{
    uint8_t b[LTX_PAGE_PROBE] = { 0, 0, 0, 1, 0, 1, 0, 0, 0, 5 };

    refused(b, 0, 512, "EOF");
    for (size_t n = 1; n < 6; n++)
        refused(b, n, 512, "unexpected EOF");
    for (size_t n = 6; n < 10; n++)
        refused(b, n, 512, "read data size: unexpected EOF");
    b[3] = 0;
    refused(b, sizeof(b), 512, "page number required");
    b[3] = 1;
    b[5] = 2;
    refused(b, sizeof(b), 512, "invalid page header flags: 0x0002");
    b[4] = 0x80;
    b[5] = 1;
    refused(b, sizeof(b), 512, "invalid page header flags: 0x8001");
}

Test(ltx_page, bounds_the_length_of_a_block)
{
    for (uint32_t size = 512; size <= 65536; size *= 2) {
        uint8_t b[LTX_PAGE_PROBE] = { 0, 0, 0, 1, 0, 1 };
        uint32_t bound = ltx_payload_bound(size);
        struct ltx_page_frame f;
        struct err e;

        ltx_put_u32(b + 6, bound);
        cr_expect_eq(ltx_page_probe(b, sizeof(b), size, &f, &e), 0);
        cr_expect_eq(f.size, 10 + (size_t)bound);
        cr_expect_leq(f.size, ltx_page_frame_max(size));
        ltx_put_u32(b + 6, bound + 1);
        cr_expect_eq(ltx_page_probe(b, sizeof(b), size, &f, &e), ERR_CORRUPT);
        ltx_put_u32(b + 6, UINT32_MAX);
        cr_expect_eq(ltx_page_probe(b, sizeof(b), size, &f, &e), ERR_CORRUPT);
        ltx_put_u32(b + 6, 0);
        cr_expect_eq(ltx_page_probe(b, sizeof(b), size, &f, &e), ERR_CORRUPT);
    }
}

Test(ltx_page, bounds_the_length_of_a_legacy_block)
{
    uint8_t b[LTX_PAGE_PROBE] = { 0, 0, 0, 1, 0, 0, 0x04, 0x22, 0x4d, 0x18, 0x64, 0x40,
        0xa7, 0x10, 0x02, 0, 0 };
    struct ltx_page_frame f;
    struct err e;

    cr_assert_eq(ltx_page_probe(b, sizeof(b), 512, &f, &e), 0);
    cr_expect_eq(f.size, 0x210 + 25);
    b[16] = 0x80; /* stored */
    cr_assert_eq(ltx_page_probe(b, sizeof(b), 512, &f, &e), 0);
    cr_expect_eq(f.size, 0x210 + 25);
    b[16] = 0xff;
    refused(b, sizeof(b), 512, "invalid compressed page size: 2130706960");
    b[13] = b[14] = b[16] = 0;
    refused(b, sizeof(b), 512, "invalid compressed page size: 0");
    for (size_t n = 6; n < sizeof(b); n++)
        refused(b, n, 512, "read compressed data: unexpected EOF");
    for (size_t i = 6; i < 11; i++) { /* magic and frame flags */
        b[i] ^= 0x20;
        refused(b, sizeof(b), 512, "decompress frame: bad lz4 frame header");
        b[i] ^= 0x20;
    }
}

/* One page as a block of `payload` bytes. */
static int
expand_payload(const void *payload, size_t n, uint32_t page_size, struct err *e)
{
    struct bytes frame = { malloc(n + 10), n + 10 };
    uint8_t *page = malloc(page_size); /* so that ASan sees a byte too far */
    struct ltx_page_frame f;
    int rc;

    memcpy(frame.p, "\0\0\0\1\0\1", 6);
    ltx_put_u32(frame.p + 6, (uint32_t)n);
    memcpy(frame.p + 10, payload, n);
    rc = ltx_page_probe(frame.p, frame.n, page_size, &f, e);
    if (rc == 0)
        rc = ltx_page_expand(frame.p, &f, page_size, page, e);
    free(page);
    bytes_free(&frame);
    return rc;
}

Test(ltx_page, wants_exactly_one_page)
{
    uint8_t page[2048], payload[4096];
    struct err e;

    memset(page, 'x', sizeof(page));
    for (uint32_t n = 1; n <= sizeof(page); n++) {
        uint32_t size = ltx_compress_page(page, n, payload);
        int rc = expand_payload(payload, size, 1024, &e);

        if (n == 1024)
            cr_assert_eq(rc, 0, "%s", e.text);
        else
            cr_assert_eq(rc, ERR_CORRUPT, "%u bytes", n);
    }
}

/* One page as an LZ4 frame as Litestream 0.5.0 to 0.5.15 made them, of n bytes. */
static int
expand_legacy(const void *content, size_t n, uint32_t page_size, struct err *e)
{
    LZ4F_preferences_t how = { .frameInfo = { .blockSizeID = LZ4F_max64KB,
                                   .blockMode = LZ4F_blockIndependent,
                                   .contentChecksumFlag = LZ4F_contentChecksumEnabled } };
    size_t bound = LZ4F_compressFrameBound(n, &how);
    struct bytes frame = { calloc(1, bound + 6), 6 };
    uint8_t *page = malloc(page_size); /* so that ASan sees a byte too far */
    struct ltx_page_frame f;
    int rc;

    frame.p[3] = 1;
    frame.n += LZ4F_compressFrame(frame.p + 6, bound, content, n, &how);
    rc = ltx_page_probe(frame.p, frame.n, page_size, &f, e);
    if (rc == 0 && f.size != frame.n)
        rc = err_set(e, ERR_CORRUPT, "more than one block");
    if (rc == 0)
        rc = ltx_page_expand(frame.p, &f, page_size, page, e);
    if (rc == 0)
        cr_expect_arr_eq(page, content, page_size);
    free(page);
    bytes_free(&frame);
    return rc;
}

Test(ltx_page, wants_exactly_one_page_in_a_legacy_frame)
{
    uint8_t page[2048];
    uint64_t state = 2;
    struct err e;

    for (int noisy = 0; noisy < 2; noisy++) {
        for (size_t i = 0; i < sizeof(page); i++)
            page[i] = noisy ? (uint8_t)noise(&state) : 'x';
        for (size_t n = 1; n <= sizeof(page); n++) {
            int rc = expand_legacy(page, n, 1024, &e);

            if (n == 1024)
                cr_assert_eq(rc, 0, "%s", e.text);
            else
                cr_assert_eq(rc, ERR_CORRUPT, "%zu bytes", n);
        }
    }
}

Test(ltx_page, survives_noise_as_a_block)
{
    uint64_t state = 5;
    int n_good = 0;

    for (int round = 0; round < 20000; round++) {
        uint8_t payload[600];
        size_t n = 1 + noise(&state) % 500;
        struct err e;
        int rc;

        for (size_t i = 0; i < n; i++)
            payload[i] = (uint8_t)(noise(&state) >> (round % 3 ? 0 : 5));
        rc = expand_payload(payload, n, 512, &e);
        cr_assert(rc == 0 || rc == ERR_CORRUPT);
        n_good += rc == 0;
    }
    cr_expect_lt(n_good, 2000);
}

/* A flip in a legacy frame behind its header is seen by LZ4's own content hash. */
Test(ltx_page, every_bit_of_a_legacy_frame_counts)
{
    static const char *const names[] = { "legacy/p512.ltx", "legacy/p4096.ltx" };
    static const uint32_t sizes[] = { 512, 4096 };

    for (int k = 0; k < 2; k++) {
        struct bytes b = sample(names[k]);
        struct ltx_page_frame f, g;
        uint8_t *page = malloc(sizes[k]), *other = malloc(sizes[k]);
        struct err e;

        cr_assert_eq(probe(&b, FIRST, sizes[k], &f), 0);
        cr_assert_eq(ltx_page_expand(b.p + FIRST, &f, sizes[k], page, &e), 0);
        for (size_t bit = 48; bit < f.size * 8; bit++) {
            struct bytes copy = bytes_copy(b.p + FIRST, f.size);
            int rc;

            copy.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            rc = ltx_page_probe(copy.p, copy.n, sizes[k], &g, &e);
            if (rc == 0 && g.size <= f.size)
                rc = ltx_page_expand(copy.p, &g, sizes[k], other, &e);
            if (rc == 0 && g.size == f.size)
                cr_assert_arr_eq(page, other, sizes[k], "%s bit %zu", names[k], bit);
            bytes_free(&copy);
        }
        free(page);
        free(other);
        bytes_free(&b);
    }
}

Test(ltx_page, a_wrong_content_hash_has_litestreams_words)
{
    struct bytes b = sample("legacy/p512.ltx");
    struct ltx_page_frame f;
    uint8_t page[512];
    struct err e;

    cr_assert_eq(probe(&b, FIRST, 512, &f), 0);
    b.p[FIRST + f.size - 1] ^= 1;
    cr_assert_eq(ltx_page_expand(b.p + FIRST, &f, 512, page, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "read lz4 trailer: expected lz4 end frame");
    bytes_free(&b);
}
