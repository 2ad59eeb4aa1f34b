#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
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
    encode_again("encode-db/p65536.ltx");
    encode_again("chain/ltx/0/0000000000000001-0000000000000001.ltx");
    encode_again("chain/ltx/0/0000000000000002-0000000000000002.ltx");
    encode_again("chain/ltx/0/0000000000000003-0000000000000003.ltx");
    encode_again("chain/ltx/0/0000000000000004-0000000000000004.ltx");
    encode_again("chain/ltx/0/0000000000000005-0000000000000005.ltx");
    encode_again("chain/ltx/1/0000000000000002-0000000000000003.ltx");
    encode_again("chain/ltx/1/0000000000000004-0000000000000005.ltx");
    encode_again("chain/ltx/2/0000000000000002-0000000000000005.ltx");
    encode_again("chain/ltx/9/0000000000000001-0000000000000003.ltx");
    encode_again("merged/0000000000000001-0000000000000005.ltx");
    encode_again("merged/legacy-plus-new-0000000000000001-0000000000000003.ltx");
    encode_again("tracked/0000000000000001-0000000000000001.ltx");
    encode_again("tracked/0000000000000002-0000000000000002.ltx");
    encode_again("tracked/0000000000000001-0000000000000002.ltx");
    encode_again("empty/0000000000000001-0000000000000001.ltx");
    encode_again("odd/control-valid.ltx");
    encode_again("odd/reserved-byte.ltx");
}

static struct image
load_database(const char *name, uint32_t page_size)
{
    struct bytes b = sample(name);
    struct image im = { 0 };

    image_resize(&im, page_size, (uint32_t)(b.n / page_size));
    memcpy(im.pages, b.p, b.n);
    bytes_free(&b);
    return im;
}

/*
 * The database encoded by us against `ltx encode-db` of the original: equal but for what
 * another LZ4 compressor changes, which is payloads, their lengths and the file checksum.
 */
static void
encode_database(const char *name, uint32_t page_size)
{
    char path[64];
    struct bytes theirs, ours = { 0 };
    struct image im, back = { 0 };
    struct ltx_header h;
    struct ltx_encoder *enc;
    struct ltx_trailer t;
    uint64_t sum = 0;
    struct err e;

    snprintf(path, sizeof(path), "db/%s.db", name);
    im = load_database(path, page_size);
    snprintf(path, sizeof(path), "encode-db/%s.ltx", name);
    theirs = sample(path);
    cr_assert_eq(ltx_header_decode(theirs.p, &h, &e), 0);
    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&ours), NULL, &enc, &e), 0);
    for (uint32_t pgno = 1; pgno <= im.commit; pgno++) {
        const uint8_t *page = image_page(&im, pgno);

        sum = ltx_rolling_checksum(sum, ltx_page_checksum(pgno, page, page_size));
        cr_assert_eq(ltx_encoder_page(enc, pgno, page, &e), 0, "%s", e.text);
    }
    cr_assert_eq(ltx_encoder_close(enc, sum, &t, &e), 0, "%s", e.text);
    cr_expect_arr_eq(ours.p, theirs.p, LTX_HEADER_SIZE, "%s", name);
    cr_expect_arr_eq(
        ours.p + ours.n - 16, theirs.p + theirs.n - 16, 8, "post-apply of %s", name);
    cr_expect_eq(ltx_get_u64(ours.p + ours.n - 16), t.post_apply);
    cr_expect_eq(ltx_get_u64(ours.p + ours.n - 8), t.file_checksum);
    cr_assert_eq(image_apply(&back, ours.p, ours.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&back, im.pages, (size_t)page_size * im.commit));
    ltx_encoder_free(enc);
    image_free(&im);
    image_free(&back);
    bytes_free(&theirs);
    bytes_free(&ours);
}

Test(ltx_encoder, encodes_a_database_as_the_original_does)
{
    encode_database("p512", 512);
    encode_database("p4096", 4096);
    encode_database("p65536", 65536);
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

/* --- refusals -------------------------------------------------------------------------
 */

/* Pages into a file of TXID txid, then close; the reason for a refusal, NULL for none. */
static const char *
try_pages(uint32_t commit, uint64_t txid, const uint32_t *pgnos, size_t n)
{
    static struct err e;
    struct image im = noisy_image(512, 1);
    struct ltx_header h = header_of(512, commit, txid, txid);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    int rc = ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e);

    cr_assert_eq(rc, 0);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = ltx_encoder_page(enc, pgnos[i], im.pages, &e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, &e);
    cr_assert(rc == 0 || rc == ERR_BUG);
    ltx_encoder_free(enc);
    image_free(&im);
    bytes_free(&b);
    return rc == 0 ? NULL : e.text;
}

#define PAGES(...)                                                                       \
    (const uint32_t[]){ __VA_ARGS__ },                                                   \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

#define LOCK_512 2097153u

Test(ltx_encoder, refuses_pages_out_of_order_in_litestreams_words)
{
    cr_expect_null(try_pages(3, 2, PAGES(1, 3)));
    cr_expect_null(try_pages(3, 2, NULL, 0));
    cr_expect_null(try_pages(3, 1, PAGES(1, 2, 3)));
    cr_expect_null(try_pages(3000000, 2, PAGES(LOCK_512 - 1, LOCK_512 + 1)));
    cr_expect_str_eq(try_pages(3, 2, PAGES(2, 1)), "out-of-order page numbers: 2,1");
    cr_expect_str_eq(try_pages(3, 2, PAGES(2, 2)), "out-of-order page numbers: 2,2");
    cr_expect_str_eq(
        try_pages(3, 2, PAGES(4)), "page number 4 out-of-bounds for commit size 3");
    cr_expect_str_eq(
        try_pages(0, 2, PAGES(1)), "page number 1 out-of-bounds for commit size 0");
    cr_expect_str_eq(try_pages(3, 2, PAGES(0)), "page number required");
    cr_expect_str_eq(
        try_pages(3000000, 2, PAGES(LOCK_512)), "cannot encode lock page: pgno=2097153");
    cr_expect_str_eq(try_pages(3, 1, PAGES(2)),
        "snapshot transaction file must start with page number 1");
    cr_expect_str_eq(try_pages(3, 1, PAGES(1, 3)),
        "nonsequential page numbers in snapshot transaction: 1,3");
    cr_expect_str_eq(try_pages(3, 1, PAGES(1, 2)), "snapshot ends at page 2 of 3");
    cr_expect_str_eq(try_pages(3, 1, NULL, 0), "snapshot ends at page 0 of 3");
}

static const char *
try_close(uint32_t flags, uint32_t commit, uint64_t post_apply)
{
    static struct err e;
    struct ltx_header h = header_of(512, commit, 2, 2);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    int rc;

    h.flags = flags;
    h.pre_apply = flags == 0 ? LTX_CHECKSUM_FLAG | 5 : 0;
    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), 0, "%s", e.text);
    rc = ltx_encoder_close(enc, post_apply, NULL, &e);
    cr_assert(rc == 0 || rc == ERR_BUG);
    cr_expect_eq(b.n, rc == 0 ? LTX_MIN_FILE_SIZE : 0, "nothing of it is written");
    ltx_encoder_free(enc);
    bytes_free(&b);
    return rc == 0 ? NULL : e.text;
}

Test(ltx_encoder, refuses_a_trailer_that_breaks_the_rules)
{
    const uint64_t sum = LTX_CHECKSUM_FLAG | 1;

    cr_expect_null(try_close(LTX_FLAG_NO_CHECKSUM, 3, 0));
    cr_expect_null(try_close(LTX_FLAG_NO_CHECKSUM, 0, 0));
    cr_expect_null(try_close(0, 3, sum));
    cr_expect_null(try_close(0, 0, LTX_CHECKSUM_FLAG));
    cr_expect_str_eq(try_close(LTX_FLAG_NO_CHECKSUM, 3, sum),
        "validate trailer: post-apply checksum not allowed");
    cr_expect_str_eq(
        try_close(0, 3, 0), "validate trailer: post-apply checksum required");
    cr_expect_str_eq(
        try_close(0, 3, 1), "validate trailer: invalid post-apply checksum format");
    cr_expect_str_eq(try_close(0, 0, sum),
        "validate trailer: post-apply checksum must be empty for zero-length database");
}

Test(ltx_encoder, refuses_a_header_that_breaks_the_rules)
{
    struct ltx_header h = header_of(512, 3, 2, 2);
    struct bytes b = { 0 };
    struct ltx_encoder *enc = NULL;
    struct err e;

    h.page_size = 1000;
    cr_expect_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "invalid page size: 1000");
    cr_expect_null(enc);
    cr_expect_eq(b.n, 0);
    bytes_free(&b);
}

/* A caller that overlooks an error must not get a whole file without that page. */
Test(ltx_encoder, stays_failed_after_an_error)
{
    struct image im = noisy_image(512, 3);
    struct ltx_header h = header_of(512, 3, 2, 2);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct err e;

    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), 0);
    cr_expect_eq(ltx_encoder_page(enc, 2, image_page(&im, 2), &e), 0);
    cr_expect_eq(ltx_encoder_page(enc, 1, image_page(&im, 1), &e), ERR_BUG);
    cr_expect_eq(ltx_encoder_page(enc, 3, image_page(&im, 3), &e), ERR_BUG);
    cr_expect_str_eq(e.text, "encoder has failed before");
    cr_expect_eq(ltx_encoder_close(enc, 0, NULL, &e), ERR_BUG);
    cr_expect_eq(b.n, 0);
    ltx_encoder_free(enc);
    image_free(&im);
    bytes_free(&b);
}

Test(ltx_encoder, takes_no_page_after_close)
{
    struct image im = noisy_image(512, 3);
    struct ltx_header h = header_of(512, 3, 2, 2);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct err e;
    size_t n;

    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), 0);
    cr_expect_eq(ltx_encoder_page(enc, 2, image_page(&im, 2), &e), 0);
    cr_expect_eq(ltx_encoder_close(enc, 0, NULL, &e), 0);
    n = b.n;
    cr_expect_eq(ltx_encoder_page(enc, 3, image_page(&im, 3), &e), ERR_BUG);
    cr_expect_eq(b.n, n);
    ltx_encoder_free(enc);
    image_free(&im);
    bytes_free(&b);
}

/* --- pages around the lock page -------------------------------------------------------
 */

#define LOCK_64K 16385u

/* Counts the pages of a snapshot of `commit` zero pages of 64 KiB. */
static int
decode_zeros(const struct bytes *b, uint32_t *n, struct err *e)
{
    struct reader r = { b->p, b->n, 0, 0 };
    struct ltx_decoder *dec = NULL;
    uint8_t *page = malloc(LTX_MAX_PAGE_SIZE);
    struct ltx_page info;
    int rc = ltx_decoder_open(reader_source(&r), &dec, e);

    for (*n = 0; rc == 0; ++*n) {
        rc = ltx_decoder_page(dec, &info, page, e);
        cr_assert(rc != 0 || info.pgno != LOCK_64K);
    }
    --*n;
    if (rc == ERR_END)
        rc = ltx_decoder_close(dec, NULL, e);
    ltx_decoder_free(dec);
    free(page);
    return rc;
}

/* Without the pages from..to. */
static int
encode_zeros(
    struct bytes *out, uint32_t commit, uint32_t from, uint32_t to, struct err *e)
{
    struct ltx_header h = header_of(65536, commit, 1, 1);
    uint8_t *page = calloc(1, 65536), *payload = malloc(ltx_payload_bound(65536));
    uint32_t n = ltx_compress_page(page, 65536, payload);
    struct ltx_encoder *enc;
    int rc = ltx_encoder_open(&h, bytes_sink(out), NULL, &enc, e);

    for (uint32_t pgno = 1; rc == 0 && pgno <= commit; pgno++)
        if (pgno < from || pgno > to)
            rc = ltx_encoder_page_compressed(enc, pgno, page, payload, n, e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, e);
    ltx_encoder_free(enc);
    free(page);
    free(payload);
    return rc;
}

Test(ltx_encoder, a_snapshot_steps_over_the_lock_page)
{
    struct bytes b = { 0 };
    uint32_t n;
    struct err e;

    cr_assert_eq(encode_zeros(&b, LOCK_64K + 1, LOCK_64K, LOCK_64K, &e), 0, "%s", e.text);
    cr_assert_eq(decode_zeros(&b, &n, &e), 0, "%s", e.text);
    cr_expect_eq(n, LOCK_64K);
    ltx_put_u32(b.p + 12, LOCK_64K + 2);
    cr_expect_eq(decode_zeros(&b, &n, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "decode page 16385: snapshot ends at page 16386 of 16387");
    bytes_free(&b);
}

Test(ltx_encoder, a_snapshot_must_go_on_behind_the_lock_page)
{
    struct bytes b = { 0 };
    struct err e;

    cr_expect_eq(encode_zeros(&b, LOCK_64K + 1, LOCK_64K + 1, LOCK_64K + 1, &e), ERR_BUG);
    cr_expect_str_eq(e.text, "cannot encode lock page: pgno=16385");
    bytes_free(&b);
    cr_expect_eq(encode_zeros(&b, LOCK_64K + 2, LOCK_64K, LOCK_64K + 1, &e), ERR_BUG);
    cr_expect_str_eq(e.text,
        "nonsequential page numbers in snapshot transaction (skip lock page): "
        "16384,16387");
    bytes_free(&b);
}

Test(ltx_encoder, a_snapshot_may_end_with_the_lock_page)
{
    struct bytes b = { 0 };
    uint32_t n;
    struct err e;

    cr_assert_eq(encode_zeros(&b, LOCK_64K, LOCK_64K, LOCK_64K, &e), 0, "%s", e.text);
    cr_assert_eq(decode_zeros(&b, &n, &e), 0, "%s", e.text);
    cr_expect_eq(n, LOCK_64K - 1);
    bytes_free(&b);
}

/* --- faults ---------------------------------------------------------------------------
 */

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
        left = INT64_MAX; /* room again: too late */
        cr_assert_eq(ltx_encoder_close(enc, 0, NULL, &e), whole ? 0 : ERR_BUG);
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

/* Calls 1 to 5 are its unlink and writes, those behind are reads at close. */
Test(ltx_encoder, an_error_of_the_spool_ends_it)
{
    static const int calls[] = { 1, 2, 3, 4, 5, 6, 40 };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct bytes b = { 0 };
        struct err e = ERR_NONE;
        int rc;

        fault_off();
        cr_assert(fault_nth(calls[i], ENOSPC));
        rc = encode_many(&b, &e);
        cr_assert_geq(fault_calls(), calls[i]);
        cr_expect_eq(rc, ERR_NO_SPACE, "call %d: %d %s", calls[i], rc, e.text);
        bytes_free(&b);
    }
    fault_off();
}

/* Through a file as the daemon writes it: whichever call fails, the error comes out. */
static int
write_fd(void *arg, const void *p, size_t n, struct err *e)
{
    return sys_write_all(*(int *)arg, p, n, e);
}

static int
encode_file(const char *path, const struct image *im, struct err *e)
{
    struct ltx_header h = header_of(im->page_size, im->commit, 1, 1);
    struct ltx_encoder *enc = NULL;
    int fd = -1;
    int rc = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, e);

    if (rc == 0)
        rc = ltx_encoder_open(&h, (struct ltx_sink){ write_fd, &fd }, NULL, &enc, e);
    for (uint32_t pgno = 1; rc == 0 && pgno <= im->commit; pgno++)
        rc = ltx_encoder_page(enc, pgno, image_page((struct image *)im, pgno), e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, e);
    if (rc == 0 && sys->fsync(fd) != 0)
        rc = err_errno(e, errno, "sync");
    ltx_encoder_free(enc);
    sys_close(&fd);
    return rc;
}

Test(ltx_encoder, an_error_of_the_file_comes_out_and_success_is_whole)
{
    struct image im = noisy_image(4096, 150), back = { 0 };
    const char *path = tmp_path("file.ltx");
    struct bytes b;
    struct err e;
    int nth = 1, n_good = 0;

    for (; fault_nth(nth, ENOSPC); nth++) {
        int rc = encode_file(path, &im, &e);

        cr_expect_eq(rc, fault_calls() >= nth ? ERR_NO_SPACE : 0, "call %d: %d", nth, rc);
        n_good += rc == 0;
    }
    fault_off();
    cr_expect_eq(n_good, 1);
    cr_expect_geq(nth, 5, "open, writes, sync");
    b.p = tmp_read(path, &b.n);
    cr_assert_eq(image_apply(&back, b.p, b.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&back, im.pages, (size_t)4096 * 150));
    bytes_free(&b);
    image_free(&im);
    image_free(&back);
}
