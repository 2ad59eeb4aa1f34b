#include "workers/sync/page_writer.h"

static int
encode_batch(struct ltx_encoder *enc, struct compress_pool *pool, struct page_batch *b,
    struct err *e)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->n; i++)
        rc = ltx_encoder_page_compressed(enc, b->pgno[i],
            b->pages + (size_t)i * b->page_size,
            b->payloads + (size_t)i * b->payload_stride, b->payload_size[i], e);
    compress_pool_give_back(pool, b);
    return rc;
}

/* A batch to fill, after writing older ones if the ring is full. */
static int
next_batch(struct ltx_encoder *enc, struct compress_pool *pool, struct page_batch **out,
    struct err *e)
{
    while ((*out = compress_pool_get(pool)) == NULL) {
        int rc = encode_batch(enc, pool, compress_pool_take(pool), e);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
drain(struct ltx_encoder *enc, struct compress_pool *pool, struct err *e)
{
    struct page_batch *b;
    int rc = 0;

    while (rc == 0 && (b = compress_pool_take(pool)) != NULL)
        rc = encode_batch(enc, pool, b, e);
    return rc;
}

static int
fill_all(struct ltx_encoder *enc, struct compress_pool *pool,
    const struct page_source *src, const struct cancel *cancel, struct err *e)
{
    for (;;) {
        struct page_batch *b;
        int rc;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        rc = next_batch(enc, pool, &b, e);
        if (rc == 0)
            rc = src->fill(src->arg, b, e);
        if (rc != 0)
            return rc;
        if (b->n == 0)
            return 0; /* the empty batch is not out: nothing to give back */
        compress_pool_submit(pool, b);
    }
}

int
page_writer_run(struct ltx_encoder *enc, uint32_t page_size,
    const struct page_source *src, unsigned n_threads, const struct cancel *cancel,
    struct err *e)
{
    struct compress_pool *pool = compress_pool_new(page_size, n_threads);
    int rc = fill_all(enc, pool, src, cancel, e);

    if (rc == 0)
        rc = drain(enc, pool, e);
    compress_pool_free(pool);
    return rc;
}
