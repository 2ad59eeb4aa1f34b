#include "common/crc64/crc64.h"

#include <pthread.h>
#include <string.h>

#include "common/base/must.h"
#include "common/crc64/crc64_impl.h"

#define N_TABLES 16

static uint64_t tables[N_TABLES][256];
static struct crc64_fold by8, by1;
static crc64_fold_fn *fold;
static pthread_once_t once = PTHREAD_ONCE_INIT;

uint64_t
crc64_x_pow(unsigned n)
{
    uint64_t v = UINT64_C(1) << 63; /* x^0, reflected */

    while (n-- > 0)
        v = (v & 1) != 0 ? (v >> 1) ^ CRC64_POLY : v >> 1;
    return v;
}

/*
 * A carry-less product of two reflected values is the reflected product shifted by one
 * bit, so the exponents are one less than the distance. The first half of a block stands
 * 64 bits further ahead than the second.
 */
static struct crc64_fold
fold_over(unsigned bits)
{
    return (struct crc64_fold){ .first = crc64_x_pow(bits + 64 - 1),
        .second = crc64_x_pow(bits - 1) };
}

static void
init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t v = i;

        for (int bit = 0; bit < 8; bit++)
            v = (v & 1) != 0 ? (v >> 1) ^ CRC64_POLY : v >> 1;
        tables[0][i] = v;
    }
    /* tables[k]: a byte that stands k bytes before the end of a block */
    for (unsigned k = 1; k < N_TABLES; k++)
        for (unsigned i = 0; i < 256; i++)
            tables[k][i] = tables[0][tables[k - 1][i] & 0xff] ^ (tables[k - 1][i] >> 8);
    by8 = fold_over(8 * 128);
    by1 = fold_over(128);
    fold = crc64_fold_x86();
    if (fold == NULL)
        fold = crc64_fold_arm();
}

static uint64_t
bytewise(uint64_t c, const uint8_t *p, size_t n)
{
    while (n-- > 0)
        c = tables[0][(c ^ *p++) & 0xff] ^ (c >> 8);
    return c;
}

static uint64_t
load_le64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static uint64_t
eight(uint64_t (*t)[256], uint64_t v)
{
    return t[7][v & 0xff] ^ t[6][v >> 8 & 0xff] ^ t[5][v >> 16 & 0xff] ^
           t[4][v >> 24 & 0xff] ^ t[3][v >> 32 & 0xff] ^ t[2][v >> 40 & 0xff] ^
           t[1][v >> 48 & 0xff] ^ t[0][v >> 56];
}

static uint64_t
slicing(uint64_t c, const uint8_t *p, size_t n)
{
    for (; n >= 16; n -= 16, p += 16)
        c = eight(&tables[8], c ^ load_le64(p)) ^ eight(&tables[0], load_le64(p + 8));
    return bytewise(c, p, n);
}

static uint64_t
folding(uint64_t c, const uint8_t *p, size_t n)
{
    uint8_t rest[16];
    size_t whole = n & ~(size_t)15;

    if (n < CRC64_FOLD_MIN)
        return slicing(c, p, n);
    fold(c, p, n, &by8, &by1, rest);
    c = slicing(0, rest, sizeof(rest));
    return bytewise(c, p + whole, n - whole);
}

const char *
crc64_impl_name(enum crc64_impl impl)
{
    switch (impl) {
    case CRC64_BYTEWISE:
        return "bytewise";
    case CRC64_SLICING:
        return "slicing";
    case CRC64_FOLDING:
        return "folding";
    }
    return "";
}

bool
crc64_impl_available(enum crc64_impl impl)
{
    pthread_once(&once, init);
    return impl != CRC64_FOLDING || fold != NULL;
}

uint64_t
crc64_update_with(enum crc64_impl impl, uint64_t crc, const void *bytes, size_t n)
{
    must(crc64_impl_available(impl));
    switch (impl) {
    case CRC64_BYTEWISE:
        return ~bytewise(~crc, bytes, n);
    case CRC64_SLICING:
        return ~slicing(~crc, bytes, n);
    case CRC64_FOLDING:
        return ~folding(~crc, bytes, n);
    }
    return 0;
}

void
crc64_prepare(void)
{
    pthread_once(&once, init);
}

uint64_t
crc64_update(uint64_t crc, const void *bytes, size_t n)
{
    pthread_once(&once, init);
    return ~(fold != NULL ? folding(~crc, bytes, n) : slicing(~crc, bytes, n));
}
