/*
 * fuzz_ltx - the LTX decoder, the page index and the merge on hostile bytes.
 *
 * An input is one file, or two behind each other (the second starts at the next "LTX1").
 * Each is tried as it is; then, since hardly any change survives the file checksum, with
 * its checksum made right, and with its frames kept and all that follows made anew.
 *
 * What the decoder accepts must survive a round: the same verdict however the bytes
 * arrive, an index that leads to the same pages, the same pages after encoding again, the
 * same bytes when payloads are copied, the same pages when merged alone. Two good files
 * merged must be what the rule in its plainest form makes of them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"
#include "common/crc64/crc64.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_index.h"
#include "common/ltx/ltx_merge.h"
#include "common/ltx/ltx_page.h"

#define MAX_FRAMES 64 /* of a file that is made anew */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    uint8_t *p;
    size_t n;
};

static void *
get(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);

    must(p != NULL);
    return p;
}

static void
put(struct bytes *b, const void *p, size_t n)
{
    uint8_t *more = realloc(b->p, b->n + n + 1);

    must(more != NULL);
    b->p = more;
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void
drop(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ 0 };
}

/* --- reading and writing memory -------------------------------------------------------
 */

struct reader {
    const uint8_t *p;
    size_t n, at;
    size_t chunk; /* most bytes a read gives; 0: no limit */
};

static int
read_memory(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct reader *r = arg;

    (void)e;
    *n = cap < r->n - r->at ? cap : r->n - r->at;
    if (r->chunk > 0 && *n > r->chunk)
        *n = r->chunk;
    if (*n > 0)
        memcpy(buf, r->p + r->at, *n);
    r->at += *n;
    return 0;
}

static int
write_memory(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    put(arg, p, n);
    return 0;
}

static struct ltx_source
source(struct reader *r)
{
    return (struct ltx_source){ read_memory, r };
}

/* --- a file as a list of pages --------------------------------------------------------
 */

struct file {
    struct ltx_header h;
    struct ltx_trailer t;
    uint32_t *pgnos;
    struct bytes pages;
    struct bytes copied; /* encoded again from the payloads, if all were blocks */
    size_t n;
    bool blocks;
};

static void
file_free(struct file *f)
{
    free(f->pgnos);
    drop(&f->pages);
    drop(&f->copied);
}

static void
add_page(struct file *f, uint32_t pgno, const void *page)
{
    f->pgnos = realloc(f->pgnos, (f->n + 1) * sizeof(f->pgnos[0]));
    must(f->pgnos != NULL);
    f->pgnos[f->n++] = pgno;
    put(&f->pages, page, f->h.page_size);
}

static const uint8_t *
page_at(const struct file *f, size_t i)
{
    return f->pages.p + i * f->h.page_size;
}

static int
decode_pages(struct ltx_decoder *dec, struct file *f, struct err *e)
{
    struct ltx_encoder *enc;
    struct ltx_page info;
    uint8_t *page;
    int rc;

    f->h = *ltx_decoder_header(dec);
    f->blocks = true;
    page = get(f->h.page_size);
    must(ltx_encoder_open(
             &f->h, (struct ltx_sink){ write_memory, &f->copied }, NULL, &enc, e) == 0);
    while ((rc = ltx_decoder_page(dec, &info, page, e)) == 0) {
        add_page(f, info.pgno, page);
        f->blocks = f->blocks && info.payload != NULL;
        if (f->blocks)
            must(ltx_encoder_page_compressed(
                     enc, info.pgno, page, info.payload, info.payload_size, e) == 0);
    }
    if (rc == ERR_END)
        rc = ltx_decoder_close(dec, &f->t, e);
    if (rc == 0 && f->blocks)
        (void)ltx_encoder_close(enc, f->t.post_apply, NULL, e);
    ltx_encoder_free(enc);
    free(page);
    return rc;
}

static int
decode(const struct bytes *b, size_t chunk, struct file *f, struct err *e)
{
    struct reader r = { b->p, b->n, 0, chunk };
    struct ltx_decoder *dec = NULL;
    int rc = ltx_decoder_open(source(&r), &dec, e);

    *f = (struct file){ 0 };
    if (rc == 0)
        rc = decode_pages(dec, f, e);
    ltx_decoder_free(dec);
    must(rc == 0 || rc == ERR_CORRUPT);
    return rc;
}

static struct bytes
encode(const struct file *f)
{
    struct bytes out = { 0 };
    struct ltx_encoder *enc;
    struct err e;

    must(ltx_encoder_open(
             &f->h, (struct ltx_sink){ write_memory, &out }, NULL, &enc, &e) == 0);
    for (size_t i = 0; i < f->n; i++)
        must(ltx_encoder_page(enc, f->pgnos[i], page_at(f, i), &e) == 0);
    must(ltx_encoder_close(enc, f->t.post_apply, NULL, &e) == 0);
    ltx_encoder_free(enc);
    return out;
}

static void
must_hold_same_pages(const struct file *a, const struct file *b)
{
    must(a->h.page_size == b->h.page_size && a->h.commit == b->h.commit);
    must(a->h.min_txid == b->h.min_txid && a->h.max_txid == b->h.max_txid);
    must(a->h.timestamp_ms == b->h.timestamp_ms && a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        must(a->pgnos[i] == b->pgnos[i]);
    must(a->pages.n == b->pages.n);
    must(a->n == 0 || memcmp(a->pages.p, b->pages.p, a->pages.n) == 0);
}

/* --- one file -------------------------------------------------------------------------
 */

/*
 * The index must not lead out of the file, whatever it says. f: what the file holds when
 * it is good, NULL when it is not.
 */
static void
walk_index(const struct bytes *b, uint32_t page_size, const struct file *f)
{
    struct ltx_index_walk w;
    struct ltx_index_entry entry;
    uint8_t *page = get(page_size);
    int64_t off, n;
    size_t i = 0;
    struct err e;
    int rc = ERR_CORRUPT;

    if (b->n >= 24)
        rc = ltx_index_locate(b->p + b->n - 24, (int64_t)b->n, &off, &n, &e);
    if (rc == 0) {
        must(off >= 0 && n > 0 && off + n == (int64_t)b->n - 24);
        ltx_index_walk_init(&w, b->p + off, (size_t)n);
        while ((rc = ltx_index_walk_next(&w, &entry, &e)) == 0) {
            must(entry.offset > 0 && entry.size > 0);
            if (entry.offset <= (int64_t)b->n &&
                entry.size <= (int64_t)b->n - entry.offset)
                rc = ltx_page_decode(b->p + entry.offset, (size_t)entry.size, entry.pgno,
                    page_size, page, &e);
            must(f == NULL || (rc == 0 && i < f->n && entry.pgno == f->pgnos[i] &&
                                  memcmp(page, page_at(f, i), page_size) == 0));
            i++;
        }
    }
    must(f == NULL || (rc == ERR_END && i == f->n));
    free(page);
}

static int
merge(const struct bytes *in, size_t n, struct bytes *out, struct err *e)
{
    struct reader readers[2];
    struct ltx_decoder *dec[2] = { NULL, NULL };
    struct ltx_encoder *enc = NULL;
    struct ltx_merge *m = NULL;
    int rc = 0;

    *out = (struct bytes){ 0 };
    for (size_t i = 0; rc == 0 && i < n; i++) {
        readers[i] = (struct reader){ in[i].p, in[i].n, 0, 0 };
        rc = ltx_decoder_open(source(&readers[i]), &dec[i], e);
    }
    if (rc == 0)
        rc = ltx_merge_open(dec, n, &m, e);
    if (rc == 0)
        rc = ltx_encoder_open(
            ltx_merge_header(m), (struct ltx_sink){ write_memory, out }, NULL, &enc, e);
    if (rc == 0)
        rc = ltx_merge_run(m, enc, NULL, e);
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    ltx_decoder_free(dec[0]);
    ltx_decoder_free(dec[1]);
    must(rc == 0 || rc == ERR_CORRUPT);
    return rc;
}

static void
must_survive_a_round(const struct bytes *b, const struct file *f)
{
    struct bytes again = encode(f), merged;
    struct file back;
    struct err e;

    must(decode(&again, 0, &back, &e) == 0);
    must_hold_same_pages(f, &back);
    must(memcmp(again.p, b->p, LTX_HEADER_SIZE) == 0);
    must(back.t.post_apply == f->t.post_apply);
    file_free(&back);
    if (f->blocks)
        must(f->copied.n == b->n && memcmp(f->copied.p, b->p, b->n) == 0);
    must(merge(b, 1, &merged, &e) == 0);
    must(decode(&merged, 0, &back, &e) == 0);
    must_hold_same_pages(f, &back);
    walk_index(&merged, f->h.page_size, &back);
    file_free(&back);
    drop(&again);
    drop(&merged);
}

/* A tracked file that is not a snapshot may end in a sum that no writer would write. */
static bool
trailer_is_writable(const struct file *f)
{
    if ((f->h.flags & LTX_FLAG_NO_CHECKSUM) != 0)
        return true;
    return (f->t.post_apply & LTX_CHECKSUM_FLAG) != 0 &&
           (f->h.commit > 0 || f->t.post_apply == LTX_CHECKSUM_FLAG);
}

static bool
check_one(const struct bytes *b)
{
    struct file f, slow;
    struct err e = ERR_NONE, e_slow = ERR_NONE;
    int rc = decode(b, 0, &f, &e), rc_slow = decode(b, 1 + b->n % 37, &slow, &e_slow);

    must(rc == rc_slow && (rc == 0 || strcmp(e.text, e_slow.text) == 0));
    if (rc == 0)
        must_hold_same_pages(&f, &slow);
    if (f.h.page_size != 0)
        walk_index(b, f.h.page_size, rc == 0 ? &f : NULL);
    if (rc == 0 && trailer_is_writable(&f))
        must_survive_a_round(b, &f);
    file_free(&f);
    file_free(&slow);
    return rc == 0;
}

/* --- files made good ------------------------------------------------------------------
 */

struct repair {
    struct bytes out;
    struct bytes index;
    struct ltx_header h;
    uint64_t crc, rolling;
    uint32_t last_pgno, n;
    uint8_t *page;
};

/* Takes over the frame at `at`; its size, 0 when there is no more. */
static size_t
keep_frame(struct repair *r, const struct bytes *in, size_t at)
{
    uint8_t entry[LTX_INDEX_ENTRY_MAX];
    struct ltx_page_frame f;
    struct err e;
    size_t n;

    if (ltx_page_probe(in->p + at, in->n - at, r->h.page_size, &f, &e) != 0 ||
        f.pgno == 0 || f.size > in->n - at || r->n == MAX_FRAMES ||
        ltx_page_expand(in->p + at, &f, r->h.page_size, r->page, &e) != 0)
        return 0;
    n = ltx_put_uvarint(entry, f.pgno);
    n += ltx_put_uvarint(entry + n, at);
    n += ltx_put_uvarint(entry + n, f.size);
    put(&r->index, entry, n);
    put(&r->out, in->p + at, f.size);
    r->crc = crc64_update(r->crc, in->p + at, f.head_size);
    r->crc = crc64_update(r->crc, r->page, r->h.page_size);
    r->rolling = ltx_rolling_checksum(
        r->rolling, ltx_page_checksum(f.pgno, r->page, r->h.page_size));
    r->last_pgno = f.pgno;
    r->n++;
    return f.size;
}

static void
put_end(struct repair *r)
{
    static const uint8_t zeros[LTX_PAGE_HEADER_SIZE];
    bool tracked = (r->h.flags & LTX_FLAG_NO_CHECKSUM) == 0;
    size_t at = r->out.n;
    uint8_t raw[8];

    put(&r->out, zeros, sizeof(zeros));
    put(&r->index, zeros, 1);
    put(&r->out, r->index.p, r->index.n);
    ltx_put_u64(raw, r->index.n);
    put(&r->out, raw, 8);
    ltx_put_u64(raw, tracked ? r->rolling | LTX_CHECKSUM_FLAG : 0);
    put(&r->out, raw, 8);
    r->crc = crc64_update(r->crc, r->out.p + at, r->out.n - at);
}

/* The last 8 bytes become the checksum that the bytes kept and the rest ask for. */
static void
put_checksum(struct repair *r)
{
    uint8_t raw[8];

    ltx_put_u64(raw, r->crc | LTX_CHECKSUM_FLAG);
    put(&r->out, raw, 8);
}

/*
 * Header and frames as they are, as far as they are frames. `anew`: a right end behind
 * them, and a commit that lets a snapshot be complete; else the end that is there, with
 * only the checksum right. False: no file can be made of it.
 */
static bool
repair(const struct bytes *in, bool anew, struct bytes *out)
{
    struct repair r = { .crc = 0 };
    size_t at = LTX_HEADER_SIZE, step;
    struct err e;
    bool done = false;

    if (in->n < LTX_HEADER_SIZE || ltx_header_decode(in->p, &r.h, &e) != 0)
        return false;
    r.page = get(r.h.page_size);
    put(&r.out, in->p, LTX_HEADER_SIZE);
    r.crc = crc64_update(0, in->p, LTX_HEADER_SIZE);
    while ((step = keep_frame(&r, in, at)) != 0)
        at += step;
    if (anew && ltx_header_is_snapshot(&r.h) && r.h.commit != r.last_pgno) {
        struct bytes other = { 0 };

        put(&other, in->p, in->n);
        ltx_put_u32(other.p + 12, r.last_pgno);
        done = repair(&other, true, out);
        drop(&other);
    } else if (anew) {
        put_end(&r);
        put_checksum(&r);
        put(out, r.out.p, r.out.n);
        done = true;
    } else if (in->n - at >= 8) {
        r.crc = crc64_update(r.crc, in->p + at, in->n - 8 - at);
        put(&r.out, in->p + at, in->n - 8 - at);
        put_checksum(&r);
        put(out, r.out.p, r.out.n);
        done = true;
    }
    free(r.page);
    drop(&r.out);
    drop(&r.index);
    return done;
}

/* --- two files ------------------------------------------------------------------------
 */

/* All of b, and of a what b does not hold, up to b's commit. */
static struct file
model_merge(const struct file *a, const struct file *b)
{
    struct file out = { .h = b->h };
    size_t i = 0, k = 0;

    out.h.min_txid = a->h.min_txid;
    while (i < a->n || k < b->n) {
        bool from_b = i == a->n || (k < b->n && b->pgnos[k] <= a->pgnos[i]);

        if (i < a->n && k < b->n && a->pgnos[i] == b->pgnos[k])
            i++;
        if (from_b)
            add_page(&out, b->pgnos[k], page_at(b, k));
        else if (a->pgnos[i] <= b->h.commit)
            add_page(&out, a->pgnos[i], page_at(a, i));
        if (from_b)
            k++;
        else
            i++;
    }
    return out;
}

/* Would a snapshot of these pages hold all of them? */
static bool
is_complete(const struct file *f)
{
    uint32_t lock = ltx_lock_pgno(f->h.page_size);
    uint32_t want = f->h.commit - (f->h.commit >= lock ? 1 : 0);

    return f->h.min_txid != 1 || f->n == want;
}

/* The second file, as one that follows the first. */
static struct bytes
follow(const struct file *a, const struct file *b)
{
    struct file next = *b;

    next.h.flags = LTX_FLAG_NO_CHECKSUM;
    next.h.pre_apply = next.t.post_apply = 0;
    next.h.min_txid = a->h.max_txid + 1 - (a->h.max_txid > 1 && b->h.min_txid % 4 == 0);
    next.h.max_txid = a->h.max_txid + 1;
    return encode(&next);
}

static void
check_merge(const struct bytes *first, const struct bytes *second)
{
    struct bytes in[2] = { *first, { 0 } }, out = { 0 };
    struct file a, b, got, want;
    struct err e;

    if (decode(first, 0, &a, &e) == 0 && decode(second, 0, &b, &e) == 0) {
        if (a.h.page_size == b.h.page_size && a.h.max_txid < UINT64_MAX) {
            in[1] = follow(&a, &b);
            file_free(&b);
            must(decode(&in[1], 0, &b, &e) == 0);
            want = model_merge(&a, &b);
            must((merge(in, 2, &out, &e) == 0) == is_complete(&want));
            if (is_complete(&want)) {
                must(decode(&out, 0, &got, &e) == 0);
                must_hold_same_pages(&want, &got);
                file_free(&got);
            }
            file_free(&want);
        }
        file_free(&b);
    }
    file_free(&a);
    drop(&in[1]);
    drop(&out);
}

/* Some of the pages of a file, with a commit above or below; the bytes decide which. */
static struct bytes
derive(const struct bytes *from)
{
    struct bytes out = { 0 };
    struct file f, some = { 0 };
    uint64_t bits;
    struct err e;

    if (decode(from, 0, &f, &e) == 0) {
        bits = f.t.file_checksum;
        some.h = f.h;
        some.h.flags = LTX_FLAG_NO_CHECKSUM;
        some.h.pre_apply = 0;
        some.h.min_txid = some.h.max_txid = 2 + bits % 3;
        some.h.commit += (uint32_t)(bits >> 8 & 3);
        if ((bits >> 10 & 3) == 0)
            some.h.commit /= 2;
        for (size_t i = 0; i < f.n; i++)
            if (f.pgnos[i] <= some.h.commit && (bits >> (12 + i % 40) & 1) != 0)
                add_page(&some, f.pgnos[i], page_at(&f, f.n - 1 - i));
        out = encode(&some);
    }
    file_free(&f);
    file_free(&some);
    return out;
}

/* --- the target -----------------------------------------------------------------------
 */

static void
check(const struct bytes *in, struct bytes *good)
{
    struct bytes sealed = { 0 };

    (void)check_one(in);
    if (repair(in, false, &sealed))
        (void)check_one(&sealed);
    if (repair(in, true, good) && !check_one(good))
        drop(good); /* its pages do not ascend, or the like */
    drop(&sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *next = size > 4 ? memmem(data + 1, size - 1, "LTX1", 4) : NULL;
    size_t n = next != NULL ? (size_t)(next - data) : size;
    struct bytes in[2] = { { 0 }, { 0 } }, good[2] = { { 0 }, { 0 } }, out;
    struct err e;

    /* Copies of the exact size, so that a byte too far is seen. */
    in[0].p = get(n);
    in[1].p = get(size - n);
    memcpy(in[0].p, data, in[0].n = n);
    if (size > n)
        memcpy(in[1].p, data + n, in[1].n = size - n);
    check(&in[0], &good[0]);
    if (next != NULL) {
        (void)merge(in, 2, &out, &e);
        drop(&out);
        check(&in[1], &good[1]);
    } else if (good[0].n > 0) {
        good[1] = derive(&good[0]);
    }
    if (good[0].n > 0 && good[1].n > 0)
        check_merge(&good[0], &good[1]);
    for (int i = 0; i < 2; i++) {
        drop(&in[i]);
        drop(&good[i]);
    }
    return 0;
}
