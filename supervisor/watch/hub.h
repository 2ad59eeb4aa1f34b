/*
 * hub - file watches on behalf of workers: one inotify instance, thousands of watches, no
 * file opened. A watch tells of one event and is gone.
 */
#ifndef SUPERVISOR_WATCH_HUB_H
#define SUPERVISOR_WATCH_HUB_H

#include <stdbool.h>

#include <uv.h>

struct hub_watch {
    uv_fs_event_t handle;
    bool open; /* the handle was initialised */
    void (*fired)(struct hub_watch *w);
    void (*closed)(struct hub_watch *w);
};

/* Sets the watch; false: it cannot be had. An armed watch is set anew. */
bool hub_arm(struct hub_watch *w, uv_loop_t *loop, const char *path,
    void (*fired)(struct hub_watch *w));
void hub_disarm(struct hub_watch *w);

/*
 * The struct's memory may go when `closed` was called, from the loop. False: nothing was
 * open, `closed` does not come and the memory may go at once. Not twice.
 */
bool hub_close(struct hub_watch *w, void (*closed)(struct hub_watch *w));

/*
 * How many workers may have an inotify instance of their own: half of what a user may
 * have, at most 64. LITESTREAM_INOTIFY_BUDGET in the environment overrides it.
 */
unsigned hub_own_budget(void);

#endif
