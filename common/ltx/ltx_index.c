#include "common/ltx/ltx_index.h"

#include "common/ltx/ltx_page.h"

/* Smallest file around an index: header, end marker, u64 size, trailer. */
#define AROUND_INDEX (LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE + 8 + LTX_TRAILER_SIZE)

int
ltx_index_locate(
    const uint8_t tail[24], int64_t file_size, int64_t *off, int64_t *size, struct err *e)
{
    uint64_t n = ltx_get_u64(tail);

    if (file_size < LTX_MIN_FILE_SIZE)
        return err_set(e, ERR_CORRUPT,
            "ltx file too short to contain a page index: %lld bytes",
            (long long)file_size);
    if (n == 0 || n > (uint64_t)(file_size - AROUND_INDEX))
        return err_set(
            e, ERR_CORRUPT, "page index size is wrong: %llu", (unsigned long long)n);
    *size = (int64_t)n;
    *off = file_size - 8 - LTX_TRAILER_SIZE - *size;
    return 0;
}

void
ltx_index_walk_init(struct ltx_index_walk *w, const void *data, size_t size)
{
    *w = (struct ltx_index_walk){
        .data = data, .size = size, .next_offset = LTX_HEADER_SIZE
    };
}

static int
next_uvarint(struct ltx_index_walk *w, const char *what, uint64_t *v, struct err *e)
{
    int n = ltx_get_uvarint(w->data + w->pos, w->size - w->pos, v);

    if (n <= 0)
        return err_set(e, ERR_CORRUPT, "read page index %s: %s", what,
            n == 0 ? "unexpected EOF" : "number is too long");
    w->pos += (size_t)n;
    return 0;
}

int
ltx_index_walk_next(
    struct ltx_index_walk *w, struct ltx_index_entry *entry, struct err *e)
{
    uint64_t pgno, offset, size;
    int rc = next_uvarint(w, "pgno", &pgno, e);

    if (rc != 0)
        return rc;
    if (pgno == 0) {
        if (w->pos != w->size)
            return err_set(e, ERR_CORRUPT, "page index ends before its size");
        return err_set(e, ERR_END, "end of page index");
    }
    rc = next_uvarint(w, "offset", &offset, e);
    if (rc == 0)
        rc = next_uvarint(w, "size", &size, e);
    if (rc != 0)
        return rc;
    if (pgno > UINT32_MAX || pgno <= w->last_pgno)
        return err_set(e, ERR_CORRUPT, "out-of-order page numbers in page index: %u,%llu",
            w->last_pgno, (unsigned long long)pgno);
    /* Sizes are bounded, so that no number of pages lets the offset overflow. */
    if (offset != (uint64_t)w->next_offset ||
        size <= LTX_PAGE_HEADER_SIZE + LTX_PAGE_SIZE_FIELD ||
        size > ltx_page_frame_max(LTX_MAX_PAGE_SIZE))
        return err_set(e, ERR_CORRUPT, "page index does not follow the pages");
    *entry = (struct ltx_index_entry){
        .pgno = (uint32_t)pgno, .offset = (int64_t)offset, .size = (int64_t)size
    };
    w->last_pgno = entry->pgno;
    w->next_offset += entry->size;
    return 0;
}

int
ltx_page_decode(const void *frame, size_t frame_size, uint32_t pgno, uint32_t page_size,
    void *page, struct err *e)
{
    struct ltx_page_frame f;
    int rc = ltx_page_probe(frame,
        frame_size < LTX_PAGE_PROBE ? frame_size : LTX_PAGE_PROBE, page_size, &f, e);

    if (rc != 0)
        return rc;
    if (f.pgno != pgno || pgno == 0)
        return err_set(e, ERR_CORRUPT, "frame holds page %u, expected %u", f.pgno, pgno);
    if (f.size != frame_size)
        return err_set(e, ERR_CORRUPT, "frame of page %u has %zu bytes, expected %zu",
            pgno, frame_size, f.size);
    return ltx_page_expand(frame, &f, page_size, page, e);
}
