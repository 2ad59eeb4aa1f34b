#include "common/ltx/ltx_encoder.h"

#include <string.h>

#include <lz4.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/spool.h"
#include "common/crc64/crc64.h"

/* Bytes gathered before the sink is called. */
#define OUT_BUFFER ((size_t)128 << 10)

struct ltx_encoder {
    struct ltx_header h;
    struct ltx_sink sink;
    struct spool *index;
    uint64_t crc;
    int64_t size; /* bytes produced so far: the offset of the next one */
    uint32_t n_pages, last_pgno, lock_pgno;
    bool closed, failed;
    uint8_t *payload; /* room for one compressed page, made at first use */
    size_t out_size;
    uint8_t out[OUT_BUFFER];
};

static int
flush(struct ltx_encoder *enc, struct err *e)
{
    size_t n = enc->out_size;

    if (n == 0)
        return 0;
    enc->out_size = 0;
    return enc->sink.write(enc->sink.arg, enc->out, n, e);
}

static int
put(struct ltx_encoder *enc, const void *bytes, size_t n, struct err *e)
{
    const uint8_t *from = bytes;

    enc->size += (int64_t)n;
    while (n > 0) {
        size_t room = OUT_BUFFER - enc->out_size;
        size_t step = n < room ? n : room;

        memcpy(enc->out + enc->out_size, from, step);
        enc->out_size += step;
        from += step;
        n -= step;
        if (enc->out_size == OUT_BUFFER) {
            int rc = flush(enc, e);

            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int
put_hashed(struct ltx_encoder *enc, const void *bytes, size_t n, struct err *e)
{
    enc->crc = crc64_update(enc->crc, bytes, n);
    return put(enc, bytes, n, e);
}

int
ltx_encoder_open(const struct ltx_header *h, struct ltx_sink sink, const char *spool_dir,
    struct ltx_encoder **out, struct err *e)
{
    struct ltx_encoder *enc;
    uint8_t raw[LTX_HEADER_SIZE];
    int rc = ltx_header_check(h, e);

    if (rc != 0)
        return rc;
    enc = MEM_NEW(struct ltx_encoder);
    enc->h = *h;
    enc->sink = sink;
    enc->index = spool_new(spool_dir);
    enc->lock_pgno = ltx_lock_pgno(h->page_size);
    ltx_header_encode(h, raw);
    rc = put_hashed(enc, raw, sizeof(raw), e);
    if (rc != 0) {
        ltx_encoder_free(enc);
        return rc;
    }
    *out = enc;
    return 0;
}

static int
check_snapshot_order(const struct ltx_encoder *enc, uint32_t pgno, struct err *e)
{
    if (enc->last_pgno == 0) {
        if (pgno != 1)
            return err_set(
                e, ERR_BUG, "snapshot transaction file must start with page number 1");
        return 0;
    }
    if (enc->last_pgno == enc->lock_pgno - 1) {
        if (pgno != enc->lock_pgno + 1)
            return err_set(e, ERR_BUG,
                "nonsequential page numbers in snapshot transaction (skip lock page): %u,%u",
                enc->last_pgno, pgno);
    } else if (pgno != enc->last_pgno + 1) {
        return err_set(e, ERR_BUG,
            "nonsequential page numbers in snapshot transaction: %u,%u", enc->last_pgno,
            pgno);
    }
    return 0;
}

/* A file that goes on after an error would lack a page and still be valid. */
static int
check_alive(const struct ltx_encoder *enc, struct err *e)
{
    return enc->failed ? err_set(e, ERR_BUG, "encoder has failed before") : 0;
}

static int
check_page(const struct ltx_encoder *enc, uint32_t pgno, struct err *e)
{
    if (enc->closed)
        return err_set(e, ERR_BUG, "cannot encode page header, expected header");
    if (pgno == 0)
        return err_set(e, ERR_BUG, "page number required");
    if (pgno > enc->h.commit)
        return err_set(e, ERR_BUG, "page number %u out-of-bounds for commit size %u",
            pgno, enc->h.commit);
    if (pgno == enc->lock_pgno)
        return err_set(e, ERR_BUG, "cannot encode lock page: pgno=%u", pgno);
    if (ltx_header_is_snapshot(&enc->h))
        return check_snapshot_order(enc, pgno, e);
    if (pgno <= enc->last_pgno)
        return err_set(
            e, ERR_BUG, "out-of-order page numbers: %u,%u", enc->last_pgno, pgno);
    return 0;
}

static int
index_page(struct ltx_encoder *enc, uint32_t pgno, int64_t size, struct err *e)
{
    uint8_t entry[LTX_INDEX_ENTRY_MAX];
    size_t n = ltx_put_uvarint(entry, pgno);

    n += ltx_put_uvarint(entry + n, (uint64_t)enc->size);
    n += ltx_put_uvarint(entry + n, (uint64_t)size);
    return spool_append(enc->index, entry, n, e);
}

static int
put_page(struct ltx_encoder *enc, uint32_t pgno, const void *page, const void *payload,
    uint32_t payload_size, struct err *e)
{
    uint8_t head[LTX_PAGE_HEADER_SIZE + LTX_PAGE_SIZE_FIELD];
    int rc = check_alive(enc, e);

    if (rc == 0)
        rc = check_page(enc, pgno, e);
    if (rc == 0)
        rc = index_page(enc, pgno, (int64_t)sizeof(head) + payload_size, e);
    if (rc != 0)
        return rc;
    ltx_put_u32(head, pgno);
    ltx_put_u16(head + 4, LTX_PAGE_FLAG_SIZE);
    ltx_put_u32(head + 6, payload_size);
    rc = put_hashed(enc, head, sizeof(head), e);
    if (rc != 0)
        return rc;
    enc->crc = crc64_update(enc->crc, page, enc->h.page_size);
    enc->last_pgno = pgno;
    enc->n_pages++;
    return put(enc, payload, payload_size, e);
}

int
ltx_encoder_page_compressed(struct ltx_encoder *enc, uint32_t pgno, const void *page,
    const void *payload, uint32_t payload_size, struct err *e)
{
    int rc;

    must(payload_size > 0 && payload_size <= ltx_payload_bound(enc->h.page_size));
    rc = put_page(enc, pgno, page, payload, payload_size, e);
    if (rc != 0)
        enc->failed = true;
    return rc;
}

int
ltx_encoder_page(struct ltx_encoder *enc, uint32_t pgno, const void *page, struct err *e)
{
    uint32_t n;

    if (enc->payload == NULL)
        enc->payload = mem_new(ltx_payload_bound(enc->h.page_size));
    n = ltx_compress_page(page, enc->h.page_size, enc->payload);
    return ltx_encoder_page_compressed(enc, pgno, page, enc->payload, n, e);
}

/* The reader does not run these checks; files that break them must not be made. */
static int
check_post_apply(const struct ltx_encoder *enc, uint64_t post_apply, struct err *e)
{
    if ((enc->h.flags & LTX_FLAG_NO_CHECKSUM) != 0) {
        if (post_apply != 0)
            return err_set(
                e, ERR_BUG, "validate trailer: post-apply checksum not allowed");
        return 0;
    }
    if (post_apply == 0)
        return err_set(e, ERR_BUG, "validate trailer: post-apply checksum required");
    if ((post_apply & LTX_CHECKSUM_FLAG) == 0)
        return err_set(
            e, ERR_BUG, "validate trailer: invalid post-apply checksum format");
    if (enc->h.commit == 0 && post_apply != LTX_CHECKSUM_FLAG)
        return err_set(e, ERR_BUG,
            "validate trailer: post-apply checksum must be empty for zero-length database");
    return 0;
}

/* A snapshot without its last pages would decode to a database of the wrong content. */
static int
check_complete(const struct ltx_encoder *enc, struct err *e)
{
    uint32_t last = enc->h.commit;

    if (last == ltx_lock_pgno(enc->h.page_size))
        last--;
    if (!ltx_header_is_snapshot(&enc->h) || enc->last_pgno == last)
        return 0;
    return err_set(
        e, ERR_BUG, "snapshot ends at page %u of %u", enc->last_pgno, enc->h.commit);
}

static int
put_index(struct ltx_encoder *enc, struct err *e)
{
    uint8_t block[4096], size[8];
    int64_t off = 0;
    int rc;

    rc = spool_append(enc->index, "\0", 1, e);
    while (rc == 0) {
        size_t got;

        rc = spool_read(enc->index, off, block, sizeof(block), &got, e);
        if (rc != 0 || got == 0)
            break;
        rc = put_hashed(enc, block, got, e);
        off += (int64_t)got;
    }
    if (rc != 0)
        return rc;
    ltx_put_u64(size, (uint64_t)spool_size(enc->index));
    return put_hashed(enc, size, sizeof(size), e);
}

static int
put_end(struct ltx_encoder *enc, uint64_t post_apply, struct err *e)
{
    static const uint8_t end_marker[LTX_PAGE_HEADER_SIZE];
    uint8_t raw[8];
    int rc = check_alive(enc, e);

    if (rc == 0)
        rc = check_complete(enc, e);
    if (rc == 0)
        rc = check_post_apply(enc, post_apply, e);
    if (rc == 0)
        rc = put_hashed(enc, end_marker, sizeof(end_marker), e);
    if (rc == 0)
        rc = put_index(enc, e);
    if (rc == 0) {
        ltx_put_u64(raw, post_apply);
        rc = put_hashed(enc, raw, sizeof(raw), e);
    }
    if (rc == 0) {
        ltx_put_u64(raw, enc->crc | LTX_CHECKSUM_FLAG);
        rc = put(enc, raw, sizeof(raw), e);
    }
    return rc == 0 ? flush(enc, e) : rc;
}

int
ltx_encoder_close(struct ltx_encoder *enc, uint64_t post_apply,
    struct ltx_trailer *trailer, struct err *e)
{
    int rc;

    if (enc->closed)
        return 0;
    rc = put_end(enc, post_apply, e);
    if (rc != 0) {
        enc->failed = true;
        return rc;
    }
    enc->closed = true;
    if (trailer != NULL)
        *trailer = (struct ltx_trailer){ post_apply, enc->crc | LTX_CHECKSUM_FLAG };
    return 0;
}

void
ltx_encoder_abandon(struct ltx_encoder *enc)
{
    enc->failed = true;
}

int64_t
ltx_encoder_size(const struct ltx_encoder *enc)
{
    return enc->size;
}

uint32_t
ltx_encoder_n_pages(const struct ltx_encoder *enc)
{
    return enc->n_pages;
}

void
ltx_encoder_free(struct ltx_encoder *enc)
{
    if (enc == NULL)
        return;
    spool_free(enc->index);
    mem_free(enc->payload);
    mem_free(enc);
}

uint32_t
ltx_payload_bound(uint32_t page_size)
{
    return (uint32_t)LZ4_COMPRESSBOUND(page_size);
}

uint32_t
ltx_compress_page(const void *page, uint32_t page_size, void *out)
{
    int n = LZ4_compress_default(
        page, out, (int)page_size, (int)ltx_payload_bound(page_size));

    must(n > 0); /* cannot fail with room for the bound */
    return (uint32_t)n;
}
