#include "common/base/mono.h"
#include "supervisor/commands/socket.h"

static const struct command_help help = {
    .about =
        "Has a running daemon look at a database now, and with -wait upload what is\n"
        "new to every replica before it answers.",
    .usage = "\tlitestream sync [flags] DB_PATH",
};

static int
run(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    const bool *wait = arg;
    struct client c = socket_client(a);
    struct mono t0 = mono_now();
    json_t *body = socket_request(a, db), *reply, *out;
    int rc;

    json_object_set_new(body, "wait", json_boolean(*wait));
    rc = client_call_json(&c, "sync", "/sync", body, &reply, e);
    json_decref(body);
    if (rc != 0)
        return rc;
    out = json_object();
    json_object_set(out, "db_path", json_object_get(reply, "path"));
    json_object_set(out, "txid", json_object_get(reply, "txid"));
    if (*wait)
        json_object_set(out, "replica_txid", json_object_get(reply, "replicated_txid"));
    json_object_set_new(out, "duration_ms", json_integer(mono_since_ms(t0)));
    json_decref(reply);
    return socket_print(a, out, e);
}

int
cmd_sync(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(30);
    bool wait = false;
    const struct flag flags[] = {
        SOCKET_FLAGS(a),
        { .name = "wait",
            .type = FLAG_BOOL,
            .value = &wait,
            .doc = "Until every replica has it." },
    };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 4,
        .hint = "litestream sync /path/to/db",
        .run = run,
        .arg = &wait };

    return socket_command(&c, &a, argc, argv, e);
}
