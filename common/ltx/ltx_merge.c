#include "common/ltx/ltx_merge.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/ltx/ltx_name.h"

struct input {
    struct ltx_decoder *dec; /* borrowed */
    struct ltx_page info;    /* its current page */
    uint8_t *page;
};

struct ltx_merge {
    struct ltx_header h;
    struct input *inputs;
    size_t n;
    /*
     * Inputs that have a current page, as a heap: lowest page number on top, the newest
     * input among equals. The one on top was handed out last.
     */
    size_t *heap;
    size_t n_heap;
    bool started, ended, failed;
    uint32_t last_pgno;          /* handed out last; 0: none */
    const struct cancel *cancel; /* of ltx_merge_run; may be NULL */
};

static int
check_inputs(struct ltx_decoder *const *inputs, size_t n, struct err *e)
{
    if (n == 0)
        return err_set(e, ERR_BUG, "at least one input reader required");
    for (size_t i = 1; i < n; i++) {
        const struct ltx_header *prev = ltx_decoder_header(inputs[i - 1]);
        const struct ltx_header *next = ltx_decoder_header(inputs[i]);

        if (prev->page_size != next->page_size)
            return err_set(e, ERR_CORRUPT,
                "input files have mismatched page sizes: %u != %u", prev->page_size,
                next->page_size);
        if (!ltx_contiguous(prev->max_txid, next->min_txid, next->max_txid))
            return err_set(e, ERR_CORRUPT,
                "non-contiguous transaction ids in input files: (%016llx,%016llx) -> "
                "(%016llx,%016llx)",
                (unsigned long long)prev->min_txid, (unsigned long long)prev->max_txid,
                (unsigned long long)next->min_txid, (unsigned long long)next->max_txid);
    }
    return 0;
}

int
ltx_merge_open(
    struct ltx_decoder *const *inputs, size_t n, struct ltx_merge **out, struct err *e)
{
    const struct ltx_header *first, *last;
    struct ltx_merge *m;
    int rc = check_inputs(inputs, n, e);

    if (rc != 0)
        return rc;
    first = ltx_decoder_header(inputs[0]);
    last = ltx_decoder_header(inputs[n - 1]);
    m = MEM_NEW(struct ltx_merge);
    m->h = (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = first->page_size,
        .commit = last->commit,
        .min_txid = first->min_txid,
        .max_txid = last->max_txid,
        .timestamp_ms = last->timestamp_ms };
    m->n = n;
    m->inputs = mem_new_array(n, sizeof(m->inputs[0]));
    m->heap = mem_new_array(n, sizeof(m->heap[0]));
    for (size_t i = 0; i < n; i++) {
        m->inputs[i].dec = inputs[i];
        m->inputs[i].page = mem_new(first->page_size);
    }
    *out = m;
    return 0;
}

const struct ltx_header *
ltx_merge_header(const struct ltx_merge *m)
{
    return &m->h;
}

/* --- heap -----------------------------------------------------------------------------
 */

static bool
before(const struct ltx_merge *m, size_t a, size_t b)
{
    uint32_t x = m->inputs[a].info.pgno, y = m->inputs[b].info.pgno;

    return x != y ? x < y : a > b;
}

static void
swap(struct ltx_merge *m, size_t i, size_t k)
{
    size_t t = m->heap[i];

    m->heap[i] = m->heap[k];
    m->heap[k] = t;
}

static void
sift_down(struct ltx_merge *m, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= m->n_heap)
            return;
        if (child + 1 < m->n_heap && before(m, m->heap[child + 1], m->heap[child]))
            child++;
        if (!before(m, m->heap[child], m->heap[i]))
            return;
        swap(m, i, child);
        i = child;
    }
}

static void
push(struct ltx_merge *m, size_t input)
{
    size_t i = m->n_heap++;

    m->heap[i] = input;
    while (i > 0 && before(m, m->heap[i], m->heap[(i - 1) / 2])) {
        swap(m, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

/* --- pages ----------------------------------------------------------------------------
 */

static int
read_input(struct ltx_merge *m, size_t i, struct err *e)
{
    struct input *in = &m->inputs[i];
    int rc;

    /* Here, since pages that are dropped are many after a database shrank. */
    if (cancel_asked(m->cancel))
        return err_set(e, ERR_CANCELLED, "cancelled");
    rc = ltx_decoder_page(in->dec, &in->info, in->page, e);
    return rc != 0 && rc != ERR_END ? err_wrap(e, "read page header %zu", i) : rc;
}

static int
fill_heap(struct ltx_merge *m, struct err *e)
{
    for (size_t i = 0; i < m->n; i++) {
        int rc = read_input(m, i, e);

        if (rc == 0)
            push(m, i);
        else if (rc != ERR_END)
            return rc;
    }
    m->started = true;
    return 0;
}

/* The input on top moves on to its next page. */
static int
advance_top(struct ltx_merge *m, struct err *e)
{
    int rc = read_input(m, m->heap[0], e);

    if (rc == ERR_END)
        m->heap[0] = m->heap[--m->n_heap];
    else if (rc != 0)
        return rc;
    sift_down(m, 0);
    return 0;
}

/* All inputs that hold this page have had their say. */
static int
skip_page(struct ltx_merge *m, uint32_t pgno, struct err *e)
{
    int rc = 0;

    while (rc == 0 && m->n_heap > 0 && m->inputs[m->heap[0]].info.pgno == pgno)
        rc = advance_top(m, e);
    return rc;
}

/*
 * A snapshot that results must hold every page. Each input is good by itself; one is
 * missing when the database grew and the file that says so lacks a page of the growth.
 * pgno 0: the end.
 */
static int
check_complete(const struct ltx_merge *m, uint32_t pgno, struct err *e)
{
    uint32_t lock = ltx_lock_pgno(m->h.page_size), last = m->h.commit;
    uint32_t next = m->last_pgno + 1 + (m->last_pgno + 1 == lock ? 1 : 0);

    if (!ltx_header_is_snapshot(&m->h))
        return 0;
    if (pgno != 0 && pgno != next)
        return err_set(e, ERR_CORRUPT,
            "nonsequential page numbers in snapshot transaction: %u,%u", m->last_pgno,
            pgno);
    if (last == lock)
        last--;
    if (pgno == 0 && m->last_pgno != last)
        return err_set(
            e, ERR_CORRUPT, "snapshot ends at page %u of %u", m->last_pgno, m->h.commit);
    return 0;
}

/* Leaves the next page of the result on top of the heap; empty after the last. */
static int
advance(struct ltx_merge *m, struct err *e)
{
    int rc = 0;

    if (!m->started)
        rc = fill_heap(m, e);
    else if (m->n_heap > 0) /* the one that was handed out last */
        rc = skip_page(m, m->inputs[m->heap[0]].info.pgno, e);
    while (rc == 0 && m->n_heap > 0 && m->inputs[m->heap[0]].info.pgno > m->h.commit)
        rc = advance_top(m, e);
    if (rc != 0)
        return rc;
    return check_complete(m, m->n_heap > 0 ? m->inputs[m->heap[0]].info.pgno : 0, e);
}

int
ltx_merge_next(
    struct ltx_merge *m, struct ltx_page *info, const void **page, struct err *e)
{
    int rc;

    if (m->failed)
        return err_set(e, ERR_BUG, "merge has failed before");
    rc = advance(m, e);
    if (rc != 0) {
        m->failed = true;
        return rc;
    }
    if (m->n_heap == 0) {
        m->ended = true;
        return err_set(e, ERR_END, "end of pages");
    }
    *info = m->inputs[m->heap[0]].info;
    *page = m->inputs[m->heap[0]].page;
    m->last_pgno = info->pgno;
    return 0;
}

int
ltx_merge_close(struct ltx_merge *m, struct err *e)
{
    must(m->ended);
    for (size_t i = 0; i < m->n; i++) {
        int rc = ltx_decoder_close(m->inputs[i].dec, NULL, e);

        if (rc != 0)
            return err_wrap(e, "input %zu", i);
    }
    return 0;
}

void
ltx_merge_free(struct ltx_merge *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n; i++)
        mem_free(m->inputs[i].page);
    mem_free(m->inputs);
    mem_free(m->heap);
    mem_free(m);
}

static int
copy_page(
    struct ltx_encoder *enc, const struct ltx_page *info, const void *page, struct err *e)
{
    int rc = info->payload != NULL ? ltx_encoder_page_compressed(enc, info->pgno, page,
                                         info->payload, info->payload_size, e)
                                   : ltx_encoder_page(enc, info->pgno, page, e);

    return rc != 0 ? err_wrap(e, "copy page %u", info->pgno) : 0;
}

int
ltx_merge_run(struct ltx_merge *m, struct ltx_encoder *enc, const struct cancel *cancel,
    struct err *e)
{
    int rc;

    m->cancel = cancel;
    do {
        struct ltx_page info;
        const void *page;

        rc = ltx_merge_next(m, &info, &page, e);
        if (rc == 0)
            rc = copy_page(enc, &info, page, e);
    } while (rc == 0);
    if (rc == ERR_END)
        rc = ltx_merge_close(m, e);
    if (rc == 0) {
        rc = ltx_encoder_close(enc, 0, NULL, e);
        if (rc != 0)
            err_wrap(e, "close encoder");
    }
    if (rc != 0)
        ltx_encoder_abandon(enc);
    return rc;
}
