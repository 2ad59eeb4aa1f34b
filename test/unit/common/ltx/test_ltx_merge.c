#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_merge.h"
#include "test/unit/common/ltx/ltx_files.h"

#define MAX_INPUTS 12

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
    struct image im = { 0 };
    struct err e;

    cr_assert_eq(merge(in, 3, &out, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(image_apply(&im, out.p, out.n, 0, &e), 0, "%s", e.text);
    cr_expect(image_equals(&im, db.p, db.n));
    for (int i = 0; i < 3; i++)
        bytes_free(&in[i]);
    bytes_free(&out);
    bytes_free(&db);
    image_free(&im);
}

/* --- against a model ------------------------------------------------------------------
 */

/* Every file changes some pages of `db` and may let it grow or shrink. */
static struct bytes
random_step(uint64_t *state, struct image *db, uint64_t txid)
{
    uint32_t pgnos[64], commit = 1 + noise(state) % 40, old = db->commit;
    struct ltx_header h = header_of(512, commit, txid, txid);
    size_t n = 0;

    image_resize(db, 512, commit);
    for (uint32_t pgno = 1; pgno <= commit; pgno++)
        if (txid == 1 || pgno > old || noise(state) % 4 == 0) {
            fill_page(state, image_page(db, pgno), 512);
            pgnos[n++] = pgno;
        }
    return encode(&h, db, pgnos, n);
}

static void
check_merge(const struct bytes *files, size_t from, size_t to, const struct image *base,
    const struct image *result)
{
    struct bytes out;
    struct image im = { 0 };
    struct err e;

    if (base->commit > 0) {
        image_resize(&im, base->page_size, base->commit);
        memcpy(im.pages, base->pages, (size_t)base->page_size * base->commit);
    }
    cr_assert_eq(merge(files + from, to - from, &out, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(image_apply(&im, out.p, out.n, 0, &e), 0, "%s", e.text);
    cr_assert(
        image_equals(&im, result->pages, (size_t)result->page_size * result->commit));
    bytes_free(&out);
    image_free(&im);
}

static struct image
copy_of(const struct image *im)
{
    struct image copy = { 0 };

    image_resize(&copy, im->page_size, im->commit);
    memcpy(copy.pages, im->pages, (size_t)im->page_size * im->commit);
    return copy;
}

Test(ltx_merge, equals_one_file_after_the_other)
{
    uint64_t state = 42;

    for (int round = 0; round < 60; round++) {
        struct image db = { 0 }, states[9] = { { 0 } };
        struct bytes files[8];

        for (size_t i = 0; i < 8; i++) {
            files[i] = random_step(&state, &db, i + 1);
            states[i + 1] = copy_of(&db);
        }
        for (size_t from = 0; from < 8; from++) {
            size_t to = from + 1 + noise(&state) % (8 - from);

            check_merge(files, from, to, &states[from], &states[to]);
        }
        for (size_t i = 0; i < 8; i++)
            bytes_free(&files[i]);
        for (size_t i = 0; i < 9; i++)
            image_free(&states[i]);
        image_free(&db);
    }
}

/* --- refusals -------------------------------------------------------------------------
 */

static int
merge_two(const char *a, const char *b, struct err *e)
{
    struct bytes in[] = { sample(a), sample(b) }, out;
    int rc = merge(in, 2, &out, NULL, e);

    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
    return rc;
}

Test(ltx_merge, refuses_what_does_not_belong_together)
{
    struct err e;

    cr_expect_eq(merge_two(L0(1), L0(2), &e), 0);
    cr_expect_neq(merge_two(L0(1), L0(3), &e), 0, "a gap");
    cr_expect_neq(merge_two(L0(2), L0(1), &e), 0, "wrong order");
    cr_expect_neq(merge_two(L0(2), L0(2), &e), 0, "nothing new");
    cr_expect_neq(merge_two("untracked/p512.ltx", L0(2), &e), 0, "page sizes");
}

Test(ltx_merge, notices_damage_in_any_input)
{
    for (size_t bad = 0; bad < 2; bad++) {
        struct bytes in[] = { sample(L0(1)), sample(L0(2)) }, out;
        struct err e;

        in[bad].p[in[bad].n / 2] ^= 4;
        cr_expect_eq(merge(in, 2, &out, NULL, &e), ERR_CORRUPT, "input %zu", bad);
        bytes_free(&in[0]);
        bytes_free(&in[1]);
        bytes_free(&out);
    }
}

Test(ltx_merge, can_be_cancelled)
{
    struct bytes in[] = { sample(L0(1)), sample(L0(2)) }, out;
    struct cancel cancel = { false };
    struct err e;

    cancel_ask(&cancel);
    cr_expect_eq(merge(in, 2, &out, &cancel, &e), ERR_CANCELLED);
    bytes_free(&in[0]);
    bytes_free(&in[1]);
    bytes_free(&out);
}
