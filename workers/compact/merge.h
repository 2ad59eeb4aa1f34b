/*
 * merge - several files of one level into one file of the next, on the destination.
 *
 * Each input is read from the local folder where it is there (level 0), else from the
 * destination; the pages go through ltx_merge, without being compressed again, into an
 * upload. Nothing gets its name before every input was verified to its end.
 *
 * Memory: merge_max_inputs bounds it to MERGE_MEMORY and the buffers of one upload. Loop
 * thread of a worker.
 */
#ifndef WORKERS_COMPACT_MERGE_H
#define WORKERS_COMPACT_MERGE_H

#include <stddef.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"
#include "drivers/driver.h"

#define MERGE_MEMORY ((size_t)16 << 20)

/* How many inputs one merge may have, for this page size; at least 2. */
size_t merge_max_inputs(uint32_t page_size);

struct merge; /* opaque; gone when `done` returns */

struct merge_options {
    uv_loop_t *loop;
    struct drv *drv;
    const char *l0_dir; /* local level 0; borrowed until done; NULL: only what is there */
    const char *spool_dir;        /* for large page indexes; borrowed until done */
    int level;                    /* of the result */
    const struct ltx_info *files; /* 1..merge_max_inputs, contiguous; copied */
    size_t n;
    uint64_t min_txid; /* of the result, inside the first input (merge_plan.h) */

    /*
     * Gets, before an ERR_CORRUPT, the TXID that the last input of the first one's page
     * size ends with, when another page size follows. Borrowed until done; may be NULL.
     */
    uint64_t *page_size_until;

    /*
     * From the loop, once; one of the two is not NULL. ERR_CORRUPT: an input is damaged,
     * or the inputs have different page sizes. ERR_NOT_FOUND: an input is on neither
     * side.
     */
    void (*done)(void *arg, const struct ltx_info *written, const struct err *e);
    void *arg;
};

int merge_start(const struct merge_options *options, struct merge **out, struct err *e);

/* `done` follows with ERR_CANCELLED, or with the result when it was too late. NULL is
 * fine. */
void merge_cancel(struct merge *m);

#endif
