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

/* One row for each file, as text or JSON. With several replicas each row tells whose it
 * is. */
struct listing {
    bool many;
    struct table *table; /* NULL: JSON */
    json_t *list;
};

static void
listing_start(struct listing *l, bool json, bool many)
{
    static const char *const header[] = { "level", "min_txid", "max_txid", "size",
        "created", "replica" };

    *l = (struct listing){ .many = many };
    if (json)
        l->list = json_array();
    else
        l->table = table_new(header, many ? 6 : 5);
}

static void
add_file(struct listing *l, const struct ltx_info *f, const char *replica)
{
    char level[16], min[LTX_TXID_SIZE], max[LTX_TXID_SIZE], size[32];
    char created[WALL_TEXT_MAX];
    const char *row[] = { level, min, max, size, created, replica };
    json_t *o;

    snprintf(level, sizeof(level), "%d", f->level);
    ltx_txid_format(f->min_txid, min);
    ltx_txid_format(f->max_txid, max);
    snprintf(size, sizeof(size), "%lld", (long long)f->size);
    wall_format(f->created, WALL_SECONDS, created);
    if (l->table != NULL) {
        table_add(l->table, row);
        return;
    }
    o = json_pack("{s:i, s:s, s:s, s:I, s:s}", "level", f->level, "min_txid", min,
        "max_txid", max, "size", (json_int_t)f->size, "timestamp", created);
    if (l->many)
        json_object_set_new(o, "replica", json_text_string(replica));
    json_array_append_new(l->list, o);
}

static void
add_files(struct listing *l, const struct restore_files *files, const char *replica)
{
    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (size_t i = 0; i < files->n[level]; i++)
            add_file(l, &files->level[level][i], replica);
}

/* Prints it when rc is 0; gives it back either way. */
static int
listing_end(struct listing *l, int rc, struct err *e)
{
    if (l->table != NULL && rc == 0)
        table_print_free(l->table);
    else if (l->table != NULL)
        table_free(l->table);
    else if (rc == 0)
        rc = json_text_print(stdout, l->list, e);
    json_decref(l->list);
    return rc;
}

static int
list_replicas(struct listing *l, const struct command_source *src, const char *asked,
    const struct levels *levels, struct err *e)
{
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < src->n_replicas; i++) {
        const struct cfg_replica *r = &src->replicas[i];
        struct restore_files files = { 0 };

        if (!command_is_replica(r, asked))
            continue;
        n++;
        rc = restore_list(r, levels->first, levels->last, false, &files, e);
        if (rc == 0)
            add_files(l, &files, command_replica_label(r));
        restore_files_deinit(&files);
    }
    if (rc == 0 && n == 0 && asked != NULL)
        rc = command_no_replica(asked, e);
    return rc;
}

static int
run(const char *source, const struct config_flags *cf, const char *replica,
    const struct levels *levels, bool json, struct err *e)
{
    struct command_source src;
    struct listing l;
    int rc = command_source_open(source, cf, true, &src, e);

    if (rc != 0)
        return rc;
    listing_start(&l, json, src.n_replicas > 1);
    rc = listing_end(&l, list_replicas(&l, &src, replica, levels, e), e);
    command_source_close(&src);
    return rc;
}

static int
ltx_command(int argc, char **argv, struct err *e)
{
    struct config_flags cf = { 0 };
    struct levels levels = { 0, 0 };
    const char *path = NULL, *replica = NULL;
    bool json = false;
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(cf),
        { .name = "level",
            .type = FLAG_CUSTOM,
            .value = &levels,
            .parse = parse_levels,
            .arg = "LEVEL",
            .doc = "0 to 9, or all; default 0." },
        { .name = "replica",
            .type = FLAG_STRING,
            .value = &replica,
            .arg = "NAME",
            .doc = "Of several replicas the one of this name or type; default: all." },
        { .name = "json", .type = FLAG_BOOL, .value = &json, .doc = "Print JSON." },
        { .name = "path",
            .type = FLAG_STRING,
            .value = &path }, /* how old scripts say it */
    };
    int used, status;

    if (!command_flags(&help, flags, sizeof(flags) / sizeof(flags[0]), argc, argv, &used,
            &status, e))
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
    } else if (run(path, &cf, replica, &levels, json, e) == 0) {
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
