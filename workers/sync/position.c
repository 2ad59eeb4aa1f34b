#include "workers/sync/position.h"

#include <fcntl.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_name.h"
#include "workers/sync/meta.h"

static int
read_header(const char *path, struct ltx_header *h, struct err *e)
{
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = ltx_verify_fd(fd, h, e);
    sys_close(&fd);
    return rc;
}

static void
from_header(struct position *pos, const struct ltx_header *h)
{
    *pos = (struct position){ .txid = h->max_txid,
        .salt = { h->wal_salt1, h->wal_salt2 },
        .commit = h->commit,
        .page_size = h->page_size,
        .damaged_txid = pos->damaged_txid };
    /* Files of other programs (and those taken from a replica) name no place. */
    pos->have_mark = !__builtin_add_overflow(h->wal_offset, h->wal_size, &pos->off) &&
                     h->wal_offset >= WAL_HEADER_SIZE &&
                     (pos->off - WAL_HEADER_SIZE) % wal_frame_size(h->page_size) == 0;
}

int
position_find(const char *meta, struct position *pos, unsigned *damaged, struct err *e)
{
    *pos = (struct position){ 0 };
    *damaged = 0;
    for (;;) {
        struct ltx_header h;
        struct ltx_info info;
        char *path;
        int rc = meta_newest(meta, 0, &info, e);

        if (rc == ERR_NOT_FOUND)
            return 0;
        if (rc != 0)
            return rc;
        path = ltx_file_path(meta, 0, info.min_txid, info.max_txid);
        rc = read_header(path, &h, e);
        if (rc == 0 && (h.min_txid != info.min_txid || h.max_txid != info.max_txid))
            rc =
                err_set(e, ERR_CORRUPT, "header names another transaction than %s", path);
        if (rc == ERR_CORRUPT) {
            log_warn("damaged ltx file put aside", LF_STR("path", path), LF_ERR(e));
            ++*damaged;
            if (info.max_txid > pos->damaged_txid)
                pos->damaged_txid = info.max_txid;
            rc = meta_set_aside(path, e);
            mem_free(path);
            if (rc != 0)
                return rc;
            continue;
        }
        mem_free(path);
        if (rc == 0)
            from_header(pos, &h);
        return rc;
    }
}

/* --- comparing local files with the WAL -----------------------------------------------
 */

struct compare {
    int wal_fd;
    const struct wal_header *wh;
    struct wal_scan *scan;
    struct wal_place place; /* up to here everything was equal */
    uint8_t *page;
    uint8_t *frame;
};

/* The file's version of a page must be what stands in the frame. */
static int
compare_page(struct compare *c, struct ltx_decoder *dec, uint32_t pgno, uint32_t frame_no,
    bool *same, struct err *e)
{
    size_t size = WAL_FRAME_HEADER_SIZE + (size_t)c->wh->page_size;
    struct ltx_page info;
    int rc;

    do
        rc = ltx_decoder_page(dec, &info, c->page, e);
    while (
        rc == 0 && info.pgno < pgno); /* pages of an image that come from the database */
    if (rc == ERR_END || rc == ERR_CORRUPT || (rc == 0 && info.pgno != pgno)) {
        *same = false;
        return 0;
    }
    if (rc == 0)
        rc = sys_pread_all(
            c->wal_fd, c->frame, size, wal_frame_off(c->wh->page_size, frame_no), e);
    if (rc == 0)
        *same = memcmp(c->frame + WAL_FRAME_HEADER_SIZE, c->page, c->wh->page_size) == 0;
    return rc;
}

static int
compare_pages(struct compare *c, struct ltx_decoder *dec,
    const struct wal_scan_result *res, bool *same, struct err *e)
{
    struct wal_pagemap *map = wal_scan_map(c->scan);
    int rc = wal_pagemap_walk(map, res->commit, res->last_frame_no, e);

    while (rc == 0 && *same) {
        uint32_t pgno, frame_no;

        rc = wal_pagemap_next(map, &pgno, &frame_no, e);
        if (rc == ERR_END)
            return 0;
        if (rc == 0)
            rc = compare_page(c, dec, pgno, frame_no, same, e);
    }
    return rc;
}

static int
compare_range(struct compare *c, struct ltx_decoder *dec, bool *same, struct err *e)
{
    const struct ltx_header *h = ltx_decoder_header(dec);
    struct wal_scan_result res;
    struct wal_range range;
    int rc;

    if (h->wal_offset != c->place.off || h->page_size != c->wh->page_size) {
        *same = false;
        return 0;
    }
    if (h->wal_size == 0)
        return 0;
    range = (struct wal_range){ c->place, WAL_SCAN_ALL, h->wal_size };
    rc = wal_scan_run(c->scan, c->wal_fd, c->wh, &range, NULL, &res, e);
    if (rc != 0)
        return rc;
    *same = res.n_commits > 0 && res.end.off - h->wal_offset == h->wal_size &&
            res.commit == h->commit;
    if (*same)
        rc = compare_pages(c, dec, &res, same, e);
    c->place = res.end;
    return rc;
}

static int
compare_file(struct compare *c, const char *path, bool *same, struct err *e)
{
    struct ltx_decoder *dec = NULL;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = ltx_decoder_open_fd(fd, 0, &dec, e);
    if (rc == ERR_CORRUPT) {
        *same = false;
        rc = 0;
    } else if (rc == 0) {
        rc = compare_range(c, dec, same, e);
    }
    ltx_decoder_free(dec);
    sys_close(&fd);
    return rc;
}

/* Does this file belong to the generation of the position? *off: where it starts. */
static int
in_generation(
    const char *path, const struct position *pos, bool *yes, int64_t *off, struct err *e)
{
    uint8_t raw[LTX_HEADER_SIZE];
    struct ltx_header h;
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    *yes = false;
    if (rc == 0)
        rc = sys_pread_all(fd, raw, sizeof(raw), 0, e);
    sys_close(&fd);
    if (rc != 0)
        return rc == ERR_NOT_FOUND || rc == ERR_CORRUPT ? 0 : rc;
    if (ltx_header_decode(raw, &h, e) == 0) {
        *yes = h.wal_salt1 == pos->salt.s1 && h.wal_salt2 == pos->salt.s2 &&
               h.wal_offset >= WAL_HEADER_SIZE;
        *off = h.wal_offset;
    }
    return 0;
}

/* Walks back from the newest file to the first one of the generation, without gaps. */
static int
first_of_generation(const char *meta, const struct position *pos,
    const struct ltx_info *infos, size_t n, size_t *first, int64_t *off, struct err *e)
{
    *first = n;
    for (size_t i = n; i > 0; i--) {
        char *path = ltx_file_path(meta, 0, infos[i - 1].min_txid, infos[i - 1].max_txid);
        int64_t start = 0;
        bool yes;
        int rc = in_generation(path, pos, &yes, &start, e);

        mem_free(path);
        if (rc != 0)
            return rc;
        if (!yes || (i < n && infos[i - 1].max_txid + 1 != infos[i].min_txid))
            break;
        *first = i - 1;
        *off = start;
    }
    return 0;
}

static int
compare_files(struct compare *c, const char *meta, const struct position *pos, bool *same,
    struct err *e)
{
    struct ltx_info *infos;
    int64_t off = 0;
    size_t n = 0, first = 0;
    int rc = meta_list(meta, 0, &infos, &n, e);

    if (rc == 0)
        rc = first_of_generation(meta, pos, infos, n, &first, &off, e);
    if (rc == 0 && first < n) {
        rc = wal_chain_to(c->wal_fd, c->wh, off, &c->place, NULL, e);
        if (rc == ERR_CORRUPT) {
            *same = false;
            rc = 0;
        }
    }
    for (size_t i = first; rc == 0 && *same && i < n; i++) {
        char *path = ltx_file_path(meta, 0, infos[i].min_txid, infos[i].max_txid);

        rc = compare_file(c, path, same, e);
        mem_free(path);
    }
    mem_free(infos);
    return rc;
}

int
position_verify(const char *meta, const struct position *pos, int wal_fd,
    const struct wal_header *h, struct wal_place *place, bool *same, struct err *e)
{
    struct compare c = { .wal_fd = wal_fd, .wh = h };
    int rc = wal_chain_to(wal_fd, h, pos->off, place, NULL, e);

    *same = rc == 0;
    if (rc == ERR_CORRUPT)
        return 0;
    if (rc != 0)
        return rc;
    c.scan = wal_scan_new(NULL);
    c.page = mem_new(h->page_size);
    c.frame = mem_new(WAL_FRAME_HEADER_SIZE + (size_t)h->page_size);
    rc = compare_files(&c, meta, pos, same, e);
    wal_scan_free(c.scan);
    mem_free(c.page);
    mem_free(c.frame);
    return rc == 0 ? 0 : err_wrap(e, "compare local ltx files with the WAL");
}

/* The page of the newest local file against a frame. */
static int
compare_last(const char *path, uint32_t pgno, const uint8_t *want, uint32_t page_size,
    bool *same, struct err *e)
{
    uint8_t *page = mem_new(page_size);
    struct ltx_decoder *dec = NULL;
    struct ltx_page info = { 0 };
    int fd = -1;
    int rc = sys_open(path, O_RDONLY, 0, &fd, e);

    if (rc == 0)
        rc = ltx_decoder_open_fd(fd, 0, &dec, e);
    while (rc == 0 && info.pgno < pgno)
        rc = ltx_decoder_page(dec, &info, page, e);
    *same = rc == 0 && info.pgno == pgno && memcmp(page, want, page_size) == 0;
    ltx_decoder_free(dec);
    sys_close(&fd);
    mem_free(page);
    return rc == ERR_END || rc == ERR_CORRUPT ? 0 : rc;
}

int
position_verify_end(
    const char *meta, const struct position *pos, int wal_fd, bool *same, struct err *e)
{
    size_t size = (size_t)wal_frame_size(pos->page_size), got;
    struct wal_frame f;
    uint8_t *frame;
    char *path;
    int rc;

    *same = pos->off == WAL_HEADER_SIZE;
    if (*same)
        return 0;
    frame = mem_new(size);
    path = ltx_file_path(meta, 0, pos->txid, pos->txid);
    rc = sys_pread(wal_fd, frame, size, pos->off - (int64_t)size, &got, e);
    if (rc == 0 && got == size) {
        wal_frame_decode(frame, &f);
        *same = wal_salt_equal(f.salt, pos->salt) && f.commit == pos->commit;
        if (*same && f.pgno <= f.commit)
            rc = compare_last(
                path, f.pgno, frame + WAL_FRAME_HEADER_SIZE, pos->page_size, same, e);
    }
    mem_free(path);
    mem_free(frame);
    return rc == 0 ? 0 : err_wrap(e, "compare local ltx files with the WAL");
}
