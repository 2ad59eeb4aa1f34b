/*
 * tail - says "look" when something may have been written to a WAL. It carries no data
 * and may cry wolf; it must not stay silent.
 *
 * Three ways, best first:
 *   own    an inotify (kqueue) watch of this process on the -wal file
 *   hub    the supervisor watches for us: inotify instances are few (128 a user)
 *   poll   a timer, where there are no events (network file systems) or no watches left
 *
 * One event, then the watch is gone until the next tail_arm: a busy writer wakes its
 * worker once per round, not once per frame. The caller arms, then looks once, then
 * sleeps, so that a change between the last look and arming is not lost. A rare safety
 * tick asks for a look without any event; when the caller then finds something, the watch
 * has missed it and tail_missed() switches to polling.
 */
#ifndef WORKERS_TAIL_TAIL_H
#define WORKERS_TAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/base/err.h"

struct tail; /* opaque */

enum tail_mode { TAIL_OWN, TAIL_HUB, TAIL_POLL };

enum tail_event {
    TAIL_CHANGED, /* the watch fired and is gone, or the poll timer ticked */
    TAIL_ARMED,   /* a watch of the hub is set now */
    TAIL_SAFETY,  /* nothing was seen for a while: look once */
};

struct tail_options {
    uv_loop_t *loop;
    const char *path;    /* what is watched; borrowed */
    int64_t interval_ms; /* between two polls; <= 0: no polling, no safety tick */
    bool own;            /* a watch of this process may be tried */
    /* Asks the supervisor for a watch (arm) or to drop it; NULL: there is no hub. */
    void (*ask_hub)(void *arg, bool arm);
    void (*wake)(void *arg, enum tail_event event);
    void *arg;
};

struct tail *tail_new(const struct tail_options *options);

/* No more callbacks; NULL is fine. */
void tail_close(struct tail *t);

/*
 * Watches for the next change. True: the watch is set (or the poll timer runs), look once
 * now. False: it is being set, TAIL_ARMED will come.
 */
bool tail_arm(struct tail *t);
void tail_disarm(struct tail *t);

/* The supervisor's answer: the watch is set, has fired, or cannot be had. */
void tail_hub_event(struct tail *t, bool armed, bool failed);

/* The safety look found something that no event had told of. */
void tail_missed(struct tail *t);

enum tail_mode tail_mode(const struct tail *t);

#endif
