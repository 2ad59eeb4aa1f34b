/*
 * dirs_impl - what the parts of dirs share: dirs.c (entries, life, when to look) and
 * dirs_folder.c (one folder: what is known of it, what a look changes).
 */
#ifndef SUPERVISOR_DIRS_IMPL_H
#define SUPERVISOR_DIRS_IMPL_H

#include <sys/types.h>

#include "supervisor/dirs.h"
#include "supervisor/watch/folders.h"
#include "supervisor/watch/hub.h"

enum known_state {
    KNOWN_FOLDER,
    KNOWN_MEMBER,  /* in the table by us */
    KNOWN_FOREIGN, /* in the table by somebody else */
    KNOWN_SHORT,   /* may become a database */
    KNOWN_OTHER,   /* none, as of the last look */
};

struct folder;
struct dir;

struct file_watch {
    struct hub_watch hub;
    struct dirs *dirs;
    struct folder *folder; /* NULL: closing */
    char *name;
};

/* Something in a folder. */
struct known {
    char *name;
    enum known_state state;
    bool missing;          /* at the last look */
    bool recheck;          /* it may be something else by now */
    struct folder *folder; /* KNOWN_FOLDER */
    struct file_watch *watch;
};

struct folder {
    struct dir *dir;
    char *path;
    struct known *known; /* by name */
    size_t n_known;
    struct folder_watch *watch; /* NULL: none can be had, or not wanted */
    dev_t dev;                  /* of what is watched */
    ino_t ino;
    bool rewatch, recheck_all;
    bool dirty, in_next;
    struct folder *next_dirty;
    struct folder *prev, *next; /* of all */
};

/* An entry of the configuration. */
struct dir {
    struct dirs *of;
    const struct cfg_db *cfg;
    struct folder *root;
    size_t n_folders, n_members;
};

struct dirs {
    uv_loop_t *loop;
    struct db_table *table;
    struct cfg_share *share;
    struct dir *dirs;
    size_t n_dirs;
    struct folders *watches; /* NULL: nobody wants any */
    uv_timer_t settle, poll;
    struct folder *folders; /* all of them */
    struct folder *dirty, **dirty_end;
    size_t n_file_watches; /* open or closing */
    bool live, closing, limit_told;
    bool watches_closed;
    int64_t settle_ms;

    struct dirs_member *members; /* until dirs_commit */
    size_t n_members, cap_members;

    unsigned n_handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* dirs.c */
void dirs_wake(struct dirs *d); /* something was marked: look soon */
void dirs_maybe_closed(struct dirs *d);
void dirs_found(struct folder *f, struct cfg_share *share, const struct cfg_db *db);

/* dirs_folder.c */
struct folder *folder_new(struct dir *dir, const char *path);
int folder_look(struct folder *f, struct err *e);
bool folder_is_another(const struct folder *f); /* than the one that is watched */
void folder_event(void *arg, void *folder, const char *name);
void folder_mark(struct folder *f);           /* to be looked at */
struct folder *folder_marked(struct dirs *d); /* the next one, no longer marked; NULL */
bool folder_is_link(const char *path);

/* Somebody else has this one of its members. */
void folder_disown(struct folder *f, const char *name);

/* gone: its members leave the table; else all of this ends and the table stays. */
void folder_free(struct folder *f, bool gone);

#endif
