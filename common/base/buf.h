/*
 * buf - a growing run of bytes that knows its ceiling.
 *
 * Reaching the ceiling makes the buffer "full": the call reports it, the content stays as
 * it was, and buf_failed tells so until buf_reset. Text helpers keep a NUL behind the
 * last byte that is not counted in `size`.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* NULL while empty */
    size_t size;   /* bytes in use */
    size_t cap;
    size_t limit; /* ceiling of size */
    bool failed;
};

void buf_init(struct buf *b, size_t limit);
void buf_deinit(struct buf *b);
void buf_reset(struct buf *b); /* empty again, memory kept */

/* All return false when the ceiling or the memory is reached. */
bool buf_reserve(struct buf *b, size_t more);
bool buf_add(struct buf *b, const void *bytes, size_t n);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

bool buf_failed(const struct buf *b);
const char *buf_str(struct buf *b); /* NUL-terminated view, "" when empty */
char *buf_take_str(struct buf *b);  /* the caller's; the buffer is empty afterwards */

#endif
