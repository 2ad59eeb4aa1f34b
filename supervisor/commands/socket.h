/*
 * socket - what the commands that talk to a running daemon share. litestreamctl is made
 * of the same commands.
 */
#ifndef SUPERVISOR_COMMANDS_SOCKET_H
#define SUPERVISOR_COMMANDS_SOCKET_H

#include <jansson.h>

#include "supervisor/commands/command.h"
#include "supervisor/control/client.h"

struct socket_args {
    const char *socket;
    int64_t timeout_s;
    bool json;
    bool any_timeout; /* 0 and less are fine: no limit */
};

#define SOCKET_ARGS(seconds)                                                             \
    {                                                                                    \
        .socket = CFG_DEFAULT_SOCKET, .timeout_s = (seconds)                             \
    }

/* Three entries of a command's flag table that fill in a struct socket_args. */
#define SOCKET_FLAGS(a)                                                                  \
    { .name = "socket",                                                                  \
        .type = FLAG_STRING,                                                             \
        .value = &(a).socket,                                                            \
        .arg = "PATH",                                                                   \
        .doc = "Control socket of the daemon (" CFG_DEFAULT_SOCKET ")." },               \
        { .name = "timeout",                                                             \
            .type = FLAG_INT,                                                            \
            .value = &(a).timeout_s,                                                     \
            .arg = "SECONDS",                                                            \
            .doc = "Longest time for the request." },                                    \
    {                                                                                    \
        .name = "json", .type = FLAG_BOOL, .value = &(a).json, .doc = "Print JSON."      \
    }

/* Something a command does after its flags; argument: an expanded path, NULL: none. */
typedef int socket_run_cb(
    const struct socket_args *a, const char *argument, void *arg, struct err *e);

struct socket_command {
    const struct command_help *help;
    const struct flag *flags;
    size_t n_flags;
    const char *hint; /* for a missing DB_PATH; NULL: the command takes no argument */
    bool optional;    /* it may be left out */
    socket_run_cb *run;
    void *arg;
};

/* Flags, arguments, run; the exit status. */
int socket_command(const struct socket_command *c, const struct socket_args *a, int argc,
    char **argv, struct err *e);

struct client socket_client(const struct socket_args *a);

/* {"path":PATH,"timeout":N}; the caller's. */
json_t *socket_request(const struct socket_args *a, const char *path);

/* Prints fields of `reply` as they are asked for: "key: value" lines, or JSON. */
int socket_print(const struct socket_args *a, json_t *out, struct err *e);

/* Text of a string or integer; "" when it is not there. */
const char *socket_text(const json_t *reply, const char *key);
uint64_t socket_uint(const json_t *reply, const char *key);

/* RFC 3339 without the fraction of a second; "" gives `none`. */
void socket_time(const char *text, const char *none, char *out, size_t size);

/* start and stop, which differ in words only. */
int socket_switch(const char *verb, const char *state, const char *path_of_request,
    const struct socket_args *a, const char *db, struct err *e);

/* The commands, in the order of their names. */
int cmd_info(int argc, char **argv, struct err *e);
int cmd_list(int argc, char **argv, struct err *e);
int cmd_register(int argc, char **argv, struct err *e);
int cmd_start(int argc, char **argv, struct err *e);
int cmd_stop(int argc, char **argv, struct err *e);
int cmd_sync(int argc, char **argv, struct err *e);
int cmd_unregister(int argc, char **argv, struct err *e);

#endif
