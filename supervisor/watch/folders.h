/*
 * folders - watches on many folders with one inotify instance: what comes, goes or is
 * closed after writing in them. Writes themselves make no event, so that databases at
 * work wake nobody. Elsewhere than on Linux libuv's watches do the same with more events.
 */
#ifndef SUPERVISOR_WATCH_FOLDERS_H
#define SUPERVISOR_WATCH_FOLDERS_H

#include <stdbool.h>

#include <uv.h>

#include "common/base/err.h"

struct folders;      /* opaque */
struct folder_watch; /* opaque: of one folder */

struct folders_options {
    uv_loop_t *loop;

    /*
     * Something happened in a folder. name: of the entry in it, NULL: unknown, or the
     * folder itself went away and with it perhaps the watch. folder: as given to
     * folders_add. No watch may be added or removed in here.
     */
    void (*event)(void *arg, void *folder, const char *name);

    /* Events were lost: anything may have happened in any folder. */
    void (*lost)(void *arg);
    void *arg;
};

struct folders *folders_new(const struct folders_options *options);

/* ERR_LIMIT: no more watches can be had. An absolute path, not followed when a link. */
int folders_add(struct folders *f, const char *path, void *folder,
    struct folder_watch **out, struct err *e);
void folders_remove(struct folder_watch *w); /* NULL is fine */

/* All watches must be gone. `closed` comes from the loop. NULL is not fine. */
void folders_free(struct folders *f, void (*closed)(void *arg), void *arg);

#endif
