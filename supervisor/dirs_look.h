/*
 * dirs_look - one folder as it is: what may be a database, and what folders are in it.
 */
#ifndef SUPERVISOR_DIRS_LOOK_H
#define SUPERVISOR_DIRS_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "config/config.h"

struct look_item {
    char *name;
    bool is_folder; /* else a file whose name is that of a member */
    bool seen;      /* for the caller */
};

struct look {
    struct look_item *items; /* by name */
    size_t n, cap;
};

/* Folders only if the entry is recursive, and none of local state or replicas. */
int look_read(
    const struct cfg_db *dir, const char *path, struct look *out, struct err *e);
void look_deinit(struct look *l);

enum look_file {
    LOOK_DATABASE,
    LOOK_SHORT, /* too short to tell: it may become one */
    LOOK_OTHER, /* something else, or gone, or not to be read */
};

/* The first 16 bytes of a file. */
enum look_file look_file(const char *path);

#endif
