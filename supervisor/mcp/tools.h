/*
 * tools - what a client of the Model Context Protocol may ask for, and which commands
 * that makes. Pure.
 */
#ifndef SUPERVISOR_MCP_TOOLS_H
#define SUPERVISOR_MCP_TOOLS_H

#include <stdbool.h>

#include <jansson.h>

struct tool; /* opaque */

#define TOOL_ARGS_MAX 24

/* The arguments of a command of this program, NULL at the end. */
struct tool_argv {
    char *items[TOOL_ARGS_MAX + 1]; /* tool_argv_deinit() */
    unsigned n;
};

const struct tool *tool_find(const char *name); /* NULL: there is none */
json_t *tool_list(void);                        /* the result of tools/list */

/* What stands for `config` where it is not given. */
struct tool_defaults {
    const char *config; /* "": none */
};

/*
 * The command of a tool. false: an argument is missing, *missing is its name.
 *
 *   arguments  an object or NULL; values of the wrong type count as absent
 */
bool tool_command(const struct tool *t, const json_t *arguments,
    const struct tool_defaults *d, struct tool_argv *out, const char **missing);

/* The report is made of several commands: litestream_info. */
bool tool_is_report(const struct tool *t);
const char *tool_config(const json_t *arguments, const struct tool_defaults *d);

/* What is said when a command was good and had nothing to say; the caller's. */
char *tool_summary(const struct tool *t, const json_t *arguments);

/* "litestream NAME": the beginning of every command. */
void tool_argv_begin(struct tool_argv *a, const char *command);
void tool_argv_add(struct tool_argv *a, const char *text);
void tool_argv_deinit(struct tool_argv *a);

#endif
