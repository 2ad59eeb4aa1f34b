#include "common/wal/wal_format.h"

#include <string.h>

#include "common/base/must.h"

static uint32_t
get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Input words of the checksum in the machine's order, or the other one. */
static inline uint32_t
load(const uint8_t *p, bool swap)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return swap ? __builtin_bswap32(v) : v;
}

static inline void
sum_words(struct wal_sum *sum, const uint8_t *p, size_t n, bool swap)
{
    uint32_t a = sum->a, b = sum->b;

    for (; n >= 32; n -= 32, p += 32) {
        a += load(p, swap) + b;
        b += load(p + 4, swap) + a;
        a += load(p + 8, swap) + b;
        b += load(p + 12, swap) + a;
        a += load(p + 16, swap) + b;
        b += load(p + 20, swap) + a;
        a += load(p + 24, swap) + b;
        b += load(p + 28, swap) + a;
    }
    for (; n > 0; n -= 8, p += 8) {
        a += load(p, swap) + b;
        b += load(p + 4, swap) + a;
    }
    *sum = (struct wal_sum){ a, b };
}

void
wal_sum_update(struct wal_sum *sum, bool big_endian, const void *bytes, size_t n)
{
    bool machine_is_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

    must(n % 8 == 0);
    /* two calls, so that the compiler makes two loops */
    if (big_endian == machine_is_big)
        sum_words(sum, bytes, n, false);
    else
        sum_words(sum, bytes, n, true);
}

static bool
page_size_valid(uint32_t n)
{
    return n >= 512 && n <= 65536 && (n & (n - 1)) == 0;
}

int
wal_header_decode(const uint8_t in[WAL_HEADER_SIZE], struct wal_header *h, struct err *e)
{
    uint32_t magic = get_be32(in), version = get_be32(in + 4);
    struct wal_sum sum = { 0, 0 };

    *h = (struct wal_header){ .big_endian = (magic & 1) != 0,
        .page_size = get_be32(in + 8),
        .seq = get_be32(in + 12),
        .salt = { get_be32(in + 16), get_be32(in + 20) },
        .sum = { get_be32(in + 24), get_be32(in + 28) } };
    wal_sum_update(&sum, h->big_endian, in, 24);
    /* All zeros carry a right checksum, too: a file that was made but not written. */
    if (!wal_sum_equal(sum, h->sum) || magic == 0)
        return err_set(e, ERR_AGAIN, "wal header checksum mismatch");
    if (magic != WAL_MAGIC_LE && magic != WAL_MAGIC_BE)
        return err_set(e, ERR_CORRUPT, "invalid wal header magic: %x", magic);
    if (version != WAL_VERSION)
        return err_set(e, ERR_CORRUPT, "unsupported wal version: %u", version);
    if (!page_size_valid(h->page_size))
        return err_set(e, ERR_CORRUPT, "invalid wal page size: %u", h->page_size);
    return 0;
}

void
wal_frame_decode(const uint8_t in[WAL_FRAME_HEADER_SIZE], struct wal_frame *f)
{
    *f = (struct wal_frame){ .pgno = get_be32(in),
        .commit = get_be32(in + 4),
        .salt = { get_be32(in + 8), get_be32(in + 12) },
        .sum = { get_be32(in + 16), get_be32(in + 20) } };
}
