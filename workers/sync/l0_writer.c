#include "workers/sync/l0_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_name.h"
#include "common/wal/wal_scan.h"
#include "workers/sync/page_writer.h"

#define WRITEBACK_STEP ((int64_t)8 << 20)

struct l0_run {
    const struct l0_plan *plan;
    const struct cancel *cancel;
    struct ltx_encoder *enc;
    uint32_t next_pgno; /* of a full image */
    uint8_t *frame;     /* frame header and page */
    int fd;             /* the staged file */
    int64_t written, flushed;
    uint32_t n_growth; /* pages above prev_commit */

    /* the walk over the map, one entry ahead */
    bool map_ended;
    uint32_t map_pgno, map_frame;
};

static int
sink_write(void *arg, const void *bytes, size_t n, struct err *e)
{
    struct l0_run *r = arg;
    int rc = sys_write_all(r->fd, bytes, n, e);

    if (rc != 0)
        return rc;
    r->written += (int64_t)n;
    if (r->written - r->flushed >= WRITEBACK_STEP) {
        sys_start_writeback(r->fd, r->flushed, r->written - r->flushed);
        r->flushed = r->written;
    }
    return 0;
}

/* --- where pages come from ------------------------------------------------------------
 */

static int
map_next(struct l0_run *r, struct err *e)
{
    uint32_t lock = ltx_lock_pgno(r->plan->header.page_size);
    int rc;

    do /* SQLite never writes the lock page */
        rc = wal_pagemap_next(r->plan->map, &r->map_pgno, &r->map_frame, e);
    while (rc == 0 && r->map_pgno == lock);
    if (rc == ERR_END) {
        r->map_ended = true;
        return 0;
    }
    return rc;
}

static int
map_begin(struct l0_run *r, struct err *e)
{
    const struct l0_plan *p = r->plan;
    int rc;

    r->map_ended = p->map == NULL || p->last_frame_no == 0;
    if (r->map_ended)
        return 0;
    rc = wal_pagemap_walk(p->map, p->header.commit, p->last_frame_no, e);
    return rc != 0 ? rc : map_next(r, e);
}

/* A page out of its frame; the frame must still be the one that was scanned. */
static int
read_wal_page(
    struct l0_run *r, uint32_t pgno, uint32_t frame_no, uint8_t *page, struct err *e)
{
    uint32_t page_size = r->plan->header.page_size;
    struct wal_frame f;
    size_t got;
    int rc = sys_pread(r->plan->wal_fd, r->frame, WAL_FRAME_HEADER_SIZE + page_size,
        wal_frame_off(page_size, frame_no), &got, e);

    if (rc != 0)
        return err_wrap(e, "read WAL page %u", pgno);
    if (got == WAL_FRAME_HEADER_SIZE + page_size) {
        wal_frame_decode(r->frame, &f);
        if (f.pgno == pgno && wal_salt_equal(f.salt, r->plan->wal_salt)) {
            memcpy(page, r->frame + WAL_FRAME_HEADER_SIZE, page_size);
            return 0;
        }
    }
    return err_set(
        e, ERR_MOVED, "frame %u of the WAL changed while it was read", frame_no);
}

/* The next pages of an increment. */
static int
fill_from_wal(struct l0_run *r, struct page_batch *b, struct err *e)
{
    while (b->n < b->max_pages && !r->map_ended) {
        int rc = read_wal_page(
            r, r->map_pgno, r->map_frame, b->pages + (size_t)b->n * b->page_size, e);

        if (rc != 0)
            return rc;
        if (r->map_pgno > r->plan->prev_commit)
            r->n_growth++;
        b->pgno[b->n++] = r->map_pgno;
        rc = map_next(r, e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Pages first..first+n-1 of a full image into the batch, without a lock page. */
static int
fill_image(
    struct l0_run *r, struct page_batch *b, uint32_t first, uint32_t n, struct err *e)
{
    uint32_t page_size = b->page_size;
    size_t got;
    int rc = sys_pread(r->plan->db_fd, b->pages, (size_t)n * page_size,
        (int64_t)(first - 1) * page_size, &got, e);

    if (rc != 0)
        return err_wrap(e, "read database page %u", first);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pgno = first + i;

        b->pgno[i] = pgno;
        if (!r->map_ended && r->map_pgno == pgno) {
            rc =
                read_wal_page(r, pgno, r->map_frame, b->pages + (size_t)i * page_size, e);
            if (rc == 0)
                rc = map_next(r, e);
            if (rc != 0)
                return rc;
        } else if ((size_t)(i + 1) * page_size > got) {
            return err_set(
                e, ERR_MOVED, "read database page %u: unexpected end of file", pgno);
        }
    }
    b->n = n;
    return 0;
}

/* --- into the encoder -----------------------------------------------------------------
 */

static int
fill_increment(void *arg, struct page_batch *b, struct err *e)
{
    return fill_from_wal(arg, b, e);
}

/* As many pages as fit, up to the lock page, which no file holds. */
static int
fill_next_of_image(void *arg, struct page_batch *b, struct err *e)
{
    struct l0_run *r = arg;
    uint32_t commit = r->plan->header.commit;
    uint32_t lock = ltx_lock_pgno(r->plan->header.page_size), first, last;
    int rc;

    if (r->next_pgno == lock)
        r->next_pgno++;
    first = r->next_pgno;
    if (first > commit)
        return 0;
    last = commit - first < b->max_pages ? commit : first + b->max_pages - 1;
    if (first < lock && last >= lock)
        last = lock - 1;
    rc = fill_image(r, b, first, last - first + 1, e);
    r->next_pgno = last + 1;
    return rc;
}

/* A page that a growth added is always in the WAL; a missing one means missed frames. */
static int
check_growth(const struct l0_run *r, struct err *e)
{
    uint32_t commit = r->plan->header.commit, prev = r->plan->prev_commit;
    uint32_t lock = ltx_lock_pgno(r->plan->header.page_size), want;

    if (r->plan->db_fd >= 0 || commit <= prev)
        return 0;
    want = commit - prev - (lock > prev && lock <= commit ? 1 : 0);
    if (r->n_growth == want)
        return 0;
    return err_set(e, ERR_GAP,
        "%u of %u pages that the database grew by are not in the WAL", want - r->n_growth,
        want);
}

/* Frames are overwritten only after the header was: it tells whether the reads were good.
 */
static int
check_header(const struct l0_run *r, struct err *e)
{
    struct wal_header h;
    int rc;

    if (r->plan->last_frame_no == 0)
        return 0;
    rc = wal_read_header(r->plan->wal_fd, &h, e);
    if (rc == 0 && wal_salt_equal(h.salt, r->plan->wal_salt))
        return 0;
    return err_set(e, ERR_MOVED, "the WAL was restarted while it was read");
}

static int
encode(struct l0_run *r, struct err *e)
{
    const struct l0_plan *p = r->plan;
    struct ltx_sink sink = { .write = sink_write, .arg = r };
    struct page_source src = {
        .fill = p->db_fd >= 0 ? fill_next_of_image : fill_increment, .arg = r
    };
    int rc = ltx_encoder_open(&p->header, sink, p->dir, &r->enc, e);

    r->next_pgno = 1;
    if (rc == 0)
        rc = map_begin(r, e);
    if (rc == 0)
        rc = page_writer_run(
            r->enc, p->header.page_size, &src, p->n_threads, r->cancel, e);
    if (rc == 0)
        rc = check_growth(r, e);
    if (rc == 0)
        rc = ltx_encoder_close(r->enc, 0, NULL, e);
    if (rc == 0)
        rc = check_header(r, e);
    return rc;
}

/* --- staging --------------------------------------------------------------------------
 */

static int
open_staged(const struct l0_plan *p, const char *tmp, int *fd, struct err *e)
{
    int flags = O_RDWR | O_CREAT | O_TRUNC;
    int rc = sys_open(tmp, flags, p->owner.file_mode & 0777, fd, e);

    if (rc == ERR_NOT_FOUND) {
        rc = sys_mkdirs(p->dir, &p->owner, e);
        if (rc == 0)
            rc = sys_open(tmp, flags, p->owner.file_mode & 0777, fd, e);
    }
    if (rc == 0 && p->owner.set_owner && fchown(*fd, p->owner.uid, p->owner.gid) != 0) {
        /* best effort: an unprivileged daemon cannot give files away */
    }
    return rc;
}

static void
run_free(struct l0_run *r)
{
    ltx_encoder_free(r->enc);
    mem_free(r->frame);
    sys_close(&r->fd);
}

static int
stage(struct l0_run *r, const char *tmp, struct l0_result *out, struct err *e)
{
    int rc = open_staged(r->plan, tmp, &r->fd, e);

    if (rc != 0)
        return err_wrap(e, "stage-open");
    rc = encode(r, e);
    if (rc != 0)
        return err_wrap(e, "stage-write");
    if (sys->fsync(r->fd) != 0)
        return err_errno(e, errno, "stage-sync");
    out->size = ltx_encoder_size(r->enc);
    out->n_pages = ltx_encoder_n_pages(r->enc);
    return 0;
}

int
l0_write(const struct l0_plan *plan, const struct cancel *cancel, struct l0_result *out,
    struct err *e)
{
    struct l0_run r = { .plan = plan, .cancel = cancel, .fd = -1 };
    char name[LTX_NAME_SIZE];
    struct err ignored;
    char *path, *tmp;
    int rc;

    must(plan->header.min_txid == plan->header.max_txid);
    ltx_name_format(plan->header.min_txid, plan->header.max_txid, name);
    path = path_join(plan->dir, name);
    tmp = mem_printf("%s.tmp", path);
    r.frame = mem_new(WAL_FRAME_HEADER_SIZE + (size_t)plan->header.page_size);
    rc = stage(&r, tmp, out, e);
    run_free(&r);
    if (rc == 0)
        rc = sys_publish(tmp, path, e);
    if (rc != 0) {
        sys_remove(tmp, &ignored); /* nothing, if it has its name already */
        err_wrap(e, "write ltx file %s", path);
    }
    mem_free(tmp);
    mem_free(path);
    return rc;
}
