#include "common/ltx/ltx_page.h"

#include <string.h>

#include <lz4.h>
#include <lz4frame.h>

#include "common/base/must.h"
#include "common/ltx/ltx_format.h"

#define FRAME_HEADER_SIZE 7 /* LZ4 frame header without content size */
#define FRAME_EXTRA 19      /* header, block length, end mark, content hash */
#define FRAME_HASH_SIZE 4
#define BLOCK_STORED UINT32_C(0x80000000)

size_t
ltx_page_frame_max(uint32_t page_size)
{
    return LTX_PAGE_HEADER_SIZE + FRAME_EXTRA + (size_t)LZ4_COMPRESSBOUND(page_size);
}

static uint32_t
get_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static int
probe_block(const uint8_t *bytes, size_t n, uint32_t page_size, struct ltx_page_frame *f,
    struct err *e)
{
    uint32_t size;

    f->head_size = f->payload_off = LTX_PAGE_HEADER_SIZE + LTX_PAGE_SIZE_FIELD;
    if (n < f->head_size)
        return err_set(e, ERR_CORRUPT, "read data size: unexpected EOF");
    size = ltx_get_u32(bytes + LTX_PAGE_HEADER_SIZE);
    if (size == 0 || size > (uint32_t)LZ4_COMPRESSBOUND(page_size))
        return err_set(e, ERR_CORRUPT, "invalid compressed page size: %u", size);
    f->payload_size = size;
    f->size = f->payload_off + size;
    return 0;
}

/* Independent blocks, content hash, no content size: what Litestream 0.5.0 to 0.5.15
 * wrote. */
static int
probe_frame(const uint8_t *bytes, size_t n, uint32_t page_size, struct ltx_page_frame *f,
    struct err *e)
{
    static const uint8_t magic[4] = { 0x04, 0x22, 0x4d, 0x18 };
    const uint8_t *lz4 = bytes + LTX_PAGE_HEADER_SIZE;
    uint32_t size;

    f->head_size = f->payload_off = LTX_PAGE_HEADER_SIZE;
    if (n < LTX_PAGE_PROBE)
        return err_set(e, ERR_CORRUPT, "read compressed data: unexpected EOF");
    if (memcmp(lz4, magic, sizeof(magic)) != 0 || lz4[4] != 0x64)
        return err_set(e, ERR_CORRUPT, "decompress frame: bad lz4 frame header");
    size = get_le32(lz4 + FRAME_HEADER_SIZE) & ~BLOCK_STORED;
    if (size == 0 || size > (uint32_t)LZ4_COMPRESSBOUND(page_size))
        return err_set(e, ERR_CORRUPT, "invalid compressed page size: %u", size);
    f->payload_size = (size_t)size + FRAME_EXTRA;
    f->size = f->payload_off + f->payload_size;
    return 0;
}

int
ltx_page_probe(const uint8_t *bytes, size_t n, uint32_t page_size,
    struct ltx_page_frame *f, struct err *e)
{
    *f = (struct ltx_page_frame){ 0 };
    if (n < LTX_PAGE_HEADER_SIZE)
        return err_set(e, ERR_CORRUPT, "%s", n == 0 ? "EOF" : "unexpected EOF");
    f->pgno = ltx_get_u32(bytes);
    f->flags = ltx_get_u16(bytes + 4);
    if (f->pgno == 0) {
        if (f->flags != 0)
            return err_set(e, ERR_CORRUPT, "page number required");
        f->size = LTX_PAGE_HEADER_SIZE;
        return 0;
    }
    if ((f->flags & ~LTX_PAGE_FLAG_SIZE) != 0)
        return err_set(e, ERR_CORRUPT, "invalid page header flags: 0x%04x", f->flags);
    return (f->flags & LTX_PAGE_FLAG_SIZE) != 0 ? probe_block(bytes, n, page_size, f, e)
                                                : probe_frame(bytes, n, page_size, f, e);
}

static int
expand_block(
    const uint8_t *payload, size_t size, uint32_t page_size, void *page, struct err *e)
{
    int n = LZ4_decompress_safe((const char *)payload, page, (int)size, (int)page_size);

    if (n < 0)
        return err_set(e, ERR_CORRUPT, "decompress block: invalid lz4 block");
    if ((uint32_t)n != page_size)
        return err_set(
            e, ERR_CORRUPT, "decompress block: %d bytes, expected %u", n, page_size);
    return 0;
}

/*
 * LZ4's own frame decoder checks the header checksum and the content hash. It gets the
 * hash in a call of its own, since a failing call does not tell how far it came.
 */
static int
expand_frame(
    const uint8_t *payload, size_t size, uint32_t page_size, void *page, struct err *e)
{
    LZ4F_dctx *ctx = NULL;
    size_t in = 0, out = 0, left = 1, hash_at = size - FRAME_HASH_SIZE;
    int rc = 0;

    must(size > FRAME_EXTRA); /* as probed */

    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return err_set(e, ERR_MEMORY, "no memory for an LZ4 frame");
    while (left != 0 && rc == 0) {
        size_t n_in = in < hash_at ? hash_at - in : size - in, n_out = page_size - out;

        left = LZ4F_decompress(
            ctx, (uint8_t *)page + out, &n_out, payload + in, &n_in, NULL);
        in += n_in;
        out += n_out;
        if (LZ4F_isError(left) && in >= hash_at)
            rc = err_set(e, ERR_CORRUPT, "read lz4 trailer: expected lz4 end frame");
        else if (LZ4F_isError(left))
            rc = err_set(e, ERR_CORRUPT, "decompress frame: %s", LZ4F_getErrorName(left));
        else if (left != 0 && n_in == 0 && n_out == 0)
            break; /* more input or room is wanted than there is */
    }
    LZ4F_freeDecompressionContext(ctx);
    if (rc == 0 && (left != 0 || in != size || out != page_size))
        rc = err_set(
            e, ERR_CORRUPT, "decompress frame: %zu bytes, expected %u", out, page_size);
    return rc;
}

int
ltx_page_expand(const uint8_t *bytes, const struct ltx_page_frame *f, uint32_t page_size,
    void *page, struct err *e)
{
    const uint8_t *payload = bytes + f->payload_off;

    if ((f->flags & LTX_PAGE_FLAG_SIZE) != 0)
        return expand_block(payload, f->payload_size, page_size, page, e);
    return expand_frame(payload, f->payload_size, page_size, page, e);
}
