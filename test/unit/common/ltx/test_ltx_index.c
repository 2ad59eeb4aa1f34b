#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_index.h"
#include "test/unit/common/ltx/ltx_files.h"

static const char *const files[] = { "untracked/p4096.ltx", "legacy/p4096.ltx",
    "chain/ltx/0/0000000000000003-0000000000000003.ltx",
    "merged/0000000000000001-0000000000000005.ltx" };

static int
open_index(const struct bytes *b, struct ltx_index_walk *w, struct err *e)
{
    int64_t off, size;
    int rc;

    if (b->n < 24)
        return err_set(e, ERR_CORRUPT, "short");
    rc = ltx_index_locate(b->p + b->n - 24, (int64_t)b->n, &off, &size, e);
    if (rc != 0)
        return rc;
    cr_assert(off >= 0 && size >= 0 && (size_t)off + (size_t)size <= b->n - 24);
    ltx_index_walk_init(w, b->p + off, (size_t)size);
    return 0;
}

/* Page by page through the index: the same as reading from the start. */
Test(ltx_index, finds_every_page)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct bytes b = sample(files[i]);
        struct reader r = { b.p, b.n, 0, 0 };
        uint8_t *page = malloc(LTX_MAX_PAGE_SIZE), *other = malloc(LTX_MAX_PAGE_SIZE);
        struct ltx_decoder *dec;
        struct ltx_index_walk w;
        struct ltx_index_entry entry;
        struct ltx_page info;
        uint32_t size;
        struct err e;

        cr_assert_eq(open_index(&b, &w, &e), 0, "%s", e.text);
        cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0);
        size = ltx_decoder_header(dec)->page_size;
        while (ltx_decoder_page(dec, &info, page, &e) == 0) {
            cr_assert_eq(ltx_index_walk_next(&w, &entry, &e), 0, "%s", e.text);
            cr_expect_eq(entry.pgno, info.pgno);
            cr_expect_eq(entry.offset, info.offset);
            cr_expect_eq(entry.size, info.size);
            cr_assert_eq(ltx_page_decode(b.p + entry.offset, (size_t)entry.size,
                             entry.pgno, size, other, &e),
                0, "%s", e.text);
            cr_expect_arr_eq(page, other, size);
        }
        cr_expect_eq(ltx_index_walk_next(&w, &entry, &e), ERR_END);
        ltx_decoder_free(dec);
        free(page);
        free(other);
        bytes_free(&b);
    }
}

Test(ltx_index, refuses_a_frame_of_another_page)
{
    struct bytes b = sample("untracked/p512.ltx");
    struct ltx_index_entry entry;
    struct ltx_index_walk w;
    uint8_t page[512];
    struct err e;

    cr_assert_eq(open_index(&b, &w, &e), 0);
    cr_assert_eq(ltx_index_walk_next(&w, &entry, &e), 0);
    cr_expect_eq(ltx_page_decode(b.p + entry.offset, (size_t)entry.size, entry.pgno + 1,
                     512, page, &e),
        ERR_CORRUPT);
    for (size_t n = 0; n < (size_t)entry.size; n++) {
        struct bytes cut = bytes_copy(b.p + entry.offset, n);

        cr_expect_eq(ltx_page_decode(cut.p, n, entry.pgno, 512, page, &e), ERR_CORRUPT,
            "%zu bytes", n);
        bytes_free(&cut);
    }
    bytes_free(&b);
}

/* Whatever stands there: an error or entries inside the file, and an end. */
Test(ltx_index, survives_any_byte)
{
    struct bytes b = sample("untracked/p4096.ltx");
    size_t first = b.n - 24 - 40;

    for (size_t at = first; at < b.n; at++)
        for (int v = 0; v < 256; v++) {
            uint8_t was = b.p[at];
            struct ltx_index_entry entry;
            struct ltx_index_walk w;
            struct err e;
            int rc, n = 0;

            b.p[at] = (uint8_t)v;
            rc = open_index(&b, &w, &e);
            while (rc == 0) {
                rc = ltx_index_walk_next(&w, &entry, &e);
                cr_assert_lt(n++, 100);
            }
            cr_assert(rc == ERR_END || rc == ERR_CORRUPT);
            b.p[at] = was;
        }
    bytes_free(&b);
}

Test(ltx_index, refuses_a_size_that_cannot_be)
{
    uint8_t tail[24] = { 0 };
    int64_t off, size;
    struct err e;

    ltx_put_u64(tail, 200);
    cr_expect_eq(ltx_index_locate(tail, 300, &off, &size, &e), ERR_CORRUPT);
    ltx_put_u64(tail, UINT64_MAX);
    cr_expect_eq(ltx_index_locate(tail, 300, &off, &size, &e), ERR_CORRUPT);
    ltx_put_u64(tail, INT64_MAX);
    cr_expect_eq(ltx_index_locate(tail, 300, &off, &size, &e), ERR_CORRUPT);
    ltx_put_u64(tail, 0);
    cr_expect_eq(ltx_index_locate(tail, 300, &off, &size, &e), ERR_CORRUPT);
    ltx_put_u64(tail, 1);
    cr_expect_eq(ltx_index_locate(tail, LTX_MIN_FILE_SIZE, &off, &size, &e), 0);
    cr_expect_eq(off, 106);
    cr_expect_eq(
        ltx_index_locate(tail, LTX_MIN_FILE_SIZE - 1, &off, &size, &e), ERR_CORRUPT);
}
