#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_name.h"
#include "supervisor/commands/command.h"
#include "workers/sync/meta.h"

static const struct command_help help = {
    .about =
        "Discards the local LTX files of a database. The database and its replicas are\n"
        "not touched: the next sync writes a full image behind what they hold.",
    .usage = "\tlitestream reset [flags] DB_PATH",
};

/* What the configuration says of a database, also when it is found in a folder; owned. */
static char *
configured_meta(struct config *c, const char *db_path)
{
    const struct cfg_db *db = config_find_db(c, db_path);
    struct config *member;
    struct err ignored;
    char *meta = NULL;

    if (db != NULL)
        return mem_strdup(db->meta_path);
    db = config_find_dir(c, db_path);
    if (db != NULL && config_member(c, db, db_path, &member, &ignored) == 0) {
        meta = mem_strdup(member->dbs[0].meta_path);
        config_free(member);
    }
    return meta;
}

/* Where the local files are: as the configuration says, else beside the database. */
static int
find_meta(const struct config_flags *cf, const char *db_path, char **meta, struct err *e)
{
    struct config *c = NULL;
    struct stat st;
    int rc;

    *meta = NULL;
    if (cf->path != NULL || stat(config_default_path(), &st) == 0) {
        rc = command_load_config(cf, true, &c, e);
        if (rc != 0)
            return err_wrap(e, "cannot read config");
        *meta = configured_meta(c, db_path);
        config_free(c);
    } else {
        command_plain_logging(true);
    }
    if (*meta == NULL)
        *meta = config_default_meta_path(db_path);
    return 0;
}

static int
for_each_file(const char *meta, int (*act)(const char *path, struct err *e), size_t *n,
    struct err *e)
{
    int rc = 0;

    *n = 0;
    for (int level = 0; rc == 0 && level < LTX_N_LEVELS; level++) {
        struct ltx_info *infos;
        size_t n_infos;

        rc = meta_list(meta, level, &infos, &n_infos, e);
        for (size_t i = 0; rc == 0 && i < n_infos; i++) {
            char *path = ltx_file_path(meta, level, infos[i].min_txid, infos[i].max_txid);

            (*n)++;
            if (act != NULL)
                rc = act(path, e);
            mem_free(path);
        }
        mem_free(infos);
    }
    return rc;
}

static int
show(const char *path, struct err *e)
{
    (void)e;
    printf("  %s\n", path);
    return 0;
}

static int
dry_run(const char *db_path, const char *meta, struct err *e)
{
    size_t n;
    int rc = for_each_file(meta, NULL, &n, e);

    if (rc != 0)
        return rc;
    printf("Dry run: local Litestream state would be reset for: %s\n", db_path);
    printf("Would remove: %s/ltx\n", meta);
    if (n == 0) {
        printf("No local LTX files would be removed.\n");
    } else {
        printf("Files that would be removed:\n");
        rc = for_each_file(meta, show, &n, e);
    }
    printf("No files were removed.\n");
    return rc;
}

/* The lock tells a daemon that has the database: its position is in its memory. */
static int
reset(const char *db_path, const char *meta, struct err *e)
{
    char *ltx = mem_printf("%s/ltx", meta);
    int lock = -1;
    int rc = meta_lock(meta, &lock, e);

    if (rc == ERR_CONFLICT)
        err_hint(e, "stop the daemon, reset, start it again");
    if (rc == 0) {
        printf("Resetting local Litestream state for: %s\n", db_path);
        printf("Removing: %s\n", ltx);
        log_info("resetting local litestream state", LF_STR("meta_path", meta),
            LF_STR("ltx_dir", ltx));
        rc = meta_remove_all(meta, e);
    }
    if (rc == 0) {
        log_info("local state reset complete, next sync will create fresh snapshot");
        printf("Reset complete. Next replication sync will create a fresh snapshot.\n");
    }
    sys_close(&lock);
    mem_free(ltx);
    return rc;
}

static int
run(const struct config_flags *cf, const char *text, bool dry, struct err *e)
{
    char *db_path = NULL, *meta = NULL;
    struct stat st;
    int rc = path_expand_db(text, &db_path, e);

    if (rc == 0 && stat(db_path, &st) != 0)
        rc = err_set(e, ERR_NOT_FOUND, "database does not exist: %s", db_path);
    if (rc == 0)
        rc = find_meta(cf, db_path, &meta, e);
    if (rc == 0 && stat(meta, &st) != 0) {
        printf("No local state to reset for %s\n", db_path);
        printf("Meta directory does not exist: %s\n", meta);
    } else if (rc == 0) {
        rc = dry ? dry_run(db_path, meta, e) : reset(db_path, meta, e);
    }
    mem_free(db_path);
    mem_free(meta);
    return rc;
}

int
cmd_reset(int argc, char **argv, struct err *e)
{
    struct config_flags cf = { 0 };
    bool dry = false;
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(cf),
        { .name = "dry-run",
            .type = FLAG_BOOL,
            .value = &dry,
            .doc = "Only show what would be removed." },
    };
    int used, status;

    if (!command_flags(&help, flags, 3, argc, argv, &used, &status, e))
        return status;
    if (argc == used) {
        err_set(e, ERR_USAGE, "database path required");
        err_hint(e, "litestream reset /path/to/db");
    } else if (argc > used + 1) {
        err_set(e, ERR_USAGE, "too many arguments");
    } else if (run(&cf, argv[used], dry, e) == 0) {
        return 0;
    }
    return command_failed();
}
