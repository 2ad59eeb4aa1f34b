/*
 * crc64_impl - the implementations behind crc64.h. Raw values: no inversion.
 */
#ifndef COMMON_CRC64_CRC64_IMPL_H
#define COMMON_CRC64_CRC64_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reflected polynomial x^64 + x^4 + x^3 + x + 1. */
#define CRC64_POLY UINT64_C(0xd800000000000000)

/* Shorter inputs are not worth the set-up. */
#define CRC64_FOLD_MIN 256

/* Multipliers for one fold over `bits`: for the first and the second 8 bytes of a block.
 */
struct crc64_fold {
    uint64_t first, second;
};

/*
 * Folds all whole 16-byte blocks of n >= CRC64_FOLD_MIN bytes into the 16 bytes of `out`,
 * whose checksum (from 0) with the n % 16 bytes that are left is the one of the whole.
 *
 *   by8, by1  multipliers over 8 and over 1 block
 */
typedef void crc64_fold_fn(uint64_t crc, const uint8_t *bytes, size_t n,
    const struct crc64_fold *by8, const struct crc64_fold *by1, uint8_t out[16]);

/* NULL when this processor has no carry-less multiply that we use. */
crc64_fold_fn *crc64_fold_x86(void);
crc64_fold_fn *crc64_fold_arm(void);

/* The value of x^n modulo the polynomial, reflected. */
uint64_t crc64_x_pow(unsigned n);

#endif
