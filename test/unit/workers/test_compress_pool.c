#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <lz4.h>

#include "workers/sync/compress_pool.h"

static void
fill(struct page_batch *b, uint32_t no)
{
    b->n = 1 + no % b->max_pages;
    for (uint32_t i = 0; i < b->n; i++) {
        b->pgno[i] = no * 1000 + i;
        memset(b->pages + (size_t)i * b->page_size, (int)(no + i), b->page_size);
    }
}

static void
expect(const struct page_batch *b, uint32_t no)
{
    uint8_t *page = malloc(b->page_size);

    cr_assert_eq(b->n, 1 + no % b->max_pages);
    for (uint32_t i = 0; i < b->n; i++) {
        cr_assert_eq(b->pgno[i], no * 1000 + i);
        cr_assert_eq(
            LZ4_decompress_safe((const char *)b->payloads + (size_t)i * b->payload_stride,
                (char *)page, (int)b->payload_size[i], (int)b->page_size),
            (int)b->page_size);
        for (uint32_t k = 0; k < b->page_size; k++)
            cr_assert_eq(page[k], (uint8_t)(no + i));
    }
    free(page);
}

Test(compress_pool, hands_batches_back_in_order_and_whole)
{
    for (unsigned n_threads = 0; n_threads <= 9; n_threads += 3)
        for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
            struct compress_pool *p = compress_pool_new(page_size, n_threads);
            uint32_t in = 0, out = 0;
            struct page_batch *b;

            while (out < 40) {
                b = in < 40 ? compress_pool_get(p) : NULL;
                if (b != NULL) {
                    fill(b, in++);
                    compress_pool_submit(p, b);
                    continue;
                }
                b = compress_pool_take(p);
                cr_assert_not_null(b);
                expect(b, out++);
                compress_pool_give_back(p, b);
            }
            cr_assert_null(compress_pool_take(p));
            compress_pool_free(p);
        }
}

Test(compress_pool, is_full_at_some_point_and_has_room_again)
{
    struct compress_pool *p = compress_pool_new(4096, 2);
    struct page_batch *b;
    unsigned n = 0;

    while ((b = compress_pool_get(p)) != NULL) {
        fill(b, n++);
        compress_pool_submit(p, b);
        cr_assert_lt(n, 100);
    }
    cr_assert_gt(n, 2);
    b = compress_pool_take(p);
    expect(b, 0);
    compress_pool_give_back(p, b);
    b = compress_pool_get(p);
    cr_assert_not_null(b);
    compress_pool_free(p); /* with batches out, in work and being filled */
}

Test(compress_pool, may_be_left_at_any_time)
{
    for (uint32_t n = 0; n < 30; n++) {
        struct compress_pool *p = compress_pool_new(512, 4);

        for (uint32_t i = 0; i < n; i++) {
            struct page_batch *b = compress_pool_get(p);

            if (b == NULL)
                break;
            fill(b, i);
            compress_pool_submit(p, b);
        }
        compress_pool_free(p);
    }
    compress_pool_free(NULL);
}
