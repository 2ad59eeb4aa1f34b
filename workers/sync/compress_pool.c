#include "workers/sync/compress_pool.h"

#include <uv.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/ltx/ltx_encoder.h"

#define MAX_THREADS 8
#define THREAD_STACK ((size_t)256 << 10)

/* A slot of the ring goes FREE -> FILLING -> READY -> WORKING -> DONE -> FREE. */
enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_WORKING, SLOT_DONE };

struct ring_slot {
    struct page_batch batch;
    enum slot_state state;
};

struct compress_pool {
    uv_mutex_t lock;
    uv_cond_t changed;
    uv_thread_t threads[MAX_THREADS];
    unsigned n_threads;
    bool ending;
    struct ring_slot *ring;
    unsigned n_slots;
    unsigned fill; /* next slot to hand out */
    unsigned work; /* next slot to compress */
    unsigned head; /* oldest slot that is not free */
};

static void
compress(struct page_batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        b->payload_size[i] = ltx_compress_page(b->pages + (size_t)i * b->page_size,
            b->page_size, b->payloads + (size_t)i * b->payload_stride);
}

static void
thread_main(void *arg)
{
    struct compress_pool *p = arg;

    uv_mutex_lock(&p->lock);
    for (;;) {
        struct ring_slot *s = &p->ring[p->work];

        if (s->state == SLOT_READY) {
            s->state = SLOT_WORKING;
            p->work = (p->work + 1) % p->n_slots;
            uv_mutex_unlock(&p->lock);
            compress(&s->batch);
            uv_mutex_lock(&p->lock);
            s->state = SLOT_DONE;
            uv_cond_broadcast(&p->changed);
        } else if (p->ending) {
            break;
        } else {
            uv_cond_wait(&p->changed, &p->lock);
        }
    }
    uv_mutex_unlock(&p->lock);
}

static void
slot_init(struct ring_slot *s, uint32_t page_size)
{
    struct page_batch *b = &s->batch;

    b->page_size = page_size;
    b->max_pages = BATCH_BYTES / page_size;
    must(b->max_pages >= 1 && b->max_pages <= BATCH_MAX_PAGES);
    b->payload_stride = ltx_payload_bound(page_size);
    b->pages = mem_new_array(b->max_pages, page_size);
    b->payloads = mem_new_array(b->max_pages, b->payload_stride);
}

struct compress_pool *
compress_pool_new(uint32_t page_size, unsigned n_threads)
{
    struct compress_pool *p = MEM_NEW(struct compress_pool);
    uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
        .stack_size = THREAD_STACK };

    if (n_threads > MAX_THREADS)
        n_threads = MAX_THREADS;
    uv_mutex_init(&p->lock);
    uv_cond_init(&p->changed);
    p->n_slots = n_threads > 0 ? n_threads * 2 + 1 : 1;
    p->ring = mem_new_array(p->n_slots, sizeof(p->ring[0]));
    for (unsigned i = 0; i < p->n_slots; i++)
        slot_init(&p->ring[i], page_size);
    while (p->n_threads < n_threads &&
           uv_thread_create_ex(&p->threads[p->n_threads], &options, thread_main, p) == 0)
        p->n_threads++;
    return p;
}

void
compress_pool_free(struct compress_pool *p)
{
    if (p == NULL)
        return;
    uv_mutex_lock(&p->lock);
    p->ending = true;
    uv_cond_broadcast(&p->changed);
    uv_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        uv_thread_join(&p->threads[i]);
    for (unsigned i = 0; i < p->n_slots; i++) {
        mem_free(p->ring[i].batch.pages);
        mem_free(p->ring[i].batch.payloads);
    }
    uv_cond_destroy(&p->changed);
    uv_mutex_destroy(&p->lock);
    mem_free(p->ring);
    mem_free(p);
}

struct page_batch *
compress_pool_get(struct compress_pool *p)
{
    struct ring_slot *s = &p->ring[p->fill];
    bool is_free;

    uv_mutex_lock(&p->lock);
    is_free = s->state == SLOT_FREE;
    if (is_free)
        s->state = SLOT_FILLING;
    uv_mutex_unlock(&p->lock);
    if (!is_free)
        return NULL;
    s->batch.n = 0;
    return &s->batch;
}

void
compress_pool_submit(struct compress_pool *p, struct page_batch *b)
{
    struct ring_slot *s = &p->ring[p->fill];

    must(&s->batch == b && s->state == SLOT_FILLING);
    p->fill = (p->fill + 1) % p->n_slots;
    if (p->n_threads == 0)
        compress(b);
    uv_mutex_lock(&p->lock);
    s->state = p->n_threads == 0 ? SLOT_DONE : SLOT_READY;
    uv_cond_broadcast(&p->changed);
    uv_mutex_unlock(&p->lock);
}

struct page_batch *
compress_pool_take(struct compress_pool *p)
{
    struct ring_slot *s = &p->ring[p->head];

    uv_mutex_lock(&p->lock);
    if (s->state == SLOT_FREE || s->state == SLOT_FILLING) {
        uv_mutex_unlock(&p->lock);
        return NULL;
    }
    while (s->state != SLOT_DONE)
        uv_cond_wait(&p->changed, &p->lock);
    uv_mutex_unlock(&p->lock);
    return &s->batch;
}

void
compress_pool_give_back(struct compress_pool *p, struct page_batch *b)
{
    struct ring_slot *s = &p->ring[p->head];

    must(&s->batch == b && s->state == SLOT_DONE);
    uv_mutex_lock(&p->lock);
    s->state = SLOT_FREE;
    uv_mutex_unlock(&p->lock);
    p->head = (p->head + 1) % p->n_slots;
}
