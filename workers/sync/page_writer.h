/*
 * page_writer - pages in ascending order through compressing threads into an LTX file.
 *
 * The source fills batches, other threads compress them, the caller's thread writes them
 * in order. Memory: the batches of the compress_pool.
 */
#ifndef WORKERS_SYNC_PAGE_WRITER_H
#define WORKERS_SYNC_PAGE_WRITER_H

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_encoder.h"
#include "workers/sync/compress_pool.h"

struct page_source {
    /* Puts the next pages into an empty batch; none: there are no more. */
    int (*fill)(void *arg, struct page_batch *b, struct err *e);
    void *arg;
};

/* Writes the pages; closing the encoder is the caller's. Looks at *cancel per batch. */
int page_writer_run(struct ltx_encoder *enc, uint32_t page_size,
    const struct page_source *src, unsigned n_threads, const struct cancel *cancel,
    struct err *e);

#endif
