/*
 * bare_lz4 DATABASE OUTPUT - what a snapshot costs at the least: reads the pages of a
 * database, compresses each as an LTX file has it, writes them one behind the other and
 * syncs the result. No checksum, no index, no second copy.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lz4.h>

#define PAGE_SIZE 4096
#define IN_BYTES ((size_t)256 << 10)
#define OUT_BYTES ((size_t)128 << 10)

static _Noreturn void
fail(const char *what)
{
    perror(what);
    exit(1);
}

int
main(int argc, char **argv)
{
    char *in = malloc(IN_BYTES), *out = malloc(OUT_BYTES + LZ4_COMPRESSBOUND(PAGE_SIZE));
    size_t used = 0;
    ssize_t n;
    int from, to;

    if (argc != 3 || in == NULL || out == NULL) {
        fprintf(stderr, "usage: bare_lz4 DATABASE OUTPUT\n");
        return 2;
    }
    from = open(argv[1], O_RDONLY);
    to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || to < 0)
        fail("open");
    while ((n = read(from, in, IN_BYTES)) > 0) {
        for (ssize_t at = 0; at < n; at += PAGE_SIZE) {
            used += (size_t)LZ4_compress_default(
                in + at, out + used, PAGE_SIZE, LZ4_COMPRESSBOUND(PAGE_SIZE));
            if (used < OUT_BYTES)
                continue;
            if (write(to, out, used) != (ssize_t)used)
                fail("write");
            used = 0;
        }
    }
    if (n < 0)
        fail("read");
    if (write(to, out, used) != (ssize_t)used || fsync(to) != 0)
        fail("write");
    return 0;
}
