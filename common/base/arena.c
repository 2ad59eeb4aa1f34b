#include "common/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"

#define ARENA_BLOCK 4096
#define ALIGN _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t cap;
    _Alignas(max_align_t) uint8_t data[];
};

void
arena_init(struct arena *a)
{
    *a = (struct arena){ 0 };
}

void
arena_deinit(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;

        mem_free(a->blocks);
        a->blocks = next;
    }
    a->used = 0;
}

void *
arena_alloc(struct arena *a, size_t bytes)
{
    size_t need;
    void *p;

    must(bytes <= SIZE_MAX / 2);
    need = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    if (a->blocks == NULL || need > a->blocks->cap - a->used) {
        size_t cap = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        struct arena_block *b = mem_new(sizeof(*b) + cap);

        b->cap = cap;
        b->next = a->blocks;
        a->blocks = b;
        a->used = 0;
    }
    p = a->blocks->data + a->used;
    a->used += need;
    return p;
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *p = arena_alloc(a, len + 1);

    memcpy(p, s, len);
    return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return s != NULL ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    must(n >= 0);
    p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
