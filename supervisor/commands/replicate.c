#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/log_file.h"
#include "config/features.h"
#include "supervisor/commands/command.h"
#include "supervisor/restore_first.h"
#include "supervisor/supervisor.h"
#include "supervisor/version.h"
#include "workers/sync/dbconn.h"

static const struct command_help help = {
    .about = "Keeps replicas of databases up to date until it is stopped.",
    .usage = "\tlitestream replicate [flags]\n\n"
             "\tlitestream replicate [flags] DB_PATH REPLICA_URL...",
};

struct replicate_args {
    struct config_flags cf;
    const char *exec, *log_level;
    bool once, force_snapshot, enforce_retention, restore_first;
    const char *db_path;
    const char *const *urls;
    size_t n_urls;
};

/* What this build can do; a key of another feature is refused, never ignored. */
static const uint64_t built_features =
    CFG_FEATURE(CFG_F_CORE) | CFG_FEATURE(CFG_F_MULTI_REPLICA) |
    CFG_FEATURE(CFG_F_COMPACTION) | CFG_FEATURE(CFG_F_SNAPSHOT) |
    CFG_FEATURE(CFG_F_DIRECTORY) | CFG_FEATURE(CFG_F_SOCKET) |
    CFG_FEATURE(CFG_F_METRICS) | CFG_FEATURE(CFG_F_MCP) | CFG_FEATURE(CFG_F_VALIDATION) |
    CFG_FEATURE(CFG_F_RETENTION) | CFG_FEATURE(CFG_F_RESTORE_ON_START) |
    CFG_FEATURE(CFG_F_AUTO_RECOVER) | CFG_FEATURE(CFG_F_LOG_FILE) |
    CFG_FEATURE(CFG_F_HEARTBEAT) | CFG_FEATURE(CFG_F_TRUNCATE) |
    CFG_DRIVER(CFG_REPLICA_FILE) | CFG_DRIVER(CFG_REPLICA_S3) |
    CFG_DRIVER(CFG_REPLICA_SFTP);

static int
not_built(const char *flag, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED,
        "-%s: this build does not have this feature yet; leave the flag out", flag);
}

static int
check_flags(const struct replicate_args *a, struct err *e)
{
    if (a->force_snapshot && !a->once)
        return err_set(e, ERR_USAGE, "cannot specify -force-snapshot flag without -once");
    if (a->enforce_retention && !a->once)
        return err_set(
            e, ERR_USAGE, "cannot specify -enforce-retention flag without -once");
    if (a->once && a->exec != NULL)
        return err_set(e, ERR_USAGE, "cannot specify -once flag with -exec");
    if (a->exec != NULL)
        return not_built("exec", e);
    return 0;
}

static int
check_arguments(struct replicate_args *a, int argc, char **argv, int used, struct err *e)
{
    if (argc == used)
        return 0;
    if (a->cf.path != NULL)
        return err_set(e, ERR_USAGE, "cannot specify a replica URL and the -config flag");
    for (int i = used; i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            return err_set(e, ERR_USAGE,
                "flag \"%s\" must be positioned before DB_PATH and REPLICA_URL arguments",
                argv[i]);
    if (argc == used + 1)
        return err_set(e, ERR_USAGE, "must specify at least one replica URL for DB_PATH");
    a->db_path = argv[used];
    a->urls = (const char *const *)&argv[used + 1];
    a->n_urls = (size_t)(argc - used - 1);
    return 0;
}

int
command_check_daemon(const struct config *c, struct err *e)
{
    int rc = config_check_replicas(c, e);

    if (rc == 0)
        rc = config_check_daemon(c, e);
    if (rc == 0)
        rc = cfg_require_features(c, built_features, e);
    return rc;
}

/* What must hold for the daemon, and the secrets that it needs. */
static int
complete(const struct replicate_args *a, struct config *c, struct err *e)
{
    int rc = command_check_daemon(c, e);

    if (rc == 0)
        rc = config_read_secrets(c, e);
    for (size_t i = 0; rc == 0 && a->restore_first && i < c->n_dbs; i++)
        c->dbs[i].restore_if_db_not_exists = true;
    return rc;
}

/* Again, while it runs: logging stays as it is. */
static int
load_again(void *arg, struct config **c, struct err *e)
{
    const struct replicate_args *a = arg;
    struct config_options options = { .no_expand_env = a->cf.no_expand_env };
    const char *path = a->cf.path != NULL ? a->cf.path : config_default_path();
    int rc = config_load(path, &options, c, e);

    if (rc != 0)
        return rc;
    rc = complete(a, *c, e);
    if (rc == 0) {
        command_log_notices(*c);
        return 0;
    }
    config_free(*c);
    *c = NULL;
    return rc;
}

static int
load(const struct replicate_args *a, struct config **c, struct err *e)
{
    int rc;

    if (a->log_level != NULL)
        setenv("LOG_LEVEL", a->log_level, 1);
    if (a->db_path == NULL) {
        rc = command_load_config(&a->cf, false, c, e);
    } else {
        command_plain_logging(false);
        rc = config_from_args(a->db_path, a->urls, a->n_urls, NULL, c, e);
        if (rc == 0)
            command_log_notices(*c);
    }
    return rc == 0 ? complete(a, *c, e) : rc;
}

static int
run(struct replicate_args *a, struct err *e)
{
    struct supervisor_options options = { .features = built_features,
        .once = a->once,
        .force_snapshot = a->force_snapshot,
        .enforce_retention = a->enforce_retention,
        .load = a->db_path == NULL ? load_again : NULL,
        .load_arg = a };
    struct config *c = NULL;
    int rc = dbconn_check_library(e);

    signal(SIGHUP, SIG_IGN); /* a reload, which there is once all is started */
    signal(SIGUSR2, SIG_IGN);

    if (rc == 0)
        rc = load(a, &c, e);
    if (rc == 0 && c->logging.path != NULL && c->logging.path[0] != '\0')
        rc = log_file_use(c->logging.path, e);
    if (rc == 0) {
        log_info("litestream", LF_STR("version", LITESTREAM_VERSION),
            LF_STR("level", c->logging.level));
        if (!c->retention_enabled)
            log_warn("retention disabled; cloud provider lifecycle policies must handle "
                     "retention",
                LF_STR(
                    "hint", "set retention.enabled to true to have old files deleted"));
        if (c->n_dbs == 0)
            log_error("no databases specified in configuration");
        options.config = c;
        rc = restore_first(c, e);
        if (rc == 0)
            rc = supervisor_run(&options, e);
    }
    config_free(c);
    return rc;
}

int
cmd_replicate(int argc, char **argv, struct err *e)
{
    struct replicate_args a = { 0 };
    const struct flag flags[] = {
        COMMAND_CONFIG_FLAGS(a.cf),
        { .name = "log-level",
            .type = FLAG_STRING,
            .value = &a.log_level,
            .arg = "LEVEL",
            .doc = "trace, debug, info, warn or error." },
        { .name = "exec", .type = FLAG_STRING, .value = &a.exec },
        { .name = "once",
            .type = FLAG_BOOL,
            .value = &a.once,
            .doc = "Bring all replicas up to date, then end." },
        { .name = "force-snapshot",
            .type = FLAG_BOOL,
            .value = &a.force_snapshot,
            .doc = "With -once: take a snapshot as well." },
        { .name = "enforce-retention",
            .type = FLAG_BOOL,
            .value = &a.enforce_retention,
            .doc = "With -once: delete what retention lets go." },
        { .name = "restore-if-db-not-exists",
            .type = FLAG_BOOL,
            .value = &a.restore_first,
            .doc = "Restore databases whose file is missing, then replicate." },
    };
    int used, status;

    if (!command_flags(&help, flags, sizeof(flags) / sizeof(flags[0]), argc, argv, &used,
            &status, e))
        return status;
    if (check_arguments(&a, argc, argv, used, e) != 0 || check_flags(&a, e) != 0 ||
        run(&a, e) != 0)
        return command_failed();
    return 0;
}
