#include <stdio.h>

#include "common/json/json_text.h"
#include "supervisor/commands/socket.h"

static const struct command_help help = {
    .about = "Lists the databases of a running daemon.",
    .usage = "\tlitestream list [flags]",
};

static void
print_row(const json_t *db)
{
    char at[64];

    socket_time(socket_text(db, "last_sync_at"), "never", at, sizeof(at));
    printf("%s [%s] (last sync: %s)\n", socket_text(db, "path"),
        socket_text(db, "status"), at);
}

static int
run(const struct socket_args *a, const char *argument, void *arg, struct err *e)
{
    struct client c = socket_client(a);
    json_t *reply, *list;
    size_t i;
    json_t *db;
    int rc = client_call_json(&c, "list", "/list", NULL, &reply, e);

    (void)argument;
    (void)arg;
    if (rc != 0)
        return rc;
    list = json_object_get(reply, "databases");
    if (a->json) {
        rc = json_text_print(stdout, reply, e);
    } else if (json_array_size(list) == 0) {
        printf("No databases configured\n");
    } else {
        json_array_foreach(list, i, db)
        {
            print_row(db);
        }
    }
    json_decref(reply);
    return rc;
}

int
cmd_list(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(10);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = {
        .help = &help, .flags = flags, .n_flags = 3, .run = run
    };

    return socket_command(&c, &a, argc, argv, e);
}
