#include "common/base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"

struct spool {
    char *dir; /* NULL: memory only */
    int fd;    /* -1: nothing was written to a file yet */
    int64_t size;
    /* Without a file: all bytes. With one: the bytes behind file_size. */
    uint8_t *mem;
    size_t mem_size, mem_cap;
    int64_t file_size;
};

struct spool *
spool_new(const char *dir)
{
    struct spool *s = MEM_NEW(struct spool);

    s->dir = mem_strdup(dir);
    s->fd = -1;
    return s;
}

void
spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    sys_close(&s->fd);
    mem_free(s->dir);
    mem_free(s->mem);
    mem_free(s);
}

/* A file without a name: nobody finds it, and it goes with the descriptor. */
static int
open_file(struct spool *s, struct err *e)
{
    char *path = mem_printf("%s/.spool-XXXXXX", s->dir);
    int rc = 0;

    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        rc = err_errno(e, errno, "create temporary file in %s", s->dir);
    else if (sys->unlink(path) != 0)
        rc = err_errno(e, errno, "unlink %s", path);
    if (rc != 0)
        sys_close(&s->fd);
    mem_free(path);
    return rc;
}

static int
flush(struct spool *s, struct err *e)
{
    int rc = s->fd < 0 ? open_file(s, e) : 0;

    if (rc == 0)
        rc = sys_pwrite_all(s->fd, s->mem, s->mem_size, s->file_size, e);
    if (rc != 0)
        return rc;
    s->file_size += (int64_t)s->mem_size;
    s->mem_size = 0;
    return 0;
}

static int
make_room(struct spool *s, size_t n, struct err *e)
{
    size_t cap = s->mem_cap > 0 ? s->mem_cap : 1024;
    int rc;

    if (s->dir != NULL && s->mem_size + n > SPOOL_MEMORY && s->mem_size > 0) {
        rc = flush(s, e);
        if (rc != 0)
            return rc;
    }
    while (cap < s->mem_size + n)
        cap *= 2;
    if (cap > s->mem_cap) {
        s->mem = mem_resize(s->mem, cap);
        s->mem_cap = cap;
    }
    return 0;
}

int
spool_append(struct spool *s, const void *bytes, size_t n, struct err *e)
{
    const uint8_t *from = bytes;

    while (n > 0) {
        size_t step = n < SPOOL_MEMORY ? n : SPOOL_MEMORY;
        int rc = make_room(s, step, e);

        if (rc != 0)
            return rc;
        memcpy(s->mem + s->mem_size, from, step);
        s->mem_size += step;
        s->size += (int64_t)step;
        from += step;
        n -= step;
    }
    return 0;
}

int64_t
spool_size(const struct spool *s)
{
    return s->size;
}

int
spool_read(struct spool *s, int64_t off, void *buf, size_t n, size_t *got, struct err *e)
{
    int64_t left = s->size - off;

    must(off >= 0);
    *got = 0;
    if (left <= 0)
        return 0;
    if ((int64_t)n > left)
        n = (size_t)left;
    if (off < s->file_size) {
        if ((int64_t)n > s->file_size - off)
            n = (size_t)(s->file_size - off);
        *got = n;
        return sys_pread_all(s->fd, buf, n, off, e);
    }
    memcpy(buf, s->mem + (off - s->file_size), n);
    *got = n;
    return 0;
}

void
spool_reset(struct spool *s)
{
    s->size = s->file_size = 0;
    s->mem_size = 0;
}
