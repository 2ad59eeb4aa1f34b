/*
 * source - where the bytes of an upload come from.
 *
 * Two kinds: a local file (known size, can be read again, may be copied by the kernel),
 * and a pipe that a thread fills while a driver empties it (a merge or a snapshot being
 * made).
 */
#ifndef DRIVERS_SOURCE_H
#define DRIVERS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"

struct drv_source {
    /*
     * Up to cap bytes; *n = 0 at the end. wait: block until there are some (only off the
     * loop); else ERR_AGAIN when there are none yet, and `wake` comes from the loop.
     */
    int (*read)(
        struct drv_source *s, void *buf, size_t cap, bool wait, size_t *n, struct err *e);

    /* Goes back to a byte for a retry; NULL when the bytes are gone. */
    int (*rewind)(struct drv_source *s, int64_t off, struct err *e);

    /* Set by the driver before its first read on the loop. */
    void (*wake)(void *arg);
    void *wake_arg;

    int fd; /* a file that may be read directly from `fd_off`, -1: none */
    int64_t fd_off;
};

/* The rest of an open file from its offset `off`; borrows fd. */
void drv_source_file(struct drv_source *s, int fd, int64_t off);

/*
 * drv_pipe - bounded; the writer waits while it is full.
 */
struct drv_pipe; /* opaque */

int drv_pipe_new(uv_loop_t *loop, size_t cap, struct drv_pipe **out, struct err *e);

/* Reader's end, valid until drv_pipe_free. */
struct drv_source *drv_pipe_source(struct drv_pipe *p);

/* Writer's thread. ERR_CANCELLED when the reader has gone. */
int drv_pipe_write(struct drv_pipe *p, const void *bytes, size_t n, struct err *e);

/* Writer's last word: NULL is the end of the stream, else the reader gets the error. */
void drv_pipe_end(struct drv_pipe *p, const struct err *e);

/* Reader's last word: the writer's next call fails. */
void drv_pipe_abandon(struct drv_pipe *p);

/* From the loop, after both sides are through; NULL is fine. */
void drv_pipe_free(struct drv_pipe *p);

#endif
