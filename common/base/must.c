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

    if (n > 0 && must_hook != NULL)
        must_hook(what);
    fprintf(stderr, "invariant broken: %s\n", what);
    fflush(stderr);
    abort();
}
