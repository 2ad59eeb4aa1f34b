/*
 * Commands that are one request each.
 */
#include <stdio.h>
#include <string.h>

#include "common/json/json_text.h"
#include "supervisor/commands/socket.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/version.h"

static int
request(const struct socket_args *a, const char *what, const char *path, json_t *body,
    struct err *e)
{
    struct client c = socket_client(a);
    json_t *reply;
    int rc = client_call_json(&c, what, path, body, &reply, e);

    json_decref(body);
    return rc == 0 ? socket_print(a, reply, e) : rc;
}

/* --- snapshot, checkpoint -------------------------------------------------------------
 */

static int
run_snapshot(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    (void)arg;
    return request(a, "snapshot", "/snapshot", socket_request(a, db), e);
}

int
ctl_snapshot(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about = "Takes a snapshot of a database now, on every replica.",
        .usage = "\tlitestream snapshot [flags] DB_PATH",
    };
    struct socket_args a = SOCKET_ARGS(600);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 3,
        .hint = "litestream snapshot /path/to/db",
        .run = run_snapshot };

    return socket_command(&c, &a, argc, argv, e);
}

static int
run_checkpoint(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    const char *const *mode = arg;
    json_t *body = socket_request(a, db);

    json_object_set_new(body, "mode", json_text_string(*mode));
    return request(a, "checkpoint", "/checkpoint", body, e);
}

int
ctl_checkpoint(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about = "Copies what is in the WAL of a database into it.",
        .usage = "\tlitestream checkpoint [flags] DB_PATH",
    };
    struct socket_args a = SOCKET_ARGS(30);
    const char *mode = "passive";
    const struct flag flags[] = {
        SOCKET_FLAGS(a),
        { .name = "mode",
            .type = FLAG_STRING,
            .value = &mode,
            .arg = "MODE",
            .doc = "passive: as far as readers allow; full: all of it." },
    };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 4,
        .hint = "litestream checkpoint /path/to/db",
        .run = run_checkpoint,
        .arg = &mode };

    return socket_command(&c, &a, argc, argv, e);
}

/* --- reload, logs, version ------------------------------------------------------------
 */

static int
run_reload(const struct socket_args *a, const char *argument, void *arg, struct err *e)
{
    (void)argument;
    (void)arg;
    return request(a, "reload", "/reload", json_object(), e);
}

int
ctl_reload(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about =
            "Has the daemon read its configuration file again. Databases start, stop\n"
            "and restart as it says; a file with an error changes nothing.",
        .usage = "\tlitestream reload [flags]",
    };
    struct socket_args a = SOCKET_ARGS(30);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = {
        .help = &help, .flags = flags, .n_flags = 3, .run = run_reload
    };

    return socket_command(&c, &a, argc, argv, e);
}

int
ctl_logs(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about =
            "Shows the log level of the daemon, or changes it until the next reload or\n"
            "restart: trace, debug, info, warn, error.",
        .usage = "\tlitestream logs [flags] level [LEVEL]",
    };
    struct socket_args a = SOCKET_ARGS(10);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    json_t *body = NULL;
    int used, status;

    if (!command_flags(&help, flags, 3, argc, argv, &used, &status, e))
        return status;
    argc -= used;
    argv += used;
    if (argc == 0 || strcmp(argv[0], "level") != 0) {
        err_set(e, ERR_USAGE, "what to do with the logs is required");
        err_hint(e, "litestream logs level debug");
        return command_failed();
    }
    if (argc > 2) {
        err_set(e, ERR_USAGE, "too many arguments");
        return command_failed();
    }
    if (argc == 2) {
        body = json_object();
        json_object_set_new(body, "level", json_text_string(argv[1]));
    }
    return request(&a, "logs", "/log-level", body, e) == 0 ? 0 : command_failed();
}

int
ctl_version(int argc, char **argv, struct err *e)
{
    (void)argc;
    (void)argv;
    (void)e;
    printf("%s\n", LITESTREAM_VERSION);
    return 0;
}
