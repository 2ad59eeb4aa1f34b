#include "common/wal/wal_scan.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"

#define BLOCK_FIRST ((size_t)64 << 10)
#define BLOCK_MAX ((size_t)1 << 20)

struct wal_scan {
    struct wal_pagemap *map;
    struct wal_header h;
    struct wal_place at; /* behind the last valid frame */

    /* bytes of the file from buf_off on; only during a run */
    uint8_t *buf;
    size_t cap, filled, block;
    int64_t buf_off;
};

struct wal_scan *
wal_scan_new(const char *spool_dir)
{
    struct wal_scan *s = MEM_NEW(struct wal_scan);

    s->map = wal_pagemap_new(spool_dir);
    return s;
}

void
wal_scan_free(struct wal_scan *s)
{
    if (s == NULL)
        return;
    wal_pagemap_free(s->map);
    mem_free(s->buf);
    mem_free(s);
}

void
wal_scan_trim(struct wal_scan *s)
{
    mem_free(s->buf);
    s->buf = NULL;
    s->cap = s->filled = 0;
}

struct wal_pagemap *
wal_scan_map(struct wal_scan *s)
{
    return s->map;
}

/* --- reading --------------------------------------------------------------------------
 */

static void
begin_reading(struct wal_scan *s)
{
    s->filled = 0;
    s->buf_off = s->at.off;
    s->block = BLOCK_FIRST; /* there may be little: grow while there is more */
}

/* The frame at s->at as a whole in memory; *frame NULL: the file ends before its end. */
static int
get_frame(struct wal_scan *s, int fd, const uint8_t **frame, struct err *e)
{
    size_t size = (size_t)wal_frame_size(s->h.page_size);
    size_t pos = (size_t)(s->at.off - s->buf_off), got;
    int rc;

    *frame = NULL;
    if (s->filled - pos < size) {
        size_t want = s->block > size ? s->block : size;

        if (want > s->cap) {
            s->buf = mem_resize(s->buf, want);
            s->cap = want;
        }
        memmove(s->buf, s->buf + pos, s->filled - pos);
        s->filled -= pos;
        s->buf_off = s->at.off;
        pos = 0;
        rc = sys_pread(fd, s->buf + s->filled, want - s->filled,
            s->buf_off + (int64_t)s->filled, &got, e);
        if (rc != 0)
            return rc;
        s->filled += got;
        if (s->block < BLOCK_MAX)
            s->block *= 2;
    }
    if (s->filled - pos >= size)
        *frame = s->buf + pos;
    return 0;
}

/* Salts, chain and page number; *sum is the chain behind the frame. */
static bool
frame_valid(const struct wal_header *h, struct wal_sum before, const uint8_t *bytes,
    struct wal_frame *f, struct wal_sum *sum)
{
    wal_frame_decode(bytes, f);
    if (!wal_salt_equal(f->salt, h->salt) || f->pgno == 0)
        return false;
    *sum = before;
    wal_sum_update(sum, h->big_endian, bytes, 8);
    wal_sum_update(sum, h->big_endian, bytes + WAL_FRAME_HEADER_SIZE, h->page_size);
    return wal_sum_equal(*sum, f->sum);
}

/* --- scanning -------------------------------------------------------------------------
 */

static int
frame_number(const struct wal_scan *s, uint32_t *no, struct err *e)
{
    int64_t n = (s->at.off - WAL_HEADER_SIZE) / wal_frame_size(s->h.page_size) + 1;

    if (n > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "WAL has more than %u frames", UINT32_MAX);
    *no = (uint32_t)n;
    return 0;
}

static int
take_frame(struct wal_scan *s, const struct wal_frame *f, struct wal_sum sum,
    struct wal_scan_result *out, struct err *e)
{
    uint32_t no;
    int rc = frame_number(s, &no, e);

    if (rc == 0)
        rc = wal_pagemap_add(s->map, f->pgno, no, e);
    if (rc != 0)
        return rc;
    s->at.off += wal_frame_size(s->h.page_size);
    s->at.sum = sum;
    if (f->commit != 0) {
        out->end = s->at;
        out->commit = f->commit;
        out->last_frame_no = no;
        out->n_commits++;
    }
    return 0;
}

static int
scan_frames(struct wal_scan *s, int fd, const struct wal_range *range,
    const struct cancel *cancel, struct wal_scan_result *out, struct err *e)
{
    int64_t end = wal_size_of(s->h.page_size, range->last_frame_no);

    begin_reading(s);
    while (s->at.off < end || range->last_frame_no == WAL_SCAN_ALL) {
        const uint8_t *bytes;
        struct wal_frame f;
        struct wal_sum sum;
        int rc;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        rc = get_frame(s, fd, &bytes, e);
        if (rc != 0 || bytes == NULL || !frame_valid(&s->h, s->at.sum, bytes, &f, &sum))
            return rc;
        rc = take_frame(s, &f, sum, out, e);
        if (rc != 0)
            return rc;
        if (f.commit != 0 && range->limit > 0 &&
            s->at.off - range->from.off >= range->limit) {
            out->limited = true;
            return 0;
        }
    }
    return 0;
}

int
wal_scan_run(struct wal_scan *s, int fd, const struct wal_header *h,
    const struct wal_range *range, const struct cancel *cancel,
    struct wal_scan_result *out, struct err *e)
{
    int rc;

    must((range->from.off - WAL_HEADER_SIZE) % wal_frame_size(h->page_size) == 0);
    wal_pagemap_clear(s->map);
    s->h = *h;
    s->at = range->from;
    *out = (struct wal_scan_result){ .end = range->from };
    rc = scan_frames(s, fd, range, cancel, out, e);
    out->valid_end = s->at;
    if (rc != 0)
        wal_pagemap_clear(s->map); /* nothing half-read is built upon */
    return rc;
}

/* --- single reads ---------------------------------------------------------------------
 */

int
wal_read_header(int fd, struct wal_header *h, struct err *e)
{
    uint8_t raw[WAL_HEADER_SIZE];
    size_t got;
    int rc = sys_pread(fd, raw, sizeof(raw), 0, &got, e);

    if (rc != 0)
        return rc;
    if (got < sizeof(raw))
        return err_set(e, ERR_NOT_FOUND, "wal has no header");
    return wal_header_decode(raw, h, e);
}

int
wal_read_frame(int fd, int64_t off, struct wal_frame *f, struct err *e)
{
    uint8_t raw[WAL_FRAME_HEADER_SIZE];
    size_t got;
    int rc = sys_pread(fd, raw, sizeof(raw), off, &got, e);

    if (rc != 0)
        return rc;
    if (got < sizeof(raw))
        return err_set(e, ERR_END, "end of wal");
    wal_frame_decode(raw, f);
    return 0;
}

int
wal_chain_to(int fd, const struct wal_header *h, int64_t off, struct wal_place *place,
    const struct cancel *cancel, struct err *e)
{
    struct wal_scan s = { .h = *h, .at = { WAL_HEADER_SIZE, h->sum } };
    bool committed = true;
    int rc = 0;

    begin_reading(&s);
    while (s.at.off < off) {
        const uint8_t *bytes;
        struct wal_frame f;
        struct wal_sum sum;

        rc = cancel_asked(cancel) ? err_set(e, ERR_CANCELLED, "cancelled")
                                  : get_frame(&s, fd, &bytes, e);
        if (rc != 0 || bytes == NULL || !frame_valid(h, s.at.sum, bytes, &f, &sum))
            break;
        s.at.off += wal_frame_size(h->page_size);
        s.at.sum = sum;
        committed = f.commit != 0;
    }
    mem_free(s.buf);
    if (rc != 0)
        return rc;
    if (s.at.off != off || !committed)
        return err_set(
            e, ERR_CORRUPT, "no commit of this wal ends at offset %lld", (long long)off);
    *place = s.at;
    return 0;
}
