/*
 * v03_lz4 - the bytes in a stored object: LZ4 frames, one or several in a row.
 *
 * Any valid frame is read, whatever its blocks and checksums; a frame may claim any size
 * and gets no memory for it (V03_LZ4_MEMORY at most). Refused: an object without a frame,
 * one that ends inside a frame, bytes behind the last one, and what an LZ4 checksum finds
 * wrong. Backups that v0.3 has encrypted with age are told apart (ERR_UNSUPPORTED).
 *
 * Nothing that was read may be trusted before the end was reached without an error: the
 * checksum of the content stands behind it.
 */
#ifndef COMMON_V03_V03_LZ4_H
#define COMMON_V03_V03_LZ4_H

#include <stddef.h>

#include "common/base/err.h"

/* Two blocks of the largest size, the window and the input. */
#define V03_LZ4_MEMORY ((size_t)9 << 20)

/* Where the stored bytes come from: up to cap bytes, *n = 0 at the end. */
struct v03_source {
    int (*read)(void *arg, void *buf, size_t cap, size_t *n, struct err *e);
    void *arg;
};

struct v03_lz4; /* opaque */

int v03_lz4_open(struct v03_source src, struct v03_lz4 **out, struct err *e);
void v03_lz4_free(struct v03_lz4 *z); /* NULL is fine */

/*
 * Up to cap bytes; *n = 0 at the end, once everything was found right. After an error
 * nothing more can be read.
 */
int v03_lz4_read(struct v03_lz4 *z, void *buf, size_t cap, size_t *n, struct err *e);

#endif
