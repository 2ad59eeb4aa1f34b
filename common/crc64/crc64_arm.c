/* arm64 with PMULL on Linux; elsewhere only the answer that there is none. */
#include "common/crc64/crc64_impl.h"

#if defined(__aarch64__) && defined(__linux__) && defined(__ARM_NEON)

#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define PMULL __attribute__((target("+crypto")))

PMULL static inline uint64x2_t
fold_one(uint64x2_t acc, const struct crc64_fold *k, uint64x2_t next)
{
    poly128_t first = vmull_p64((poly64_t)vgetq_lane_u64(acc, 0), (poly64_t)k->first);
    poly128_t second = vmull_p64((poly64_t)vgetq_lane_u64(acc, 1), (poly64_t)k->second);

    return veorq_u64(
        veorq_u64(vreinterpretq_u64_p128(first), vreinterpretq_u64_p128(second)), next);
}

PMULL static inline uint64x2_t
load(const uint8_t *p)
{
    return vreinterpretq_u64_u8(vld1q_u8(p));
}

PMULL static void
fold_blocks(uint64_t crc, const uint8_t *p, size_t n, const struct crc64_fold *by8,
    const struct crc64_fold *by1, uint8_t out[16])
{
    uint64x2_t acc[8], sum;

    for (int i = 0; i < 8; i++)
        acc[i] = load(p + 16 * i);
    acc[0] = veorq_u64(acc[0], vsetq_lane_u64(crc, vdupq_n_u64(0), 0));
    for (p += 128, n -= 128; n >= 128; p += 128, n -= 128)
        for (int i = 0; i < 8; i++)
            acc[i] = fold_one(acc[i], by8, load(p + 16 * i));
    sum = acc[0];
    for (int i = 1; i < 8; i++)
        sum = fold_one(sum, by1, acc[i]);
    for (; n >= 16; p += 16, n -= 16)
        sum = fold_one(sum, by1, load(p));
    vst1q_u8(out, vreinterpretq_u8_u64(sum));
}

crc64_fold_fn *
crc64_fold_arm(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_PMULL) != 0 ? fold_blocks : NULL;
}

#else

crc64_fold_fn *
crc64_fold_arm(void)
{
    return NULL;
}

#endif
