#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

static struct image
noisy_image(uint32_t page_size, uint32_t commit)
{
    struct image im = { 0 };
    uint64_t state = page_size + commit;

    image_resize(&im, page_size, commit);
    for (uint32_t pgno = 1; pgno <= commit; pgno++)
        fill_page(&state, image_page(&im, pgno), page_size);
    return im;
}

Test(ltx_encoder, writes_what_the_decoder_reads)
{
    for (uint32_t size = 512; size <= 65536; size *= 2) {
        struct image im = noisy_image(size, 5), back = { 0 };
        const uint32_t pgnos[] = { 1, 2, 3, 4, 5 };
        struct ltx_header h = header_of(size, 5, 1, 1);
        struct bytes b = encode(&h, &im, pgnos, 5);
        struct err e;

        cr_assert_eq(image_apply(&back, b.p, b.n, 0, &e), 0, "%u: %s", size, e.text);
        cr_expect(image_equals(&back, im.pages, (size_t)size * 5));
        image_free(&im);
        image_free(&back);
        bytes_free(&b);
    }
}

/* Payloads copied, header and order kept: the bytes of Litestream's own encoder. */
static void
encode_again(const char *name)
{
    struct bytes b = sample(name), out = { 0 };
    struct reader r = { b.p, b.n, 0, 0 };
    struct ltx_decoder *dec;
    struct ltx_encoder *enc;
    struct ltx_page info;
    struct ltx_trailer t;
    uint8_t *page = malloc(LTX_MAX_PAGE_SIZE);
    struct err e;

    cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0);
    cr_assert_eq(
        ltx_encoder_open(ltx_decoder_header(dec), bytes_sink(&out), NULL, &enc, &e), 0);
    while (ltx_decoder_page(dec, &info, page, &e) == 0)
        cr_assert_eq(ltx_encoder_page_compressed(
                         enc, info.pgno, page, info.payload, info.payload_size, &e),
            0, "%s", e.text);
    cr_assert_eq(ltx_decoder_close(dec, &t, &e), 0, "%s", e.text);
    cr_assert_eq(ltx_encoder_close(enc, t.post_apply, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(out.n, b.n, "%s", name);
    cr_expect_arr_eq(out.p, b.p, b.n, "%s", name);
    ltx_decoder_free(dec);
    ltx_encoder_free(enc);
    free(page);
    bytes_free(&b);
    bytes_free(&out);
}

Test(ltx_encoder, gives_the_bytes_of_the_original)
{
    encode_again("untracked/p512.ltx");
    encode_again("untracked/p4096.ltx");
    encode_again("untracked/p65536.ltx");
    encode_again("encode-db/p512.ltx");
    encode_again("encode-db/p4096.ltx");
    encode_again("chain/ltx/0/0000000000000002-0000000000000002.ltx");
    encode_again("chain/ltx/2/0000000000000002-0000000000000005.ltx");
    encode_again("tracked/0000000000000002-0000000000000002.ltx");
}

Test(ltx_encoder, a_file_without_pages_has_131_bytes)
{
    struct ltx_header h = header_of(4096, 0, 7, 7);
    struct image none = { 0 };
    struct bytes b = encode(&h, &none, NULL, 0);

    cr_expect_eq(b.n, LTX_MIN_FILE_SIZE);
    bytes_free(&b);
}

Test(ltx_encoder, counts_bytes_and_pages)
{
    struct image im = noisy_image(512, 2);
    struct ltx_header h = header_of(512, 2, 1, 1);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct ltx_trailer t;
    struct err e;

    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), 0);
    cr_assert_eq(ltx_encoder_page(enc, 1, image_page(&im, 1), &e), 0);
    cr_assert_eq(ltx_encoder_page(enc, 2, image_page(&im, 2), &e), 0);
    cr_assert_eq(ltx_encoder_close(enc, 0, &t, &e), 0);
    cr_expect_eq(ltx_encoder_size(enc), (int64_t)b.n);
    cr_expect_eq(ltx_encoder_n_pages(enc), 2);
    cr_assert_eq(ltx_encoder_close(enc, 0, &t, &e), 0, "a second time");
    cr_expect_eq(ltx_encoder_size(enc), (int64_t)b.n);
    ltx_encoder_free(enc);
    image_free(&im);
    bytes_free(&b);
}

static int
try_pages(uint32_t commit, uint64_t txid, const uint32_t *pgnos, size_t n)
{
    struct image im = noisy_image(512, 1);
    struct ltx_header h = header_of(512, commit, txid, txid);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct err e;
    int rc = ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e);

    cr_assert_eq(rc, 0);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = ltx_encoder_page(enc, pgnos[i], im.pages, &e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, &e);
    ltx_encoder_free(enc);
    image_free(&im);
    bytes_free(&b);
    return rc;
}

Test(ltx_encoder, refuses_pages_out_of_order)
{
    cr_expect_eq(try_pages(3, 2, (const uint32_t[]){ 1, 3 }, 2), 0);
    cr_expect_neq(try_pages(3, 2, (const uint32_t[]){ 2, 1 }, 2), 0);
    cr_expect_neq(try_pages(3, 2, (const uint32_t[]){ 2, 2 }, 2), 0);
    cr_expect_neq(try_pages(3, 2, (const uint32_t[]){ 4 }, 1), 0, "above commit");
    cr_expect_neq(try_pages(3, 2, (const uint32_t[]){ 0 }, 1), 0, "no page");
    cr_expect_neq(
        try_pages(3000000, 2, (const uint32_t[]){ 2097153 }, 1), 0, "lock page");
    cr_expect_neq(
        try_pages(3, 1, (const uint32_t[]){ 1, 3 }, 2), 0, "hole in a snapshot");
    cr_expect_neq(try_pages(3, 1, (const uint32_t[]){ 1, 2 }, 2), 0, "end missing");
}

static int
failing_sink(void *arg, const void *p, size_t n, struct err *e)
{
    int64_t *left = arg;

    (void)p;
    *left -= (int64_t)n;
    return *left < 0 ? err_set(e, ERR_NO_SPACE, "full") : 0;
}

Test(ltx_encoder, an_error_of_the_sink_ends_it)
{
    struct image im = noisy_image(512, 3);
    struct ltx_header h = header_of(512, 3, 1, 1);
    bool whole = false;

    for (int64_t room = 0; !whole; room++) {
        int64_t left = room;
        struct ltx_encoder *enc = NULL;
        struct err e;
        int rc = ltx_encoder_open(
            &h, (struct ltx_sink){ failing_sink, &left }, NULL, &enc, &e);

        for (uint32_t pgno = 1; rc == 0 && pgno <= 3; pgno++)
            rc = ltx_encoder_page(enc, pgno, image_page(&im, pgno), &e);
        if (rc == 0)
            rc = ltx_encoder_close(enc, 0, NULL, &e);
        cr_assert(rc == 0 || rc == ERR_NO_SPACE, "%d", rc);
        whole = rc == 0;
        ltx_encoder_free(enc);
    }
    image_free(&im);
}

#define MANY 120000u /* pages whose index does not fit into memory */

static int
encode_many(struct bytes *out, struct err *e)
{
    struct ltx_header h = header_of(512, 2 * MANY, 2, 2);
    uint8_t page[512] = { 0 };
    struct ltx_encoder *enc = NULL;
    int rc = ltx_encoder_open(&h, bytes_sink(out), tmp_dir(), &enc, e);

    for (uint32_t i = 1; rc == 0 && i <= MANY; i++) {
        memcpy(page, &i, sizeof(i));
        rc = ltx_encoder_page(enc, 2 * i, page, e);
    }
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, e);
    ltx_encoder_free(enc);
    return rc;
}

Test(ltx_encoder, spools_a_long_index)
{
    struct bytes b = { 0 };
    struct image im = { 0 };
    struct err e;

    cr_assert_eq(encode_many(&b, &e), 0, "%s", e.text);
    cr_assert_eq(image_apply(&im, b.p, b.n, 0, &e), 0, "%s", e.text);
    for (uint32_t i = 1; i <= MANY; i++)
        cr_assert_arr_eq(image_page(&im, 2 * i), &i, sizeof(i));
    image_free(&im);
    bytes_free(&b);
}

Test(ltx_encoder, an_error_of_the_spool_ends_it)
{
    int nth = 1;

    for (; nth < 4 && fault_nth(nth, ENOSPC); nth++) {
        struct bytes b = { 0 };
        struct err e = { 0 };
        int rc = encode_many(&b, &e);

        bytes_free(&b);
        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_NO_SPACE, "call %d: %d %s", nth, rc, e.text);
    }
    fault_off();
    cr_expect_gt(nth, 1, "no call was made");
}
