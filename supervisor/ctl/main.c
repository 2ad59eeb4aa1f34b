/*
 * litestreamctl - talks to a running daemon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/proc.h"
#include "supervisor/version.h"

int
main(int argc, char **argv)
{
    proc_open_std();
    if (argc == 2 &&
        (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
        printf("%s\n", LITESTREAM_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0 ||
                         strcmp(argv[1], "--help") == 0)) {
        printf("Usage:\n\n\tlitestreamctl version\n");
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "Error: litestreamctl %s: unknown command\nTry: litestreamctl help\n",
        argc > 1 ? argv[1] : "");
    return EXIT_FAILURE;
}
