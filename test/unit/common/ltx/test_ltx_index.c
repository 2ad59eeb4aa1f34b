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

/* --- hostile entries ------------------------------------------------------------------
 */

struct made {
    uint8_t p[256];
    size_t n;
};

static void
put_entry(struct made *m, uint64_t pgno, uint64_t offset, uint64_t size)
{
    m->n += ltx_put_uvarint(m->p + m->n, pgno);
    m->n += ltx_put_uvarint(m->p + m->n, offset);
    m->n += ltx_put_uvarint(m->p + m->n, size);
}

/* Number of entries before the end or the error, which is returned. */
static int
walk(const void *p, size_t n, size_t *n_entries, struct err *e)
{
    struct bytes copy = bytes_copy(p, n); /* so that ASan sees a byte too far */
    struct ltx_index_entry entry;
    struct ltx_index_walk w;
    int rc;

    *n_entries = 0;
    ltx_index_walk_init(&w, copy.p, n);
    while ((rc = ltx_index_walk_next(&w, &entry, e)) == 0)
        ++*n_entries;
    bytes_free(&copy);
    return rc;
}

/* The second entry is the one given; the first is page 3, 100 bytes from offset 100. */
static const char *
second(uint64_t pgno, uint64_t offset, uint64_t size)
{
    static struct err e;
    struct made m = { .n = 0 };
    size_t n;
    int rc;

    put_entry(&m, 3, 100, 100);
    put_entry(&m, pgno, offset, size);
    m.p[m.n++] = 0;
    rc = walk(m.p, m.n, &n, &e);
    cr_assert(rc == ERR_END || rc == ERR_CORRUPT);
    cr_assert_eq(n, rc == ERR_END ? 2 : 1);
    return rc == ERR_END ? NULL : e.text;
}

Test(ltx_index, refuses_entries_that_do_not_follow)
{
    const char *gap = "page index does not follow the pages";

    cr_expect_null(second(4, 200, 11));
    cr_expect_null(second(UINT32_MAX, 200, 65536 + 257 + 16 + 25));
    cr_expect_not_null(second(3, 200, 50), "page again");
    cr_expect_not_null(second(1, 200, 50), "page below");
    cr_expect_not_null(second((uint64_t)UINT32_MAX + 1, 200, 50), "no page number");
    cr_expect_not_null(second(UINT64_MAX, 200, 50));
    cr_expect_str_eq(second(4, 199, 50), gap);
    cr_expect_str_eq(second(4, 201, 50), gap);
    cr_expect_str_eq(second(4, UINT64_MAX, 50), gap);
    cr_expect_str_eq(second(4, (UINT64_C(1) << 63) + 200, 50), gap);
    cr_expect_str_eq(second(4, 200, 0), gap);
    cr_expect_str_eq(second(4, 200, 10), gap, "a frame without payload");
    cr_expect_str_eq(second(4, 200, 65536 + 257 + 16 + 26), gap);
    cr_expect_str_eq(second(4, 200, UINT32_MAX), gap);
    cr_expect_str_eq(second(4, 200, UINT64_MAX), gap);
}

Test(ltx_index, needs_its_terminator_at_its_end)
{
    struct made m = { .n = 0 };
    size_t n;
    struct err e;

    put_entry(&m, 1, 100, 100);
    put_entry(&m, 2, 200, 100);
    for (size_t cut = 0; cut <= m.n; cut++) {
        cr_expect_eq(walk(m.p, cut, &n, &e), ERR_CORRUPT, "%zu bytes", cut);
        cr_expect_not_null(strstr(e.text, "unexpected EOF"), "%s", e.text);
    }
    m.p[m.n++] = 0;
    cr_expect_eq(walk(m.p, m.n, &n, &e), ERR_END);
    cr_expect_eq(n, 2);
    m.p[m.n++] = 0;
    cr_expect_eq(walk(m.p, m.n, &n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "page index ends before its size");
}

Test(ltx_index, refuses_numbers_that_are_too_long)
{
    uint8_t bytes[32];
    size_t n;
    struct err e;

    memset(bytes, 0xff, sizeof(bytes));
    cr_expect_eq(walk(bytes, sizeof(bytes), &n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "read page index pgno: number is too long");
    bytes[0] = 1;
    cr_expect_eq(walk(bytes, sizeof(bytes), &n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "read page index offset: number is too long");
    bytes[1] = 100;
    cr_expect_eq(walk(bytes, sizeof(bytes), &n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "read page index size: number is too long");
}

Test(ltx_index, survives_noise)
{
    uint64_t state = 21;

    for (int round = 0; round < 50000; round++) {
        uint8_t bytes[64] = { 1, 100, 20 };
        size_t size = 1 + noise(&state) % sizeof(bytes), n;
        struct err e;
        int rc;

        for (size_t i = round % 2 ? 3 : 0; i < size; i++)
            bytes[i] = (uint8_t)(noise(&state) % (round % 3 ? 256 : 130));
        rc = walk(bytes, size, &n, &e);
        cr_assert(rc == ERR_END || rc == ERR_CORRUPT);
        cr_assert_leq(n * 3, size);
    }
}

/* An index says what to read: the frame there is judged by itself. */
Test(ltx_index, a_frame_is_no_page_when_anything_is_wrong)
{
    struct bytes b = sample("untracked/p512.ltx"), db = sample("db/p512.db");
    uint8_t page[512];
    struct err e;

    cr_expect_eq(ltx_page_decode(b.p + 220, 43, 2, 512, page, &e), 0, "%s", e.text);
    cr_expect_arr_eq(page, db.p + 512, 512);
    cr_expect_eq(ltx_page_decode(b.p + 220, 43, 1, 512, page, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "frame holds page 2, expected 1");
    cr_expect_eq(ltx_page_decode(b.p + 220, 44, 2, 512, page, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "frame of page 2 has 44 bytes, expected 43");
    cr_expect_eq(ltx_page_decode(b.p + 263, 6, 2, 512, page, &e), ERR_CORRUPT);
    cr_expect_eq(ltx_page_decode(b.p + 263, 6, 0, 512, page, &e), ERR_CORRUPT,
        "the end marker is no page");
    cr_expect_eq(ltx_page_decode(b.p + 263, 17, 0, 512, page, &e), ERR_CORRUPT);
    cr_expect_eq(ltx_page_decode(b.p, 100, 1, 512, page, &e), ERR_CORRUPT);
    bytes_free(&b);
    bytes_free(&db);
}
