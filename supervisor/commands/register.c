#include <string.h>

#include "common/json/json_text.h"
#include "supervisor/commands/socket.h"

#define HINT "litestream register -replica s3://bucket/prefix /path/to/db"

static const struct command_help help = {
    .about = "Adds a database to a running daemon, until that ends.",
    .usage = "\tlitestream register [flags] -replica URL DB_PATH",
};

static int
run(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    const char *const *replica = arg;
    struct client c = socket_client(a);
    json_t *body, *reply, *out;
    const char *status;
    int rc;

    if (*replica == NULL || (*replica)[0] == '\0') {
        err_set(e, ERR_USAGE, "-replica is required");
        err_hint(e, "%s", HINT);
        return ERR_USAGE;
    }
    body = socket_request(a, db);
    json_object_set_new(body, "replica_url", json_text_string(*replica));
    rc = client_call_json(&c, "register", "/register", body, &reply, e);
    json_decref(body);
    if (rc != 0)
        return rc;
    status = socket_text(reply, "status");
    if (!a->json && strcmp(status, "already_registered") == 0)
        status = "already registered";
    out = json_object();
    json_object_set_new(out, "status", json_text_string(status));
    json_object_set(out, "db_path", json_object_get(reply, "path"));
    json_object_set_new(out, "replica", json_text_string(*replica));
    json_object_set_new(out, "socket", json_text_string(a->socket));
    json_decref(reply);
    return socket_print(a, out, e);
}

int
cmd_register(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(30);
    const char *replica = NULL;
    const struct flag flags[] = {
        SOCKET_FLAGS(a),
        { .name = "replica",
            .type = FLAG_STRING,
            .value = &replica,
            .arg = "URL",
            .doc = "Where it is replicated to." },
    };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 4,
        .hint = HINT,
        .run = run,
        .arg = &replica };

    return socket_command(&c, &a, argc, argv, e);
}
