#include "common/v03/v03_lz4.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lz4frame.h>

#include "common/base/mem.h"

#define INPUT_SIZE ((size_t)64 << 10)
#define AGE_MAGIC "age-encryption.org/"

struct v03_lz4 {
    struct v03_source src;
    LZ4F_dctx *dctx;
    uint8_t *in;
    size_t in_size, in_off;
    bool started; /* the first bytes were looked at */
    bool input_ended;
    bool inside; /* of a frame */
    bool any;    /* a frame was read to its end */
};

static int
lz4_error(size_t code, struct err *e)
{
    const char *name = LZ4F_getErrorName(code);

    if (strcmp(name, "ERROR_allocation_failed") == 0)
        return err_set(e, ERR_MEMORY, "no memory to decompress");
    return err_set(e, ERR_CORRUPT, "decompress LZ4 frame: %s", name);
}

int
v03_lz4_open(struct v03_source src, struct v03_lz4 **out, struct err *e)
{
    struct v03_lz4 *z = MEM_NEW(struct v03_lz4);
    LZ4F_errorCode_t code = LZ4F_createDecompressionContext(&z->dctx, LZ4F_VERSION);

    if (LZ4F_isError(code)) {
        mem_free(z);
        return lz4_error(code, e);
    }
    z->src = src;
    z->in = mem_new(INPUT_SIZE);
    *out = z;
    return 0;
}

void
v03_lz4_free(struct v03_lz4 *z)
{
    if (z == NULL)
        return;
    LZ4F_freeDecompressionContext(z->dctx);
    mem_free(z->in);
    mem_free(z);
}

/* Reads behind what is there; the buffer is not full. */
static int
read_more(struct v03_lz4 *z, struct err *e)
{
    size_t n;
    int rc = z->src.read(z->src.arg, z->in + z->in_size, INPUT_SIZE - z->in_size, &n, e);

    if (rc != 0)
        return rc;
    z->in_size += n;
    z->input_ended = n == 0;
    return 0;
}

/* Is it LZ4 at all? */
static int
look_at_start(struct v03_lz4 *z, struct err *e)
{
    size_t n = strlen(AGE_MAGIC);
    int rc = 0;

    while (rc == 0 && z->in_size < n && !z->input_ended)
        rc = read_more(z, e);
    if (rc != 0)
        return rc;
    z->started = true;
    if (z->in_size >= n && memcmp(z->in, AGE_MAGIC, n) == 0)
        return err_set(e, ERR_UNSUPPORTED,
            "the backup is encrypted with age, which Litestream v0.3 alone can restore");
    return 0;
}

static int
refill(struct v03_lz4 *z, struct err *e)
{
    if (z->in_off < z->in_size || z->input_ended)
        return 0;
    z->in_off = z->in_size = 0;
    return read_more(z, e);
}

/* One call of the library; *n bytes came out of it. */
static int
step(struct v03_lz4 *z, void *buf, size_t cap, size_t *n, struct err *e)
{
    size_t taken = z->in_size - z->in_off;
    size_t hint;

    *n = cap;
    hint = LZ4F_decompress(z->dctx, buf, n, z->in + z->in_off, &taken, NULL);
    if (LZ4F_isError(hint)) {
        *n = 0;
        return lz4_error(hint, e);
    }
    z->in_off += taken;
    if (taken > 0 || *n > 0)
        z->inside = hint != 0;
    else if (z->inside && z->input_ended)
        return err_set(e, ERR_CORRUPT, "unexpected end inside an LZ4 frame");
    z->any = z->any || hint == 0;
    return 0;
}

int
v03_lz4_read(struct v03_lz4 *z, void *buf, size_t cap, size_t *n, struct err *e)
{
    int rc = z->started ? 0 : look_at_start(z, e);

    *n = 0;
    while (rc == 0 && *n == 0) {
        rc = refill(z, e);
        if (rc != 0 || (z->in_off == z->in_size && z->input_ended && !z->inside))
            break;
        rc = step(z, buf, cap, n, e);
    }
    if (rc == 0 && *n == 0 && !z->any)
        rc = err_set(e, ERR_CORRUPT, "the object is empty");
    return rc;
}
