#include "supervisor/slot_pool.h"

#include <stdint.h>

#include "common/base/mem.h"
#include "common/base/must.h"

struct slot_chunk {
    struct slot *area;
    uint64_t free; /* a bit per slot */
    struct slot_chunk *prev, *next;
};

_Static_assert(SLOT_POOL_CHUNK == 64, "a bit per slot");

void
slot_pool_init(struct slot_pool *p)
{
    *p = (struct slot_pool){ .chunks = NULL };
}

static void
unlink_chunk(struct slot_pool *p, struct slot_chunk *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        p->chunks = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
}

static void
link_first(struct slot_pool *p, struct slot_chunk *c)
{
    c->prev = NULL;
    c->next = p->chunks;
    if (c->next != NULL)
        c->next->prev = c;
    p->chunks = c;
}

/* Behind the first; a full one with nothing before it stays where it is. */
static void
move_back(struct slot_pool *p, struct slot_chunk *c)
{
    struct slot_chunk *last = c;

    if (c->next == NULL || c->next->free == 0)
        return; /* none behind it has a free slot */
    while (last->next != NULL && last->next->free != 0)
        last = last->next;
    unlink_chunk(p, c);
    c->prev = last;
    c->next = last->next;
    if (c->next != NULL)
        c->next->prev = c;
    last->next = c;
}

static void
free_chunk(struct slot_pool *p, struct slot_chunk *c)
{
    unlink_chunk(p, c);
    p->n_chunks--;
    slot_area_free(c->area, SLOT_POOL_CHUNK);
    mem_free(c);
}

void
slot_pool_deinit(struct slot_pool *p)
{
    while (p->chunks != NULL)
        free_chunk(p, p->chunks);
}

static struct slot_chunk *
new_chunk(struct slot_pool *p)
{
    struct slot_chunk *c = mem_try(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->area = slot_area_new(SLOT_POOL_CHUNK);
    if (c->area == NULL) {
        mem_free(c);
        return NULL;
    }
    c->free = UINT64_MAX;
    link_first(p, c);
    p->n_chunks++;
    return c;
}

struct slot *
slot_pool_take(struct slot_pool *p)
{
    struct slot_chunk *c = p->chunks;
    int i;

    if (c == NULL || c->free == 0)
        c = new_chunk(p);
    if (c == NULL)
        return NULL;
    i = __builtin_ctzll(c->free);
    c->free &= ~(UINT64_C(1) << i);
    if (c->free == 0)
        move_back(p, c);
    p->n_used++;
    return &c->area[i];
}

void
slot_pool_give(struct slot_pool *p, struct slot *s)
{
    struct slot_chunk *c = p->chunks;

    if (s == NULL)
        return;
    while (c != NULL && (s < c->area || s >= c->area + SLOT_POOL_CHUNK))
        c = c->next;
    must(c != NULL);
    must((c->free & UINT64_C(1) << (s - c->area)) == 0);
    c->free |= UINT64_C(1) << (s - c->area);
    p->n_used--;
    unlink_chunk(p, c);
    link_first(p, c);
    if (c->free == UINT64_MAX && p->n_chunks > 1)
        free_chunk(p, c);
}
