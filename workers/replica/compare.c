#include "workers/replica/compare.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/sys.h"

#define PIECE ((int64_t)128 << 10)

struct compare {
    struct drv *drv;
    struct drv_op *op;
    bool cancelled; /* the answer under way may be a good one all the same */
    struct ltx_info name;
    int fd;
    int64_t size, off;
    compare_done_cb *done;
    void *arg;
    uint8_t there[PIECE], here[PIECE];
};

static int next_piece(struct compare *c, struct err *e);

static void
end(struct compare *c, bool same, const struct err *e)
{
    compare_done_cb *done = c->done;
    void *arg = c->arg;

    mem_free(c);
    done(arg, same, e);
}

/* One byte more than there should be tells a longer file from one that ends here. */
static int64_t
wanted(const struct compare *c)
{
    int64_t left = c->size - c->off + 1;

    return left < PIECE ? left : PIECE;
}

static int
matches(struct compare *c, size_t n, bool *same, struct err *e)
{
    size_t got;
    int rc = sys_pread(c->fd, c->here, n, c->off, &got, e);

    *same = rc == 0 && got == n && memcmp(c->here, c->there, n) == 0;
    return rc;
}

static void
on_piece(void *arg, const struct drv_result *res)
{
    struct compare *c = arg;
    bool same = false;
    struct err e;

    c->op = NULL;
    if (c->cancelled) {
        err_set(&e, ERR_CANCELLED, "cancelled");
        end(c, false, &e);
        return;
    }
    if (res->err != NULL && res->err->code == ERR_RANGE) {
        end(c, c->off == c->size, NULL);
        return;
    }
    if (res->err != NULL) {
        e = *res->err;
        end(c, false, &e);
        return;
    }
    if (matches(c, (size_t)res->size, &same, &e) != 0) {
        end(c, false, &e);
        return;
    }
    if (!same || res->size < wanted(c)) {
        end(c, same && c->off + res->size == c->size, NULL);
        return;
    }
    c->off += res->size;
    if (next_piece(c, &e) != 0)
        end(c, false, &e);
}

static int
next_piece(struct compare *c, struct err *e)
{
    struct drv_get req = { .level = c->name.level,
        .min_txid = c->name.min_txid,
        .max_txid = c->name.max_txid,
        .off = c->off,
        .size = (size_t)wanted(c),
        .buf = c->there,
        .done = on_piece,
        .arg = c };

    c->op = drv_get(c->drv, &req, e);
    return c->op != NULL ? 0 : ERR_NEVER_0(e->code);
}

int
compare_start(struct drv *d, const struct ltx_info *name, int fd, int64_t size,
    compare_done_cb *done, void *arg, struct compare **out, struct err *e)
{
    struct compare *c = MEM_NEW(struct compare);
    int rc;

    c->drv = d;
    c->name = *name;
    c->fd = fd;
    c->size = size;
    c->done = done;
    c->arg = arg;
    rc = next_piece(c, e);
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void
compare_cancel(struct compare *c)
{
    if (c == NULL)
        return;
    c->cancelled = true;
    drv_cancel(c->op);
}
