#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

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

/* --- states ---------------------------------------------------------------------------
 */

static struct ltx_decoder *
open_reader(struct reader *r)
{
    struct ltx_decoder *dec = NULL;
    struct err e;

    cr_assert_eq(ltx_decoder_open(reader_source(r), &dec, &e), 0, "%s", e.text);
    return dec;
}

Test(ltx_decoder, closes_after_the_last_page_only)
{
    struct bytes b = sample("untracked/p512.ltx");
    struct reader r = { b.p, b.n, 0, 0 };
    struct ltx_decoder *dec = open_reader(&r);
    struct ltx_trailer t;
    uint8_t page[512];
    struct ltx_page info;
    struct err e;

    for (int i = 0; i < 2; i++) {
        cr_expect_eq(ltx_decoder_close(dec, &t, &e), ERR_CORRUPT);
        cr_expect_str_eq(e.text, "close reader: cannot close, expected page");
        cr_assert_eq(ltx_decoder_page(dec, &info, page, &e), 0);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ltx_decoder_page(dec, &info, page, &e), ERR_END);
    cr_assert_eq(ltx_decoder_close(dec, &t, &e), 0, "%s", e.text);
    cr_expect_eq(t.post_apply, 0);
    cr_expect_eq(t.file_checksum, UINT64_C(0xe213f84f48bfd8a2));
    cr_assert_eq(ltx_decoder_close(dec, NULL, &e), 0, "a second time");
    cr_assert_eq(ltx_decoder_page(dec, &info, page, &e), ERR_END);
    ltx_decoder_free(dec);
    bytes_free(&b);
}

Test(ltx_decoder, tells_where_frames_lie)
{
    static const char *const names[] = { "untracked/p512.ltx", "legacy/p512.ltx" };

    for (int i = 0; i < 2; i++) {
        struct bytes b = sample(names[i]);
        struct reader r = { b.p, b.n, 0, 0 };
        struct ltx_decoder *dec = open_reader(&r);
        int64_t at = LTX_HEADER_SIZE;
        uint8_t page[512];
        struct ltx_page info;
        struct err e;

        while (ltx_decoder_page(dec, &info, page, &e) == 0) {
            cr_expect_eq(info.offset, at);
            cr_expect_eq(ltx_get_u32(b.p + at), info.pgno);
            at += info.size;
            if (i == 0) {
                cr_expect_eq(info.payload_size, info.size - 10);
                cr_expect_arr_eq(info.payload, b.p + info.offset + 10, info.payload_size);
            } else {
                cr_expect_null(info.payload);
                cr_expect_eq(info.payload_size, 0);
            }
        }
        cr_expect_eq(ltx_get_u32(b.p + at), 0, "the end marker follows");
        ltx_decoder_free(dec);
        bytes_free(&b);
    }
}

/* Both dialects may stand in one file: the flag is the page's own. */
Test(ltx_decoder, takes_both_dialects_in_one_file)
{
    struct bytes block = sample("untracked/p512.ltx"), frame = sample("legacy/p512.ltx");
    struct bytes db = sample("db/p512.db"), b = { malloc(400), 0 };
    const size_t n1 = 120, n2 = 43 - 10 + 25;
    struct image im = { 0 };
    struct err e;

    memcpy(b.p, block.p, 100 + n1);
    memcpy(b.p + 100 + n1, frame.p + 100 + 135, n2);
    b.n = 100 + n1 + n2;
    b.n += put_tail(b.p + b.n, (const uint32_t[]){ 1, 2 }, (const size_t[]){ n1, n2 }, 2);
    seal(&b, db.p, (const size_t[]){ 10, 6 }, (const size_t[]){ n1, n2 }, 2);
    cr_assert_eq(image_apply(&im, b.p, b.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&im, db.p, db.n));
    image_free(&im);
    bytes_free(&b);
    bytes_free(&block);
    bytes_free(&frame);
    bytes_free(&db);
}

/* --- files ----------------------------------------------------------------------------
 */

static int
open_file(const char *name, const struct bytes *b, size_t off)
{
    struct bytes file = { malloc(b->n + off + 1), b->n + off };
    int fd;

    memset(file.p, 0xee, off);
    memcpy(file.p + off, b->p, b->n);
    tmp_write(tmp_path(name), file.p, file.n);
    bytes_free(&file);
    fd = open(tmp_path(name), O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(ltx_decoder, reads_a_descriptor_from_an_offset)
{
    struct bytes b = sample("chain/ltx/0/0000000000000001-0000000000000001.ltx");
    int fd = open_file("at-77", &b, 77);
    struct ltx_decoder *dec;
    uint8_t page[1024];
    struct ltx_page info;
    struct err e;
    uint32_t n = 0;

    cr_assert_eq(ltx_decoder_open_fd(fd, 77, &dec, &e), 0, "%s", e.text);
    while (ltx_decoder_page(dec, &info, page, &e) == 0)
        n++;
    cr_expect_eq(n, 3);
    cr_expect_eq(ltx_decoder_close(dec, NULL, &e), 0, "%s", e.text);
    ltx_decoder_free(dec);
    close(fd);
    bytes_free(&b);
}

Test(ltx_decoder, verifies_every_sample_as_a_file)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct bytes b = sample(good[i].file);
        int fd = open_file("whole", &b, 0);
        struct ltx_header h = { 0 }, want;
        struct err e;

        cr_assert_eq(ltx_header_decode(b.p, &want, &e), 0);
        cr_expect_eq(ltx_verify_fd(fd, &h, &e), 0, "%s: %s", good[i].file, e.text);
        cr_expect_eq(h.max_txid, want.max_txid);
        cr_expect_eq(h.commit, want.commit);
        close(fd);
        b.p[b.n - 1] ^= 1;
        fd = open_file("bad", &b, 0);
        cr_expect_eq(ltx_verify_fd(fd, &h, &e), ERR_CORRUPT, "%s", good[i].file);
        cr_expect_str_eq(e.text, "close reader: file checksum mismatch");
        close(fd);
        bytes_free(&b);
    }
}

/* A disk that fails is a disk that fails, not a damaged file. */
Test(ltx_decoder, passes_on_errors_of_the_disk)
{
    struct bytes b = sample("untracked/p65536.ltx");
    int fd = open_file("disk", &b, 0), nth = 1;

    for (; fault_nth(nth, EIO); nth++) {
        struct ltx_header h;
        struct err e = ERR_NONE;
        int rc = ltx_verify_fd(fd, &h, &e);

        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_IO, "call %d: %d %s", nth, rc, e.text);
        else
            cr_expect_eq(rc, 0, "%s", e.text);
    }
    fault_off();
    cr_expect_gt(nth, 2);
    close(fd);
    bytes_free(&b);
}

/* --- sources that do not behave -------------------------------------------------------
 */

struct endless {
    const struct bytes *b;
    size_t at, given;
    uint8_t fill;
};

static int
read_endless(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct endless *s = arg;

    (void)e;
    for (size_t i = 0; i < cap; i++)
        ((uint8_t *)buf)[i] = s->at < s->b->n ? s->b->p[s->at++] : s->fill;
    *n = cap;
    s->given += cap;
    cr_assert_lt(s->given, (size_t)16 << 20, "still reading");
    return 0;
}

/* Bytes behind the trailer that never stop are refused before memory or time run out. */
Test(ltx_decoder, gives_up_on_a_source_without_end)
{
    struct bytes b = sample("untracked/p512.ltx");

    for (int fill = 0; fill < 256; fill += 51) {
        struct endless s = { &b, 0, 0, (uint8_t)fill };
        struct ltx_decoder *dec;
        uint8_t page[512];
        struct ltx_page info;
        struct err e;

        cr_assert_eq(
            ltx_decoder_open((struct ltx_source){ read_endless, &s }, &dec, &e), 0);
        while (ltx_decoder_page(dec, &info, page, &e) == 0)
            ;
        cr_expect_eq(ltx_decoder_close(dec, NULL, &e), ERR_CORRUPT);
        ltx_decoder_free(dec);
    }
    bytes_free(&b);
}

static int
read_end(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct reader *r = arg;

    if (r->at >= r->chunk)
        return err_set(e, ERR_END, "nothing left");
    *n = cap < r->chunk - r->at ? cap : r->chunk - r->at;
    memcpy(buf, r->p + r->at, *n);
    r->at += *n;
    return 0;
}

/* ERR_END means "no more pages" to our callers: a source must not fake that. */
Test(ltx_decoder, an_end_of_the_source_is_not_the_end_of_pages)
{
    struct bytes b = sample("untracked/p512.ltx");

    for (size_t n = LTX_HEADER_SIZE; n < b.n; n++) {
        struct reader r = { b.p, b.n, 0, n };
        struct ltx_decoder *dec;
        uint8_t page[512];
        struct ltx_page info;
        struct err e;
        int rc = ltx_decoder_open((struct ltx_source){ read_end, &r }, &dec, &e);

        while (rc == 0)
            rc = ltx_decoder_page(dec, &info, page, &e);
        cr_assert_eq(rc, ERR_END);
        cr_expect_neq(ltx_decoder_close(dec, NULL, &e), 0, "after %zu bytes", n);
        ltx_decoder_free(dec);
    }
    bytes_free(&b);
}
