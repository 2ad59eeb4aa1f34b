/*
 * must - invariants that hold in release builds too.
 *
 * A broken invariant ends the process (abort) after the hook has seen the expression; a
 * worker's hook stores it in its slot. Never for what came from disk, network or a peer.
 */
#ifndef COMMON_BASE_MUST_H
#define COMMON_BASE_MUST_H

#include <stdbool.h>

#define must(cond)                                                                       \
    do {                                                                                 \
        if (__builtin_expect(!(cond), 0))                                                \
            must_fail(#cond, __FILE__, __LINE__);                                        \
    } while (0)

_Noreturn void must_fail(const char *expr, const char *file, int line);

/* Called with the expression and its place before the process ends; NULL: none. */
void must_set_hook(void (*hook)(const char *what));

#endif
