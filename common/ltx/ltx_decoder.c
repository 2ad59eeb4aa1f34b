#include "common/ltx/ltx_decoder.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"
#include "common/crc64/crc64.h"
#include "common/ltx/ltx_page.h"

#define IN_BUFFER ((size_t)64 << 10)

/* u64 index size, post-apply and file checksum: what is kept back while the index
 * streams. */
#define TAIL_SIZE (8 + LTX_TRAILER_SIZE)

/*
 *   PAGES --end marker--> INDEX --close--> CLOSED
 */
enum decoder_state { STATE_PAGES, STATE_INDEX, STATE_CLOSED };

struct ltx_decoder {
    struct ltx_source src;
    struct ltx_header h;
    enum decoder_state state;
    uint64_t crc;
    int64_t offset; /* in the file, of the next byte not taken */

    uint32_t last_pgno, n_pages, lock_pgno;
    uint64_t rolling;   /* database checksum of the pages so far */
    uint64_t index_crc; /* of the index that the pages call for */
    int64_t index_size;

    int fd; /* source of ltx_decoder_open_fd */
    int64_t fd_off;

    bool at_end; /* the source has no more */
    size_t pos, filled, cap;
    uint8_t *buf;
};

/* --- input ----------------------------------------------------------------------------
 */

/* Makes n bytes available at buf + pos, as far as the source has them. */
static int
need(struct ltx_decoder *dec, size_t n, struct err *e)
{
    must(n <= dec->cap);
    if (dec->filled - dec->pos >= n)
        return 0;
    memmove(dec->buf, dec->buf + dec->pos, dec->filled - dec->pos);
    dec->filled -= dec->pos;
    dec->pos = 0;
    while (dec->filled < n && !dec->at_end) {
        size_t got;
        int rc = dec->src.read(
            dec->src.arg, dec->buf + dec->filled, dec->cap - dec->filled, &got, e);

        if (rc != 0)
            return rc;
        if (got == 0)
            dec->at_end = true;
        dec->filled += got;
    }
    return 0;
}

static size_t
available(const struct ltx_decoder *dec)
{
    return dec->filled - dec->pos;
}

static void
take(struct ltx_decoder *dec, size_t n)
{
    dec->pos += n;
    dec->offset += (int64_t)n;
}

static int
read_fd(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct ltx_decoder *dec = arg;
    int rc = sys_pread(dec->fd, buf, cap, dec->fd_off, n, e);

    if (rc == 0)
        dec->fd_off += (int64_t)*n;
    return rc;
}

/* --- open -----------------------------------------------------------------------------
 */

static void
grow_buffer(struct ltx_decoder *dec, size_t cap)
{
    if (cap <= dec->cap)
        return;
    dec->buf = mem_resize(dec->buf, cap);
    dec->cap = cap;
}

static int
read_header(struct ltx_decoder *dec, struct err *e)
{
    int rc = need(dec, LTX_HEADER_SIZE, e);

    if (rc != 0)
        return rc;
    if (available(dec) < LTX_HEADER_SIZE)
        return err_set(
            e, ERR_CORRUPT, "%s", available(dec) == 0 ? "EOF" : "unexpected EOF");
    rc = ltx_header_decode(dec->buf + dec->pos, &dec->h, e);
    if (rc != 0)
        return rc;
    dec->crc = crc64_update(0, dec->buf + dec->pos, LTX_HEADER_SIZE);
    take(dec, LTX_HEADER_SIZE);
    dec->lock_pgno = ltx_lock_pgno(dec->h.page_size);
    grow_buffer(dec, ltx_page_frame_max(dec->h.page_size) + LTX_PAGE_PROBE);
    return 0;
}

static int
finish_open(struct ltx_decoder *dec, struct ltx_decoder **out, struct err *e)
{
    int rc;

    grow_buffer(dec, IN_BUFFER);
    rc = read_header(dec, e);
    if (rc != 0) {
        ltx_decoder_free(dec);
        return err_wrap(e, "decode header");
    }
    *out = dec;
    return 0;
}

int
ltx_decoder_open(struct ltx_source src, struct ltx_decoder **out, struct err *e)
{
    struct ltx_decoder *dec = MEM_NEW(struct ltx_decoder);

    dec->src = src;
    return finish_open(dec, out, e);
}

int
ltx_decoder_open_fd(int fd, int64_t off, struct ltx_decoder **out, struct err *e)
{
    struct ltx_decoder *dec = MEM_NEW(struct ltx_decoder);

    dec->fd = fd;
    dec->fd_off = off;
    dec->src = (struct ltx_source){ .read = read_fd, .arg = dec };
    return finish_open(dec, out, e);
}

const struct ltx_header *
ltx_decoder_header(const struct ltx_decoder *dec)
{
    return &dec->h;
}

void
ltx_decoder_free(struct ltx_decoder *dec)
{
    if (dec == NULL)
        return;
    mem_free(dec->buf);
    mem_free(dec);
}

/* --- pages ----------------------------------------------------------------------------
 */

static int
check_pgno(const struct ltx_decoder *dec, uint32_t pgno, struct err *e)
{
    uint32_t next = dec->last_pgno + 1;

    if (pgno > dec->h.commit)
        return err_set(e, ERR_CORRUPT, "page number %u out-of-bounds for commit size %u",
            pgno, dec->h.commit);
    if (pgno == dec->lock_pgno)
        return err_set(e, ERR_CORRUPT, "file holds the lock page: pgno=%u", pgno);
    if (pgno <= dec->last_pgno)
        return err_set(
            e, ERR_CORRUPT, "out-of-order page numbers: %u,%u", dec->last_pgno, pgno);
    if (next == dec->lock_pgno)
        next++;
    if (ltx_header_is_snapshot(&dec->h) && pgno != next)
        return err_set(e, ERR_CORRUPT,
            "nonsequential page numbers in snapshot transaction: %u,%u", dec->last_pgno,
            pgno);
    return 0;
}

/* What the index must say about this page goes into a checksum, to be compared at the
 * end. */
static void
expect_index(struct ltx_decoder *dec, const struct ltx_page *info)
{
    uint8_t entry[LTX_INDEX_ENTRY_MAX];
    size_t n = ltx_put_uvarint(entry, info->pgno);

    n += ltx_put_uvarint(entry + n, (uint64_t)info->offset);
    n += ltx_put_uvarint(entry + n, (uint64_t)info->size);
    dec->index_crc = crc64_update(dec->index_crc, entry, n);
    dec->index_size += (int64_t)n;
}

static int
end_pages(struct ltx_decoder *dec, struct err *e)
{
    static const uint8_t terminator = 0;
    uint32_t last = dec->h.commit;

    if (last == dec->lock_pgno)
        last--;
    if (ltx_header_is_snapshot(&dec->h) && dec->last_pgno != last)
        return err_set(e, ERR_CORRUPT, "snapshot ends at page %u of %u", dec->last_pgno,
            dec->h.commit);
    dec->crc = crc64_update(dec->crc, dec->buf + dec->pos, LTX_PAGE_HEADER_SIZE);
    take(dec, LTX_PAGE_HEADER_SIZE);
    dec->index_crc = crc64_update(dec->index_crc, &terminator, 1);
    dec->index_size++;
    dec->state = STATE_INDEX;
    return ERR_END;
}

static int
take_page(struct ltx_decoder *dec, const struct ltx_page_frame *f, struct ltx_page *info,
    void *page, struct err *e)
{
    const uint8_t *bytes = dec->buf + dec->pos;
    uint32_t page_size = dec->h.page_size;
    int rc = ltx_page_expand(bytes, f, page_size, page, e);

    if (rc != 0)
        return rc;
    dec->crc = crc64_update(dec->crc, bytes, f->head_size);
    dec->crc = crc64_update(dec->crc, page, page_size);
    if ((dec->h.flags & LTX_FLAG_NO_CHECKSUM) == 0)
        dec->rolling = ltx_rolling_checksum(
            dec->rolling, ltx_page_checksum(f->pgno, page, page_size));
    *info = (struct ltx_page){
        .pgno = f->pgno, .offset = dec->offset, .size = (int64_t)f->size
    };
    if ((f->flags & LTX_PAGE_FLAG_SIZE) != 0) {
        info->payload = bytes + f->payload_off;
        info->payload_size = (uint32_t)f->payload_size;
    }
    expect_index(dec, info);
    take(dec, f->size);
    dec->last_pgno = f->pgno;
    dec->n_pages++;
    return 0;
}

static int
next_page(struct ltx_decoder *dec, struct ltx_page *info, void *page, struct err *e)
{
    struct ltx_page_frame f;
    int rc = need(dec, LTX_PAGE_PROBE, e);

    if (rc == 0)
        rc = ltx_page_probe(dec->buf + dec->pos, available(dec), dec->h.page_size, &f, e);
    if (rc != 0)
        return rc;
    if (f.pgno == 0)
        return end_pages(dec, e);
    rc = check_pgno(dec, f.pgno, e);
    if (rc == 0)
        rc = need(dec, f.size, e);
    if (rc != 0)
        return rc;
    if (available(dec) < f.size)
        return err_set(e, ERR_CORRUPT, "read compressed data: unexpected EOF");
    return take_page(dec, &f, info, page, e);
}

int
ltx_decoder_page(
    struct ltx_decoder *dec, struct ltx_page *info, void *page, struct err *e)
{
    int rc;

    if (dec->state != STATE_PAGES)
        return err_set(e, ERR_END, "end of pages");
    rc = next_page(dec, info, page, e);
    if (rc == ERR_END)
        return err_set(e, ERR_END, "end of pages");
    /* A file cut exactly between two pages has no end marker. */
    if (rc == ERR_CORRUPT && dec->at_end && available(dec) == 0)
        return err_set(e, ERR_CORRUPT, "close reader: cannot close, expected page");
    return rc != 0 ? err_wrap(e, "decode page %u", dec->n_pages) : 0;
}

/* --- index and trailer ----------------------------------------------------------------
 */

/* Streams everything but the last TAIL_SIZE bytes; *crc and *size are those of the index.
 */
static int
stream_index(struct ltx_decoder *dec, uint64_t *crc, int64_t *size, struct err *e)
{
    *crc = 0;
    *size = 0;
    for (;;) {
        size_t n;
        int rc = need(dec, dec->cap, e);

        if (rc != 0)
            return rc;
        if (available(dec) <= TAIL_SIZE)
            return 0;
        n = available(dec) - TAIL_SIZE;
        dec->crc = crc64_update(dec->crc, dec->buf + dec->pos, n);
        *crc = crc64_update(*crc, dec->buf + dec->pos, n);
        *size += (int64_t)n;
        take(dec, n);
        if (*size > dec->index_size) /* cannot become right any more */
            return dec->at_end ? 0 : err_set(e, ERR_CORRUPT, "file checksum mismatch");
    }
}

static int
check_trailer(const struct ltx_decoder *dec, const struct ltx_trailer *t, struct err *e)
{
    bool untracked = (dec->h.flags & LTX_FLAG_NO_CHECKSUM) != 0;
    uint64_t rolling = dec->n_pages > 0 ? dec->rolling : LTX_CHECKSUM_FLAG;

    if (untracked && t->post_apply != 0)
        return err_set(e, ERR_CORRUPT, "post-apply checksum not allowed");
    if (!untracked && ltx_header_is_snapshot(&dec->h) && t->post_apply != rolling)
        return err_set(e, ERR_CORRUPT,
            "post-apply checksum in trailer (%016llx) does not match calculated checksum "
            "(%016llx)",
            (unsigned long long)t->post_apply, (unsigned long long)rolling);
    return 0;
}

static int
read_end(struct ltx_decoder *dec, struct ltx_trailer *t, struct err *e)
{
    const uint8_t *tail;
    uint64_t index_crc;
    int64_t index_size;
    int rc = stream_index(dec, &index_crc, &index_size, e);

    if (rc != 0)
        return rc;
    if (available(dec) < TAIL_SIZE)
        return err_set(e, ERR_CORRUPT, "read page index: unexpected EOF");
    tail = dec->buf + dec->pos;
    dec->crc = crc64_update(dec->crc, tail, TAIL_SIZE - 8);
    *t = (struct ltx_trailer){ ltx_get_u64(tail + 8), ltx_get_u64(tail + 16) };
    if (t->file_checksum != (dec->crc | LTX_CHECKSUM_FLAG))
        return err_set(e, ERR_CORRUPT, "file checksum mismatch");
    if (index_size != dec->index_size || index_crc != dec->index_crc)
        return err_set(e, ERR_CORRUPT, "page index does not match the pages");
    if (ltx_get_u64(tail) != (uint64_t)index_size)
        return err_set(e, ERR_CORRUPT, "page index size is wrong: %llu",
            (unsigned long long)ltx_get_u64(tail));
    return check_trailer(dec, t, e);
}

int
ltx_decoder_close(struct ltx_decoder *dec, struct ltx_trailer *trailer, struct err *e)
{
    struct ltx_trailer t;
    int rc;

    if (dec->state == STATE_CLOSED)
        return 0;
    if (dec->state == STATE_PAGES)
        return err_set(e, ERR_CORRUPT, "close reader: cannot close, expected page");
    rc = read_end(dec, &t, e);
    if (rc != 0)
        return err_wrap(e, "close reader");
    dec->state = STATE_CLOSED;
    if (trailer != NULL)
        *trailer = t;
    return 0;
}

int
ltx_verify_fd(int fd, struct ltx_header *h, struct err *e)
{
    struct ltx_decoder *dec = NULL;
    struct ltx_page info;
    uint8_t *page = NULL;
    int rc = ltx_decoder_open_fd(fd, 0, &dec, e);

    if (rc != 0)
        return rc;
    *h = *ltx_decoder_header(dec);
    page = mem_new(h->page_size);
    do
        rc = ltx_decoder_page(dec, &info, page, e);
    while (rc == 0);
    if (rc == ERR_END)
        rc = ltx_decoder_close(dec, NULL, e);
    mem_free(page);
    ltx_decoder_free(dec);
    return rc;
}
