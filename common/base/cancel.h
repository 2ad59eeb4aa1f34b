/*
 * cancel - a flag that asks work on another thread to end soon.
 */
#ifndef COMMON_BASE_CANCEL_H
#define COMMON_BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct cancel {
    atomic_bool asked;
};

static inline void
cancel_ask(struct cancel *c)
{
    atomic_store_explicit(&c->asked, true, memory_order_relaxed);
}

/* NULL is never asked. */
static inline bool
cancel_asked(const struct cancel *c)
{
    return c != NULL && atomic_load_explicit(&c->asked, memory_order_relaxed);
}

#endif
