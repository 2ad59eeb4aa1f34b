#include "workers/restore/apply.h"

#include <errno.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/sys.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define WRITEBACK_STEP ((int64_t)16 << 20)

struct apply {
    int fd;
    bool started;
    uint32_t page_size, commit, lock_pgno;
    int64_t timestamp_ms;
    uint64_t *seen; /* a bit per page 1..commit */
    uint32_t n_seen, n_wanted;

    /* neighbouring pages that are written at once; one more page of room for decoding */
    uint8_t *batch;
    uint32_t batch_first, batch_n, batch_max;
    int64_t unflushed; /* bytes written since the last hint to the kernel */
    int64_t flush_from;
};

struct apply *
apply_new(int fd)
{
    struct apply *a = MEM_NEW(struct apply);

    a->fd = fd;
    return a;
}

void
apply_free(struct apply *a)
{
    if (a == NULL)
        return;
    mem_free(a->seen);
    mem_free(a->batch);
    mem_free(a);
}

static bool
is_seen(const struct apply *a, uint32_t pgno)
{
    return (a->seen[pgno / 64] >> (pgno % 64) & 1) != 0;
}

static void
set_seen(struct apply *a, uint32_t pgno)
{
    a->seen[pgno / 64] |= UINT64_C(1) << (pgno % 64);
    a->n_seen++;
}

/* The newest file decides size and page size. */
static int
start(struct apply *a, const struct ltx_header *h, struct err *e)
{
    if (h->commit == 0)
        return err_set(e, ERR_CORRUPT, "its header names a database without pages");
    a->page_size = h->page_size;
    a->commit = h->commit;
    a->timestamp_ms = h->timestamp_ms;
    a->lock_pgno = ltx_lock_pgno(h->page_size);
    a->n_wanted = h->commit - (h->commit >= a->lock_pgno ? 1 : 0);
    a->batch_max = (uint32_t)(BATCH_BYTES / h->page_size);
    a->batch = mem_new(((size_t)a->batch_max + 1) * h->page_size);
    a->seen = mem_try((size_t)h->commit / 64 + 1, sizeof(a->seen[0]));
    if (a->seen == NULL)
        return err_set(e, ERR_MEMORY, "no memory for a database of %u pages", h->commit);
    a->started = true;
    return 0;
}

static int
check_header(const struct apply *a, const struct ltx_header *h,
    const struct ltx_info *info, struct err *e)
{
    if (h->min_txid != info->min_txid || h->max_txid != info->max_txid)
        return err_set(e, ERR_CORRUPT, "its header names transactions %016llx-%016llx",
            (unsigned long long)h->min_txid, (unsigned long long)h->max_txid);
    if (a->started && h->page_size != a->page_size)
        return err_set(e, ERR_CORRUPT, "input files have mismatched page sizes: %u != %u",
            h->page_size, a->page_size);
    return 0;
}

static int
flush(struct apply *a, struct err *e)
{
    size_t bytes = (size_t)a->batch_n * a->page_size;
    int64_t off = (int64_t)(a->batch_first - 1) * a->page_size;
    int rc;

    if (a->batch_n == 0)
        return 0;
    rc = sys_pwrite_all(a->fd, a->batch, bytes, off, e);
    if (rc != 0)
        return err_wrap(e, "write database");
    if (a->unflushed == 0 || off != a->flush_from + a->unflushed)
        a->flush_from = off;
    a->unflushed = off + (int64_t)bytes - a->flush_from;
    if (a->unflushed >= WRITEBACK_STEP) {
        sys_start_writeback(a->fd, a->flush_from, a->unflushed);
        a->unflushed = 0;
    }
    a->batch_n = 0;
    return 0;
}

/* The page that was decoded behind the batch: keep it, or let the next one overwrite it.
 */
static int
take_page(struct apply *a, uint32_t pgno, struct err *e)
{
    uint8_t *at = a->batch + (size_t)a->batch_n * a->page_size;
    int rc;

    if (pgno > a->commit || is_seen(a, pgno))
        return 0;
    if (a->batch_n > 0 &&
        (a->batch_n == a->batch_max || pgno != a->batch_first + a->batch_n)) {
        rc = flush(a, e);
        if (rc != 0)
            return rc;
        memmove(a->batch, at, a->page_size);
    }
    if (a->batch_n == 0)
        a->batch_first = pgno;
    a->batch_n++;
    set_seen(a, pgno);
    return 0;
}

static int
take_pages(
    struct apply *a, struct ltx_decoder *dec, const struct cancel *cancel, struct err *e)
{
    int rc;

    do {
        struct ltx_page page;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        rc =
            ltx_decoder_page(dec, &page, a->batch + (size_t)a->batch_n * a->page_size, e);
        if (rc == 0)
            rc = take_page(a, page.pgno, e);
    } while (rc == 0);
    return rc == ERR_END ? 0 : rc;
}

int
apply_file(struct apply *a, struct ltx_source src, const struct ltx_info *info,
    const struct cancel *cancel, struct err *e)
{
    struct ltx_decoder *dec = NULL;
    int rc = ltx_decoder_open(src, &dec, e);

    if (rc == 0)
        rc = check_header(a, ltx_decoder_header(dec), info, e);
    if (rc == 0 && !a->started)
        rc = start(a, ltx_decoder_header(dec), e);
    if (rc == 0)
        rc = take_pages(a, dec, cancel, e);
    if (rc == 0)
        rc = flush(a, e);
    if (rc == 0)
        rc = ltx_decoder_close(dec, NULL, e);
    ltx_decoder_free(dec);
    return rc;
}

bool
apply_complete(const struct apply *a)
{
    return a->started && a->n_seen == a->n_wanted;
}

static uint32_t
first_missing(const struct apply *a)
{
    for (uint32_t pgno = 1; pgno <= a->commit; pgno++)
        if (pgno != a->lock_pgno && !is_seen(a, pgno))
            return pgno;
    return 0;
}

int
apply_finish(struct apply *a, struct err *e)
{
    if (!apply_complete(a))
        return err_set(e, ERR_CORRUPT, "page %u of %u is in none of the files",
            a->started ? first_missing(a) : 0, a->commit);
    if (sys->ftruncate(a->fd, (off_t)a->commit * a->page_size) != 0)
        return err_errno(e, errno, "set size of database");
    return 0;
}

uint32_t
apply_page_size(const struct apply *a)
{
    return a->page_size;
}

uint32_t
apply_commit(const struct apply *a)
{
    return a->commit;
}

int64_t
apply_timestamp_ms(const struct apply *a)
{
    return a->timestamp_ms;
}
