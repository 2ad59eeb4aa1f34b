/*
 * holdings - what a destination holds, as far as it is known without asking it again:
 * from the listing at start and from what was written and removed since.
 *
 * Per level the newest file; of level 0 every file, up to a limit. Loop thread of a
 * worker.
 */
#ifndef WORKERS_REPLICA_HOLDINGS_H
#define WORKERS_REPLICA_HOLDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/ltx/ltx_format.h"

#define HOLDINGS_L0_MAX 65536 /* files of level 0 that are remembered, 3 MB */

struct holdings; /* opaque */

struct holdings *holdings_new(void);
void holdings_free(struct holdings *h); /* NULL is fine */

/* Forgets everything. */
void holdings_clear(struct holdings *h);

/* Highest max TXID, among those the lowest min. Never NULL; max_txid 0: none. */
const struct ltx_info *holdings_newest(const struct holdings *h, int level);

/* Level 0 by (min, max); valid until the next change. NULL with *n = 0. */
const struct ltx_info *holdings_l0(const struct holdings *h, size_t *n);

/* Level 0 has, or may have, files that did not find room. */
bool holdings_l0_cut(const struct holdings *h);

/* A file that is there once more replaces what was known of it. */
void holdings_add(struct holdings *h, const struct ltx_info *info);

/* Files in any order; of levels above 0 only older ones than the newest are removed. */
void holdings_removed(struct holdings *h, const struct ltx_info *files, size_t n);

#endif
