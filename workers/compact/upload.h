/*
 * upload - a file that a thread makes while the driver stores it.
 *
 * What is made goes through a bounded pipe: nothing is staged, and a slow destination
 * slows the maker down. When either side fails the other is stopped; the file never gets
 * its name then. A destination that loses the stream cannot ask for it again: the caller
 * starts anew.
 *
 * Loop thread of a worker or a command; `make` runs on a thread of its own.
 */
#ifndef WORKERS_COMPACT_UPLOAD_H
#define WORKERS_COMPACT_UPLOAD_H

#include <uv.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_format.h"
#include "drivers/driver.h"

struct upload; /* opaque; gone when `done` returns */

struct upload_options {
    uv_loop_t *loop;
    struct drv *drv;
    int level;
    uint64_t min_txid, max_txid;
    int64_t bound; /* bytes that the file may have at most, more or less */

    /* Writes the whole file; looks at *cancel now and then. */
    int (*make)(
        void *arg, struct ltx_sink sink, const struct cancel *cancel, struct err *e);

    void (*stop)(void *arg); /* loop: what `make` may wait for must let it go; or NULL */

    /* From the loop, once, after `make` has ended; one of the two is not NULL. */
    void (*done)(void *arg, const struct ltx_info *written, const struct err *e);
    void *arg;
};

int upload_start(
    const struct upload_options *options, struct upload **out, struct err *e);

/* `done` follows with ERR_CANCELLED, or with the file when it was too late. NULL is fine.
 */
void upload_cancel(struct upload *u);

#endif
