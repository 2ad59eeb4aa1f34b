/*
 * wal_pagemap - for each page the newest frame that holds it.
 *
 * Collects (page, frame) pairs in any order in bounded memory (WAL_PAGEMAP_MEMORY bytes,
 * then sorted runs in a spool) and walks them in ascending page order.
 */
#ifndef COMMON_WAL_WAL_PAGEMAP_H
#define COMMON_WAL_WAL_PAGEMAP_H

#include <stdint.h>

#include "common/base/err.h"

#define WAL_PAGEMAP_MEMORY ((size_t)2 << 20)

struct wal_pagemap; /* opaque */

/* spool_dir: see spool_new(); copied. */
struct wal_pagemap *wal_pagemap_new(const char *spool_dir);
void wal_pagemap_free(struct wal_pagemap *m);  /* NULL is fine */
void wal_pagemap_clear(struct wal_pagemap *m); /* gives most memory back */

/* Frames are added with growing numbers. Ends a walk. */
int wal_pagemap_add(
    struct wal_pagemap *m, uint32_t pgno, uint32_t frame_no, struct err *e);
uint64_t wal_pagemap_n_added(const struct wal_pagemap *m);

/*
 * Starts a walk over pages 1..max_pgno, looking at frames 1..max_frame_no only (what lies
 * behind belongs to a transaction that has not committed). May be called again.
 */
int wal_pagemap_walk(
    struct wal_pagemap *m, uint32_t max_pgno, uint32_t max_frame_no, struct err *e);

/* The next page and its newest frame; ERR_END after the last. */
int wal_pagemap_next(
    struct wal_pagemap *m, uint32_t *pgno, uint32_t *frame_no, struct err *e);

#endif
