#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "test/unit/common/ltx/ltx_files.h"

/* File, the database it is applied to (NULL: none), and what comes out. */
static const struct {
    const char *file, *base, *result;
} good[] = {
    { "encode-db/p512.ltx", NULL, "db/p512.db" },
    { "encode-db/p4096.ltx", NULL, "db/p4096.db" },
    { "encode-db/p65536.ltx", NULL, "db/p65536.db" },
    { "untracked/p512.ltx", NULL, "db/p512.db" },
    { "untracked/p4096.ltx", NULL, "db/p4096.db" },
    { "untracked/p65536.ltx", NULL, "db/p65536.db" },
    { "legacy/p512.ltx", NULL, "db/p512.db" },
    { "legacy/p4096.ltx", NULL, "db/p4096.db" },
    { "legacy/p65536.ltx", NULL, "db/p65536.db" },
    { "legacy/chain-0000000000000002-0000000000000002.ltx", "db/chain-s1.db",
        "db/chain-s2.db" },
    { "chain/ltx/0/0000000000000001-0000000000000001.ltx", NULL, "db/chain-s1.db" },
    { "chain/ltx/0/0000000000000002-0000000000000002.ltx", "db/chain-s1.db",
        "db/chain-s2.db" },
    { "chain/ltx/0/0000000000000003-0000000000000003.ltx", "db/chain-s2.db",
        "db/chain-s3.db" },
    { "chain/ltx/0/0000000000000004-0000000000000004.ltx", "db/chain-s3.db",
        "db/chain-s4.db" },
    { "chain/ltx/0/0000000000000005-0000000000000005.ltx", "db/chain-s4.db",
        "db/chain-s5.db" },
    { "chain/ltx/1/0000000000000002-0000000000000003.ltx", "db/chain-s1.db",
        "db/chain-s3.db" },
    { "chain/ltx/1/0000000000000004-0000000000000005.ltx", "db/chain-s3.db",
        "db/chain-s5.db" },
    { "chain/ltx/2/0000000000000002-0000000000000005.ltx", "db/chain-s1.db",
        "db/chain-s5.db" },
    { "chain/ltx/9/0000000000000001-0000000000000003.ltx", NULL, "db/chain-s3.db" },
    { "merged/0000000000000001-0000000000000005.ltx", NULL, "db/chain-s5.db" },
    { "merged/legacy-plus-new-0000000000000001-0000000000000003.ltx", NULL,
        "db/chain-s3.db" },
    { "tracked/0000000000000001-0000000000000001.ltx", NULL, "db/chain-s1.db" },
    { "tracked/0000000000000002-0000000000000002.ltx", "db/chain-s1.db",
        "db/chain-s2.db" },
    { "tracked/0000000000000001-0000000000000002.ltx", NULL, "db/chain-s2.db" },
};

static void
load_database(struct image *im, const char *name, uint32_t page_size)
{
    struct bytes b = sample(name);

    image_resize(im, page_size, (uint32_t)(b.n / page_size));
    memcpy(im->pages, b.p, b.n);
    bytes_free(&b);
}

static void
check_good(size_t i, size_t chunk)
{
    struct bytes file = sample(good[i].file), result = sample(good[i].result);
    struct image im = { 0 };
    struct ltx_header h;
    struct err e;

    cr_assert_eq(ltx_header_decode(file.p, &h, &e), 0);
    if (good[i].base != NULL)
        load_database(&im, good[i].base, h.page_size);
    cr_assert_eq(
        image_apply(&im, file.p, file.n, chunk, &e), 0, "%s: %s", good[i].file, e.text);
    cr_expect(image_equals(&im, result.p, result.n), "%s", good[i].file);
    image_free(&im);
    bytes_free(&file);
    bytes_free(&result);
}

Test(ltx_decoder, reads_every_sample)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        check_good(i, 0);
}

Test(ltx_decoder, does_not_care_how_bytes_arrive)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        check_good(i, 1);
        check_good(i, 7);
    }
}

Test(ltx_decoder, tells_the_trailer)
{
    struct bytes b = sample("encode-db/p512.ltx");
    struct reader r = { b.p, b.n, 0, 0 };
    uint8_t page[512];
    struct ltx_trailer t;
    struct ltx_decoder *dec;
    struct ltx_page info;
    struct err e;
    int rc;

    cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0);
    while ((rc = ltx_decoder_page(dec, &info, page, &e)) == 0)
        ;
    cr_assert_eq(rc, ERR_END);
    cr_assert_eq(ltx_decoder_close(dec, &t, &e), 0, "%s", e.text);
    cr_expect_eq(t.post_apply, UINT64_C(0xa05aac61cd6f3779));
    cr_expect_neq(t.file_checksum & LTX_CHECKSUM_FLAG, 0);
    ltx_decoder_free(dec);
    bytes_free(&b);
}

Test(ltx_decoder, reads_a_file_without_pages)
{
    struct bytes b = sample("empty/0000000000000001-0000000000000001.ltx");
    struct image im = { 0 };
    struct err e;

    cr_expect_eq(b.n, LTX_MIN_FILE_SIZE);
    cr_expect_eq(image_apply(&im, b.p, b.n, 0, &e), 0, "%s", e.text);
    cr_expect_eq(im.commit, 0);
    image_free(&im);
    bytes_free(&b);
}

/* --- odd and damaged files ------------------------------------------------------------
 */

static const struct {
    const char *file;
    bool accept;
} odd[] = {
    { "odd/control-valid.ltx", true },
    { "odd/reserved-byte.ltx", true },
    { "odd/descending-pages.ltx", false },
    { "odd/duplicate-page.ltx", false },
    { "odd/page-beyond-commit.ltx", false },
    { "odd/snapshot-missing-page.ltx", false },
    { "odd/lock-page.ltx", false },
    { "odd/index-wrong.ltx", false },
    { "odd/index-empty.ltx", false },
    { "odd/index-size-wrong.ltx", false },
    { "odd/untracked-with-post-apply.ltx", false },
    { "odd/short-page.ltx", false },
    { "odd/zero-size-page.ltx", false },
    { "odd/long-page.ltx", false },
    { "odd/huge-page-size-field.ltx", false },
    { "odd/cut-in-page.ltx", false },
    { "odd/cut-after-end-marker.ltx", false },
    { "odd/trailing-byte.ltx", false },
    { "odd/bad-file-checksum.ltx", false },
    { "odd/bad-literal.ltx", false },
};

static int
verdict(const void *p, size_t n, struct err *e)
{
    struct image im = { 0 };
    int rc = image_apply(&im, p, n, 0, e);

    image_free(&im);
    return rc;
}

Test(ltx_decoder, judges_odd_files)
{
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct bytes b = sample(odd[i].file);
        struct err e = { 0 };
        int rc = verdict(b.p, b.n, &e);

        if (odd[i].accept)
            cr_expect_eq(rc, 0, "%s: %s", odd[i].file, e.text);
        else
            cr_expect_eq(rc, ERR_CORRUPT, "%s: %d %s", odd[i].file, rc, e.text);
        bytes_free(&b);
    }
}

static const char *const small[] = { "untracked/p512.ltx", "legacy/p512.ltx",
    "chain/ltx/0/0000000000000003-0000000000000003.ltx",
    "tracked/0000000000000002-0000000000000002.ltx",
    "empty/0000000000000001-0000000000000001.ltx" };

#define N_SMALL (sizeof(small) / sizeof(small[0]))

Test(ltx_decoder, refuses_every_cut)
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

/*
 * The checksum covers pages as they are expanded: a flipped bit goes unnoticed only
 * inside a compressed payload, and only when the page stays the same.
 */
Test(ltx_decoder, refuses_every_flipped_bit)
{
    for (size_t i = 0; i < N_SMALL; i++) {
        struct bytes b = sample(small[i]), flipped = bytes_copy(b.p, b.n);
        struct image im = { 0 }, other = { 0 };
        struct err e;

        cr_assert_eq(image_apply(&im, b.p, b.n, 0, &e), 0);
        for (size_t bit = 0; bit < b.n * 8; bit += i == 0 ? 1 : 3) {
            flipped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (image_apply(&other, flipped.p, b.n, 0, &e) == 0) {
                cr_assert_gt(bit / 8, LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE,
                    "%s bit %zu", small[i], bit);
                cr_assert(
                    image_equals(&other, im.pages, (size_t)im.commit * im.page_size));
            }
            flipped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            image_free(&other);
        }
        image_free(&im);
        bytes_free(&b);
        bytes_free(&flipped);
    }
}

static int
broken_read(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct reader *r = arg;

    if (r->at >= r->chunk)
        return err_set(e, ERR_IO, "the disk is gone");
    *n = cap < r->chunk - r->at ? cap : r->chunk - r->at;
    memcpy(buf, r->p + r->at, *n);
    r->at += *n;
    return 0;
}

/* A failing source is a failing source, not a damaged file. */
Test(ltx_decoder, passes_on_errors_of_the_source)
{
    struct bytes b = sample("untracked/p512.ltx");

    for (size_t n = 0; n < b.n; n++) {
        struct reader r = { b.p, b.n, 0, n };
        struct ltx_source src = { broken_read, &r };
        struct ltx_decoder *dec = NULL;
        uint8_t page[512];
        struct ltx_page info;
        struct err e;
        int rc = ltx_decoder_open(src, &dec, &e);

        while (rc == 0)
            rc = ltx_decoder_page(dec, &info, page, &e);
        if (rc == ERR_END)
            rc = ltx_decoder_close(dec, NULL, &e);
        cr_assert_eq(rc, ERR_IO, "after %zu bytes: %d", n, rc);
        cr_expect_not_null(strstr(e.text, "the disk is gone"));
        ltx_decoder_free(dec);
    }
    bytes_free(&b);
}
