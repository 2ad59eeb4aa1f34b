/*
 * slot_pool - slots for workers that come and go.
 *
 * Slots lie in shared areas of SLOT_POOL_CHUNK each. A worker sees the areas that existed
 * when it was forked, its own slot among them; a slot is given to another worker only
 * after it came back. An area whose slots are all free goes back to the system, but for
 * one.
 */
#ifndef SUPERVISOR_SLOT_POOL_H
#define SUPERVISOR_SLOT_POOL_H

#include <stddef.h>

#include "common/ipc/slot.h"

#define SLOT_POOL_CHUNK 64

struct slot_chunk;

struct slot_pool {
    struct slot_chunk *chunks; /* those with a free slot are in front */
    size_t n_chunks, n_used;
};

void slot_pool_init(struct slot_pool *p);
void slot_pool_deinit(struct slot_pool *p); /* all slots go, also those in use */

/* NULL: no memory. Its content is that of its last life. */
struct slot *slot_pool_take(struct slot_pool *p);
void slot_pool_give(struct slot_pool *p, struct slot *s); /* NULL is fine */

#endif
