/*
 * container - from an embedded member or a void pointer back to the object.
 */
#ifndef COMMON_BASE_CONTAINER_H
#define COMMON_BASE_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/must.h"

/* The object of type `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member)                                                  \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * An object that is handed around as void * starts with `uint32_t magic`; OBJ_CAST gives
 * the pointer back and ends the process when it is something else.
 */
#define OBJ_CAST(type, MAGIC, ptr) ((type *)obj_check((ptr), (MAGIC)))

static inline void *
obj_check(void *p, uint32_t magic)
{
    must(p != NULL && *(const uint32_t *)p == magic);
    return p;
}

#endif
