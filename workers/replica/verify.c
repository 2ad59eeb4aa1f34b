#include "workers/replica/verify.h"

#include "common/base/mem.h"
#include "common/ltx/ltx_decoder.h"
#include "drivers/loop/job.h"

struct verify {
    int fd;
    uint64_t txid;
    struct job *job;
    verify_done_cb *done;
    void *arg;
    int rc;
    struct err err;
};

static int
check_txid(const struct ltx_header *h, uint64_t txid, struct err *e)
{
    if (h->min_txid == txid && h->max_txid == txid)
        return 0;
    return err_set(e, ERR_CORRUPT, "its header names transactions %016llx-%016llx",
        (unsigned long long)h->min_txid, (unsigned long long)h->max_txid);
}

int
verify_now(int fd, uint64_t txid, const struct cancel *cancel, struct err *e)
{
    struct ltx_decoder *dec = NULL;
    struct ltx_page info;
    uint8_t *page;
    int rc = ltx_decoder_open_fd(fd, 0, &dec, e);

    if (rc != 0)
        return rc;
    page = mem_new(ltx_decoder_header(dec)->page_size);
    rc = check_txid(ltx_decoder_header(dec), txid, e);
    while (rc == 0) {
        rc = cancel_asked(cancel) ? err_set(e, ERR_CANCELLED, "cancelled")
                                  : ltx_decoder_page(dec, &info, page, e);
    }
    if (rc == ERR_END)
        rc = ltx_decoder_close(dec, NULL, e);
    mem_free(page);
    ltx_decoder_free(dec);
    return rc;
}

static void
run(void *arg, const struct cancel *cancel)
{
    struct verify *v = arg;

    v->rc = verify_now(v->fd, v->txid, cancel, &v->err);
}

static void
on_done(void *arg)
{
    struct verify *v = arg;
    struct verify copy = *v;

    mem_free(v);
    copy.done(copy.arg, copy.rc != 0 ? &copy.err : NULL);
}

int
verify_start(uv_loop_t *loop, int fd, uint64_t txid, verify_done_cb *done, void *arg,
    struct verify **out, struct err *e)
{
    struct verify *v = MEM_NEW(struct verify);
    int rc;

    v->fd = fd;
    v->txid = txid;
    v->done = done;
    v->arg = arg;
    rc = job_start(loop, run, on_done, v, &v->job, e);
    if (rc == 0)
        *out = v;
    else
        mem_free(v);
    return rc;
}

void
verify_cancel(struct verify *v)
{
    if (v != NULL)
        job_cancel(v->job);
}
