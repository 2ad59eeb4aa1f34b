#include <stdio.h>

#include <jansson.h>

#include "common/json/json_text.h"
#include "supervisor/commands/command.h"

static const struct command_help help = {
    .about =
        "Lists the databases of the configuration file and where they are replicated\n"
        "to. Neither replicas nor a running daemon are asked.",
    .usage = "\tlitestream databases [flags]",
};

static const char *
path_of(const struct cfg_db *db)
{
    return db->path[0] != '\0' ? db->path : db->dir_path;
}

static int
print_json(const struct config *c, const char *replica, struct err *e)
{
    json_t *list = json_array();
    int rc;

    for (size_t i = 0; i < c->n_dbs; i++)
        for (size_t k = 0; k < c->dbs[i].n_replicas; k++) {
            json_t *row;

            if (!command_is_replica(&c->dbs[i].replicas[k], replica))
                continue;
            row = json_object();
            json_object_set_new(row, "path", json_text_string(path_of(&c->dbs[i])));
            json_object_set_new(row, "replica",
                json_string(cfg_replica_type_name(c->dbs[i].replicas[k].type)));
            json_array_append_new(list, row);
        }
    rc = json_text_print(stdout, list, e);
    json_decref(list);
    return rc;
}

static void
print_table(const struct config *c, const char *replica)
{
    static const char *const header[] = { "path", "replica" };
    struct table *t = table_new(header, 2);

    for (size_t i = 0; i < c->n_dbs; i++)
        for (size_t k = 0; k < c->dbs[i].n_replicas; k++) {
            const char *row[] = { path_of(&c->dbs[i]),
                cfg_replica_type_name(c->dbs[i].replicas[k].type) };

            if (command_is_replica(&c->dbs[i].replicas[k], replica))
                table_add(t, row);
        }
    table_print_free(t);
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
        print_table(c, replica);
    config_free(c);
    return rc == 0 ? 0 : command_failed();
}
