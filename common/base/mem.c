#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#include <unistd.h>
#endif

#include "common/base/must.h"

/* Buffers of this size and more are mappings of their own, gone when they are freed. */
#define MMAP_BYTES (64 << 10)

/* How far the heap grows at a time, and what may lie unused at its end. */
#define HEAP_STEP (16 << 10)
#define HEAP_SPARE (64 << 10)

void *
mem_try(size_t n, size_t bytes)
{
    size_t total;

    if (__builtin_mul_overflow(n, bytes, &total) || total > PTRDIFF_MAX)
        return NULL;
    return calloc(1, total > 0 ? total : 1);
}

void *
mem_new_array(size_t n, size_t bytes)
{
    void *p = mem_try(n, bytes);
    bool out_of_memory = p == NULL;

    must(!out_of_memory);
    return p;
}

void *
mem_new(size_t bytes)
{
    return mem_new_array(1, bytes);
}

void *
mem_resize(void *p, size_t bytes)
{
    void *q = realloc(p, bytes > 0 ? bytes : 1);
    bool out_of_memory = q == NULL;

    must(!out_of_memory);
    return q;
}

char *
mem_strndup(const char *s, size_t len)
{
    char *p = mem_new(len + 1);

    memcpy(p, s, len);
    return p;
}

char *
mem_strdup(const char *s)
{
    return s != NULL ? mem_strndup(s, strlen(s)) : NULL;
}

char *
mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    must(n >= 0);
    p = mem_new((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void
mem_free(void *p)
{
    free(p);
}

void
mem_setup(void)
{
#ifdef __GLIBC__
    /*
     * Without this the first freed buffer raises the limit above which memory is mapped,
     * for good, and the buffers of the first sync stay in the heap of an idle worker
     * (600 KB). A second arena, which each job thread would get, stays as well.
     */
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TOP_PAD, HEAP_STEP);
    mallopt(M_TRIM_THRESHOLD, HEAP_SPARE);
    mallopt(M_ARENA_MAX, 1);
#endif
}

void
mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* --- sealing --------------------------------------------------------------------------
 */

/* What fills a hole. */
struct plug {
    struct plug *next;
};

static struct plug *plugs;

#ifdef __GLIBC__

/* Fills a hole of at least this size. False: there is none, it would come from the end.
 */
static bool
plug_one(size_t bytes, const char *end)
{
    struct plug *p = malloc(bytes);

    if (p == NULL)
        return false;
    if ((const char *)p >= end) {
        free(p);
        return false;
    }
    p->next = plugs;
    plugs = p;
    return true;
}

void
mem_seal(void)
{
    struct mallinfo2 info = mallinfo2();
    const char *end = (const char *)sbrk(0) - info.keepcost;

    must(plugs == NULL);
    if (info.fordblks <= info.keepcost)
        return; /* no holes, or an allocator that does not tell */
    for (size_t bytes = MMAP_BYTES / 2; bytes >= sizeof(struct plug); bytes -= bytes / 8)
        while (plug_one(bytes, end))
            ;
}

#else

void
mem_seal(void)
{
}

#endif

void
mem_unseal(void)
{
    while (plugs != NULL) {
        struct plug *p = plugs;

        plugs = p->next;
        free(p);
    }
}
