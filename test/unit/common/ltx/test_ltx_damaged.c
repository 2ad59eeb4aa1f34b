#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_page.h"
#include "test/unit/common/ltx/ltx_files.h"

/* --- odd files ------------------------------------------------------------------------
 */

/* File and the reason why it is refused; NULL: accepted. */
static const struct {
    const char *file, *reason;
} odd[] = {
    { "control-valid", NULL },
    { "reserved-byte", NULL },
    { "descending-pages",
        "decode page 0: nonsequential page numbers in snapshot transaction: 0,2" },
    { "duplicate-page", "decode page 1: out-of-order page numbers: 1,1" },
    { "page-beyond-commit",
        "decode page 1: page number 9 out-of-bounds for commit size 2" },
    { "snapshot-missing-page", "decode page 1: snapshot ends at page 1 of 2" },
    { "lock-page", "decode page 0: file holds the lock page: pgno=2097153" },
    { "index-wrong", "close reader: page index does not match the pages" },
    { "index-empty", "close reader: page index does not match the pages" },
    { "index-size-wrong", "close reader: page index size is wrong: 99" },
    { "untracked-with-post-apply", "close reader: post-apply checksum not allowed" },
    { "short-page", "decode page 1: decompress block: 100 bytes, expected 512" },
    { "zero-size-page", "decode page 1: invalid compressed page size: 0" },
    { "long-page", "decode page 0: decompress block: invalid lz4 block" },
    { "huge-page-size-field", "decode page 0: invalid compressed page size: 4294967040" },
    { "cut-in-page", "decode page 0: read compressed data: unexpected EOF" },
    { "cut-after-end-marker", "close reader: read page index: unexpected EOF" },
    { "trailing-byte", "close reader: file checksum mismatch" },
    { "bad-file-checksum", "close reader: file checksum mismatch" },
    { "bad-literal", "close reader: file checksum mismatch" },
};

static int
verdict(const void *p, size_t n, struct err *e)
{
    struct image im = { 0 };
    int rc = image_apply(&im, p, n, 0, e);

    image_free(&im);
    return rc;
}

Test(ltx_damaged, odd_files_get_their_verdict_and_reason)
{
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        char name[64];
        struct bytes b;
        struct err e = ERR_NONE;
        int rc;

        snprintf(name, sizeof(name), "odd/%s.ltx", odd[i].file);
        b = sample(name);
        rc = verdict(b.p, b.n, &e);
        if (odd[i].reason == NULL) {
            cr_expect_eq(rc, 0, "%s: %s", name, e.text);
        } else {
            cr_expect_eq(rc, ERR_CORRUPT, "%s", name);
            cr_expect_str_eq(e.text, odd[i].reason, "%s: %s", name, e.text);
        }
        bytes_free(&b);
    }
}

/* --- what Litestream's verify says ----------------------------------------------------
 */

struct change {
    const char *reason;
    size_t at;       /* byte that becomes `value` */
    int value;       /* -1: none */
    size_t size;     /* new size of the file; 0: as it is */
    size_t n_behind; /* bytes appended */
};

/* One change to a file of two pages: frames at 100 and 220, end marker at 263. */
static const struct change changes[] = {
    { "decode header: unexpected EOF", 0, -1, 50, 0 },
    { "decode header: unexpected EOF", 0, -1, 99, 0 },
    { "close reader: cannot close, expected page", 0, -1, 100, 0 },
    { "decode header: unmarshal header: invalid LTX file", 0, 'l', 0, 0 },
    { "decode header: invalid flags: 0x00000003", 7, 3, 0, 0 },
    { "decode header: invalid page size: 768", 10, 3, 0, 0 },
    { "decode header: minimum transaction id required", 23, 0, 0, 0 },
    { "decode header: pre-apply checksum must be zero on snapshots", 47, 1, 0, 0 },
    { "close reader: file checksum mismatch", 7, 0, 0, 0 },
    { "close reader: file checksum mismatch", 99, 1, 0, 0 },
    { "close reader: file checksum mismatch", 113, 's', 0, 0 },
    { "close reader: file checksum mismatch", 271, 0x79, 0, 0 },
    { "close reader: file checksum mismatch", 277, 1, 0, 0 },
    { "close reader: file checksum mismatch", 285, 0x80, 0, 0 },
    { "close reader: file checksum mismatch", 300, 0, 0, 0 },
    { "close reader: file checksum mismatch", 0, -1, 0, 1 },
    { "close reader: file checksum mismatch", 0, -1, 0, 24 },
    { "decode page 0: page number 65537 out-of-bounds for commit size 2", 101, 1, 0, 0 },
    { "decode page 0: page number required", 103, 0, 0, 0 },
    { "decode page 0: invalid page header flags: 0x0003", 105, 3, 0, 0 },
    { "decode page 0: invalid page header flags: 0x0101", 104, 1, 0, 0 },
    { "decode page 0: decompress frame: bad lz4 frame header", 105, 0, 0, 0 },
    { "decode page 0: invalid compressed page size: 4278190190", 106, 0xff, 0, 0 },
    { "decode page 0: decompress block: invalid lz4 block", 110, 0xff, 0, 0 },
    { "decode page 0: decompress block: invalid lz4 block", 109, 0x6f, 0, 0 },
    { "decode page 0: read compressed data: unexpected EOF", 0, -1, 150, 0 },
    { "decode page 0: unexpected EOF", 0, -1, 103, 0 },
    { "decode page 0: read data size: unexpected EOF", 0, -1, 109, 0 },
    { "close reader: cannot close, expected page", 0, -1, 220, 0 },
    { "close reader: cannot close, expected page", 0, -1, 263, 0 },
    { "decode page 2: unexpected EOF", 0, -1, 265, 0 },
    { "close reader: read page index: unexpected EOF", 0, -1, 269, 0 },
    { "close reader: read page index: unexpected EOF", 0, -1, 276, 0 },
    { "close reader: read page index: unexpected EOF", 0, -1, 292, 0 },
    { "close reader: file checksum mismatch", 0, -1, 300, 0 },
};

Test(ltx_damaged, each_change_is_named)
{
    struct bytes b = sample("untracked/p512.ltx");
    struct err e = ERR_NONE;

    cr_expect_eq(verdict(b.p, 0, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "decode header: EOF");
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *c = &changes[i];
        size_t n = (c->size != 0 ? c->size : b.n) + c->n_behind;
        uint8_t *p = calloc(1, n);

        memcpy(p, b.p, n < b.n ? n : b.n);
        if (c->value >= 0) {
            cr_assert_neq(p[c->at], (uint8_t)c->value);
            p[c->at] = (uint8_t)c->value;
        }
        cr_expect_eq(verdict(p, n, &e), ERR_CORRUPT, "change %zu", i);
        cr_expect_str_eq(
            e.text, c->reason, "change %zu at %zu, size %zu: %s", i, c->at, n, e.text);
        free(p);
    }
    bytes_free(&b);
}

/* --- every cut, every bit -------------------------------------------------------------
 */

static const char *const small[] = { "untracked/p512.ltx", "legacy/p512.ltx",
    "chain/ltx/0/0000000000000003-0000000000000003.ltx",
    "tracked/0000000000000002-0000000000000002.ltx",
    "empty/0000000000000001-0000000000000001.ltx" };

#define N_SMALL (sizeof(small) / sizeof(small[0]))

Test(ltx_damaged, every_cut_is_refused)
{
    for (size_t i = 0; i < N_SMALL; i++) {
        struct bytes b = sample(small[i]);

        for (size_t n = 0; n < b.n; n++) {
            struct bytes cut = bytes_copy(b.p, n); /* so that ASan sees a byte too far */
            struct err e;

            cr_assert_eq(
                verdict(cut.p, n, &e), ERR_CORRUPT, "%s cut at %zu", small[i], n);
            bytes_free(&cut);
        }
        bytes_free(&b);
    }
}

Test(ltx_damaged, every_byte_too_much_is_refused)
{
    for (size_t i = 0; i < N_SMALL; i++) {
        struct bytes b = sample(small[i]);

        for (int v = 0; v < 256; v++) {
            struct bytes more = bytes_copy(b.p, b.n + 1);
            struct err e;

            more.p[b.n] = (uint8_t)v;
            cr_assert_eq(verdict(more.p, more.n, &e), ERR_CORRUPT, "%s", small[i]);
            bytes_free(&more);
        }
        bytes_free(&b);
    }
}

/*
 * Marks the bytes that the file checksum does not cover: compressed payloads, which count
 * only by what they expand to.
 */
static uint8_t *
uncovered(const struct bytes *b)
{
    uint8_t *mark = calloc(1, b->n);
    uint32_t page_size = ltx_get_u32(b->p + 8);
    struct ltx_page_frame f;
    struct err e;

    for (size_t at = LTX_HEADER_SIZE;; at += f.size) {
        cr_assert_eq(ltx_page_probe(b->p + at, b->n - at, page_size, &f, &e), 0);
        if (f.pgno == 0)
            return mark;
        memset(mark + at + f.payload_off, 1, f.payload_size);
    }
}

/* No flip passes but inside a payload, and there only when the pages stay the same. */
static size_t
flip_all(const char *name)
{
    struct bytes b = sample(name), flipped = bytes_copy(b.p, b.n);
    uint8_t *mark = uncovered(&b);
    struct image im = { 0 }, other = { 0 };
    size_t n_same = 0;
    struct err e;

    cr_assert_eq(image_apply(&im, b.p, b.n, 0, &e), 0);
    for (size_t bit = 0; bit < b.n * 8; bit++) {
        int rc;

        flipped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = image_apply(&other, flipped.p, b.n, 0, &e);
        cr_assert(rc == 0 || rc == ERR_CORRUPT, "%s bit %zu: %d", name, bit, rc);
        if (rc == 0) {
            cr_assert(mark[bit / 8], "%s bit %zu", name, bit);
            cr_assert(image_equals(&other, im.pages, (size_t)im.commit * im.page_size),
                "%s bit %zu", name, bit);
            n_same++;
        }
        flipped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        image_free(&other);
    }
    free(mark);
    image_free(&im);
    bytes_free(&b);
    bytes_free(&flipped);
    return n_same;
}

Test(ltx_damaged, every_flipped_bit_is_refused_or_changes_no_page)
{
    for (size_t i = 0; i < N_SMALL; i++) {
        size_t n = flip_all(small[i]);

        /* Long runs of zeros leave matches a choice of where to copy from. */
        cr_expect_leq(n, 200, "%s: %zu flips change nothing", small[i], n);
        if (i == 4)
            cr_expect_eq(n, 0, "there is no payload");
    }
}

Test(ltx_damaged, every_byte_set_to_its_extremes_is_refused_or_changes_no_page)
{
    static const uint8_t values[] = { 0x00, 0x7f, 0x80, 0xff };

    for (size_t i = 0; i < N_SMALL; i++) {
        struct bytes b = sample(small[i]);
        uint8_t *mark = uncovered(&b);

        for (size_t at = 0; at < b.n; at++)
            for (size_t k = 0; k < sizeof(values); k++) {
                uint8_t was = b.p[at];
                struct err e;

                if (was == values[k])
                    continue;
                b.p[at] = values[k];
                cr_assert(verdict(b.p, b.n, &e) == ERR_CORRUPT || mark[at],
                    "%s byte %zu = %02x", small[i], at, values[k]);
                b.p[at] = was;
            }
        free(mark);
        bytes_free(&b);
    }
}

/* --- a right checksum over wrong content ----------------------------------------------
 */

#define TWO ((const size_t[]){ 120, 43 })
#define HEADS ((const size_t[]){ 10, 10 })

/* The two-page file with its checksum made right again after a change. */
static const char *
sealed_verdict(struct bytes *b, const struct bytes *db)
{
    static struct err e;

    seal(b, db->p, HEADS, TWO, 2);
    return verdict(b->p, b->n, &e) == 0 ? NULL : e.text;
}

Test(ltx_damaged, a_right_checksum_does_not_excuse_a_wrong_index)
{
    struct bytes db = sample("db/p512.db");

    /* Entries at 269 and 272, terminator at 276, size at 277. */
    for (size_t at = 269; at < 285; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct bytes b = sample("untracked/p512.ltx");
            const char *reason;

            b.p[at] ^= (uint8_t)(1 << bit);
            reason = sealed_verdict(&b, &db);
            cr_assert_not_null(reason, "byte %zu bit %d", at, bit);
            cr_expect_not_null(strstr(reason, "page index"), "%s", reason);
            bytes_free(&b);
        }
    bytes_free(&db);
}

/* 81 00 is 1 as well, but nobody writes it so. */
Test(ltx_damaged, index_numbers_are_as_short_as_can_be)
{
    struct bytes b = sample("untracked/p512.ltx"), db = sample("db/p512.db"), longer;
    static const uint8_t one[] = { 0x81, 0x00 };

    longer = (struct bytes){ malloc(b.n + 1), b.n + 1 };
    memcpy(longer.p, b.p, 269);
    memcpy(longer.p + 269, one, 2);
    memcpy(longer.p + 271, b.p + 270, b.n - 270);
    longer.p[285] = 9; /* index size */
    cr_expect_str_eq(sealed_verdict(&longer, &db),
        "close reader: page index does not match the pages");
    cr_expect_null(sealed_verdict(&b, &db));
    bytes_free(&b);
    bytes_free(&longer);
    bytes_free(&db);
}

Test(ltx_damaged, a_tracked_snapshot_must_have_the_sum_of_its_pages)
{
    struct bytes b = sample("encode-db/p512.ltx"), db = sample("db/p512.db");

    cr_expect_null(sealed_verdict(&b, &db));
    b.p[292] ^= 1;
    cr_expect_str_eq(sealed_verdict(&b, &db),
        "close reader: post-apply checksum in trailer (a05aac61cd6f3778) does not match "
        "calculated checksum (a05aac61cd6f3779)");
    memset(b.p + 285, 0, 8);
    cr_expect_not_null(sealed_verdict(&b, &db));
    bytes_free(&b);
    bytes_free(&db);
}

/* The checksum is a CRC with bit 63 set, nothing else. */
Test(ltx_damaged, the_checksum_has_its_bit_63)
{
    struct bytes b = sample("untracked/p512.ltx");
    struct err e;

    b.p[293] &= 0x7f;
    cr_expect_eq(verdict(b.p, b.n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "close reader: file checksum mismatch");
    bytes_free(&b);
}

/* A snapshot of pages beyond the lock page may not hold it, nor stop before its end. */
Test(ltx_damaged, an_empty_snapshot_of_many_pages_is_refused)
{
    struct bytes b = sample("untracked/p512.ltx"), empty = { malloc(256), 0 };
    struct err e;

    memcpy(empty.p, b.p, LTX_HEADER_SIZE);
    empty.n = LTX_HEADER_SIZE + put_tail(empty.p + LTX_HEADER_SIZE, NULL, NULL, 0);
    seal(&empty, NULL, NULL, NULL, 0);
    cr_expect_eq(verdict(empty.p, empty.n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "decode page 0: snapshot ends at page 0 of 2");
    ltx_put_u32(empty.p + 12, 0);
    seal(&empty, NULL, NULL, NULL, 0);
    cr_expect_eq(verdict(empty.p, empty.n, &e), 0, "%s", e.text);
    bytes_free(&b);
    bytes_free(&empty);
}
