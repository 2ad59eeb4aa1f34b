/*
 * fetch - the bytes of several files, in order, fetched in parallel ahead of the reader.
 *
 * The files are cut into chunks; up to `parallelism` chunks are under way or wait in
 * memory. The loop starts and receives, one other thread reads. A chunk that fails or
 * ends early is asked for again from its last good byte; the budget of attempts counts
 * per chunk, so that progress resets it. Memory: parallelism * chunk.
 */
#ifndef WORKERS_RESTORE_FETCH_H
#define WORKERS_RESTORE_FETCH_H

#include <stddef.h>

#include <uv.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"
#include "drivers/driver.h"

#define FETCH_CHUNK ((size_t)2 << 20)
#define FETCH_ATTEMPTS 4

struct fetch; /* opaque */

/* Part of a file, as the driver is asked for it. */
struct fetch_range {
    int64_t off;
    size_t size;
    void *buf;
    drv_done_cb *done;
    void *arg;
};

/* What is fetched: n files, read in this order, each from first to last byte. */
struct fetch_files {
    size_t n;
    int64_t (*size)(const struct fetch_files *files, size_t i);
    struct drv_op *(*get)(const struct fetch_files *files, struct drv *d, size_t i,
        const struct fetch_range *range, struct err *e);
    const void *list; /* theirs */
    size_t chunk;     /* bytes asked for at once; 0: FETCH_CHUNK */
};

/* LTX files of a replica; infos is borrowed as long as the result is used. */
struct fetch_files fetch_ltx_files(const struct ltx_info *infos, size_t n);

/* What `files` points to is borrowed until closed. */
int fetch_open(uv_loop_t *loop, struct drv *d, const struct fetch_files *files,
    unsigned parallelism, struct fetch **out, struct err *e);

/*
 * Reader's thread: up to cap bytes of file `i`; *n = 0 at its end. Files are asked for in
 * order; going on to a later one drops what was not read of those before.
 */
int fetch_read(
    struct fetch *f, size_t i, void *buf, size_t cap, size_t *n, struct err *e);

/* Loop thread: nothing more is wanted; fetch_read fails from now on with ERR_CANCELLED.
 */
void fetch_stop(struct fetch *f);

/*
 * Loop thread, after the reader has ended; what is still under way is cancelled. `closed`
 * comes from the loop.
 */
void fetch_close(struct fetch *f, void (*closed)(void *arg), void *arg);

#endif
