/*
 * verify - is an open LTX file whole, and the one that its name says?
 *
 * Reads all of it and checks every checksum, so that nothing damaged is given away under
 * a good name. Costs about as much as reading the file: small ones are looked at in
 * place, large ones on a thread.
 */
#ifndef WORKERS_REPLICA_VERIFY_H
#define WORKERS_REPLICA_VERIFY_H

#include <stdint.h>

#include <uv.h>

#include "common/base/cancel.h"
#include "common/base/err.h"

/* Files of up to so many bytes hold the loop for a few milliseconds at most. */
#define VERIFY_INLINE_BYTES ((int64_t)1 << 20)

/*
 * Any thread; cancel may be NULL.
 *
 *   returns 0; ERR_CORRUPT: it is damaged, or of other transactions than txid..txid; what
 *           else went wrong says nothing about the file
 */
int verify_now(int fd, uint64_t txid, const struct cancel *cancel, struct err *e);

struct verify; /* one that is under way; gone when `done` runs; opaque */

/* e: as verify_now, NULL: it is good; borrowed. */
typedef void verify_done_cb(void *arg, const struct err *e);

/* fd is borrowed until `done`, which comes from the loop exactly once. */
int verify_start(uv_loop_t *loop, int fd, uint64_t txid, verify_done_cb *done, void *arg,
    struct verify **out, struct err *e);

/* `done` follows soon, with ERR_CANCELLED or the result. NULL is fine. */
void verify_cancel(struct verify *v);

#endif
