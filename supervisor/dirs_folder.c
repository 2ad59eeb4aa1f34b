#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "supervisor/dirs_impl.h"
#include "supervisor/dirs_look.h"

/* Files that may become databases and have a watch of their own; more of them are polled.
 */
#define MAX_FILE_WATCHES 128

/* --- what is to be looked at ----------------------------------------------------------
 */

void
folder_mark(struct folder *f)
{
    struct dirs *d = f->dir->of;

    if (!f->dirty) {
        f->dirty = true;
        f->next_dirty = NULL;
        *d->dirty_end = f;
        d->dirty_end = &f->next_dirty;
    }
    dirs_wake(d);
}

struct folder *
folder_marked(struct dirs *d)
{
    struct folder *f = d->dirty;

    if (f == NULL)
        return NULL;
    d->dirty = f->next_dirty;
    if (d->dirty == NULL)
        d->dirty_end = &d->dirty;
    f->dirty = false;
    return f;
}

static void
unmark(struct folder *f)
{
    struct dirs *d = f->dir->of;
    struct folder **at = &d->dirty;

    if (!f->dirty)
        return;
    while (*at != f)
        at = &(*at)->next_dirty;
    *at = f->next_dirty;
    if (d->dirty_end == &f->next_dirty)
        d->dirty_end = at;
    f->dirty = false;
}

static int
compare_known(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static struct known *
find_known(const struct folder *f, const char *name)
{
    char *copy = mem_strdup(name);
    struct known key = { .name = copy }, *k = NULL;

    if (f->n_known > 0)
        k = bsearch(&key, f->known, f->n_known, sizeof(*f->known), compare_known);
    mem_free(copy);
    return k;
}

/* Does an event with this name call for a look? */
static bool
matters(struct folder *f, const char *name)
{
    struct known *k = find_known(f, name);
    struct stat st;
    char *path;
    bool there, is_folder;

    if (k != NULL && (k->state == KNOWN_SHORT || k->state == KNOWN_OTHER)) {
        k->recheck = true;
        return true;
    }
    if (k == NULL && cfg_dir_wants(f->dir->cfg, name))
        return true;
    if (k == NULL && !f->dir->cfg->recursive)
        return false;
    /* a database that is closed after writing, a side file that comes or goes */
    path = path_join(f->path, name);
    there = lstat(path, &st) == 0;
    is_folder = there && S_ISDIR(st.st_mode);
    mem_free(path);
    if (k == NULL)
        return is_folder;
    return !there || is_folder != (k->state == KNOWN_FOLDER) || is_folder;
}

void
folder_event(void *arg, void *folder, const char *name)
{
    struct folder *f = folder;

    (void)arg;
    if (name == NULL)
        f->rewatch = f->recheck_all = true;
    if (name == NULL || matters(f, name))
        folder_mark(f);
}

/* --- files that may become databases --------------------------------------------------
 */

static void
on_file_watch_closed(struct hub_watch *h)
{
    struct file_watch *w = container_of(h, struct file_watch, hub);
    struct dirs *d = w->dirs;

    mem_free(w->name);
    mem_free(w);
    d->n_file_watches--;
    dirs_maybe_closed(d);
}

static void
drop_file_watch(struct known *k)
{
    if (k->watch == NULL)
        return;
    k->watch->folder = NULL;
    if (!hub_close(&k->watch->hub, on_file_watch_closed))
        on_file_watch_closed(&k->watch->hub);
    k->watch = NULL;
}

static void
on_file_written(struct hub_watch *h)
{
    struct file_watch *w = container_of(h, struct file_watch, hub);
    struct known *k = w->folder != NULL ? find_known(w->folder, w->name) : NULL;

    if (k == NULL)
        return;
    k->recheck = true;
    folder_mark(w->folder);
}

/* Its next write calls for a look; where no watch can be had the folder is polled. */
static void
watch_file(struct folder *f, struct known *k, const char *path)
{
    struct dirs *d = f->dir->of;

    if (!f->dir->cfg->watch ||
        (k->watch == NULL && d->n_file_watches >= MAX_FILE_WATCHES))
        return;
    if (k->watch == NULL) {
        k->watch = MEM_NEW(struct file_watch);
        k->watch->dirs = d;
        k->watch->folder = f;
        k->watch->name = mem_strdup(k->name);
        d->n_file_watches++;
    }
    if (!hub_arm(&k->watch->hub, d->loop, path, on_file_written)) {
        drop_file_watch(k);
    } else if (look_file(path) != LOOK_SHORT) { /* written to in between */
        k->recheck = true;
        folder_mark(f);
    }
}

/* --- members --------------------------------------------------------------------------
 */

static enum known_state
add_to_table(struct dirs *d, struct cfg_share *share, const struct cfg_db *db)
{
    const struct db_entry *entry;
    struct db_info info;
    struct err e;
    int rc = db_table_add(d->table, share, db, DB_FROM_DIRECTORY, &e);

    if (rc == 0) {
        log_info("added database to replication", LF_STR("path", db->path));
        return KNOWN_MEMBER;
    }
    entry = rc == ERR_EXISTS ? db_table_find(d->table, db->path) : NULL;
    if (entry != NULL) {
        db_entry_info(entry, &info);
        if (info.origin == DB_FROM_DIRECTORY)
            log_warn("database belongs to two directory entries, the first one counts",
                LF_STR("path", db->path));
        return KNOWN_FOREIGN;
    }
    log_error("register database with store", LF_STR("path", db->path), LF_ERR(&e));
    return KNOWN_OTHER;
}

static enum known_state
add_member(struct folder *f, const char *path)
{
    struct dir *dir = f->dir;
    struct dirs *d = dir->of;
    struct config *c = NULL;
    struct cfg_share *share;
    enum known_state state = KNOWN_MEMBER;
    struct err e;

    if (config_member(cfg_share_config(d->share), dir->cfg, path, &c, &e) != 0) {
        log_error("configure database", LF_STR("path", path), LF_ERR(&e));
        return KNOWN_OTHER;
    }
    share = cfg_share_new(c, true);
    if (d->live)
        state = add_to_table(d, share, &c->dbs[0]);
    else
        dirs_found(f, share, &c->dbs[0]);
    cfg_share_put(share);
    if (state == KNOWN_MEMBER)
        dir->n_members++;
    return state;
}

static void
remove_member(struct dir *dir, const char *path)
{
    struct dirs *d = dir->of;
    const struct db_entry *entry = db_table_find(d->table, path);
    struct db_info info = { .path = NULL };
    struct err e;

    dir->n_members--;
    if (entry != NULL)
        db_entry_info(entry, &info);
    if (entry == NULL || info.removing || info.origin != DB_FROM_DIRECTORY)
        return; /* somebody took it out, or put it there himself */
    if (db_table_remove(d->table, path, 0, NULL, NULL, &e) != 0)
        log_error("unregister database from store", LF_STR("path", path), LF_ERR(&e));
    else
        log_info("removed database from replication", LF_STR("path", path));
}

/* --- folders --------------------------------------------------------------------------
 */

static int
watch_folder(struct folder *f, struct err *e)
{
    struct dirs *d = f->dir->of;
    struct stat st;

    folders_remove(f->watch);
    f->watch = NULL;
    f->rewatch = false;
    if (!f->dir->cfg->watch)
        return 0;
    if (lstat(f->path, &st) == 0) {
        f->dev = st.st_dev;
        f->ino = st.st_ino;
    }
    if (folders_add(d->watches, f->path, f, &f->watch, e) == 0)
        return 0;
    if (lstat(f->path, &st) == 0 && !d->limit_told) {
        d->limit_told = true;
        log_error("add directory watch", LF_STR("path", f->path), LF_ERR(e),
            LF_STR("hint", e->hint));
        log_warn("folders without a watch are looked at every 10 seconds");
    }
    return (int)e->code;
}

struct folder *
folder_new(struct dir *dir, const char *path)
{
    struct dirs *d = dir->of;
    struct folder *f = MEM_NEW(struct folder);
    struct err e;

    f->dir = dir;
    f->path = mem_strdup(path);
    f->next = d->folders;
    if (f->next != NULL)
        f->next->prev = f;
    d->folders = f;
    dir->n_folders++;
    watch_folder(f, &e); /* before the first look: nothing comes in between */
    return f;
}

static void drop_known(struct folder *f, struct known *k, bool gone);

void
folder_free(struct folder *f, bool gone)
{
    struct dirs *d = f->dir->of;

    for (size_t i = 0; i < f->n_known; i++)
        drop_known(f, &f->known[i], gone);
    unmark(f);
    folders_remove(f->watch);
    if (f->prev != NULL)
        f->prev->next = f->next;
    else
        d->folders = f->next;
    if (f->next != NULL)
        f->next->prev = f->prev;
    f->dir->n_folders--;
    mem_free(f->known);
    mem_free(f->path);
    mem_free(f);
}

static void
drop_known(struct folder *f, struct known *k, bool gone)
{
    if (k->state == KNOWN_FOLDER)
        folder_free(k->folder, gone);
    drop_file_watch(k);
    if (k->state == KNOWN_MEMBER && gone) {
        char *path = path_join(f->path, k->name);

        remove_member(f->dir, path);
        mem_free(path);
    }
    mem_free(k->name);
    k->name = NULL;
}

static void
examine(struct folder *f, struct known *k)
{
    char *path = path_join(f->path, k->name);

    k->recheck = false;
    switch (look_file(path)) {
    case LOOK_DATABASE:
        drop_file_watch(k);
        k->state = add_member(f, path);
        break;
    case LOOK_SHORT:
        k->state = KNOWN_SHORT;
        watch_file(f, k, path);
        break;
    case LOOK_OTHER:
        drop_file_watch(k);
        k->state = KNOWN_OTHER;
        break;
    }
    mem_free(path);
}

/* Something that was not there before. */
static int
meet(struct folder *f, struct look_item *item, struct known *k, struct err *e)
{
    *k = (struct known){ .name = item->name };
    item->name = NULL;
    if (item->is_folder) {
        char *path = path_join(f->path, k->name);
        bool too_many = f->dir->n_folders >= DIRS_MAX_FOLDERS;

        k->state = KNOWN_FOLDER;
        if (too_many) {
            k->state = KNOWN_OTHER;
            err_set(e, ERR_LIMIT, "more than %d folders below %s", DIRS_MAX_FOLDERS,
                f->dir->cfg->dir_path);
        } else {
            k->folder = folder_new(f->dir, path);
        }
        mem_free(path);
        return too_many ? (int)e->code : folder_look(k->folder, e);
    }
    examine(f, k);
    return 0;
}

static void
meet_again(struct folder *f, struct known *k)
{
    k->missing = false;
    if (k->state == KNOWN_FOLDER) {
        if (f->recheck_all || k->folder->watch == NULL || k->folder->rewatch)
            folder_mark(k->folder);
    } else if ((k->state == KNOWN_SHORT || k->state == KNOWN_OTHER) &&
               (k->recheck || f->recheck_all)) {
        examine(f, k);
    }
}

/* False: it is gone. One look more is waited for: a file may be about to be replaced. */
static bool
miss(struct folder *f, struct known *k)
{
    bool first = !k->missing && f->dir->of->live;

    k->missing = true;
    if (first)
        folder_mark(f);
    else
        drop_known(f, k, true);
    return first;
}

/* Two sorted lists: what is there, what is known. The first error is kept. */
static int
compare_with(struct folder *f, struct look *l, struct err *e)
{
    struct known *old = f->known, *fresh;
    size_t n_old = f->n_known, n = 0, i = 0, k = 0;
    struct err later;
    int rc = 0;

    fresh = mem_new_array(n_old + l->n + 1, sizeof(*fresh));
    while (i < l->n || k < n_old) {
        int order = i == l->n    ? 1
                    : k == n_old ? -1
                                 : strcmp(l->items[i].name, old[k].name);

        if (order == 0 && l->items[i].is_folder != (old[k].state == KNOWN_FOLDER)) {
            drop_known(f, &old[k++], true);
            order = -1;
        }
        if (order < 0) {
            if (meet(f, &l->items[i++], &fresh[n++], rc == 0 ? e : &later) != 0 &&
                rc == 0)
                rc = (int)e->code;
        } else if (order == 0) {
            fresh[n] = old[k++];
            meet_again(f, &fresh[n++]);
            i++;
        } else {
            fresh[n] = old[k++];
            n += miss(f, &fresh[n]);
        }
    }
    mem_free(old);
    f->known = fresh;
    f->n_known = n;
    return rc;
}

/*
 * One look. While the folders are followed, nothing but a folder that is not there any
 * more takes members away: one that cannot be read is left as it was.
 */
int
folder_look(struct folder *f, struct err *e)
{
    struct look l;
    int rc;

    if (f->rewatch || (f->watch == NULL && f->dir->of->live))
        watch_folder(f, e);
    rc = look_read(f->dir->cfg, f->path, &l, e);
    if (rc == ERR_NOT_FOUND && f->dir->of->live)
        rc = 0; /* nothing is in it */
    if (rc != 0)
        return rc;
    rc = compare_with(f, &l, e);
    f->recheck_all = false;
    look_deinit(&l);
    return rc;
}

void
folder_disown(struct folder *f, const char *name)
{
    struct known *k = find_known(f, name);

    if (k == NULL || k->state != KNOWN_MEMBER)
        return;
    k->state = KNOWN_FOREIGN;
    f->dir->n_members--;
}

bool
folder_is_another(const struct folder *f)
{
    struct stat st;

    return lstat(f->path, &st) == 0 && (st.st_dev != f->dev || st.st_ino != f->ino);
}

bool
folder_is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}
