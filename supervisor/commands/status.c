#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/bytesize.h"
#include "common/base/duration.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/json/json_text.h"
#include "common/ltx/ltx_name.h"
#include "supervisor/commands/live.h"
#include "supervisor/commands/socket.h"
#include "supervisor/dirs.h"
#include "workers/sync/meta.h"

static const struct command_help help = {
    .about =
        "Tells the local state of the databases of the configuration file and, when a\n"
        "daemon answers on its control socket, the state of their replicas.",
    .usage = "\tlitestream status [flags] [DB_PATH]",
};

struct status {
    struct config_flags cf;
    const char *only; /* an expanded path; NULL: all */
    bool json, check;
    const struct config *config;
    json_t *live; /* /list of the daemon; NULL: there is none */
    struct table *table;
    json_t *list;
    size_t n_bad;
};

static const char *const header[] = { "database", "status", "local txid", "wal size",
    "replica txid", "lag", "last sync", "error" };

#define N_LOCAL 4
#define N_ALL 8

struct row {
    const char *cells[N_ALL];
    char txid[LTX_TXID_SIZE], wal[BYTESIZE_TEXT_MAX], replica_txid[LTX_TXID_SIZE],
        lag[DURATION_TEXT_MAX], last_sync[64];
};

/* --- what the disk says ---------------------------------------------------------------
 */

static const char *
local_state(const char *meta, char txid[LTX_TXID_SIZE])
{
    struct ltx_info newest;
    struct err e;
    int rc = meta_newest(meta, 0, &newest, &e);

    if (rc == 0) {
        ltx_txid_format(newest.max_txid, txid);
        return "ok";
    }
    return rc == ERR_NOT_FOUND ? "not initialized" : "error";
}

static void
fill_local(const struct cfg_db *db, const char *path, struct row *row)
{
    char *wal = mem_printf("%s-wal", path);
    struct stat st;

    snprintf(row->txid, sizeof(row->txid), "-");
    snprintf(row->wal, sizeof(row->wal), "-");
    if (stat(path, &st) != 0) {
        row->cells[1] = errno == ENOENT || errno == ENOTDIR ? "no database" : "error";
    } else {
        bytesize_format(stat(wal, &st) == 0 ? (uint64_t)st.st_size : 0, row->wal);
        row->cells[1] = local_state(db->meta_path, row->txid);
    }
    row->cells[0] = path;
    row->cells[2] = row->txid;
    row->cells[3] = row->wal;
    mem_free(wal);
}

/* --- what the daemon says -------------------------------------------------------------
 */

static void
fill_live(const json_t *db, struct row *row)
{
    row->cells[4] = live_txid(db, "replica_txid", row->replica_txid);
    row->cells[5] = live_lag(db, row->lag);
    row->cells[6] = row->last_sync;
    row->cells[7] =
        db == NULL ? "not known to the daemon" : socket_text(db, "last_error");
    socket_time(
        socket_text(db, "last_sync_at"), "never", row->last_sync, sizeof(row->last_sync));
}

/* Fine: it is followed, and everything is on its replicas. */
static bool
is_good(const struct row *row, const json_t *db)
{
    return strcmp(row->cells[1], "ok") == 0 &&
           json_is_true(json_object_get(db, "in_sync"));
}

/* --- rows -----------------------------------------------------------------------------
 */

static void
add_json(json_t *list, const struct row *row, size_t n)
{
    static const char *const keys[N_ALL] = { "database", "status", "local_txid",
        "wal_size", "replica_txid", "lag", "last_sync", "error" };
    json_t *o = json_object();

    for (size_t i = 0; i < n; i++)
        json_object_set_new(o, keys[i], json_text_string(row->cells[i]));
    json_array_append_new(list, o);
}

static void
add_cells(struct table *table, struct row *row)
{
    if (row->cells[7] != NULL && row->cells[7][0] == '\0')
        row->cells[7] = "-";
    table_add(table, row->cells);
}

static void
add_row(struct status *s, const struct cfg_db *db, const char *path)
{
    const json_t *live = s->live != NULL ? live_db(s->live, path) : NULL;
    size_t n = s->live != NULL ? N_ALL : N_LOCAL;
    struct row row = { .cells = { NULL } };

    if (s->only != NULL && strcmp(s->only, path) != 0)
        return;
    fill_local(db, path, &row);
    if (s->live != NULL)
        fill_live(live, &row);
    s->n_bad += db->enabled && !is_good(&row, live);
    if (s->json)
        add_json(s->list, &row, n);
    else
        add_cells(s->table, &row);
}

struct folder_walk {
    struct status *s;
    const struct cfg_db *dir;
};

/* One that another entry has is not listed again. */
static int
on_member(void *arg, const char *path, struct err *e)
{
    const struct folder_walk *w = arg;
    struct config *member;
    int rc;

    for (size_t i = 0; i < w->s->config->n_dbs; i++)
        if (strcmp(w->s->config->dbs[i].path, path) == 0)
            return 0;
    if (config_find_dir(w->s->config, path) != w->dir)
        return 0;
    rc = config_member(w->s->config, w->dir, path, &member, e);
    if (rc != 0)
        return rc;
    add_row(w->s, &member->dbs[0], path);
    config_free(member);
    return 0;
}

static int
add_rows(struct status *s, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < s->config->n_dbs && rc == 0; i++) {
        const struct cfg_db *db = &s->config->dbs[i];
        struct folder_walk w = { .s = s, .dir = db };

        if (db->path[0] != '\0')
            add_row(s, db, db->path);
        else
            rc = dirs_scan(db, on_member, &w, e);
    }
    return rc;
}

/* --- the command ----------------------------------------------------------------------
 */

static int
print(struct status *s, struct err *e)
{
    int rc;

    s->list = json_array();
    s->table = table_new(header, s->live != NULL ? N_ALL : N_LOCAL);
    rc = add_rows(s, e);
    if (rc == 0 && s->json)
        rc = json_text_print(stdout, s->list, e);
    if (rc == 0 && !s->json)
        table_print_free(s->table);
    else
        table_free(s->table);
    json_decref(s->list);
    return rc;
}

static int
run(struct status *s, struct err *e)
{
    struct config *config;
    struct err why = ERR_NONE;
    int rc = command_load_config(&s->cf, true, &config, e);

    if (rc != 0)
        return rc;
    s->config = config;
    rc = config_check_replicas(config, e);
    if (rc == 0)
        live_ask(config, &s->live, &why);
    if (rc == 0)
        rc = print(s, e);
    if (rc == 0 && s->check && s->live == NULL)
        rc = err_set(e, ERR_NETWORK, "cannot check the replicas: %s", why.text);
    else if (rc == 0 && s->check && s->n_bad > 0)
        rc = err_set(e, ERR_NETWORK, "%zu databases are not healthy", s->n_bad);
    json_decref(s->live);
    config_free(config);
    return rc;
}

int
cmd_status(int argc, char **argv, struct err *e)
{
    struct status s = { .only = NULL };
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(s.cf),
        { .name = "json", .type = FLAG_BOOL, .value = &s.json, .doc = "Print JSON." },
        { .name = "check",
            .type = FLAG_BOOL,
            .value = &s.check,
            .doc = "Fail when a database is not known to be on all its replicas." },
    };
    char *only = NULL;
    int used, status, rc = 0;

    if (!command_flags(&help, flags, 4, argc, argv, &used, &status, e))
        return status;
    if (argc > used) /* more of them are ignored */
        rc = path_expand_db(argv[used], &only, e);
    s.only = only;
    if (rc == 0)
        rc = run(&s, e);
    mem_free(only);
    return rc == 0 ? 0 : command_failed();
}
