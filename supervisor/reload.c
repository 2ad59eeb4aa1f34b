/*
 * From one configuration to the next: what is there, what shall be, and the difference.
 * The start is the same with nothing there yet.
 */
#include <search.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "config/diff.h"
#include "supervisor/supervisor_impl.h"

/* A database that shall be there. The first member lets it be a key of a tree. */
struct wish {
    const char *path;
    struct cfg_share *share; /* borrowed */
    const struct cfg_db *db;
    enum db_origin origin;
    struct dirs_member *member; /* NULL: of a `path` entry */
};

struct place {
    const char *name;
    const char *path; /* of its database */
};

struct wishes {
    struct arena arena; /* all of it */
    struct wish *all;
    size_t n;
    void *by_path, *by_place; /* tsearch trees */
};

/* Both kinds of keys begin with their text. */
static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
keep(void *node)
{
    (void)node; /* the arena's */
}

static void
wishes_deinit(struct wishes *w)
{
    tdestroy(w->by_path, keep);
    tdestroy(w->by_place, keep);
    arena_deinit(&w->arena);
}

static int
no_memory(struct err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for the databases of the configuration");
}

/* --- what shall be --------------------------------------------------------------------
 */

/* The first of a path counts: entries of their own before members of folders. */
static int
wish_for(struct wishes *w, const struct wish *what, struct err *e)
{
    struct wish *x = &w->all[w->n], **found;

    *x = *what;
    found = tsearch(x, &w->by_path, compare);
    if (found == NULL)
        return no_memory(e);
    if (*found == x) {
        w->n++;
        return 0;
    }
    if ((*found)->member != NULL)
        log_warn("database belongs to two directory entries, the first one counts",
            LF_STR("path", x->path));
    return 0;
}

static int
take_place(struct wishes *w, const char *name, const char *path, struct err *e)
{
    struct place *p = ARENA_NEW(&w->arena, struct place), **found;

    *p = (struct place){ .name = name, .path = path };
    found = tsearch(p, &w->by_place, compare);
    if (found == NULL)
        return no_memory(e);
    if (*found == p)
        return 0;
    return err_set(e, ERR_CONFIG,
        "databases %s and %s would share a place (%s), which would destroy the replicas "
        "of both; give each its own path or meta-path",
        (*found)->path, path, name);
}

static int
take_places(struct wishes *w, const struct cfg_db *db, struct err *e)
{
    const char *names[1 + SLOT_MAX_REPLICAS];
    size_t n = cfg_db_places(&w->arena, db, names, 1 + SLOT_MAX_REPLICAS);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = take_place(w, names[i], db->path, e);
    return rc;
}

static bool
is_wished(const struct wishes *w, const char *path)
{
    return tfind(&path, &w->by_path, compare) != NULL;
}

/* No two may write to one place, those included that were registered and stay. */
static int
check_places(struct wishes *w, const struct supervisor *s, struct err *e)
{
    struct db_info info;
    int rc = 0;

    for (size_t i = 0; i < w->n && rc == 0; i++)
        if (w->all[i].db->enabled)
            rc = take_places(w, w->all[i].db, e);
    for (const struct db_entry *d = db_table_next(s->table, NULL); d != NULL && rc == 0;
         d = db_table_next(s->table, d)) {
        db_entry_info(d, &info);
        if (info.origin == DB_REGISTERED && !info.removing && !is_wished(w, info.path))
            rc = take_places(w, info.db, e);
    }
    return rc;
}

static int
collect(struct wishes *w, struct supervisor *s, struct cfg_share *share,
    struct dirs *dirs, struct err *e)
{
    const struct config *c = cfg_share_config(share);
    size_t n_members;
    struct dirs_member *members = dirs_members(dirs, &n_members);
    int rc = 0;

    *w = (struct wishes){ .n = 0 };
    arena_init(&w->arena);
    w->all = arena_alloc(&w->arena, (c->n_dbs + n_members + 1) * sizeof(*w->all));
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++) {
        const struct wish x = { .path = c->dbs[i].path,
            .share = share,
            .db = &c->dbs[i],
            .origin = DB_FROM_CONFIG };

        if (x.path[0] != '\0')
            rc = wish_for(w, &x, e);
    }
    for (size_t i = 0; i < n_members && rc == 0; i++) {
        const struct wish x = { .path = members[i].db->path,
            .share = members[i].share,
            .db = members[i].db,
            .origin = DB_FROM_DIRECTORY,
            .member = &members[i] };

        rc = wish_for(w, &x, e);
    }
    return rc == 0 ? check_places(w, s, e) : rc;
}

/* --- the difference -------------------------------------------------------------------
 */

static void
remove_unwished(
    struct supervisor *s, const struct wishes *w, struct reload_report *report)
{
    const struct db_entry *d = db_table_next(s->table, NULL), *next;
    struct db_info info;
    struct err e;

    for (; d != NULL; d = next) {
        next = db_table_next(s->table, d);
        db_entry_info(d, &info);
        if (info.removing || info.origin == DB_REGISTERED || is_wished(w, info.path))
            continue;
        if (db_table_remove(s->table, info.path, 0, NULL, NULL, &e) == 0) {
            report->n_removed++;
            log_info("removed database from replication", LF_STR("path", info.path));
        }
    }
}

static void
add_late(struct supervisor *s, const struct wish *x)
{
    struct late_add *l = MEM_NEW(struct late_add);

    *l = (struct late_add){ .next = s->late,
        .share = cfg_share_get(x->share),
        .db = x->db,
        .origin = x->origin };
    s->late = l;
}

/* Its place may still belong to one that is on its way out. */
static int
add(struct supervisor *s, const struct wish *x, struct err *e)
{
    int rc = db_table_add(s->table, x->share, x->db, x->origin, e);

    if (rc != ERR_CONFLICT)
        return rc;
    add_late(s, x);
    return 0;
}

static int
change(struct supervisor *s, const struct wish *x, const struct db_info *now,
    struct reload_report *report, struct err *e)
{
    bool same = now->db->enabled == x->db->enabled &&
                cfg_db_same(now->config, now->db, cfg_share_config(x->share), x->db);
    int rc = db_table_replace(s->table, x->share, x->db, x->origin, !same, e);

    report->n_kept += same;
    report->n_restarted += !same;
    if (rc != ERR_CONFLICT)
        return rc;
    /* it changes its place with another one: both go before they come */
    rc = db_table_remove(s->table, x->path, 0, NULL, NULL, e);
    if (rc == 0)
        add_late(s, x);
    return rc;
}

static int
grant(struct supervisor *s, const struct wish *x, struct reload_report *report,
    struct err *e)
{
    const struct db_entry *d = db_table_find(s->table, x->path);
    struct db_info info = { .removing = true };

    if (d != NULL)
        db_entry_info(d, &info);
    if (x->member != NULL)
        x->member->taken = true;
    if (!info.removing)
        return change(s, x, &info, report, e);
    report->n_added++;
    return add(s, x, e);
}

void
reload_drop_late(struct supervisor *s)
{
    while (s->late != NULL) {
        struct late_add *l = s->late;

        s->late = l->next;
        cfg_share_put(l->share);
        mem_free(l);
    }
}

void
reload_retry_late(struct supervisor *s)
{
    struct late_add *l = s->late;

    s->late = NULL;
    while (l != NULL) {
        struct late_add *next = l->next;
        struct err e;
        int rc = db_table_add(s->table, l->share, l->db, l->origin, &e);

        if (rc == ERR_CONFLICT) {
            l->next = s->late;
            s->late = l;
        } else {
            if (rc != 0 && rc != ERR_CANCELLED)
                log_error("register database with store", LF_STR("path", l->db->path),
                    LF_ERR(&e));
            cfg_share_put(l->share);
            mem_free(l);
        }
        l = next;
    }
}

int
reload_apply(struct supervisor *s, struct cfg_share *share, struct reload_report *report,
    struct err *e)
{
    struct dirs *dirs = NULL;
    struct wishes w;
    int rc = dirs_new(&s->loop, s->table, share, &dirs, e);

    if (rc != 0)
        return rc;
    rc = collect(&w, s, share, dirs, e);
    if (rc != 0) {
        wishes_deinit(&w);
        dirs_close(dirs, NULL, NULL);
        return rc;
    }
    reload_drop_late(s);
    remove_unwished(s, &w, report);
    for (size_t i = 0; i < w.n; i++)
        if (grant(s, &w.all[i], report, e) != 0)
            log_error(
                "register database with store", LF_STR("path", w.all[i].path), LF_ERR(e));
    wishes_deinit(&w);
    dirs_commit(dirs);
    dirs_close(s->dirs, NULL, NULL);
    s->dirs = dirs;
    return 0;
}

/* --- from outside ---------------------------------------------------------------------
 */

static int
load(struct supervisor *s, struct config **out, struct err *e)
{
    if (s->stopping)
        return err_set(e, ERR_CANCELLED, "the program is ending");
    if (s->options->load == NULL || s->options->once)
        return err_set(
            e, ERR_UNSUPPORTED, "there is no configuration that could be read again");
    return s->options->load(s->options->load_arg, out, e);
}

static void
tell(const struct supervisor *s, const struct reload_report *r)
{
    log_info("configuration reloaded", LF_STR("file", supervisor_config(s)->file),
        LF_UINT("added", r->n_added), LF_UINT("removed", r->n_removed),
        LF_UINT("restarted", r->n_restarted), LF_UINT("kept", r->n_kept));
    if (r->ignored[0] != '\0')
        log_warn("changed settings take effect when the program starts anew",
            LF_STR("keys", r->ignored));
}

int
supervisor_reload(struct supervisor *s, struct reload_report *out, struct err *e)
{
    struct config *c = NULL;
    struct cfg_share *share = NULL;
    struct arena scratch;
    int rc = load(s, &c, e);

    *out = (struct reload_report){ .ignored = "" };
    if (rc == 0) {
        share = cfg_share_new(c, true);
        rc = reload_apply(s, share, out, e);
    }
    if (rc != 0) {
        cfg_share_put(share);
        log_error("configuration not reloaded, nothing has changed", LF_ERR(e),
            LF_STR("hint", e->hint));
        return rc;
    }
    cfg_share_put(s->share);
    s->share = share;
    arena_init(&scratch);
    mem_free(s->ignored);
    s->ignored = mem_strdup(config_fixed_changes(&scratch, s->options->config, c));
    arena_deinit(&scratch);
    out->ignored = s->ignored;
    db_table_set_log_level(s->table, config_log_level(c));
    heartbeat_reloaded(s->heartbeat);
    tell(s, out);
    return 0;
}
