#include "common/base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*must_hook)(const char *what);

void
must_set_hook(void (*hook)(const char *what))
{
    must_hook = hook;
}

_Noreturn void
must_fail(const char *expr, const char *file, int line)
{
    char what[256];
    const char *base = strrchr(file, '/');
    int n = snprintf(what, sizeof(what), "%s:%d: must(%s)",
        base != NULL ? base + 1 : file, line, expr);

    void (*hook)(const char *) = must_hook;

    must_hook = NULL; /* one that fails itself is not called again */
    if (n > 0 && hook != NULL)
        hook(what);
    fprintf(stderr, "invariant broken: %s\n", what);
    fflush(stderr);
    abort();
}
