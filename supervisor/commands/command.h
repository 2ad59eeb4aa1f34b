/*
 * command - the commands of the `litestream` program and what they share.
 */
#ifndef SUPERVISOR_COMMANDS_COMMAND_H
#define SUPERVISOR_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "config/config.h"
#include "supervisor/flags.h"

struct command {
    const char *name;
    const char *summary; /* in the list of commands; NULL: not listed */
    /*
     * argv: the words behind the name. Returns the exit status; an error is in *e and is
     * printed by the caller, when the status is not 0 and e->code is set.
     */
    int (*run)(int argc, char **argv, struct err *e);
};

extern const struct command commands[];
extern const size_t n_commands;

int cmd_databases(int argc, char **argv, struct err *e);
int cmd_doctor(int argc, char **argv, struct err *e);
int cmd_ltx(int argc, char **argv, struct err *e);
int cmd_replicate(int argc, char **argv, struct err *e);
int cmd_reset(int argc, char **argv, struct err *e);
int cmd_restore(int argc, char **argv, struct err *e);
int cmd_status(int argc, char **argv, struct err *e);
int cmd_version(int argc, char **argv, struct err *e);
int cmd_wal(int argc, char **argv, struct err *e);

/* How a command describes itself. */
struct command_help {
    const char *usage; /* "litestream ltx [flags] DB_PATH | REPLICA_URL", lines */
    const char *about; /* one paragraph */
};

/*
 * Parses the flags. When help was asked for or a flag is wrong everything is said
 * already: *status is set and false comes back.
 */
bool command_flags(const struct command_help *help, const struct flag *flags, size_t n,
    int argc, char **argv, int *n_used, int *status, struct err *e);

/* What the program is called in its help: "litestream", unless this says otherwise. */
void command_set_program(const char *name);

/* 1, the status of every failure. */
int command_failed(void);

/* --- configuration --------------------------------------------------------------------
 */

struct config_flags {
    const char *path; /* -config, NULL: not given */
    bool no_expand_env;
};

/* Two entries of a command's flag table that fill in a struct config_flags. */
#define COMMAND_CONFIG_FLAGS(cf)                                                         \
    { .name = "config",                                                                  \
        .type = FLAG_STRING,                                                             \
        .value = &(cf).path,                                                             \
        .arg = "PATH",                                                                   \
        .doc = "Configuration file." },                                                  \
    {                                                                                    \
        .name = "no-expand-env", .type = FLAG_BOOL, .value = &(cf).no_expand_env,        \
        .doc = "Leave $NAME in the configuration file as it is."                         \
    }

/*
 * Reads the configuration file and sets up logging by it (keep_stdout: stdout is kept for
 * the result, log lines go to stderr); warnings are logged.
 */
int command_load_config(const struct config_flags *flags, bool keep_stdout,
    struct config **out, struct err *e);

/* Logs what was noticed while a configuration was made. */
void command_log_notices(const struct config *c);

/* All that the daemon asks of a configuration before it starts, but for the secrets. */
int command_check_daemon(const struct config *c, struct err *e);

/* Logging as it is without a configuration file. */
void command_plain_logging(bool to_stderr);

/* "scheme://..." but for sqlite:// and sqlite3://, which are database paths. */
bool command_is_url(const char *text);

/*
 * The database of an absolute path. A member of a `dir` entry, whether its file is there
 * or not, has a configuration of its own, which takes the place of *c.
 */
int command_find_db(
    struct config **c, const char *path, struct cfg_db **db, struct err *e);

/* A replica to read from: by URL, or those of a database of the configuration. */
struct command_source {
    struct config *config;      /* NULL: by URL */
    struct cfg_replica *by_url; /* NULL: by path */
    const struct cfg_db *db;    /* NULL: by URL */
    const struct cfg_replica *replicas;
    size_t n_replicas;
};

int command_source_open(const char *text, const struct config_flags *flags,
    bool keep_stdout, struct command_source *out, struct err *e);
void command_source_close(struct command_source *s);

/* Is it the one that -replica asks for, by name or type? NULL asks for any. */
bool command_is_replica(const struct cfg_replica *r, const char *asked);
int command_no_replica(const char *asked, struct err *e);

/* How a replica is told from the others of its database: its name, or its type. */
const char *command_replica_label(const struct cfg_replica *r);

/* --- output ---------------------------------------------------------------------------
 */

/* A table: columns as wide as their widest cell and two spaces, the last as it is. */
struct table; /* opaque */

struct table *table_new(const char *const *header, size_t n_columns);
void table_add(struct table *t, const char *const *cells); /* copied */
void table_print_free(struct table *t);
void table_free(struct table *t);

#endif
