#include "test/unit/workers/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_merge.h"
#include "common/ltx/ltx_name.h"

#define MAX_INPUTS 512

uint32_t
history_below(struct history *h, uint32_t n)
{
    return noise(&h->rng) % n;
}

void
history_init(struct history *h, uint64_t seed)
{
    *h = (struct history){ .now_ms = 1767225600000, .rng = seed };
    noise(&h->rng);
}

void
history_deinit(struct history *h)
{
    for (uint64_t t = 1; t <= h->n; t++)
        image_free(&h->state[t]);
    for (int l = 0; l < LTX_N_LEVELS; l++) {
        for (size_t i = 0; i < h->level[l].n; i++)
            bytes_free(&h->level[l].data[i]);
        free(h->level[l].files);
        free(h->level[l].data);
    }
}

/* --- files ----------------------------------------------------------------------------
 */

/* Index of the first file that is not before f. */
static size_t
place_of(const struct history_level *l, const struct ltx_info *f)
{
    size_t i = 0;

    while (i < l->n && ltx_info_cmp(&l->files[i], f) < 0)
        i++;
    return i;
}

static bool
is_at(const struct history_level *l, size_t i, const struct ltx_info *f)
{
    return i < l->n && ltx_info_cmp(&l->files[i], f) == 0;
}

/* As on a replica, a file of the same name is replaced. */
static void
put_file(struct history *h, int level, const struct ltx_header *head, struct bytes data)
{
    struct history_level *l = &h->level[level];
    struct ltx_info f = { .level = level,
        .min_txid = head->min_txid,
        .max_txid = head->max_txid,
        .size = (int64_t)data.n,
        .created = wall_from_ms(head->timestamp_ms) };
    size_t i = place_of(l, &f);

    if (is_at(l, i, &f)) {
        bytes_free(&l->data[i]);
    } else {
        if (l->n == l->cap) {
            l->cap = l->cap * 2 + 16;
            l->files = realloc(l->files, l->cap * sizeof(l->files[0]));
            l->data = realloc(l->data, l->cap * sizeof(l->data[0]));
        }
        memmove(&l->files[i + 1], &l->files[i], (l->n - i) * sizeof(l->files[0]));
        memmove(&l->data[i + 1], &l->data[i], (l->n - i) * sizeof(l->data[0]));
        l->n++;
    }
    l->files[i] = f;
    l->data[i] = data;
}

const struct bytes *
history_find(const struct history *h, const struct ltx_info *f)
{
    const struct history_level *l = &h->level[f->level];
    size_t i = place_of(l, f);

    return is_at(l, i, f) ? &l->data[i] : NULL;
}

void
history_delete(struct history *h, const struct ltx_info *files, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        struct history_level *l = &h->level[files[k].level];
        size_t i = place_of(l, &files[k]);

        cr_assert(is_at(l, i, &files[k]), "a file that is not there is to be deleted");
        bytes_free(&l->data[i]);
        l->n--;
        memmove(&l->files[i], &l->files[i + 1], (l->n - i) * sizeof(l->files[0]));
        memmove(&l->data[i], &l->data[i + 1], (l->n - i) * sizeof(l->data[0]));
    }
}

uint32_t
history_page_size(const struct history *h, const struct ltx_info *f)
{
    const struct bytes *b = history_find(h, f);
    struct ltx_header head;
    struct err e;

    cr_assert_not_null(b);
    cr_assert_eq(ltx_header_decode(b->p, &head, &e), 0, "%s", e.text);
    return head.page_size;
}

uint64_t
history_max(const struct history *h, int level)
{
    uint64_t max = 0;

    for (size_t i = 0; i < h->level[level].n; i++)
        if (h->level[level].files[i].max_txid > max)
            max = h->level[level].files[i].max_txid;
    return max;
}

/* --- transactions ---------------------------------------------------------------------
 */

static struct ltx_header
header_now(const struct history *h, uint64_t min_txid)
{
    const struct image *im = &h->state[h->n];
    struct ltx_header head = header_of(im->page_size, im->commit, min_txid, h->n);

    head.timestamp_ms = h->now_ms;
    return head;
}

static void
put_state(struct history *h, int level, uint64_t min_txid, const bool *changed)
{
    struct image *im = &h->state[h->n];
    struct ltx_header head = header_now(h, min_txid);
    uint32_t pgnos[HISTORY_MAX_PAGES];
    size_t n = 0;

    for (uint32_t p = 1; p <= im->commit; p++)
        if (changed == NULL || changed[p])
            pgnos[n++] = p;
    if (level == LTX_LEVEL_SNAPSHOT) { /* as the daemon writes it */
        head.wal_offset = head.wal_size = 0;
        head.wal_salt1 = head.wal_salt2 = 0;
    }
    put_file(h, level, &head, encode(&head, im, pgnos, n));
}

/* The state of the next transaction, to be changed. */
static struct image *
next_state(struct history *h)
{
    const struct image *old = &h->state[h->n];
    struct image *im = &h->state[++h->n];

    cr_assert_leq(h->n, (uint64_t)HISTORY_MAX_TXID);
    *im = (struct image){ 0 };
    if (h->n > 1) {
        image_resize(im, old->page_size, old->commit);
        memcpy(im->pages, old->pages, (size_t)old->page_size * old->commit);
    }
    h->created_ms[h->n] = h->now_ms;
    return im;
}

void
history_commit(struct history *h, uint32_t max_pages)
{
    uint32_t old, now;
    struct image *im = next_state(h);
    bool changed[HISTORY_MAX_PAGES + 1] = { false };

    old = now = im->commit;
    if (old == 0)
        now = 1 + history_below(h, max_pages);
    else if (history_below(h, 4) == 0)
        now = 1 + history_below(h, max_pages);
    image_resize(im, im->page_size > 0 ? im->page_size : 512, now);
    for (uint32_t p = old + 1; p <= now; p++)
        changed[p] = true;
    for (uint32_t i = history_below(h, 1 + now / 2); i > 0; i--)
        changed[1 + history_below(h, now)] = true;
    changed[1] = true;
    for (uint32_t p = 1; p <= now; p++)
        if (changed[p])
            fill_page(&h->rng, image_page(im, p), im->page_size);
    put_state(h, 0, h->n, history_below(h, 20) == 0 ? NULL : changed);
}

void
history_change_page_size(struct history *h, uint32_t page_size)
{
    struct image *im = next_state(h);
    uint32_t n = im->commit;

    image_free(im);
    image_resize(im, page_size, n);
    for (uint32_t p = 1; p <= n; p++)
        fill_page(&h->rng, image_page(im, p), page_size);
    put_state(h, 0, h->n, NULL);
}

void
history_snapshot(struct history *h)
{
    if (history_max(h, LTX_LEVEL_SNAPSHOT) < h->n)
        put_state(h, LTX_LEVEL_SNAPSHOT, 1, NULL);
}

/* --- merging and restoring ------------------------------------------------------------
 */

struct inputs {
    struct reader readers[MAX_INPUTS];
    struct ltx_decoder *decs[MAX_INPUTS];
    size_t n;
};

static int
inputs_open(struct inputs *in, const struct history *h, const struct ltx_info *files,
    size_t n, struct err *e)
{
    int rc = 0;

    cr_assert_leq(n, (size_t)MAX_INPUTS);
    for (in->n = 0; rc == 0 && in->n < n; in->n++) {
        const struct bytes *b = history_find(h, &files[in->n]);

        in->decs[in->n] = NULL;
        if (b == NULL)
            return err_set(e, ERR_NOT_FOUND, "%d:%llu-%llu is gone", files[in->n].level,
                (unsigned long long)files[in->n].min_txid,
                (unsigned long long)files[in->n].max_txid);
        in->readers[in->n] = (struct reader){ b->p, b->n, 0, 0 };
        rc = ltx_decoder_open(reader_source(&in->readers[in->n]), &in->decs[in->n], e);
    }
    return rc;
}

static void
inputs_close(struct inputs *in)
{
    while (in->n > 0)
        ltx_decoder_free(in->decs[--in->n]);
}

int
history_merge(struct history *h, const struct ltx_info *files, size_t n, int level,
    uint64_t min_txid, struct err *e)
{
    struct inputs in;
    struct ltx_merge *m = NULL;
    struct ltx_encoder *enc = NULL;
    struct ltx_header head = { 0 };
    struct bytes out = { 0 };
    int rc = inputs_open(&in, h, files, n, e);

    if (rc == 0)
        rc = ltx_merge_open(in.decs, n, &m, e);
    if (rc == 0) {
        head = *ltx_merge_header(m);
        head.min_txid = min_txid;
        rc = ltx_encoder_open(&head, bytes_sink(&out), NULL, &enc, e);
    }
    if (rc == 0)
        rc = ltx_merge_run(m, enc, NULL, e);
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    inputs_close(&in);
    if (rc == 0)
        put_file(h, level, &head, out);
    else
        bytes_free(&out);
    return rc;
}

int
history_plan(const struct history *h, const struct restore_target *target,
    struct restore_plan *plan, struct err *e)
{
    struct restore_files f = { 0 };

    for (int l = 0; l < LTX_N_LEVELS; l++) {
        f.level[l] = h->level[l].files;
        f.n[l] = h->level[l].n;
    }
    return restore_plan_make(&f, target, plan, e);
}

/* All pages of the merge, to a place that is not zero before. */
static int
read_image(struct ltx_merge *m, uint8_t *out, struct err *e)
{
    uint32_t page_size = ltx_merge_header(m)->page_size;
    struct ltx_page info;
    const void *page;
    int rc;

    while ((rc = ltx_merge_next(m, &info, &page, e)) == 0) {
        cr_assert_leq(info.pgno, (uint32_t)HISTORY_MAX_PAGES);
        memcpy(out + (size_t)(info.pgno - 1) * page_size, page, page_size);
    }
    return rc == ERR_END ? ltx_merge_close(m, e) : rc;
}

int
history_restore(
    const struct history *h, const struct restore_plan *plan, bool *same, struct err *e)
{
    static uint8_t out[HISTORY_MAX_PAGES * 1024];
    const struct image *want = &h->state[plan->files[plan->n - 1].max_txid];
    struct inputs in;
    struct ltx_merge *m = NULL;
    size_t from = 0;
    int rc = inputs_open(&in, h, plan->files, plan->n, e);

    for (size_t i = 1; rc == 0 && i < plan->n; i++)
        if (ltx_decoder_header(in.decs[i])->page_size !=
            ltx_decoder_header(in.decs[i - 1])->page_size)
            from = i;
    memset(out, 0xee, sizeof(out));
    if (rc == 0)
        rc = ltx_merge_open(in.decs + from, plan->n - from, &m, e);
    if (rc == 0)
        rc = read_image(m, out, e);
    if (rc == 0) {
        const struct ltx_header *head = ltx_merge_header(m);

        *same = image_equals(want, out, (size_t)head->page_size * head->commit) &&
                want->page_size == head->page_size;
    }
    ltx_merge_free(m);
    inputs_close(&in);
    return rc;
}

uint64_t
history_txid_at(const struct history *h, int64_t before_ms)
{
    uint64_t t = h->n;

    while (t > 0 && h->created_ms[t] >= before_ms)
        t--;
    return t;
}

void
history_print(const struct history *h)
{
    for (int l = LTX_N_LEVELS - 1; l >= 0; l--) {
        if (h->level[l].n > 0)
            fprintf(stderr, "  level %d:", l);
        for (size_t i = 0; i < h->level[l].n; i++) {
            const struct ltx_info *f = &h->level[l].files[i];

            fprintf(stderr, " %llu-%llu@%lld", (unsigned long long)f->min_txid,
                (unsigned long long)f->max_txid,
                (long long)(wall_to_ms(f->created) - h->now_ms));
        }
        if (h->level[l].n > 0)
            fprintf(stderr, "\n");
    }
    fprintf(stderr, "  transactions:");
    for (uint64_t t = 1; t <= h->n; t++)
        fprintf(stderr, " %llu@%lld", (unsigned long long)t,
            (long long)(h->created_ms[t] - h->now_ms));
    fprintf(stderr, "\n");
}
