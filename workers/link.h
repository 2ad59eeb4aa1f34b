/*
 * link - one end of the channel between the supervisor and a worker, on a libuv loop.
 *
 * Whole, checked messages in; messages out through a bounded queue. EOF, an error of the
 * socket or a violation of the protocol ends the link: `ended` comes once and nothing
 * after it. Used by both sides.
 */
#ifndef WORKERS_LINK_H
#define WORKERS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/ipc/messages.h"

struct link; /* opaque */

struct link_options {
    uv_loop_t *loop;
    int fd;               /* taken over, also when opening fails */
    enum msg_sender from; /* who the other side is */
    uint32_t incarnation; /* messages of another one are dropped */
    void (*message)(void *arg, const struct msg *m);
    void (*ended)(void *arg, const struct err *e); /* e NULL: EOF */
    void *arg;
};

int link_open(const struct link_options *options, struct link **out, struct err *e);

/* The state that decides which messages are good (enum worker_state). */
void link_set_state(struct link *l, unsigned state);

/*
 * Sends; head.size and head.incarnation are filled in. When the queue is full the link
 * ends with ERR_LIMIT (later, from the loop).
 */
void link_send(struct link *l, struct msg *m);

/* Everything sent has left this process. */
bool link_flushed(const struct link *l);

/* No more callbacks; may be called from any of them. NULL is fine. */
void link_close(struct link *l);

#endif
