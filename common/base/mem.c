#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

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
