#include "workers/replica/compare.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"

struct compare {
    struct drv_op *op;
    bool cancelled; /* the answer under way may be a good one all the same */
    compare_done_cb *done;
    void *arg;
    uint8_t here[LTX_TRAILER_SIZE];
    /* One byte more than there should be tells a longer file from one that ends here. */
    uint8_t there[LTX_TRAILER_SIZE + 1];
};

static void
on_trailer(void *arg, const struct drv_result *res)
{
    struct compare *c = arg;
    compare_done_cb *done = c->done;
    void *done_arg = c->arg;
    bool same = false;
    struct err e = ERR_NONE;

    if (c->cancelled)
        err_set(&e, ERR_CANCELLED, "cancelled");
    else if (res->err == NULL)
        same = res->size == LTX_TRAILER_SIZE &&
               memcmp(c->here, c->there, LTX_TRAILER_SIZE) == 0;
    else if (res->err->code != ERR_RANGE) /* that one is shorter */
        e = *res->err;
    mem_free(c);
    done(done_arg, same, e.code != ERR_OK ? &e : NULL);
}

static int
start(struct compare *c, struct drv *d, const struct ltx_info *name, int64_t off,
    struct err *e)
{
    struct drv_get req = { .level = name->level,
        .min_txid = name->min_txid,
        .max_txid = name->max_txid,
        .off = off,
        .size = sizeof(c->there),
        .buf = c->there,
        .done = on_trailer,
        .arg = c };

    c->op = drv_get(d, &req, e);
    return c->op != NULL ? 0 : ERR_NEVER_0(e->code);
}

int
compare_start(struct drv *d, const struct ltx_info *name, int fd, int64_t size,
    compare_done_cb *done, void *arg, struct compare **out, struct err *e)
{
    struct compare *c = MEM_NEW(struct compare);
    int64_t off = size - LTX_TRAILER_SIZE;
    int rc;

    must(off >= 0);
    c->done = done;
    c->arg = arg;
    rc = sys_pread_all(fd, c->here, sizeof(c->here), off, e);
    if (rc == 0)
        rc = start(c, d, name, off, e);
    if (rc == 0)
        *out = c;
    else
        mem_free(c);
    return rc;
}

void
compare_cancel(struct compare *c)
{
    if (c == NULL)
        return;
    c->cancelled = true;
    drv_cancel(c->op);
}
