#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/json/json_text.h"
#include "supervisor/commands/command.h"
#include "supervisor/dirs.h"

static const struct command_help help = {
    .about =
        "Lists the databases of the configuration file, those found in its directories\n"
        "included, and where they are replicated to. Neither replicas nor a running\n"
        "daemon are asked.",
    .usage = "\tlitestream databases [flags]",
};

/* A row: a database and one of its replicas. */
typedef int row_cb(void *to, const char *path, const char *type, struct err *e);

struct rows {
    const struct config *config;
    const char *replica; /* asked for; NULL: any */
    const struct cfg_db *dir;
    row_cb *add;
    void *to;
};

static int
add_rows(const struct rows *r, const char *path, const struct cfg_db *db, struct err *e)
{
    int rc = 0;

    for (size_t k = 0; k < db->n_replicas && rc == 0; k++)
        if (command_is_replica(&db->replicas[k], r->replica))
            rc = r->add(r->to, path, cfg_replica_type_name(db->replicas[k].type), e);
    return rc;
}

/* One that another entry has is not listed again. */
static int
on_member(void *arg, const char *path, struct err *e)
{
    const struct rows *r = arg;

    for (const struct cfg_db *db = r->config->dbs; db < r->config->dbs + r->config->n_dbs;
         db++)
        if (strcmp(db->path, path) == 0)
            return 0;
    return config_find_dir(r->config, path) == r->dir ? add_rows(r, path, r->dir, e) : 0;
}

static int
each_row(
    const struct config *c, const char *replica, row_cb *add, void *to, struct err *e)
{
    struct rows r = { .config = c, .replica = replica, .add = add, .to = to };
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs && rc == 0; i++) {
        r.dir = &c->dbs[i];
        if (c->dbs[i].path[0] != '\0')
            rc = add_rows(&r, c->dbs[i].path, &c->dbs[i], e);
        else
            rc = dirs_scan(r.dir, on_member, &r, e);
    }
    return rc;
}

static int
add_json(void *to, const char *path, const char *type, struct err *e)
{
    json_t *row = json_object();

    (void)e;
    json_object_set_new(row, "path", json_text_string(path));
    json_object_set_new(row, "replica", json_string(type));
    json_array_append_new(to, row);
    return 0;
}

static int
print_json(const struct config *c, const char *replica, struct err *e)
{
    json_t *list = json_array();
    int rc = each_row(c, replica, add_json, list, e);

    if (rc == 0)
        rc = json_text_print(stdout, list, e);
    json_decref(list);
    return rc;
}

static int
add_cells(void *to, const char *path, const char *type, struct err *e)
{
    const char *row[] = { path, type };

    (void)e;
    table_add(to, row);
    return 0;
}

static int
print_table(const struct config *c, const char *replica, struct err *e)
{
    static const char *const header[] = { "path", "replica" };
    struct table *t = table_new(header, 2);
    int rc = each_row(c, replica, add_cells, t, e);

    if (rc == 0)
        table_print_free(t);
    else
        table_free(t);
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
        rc = config_check_replicas(c, e);
    if (rc == 0 && json)
        rc = print_json(c, replica, e);
    else if (rc == 0)
        rc = print_table(c, replica, e);
    config_free(c);
    return rc == 0 ? 0 : command_failed();
}
