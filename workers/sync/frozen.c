#include "workers/sync/frozen.h"

#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/spool.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "workers/sync/page_writer.h"

/* A page that was saved and its place in the spool. */
struct saved {
    uint32_t pgno;
    uint32_t slot;
};

struct frozen {
    struct frozen_at at;
    struct ltx_header header;
    char *spool_dir;
    uint32_t last_frame_no; /* of the position, 0: no frame of this generation */
    uint32_t lock_pgno;
    uint8_t *frame; /* frame header and page */

    uv_mutex_t lock; /* all below */
    bool invalid;
    char why[128];
    uint32_t next_pgno; /* the reader has passed those before it */

    struct wal_scan *scan; /* the map; NULL: it is not needed any more */
    bool walking;          /* the walk stands at map_pgno */
    bool map_ended;
    uint32_t map_pgno, map_frame;

    struct spool *spool;
    struct saved *saved; /* by pgno */
    size_t n_saved, cap_saved;
    struct wal_salt saved_salt; /* what frames before this place change is saved */
    struct wal_place saved_to;
};

/* --- making it ------------------------------------------------------------------------
 */

static int
scan_up_to(struct wal_scan *scan, int fd, const struct wal_header *h,
    const struct wal_place *from, const struct wal_place *place, uint32_t *last_frame_no,
    struct err *e)
{
    int64_t n = (place->off - WAL_HEADER_SIZE) / wal_frame_size(h->page_size);
    struct wal_range range = { *from, (uint32_t)n, 0 };
    struct wal_scan_result res;
    int rc;

    *last_frame_no = (uint32_t)n;
    if (scan == NULL || place->off <= from->off)
        return 0;
    rc = wal_scan_run(scan, fd, h, &range, NULL, &res, e);
    if (rc == 0 && res.end.off != place->off)
        rc = err_set(e, ERR_MOVED, "the WAL was restarted while it was read");
    return rc;
}

static void
make_header(struct frozen *f)
{
    const struct frozen_at *at = &f->at;
    uint32_t frames = f->last_frame_no;

    f->header = (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = at->page_size,
        .commit = at->commit,
        .min_txid = 1,
        .max_txid = at->txid,
        .timestamp_ms = wall_to_ms(wall_now()),
        .wal_offset = frames > 0 ? wal_frame_off(at->page_size, frames) : WAL_HEADER_SIZE,
        .wal_size = frames > 0 ? wal_frame_size(at->page_size) : 0,
        .wal_salt1 = at->wal.salt.s1,
        .wal_salt2 = at->wal.salt.s2 };
}

int
frozen_new(const struct frozen_at *at, struct frozen **out, struct err *e)
{
    struct frozen *f = MEM_NEW(struct frozen);
    struct wal_place start = { WAL_HEADER_SIZE, at->wal.sum };
    int rc;

    f->at = *at;
    f->saved_salt = at->wal.salt;
    f->saved_to = at->place;
    f->spool_dir = mem_strdup(at->spool_dir);
    f->lock_pgno = ltx_lock_pgno(at->page_size);
    f->frame = mem_new(WAL_FRAME_HEADER_SIZE + (size_t)at->page_size);
    f->next_pgno = 1;
    f->scan = at->all_copied ? NULL : wal_scan_new(f->spool_dir);
    f->spool = spool_new(f->spool_dir);
    must(uv_mutex_init(&f->lock) == 0);
    rc = scan_up_to(
        f->scan, at->wal_fd, &at->wal, &start, &at->place, &f->last_frame_no, e);
    if (rc != 0) {
        frozen_free(f);
        return rc;
    }
    make_header(f);
    *out = f;
    return 0;
}

void
frozen_free(struct frozen *f)
{
    if (f == NULL)
        return;
    wal_scan_free(f->scan);
    spool_free(f->spool);
    uv_mutex_destroy(&f->lock);
    mem_free(f->saved);
    mem_free(f->frame);
    mem_free(f->spool_dir);
    mem_free(f);
}

const struct ltx_header *
frozen_header(const struct frozen *f)
{
    return &f->header;
}

void
frozen_set_timestamp(struct frozen *f, int64_t timestamp_ms)
{
    f->header.timestamp_ms = timestamp_ms;
}

/* --- where a page is ------------------------------------------------------------------
 */

static void
drop_map(struct frozen *f)
{
    wal_scan_free(f->scan);
    f->scan = NULL;
    f->walking = false;
}

static void
invalidate(struct frozen *f, const char *why)
{
    if (f->invalid)
        return;
    f->invalid = true;
    snprintf(f->why, sizeof(f->why), "%.*s", (int)sizeof(f->why) - 1, why);
}

/* Index of the first saved page >= pgno. */
static size_t
find_saved(const struct frozen *f, uint32_t pgno)
{
    size_t low = 0, high = f->n_saved;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (f->saved[middle].pgno < pgno)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_saved(const struct frozen *f, uint32_t pgno, size_t *at)
{
    *at = find_saved(f, pgno);
    return *at < f->n_saved && f->saved[*at].pgno == pgno;
}

static int
walk_next(struct frozen *f, struct err *e)
{
    int rc = wal_pagemap_next(wal_scan_map(f->scan), &f->map_pgno, &f->map_frame, e);

    f->map_ended = rc == ERR_END;
    return rc == ERR_END ? 0 : rc;
}

/* Moves the walk over the map to the first page >= pgno. */
static int
walk_to(struct frozen *f, uint32_t pgno, struct err *e)
{
    int rc = 0;

    if (f->scan == NULL)
        return 0;
    if (!f->walking) {
        f->map_ended = f->last_frame_no == 0;
        f->walking = true;
        if (!f->map_ended) {
            rc = wal_pagemap_walk(
                wal_scan_map(f->scan), f->at.commit, f->last_frame_no, e);
            if (rc == 0)
                rc = walk_next(f, e);
        }
    }
    while (rc == 0 && !f->map_ended && f->map_pgno < pgno)
        rc = walk_next(f, e);
    return rc;
}

/* A page out of its frame; the frame must still be the one that was scanned. */
static int
read_frame(
    struct frozen *f, uint32_t pgno, uint32_t frame_no, uint8_t *page, struct err *e)
{
    size_t size = WAL_FRAME_HEADER_SIZE + (size_t)f->at.page_size, got;
    struct wal_frame frame;
    int rc = sys_pread(
        f->at.wal_fd, f->frame, size, wal_frame_off(f->at.page_size, frame_no), &got, e);

    if (rc != 0)
        return err_wrap(e, "read WAL page %u", pgno);
    if (got == size) {
        wal_frame_decode(f->frame, &frame);
        if (frame.pgno == pgno && wal_salt_equal(frame.salt, f->at.wal.salt)) {
            memcpy(page, f->frame + WAL_FRAME_HEADER_SIZE, f->at.page_size);
            return 0;
        }
    }
    return err_set(
        e, ERR_MOVED, "frame %u of the WAL changed while it was read", frame_no);
}

/*
 * While the map is needed nobody may restart the WAL. Frames are overwritten only after
 * the header was: it tells whether what was read is good.
 */
static int
check_generation(const struct frozen *f, struct err *e)
{
    struct wal_header h;
    int rc;

    if (f->scan == NULL)
        return 0;
    rc = wal_read_header(f->at.wal_fd, &h, e);
    if (rc == 0 && wal_salt_equal(h.salt, f->at.wal.salt))
        return 0;
    if (rc != 0 && rc != ERR_AGAIN && rc != ERR_NOT_FOUND)
        return rc;
    return err_set(e, ERR_MOVED, "the WAL was restarted by another program");
}

static int
read_saved(struct frozen *f, size_t i, uint8_t *page, struct err *e)
{
    size_t got;
    int rc = spool_read(f->spool, (int64_t)f->saved[i].slot * f->at.page_size, page,
        f->at.page_size, &got, e);

    if (rc == 0 && got != f->at.page_size)
        rc = err_set(e, ERR_BUG, "saved page %u is not there", f->saved[i].pgno);
    return rc;
}

static int
read_file(struct frozen *f, uint32_t first, uint32_t n, uint8_t *pages, size_t *got,
    struct err *e)
{
    int rc = sys_pread(f->at.db_fd, pages, (size_t)n * f->at.page_size,
        (int64_t)(first - 1) * f->at.page_size, got, e);

    return rc != 0 ? err_wrap(e, "read database page %u", first) : 0;
}

/* --- the reader -----------------------------------------------------------------------
 */

/* The pages of a batch that are not in the file. in_file: bytes that were read from it.
 */
static int
overlay(struct frozen *f, struct page_batch *b, uint32_t first, uint32_t n,
    size_t in_file, struct err *e)
{
    size_t s = find_saved(f, first);

    for (uint32_t i = 0; i < n; i++) {
        uint8_t *page = b->pages + (size_t)i * f->at.page_size;
        uint32_t pgno = first + i;
        int rc = walk_to(f, pgno, e);

        if (rc == 0 && s < f->n_saved && f->saved[s].pgno == pgno)
            rc = read_saved(f, s++, page, e);
        else if (rc == 0 && f->scan != NULL && !f->map_ended && f->map_pgno == pgno)
            rc = read_frame(f, pgno, f->map_frame, page, e);
        else if (rc == 0 && (i + (size_t)1) * f->at.page_size > in_file)
            rc = err_set(
                e, ERR_MOVED, "read database page %u: unexpected end of file", pgno);
        if (rc != 0)
            return rc;
        b->pgno[i] = pgno;
    }
    return 0;
}

static int
fill_range(
    struct frozen *f, struct page_batch *b, uint32_t first, uint32_t n, struct err *e)
{
    size_t in_file;
    int rc = read_file(f, first, n, b->pages, &in_file, e);

    if (rc == 0)
        rc = overlay(f, b, first, n, in_file, e);
    if (rc == 0)
        rc = check_generation(f, e);
    if (rc == 0)
        b->n = n;
    return rc;
}

int
frozen_fill(struct frozen *f, struct page_batch *b, struct err *e)
{
    uint32_t first, last;
    int rc = 0;

    uv_mutex_lock(&f->lock);
    if (f->next_pgno == f->lock_pgno)
        f->next_pgno++;
    first = f->next_pgno;
    last = f->at.commit - first < b->max_pages ? f->at.commit : first + b->max_pages - 1;
    if (first < f->lock_pgno && last >= f->lock_pgno)
        last = f->lock_pgno - 1;
    if (f->invalid)
        rc = err_set(e, ERR_MOVED, "snapshot given up: %s", f->why);
    else if (first <= f->at.commit)
        rc = fill_range(f, b, first, last - first + 1, e);
    if (rc == 0 && b->n > 0)
        f->next_pgno = last + 1;
    uv_mutex_unlock(&f->lock);
    return rc;
}

static int
fill(void *arg, struct page_batch *b, struct err *e)
{
    return frozen_fill(arg, b, e);
}

int
frozen_write(struct frozen *f, struct ltx_sink sink, unsigned n_threads,
    const struct cancel *cancel, struct err *e)
{
    struct page_source src = { .fill = fill, .arg = f };
    struct ltx_encoder *enc = NULL;
    int rc = ltx_encoder_open(&f->header, sink, f->spool_dir, &enc, e);

    if (rc == 0)
        rc = page_writer_run(enc, f->at.page_size, &src, n_threads, cancel, e);
    if (rc == 0)
        rc = ltx_encoder_close(enc, 0, NULL, e);
    ltx_encoder_free(enc);
    return rc;
}

void
frozen_invalidate(struct frozen *f, const char *why)
{
    uv_mutex_lock(&f->lock);
    invalidate(f, why);
    uv_mutex_unlock(&f->lock);
}

/* --- saving ---------------------------------------------------------------------------
 */

/* Pages that are to be saved, ascending, and the frame that holds each (0: the file). */
struct wanted {
    struct {
        uint32_t pgno, frame_no;
    } * page;
    size_t n, cap, limit;
    bool too_many;
};

static void
want(struct frozen *f, struct wanted *w, uint32_t pgno)
{
    size_t at;

    if (pgno < f->next_pgno || pgno == f->lock_pgno || is_saved(f, pgno, &at))
        return;
    if (w->n == w->limit) {
        w->too_many = true;
        return;
    }
    if (w->n == w->cap) {
        w->cap = w->cap > 0 ? w->cap * 2 : 256;
        w->page = mem_resize(w->page, w->cap * sizeof(w->page[0]));
    }
    w->page[w->n].pgno = pgno;
    w->page[w->n++].frame_no = 0;
}

/* What frames change that are not dealt with yet, then what the file loses. */
static int
collect(struct frozen *f, const struct wal_header *h, const struct wal_place *place,
    uint32_t commit, struct wanted *w, struct err *e)
{
    struct wal_scan *scan = wal_scan_new(f->spool_dir);
    struct wal_place from = { WAL_HEADER_SIZE, h->sum };
    uint32_t last_frame_no, pgno, frame_no;
    uint32_t end = commit < f->at.commit ? commit : f->at.commit;
    int rc;

    if (wal_salt_equal(h->salt, f->saved_salt))
        from = f->saved_to;
    rc = scan_up_to(scan, f->at.wal_fd, h, &from, place, &last_frame_no, e);
    if (rc == 0 && place->off > from.off) {
        rc = wal_pagemap_walk(wal_scan_map(scan), end, last_frame_no, e);
        while (rc == 0 && !w->too_many) {
            rc = wal_pagemap_next(wal_scan_map(scan), &pgno, &frame_no, e);
            if (rc == 0)
                want(f, w, pgno);
        }
        if (rc == ERR_END)
            rc = 0;
    }
    pgno = end + 1 > f->next_pgno ? end + 1 : f->next_pgno;
    for (; rc == 0 && pgno <= f->at.commit && !w->too_many; pgno++)
        want(f, w, pgno);
    wal_scan_free(scan);
    return rc;
}

static int
find_frames(struct frozen *f, struct wanted *w, struct err *e)
{
    f->walking = false;
    for (size_t i = 0; f->scan != NULL && i < w->n; i++) {
        int rc = walk_to(f, w->page[i].pgno, e);

        if (rc != 0)
            return rc;
        if (!f->map_ended && f->map_pgno == w->page[i].pgno)
            w->page[i].frame_no = f->map_frame;
    }
    f->walking = false; /* the reader begins its walk anew */
    return 0;
}

static int
save_page(
    struct frozen *f, uint32_t pgno, uint32_t frame_no, uint8_t *page, struct err *e)
{
    size_t got;
    int rc;

    if (frame_no > 0) {
        rc = read_frame(f, pgno, frame_no, page, e);
    } else {
        rc = read_file(f, pgno, 1, page, &got, e);
        if (rc == 0 && got != f->at.page_size)
            rc = err_set(e, ERR_MOVED, "the database file ends before page %u", pgno);
    }
    return rc == 0 ? spool_append(f->spool, page, f->at.page_size, e) : rc;
}

/* Both are sorted: from the back, so that nothing is overwritten. */
static void
index_saved(struct frozen *f, const struct wanted *w, uint32_t first_slot)
{
    size_t a = f->n_saved, b = w->n, to = a + b;

    if (to > f->cap_saved) {
        f->cap_saved = to + to / 2;
        f->saved = mem_resize(f->saved, f->cap_saved * sizeof(f->saved[0]));
    }
    f->n_saved = to;
    while (b > 0)
        if (a > 0 && f->saved[a - 1].pgno > w->page[b - 1].pgno) {
            f->saved[--to] = f->saved[--a];
        } else {
            b--;
            f->saved[--to] = (struct saved){ w->page[b].pgno, first_slot + (uint32_t)b };
        }
}

static int
save(struct frozen *f, struct wanted *w, struct err *e)
{
    uint32_t first_slot = (uint32_t)(spool_size(f->spool) / f->at.page_size);
    uint8_t *page = mem_new(f->at.page_size);
    int rc = find_frames(f, w, e);

    for (size_t i = 0; rc == 0 && i < w->n; i++)
        rc = save_page(f, w->page[i].pgno, w->page[i].frame_no, page, e);
    if (rc == 0 && w->n > 0)
        index_saved(f, w, first_slot);
    mem_free(page);
    return rc;
}

enum frozen_save
frozen_before_checkpoint(struct frozen *f, const struct wal_header *h,
    const struct wal_place *place, uint32_t commit)
{
    struct wanted w = { .limit = (size_t)(FROZEN_SAVE_BYTES / f->at.page_size) };
    struct err e;
    int rc = 0;

    uv_mutex_lock(&f->lock);
    if (w.limit > FROZEN_SAVE_PAGES - f->n_saved)
        w.limit = FROZEN_SAVE_PAGES - f->n_saved;
    if (f->scan != NULL && !wal_salt_equal(h->salt, f->at.wal.salt))
        invalidate(f, "the WAL was restarted by another program");
    if (!f->invalid)
        rc = collect(f, h, place, commit, &w, &e);
    if (rc == 0 && !f->invalid && !w.too_many)
        rc = save(f, &w, &e);
    if (rc != 0)
        invalidate(f, e.text);
    mem_free(w.page);
    if (!f->invalid && !w.too_many) {
        f->saved_salt = h->salt;
        f->saved_to = *place;
        return FROZEN_SAVED; /* locked until the checkpoint is through */
    }
    uv_mutex_unlock(&f->lock);
    return f->invalid ? FROZEN_OVER : FROZEN_TOO_MUCH;
}

void
frozen_after_checkpoint(struct frozen *f, bool complete)
{
    if (complete)
        drop_map(f);
    uv_mutex_unlock(&f->lock);
}
