#include <inttypes.h>
#include <stdio.h>

#include "common/base/duration.h"
#include "common/json/json_text.h"
#include "supervisor/commands/socket.h"

static const struct command_help help = {
    .about = "Tells version, process and age of a running daemon.",
    .usage = "\tlitestream info [flags]",
};

static void
print(const json_t *reply)
{
    char uptime[DURATION_TEXT_MAX], at[64];

    duration_format((int64_t)socket_uint(reply, "uptime_seconds") * DURATION_SEC, uptime);
    socket_time(socket_text(reply, "started_at"), "", at, sizeof(at));
    printf("Litestream %s\n", socket_text(reply, "version"));
    printf("  PID:        %" PRIu64 "\n", socket_uint(reply, "pid"));
    printf("  Uptime:     %s\n", uptime);
    printf("  Started at: %s\n", at);
    printf("  Databases:  %" PRIu64 "\n", socket_uint(reply, "database_count"));
}

static int
run(const struct socket_args *a, const char *argument, void *arg, struct err *e)
{
    struct client c = socket_client(a);
    json_t *reply;
    int rc = client_call_json(&c, "info", "/info", NULL, &reply, e);

    (void)argument;
    (void)arg;
    if (rc != 0)
        return rc;
    if (a->json)
        rc = json_text_print(stdout, reply, e);
    else
        print(reply);
    json_decref(reply);
    return rc;
}

int
cmd_info(int argc, char **argv, struct err *e)
{
    struct socket_args a = SOCKET_ARGS(10);
    const struct flag flags[] = { SOCKET_FLAGS(a) };
    const struct socket_command c = {
        .help = &help, .flags = flags, .n_flags = 3, .run = run
    };

    return socket_command(&c, &a, argc, argv, e);
}
