/*
 * copy - a local file into another one, by the kernel where it can.
 */
#ifndef DRIVERS_FILE_COPY_H
#define DRIVERS_FILE_COPY_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"

/*
 * Copies everything from offset `off` of `from` to the current end of `to`, whose offset
 * is `*done`; adds what was copied. A file system that cannot copy in the kernel is no
 * error: *done then says how far it came (maybe 0), the caller goes on by read and write.
 * Returns ERR_UNSUPPORTED in that case.
 */
int copy_in_kernel(int from, int64_t off, int to, int64_t *done,
    const struct cancel *cancel, struct err *e);

#endif
