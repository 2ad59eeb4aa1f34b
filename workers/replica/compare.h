/*
 * compare - is a file of a destination the same as a local one?
 *
 * By size and trailer: that ends with a checksum of all that stands before it, and a
 * destination shows no file that is not whole. Loop thread of a worker.
 */
#ifndef WORKERS_REPLICA_COMPARE_H
#define WORKERS_REPLICA_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "drivers/driver.h"

struct compare; /* one that is under way; gone when `done` runs; opaque */

/* e: it could not be told (same is false); borrowed. */
typedef void compare_done_cb(void *arg, bool same, const struct err *e);

/*
 * The file of `name` (level, TXIDs) there, and fd with `size` bytes here, at least a
 * trailer; fd is borrowed for the call. `done` comes from the loop exactly once.
 */
int compare_start(struct drv *d, const struct ltx_info *name, int fd, int64_t size,
    compare_done_cb *done, void *arg, struct compare **out, struct err *e);

/* Before d is closed. `done` follows with an error. NULL is fine. */
void compare_cancel(struct compare *c);

#endif
