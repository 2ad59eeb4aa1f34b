/*
 * litestream - command dispatch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/proc.h"
#include "common/base/rand.h"
#include "config/config.h"
#include "supervisor/commands/command.h"
#include "supervisor/commands/socket.h"

const struct command commands[] = {
    { "databases", "list the databases of the configuration", cmd_databases },
    { "doctor", "examine the machine, the databases and their replicas", cmd_doctor },
    { "info", "tell version, process and age of a running daemon", cmd_info },
    { "list", "list the databases of a running daemon", cmd_list },
    { "ltx", "list the LTX files of a replica", cmd_ltx },
    { "register", "add a database to a running daemon", cmd_register },
    { "replicate", "replicate databases until stopped", cmd_replicate },
    { "reset", "discard the local LTX files of a database", cmd_reset },
    { "restore", "restore a database from a replica", cmd_restore },
    { "start", "start a stopped database of a running daemon", cmd_start },
    { "status", "tell the state of the databases of the configuration", cmd_status },
    { "stop", "stop a database of a running daemon", cmd_stop },
    { "sync", "have a running daemon look at a database now", cmd_sync },
    { "unregister", "remove a database from a running daemon", cmd_unregister },
    { "version", "print the version", cmd_version },
    { "wal", NULL, cmd_wal },
};

const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static void
print_usage(void)
{
    printf("litestream keeps SQLite databases recoverable by streaming every change to a "
           "replica.\n\nUsage:\n\n\tlitestream <command> [flags] [arguments]\n\n"
           "Commands:\n\n");
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].summary != NULL)
            printf("\t%-12s %s\n", commands[i].name, commands[i].summary);
    printf("\nFlags and arguments of a command: litestream <command> -help\n");
}

static bool
asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "-h") == 0 ||
           strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0;
}

static int
run_command(const struct command *c, int argc, char **argv)
{
    struct err e = ERR_NONE;
    int status = c->run(argc, argv, &e);

    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        err_errno(&e, errno, "write to standard output");
        status = EXIT_FAILURE;
    }
    if (status != 0 && e.code != ERR_OK) {
        fprintf(stderr, "Error: %s\n", e.text);
        if (e.hint[0] != '\0')
            fprintf(stderr, "Try: %s\n", e.hint);
    }
    return status;
}

static int
refuse_command(const char *name)
{
    fprintf(stderr, "Error: litestream %s: unknown command\n", name);
    return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    proc_open_std();
    mem_setup();
    rand_seed();
    config_export_env();
    if (argc < 2 || (argv[1][0] == '-' && !asks_for_help(argv[1]))) {
        print_usage();
        return EXIT_FAILURE;
    }
    if (asks_for_help(argv[1])) {
        print_usage();
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return run_command(&commands[i], argc - 2, argv + 2);
    return refuse_command(argv[1]);
}
