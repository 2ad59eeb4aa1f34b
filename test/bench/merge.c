/*
 * merge FILE... - merges LTX files twice: as the daemon does, and with every page
 * compressed anew. Prints the bytes of the pages in the files and the seconds of CPU that
 * each took. Nothing is written; the files should be in memory.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/crc64/crc64.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_merge.h"

static _Noreturn void
fail(const struct err *e)
{
    fprintf(stderr, "merge: %s\n", e->text);
    exit(1);
}

static double
cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
count(void *arg, const void *bytes, size_t n, struct err *e)
{
    (void)bytes;
    (void)e;
    *(int64_t *)arg += (int64_t)n;
    return 0;
}

struct inputs {
    struct ltx_decoder **decs;
    int *fds;
    size_t n;
};

static void
open_inputs(struct inputs *in, char **names, size_t n)
{
    struct err e;

    in->n = n;
    in->decs = calloc(n, sizeof(in->decs[0]));
    in->fds = calloc(n, sizeof(in->fds[0]));
    for (size_t i = 0; i < n; i++) {
        in->fds[i] = open(names[i], O_RDONLY);
        if (ltx_decoder_open_fd(in->fds[i], 0, &in->decs[i], &e) != 0)
            fail(&e);
    }
}

static void
close_inputs(struct inputs *in)
{
    for (size_t i = 0; i < in->n; i++) {
        ltx_decoder_free(in->decs[i]);
        close(in->fds[i]);
    }
    free(in->decs);
    free(in->fds);
}

/* All pages of the inputs, also those that do not get into the result. */
static int64_t
page_bytes(char **names, size_t n)
{
    int64_t bytes = 0;
    struct inputs in;

    open_inputs(&in, names, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t size = ltx_decoder_header(in.decs[i])->page_size;
        uint8_t *page = malloc(size);
        struct ltx_page info;
        struct err e;

        while (ltx_decoder_page(in.decs[i], &info, page, &e) == 0)
            bytes += size;
        free(page);
    }
    close_inputs(&in);
    return bytes;
}

static int
compress_anew(struct ltx_merge *m, struct ltx_encoder *enc, struct err *e)
{
    struct ltx_page info;
    const void *page;
    int rc;

    while ((rc = ltx_merge_next(m, &info, &page, e)) == 0) {
        rc = ltx_encoder_page(enc, info.pgno, page, e);
        if (rc != 0)
            return rc;
    }
    if (rc == ERR_END)
        rc = ltx_merge_close(m, e);
    return rc == 0 ? ltx_encoder_close(enc, 0, NULL, e) : rc;
}

static double
merge(char **names, size_t n, bool anew)
{
    struct ltx_encoder *enc = NULL;
    struct ltx_merge *m = NULL;
    double begin = cpu_seconds();
    int64_t written = 0;
    struct ltx_sink sink = { .write = count, .arg = &written };
    struct inputs in;
    struct err e;

    open_inputs(&in, names, n);
    if (ltx_merge_open(in.decs, n, &m, &e) != 0 ||
        ltx_encoder_open(ltx_merge_header(m), sink, NULL, &enc, &e) != 0 ||
        (anew ? compress_anew(m, enc, &e) : ltx_merge_run(m, enc, NULL, &e)) != 0)
        fail(&e);
    ltx_encoder_free(enc);
    ltx_merge_free(m);
    close_inputs(&in);
    return cpu_seconds() - begin;
}

int
main(int argc, char **argv)
{
    double copied = 0, anew = 0;
    size_t n = (size_t)argc - 1;

    if (argc < 2) {
        fprintf(stderr, "usage: merge FILE...\n");
        return 2;
    }
    crc64_prepare();
    for (int turn = 0; turn < 3; turn++) {
        double a = merge(argv + 1, n, false), b = merge(argv + 1, n, true);

        copied = turn == 0 || a < copied ? a : copied;
        anew = turn == 0 || b < anew ? b : anew;
    }
    printf("%lld %.3f %.3f\n", (long long)page_bytes(argv + 1, n), copied, anew);
    return 0;
}
