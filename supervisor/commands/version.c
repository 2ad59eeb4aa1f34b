#include "supervisor/version.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>
#include <lz4.h>
#include <sqlite3.h>
#include <uv.h>

#include "config/config.h"
#include "supervisor/commands/command.h"

static const struct command_help help = {
    .about = "Prints the version of this program.",
    .usage = "\tlitestream version [-verbose]",
};

static void
print_verbose(void)
{
    struct utsname os;

    printf("%-14s%s\n", "Version:", LITESTREAM_VERSION);
    printf("%-14s%s\n", "Compiler:", __VERSION__);
    printf("%-14s%s\n", "SQLite:", sqlite3_libversion());
    printf("%-14s%s\n", "libuv:", uv_version_string());
    printf("%-14s%s\n", "LZ4:", LZ4_versionString());
    printf("%-14s%s\n", "libyaml:", config_yaml_version());
    printf("%-14s%s\n", "Jansson:", jansson_version_str());
    if (uname(&os) == 0)
        printf("%-14s%s/%s\n", "OS/Arch:", os.sysname, os.machine);
}

int
cmd_version(int argc, char **argv, struct err *e)
{
    bool verbose = false;
    const struct flag flags[] = {
        { .name = "verbose",
            .type = FLAG_BOOL,
            .value = &verbose,
            .doc = "Also tell compiler, libraries and system." },
    };
    int used, status;

    if (!command_flags(&help, flags, 1, argc, argv, &used, &status, e))
        return status;
    if (verbose)
        print_verbose();
    else
        printf("%s\n", LITESTREAM_VERSION);
    return 0;
}
