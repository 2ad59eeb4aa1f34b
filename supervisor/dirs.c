#include "supervisor/dirs.h"

#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "supervisor/dirs_impl.h"
#include "supervisor/dirs_look.h"

#define SETTLE_MS 250 /* from the first sign to the look */
#define POLL_MS 10000 /* where nothing can be watched */

/* Looks take at most this part of the time, however large the folders are. */
#define LOOK_SHARE 20

/* --- following ------------------------------------------------------------------------
 */

static size_t
n_dirty(const struct dirs *d)
{
    size_t n = 0;

    for (const struct folder *f = d->dirty; f != NULL; f = f->next_dirty)
        n++;
    return n;
}

static void
on_settled(uv_timer_t *h)
{
    struct dirs *d = container_of(h, struct dirs, settle);
    struct mono begin = mono_now();
    struct folder *f;
    struct err e;

    for (size_t n = n_dirty(d); n > 0 && (f = folder_marked(d)) != NULL; n--)
        if (folder_look(f, &e) != 0)
            log_error("directory watcher error", LF_ERR(&e));
    d->settle_ms = mono_since_ms(begin) * LOOK_SHARE;
    if (d->settle_ms < SETTLE_MS)
        d->settle_ms = SETTLE_MS;
    if (d->dirty != NULL)
        uv_timer_start(h, on_settled, (uint64_t)d->settle_ms, 0);
}

void
dirs_wake(struct dirs *d)
{
    if (d->live && !uv_is_active((uv_handle_t *)&d->settle))
        uv_timer_start(&d->settle, on_settled, (uint64_t)d->settle_ms, 0);
}

static void
on_lost(void *arg)
{
    struct dirs *d = arg;

    log_warn("directory watcher lost events, all folders are looked at");
    for (struct folder *f = d->folders; f != NULL; f = f->next) {
        f->recheck_all = true;
        folder_mark(f);
    }
}

static bool
has_unwatched_file(const struct folder *f)
{
    for (size_t i = 0; i < f->n_known; i++)
        if (f->known[i].state == KNOWN_SHORT && f->known[i].watch == NULL)
            return true;
    return false;
}

static void
on_poll(uv_timer_t *h)
{
    struct dirs *d = container_of(h, struct dirs, poll);

    for (struct folder *f = d->folders; f != NULL; f = f->next)
        if (f->dir->cfg->watch && (f->watch == NULL || has_unwatched_file(f))) {
            f->recheck_all = true;
            folder_mark(f);
        }
    /* a file system that was mounted over a folder makes no event in it */
    for (size_t i = 0; i < d->n_dirs; i++)
        if (d->dirs[i].cfg->watch && folder_is_another(d->dirs[i].root)) {
            d->dirs[i].root->rewatch = d->dirs[i].root->recheck_all = true;
            folder_mark(d->dirs[i].root);
        }
}

/* --- life -----------------------------------------------------------------------------
 */

void
dirs_found(struct folder *f, struct cfg_share *share, const struct cfg_db *db)
{
    struct dirs *d = f->dir->of;

    if (d->n_members == d->cap_members) {
        d->cap_members = d->cap_members == 0 ? 64 : d->cap_members * 2;
        d->members = mem_resize(d->members, d->cap_members * sizeof(d->members[0]));
    }
    d->members[d->n_members++] =
        (struct dirs_member){ .share = cfg_share_get(share), .db = db, .where = f };
}

static int
scan_entry(struct dir *dir, struct err *e)
{
    const struct cfg_db *cfg = dir->cfg;
    size_t before = dir->of->n_members;
    int rc;

    dir->root = folder_new(dir, cfg->dir_path);
    rc = folder_is_link(cfg->dir_path) ? 0 : folder_look(dir->root, e);
    if (rc != 0)
        return err_wrap(e, "failed to scan directory %s", cfg->dir);
    if (folder_is_link(cfg->dir_path) && cfg->watch)
        log_warn("directory is a symbolic link, which is not followed",
            LF_STR("dir", cfg->dir));
    if (dir->of->n_members == before && !cfg->watch) {
        err_set(e, ERR_CONFIG,
            "no SQLite databases found in directory %s with pattern %s", cfg->dir,
            cfg->pattern);
        if (folder_is_link(cfg->dir_path))
            err_hint(e, "give the folder that the symbolic link points to");
        return (int)e->code;
    }
    log_info("found databases in directory", LF_STR("dir", cfg->dir),
        LF_UINT("count", dir->of->n_members - before), LF_BOOL("watch", cfg->watch));
    return 0;
}

static size_t
count_dirs(const struct config *c, bool *watched)
{
    size_t n = 0;

    *watched = false;
    for (size_t i = 0; i < c->n_dbs; i++)
        if (c->dbs[i].enabled && c->dbs[i].dir_path[0] != '\0') {
            n++;
            *watched = *watched || c->dbs[i].watch;
        }
    return n;
}

static void
open_handles(struct dirs *d, bool watched)
{
    struct folders_options options = {
        .loop = d->loop, .event = folder_event, .lost = on_lost, .arg = d
    };

    must(uv_timer_init(d->loop, &d->settle) == 0);
    must(uv_timer_init(d->loop, &d->poll) == 0);
    d->n_handles = 2;
    if (!watched)
        return;
    d->watches = folders_new(&options);
    d->n_handles++;
}

int
dirs_new(uv_loop_t *loop, struct db_table *table, struct cfg_share *share,
    struct dirs **out, struct err *e)
{
    const struct config *c = cfg_share_config(share);
    struct dirs *d = MEM_NEW(struct dirs);
    bool watched;
    int rc = 0;

    d->loop = loop;
    d->table = table;
    d->share = cfg_share_get(share);
    d->dirty_end = &d->dirty;
    d->settle_ms = SETTLE_MS;
    d->dirs = mem_new_array(count_dirs(c, &watched) + 1, sizeof(d->dirs[0]));
    open_handles(d, watched);
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        if (c->dbs[i].enabled && c->dbs[i].dir_path[0] != '\0') {
            struct dir *dir = &d->dirs[d->n_dirs++];

            *dir = (struct dir){ .of = d, .cfg = &c->dbs[i] };
            rc = scan_entry(dir, e);
        }
    if (rc != 0)
        dirs_close(d, NULL, NULL);
    else
        *out = d;
    return rc;
}

struct dirs_member *
dirs_members(struct dirs *d, size_t *n)
{
    *n = d->n_members;
    return d->members;
}

static void
drop_members(struct dirs *d)
{
    for (size_t i = 0; i < d->n_members; i++)
        cfg_share_put(d->members[i].share);
    mem_free(d->members);
    d->members = NULL;
    d->n_members = d->cap_members = 0;
}

void
dirs_commit(struct dirs *d)
{
    for (size_t i = 0; i < d->n_members; i++)
        if (!d->members[i].taken)
            folder_disown(d->members[i].where, path_base(d->members[i].db->path));
    drop_members(d);
    d->live = true;
    if (d->watches != NULL)
        uv_timer_start(&d->poll, on_poll, POLL_MS, POLL_MS);
    if (d->dirty != NULL)
        folder_mark(d->dirty); /* what happened since */
}

void
dirs_maybe_closed(struct dirs *d)
{
    if (!d->closing || d->n_handles > 0 || d->n_file_watches > 0)
        return;
    if (d->closed != NULL)
        d->closed(d->closed_arg);
    mem_free(d->dirs);
    mem_free(d);
}

static void
handle_gone(struct dirs *d)
{
    d->n_handles--;
    dirs_maybe_closed(d);
}

static void
on_settle_closed(uv_handle_t *h)
{
    handle_gone(container_of(h, struct dirs, settle));
}

static void
on_poll_closed(uv_handle_t *h)
{
    handle_gone(container_of(h, struct dirs, poll));
}

static void
on_watches_closed(void *arg)
{
    handle_gone(arg);
}

void
dirs_close(struct dirs *d, void (*closed)(void *arg), void *arg)
{
    if (d == NULL || d->closing)
        return;
    d->closing = true;
    d->live = false;
    d->closed = closed;
    d->closed_arg = arg;
    drop_members(d);
    for (size_t i = 0; i < d->n_dirs; i++)
        if (d->dirs[i].root != NULL)
            folder_free(d->dirs[i].root, false);
    cfg_share_put(d->share);
    uv_close((uv_handle_t *)&d->settle, on_settle_closed);
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
    if (d->watches != NULL)
        folders_free(d->watches, on_watches_closed, d);
}

/* --- for commands ---------------------------------------------------------------------
 */

static int
scan_folder(const struct cfg_db *dir, const char *path, dirs_found_cb *found, void *arg,
    struct err *e)
{
    struct look l;
    int rc = look_read(dir, path, &l, e);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        char *full = path_join(path, l.items[i].name);

        if (l.items[i].is_folder)
            rc = scan_folder(dir, full, found, arg, e);
        else if (look_file(full) == LOOK_DATABASE)
            rc = found(arg, full, e);
        mem_free(full);
    }
    look_deinit(&l);
    return rc;
}

int
dirs_scan(const struct cfg_db *dir, dirs_found_cb *found, void *arg, struct err *e)
{
    if (folder_is_link(dir->dir_path))
        return 0;
    if (scan_folder(dir, dir->dir_path, found, arg, e) != 0)
        return err_wrap(e, "failed to scan directory %s", dir->dir);
    return 0;
}
