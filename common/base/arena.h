/*
 * arena - memory that dies together: a parsed configuration, a page of a listing.
 *
 * Cannot fail, as mem_new: a size from outside is bounded first. All memory is zeroed and
 * freed at once.
 */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* in the first block */
};

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

void arena_init(struct arena *a);
void arena_deinit(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
