#include "workers/restore/v03_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"
#include "common/wal/wal_scan.h"

#define BLOCK_SIZE ((size_t)256 << 10)
#define WRITEBACK_STEP ((int64_t)16 << 20)
#define PAGE_MAX 65536
#define DB_HEADER_SIZE 100
#define DB_MAGIC "SQLite format 3" /* and its NUL */

struct v03_replay {
    int fd, wal_fd;
    uint8_t *block; /* BLOCK_SIZE, of which PAGE_MAX serve as a page */
    struct wal_scan *scan;
    int64_t size; /* of the image */
    int64_t left_out;

    bool wal_open;
    uint32_t wal_index; /* of the WAL being put together */
    int64_t wal_size;
};

int
v03_replay_new(int fd, const char *wal_path, const char *spool_dir,
    struct v03_replay **out, struct err *e)
{
    struct v03_replay *r;
    int wal_fd;
    int rc = sys_open(wal_path, O_RDWR | O_CREAT | O_TRUNC, 0600, &wal_fd, e);

    if (rc != 0)
        return rc;
    if (sys->unlink(wal_path) != 0) {
        rc = err_errno(e, errno, "remove %s", wal_path);
        sys_close(&wal_fd);
        return rc;
    }
    r = MEM_NEW(struct v03_replay);
    r->fd = fd;
    r->wal_fd = wal_fd;
    r->block = mem_new(BLOCK_SIZE);
    r->scan = wal_scan_new(spool_dir);
    *out = r;
    return 0;
}

void
v03_replay_free(struct v03_replay *r)
{
    if (r == NULL)
        return;
    sys_close(&r->wal_fd);
    wal_scan_free(r->scan);
    mem_free(r->block);
    mem_free(r);
}

/* Everything that is left of z, to the file from *size on. */
static int
append(struct v03_replay *r, int fd, int64_t *size, struct v03_lz4 *z,
    const struct cancel *cancel, struct err *e)
{
    int64_t hinted = *size;

    for (;;) {
        size_t n;
        int rc = cancel_asked(cancel) ? err_set(e, ERR_CANCELLED, "cancelled")
                                      : v03_lz4_read(z, r->block, BLOCK_SIZE, &n, e);

        if (rc != 0 || n == 0)
            return rc;
        rc = sys_pwrite_all(fd, r->block, n, *size, e);
        if (rc != 0)
            return rc;
        *size += (int64_t)n;
        if (*size - hinted >= WRITEBACK_STEP) {
            sys_start_writeback(fd, hinted, *size - hinted);
            hinted = *size;
        }
    }
}

int
v03_replay_snapshot(
    struct v03_replay *r, struct v03_lz4 *z, const struct cancel *cancel, struct err *e)
{
    return append(r, r->fd, &r->size, z, cancel, e);
}

/* Page size by the header of the image, 0: there is no image yet. */
static int
image_page_size(struct v03_replay *r, uint32_t *page_size, struct err *e)
{
    uint8_t h[DB_HEADER_SIZE];
    uint32_t size;
    size_t n;
    int rc;

    *page_size = 0;
    if (r->size == 0)
        return 0;
    rc = sys_pread(r->fd, h, sizeof(h), 0, &n, e);
    if (rc != 0)
        return rc;
    if (n < sizeof(h) || memcmp(h, DB_MAGIC, sizeof(DB_MAGIC)) != 0)
        return err_set(e, ERR_CORRUPT, "the snapshot is not an SQLite database");
    size = (uint32_t)h[16] << 8 | h[17];
    size = size == 1 ? PAGE_MAX : size;
    if (size < 512 || size > PAGE_MAX || (size & (size - 1)) != 0)
        return err_set(e, ERR_CORRUPT, "the database has an invalid page size: %u", size);
    *page_size = size;
    return 0;
}

/* --- one WAL ---------------------------------------------------------------------------
 */

static int
read_header(struct v03_replay *r, struct wal_header *h, struct err *e)
{
    uint32_t page_size;
    int rc = image_page_size(r, &page_size, e);

    if (rc != 0)
        return rc;
    rc = wal_read_header(r->wal_fd, h, e);
    if (rc == ERR_NOT_FOUND || rc == ERR_AGAIN)
        return err_set(e, ERR_CORRUPT, "WAL %u: its header is damaged", r->wal_index);
    if (rc != 0)
        return err_wrap(e, "WAL %u", r->wal_index);
    if (page_size != 0 && page_size != h->page_size)
        return err_set(e, ERR_CORRUPT, "WAL %u has pages of %u bytes, the database of %u",
            r->wal_index, h->page_size, page_size);
    return 0;
}

/*
 * What stands behind the last valid frame: was nothing lost? Frames that an earlier WAL
 * left in the file have other salts, all of them.
 */
static int
check_rest(struct v03_replay *r, const struct wal_header *h,
    const struct wal_scan_result *res, struct err *e)
{
    int64_t step = wal_frame_size(h->page_size);

    for (int64_t off = res->valid_end.off; off + step <= r->wal_size; off += step) {
        struct wal_frame frame;
        int rc = wal_read_frame(r->wal_fd, off, &frame, e);

        if (rc != 0)
            return rc;
        if (wal_salt_equal(frame.salt, h->salt))
            return err_set(e, ERR_CORRUPT, "WAL %u is damaged at offset %lld",
                r->wal_index, (long long)res->valid_end.off);
    }
    return 0;
}

/* SQLite begins a WAL anew only when nothing in the old one is open. */
static int
check_end(
    struct v03_replay *r, const struct wal_scan_result *res, bool last_wal, struct err *e)
{
    r->left_out += r->wal_size - res->end.off;
    if (last_wal || res->valid_end.off == res->end.off)
        return 0;
    return err_set(e, ERR_CORRUPT,
        "WAL %u ends inside a transaction: a segment at %u/%lld is missing", r->wal_index,
        r->wal_index, (long long)r->wal_size);
}

static int
copy_pages(struct v03_replay *r, const struct wal_header *h,
    const struct wal_scan_result *res, const struct cancel *cancel, struct err *e)
{
    struct wal_pagemap *map = wal_scan_map(r->scan);
    int rc = wal_pagemap_walk(map, res->commit, res->last_frame_no, e);

    while (rc == 0) {
        uint32_t pgno, frame_no;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        rc = wal_pagemap_next(map, &pgno, &frame_no, e);
        if (rc != 0)
            break;
        rc = sys_pread_all(r->wal_fd, r->block, h->page_size,
            wal_frame_off(h->page_size, frame_no) + WAL_FRAME_HEADER_SIZE, e);
        if (rc == 0)
            rc = sys_pwrite_all(
                r->fd, r->block, h->page_size, (int64_t)(pgno - 1) * h->page_size, e);
    }
    return rc == ERR_END ? 0 : rc;
}

/* The commits of the WAL into the image. */
static int
end_wal(struct v03_replay *r, bool last_wal, const struct cancel *cancel, struct err *e)
{
    struct wal_range range = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_header h;
    int rc;

    if (!r->wal_open)
        return 0;
    r->wal_open = false;
    rc = read_header(r, &h, e);
    if (rc != 0)
        return rc;
    range.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    rc = wal_scan_run(r->scan, r->wal_fd, &h, &range, cancel, &res, e);
    if (rc != 0)
        return err_wrap(e, "WAL %u", r->wal_index);
    rc = check_rest(r, &h, &res, e);
    if (rc == 0)
        rc = check_end(r, &res, last_wal, e);
    if (rc != 0 || res.n_commits == 0)
        return rc;
    rc = copy_pages(r, &h, &res, cancel, e);
    if (rc != 0)
        return rc;
    r->size = (int64_t)res.commit * h.page_size;
    if (sys->ftruncate(r->fd, (off_t)r->size) != 0)
        return err_errno(e, errno, "set size of database");
    return 0;
}

/* --- segments --------------------------------------------------------------------------
 */

static int
begin_wal(struct v03_replay *r, const struct v03_object *o, const struct cancel *cancel,
    struct err *e)
{
    int rc = end_wal(r, false, cancel, e);

    if (rc != 0)
        return rc;
    if (sys->ftruncate(r->wal_fd, 0) != 0)
        return err_errno(e, errno, "empty the file of a WAL");
    r->wal_open = true;
    r->wal_index = o->index;
    r->wal_size = 0;
    return 0;
}

static int
missing_segment(const struct v03_replay *r, const struct v03_object *o, struct err *e)
{
    struct v03_object missing = *o;
    char key[V03_KEY_SIZE];

    missing.index = r->wal_index;
    missing.off = r->wal_size;
    missing.off_digits = 8;
    v03_key_format(&missing, key);
    return err_set(e, ERR_CORRUPT,
        "missing WAL segment: expected %u/%lld, got %u/%lld (no %s)", r->wal_index,
        (long long)r->wal_size, o->index, (long long)o->off, key);
}

int
v03_replay_segment(struct v03_replay *r, const struct v03_object *o, struct v03_lz4 *z,
    const struct cancel *cancel, struct err *e)
{
    int rc;

    must(o->kind == V03_SEGMENT);
    if (o->off == 0) {
        rc = begin_wal(r, o, cancel, e);
        if (rc != 0)
            return rc;
    } else if (!r->wal_open || o->index != r->wal_index || o->off != r->wal_size) {
        return missing_segment(r, o, e);
    }
    rc = append(r, r->wal_fd, &r->wal_size, z, cancel, e);
    return rc != 0 ? err_wrap(e, "write WAL segment %u/%lld", o->index, (long long)o->off)
                   : 0;
}

int
v03_replay_finish(struct v03_replay *r, const struct cancel *cancel, struct err *e)
{
    uint32_t page_size;
    int rc = end_wal(r, true, cancel, e);

    if (rc == 0)
        rc = image_page_size(r, &page_size, e);
    if (rc != 0)
        return rc;
    if (page_size == 0 || r->size % page_size != 0)
        return err_set(e, ERR_CORRUPT, "the result is not a whole database: %lld bytes",
            (long long)r->size);
    return 0;
}

int64_t
v03_replay_size(const struct v03_replay *r)
{
    return r->size;
}

int64_t
v03_replay_left_out(const struct v03_replay *r)
{
    return r->left_out;
}
