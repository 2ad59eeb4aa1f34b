#include <stdio.h>

#include "common/base/duration.h"
#include "common/json/json_text.h"
#include "supervisor/commands/socket.h"

static const struct command_help help = {
    .about = "Stops a database of a running daemon, after a final sync, and forgets it.\n"
             "Its replica is left as it is.",
    .usage = "\tlitestream unregister [flags] DB_PATH",
};

struct args {
    bool dry_run;
    char **argv; /* the last word is the path as typed */
    int argc;
};

static int
preview(const struct socket_args *a, const struct args *args)
{
    char timeout[DURATION_TEXT_MAX];

    duration_format(a->timeout_s * DURATION_SEC, timeout);
    printf("Dry run: unregister request preview\n");
    printf("  database: %s\n", args->argv[args->argc - 1]);
    printf("  socket: %s\n", a->socket);
    printf("  replicas: daemon-managed replica for this database\n");
    printf("  final sync: daemon close will sync the database and replica before the "
           "command completes\n");
    printf("  timeout: %s\n", timeout);
    printf("No unregister request was sent.\n");
    return 0;
}

static int
run(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    const struct args *args = arg;
    struct client c = socket_client(a);
    json_t *body, *reply, *out;
    int rc;

    if (args->dry_run)
        return preview(a, args);
    body = socket_request(a, db);
    rc = client_call_json(&c, "unregister", "/unregister", body, &reply, e);
    json_decref(body);
    if (rc != 0)
        return rc;
    out = json_object();
    json_object_set(out, "status", json_object_get(reply, "status"));
    json_object_set(out, "db_path", json_object_get(reply, "path"));
    json_object_set(out, "final_txid", json_object_get(reply, "txid"));
    json_object_set_new(out, "socket", json_text_string(a->socket));
    json_decref(reply);
    return socket_print(a, out, e);
}

int
cmd_unregister(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(30);
    struct args args = { .argv = argv, .argc = argc };
    const struct flag flags[] = {
        SOCKET_FLAGS(a),
        { .name = "dry-run",
            .type = FLAG_BOOL,
            .value = &args.dry_run,
            .doc = "Only show what would be asked for." },
    };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 4,
        .hint = "litestream unregister /path/to/db",
        .run = run,
        .arg = &args };

    return socket_command(&c, &a, argc, argv, e);
}
