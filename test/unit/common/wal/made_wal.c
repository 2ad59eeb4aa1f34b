#include "test/unit/common/wal/made_wal.h"

#include <stdlib.h>
#include <string.h>

static void
put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t
word(const uint8_t *p, bool big)
{
    return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
               : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void
sum(struct made_wal *w, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        w->a += word(p + i, w->big_endian) + w->b;
        w->b += word(p + i + 4, w->big_endian) + w->a;
    }
}

void
made_wal_begin(struct made_wal *w, bool big_endian, uint32_t page_size, uint32_t seq,
    uint32_t salt1, uint32_t salt2)
{
    uint8_t *p = w->bytes;

    w->big_endian = big_endian;
    w->page_size = page_size;
    w->salt1 = salt1;
    w->salt2 = salt2;
    w->a = w->b = 0;
    put(p, big_endian ? 0x377f0683 : 0x377f0682);
    put(p + 4, 3007000);
    put(p + 8, page_size);
    put(p + 12, seq);
    put(p + 16, salt1);
    put(p + 20, salt2);
    sum(w, p, 24);
    put(p + 24, w->a);
    put(p + 28, w->b);
    w->size = 32;
}

void
made_wal_frame(struct made_wal *w, uint32_t pgno, uint32_t commit, uint8_t fill)
{
    uint8_t *p = w->bytes + w->size;

    if (w->size + 24 + w->page_size > sizeof(w->bytes))
        abort();
    put(p, pgno);
    put(p + 4, commit);
    put(p + 8, w->salt1);
    put(p + 12, w->salt2);
    memset(p + 24, fill, w->page_size);
    sum(w, p, 8);
    sum(w, p + 24, w->page_size);
    put(p + 16, w->a);
    put(p + 20, w->b);
    w->size += 24 + w->page_size;
}
