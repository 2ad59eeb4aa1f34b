#include "supervisor/commands/socket.h"

static const struct command_help help = {
    .about =
        "Starts a database again that was stopped. To run the daemon: litestream replicate.",
    .usage = "\tlitestream start [flags] DB_PATH",
};

static int
run(const struct socket_args *a, const char *db, void *arg, struct err *e)
{
    (void)arg;
    return socket_switch("start", "running", "/start", a, db, e);
}

int
cmd_start(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(30);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = { .help = &help,
        .flags = flags,
        .n_flags = 3,
        .hint = "litestream start /path/to/db",
        .run = run };

    a.any_timeout = true;
    return socket_command(&c, &a, argc, argv, e);
}
