#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/json/json_text.h"
#include "supervisor/commands/live.h"
#include "supervisor/commands/socket.h"
#include "supervisor/dirs.h"

static const struct command_help help = {
    .about =
        "Lists the databases of the configuration file, those found in its directories\n"
        "included, and where they are replicated to; and how far that is, when a daemon\n"
        "answers on its control socket. Replicas are not asked.",
    .usage = "\tlitestream databases [flags]",
};

#define N_PLAIN 2
#define N_ALL 6

static const char *const header[N_ALL] = { "path", "replica", "state", "replica txid",
    "lag", "error" };
static const char *const keys[N_ALL] = { "path", "replica", "state", "replica_txid",
    "lag", "error" };

/* A row: a database and one of its replicas. */
typedef void row_cb(void *to, const char *const *cells, size_t n);

struct rows {
    const struct config *config;
    const json_t *live;  /* NULL: no daemon answers */
    const char *replica; /* asked for; NULL: any */
    const struct cfg_db *dir;
    row_cb *add;
    void *to;
};

static void
add_row(const struct rows *r, const char *path, const struct cfg_db *db, size_t i)
{
    const json_t *live = live_db(r->live, path);
    const json_t *replica = live_replica(live, i);
    char txid[LTX_TXID_SIZE], lag[DURATION_TEXT_MAX];
    const char *cells[N_ALL] = { path, cfg_replica_type_name(db->replicas[i].type) };

    cells[2] = live != NULL ? socket_text(live, "state") : "not known to the daemon";
    cells[3] = live_txid(replica, "txid", txid);
    cells[4] = live_lag(replica, lag);
    cells[5] = replica != NULL ? socket_text(replica, "error") : "";
    if (cells[5][0] == '\0' && live != NULL)
        cells[5] = socket_text(live, "last_error");
    r->add(r->to, cells, r->live != NULL ? N_ALL : N_PLAIN);
}

static void
add_rows(const struct rows *r, const char *path, const struct cfg_db *db)
{
    for (size_t i = 0; i < db->n_replicas; i++)
        if (command_is_replica(&db->replicas[i], r->replica))
            add_row(r, path, db, i);
}

/* One that another entry has is not listed again. */
static int
on_member(void *arg, const char *path, struct err *e)
{
    const struct rows *r = arg;

    (void)e;
    for (const struct cfg_db *db = r->config->dbs; db < r->config->dbs + r->config->n_dbs;
         db++)
        if (strcmp(db->path, path) == 0)
            return 0;
    if (config_find_dir(r->config, path) == r->dir)
        add_rows(r, path, r->dir);
    return 0;
}

static int
each_row(struct rows *r, row_cb *add, void *to, struct err *e)
{
    const struct config *c = r->config;
    int rc = 0;

    r->add = add;
    r->to = to;
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++) {
        r->dir = &c->dbs[i];
        if (c->dbs[i].path[0] != '\0')
            add_rows(r, c->dbs[i].path, &c->dbs[i]);
        else
            rc = dirs_scan(r->dir, on_member, r, e);
    }
    return rc;
}

static void
add_json(void *to, const char *const *cells, size_t n)
{
    json_t *row = json_object();

    for (size_t i = 0; i < n; i++)
        json_object_set_new(row, keys[i], json_text_string(cells[i]));
    json_array_append_new(to, row);
}

static int
print_json(struct rows *r, struct err *e)
{
    json_t *list = json_array();
    int rc = each_row(r, add_json, list, e);

    if (rc == 0)
        rc = json_text_print(stdout, list, e);
    json_decref(list);
    return rc;
}

static void
add_cells(void *to, const char *const *cells, size_t n)
{
    const char *row[N_ALL];

    for (size_t i = 0; i < n; i++)
        row[i] = cells[i][0] != '\0' ? cells[i] : "-";
    table_add(to, row);
}

static int
print_table(struct rows *r, struct err *e)
{
    struct table *t = table_new(header, r->live != NULL ? N_ALL : N_PLAIN);
    int rc = each_row(r, add_cells, t, e);

    if (rc == 0)
        table_print_free(t);
    else
        table_free(t);
    return rc;
}

static int
run(const struct config *c, const char *replica, bool json, struct err *e)
{
    struct rows r = { .config = c, .replica = replica };
    struct err no_daemon;
    json_t *live = NULL;
    int rc = config_check_replicas(c, e);

    if (rc != 0)
        return rc;
    if (live_ask(c, &live, &no_daemon) == 0)
        r.live = live;
    rc = json ? print_json(&r, e) : print_table(&r, e);
    json_decref(live);
    return rc;
}

int
cmd_databases(int argc, char **argv, struct err *e)
{
    struct config_flags cf = { 0 };
    const char *replica = NULL;
    bool json = false;
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(cf),
        { .name = "replica",
            .type = FLAG_STRING,
            .value = &replica,
            .arg = "NAME",
            .doc = "List only replicas of this name or type." },
        { .name = "json", .type = FLAG_BOOL, .value = &json, .doc = "Print JSON." },
    };
    struct config *c = NULL;
    int used, status, rc;

    if (!command_flags(&help, flags, 4, argc, argv, &used, &status, e))
        return status;
    if (argc > used) {
        err_set(e, ERR_USAGE, "too many arguments");
        return command_failed();
    }
    rc = command_load_config(&cf, true, &c, e);
    if (rc == 0)
        rc = run(c, replica, json, e);
    config_free(c);
    return rc == 0 ? 0 : command_failed();
}
