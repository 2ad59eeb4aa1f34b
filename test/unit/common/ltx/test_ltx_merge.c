#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_merge.h"
#include "test/unit/common/ltx/ltx_files.h"

#define MAX_INPUTS 64

/* Merges files in memory; *out is the merged file. */
static int
merge(const struct bytes *in, size_t n, struct bytes *out, const struct cancel *cancel,
    struct err *e)
{
    struct ltx_decoder *dec[MAX_INPUTS] = { 0 };
    struct reader readers[MAX_INPUTS];
    struct ltx_merge *m = NULL;
    struct ltx_encoder *enc = NULL;
    int rc = 0;

    *out = (struct bytes){ 0 };
    for (size_t i = 0; rc == 0 && i < n; i++) {
        readers[i] = (struct reader){ in[i].p, in[i].n, 0, 0 };
        rc = ltx_decoder_open(reader_source(&readers[i]), &dec[i], e);
    }
    if (rc == 0)
        rc = ltx_merge_open(dec, n, &m, e);
    if (rc == 0)
        rc = ltx_encoder_open(ltx_merge_header(m), bytes_sink(out), NULL, &enc, e);
    if (rc == 0)
        rc = ltx_merge_run(m, enc, cancel, e);
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    for (size_t i = 0; i < n; i++)
        ltx_decoder_free(dec[i]);
    return rc;
}

static void
merge_samples(const char *const *names, size_t n, const char *expected)
{
    struct bytes in[MAX_INPUTS], out, want = sample(expected);
    struct err e;

    for (size_t i = 0; i < n; i++)
        in[i] = sample(names[i]);
    cr_assert_eq(merge(in, n, &out, NULL, &e), 0, "%s: %s", expected, e.text);
    cr_expect_eq(out.n, want.n, "%s", expected);
    cr_expect_arr_eq(out.p, want.p, want.n, "%s", expected);
    for (size_t i = 0; i < n; i++)
        bytes_free(&in[i]);
    bytes_free(&out);
    bytes_free(&want);
}

#define L0(n) "chain/ltx/0/000000000000000" #n "-000000000000000" #n ".ltx"
#define L1(a, b) "chain/ltx/1/000000000000000" #a "-000000000000000" #b ".ltx"

/* Payloads are copied: the bytes of the original's own merges. */
Test(ltx_merge, gives_the_bytes_of_the_original)
{
    const char *const all[] = { L0(1), L0(2), L0(3), L0(4), L0(5) };
    const char *const l1a[] = { L0(2), L0(3) }, *const l1b[] = { L0(4), L0(5) };
    const char *const l2[] = { L1(2, 3), L1(4, 5) };
    const char *const restore[] = { "chain/ltx/9/0000000000000001-0000000000000003.ltx",
        L1(4, 5) };

    merge_samples(all, 5, "merged/0000000000000001-0000000000000005.ltx");
    merge_samples(restore, 2, "merged/0000000000000001-0000000000000005.ltx");
    merge_samples(l1a, 2, L1(2, 3));
    merge_samples(l1b, 2, L1(4, 5));
    merge_samples(l2, 2, "chain/ltx/2/0000000000000002-0000000000000005.ltx");
}

Test(ltx_merge, takes_both_dialects)
{
    struct bytes in[] = { sample(L0(1)),
        sample("legacy/chain-0000000000000002-0000000000000002.ltx"), sample(L0(3)) };
    struct bytes out, db = sample("db/chain-s3.db");
    struct bytes theirs =
        sample("merged/legacy-plus-new-0000000000000001-0000000000000003.ltx");
    struct image im = { 0 };
    struct err e;

    cr_assert_eq(merge(in, 3, &out, NULL, &e), 0, "%s", e.text);
    cr_expect_arr_eq(out.p, theirs.p, LTX_HEADER_SIZE, "header of the original's merge");
    cr_assert_eq(image_apply(&im, out.p, out.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&im, db.p, db.n));
    bytes_free(&theirs);
    for (int i = 0; i < 3; i++)
        bytes_free(&in[i]);
    bytes_free(&out);
    bytes_free(&db);
    image_free(&im);
}

/* --- against a model ------------------------------------------------------------------
 */

#define MODEL_PAGES 64

/* What a file holds, page by page; NULL: not in it. */
struct model {
    struct ltx_header h;
    uint8_t *pages[MODEL_PAGES + 1];
};

static void
model_free(struct model *m)
{
    for (size_t i = 0; i <= MODEL_PAGES; i++)
        free(m->pages[i]);
    *m = (struct model){ 0 };
}

static struct model
model_of(const struct bytes *b)
{
    struct reader r = { b->p, b->n, 0, 0 };
    struct model m = { 0 };
    struct ltx_decoder *dec;
    struct ltx_page info;
    struct err e;
    uint8_t *page = malloc(LTX_MAX_PAGE_SIZE);
    int rc;

    cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0, "%s", e.text);
    m.h = *ltx_decoder_header(dec);
    while ((rc = ltx_decoder_page(dec, &info, page, &e)) == 0) {
        cr_assert_leq(info.pgno, MODEL_PAGES);
        m.pages[info.pgno] = malloc(m.h.page_size);
        memcpy(m.pages[info.pgno], page, m.h.page_size);
    }
    cr_assert_eq(rc, ERR_END, "%s", e.text);
    cr_assert_eq(ltx_decoder_close(dec, NULL, &e), 0, "%s", e.text);
    ltx_decoder_free(dec);
    free(page);
    return m;
}

/* The rule in its plainest form: one file after the other, then cut at the last commit.
 */
static struct model
model_merge(const struct bytes *in, size_t n)
{
    struct model out = { 0 };

    for (size_t i = 0; i < n; i++) {
        struct model m = model_of(&in[i]);
        uint64_t min_txid = i == 0 ? m.h.min_txid : out.h.min_txid;

        out.h = m.h;
        out.h.min_txid = min_txid;
        for (uint32_t pgno = 1; pgno <= MODEL_PAGES; pgno++)
            if (m.pages[pgno] != NULL) {
                free(out.pages[pgno]);
                out.pages[pgno] = m.pages[pgno];
                m.pages[pgno] = NULL;
            }
        model_free(&m);
    }
    for (uint32_t pgno = out.h.commit + 1; pgno <= MODEL_PAGES; pgno++) {
        free(out.pages[pgno]);
        out.pages[pgno] = NULL;
    }
    return out;
}

static void
check_equal(const struct model *a, const struct model *b)
{
    cr_assert_eq(a->h.page_size, b->h.page_size);
    cr_assert_eq(a->h.commit, b->h.commit);
    cr_assert_eq(a->h.min_txid, b->h.min_txid);
    cr_assert_eq(a->h.max_txid, b->h.max_txid);
    cr_assert_eq(a->h.timestamp_ms, b->h.timestamp_ms);
    for (uint32_t pgno = 1; pgno <= MODEL_PAGES; pgno++) {
        cr_assert_eq(a->pages[pgno] == NULL, b->pages[pgno] == NULL, "page %u", pgno);
        if (a->pages[pgno] != NULL)
            cr_assert_arr_eq(
                a->pages[pgno], b->pages[pgno], a->h.page_size, "page %u", pgno);
    }
}

struct chain {
    uint64_t state;
    uint32_t page_size, commit;
    uint64_t max_txid;
    bool holes; /* growth may lack pages; not for snapshots */
};

/*
 * The next file of a chain: grows, shrinks, empties the database or changes nothing, over
 * one or several transactions, some of which the file before covers too.
 */
static struct bytes
next_file(struct chain *c)
{
    uint32_t pgnos[MODEL_PAGES], old = c->commit, odds = noise(&c->state) % 5;
    uint64_t first = c->max_txid + 1, min = first;
    struct image im = { 0 };
    struct ltx_header h;
    struct bytes b;
    size_t n = 0;

    if (noise(&c->state) % 3 == 0)
        c->commit = noise(&c->state) % (MODEL_PAGES + 1);
    if (first > 3 && noise(&c->state) % 4 == 0)
        min -= noise(&c->state) % 3;
    c->max_txid += 1 + noise(&c->state) % 4;
    h = header_of(c->page_size, c->commit, min, c->max_txid);
    image_resize(&im, c->page_size, c->commit);
    for (uint32_t pgno = 1; pgno <= c->commit; pgno++)
        if ((pgno > old && !c->holes) || min == 1 ||
            (odds > 0 && noise(&c->state) % odds == 0)) {
            fill_page(&c->state, image_page(&im, pgno), c->page_size);
            pgnos[n++] = pgno;
        }
    b = encode(&h, &im, pgnos, n);
    image_free(&im);
    return b;
}

static void
check_against_model(const struct bytes *in, size_t n)
{
    struct model want = model_merge(in, n), got;
    struct bytes out;
    struct err e;

    cr_assert_eq(merge(in, n, &out, NULL, &e), 0, "%s", e.text);
    got = model_of(&out);
    check_equal(&want, &got);
    cr_assert_eq(got.h.flags, LTX_FLAG_NO_CHECKSUM);
    cr_assert_eq(got.h.wal_offset, 0);
    cr_assert_eq(got.h.wal_size, 0);
    cr_assert_eq(got.h.wal_salt1, 0);
    cr_assert_eq(got.h.wal_salt2, 0);
    model_free(&want);
    model_free(&got);
    bytes_free(&out);
}

Test(ltx_merge, equals_the_model_over_random_chains)
{
    for (uint64_t round = 0; round < 250; round++) {
        struct chain c = { .state = round, .page_size = 512u << round % 3 };
        struct bytes in[MAX_INPUTS];
        size_t n;

        c.max_txid = round % 2 == 0 ? 0 : 1 + noise(&c.state) % 1000;
        c.holes = round % 4 == 1; /* not from TXID 1 on */
        c.commit = c.max_txid == 0 ? 0 : noise(&c.state) % MODEL_PAGES;
        n = 1 + noise(&c.state) % (round % 10 == 0 ? MAX_INPUTS : 8);
        for (size_t i = 0; i < n; i++)
            in[i] = next_file(&c);
        check_against_model(in, n);
        for (size_t i = 0; i < n; i++)
            bytes_free(&in[i]);
    }
}

/* Merged in two steps, at any place, it is the same file: payloads are copied. */
Test(ltx_merge, in_steps_gives_the_bytes_of_one_go)
{
    struct chain c = { .state = 77, .page_size = 512 };
    struct bytes in[8], whole;
    struct err e;

    for (size_t i = 0; i < 8; i++)
        in[i] = next_file(&c);
    cr_assert_eq(merge(in, 8, &whole, NULL, &e), 0, "%s", e.text);
    for (size_t cut = 1; cut < 8; cut++) {
        struct bytes halves[2], out;

        cr_assert_eq(merge(in, cut, &halves[0], NULL, &e), 0, "%s", e.text);
        cr_assert_eq(merge(in + cut, 8 - cut, &halves[1], NULL, &e), 0, "%s", e.text);
        cr_assert_eq(merge(halves, 2, &out, NULL, &e), 0, "%s", e.text);
        cr_assert_eq(out.n, whole.n, "cut at %zu", cut);
        cr_assert_arr_eq(out.p, whole.p, whole.n, "cut at %zu", cut);
        bytes_free(&halves[0]);
        bytes_free(&halves[1]);
        bytes_free(&out);
    }
    for (size_t i = 0; i < 8; i++)
        bytes_free(&in[i]);
    bytes_free(&whole);
}

/* A file of the pages given, all of 64 KiB. */
static struct bytes
around_lock(uint32_t commit, uint64_t txid, const uint32_t *pgnos, size_t n, uint8_t fill)
{
    struct ltx_header h = header_of(65536, commit, txid, txid);
    uint8_t *page = malloc(65536);
    struct bytes b = { 0 };
    struct ltx_encoder *enc;
    struct err e;

    memset(page, fill, 65536);
    cr_assert_eq(ltx_encoder_open(&h, bytes_sink(&b), NULL, &enc, &e), 0);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(ltx_encoder_page(enc, pgnos[i], page, &e), 0, "%s", e.text);
    cr_assert_eq(ltx_encoder_close(enc, 0, NULL, &e), 0);
    ltx_encoder_free(enc);
    free(page);
    return b;
}

/* Pages on both sides of the lock page (16385 with 64 KiB), which is in no file. */
Test(ltx_merge, goes_past_the_lock_page)
{
    const uint32_t a[] = { 1, 16384, 16386, 16387 }, b[] = { 16383, 16386 };
    const uint32_t want[] = { 1, 16383, 16384, 16386 };
    const uint8_t fills[] = { 'a', 'b', 'a', 'b' };
    struct bytes in[] = { around_lock(16387, 5, a, 4, 'a'),
        around_lock(16386, 6, b, 2, 'b') };
    struct bytes out;
    struct reader r;
    struct ltx_decoder *dec;
    struct ltx_page info;
    uint8_t *page = malloc(65536);
    struct err e;

    cr_assert_eq(merge(in, 2, &out, NULL, &e), 0, "%s", e.text);
    r = (struct reader){ out.p, out.n, 0, 0 };
    cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(ltx_decoder_page(dec, &info, page, &e), 0, "%s", e.text);
        cr_expect_eq(info.pgno, want[i]);
        cr_expect_eq(page[0], fills[i]);
    }
    cr_expect_eq(ltx_decoder_page(dec, &info, page, &e), ERR_END);
    cr_expect_eq(ltx_decoder_close(dec, NULL, &e), 0, "%s", e.text);
    ltx_decoder_free(dec);
    free(page);
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
}

/* Tracked inputs are verified and come out untracked, as all that we write. */
Test(ltx_merge, takes_tracked_files)
{
    struct bytes in[] = { sample("tracked/0000000000000001-0000000000000001.ltx"),
        sample("tracked/0000000000000002-0000000000000002.ltx") };
    struct bytes out, db = sample("db/chain-s2.db");
    struct image im = { 0 };
    struct err e;

    cr_assert_eq(merge(in, 2, &out, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(ltx_get_u32(out.p + 4), LTX_FLAG_NO_CHECKSUM);
    cr_expect_eq(ltx_get_u64(out.p + 40), 0, "pre-apply");
    cr_expect_eq(ltx_get_u64(out.p + 72), 0, "node id");
    cr_expect_eq(ltx_get_u64(out.p + out.n - 16), 0, "post-apply");
    cr_assert_eq(image_apply(&im, out.p, out.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&im, db.p, db.n));
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
    bytes_free(&db);
    image_free(&im);
}

/* --- refusals -------------------------------------------------------------------------
 */

static const char *
merge_two(const char *a, const char *b)
{
    static struct err e;
    struct bytes in[] = { sample(a), sample(b) }, out;
    int rc = merge(in, 2, &out, NULL, &e);

    cr_assert(rc == 0 || rc == ERR_CORRUPT);
    cr_expect(rc == 0 || out.n == 0, "nothing was written");
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
    return rc == 0 ? NULL : e.text;
}

#define NOT_CONTIGUOUS(a, b, c, d)                                                       \
    "non-contiguous transaction ids in input files: (000000000000000" #a                 \
    ",000000000000000" #b ") -> (000000000000000" #c ",000000000000000" #d ")"

Test(ltx_merge, refuses_what_does_not_belong_together)
{
    struct ltx_merge *m = NULL;
    struct err e;

    cr_expect_null(merge_two(L0(1), L0(2)));
    cr_expect_null(merge_two(L0(1), "tracked/0000000000000002-0000000000000002.ltx"));
    cr_expect_null(merge_two(L0(2), L1(2, 3)), "overlap");
    cr_expect_str_eq(merge_two(L0(1), L0(3)), NOT_CONTIGUOUS(1, 1, 3, 3));
    cr_expect_str_eq(merge_two(L0(2), L0(1)), NOT_CONTIGUOUS(2, 2, 1, 1));
    cr_expect_str_eq(merge_two(L0(2), L0(2)), NOT_CONTIGUOUS(2, 2, 2, 2));
    cr_expect_str_eq(merge_two(L1(2, 3), L0(3)), NOT_CONTIGUOUS(2, 3, 3, 3));
    cr_expect_str_eq(merge_two("untracked/p512.ltx", L0(2)),
        "input files have mismatched page sizes: 512 != 1024");
    cr_expect_eq(ltx_merge_open(NULL, 0, &m, &e), ERR_BUG);
    cr_expect_str_eq(e.text, "at least one input reader required");
}

/* Two files that are good, and a page of the growth that neither holds. */
Test(ltx_merge, refuses_a_snapshot_that_lacks_a_page)
{
    for (uint32_t missing = 4; missing <= 6; missing++) {
        struct image im = { 0 };
        uint32_t all[] = { 1, 2, 3 }, grown[2];
        struct ltx_header h1 = header_of(512, 3, 1, 1), h2 = header_of(512, 6, 2, 2);
        struct bytes in[2], out;
        struct err e;
        size_t n = 0;

        image_resize(&im, 512, 6);
        for (uint32_t pgno = 4; pgno <= 6; pgno++)
            if (pgno != missing)
                grown[n++] = pgno;
        in[0] = encode(&h1, &im, all, 3);
        in[1] = encode(&h2, &im, grown, n);
        cr_expect_eq(merge(in, 2, &out, NULL, &e), ERR_CORRUPT, "page %u", missing);
        if (missing == 6)
            cr_expect_str_eq(e.text, "snapshot ends at page 5 of 6");
        else
            cr_expect_not_null(
                strstr(e.text, "nonsequential page numbers in snapshot transaction: "),
                "%s", e.text);
        cr_expect_eq(merge(&in[1], 1, &out, NULL, &e), 0, "no snapshot: %s", e.text);
        bytes_free(&out);
        bytes_free(&in[0]);
        bytes_free(&in[1]);
        image_free(&im);
    }
}

/* Nothing that goes wrong in an input leads to an output that is closed. */
Test(ltx_merge, notices_damage_anywhere_in_any_input)
{
    struct bytes in[] = { sample(L0(3)), sample(L0(4)) }, out;
    struct bytes whole;
    struct err e;

    cr_assert_eq(merge(in, 2, &whole, NULL, &e), 0, "%s", e.text);
    for (size_t bad = 0; bad < 2; bad++)
        for (size_t at = 0; at < in[bad].n; at++) {
            int rc;

            in[bad].p[at] ^= 0x10;
            rc = merge(in, 2, &out, NULL, &e);
            if (rc == 0) { /* within a payload, and the page is the same */
                struct model a = model_of(&whole), b = model_of(&out);

                check_equal(&a, &b);
                model_free(&a);
                model_free(&b);
            } else {
                cr_assert_eq(rc, ERR_CORRUPT, "input %zu byte %zu", bad, at);
                cr_assert_lt(out.n, whole.n, "input %zu byte %zu", bad, at);
            }
            in[bad].p[at] ^= 0x10;
            bytes_free(&out);
        }
    for (size_t bad = 0; bad < 2; bad++)
        for (size_t n = 0; n < in[bad].n; n++) {
            struct bytes cut[] = { in[0], in[1] };

            cut[bad].n = n;
            cr_assert_eq(merge(cut, 2, &out, NULL, &e), ERR_CORRUPT);
            bytes_free(&out);
        }
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&whole);
}

/* --- inputs that fail or are cancelled ------------------------------------------------
 */

/* Reads a byte at a time; at the n-th read it fails or asks to cancel. */
struct trap {
    struct reader r;
    int *calls, nth;
    struct cancel *cancel; /* NULL: fail */
};

static int
read_trap(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct trap *t = arg;

    if (++*t->calls == t->nth) {
        if (t->cancel == NULL)
            return err_set(e, ERR_NETWORK, "connection lost");
        cancel_ask(t->cancel);
    }
    *n = cap < 16 ? cap : 16;
    if (*n > t->r.n - t->r.at)
        *n = t->r.n - t->r.at;
    memcpy(buf, t->r.p + t->r.at, *n);
    t->r.at += *n;
    return 0;
}

static int
merge_trapped(
    const struct bytes *in, int nth, bool cancelled, struct bytes *out, struct err *e)
{
    struct ltx_decoder *dec[2] = { 0 };
    struct cancel cancel = { false };
    struct trap traps[2];
    struct ltx_merge *m = NULL;
    struct ltx_encoder *enc = NULL;
    int rc = 0, calls = 0;

    *out = (struct bytes){ 0 };
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        traps[i] = (struct trap){ { in[i].p, in[i].n, 0, 0 }, &calls, nth,
            cancelled ? &cancel : NULL };
        rc = ltx_decoder_open((struct ltx_source){ read_trap, &traps[i] }, &dec[i], e);
    }
    if (rc == 0)
        rc = ltx_merge_open(dec, 2, &m, e);
    if (rc == 0)
        rc = ltx_encoder_open(ltx_merge_header(m), bytes_sink(out), NULL, &enc, e);
    if (rc == 0)
        rc = ltx_merge_run(m, enc, &cancel, e);
    if (rc != 0 && m != NULL) {
        struct ltx_page info;
        const void *page;
        struct err again;

        /* An input that heals must not make a merge of what is left. */
        cr_expect_neq(ltx_merge_next(m, &info, &page, &again), 0);
        cr_expect_neq(ltx_encoder_close(enc, 0, NULL, &again), 0);
    }
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    ltx_decoder_free(dec[0]);
    ltx_decoder_free(dec[1]);
    return calls < nth ? -1 : rc;
}

static void
trap_everywhere(bool cancelled, int expected)
{
    struct bytes in[] = { sample(L0(1)), sample(L0(2)) }, out;
    int rc = 0, nth = 1, n_whole = 0;

    for (; rc != -1; nth++) {
        struct err e = ERR_NONE;

        rc = merge_trapped(in, nth, cancelled, &out, &e);
        if (rc == 0)
            n_whole++;
        else if (rc != -1)
            cr_assert_eq(rc, expected, "read %d: %d %s", nth, rc, e.text);
        bytes_free(&out);
    }
    cr_expect_gt(nth, 90);
    /* A cancel may come too late: while the indexes of the inputs are read. */
    cr_expect_leq(n_whole, cancelled ? 12 : 0, "%d", n_whole);
    bytes_free(&in[0]);
    bytes_free(&in[1]);
}

Test(ltx_merge, passes_on_errors_of_its_inputs)
{
    trap_everywhere(false, ERR_NETWORK);
}

static int
full_sink(void *arg, const void *p, size_t n, struct err *e)
{
    int *calls = arg;

    (void)p;
    (void)n;
    return --*calls < 0 ? err_set(e, ERR_NO_SPACE, "full") : 0;
}

/* The encoder gathers 128 KiB: with 300 KiB the sink is called twice, and at close. */
Test(ltx_merge, passes_on_errors_of_the_sink)
{
    struct image im = { 0 };
    struct ltx_header h = header_of(4096, 150, 2, 2);
    uint32_t pgnos[150];
    uint64_t state = 4;
    struct bytes in;

    image_resize(&im, 4096, 150);
    for (uint32_t i = 0; i < 150; i++) {
        pgnos[i] = i + 1;
        fill_page(&state, image_page(&im, i + 1), 4096);
    }
    in = encode(&h, &im, pgnos, 150);
    for (int room = 0; room < 4; room++) {
        struct reader r = { in.p, in.n, 0, 0 };
        struct ltx_decoder *dec;
        struct ltx_encoder *enc;
        struct ltx_merge *m;
        struct err e;
        int calls = room;

        cr_assert_eq(ltx_decoder_open(reader_source(&r), &dec, &e), 0);
        cr_assert_eq(ltx_merge_open(&dec, 1, &m, &e), 0);
        cr_assert_eq(ltx_encoder_open(ltx_merge_header(m),
                         (struct ltx_sink){ full_sink, &calls }, NULL, &enc, &e),
            0);
        cr_expect_eq(
            ltx_merge_run(m, enc, NULL, &e), room < 3 ? ERR_NO_SPACE : 0, "%d", room);
        if (room == 2)
            cr_expect_str_eq(e.text, "close encoder: full");
        else if (room < 2)
            cr_expect_eq(strncmp(e.text, "copy page ", 10), 0, "%s", e.text);
        calls = 100;
        cr_expect_eq(ltx_encoder_close(enc, 0, NULL, &e), room < 3 ? ERR_BUG : 0);
        ltx_encoder_free(enc);
        ltx_merge_free(m);
        ltx_decoder_free(dec);
    }
    bytes_free(&in);
    image_free(&im);
}

Test(ltx_merge, can_be_cancelled_at_any_time)
{
    trap_everywhere(true, ERR_CANCELLED);
}

Test(ltx_merge, cancelled_before_the_start_reads_nothing)
{
    struct bytes in[] = { sample(L0(1)), sample(L0(2)) }, out;
    struct cancel cancel = { false };
    struct err e;

    cr_expect_eq(merge(in, 2, &out, &cancel, &e), 0);
    bytes_free(&out);
    cancel_ask(&cancel);
    cr_expect_eq(merge(in, 2, &out, &cancel, &e), ERR_CANCELLED);
    cr_expect_eq(out.n, 0);
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
}

/* After a database shrank most pages are dropped: cancelling is seen among those too. */
Test(ltx_merge, can_be_cancelled_while_pages_are_dropped)
{
    struct image im = { 0 };
    struct ltx_header h1 = header_of(512, 40, 2, 2), h2 = header_of(512, 0, 3, 3);
    struct bytes in[2], out;
    uint32_t pgnos[40];
    int n_cancelled = 0, rc = 0;

    image_resize(&im, 512, 40);
    for (uint32_t i = 0; i < 40; i++)
        pgnos[i] = i + 1;
    in[0] = encode(&h1, &im, pgnos, 40);
    in[1] = encode(&h2, &im, NULL, 0);
    for (int nth = 20; rc != -1; nth++) {
        struct err e;

        rc = merge_trapped(in, nth, true, &out, &e);
        n_cancelled += rc == ERR_CANCELLED;
        bytes_free(&out);
    }
    cr_expect_gt(n_cancelled, 20);
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    image_free(&im);
}
