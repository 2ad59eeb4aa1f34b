/*
 * litestreamctl - talks to a running daemon.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "supervisor/commands/socket.h"
#include "supervisor/ctl/ctl.h"

static const struct command ctl_commands[] = {
    { "checkpoint", "copy the WAL of a database into it", ctl_checkpoint },
    { "info", "tell version, process and age of the daemon", cmd_info },
    { "list", "list the databases of the daemon", cmd_list },
    { "logs", "show or change the log level", ctl_logs },
    { "register", "add a database", cmd_register },
    { "reload", "have the configuration read again", ctl_reload },
    { "snapshot", "take a snapshot of a database on every replica", ctl_snapshot },
    { "start", "start a stopped database", cmd_start },
    { "stop", "stop a database", cmd_stop },
    { "sync", "look at a database now", cmd_sync },
    { "top", "watch the databases", ctl_top },
    { "unregister", "remove a database", cmd_unregister },
    { "version", "print the version", ctl_version },
    { "wait", "wait until databases are on all replicas", ctl_wait },
};

#define N_COMMANDS (sizeof(ctl_commands) / sizeof(ctl_commands[0]))

static void
print_usage(void)
{
    printf("litestreamctl talks to a running litestream through its control socket.\n\n"
           "Usage:\n\n\tlitestreamctl <command> [flags] [arguments]\n\nCommands:\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("\t%-12s %s\n", ctl_commands[i].name, ctl_commands[i].summary);
    printf("\nFlags and arguments of a command: litestreamctl <command> -help\n");
}

static const struct command *
find(const char *name, size_t len)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strlen(ctl_commands[i].name) == len &&
            strncmp(ctl_commands[i].name, name, len) == 0)
            return &ctl_commands[i];
    return NULL;
}

/* A command line of litestream that this program has as well. */
static void
print_hint(const char *hint)
{
    static const char other[] = "litestream ";
    const char *rest = hint + sizeof(other) - 1;

    if (strncmp(hint, other, sizeof(other) - 1) == 0 &&
        find(rest, strcspn(rest, " ")) != NULL)
        fprintf(stderr, "Try: litestreamctl %s\n", rest);
    else
        fprintf(stderr, "Try: %s\n", hint);
}

static int
run(const struct command *c, int argc, char **argv)
{
    struct err e = ERR_NONE;
    int status;

    must(c != NULL);
    status = c->run(argc, argv, &e);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        err_errno(&e, errno, "write to standard output");
        status = EXIT_FAILURE;
    }
    if (status != 0 && e.code != ERR_OK) {
        fprintf(stderr, "Error: %s\n", e.text);
        if (e.hint[0] != '\0')
            print_hint(e.hint);
    }
    return status;
}

static bool
asks(const char *word, const char *name)
{
    while (*word == '-' && word[1] != '\0')
        word++;
    return strcmp(word, name) == 0;
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *c = find(name, strlen(name));

    if (c == NULL && asks(name, "version"))
        c = find("version", 7);
    proc_open_std();
    mem_setup();
    command_set_program("litestreamctl");
    if (c != NULL)
        return run(c, argc - 2, argv + 2);
    if (asks(name, "help") || asks(name, "h")) {
        print_usage();
        return EXIT_SUCCESS;
    }
    if (name[0] == '\0') {
        print_usage();
        return EXIT_FAILURE;
    }
    fprintf(stderr, "Error: litestreamctl %s: unknown command\nTry: litestreamctl help\n",
        name);
    return EXIT_FAILURE;
}
