#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"

void
buf_init(struct buf *b, size_t limit)
{
    must(limit < SIZE_MAX / 2);
    *b = (struct buf){ .limit = limit };
}

void
buf_deinit(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){ .limit = b->limit };
}

void
buf_reset(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

bool
buf_reserve(struct buf *b, size_t more)
{
    size_t want, cap;
    uint8_t *p;

    if (more > b->limit - b->size) {
        b->failed = true;
        return false;
    }
    want = b->size + more + 1; /* room for a NUL */
    if (want <= b->cap)
        return true;
    cap = b->cap > 0 ? b->cap : 64;
    while (cap < want)
        cap *= 2;
    if (cap > b->limit + 1)
        cap = b->limit + 1;
    p = realloc(b->data, cap);
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    b->data = p;
    b->cap = cap;
    return true;
}

bool
buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (!buf_reserve(b, n))
        return false;
    if (n > 0)
        memcpy(b->data + b->size, bytes, n);
    b->size += n;
    return true;
}

bool
buf_add_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool
buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    must(n >= 0);
    if (!buf_reserve(b, (size_t)n))
        return false;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
    return true;
}

bool
buf_failed(const struct buf *b)
{
    return b->failed;
}

const char *
buf_str(struct buf *b)
{
    if (b->data == NULL)
        return "";
    b->data[b->size] = '\0';
    return (const char *)b->data;
}

char *
buf_take_str(struct buf *b)
{
    char *s;

    if (b->data == NULL)
        return mem_strdup("");
    b->data[b->size] = '\0';
    s = (char *)b->data;
    *b = (struct buf){ .limit = b->limit };
    return s;
}
