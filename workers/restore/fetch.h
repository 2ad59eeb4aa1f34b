/*
 * fetch - the bytes of several files, in order, fetched in parallel ahead of the reader.
 *
 * The files are cut into chunks; up to `parallelism` chunks are under way or wait in
 * memory. The loop starts and receives, one other thread reads. A chunk that fails or
 * ends early is asked for again from its last good byte; the budget of attempts counts
 * per chunk, so that progress resets it. Memory: parallelism * FETCH_CHUNK.
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

/* files are read in this order, each from first to last byte; borrowed until closed. */
int fetch_open(uv_loop_t *loop, struct drv *d, const struct ltx_info *files, size_t n,
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

/* Loop thread, after the reader has ended; `closed` comes from the loop. */
void fetch_close(struct fetch *f, void (*closed)(void *arg), void *arg);

#endif
