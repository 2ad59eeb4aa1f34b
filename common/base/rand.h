/*
 * rand - jitter and names; not for secrets. Seeded from the kernel, again in each child;
 * for the thread of the loop only.
 */
#ifndef COMMON_BASE_RAND_H
#define COMMON_BASE_RAND_H

#include <stdint.h>

void rand_seed(void);            /* from the kernel */
void rand_seed_with(uint64_t s); /* for tests */
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n); /* 0..n-1; n > 0 */

#endif
