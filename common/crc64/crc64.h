/*
 * crc64 - CRC-64/GO-ISO, the one checksum of LTX files.
 *
 *   polynomial      0x1B (normal), 0xD800000000000000 (reflected, as used)
 *   reflected       input and output
 *   initial, final  all ones
 *   check           "123456789" -> b90956c775a41001
 *
 * Neither CRC-64/ECMA, CRC-64/XZ nor the ISO variant that starts at zero. The fastest
 * implementation the processor has is chosen at the first call; all give the same value.
 */
#ifndef COMMON_CRC64_CRC64_H
#define COMMON_CRC64_CRC64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Continues a checksum over more bytes; a new one starts from 0. Any thread. */
uint64_t crc64_update(uint64_t crc, const void *bytes, size_t n);

/* Makes the tables (32 KB) now, for children to share; else the first call does. */
void crc64_prepare(void);

enum crc64_impl {
    CRC64_BYTEWISE, /* one table, the definition */
    CRC64_SLICING,  /* sixteen tables, any processor */
    CRC64_FOLDING,  /* carry-less multiply: PCLMULQDQ on x86-64, PMULL on arm64 */
};

const char *crc64_impl_name(enum crc64_impl impl);

/* For tests and benchmarks: false when this processor cannot run it. */
bool crc64_impl_available(enum crc64_impl impl);
uint64_t crc64_update_with(
    enum crc64_impl impl, uint64_t crc, const void *bytes, size_t n);

#endif
