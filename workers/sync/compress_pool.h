/*
 * compress_pool - pages compressed on several cores, handed back in order.
 *
 * One caller fills batches and takes them back in the order in which it submitted them;
 * the threads only compress. Memory is fixed: the batches of the ring. With no threads
 * the caller's own turn compresses.
 */
#ifndef WORKERS_SYNC_COMPRESS_POOL_H
#define WORKERS_SYNC_COMPRESS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define BATCH_BYTES ((uint32_t)256 << 10)
#define BATCH_MAX_PAGES 512 /* of 512 bytes */

struct page_batch {
    uint32_t n; /* pages in use, at most max_pages */
    uint32_t max_pages;
    uint32_t page_size;
    uint32_t pgno[BATCH_MAX_PAGES];
    uint8_t *pages;    /* n pages of page_size */
    uint8_t *payloads; /* each at i * payload_stride */
    uint32_t payload_stride;
    uint32_t payload_size[BATCH_MAX_PAGES]; /* filled by the pool */
};

struct compress_pool; /* opaque */

/* n_threads 0: everything on the caller's thread. Fewer threads than asked is no error.
 */
struct compress_pool *compress_pool_new(uint32_t page_size, unsigned n_threads);
void compress_pool_free(
    struct compress_pool *p); /* waits for the threads; NULL is fine */

/* An empty batch to fill; NULL: the ring is full, take one back first. */
struct page_batch *compress_pool_get(struct compress_pool *p);
void compress_pool_submit(struct compress_pool *p, struct page_batch *b);

/* The oldest submitted batch, compressed; NULL: none is out. Give it back when written.
 */
struct page_batch *compress_pool_take(struct compress_pool *p);
void compress_pool_give_back(struct compress_pool *p, struct page_batch *b);

#endif
