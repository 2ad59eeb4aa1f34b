#include "common/wal/wal_index.h"

#include <string.h>

#define SUM_OFF 40

static uint32_t
native32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t
be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool
wal_index_decode(const uint8_t in[WAL_INDEX_HEADER_SIZE], struct wal_index *out)
{
    bool machine_is_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    struct wal_sum sum = { 0, 0 };

    wal_sum_update(&sum, machine_is_big, in, SUM_OFF);
    if (memcmp(in, in + WAL_INDEX_COPY_SIZE, WAL_INDEX_COPY_SIZE) != 0 ||
        native32(in) != WAL_VERSION || in[12] == 0 || native32(in + SUM_OFF) != sum.a ||
        native32(in + SUM_OFF + 4) != sum.b)
        return false;
    *out = (struct wal_index){ .last_frame_no = native32(in + 16),
        .salt = { be32(in + 32), be32(in + 36) },
        .sum = { native32(in + 24), native32(in + 28) } };
    return true;
}

bool
wal_index_committed(
    const struct wal_index *index, const struct wal_header *h, uint32_t *n_frames)
{
    struct wal_salt none = { 0, 0 };

    *n_frames = index->last_frame_no;
    if (wal_salt_equal(index->salt, h->salt))
        return true;
    /* In a new file the header comes before the wal-index hears of its salts. */
    return index->last_frame_no == 0 && wal_salt_equal(index->salt, none);
}
