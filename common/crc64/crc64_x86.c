/* x86-64 with PCLMULQDQ; elsewhere only the answer that there is none. */
#include "common/crc64/crc64_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define CLMUL __attribute__((target("pclmul,sse4.1")))

CLMUL static inline __m128i
load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

CLMUL static inline __m128i
multipliers(const struct crc64_fold *k)
{
    return _mm_set_epi64x((long long)k->second, (long long)k->first);
}

/* acc moved ahead by the distance of k, onto `next`. */
CLMUL static inline __m128i
fold_one(__m128i acc, __m128i k, __m128i next)
{
    __m128i first = _mm_clmulepi64_si128(acc, k, 0x00);
    __m128i second = _mm_clmulepi64_si128(acc, k, 0x11);

    return _mm_xor_si128(_mm_xor_si128(first, second), next);
}

CLMUL static void
fold_blocks(uint64_t crc, const uint8_t *p, size_t n, const struct crc64_fold *by8,
    const struct crc64_fold *by1, uint8_t out[16])
{
    const __m128i k8 = multipliers(by8), k1 = multipliers(by1);
    __m128i acc[8], sum;

    for (int i = 0; i < 8; i++)
        acc[i] = load(p + 16 * i);
    acc[0] = _mm_xor_si128(acc[0], _mm_set_epi64x(0, (long long)crc));
    for (p += 128, n -= 128; n >= 128; p += 128, n -= 128)
        for (int i = 0; i < 8; i++)
            acc[i] = fold_one(acc[i], k8, load(p + 16 * i));
    sum = acc[0];
    for (int i = 1; i < 8; i++)
        sum = fold_one(sum, k1, acc[i]);
    for (; n >= 16; p += 16, n -= 16)
        sum = fold_one(sum, k1, load(p));
    _mm_storeu_si128((__m128i *)(void *)out, sum);
}

crc64_fold_fn *
crc64_fold_x86(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")
               ? fold_blocks
               : NULL;
}

#else

crc64_fold_fn *
crc64_fold_x86(void)
{
    return NULL;
}

#endif
