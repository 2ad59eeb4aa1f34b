#include "common/wal/wal_pagemap.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/spool.h"

/* A pair is one number, page in front: sorting numbers sorts by page, then frame. */
#define KEY(pgno, frame) ((uint64_t)(pgno) << 32 | (frame))

#define MAX_IN_MEMORY (WAL_PAGEMAP_MEMORY / sizeof(uint64_t))

/* All read buffers of a walk together, and the smallest one. */
#define READ_MEMORY ((size_t)1 << 20)
#define READ_MIN 64

/* A sorted piece: in the spool, or (the last one) in memory. */
struct run {
    int64_t off;   /* in the spool; -1: in memory */
    uint64_t left; /* keys not read into the buffer yet */
    uint64_t *keys;
    size_t pos, n; /* in the buffer */
};

struct wal_pagemap {
    struct spool *spool;
    uint64_t *keys;
    size_t n, cap;
    bool sorted;
    uint64_t n_added;

    uint64_t *run_sizes; /* of the runs in the spool */
    size_t n_runs;

    /* the walk: runs as a heap, smallest next key on top */
    struct run *walk;
    size_t n_walk, n_open;
    uint32_t max_pgno, max_frame;
};

struct wal_pagemap *
wal_pagemap_new(const char *spool_dir)
{
    struct wal_pagemap *m = MEM_NEW(struct wal_pagemap);

    m->spool = spool_new(spool_dir);
    m->sorted = true;
    return m;
}

static void
end_walk(struct wal_pagemap *m)
{
    for (size_t i = 0; i < m->n_walk; i++)
        if (m->walk[i].off >= 0)
            mem_free(m->walk[i].keys);
    mem_free(m->walk);
    m->walk = NULL;
    m->n_walk = m->n_open = 0;
}

void
wal_pagemap_free(struct wal_pagemap *m)
{
    if (m == NULL)
        return;
    end_walk(m);
    spool_free(m->spool);
    mem_free(m->keys);
    mem_free(m->run_sizes);
    mem_free(m);
}

void
wal_pagemap_clear(struct wal_pagemap *m)
{
    end_walk(m);
    spool_reset(m->spool);
    mem_free(m->keys);
    mem_free(m->run_sizes);
    m->keys = NULL;
    m->run_sizes = NULL;
    m->n = m->cap = m->n_runs = 0;
    m->n_added = 0;
    m->sorted = true;
}

static int
compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
sort(struct wal_pagemap *m)
{
    if (!m->sorted)
        qsort(m->keys, m->n, sizeof(m->keys[0]), compare_keys);
    m->sorted = true;
}

static int
spill(struct wal_pagemap *m, struct err *e)
{
    int rc;

    sort(m);
    rc = spool_append(m->spool, m->keys, m->n * sizeof(m->keys[0]), e);
    if (rc != 0)
        return rc;
    m->run_sizes = mem_resize(m->run_sizes, (m->n_runs + 1) * sizeof(m->run_sizes[0]));
    m->run_sizes[m->n_runs++] = m->n;
    m->n = 0;
    return 0;
}

int
wal_pagemap_add(struct wal_pagemap *m, uint32_t pgno, uint32_t frame_no, struct err *e)
{
    uint64_t key = KEY(pgno, frame_no);

    end_walk(m);
    if (m->n == MAX_IN_MEMORY) {
        int rc = spill(m, e);

        if (rc != 0)
            return rc;
    }
    if (m->n == m->cap) {
        m->cap = m->cap > 0 ? m->cap * 2 : 64;
        m->keys = mem_resize(m->keys, m->cap * sizeof(m->keys[0]));
    }
    if (m->n > 0 && key < m->keys[m->n - 1])
        m->sorted = false;
    m->keys[m->n++] = key;
    m->n_added++;
    return 0;
}

uint64_t
wal_pagemap_n_added(const struct wal_pagemap *m)
{
    return m->n_added;
}

/* --- walking --------------------------------------------------------------------------
 */

/* The run's next keys into its buffer; false: there are none. */
static int
refill(struct wal_pagemap *m, struct run *r, size_t cap, bool *any, struct err *e)
{
    size_t n = r->left < cap ? (size_t)r->left : cap, got;
    int rc = 0;

    *any = n > 0;
    if (n == 0 || r->off < 0)
        return 0;
    for (size_t done = 0; rc == 0 && done < n * sizeof(uint64_t); done += got) {
        rc = spool_read(m->spool, r->off, (uint8_t *)r->keys + done,
            n * sizeof(uint64_t) - done, &got, e);
        r->off += (int64_t)got;
        must(rc != 0 || got > 0);
    }
    r->pos = 0;
    r->n = n;
    r->left -= n;
    return rc;
}

static size_t
buffer_keys(const struct wal_pagemap *m)
{
    size_t n = m->n_runs > 0 ? READ_MEMORY / sizeof(uint64_t) / m->n_runs : READ_MIN;

    return n > READ_MIN ? n : READ_MIN;
}

static uint64_t
head_key(const struct run *r)
{
    return r->keys[r->pos];
}

static void
sift_down(struct run *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        struct run t;

        if (child >= n)
            return;
        if (child + 1 < n && head_key(&heap[child + 1]) < head_key(&heap[child]))
            child++;
        if (head_key(&heap[i]) <= head_key(&heap[child]))
            return;
        t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

static int
open_runs(struct wal_pagemap *m, struct err *e)
{
    size_t cap = buffer_keys(m);
    int64_t off = 0;

    m->walk = mem_new_array(m->n_runs + 1, sizeof(m->walk[0]));
    for (size_t i = 0; i < m->n_runs; i++) {
        struct run *r = &m->walk[m->n_walk++];
        bool any;
        int rc;

        *r = (struct run){ .off = off, .left = m->run_sizes[i] };
        r->keys = mem_new_array(cap, sizeof(r->keys[0]));
        off += (int64_t)(r->left * sizeof(r->keys[0]));
        rc = refill(m, r, cap, &any, e);
        if (rc != 0)
            return rc;
    }
    if (m->n > 0)
        m->walk[m->n_walk++] = (struct run){ .off = -1, .keys = m->keys, .n = m->n };
    m->n_open = m->n_walk;
    return 0;
}

int
wal_pagemap_walk(
    struct wal_pagemap *m, uint32_t max_pgno, uint32_t max_frame_no, struct err *e)
{
    int rc;

    end_walk(m);
    sort(m);
    m->max_pgno = max_pgno;
    m->max_frame = max_frame_no;
    rc = open_runs(m, e);
    if (rc != 0) {
        end_walk(m);
        return rc;
    }
    for (size_t i = m->n_open / 2; i > 0; i--)
        sift_down(m->walk, m->n_open, i - 1);
    return 0;
}

/* Takes the smallest key; *any is false at the end. */
static int
pop(struct wal_pagemap *m, uint64_t *key, bool *any, struct err *e)
{
    struct run *top = m->walk;
    bool more = true;
    int rc = 0;

    *any = m->n_open > 0;
    if (!*any)
        return 0;
    *key = head_key(top);
    if (++top->pos == top->n)
        rc = refill(m, top, buffer_keys(m), &more, e);
    if (rc != 0)
        return rc;
    if (!more) { /* an empty run goes behind the open ones, where it is freed later */
        struct run t = *top;

        *top = m->walk[--m->n_open];
        m->walk[m->n_open] = t;
    }
    sift_down(m->walk, m->n_open, 0);
    return 0;
}

int
wal_pagemap_next(struct wal_pagemap *m, uint32_t *pgno, uint32_t *frame_no, struct err *e)
{
    uint32_t page = 0, newest = 0;

    while (m->n_open > 0) {
        uint64_t key = head_key(m->walk);
        bool any;
        int rc;

        if (newest != 0 && (uint32_t)(key >> 32) != page)
            break; /* the next page begins */
        page = (uint32_t)(key >> 32);
        if (page > m->max_pgno)
            break;
        if ((uint32_t)key <= m->max_frame)
            newest = (uint32_t)key;
        rc = pop(m, &key, &any, e);
        if (rc != 0)
            return rc;
    }
    if (newest == 0)
        return err_set(e, ERR_END, "end of pages");
    *pgno = page;
    *frame_no = newest;
    return 0;
}
