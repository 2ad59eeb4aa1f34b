#include "supervisor/version.h"

#include <ctype.h>
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

/* The names that releases of Litestream go by: "linux", "amd64". */
static void
print_platform(void)
{
    static const char *const machines[][2] = { { "x86_64", "amd64" },
        { "aarch64", "arm64" }, { "i686", "386" }, { "armv7l", "arm" } };
    struct utsname os;
    const char *machine;

    if (uname(&os) != 0)
        return;
    machine = os.machine;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        if (strcmp(os.machine, machines[i][0]) == 0)
            machine = machines[i][1];
    for (char *c = os.sysname; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    printf("%-13s%s/%s\n", "OS/Arch:", os.sysname, machine);
}

static void
print_verbose(void)
{
    printf("%-13s%s\n", "Version:", LITESTREAM_VERSION);
    printf("%-13s%s\n", "Compiler:", __VERSION__);
    printf("%-13s%s\n", "SQLite:", sqlite3_libversion());
    printf("%-13s%s\n", "libuv:", uv_version_string());
    printf("%-13s%s\n", "LZ4:", LZ4_versionString());
    printf("%-13s%s\n", "libyaml:", config_yaml_version());
    printf("%-13s%s\n", "Jansson:", jansson_version_str());
    print_platform();
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
