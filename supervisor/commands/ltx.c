#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/json/json_text.h"
#include "common/ltx/ltx_name.h"
#include "supervisor/commands/command.h"
#include "workers/restore/restore.h"

static const struct command_help help = {
    .about = "Lists the LTX files of a replica.",
    .usage = "\tlitestream ltx [flags] DB_PATH\n\n\tlitestream ltx [flags] REPLICA_URL",
};

struct levels {
    int first, last;
};

static const char *
parse_levels(const char *text, void *value)
{
    struct levels *l = value;
    int64_t n;

    if (strcmp(text, "all") == 0) {
        *l = (struct levels){ 0, LTX_LEVEL_SNAPSHOT };
        return NULL;
    }
    if (flags_parse_int(text, &n) != NULL)
        return "invalid level: must be 0-9 or \"all\"";
    if (n < 0 || n > LTX_LEVEL_SNAPSHOT)
        return "level must be between 0 and 9";
    l->first = l->last = (int)n;
    return NULL;
}

static int
print_json(const struct restore_files *files, struct err *e)
{
    json_t *list = json_array();
    int rc;

    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (size_t i = 0; i < files->n[level]; i++) {
            const struct ltx_info *f = &files->level[level][i];
            char min[LTX_TXID_SIZE], max[LTX_TXID_SIZE], created[WALL_TEXT_MAX];

            ltx_txid_format(f->min_txid, min);
            ltx_txid_format(f->max_txid, max);
            wall_format(f->created, WALL_SECONDS, created);
            json_array_append_new(list,
                json_pack("{s:i, s:s, s:s, s:I, s:s}", "level", f->level, "min_txid", min,
                    "max_txid", max, "size", (json_int_t)f->size, "timestamp", created));
        }
    rc = json_text_print(stdout, list, e);
    json_decref(list);
    return rc;
}

static void
print_table(const struct restore_files *files)
{
    static const char *const header[] = { "level", "min_txid", "max_txid", "size",
        "created" };
    struct table *t = table_new(header, 5);

    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (size_t i = 0; i < files->n[level]; i++) {
            const struct ltx_info *f = &files->level[level][i];
            char number[16], min[LTX_TXID_SIZE], max[LTX_TXID_SIZE], size[32];
            char created[WALL_TEXT_MAX];
            const char *row[] = { number, min, max, size, created };

            snprintf(number, sizeof(number), "%d", f->level);
            ltx_txid_format(f->min_txid, min);
            ltx_txid_format(f->max_txid, max);
            snprintf(size, sizeof(size), "%lld", (long long)f->size);
            wall_format(f->created, WALL_SECONDS, created);
            table_add(t, row);
        }
    table_print_free(t);
}

static int
run(const char *source, const struct config_flags *cf, const struct levels *levels,
    bool json, struct err *e)
{
    struct restore_files files = { 0 };
    struct command_source src;
    int rc = command_source_open(source, cf, json, &src, e);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < src.n_replicas; i++)
        rc =
            restore_list(&src.replicas[i], levels->first, levels->last, false, &files, e);
    if (rc == 0 && json)
        rc = print_json(&files, e);
    else if (rc == 0)
        print_table(&files);
    restore_files_deinit(&files);
    command_source_close(&src);
    return rc;
}

static int
ltx_command(int argc, char **argv, struct err *e)
{
    struct config_flags cf = { 0 };
    struct levels levels = { 0, 0 };
    const char *path = NULL;
    bool json = false;
    const struct flag flags[] = {
        { .name = "config",
            .type = FLAG_STRING,
            .value = &cf.path,
            .arg = "PATH",
            .doc = "Configuration file." },
        { .name = "no-expand-env",
            .type = FLAG_BOOL,
            .value = &cf.no_expand_env,
            .doc = "Leave $NAME in the configuration file as it is." },
        { .name = "level",
            .type = FLAG_CUSTOM,
            .value = &levels,
            .parse = parse_levels,
            .arg = "LEVEL",
            .doc = "0 to 9, or all; default 0." },
        { .name = "json", .type = FLAG_BOOL, .value = &json, .doc = "Print JSON." },
        { .name = "path",
            .type = FLAG_STRING,
            .value = &path }, /* how old scripts say it */
    };
    int used, status;

    if (!command_flags(&help, flags, 5, argc, argv, &used, &status, e))
        return status;
    if (path != NULL) {
        fprintf(stderr,
            "Warning: the -path flag is deprecated, please give the path as an "
            "argument instead\n");
        used--; /* stands for an argument */
    } else if (argc > used) {
        path = argv[used];
    }
    if (path == NULL) {
        err_set(e, ERR_USAGE, "database path or replica URL required");
        err_hint(e, "litestream ltx /path/to/db");
    } else if (argc > used + 1) {
        err_set(e, ERR_USAGE, "too many arguments");
    } else if (run(path, &cf, &levels, json, e) == 0) {
        return 0;
    }
    return command_failed();
}

int
cmd_ltx(int argc, char **argv, struct err *e)
{
    return ltx_command(argc, argv, e);
}

int
cmd_wal(int argc, char **argv, struct err *e)
{
    fprintf(stderr, "Warning: 'wal' command is deprecated, please use 'ltx' instead\n");
    return ltx_command(argc, argv, e);
}
