#include "common/ltx/ltx_format.h"

#include <string.h>

#include "common/crc64/crc64.h"

#define LOCK_BYTE UINT32_C(0x40000000)

uint64_t
ltx_get_u64(const uint8_t *p)
{
    return (uint64_t)ltx_get_u32(p) << 32 | ltx_get_u32(p + 4);
}

uint32_t
ltx_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint16_t
ltx_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

void
ltx_put_u64(uint8_t *p, uint64_t v)
{
    ltx_put_u32(p, (uint32_t)(v >> 32));
    ltx_put_u32(p + 4, (uint32_t)v);
}

void
ltx_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void
ltx_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

size_t
ltx_put_uvarint(uint8_t out[10], uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

int
ltx_get_uvarint(const uint8_t *in, size_t n, uint64_t *v)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 10; i++) {
        if (i >= n)
            return 0;
        if (i == 9 && in[i] > 1)
            return -1;
        value |= (uint64_t)(in[i] & 0x7f) << (7 * i);
        if ((in[i] & 0x80) == 0) {
            *v = value;
            return (int)i + 1;
        }
    }
    return -1;
}

bool
ltx_page_size_valid(uint32_t page_size)
{
    return page_size >= 512 && page_size <= LTX_MAX_PAGE_SIZE &&
           (page_size & (page_size - 1)) == 0;
}

uint32_t
ltx_lock_pgno(uint32_t page_size)
{
    return LOCK_BYTE / page_size + 1;
}

static int
check_pre_apply(const struct ltx_header *h, struct err *e)
{
    if (ltx_header_is_snapshot(h)) {
        if (h->pre_apply != 0)
            return err_set(
                e, ERR_CORRUPT, "pre-apply checksum must be zero on snapshots");
        return 0;
    }
    if ((h->flags & LTX_FLAG_NO_CHECKSUM) != 0) {
        if (h->pre_apply != 0)
            return err_set(e, ERR_CORRUPT, "pre-apply checksum not allowed");
        return 0;
    }
    if (h->pre_apply == 0)
        return err_set(
            e, ERR_CORRUPT, "pre-apply checksum required on non-snapshot files");
    if ((h->pre_apply & LTX_CHECKSUM_FLAG) == 0)
        return err_set(e, ERR_CORRUPT, "invalid pre-apply checksum format");
    return 0;
}

int
ltx_header_check(const struct ltx_header *h, struct err *e)
{
    if ((h->flags & ~LTX_FLAG_NO_CHECKSUM) != 0)
        return err_set(e, ERR_CORRUPT, "invalid flags: 0x%08x", h->flags);
    if (!ltx_page_size_valid(h->page_size))
        return err_set(e, ERR_CORRUPT, "invalid page size: %u", h->page_size);
    if (h->min_txid == 0)
        return err_set(e, ERR_CORRUPT, "minimum transaction id required");
    if (h->max_txid == 0)
        return err_set(e, ERR_CORRUPT, "maximum transaction id required");
    if (h->min_txid > h->max_txid)
        return err_set(e, ERR_CORRUPT, "transaction ids out of order: (%llu,%llu)",
            (unsigned long long)h->min_txid, (unsigned long long)h->max_txid);
    if (h->wal_offset < 0)
        return err_set(e, ERR_CORRUPT, "wal offset cannot be negative: %lld",
            (long long)h->wal_offset);
    if (h->wal_size < 0)
        return err_set(
            e, ERR_CORRUPT, "wal size cannot be negative: %lld", (long long)h->wal_size);
    if ((h->wal_salt1 != 0 || h->wal_salt2 != 0) && h->wal_offset == 0)
        return err_set(e, ERR_CORRUPT, "wal offset required if salt exists");
    if (h->wal_size != 0 && h->wal_offset == 0)
        return err_set(e, ERR_CORRUPT, "wal offset required if wal size exists");
    return check_pre_apply(h, e);
}

void
ltx_header_encode(const struct ltx_header *h, uint8_t out[LTX_HEADER_SIZE])
{
    memcpy(out, "LTX1", 4);
    ltx_put_u32(out + 4, h->flags);
    ltx_put_u32(out + 8, h->page_size);
    ltx_put_u32(out + 12, h->commit);
    ltx_put_u64(out + 16, h->min_txid);
    ltx_put_u64(out + 24, h->max_txid);
    ltx_put_u64(out + 32, (uint64_t)h->timestamp_ms);
    ltx_put_u64(out + 40, h->pre_apply);
    ltx_put_u64(out + 48, (uint64_t)h->wal_offset);
    ltx_put_u64(out + 56, (uint64_t)h->wal_size);
    ltx_put_u32(out + 64, h->wal_salt1);
    ltx_put_u32(out + 68, h->wal_salt2);
    ltx_put_u64(out + 72, h->node_id);
    memcpy(out + 80, h->reserved, sizeof(h->reserved));
}

int
ltx_header_decode(const uint8_t in[LTX_HEADER_SIZE], struct ltx_header *h, struct err *e)
{
    if (memcmp(in, "LTX1", 4) != 0)
        return err_set(e, ERR_CORRUPT, "unmarshal header: invalid LTX file");
    *h = (struct ltx_header){ .flags = ltx_get_u32(in + 4),
        .page_size = ltx_get_u32(in + 8),
        .commit = ltx_get_u32(in + 12),
        .min_txid = ltx_get_u64(in + 16),
        .max_txid = ltx_get_u64(in + 24),
        .timestamp_ms = (int64_t)ltx_get_u64(in + 32),
        .pre_apply = ltx_get_u64(in + 40),
        .wal_offset = (int64_t)ltx_get_u64(in + 48),
        .wal_size = (int64_t)ltx_get_u64(in + 56),
        .wal_salt1 = ltx_get_u32(in + 64),
        .wal_salt2 = ltx_get_u32(in + 68),
        .node_id = ltx_get_u64(in + 72) };
    memcpy(h->reserved, in + 80, sizeof(h->reserved));
    return ltx_header_check(h, e);
}

uint64_t
ltx_page_checksum(uint32_t pgno, const void *page, uint32_t page_size)
{
    uint8_t number[4];

    ltx_put_u32(number, pgno);
    return LTX_CHECKSUM_FLAG |
           crc64_update(crc64_update(0, number, sizeof(number)), page, page_size);
}

uint64_t
ltx_rolling_checksum(uint64_t sum, uint64_t page_checksum)
{
    return LTX_CHECKSUM_FLAG | (sum ^ page_checksum);
}
