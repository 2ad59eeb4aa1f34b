#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/apply.h"

#define MAX_FILES 12
#define MAX_PAGES 60

/* Files 1..n, and what applying them in order leads to. */
struct history {
    struct bytes file[MAX_FILES + 1];
    struct ltx_info info[MAX_FILES + 1];
    size_t n;
    struct image now;
    uint64_t noise;
};

static void
add_file(struct history *h, uint32_t commit, const uint32_t *pgnos, size_t n)
{
    uint64_t txid = h->n + 1;
    struct ltx_header head = header_of(h->now.page_size, commit, txid, txid);

    h->n++;
    for (size_t i = 0; i < n; i++)
        fill_page(&h->noise, image_page(&h->now, pgnos[i]), h->now.page_size);
    h->file[h->n] = encode(&head, &h->now, pgnos, n);
    h->info[h->n] = (struct ltx_info){
        .min_txid = txid, .max_txid = txid, .size = (int64_t)h->file[h->n].n
    };
}

/* The first file, of all pages. */
static void
begin(struct history *h, uint32_t page_size, uint32_t commit, uint64_t seed)
{
    uint32_t pgnos[MAX_PAGES];

    *h = (struct history){ .noise = seed };
    image_resize(&h->now, page_size, commit);
    for (uint32_t i = 0; i < commit; i++)
        pgnos[i] = i + 1;
    add_file(h, commit, pgnos, commit);
}

/* Some pages change; those by which the database grew are among them. */
static void
change(struct history *h, uint32_t commit, unsigned one_in)
{
    uint32_t pgnos[MAX_PAGES], before = h->now.commit;
    size_t n = 0;

    image_resize(&h->now, h->now.page_size, commit);
    for (uint32_t pgno = 1; pgno <= commit; pgno++)
        if (pgno > before || noise(&h->noise) % one_in == 0)
            pgnos[n++] = pgno;
    if (n == 0)
        pgnos[n++] = 1; /* no transaction is without a page */
    add_file(h, commit, pgnos, n);
}

static void
end(struct history *h)
{
    for (size_t i = 1; i <= h->n; i++)
        bytes_free(&h->file[i]);
    image_free(&h->now);
}

static const char *out_path;

static int
new_output(void)
{
    if (out_path == NULL)
        out_path = tmp_path("out");
    return open(out_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

static int
apply_one(struct apply *a, struct history *h, size_t i, struct err *e)
{
    struct reader r = { h->file[i].p, h->file[i].n, 0, 777 };

    return apply_file(a, reader_source(&r), &h->info[i], NULL, e);
}

/* Newest first, until nothing more is needed. */
static int
apply_all(struct apply *a, struct history *h, size_t *n_read, struct err *e)
{
    int rc = 0;

    *n_read = 0;
    for (size_t i = h->n; rc == 0 && i > 0 && !apply_complete(a); i--) {
        rc = apply_one(a, h, i, e);
        ++*n_read;
    }
    return rc == 0 ? apply_finish(a, e) : rc;
}

static void
assert_equal(struct history *h)
{
    size_t n;
    uint8_t *out = tmp_read(out_path, &n);

    cr_assert_eq(n, (size_t)h->now.page_size * h->now.commit);
    cr_assert(image_equals(&h->now, out, n), "the image differs");
    free(out);
}

Test(apply, newest_first_is_the_same_as_oldest_first)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        uint64_t dice = seed;
        uint32_t page_size = 512u << noise(&dice) % 3;
        struct history h;
        struct apply *a;
        struct err e;
        size_t n_read;
        int fd = new_output();

        begin(&h, page_size, 1 + noise(&dice) % MAX_PAGES, seed);
        for (unsigned more = noise(&dice) % MAX_FILES; more > 0; more--)
            change(&h, 1 + noise(&dice) % MAX_PAGES, 1 + noise(&dice) % 8);
        a = apply_new(fd);
        cr_assert_eq(apply_all(a, &h, &n_read, &e), 0, "seed %d: %s", (int)seed, e.text);
        cr_expect_eq(apply_commit(a), h.now.commit);
        cr_expect_eq(apply_page_size(a), page_size);
        cr_expect_eq(apply_timestamp_ms(a), 1767225600000 + (int64_t)h.n);
        assert_equal(&h);
        apply_free(a);
        close(fd);
        end(&h);
    }
}

/* The model by the book: every file decoded in full, the oldest first. */
static void
assert_equal_oldest_first(struct history *h)
{
    struct image im = { 0 };
    struct err e;

    for (size_t i = 1; i <= h->n; i++)
        cr_assert_eq(
            image_apply(&im, h->file[i].p, h->file[i].n, 0, &e), 0, "%s", e.text);
    cr_assert(image_equals(&h->now, im.pages, (size_t)im.page_size * im.commit));
    image_free(&im);
}

/* Pages so large that runs of them are written in several pieces. */
Test(apply, runs_of_any_length_are_written_whole)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        uint64_t dice = seed;
        struct history h;
        struct apply *a;
        struct err e;
        size_t n_read;
        int fd = new_output();

        begin(&h, 16384u << seed % 3, 1 + noise(&dice) % MAX_PAGES, seed);
        for (unsigned more = noise(&dice) % 5; more > 0; more--)
            change(&h, 1 + noise(&dice) % MAX_PAGES, 1 + noise(&dice) % 4);
        a = apply_new(fd);
        cr_assert_eq(apply_all(a, &h, &n_read, &e), 0, "seed %d: %s", (int)seed, e.text);
        assert_equal(&h);
        assert_equal_oldest_first(&h);
        apply_free(a);
        close(fd);
        end(&h);
    }
}

/* Shrunk below a page and grown over it again: what it held before must not come back. */
Test(apply, a_page_that_was_cut_off_does_not_come_back)
{
    const uint32_t four[] = { 4 }, grown[] = { 7, 8, 9, 10, 11, 12 };
    struct history h;
    struct apply *a = apply_new(new_output());
    struct err e;
    size_t n_read;

    begin(&h, 512, 12, 3);
    image_resize(&h.now, 512, 6);
    add_file(&h, 6, four, 1);
    image_resize(&h.now, 512, 12);
    add_file(&h, 12, grown, 6);
    image_resize(&h.now, 512, 9);
    add_file(&h, 9, four, 1);
    cr_assert_eq(apply_all(a, &h, &n_read, &e), 0, "%s", e.text);
    cr_expect_eq(n_read, 4);
    assert_equal(&h);
    assert_equal_oldest_first(&h);
    apply_free(a);
    end(&h);
}

/* --- the lock page --------------------------------------------------------------------
 */

#define LOCK_PGNO 16385 /* with pages of 64 KiB: the byte at 1 GiB */
#define BIG_PAGE ((size_t)65536)

static int64_t n_dropped;
static bool lock_written;

/* Keeps what matters of a write of 1 GiB of zeros: how much, and where. */
static ssize_t
dropping_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    int64_t lock_off = (LOCK_PGNO - 1) * (int64_t)BIG_PAGE;

    (void)fd;
    (void)buf;
    n_dropped += (int64_t)n;
    if (off < lock_off + (int64_t)BIG_PAGE && off + (int64_t)n > lock_off)
        lock_written = true;
    return (ssize_t)n;
}

/* A whole database of 1 GiB and one page, which leaves out the lock page. */
static struct bytes
big_snapshot(void)
{
    struct ltx_header head = header_of(BIG_PAGE, LOCK_PGNO + 1, 1, 1);
    uint8_t *page = calloc(1, BIG_PAGE);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct err e;

    cr_assert_eq(ltx_encoder_open(&head, bytes_sink(&b), NULL, &enc, &e), 0);
    for (uint32_t pgno = 1; pgno <= LOCK_PGNO + 1; pgno++)
        if (pgno != LOCK_PGNO)
            cr_assert_eq(ltx_encoder_page(enc, pgno, page, &e), 0, "%s", e.text);
    cr_assert_eq(ltx_encoder_close(enc, 0, NULL, &e), 0, "%s", e.text);
    ltx_encoder_free(enc);
    free(page);
    return b;
}

Test(apply, the_lock_page_is_in_no_file_and_not_missed, .timeout = 120)
{
    struct sys_ops dropping = sys_posix;
    struct bytes file = big_snapshot();
    struct ltx_info info = { .min_txid = 1, .max_txid = 1, .size = (int64_t)file.n };
    struct reader r = { file.p, file.n, 0, 0 };
    int fd = new_output();
    struct apply *a = apply_new(fd);
    struct err e;

    dropping.pwrite = dropping_pwrite;
    sys = &dropping;
    cr_assert_eq(apply_file(a, reader_source(&r), &info, NULL, &e), 0, "%s", e.text);
    sys = &sys_posix;
    cr_expect(apply_complete(a));
    cr_assert_eq(apply_finish(a, &e), 0, "%s", e.text);
    cr_expect_eq(n_dropped, LOCK_PGNO * (int64_t)BIG_PAGE);
    cr_expect_not(lock_written);
    cr_expect_eq(lseek(fd, 0, SEEK_END), (LOCK_PGNO + 1) * (off_t)BIG_PAGE);
    apply_free(a);
    close(fd);
    bytes_free(&file);
}

/* --- what does not fit ----------------------------------------------------------------
 */

Test(apply, files_that_are_not_needed_are_not_read)
{
    int fd = new_output();
    struct apply *a = apply_new(fd);
    struct history h;
    struct err e;
    size_t n_read;

    begin(&h, 512, 10, 7);
    change(&h, 10, 3);
    change(&h, 12, 1); /* every page */
    change(&h, 12, 4);
    cr_assert_eq(apply_all(a, &h, &n_read, &e), 0, "%s", e.text);
    cr_expect_eq(n_read, 2);
    assert_equal(&h);
    apply_free(a);
    close(fd);
    end(&h);
}

Test(apply, a_page_in_none_of_the_files_is_named)
{
    struct apply *a = apply_new(new_output());
    struct history h;
    struct err e;

    begin(&h, 512, 10, 7);
    change(&h, 12, 100000);
    cr_assert_eq(apply_one(a, &h, 2, &e), 0, "%s", e.text);
    cr_expect_not(apply_complete(a));
    cr_assert_eq(apply_finish(a, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "page 1 of 12 is in none of the files");
    apply_free(a);
    end(&h);
}

Test(apply, a_file_of_other_transactions_than_listed_is_refused)
{
    struct apply *a = apply_new(new_output());
    struct history h;
    struct err e;

    begin(&h, 512, 10, 7);
    h.info[1].max_txid = 9;
    cr_assert_eq(apply_one(a, &h, 1, &e), ERR_CORRUPT);
    cr_expect_not_null(strstr(e.text, "0000000000000001-0000000000000001"), "%s", e.text);
    apply_free(a);
    end(&h);
}

Test(apply, two_page_sizes_are_refused)
{
    struct apply *a = apply_new(new_output());
    struct history h, other;
    struct err e;

    begin(&h, 512, 10, 7);
    begin(&other, 1024, 20, 7);
    change(&other, 20, 4);
    cr_assert_eq(apply_one(a, &other, 2, &e), 0, "%s", e.text);
    cr_assert_eq(apply_one(a, &h, 1, &e), ERR_CORRUPT);
    cr_expect_not_null(
        strstr(e.text, "mismatched page sizes: 512 != 1024"), "%s", e.text);
    apply_free(a);
    end(&h);
    end(&other);
}

/* Any byte of a file: damage is an error before the image could be used. */
Test(apply, damage_is_seen_wherever_it_is)
{
    struct history h;

    begin(&h, 512, 6, 7);
    for (size_t at = 0; at < h.file[1].n; at += 13) {
        int fd = new_output();
        struct apply *a = apply_new(fd);
        struct err e;
        size_t n_read;

        h.file[1].p[at] ^= 0x40;
        cr_expect_neq(apply_all(a, &h, &n_read, &e), 0, "byte %zu", at);
        h.file[1].p[at] ^= 0x40;
        apply_free(a);
        close(fd);
    }
    end(&h);
}

Test(apply, a_file_that_ends_anywhere_is_damaged)
{
    struct history h;
    size_t whole;

    begin(&h, 512, 6, 7);
    whole = h.file[1].n;
    for (size_t n = 0; n < whole; n += 17) {
        int fd = new_output();
        struct apply *a = apply_new(fd);
        struct err e;

        h.file[1].n = n;
        cr_expect_eq(apply_one(a, &h, 1, &e), ERR_CORRUPT, "%zu bytes", n);
        apply_free(a);
        close(fd);
    }
    h.file[1].n = whole;
    end(&h);
}

/* The pages are all there after the newest: damage behind them counts all the same. */
Test(apply, the_last_byte_of_a_file_that_is_read_is_checked)
{
    struct apply *a = apply_new(new_output());
    struct history h;
    struct err e;

    begin(&h, 512, 6, 7);
    h.file[1].p[h.file[1].n - 1] ^= 1;
    cr_expect_eq(apply_one(a, &h, 1, &e), ERR_CORRUPT, "%s", e.text);
    apply_free(a);
    end(&h);
}

Test(apply, nothing_applied_is_not_a_database)
{
    struct apply *a = apply_new(new_output());
    struct err e;

    cr_expect_not(apply_complete(a));
    cr_expect_eq(apply_finish(a, &e), ERR_CORRUPT);
    apply_free(a);
    apply_free(NULL);
}

Test(apply, a_cancel_ends_it)
{
    struct apply *a = apply_new(new_output());
    struct cancel cancel = { 0 };
    struct history h;
    struct reader r;
    struct err e;

    begin(&h, 512, 10, 7);
    r = (struct reader){ h.file[1].p, h.file[1].n, 0, 0 };
    cancel_ask(&cancel);
    cr_assert_eq(
        apply_file(a, reader_source(&r), &h.info[1], &cancel, &e), ERR_CANCELLED);
    apply_free(a);
    end(&h);
}

Test(apply, a_disk_that_fails_is_an_error_at_every_call)
{
    struct history h;
    int n_failed = 0;

    begin(&h, 4096, 20, 7);
    change(&h, 25, 3);
    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        int fd = new_output();
        struct apply *a = apply_new(fd);
        struct err e;
        size_t n_read;
        int rc = apply_all(a, &h, &n_read, &e);
        bool struck = fault_calls() >= nth;

        cr_expect_eq(rc != 0, struck, "call %d: %d", nth, rc);
        n_failed += rc != 0;
        apply_free(a);
        close(fd);
    }
    fault_off();
    cr_expect_gt(n_failed, 2);
    end(&h);
}
