#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/utf8.h"
#include "supervisor/commands/command.h"

int
command_failed(void)
{
    return EXIT_FAILURE;
}

static const char *program = "litestream";

void
command_set_program(const char *name)
{
    program = name;
}

/* Lines of "\tlitestream COMMAND ...", by the name that the program has here. */
static void
print_usage(const char *usage)
{
    static const char written[] = "\tlitestream ";
    const char *at;

    for (; (at = strstr(usage, written)) != NULL; usage = at + sizeof(written) - 1)
        printf("%.*s\t%s ", (int)(at - usage), usage, program);
    printf("%s\n", usage);
}

static void
print_help(const struct command_help *help, const struct flag *flags, size_t n)
{
    printf("%s\n\nUsage:\n\n", help->about);
    print_usage(help->usage);
    if (n > 0) {
        printf("\nFlags:\n\n");
        flags_print(flags, n);
    }
}

bool
command_flags(const struct command_help *help, const struct flag *flags, size_t n,
    int argc, char **argv, int *n_used, int *status, struct err *e)
{
    int rc = flags_parse(flags, n, argc, argv, n_used, e);

    if (rc == 0)
        return true;
    if (rc == ERR_END) {
        print_help(help, flags, n);
        e->code = ERR_OK;
        *status = EXIT_SUCCESS;
        return false;
    }
    /* the message, the usage, and (from the caller) the message as the error */
    fprintf(stderr, "%s\n", e->text);
    print_help(help, flags, n);
    fflush(stdout);
    *status = command_failed();
    return false;
}

/* --- configuration --------------------------------------------------------------------
 */

void
command_plain_logging(bool to_stderr)
{
    struct log_options options = {
        .level = config_log_level(NULL), .format = LOG_TEXT, .fd = to_stderr ? 2 : 1
    };

    log_setup(&options);
}

void
command_log_notices(const struct config *c)
{
    for (size_t i = 0; i < c->n_notices; i++) {
        const struct cfg_notice *n = &c->notices[i];
        enum log_level level = n->info ? LOG_INFO : LOG_WARN;

        if (c->file[0] == '\0')
            LOG_AT(level, "command line", LF_STR("note", n->text));
        else
            LOG_AT(level, "configuration", LF_STR("file", c->file),
                LF_INT("line", n->line), LF_STR("key", n->key), LF_STR("note", n->text));
    }
}

int
command_load_config(const struct config_flags *flags, bool keep_stdout,
    struct config **out, struct err *e)
{
    struct config_options options = { .no_expand_env = flags->no_expand_env };
    const char *path = flags->path != NULL ? flags->path : config_default_path();
    struct log_options log = { 0 };
    int rc;

    command_plain_logging(keep_stdout);
    rc = config_load(path, &options, out, e);
    if (rc != 0)
        return rc;
    log.level = config_log_level(*out);
    log.format = (*out)->logging.type;
    log.source = (*out)->logging.source;
    log.fd = (*out)->logging.to_stderr || keep_stdout ? 2 : 1;
    log_setup(&log);
    command_log_notices(*out);
    return 0;
}

bool
command_is_url(const char *text)
{
    size_t n = 0;

    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    if (n == 0 || strncmp(text + n, "://", 3) != 0)
        return false;
    return !(n == 6 && strncmp(text, "sqlite", 6) == 0) &&
           !(n == 7 && strncmp(text, "sqlite3", 7) == 0);
}

static int
source_by_url(const char *url, const struct config_flags *flags, bool keep_stdout,
    struct command_source *out, struct err *e)
{
    int rc;

    if (flags->path != NULL)
        return err_set(e, ERR_USAGE, "cannot specify a replica URL and the -config flag");
    command_plain_logging(keep_stdout);
    rc = cfg_replica_from_url(url, NULL, &out->by_url, e);
    if (rc != 0)
        return rc;
    command_log_notices(cfg_replica_config(out->by_url));
    out->replicas = out->by_url;
    out->n_replicas = 1;
    return 0;
}

int
command_find_db(struct config **c, const char *path, struct cfg_db **db, struct err *e)
{
    const struct cfg_db *dir;
    struct config *member;
    int rc;

    *db = config_find_db(*c, path);
    if (*db != NULL)
        return 0;
    dir = config_find_dir(*c, path);
    if (dir == NULL)
        return err_set(e, ERR_USAGE, "database not found in config: %s", path);
    rc = config_member(*c, dir, path, &member, e);
    if (rc != 0)
        return rc;
    config_free(*c);
    *c = member;
    *db = &member->dbs[0];
    return 0;
}

static int
source_by_path(const char *text, const struct config_flags *flags, bool keep_stdout,
    struct command_source *out, struct err *e)
{
    struct cfg_db *db;
    char *path;
    int rc = command_load_config(flags, keep_stdout, &out->config, e);

    if (rc == 0)
        rc = path_expand_db(text, &path, e);
    if (rc != 0)
        return rc;
    rc = command_find_db(&out->config, path, &db, e);
    mem_free(path);
    if (rc == 0)
        rc = cfg_check_replicas(db, e);
    if (rc == 0)
        rc = cfg_read_secrets(out->config, db, e);
    if (rc != 0)
        return rc;
    out->db = db;
    out->replicas = db->replicas;
    out->n_replicas = db->n_replicas;
    return 0;
}

int
command_source_open(const char *text, const struct config_flags *flags, bool keep_stdout,
    struct command_source *out, struct err *e)
{
    int rc;

    *out = (struct command_source){ 0 };
    rc = command_is_url(text) ? source_by_url(text, flags, keep_stdout, out, e)
                              : source_by_path(text, flags, keep_stdout, out, e);
    if (rc != 0)
        command_source_close(out);
    return rc;
}

void
command_source_close(struct command_source *s)
{
    config_free(s->config);
    cfg_replica_free(s->by_url);
    *s = (struct command_source){ 0 };
}

bool
command_is_replica(const struct cfg_replica *r, const char *asked)
{
    return asked == NULL || strcmp(asked, r->name) == 0 ||
           strcmp(asked, cfg_replica_type_name(r->type)) == 0;
}

int
command_no_replica(const char *asked, struct err *e)
{
    return err_set(e, ERR_USAGE, "no replica of that name or type: %s", asked);
}

const char *
command_replica_label(const struct cfg_replica *r)
{
    return r->name[0] != '\0' ? r->name : cfg_replica_type_name(r->type);
}

/* --- output ---------------------------------------------------------------------------
 */

struct table {
    size_t n_columns, n_rows, cap;
    char **cells; /* row by row */
};

struct table *
table_new(const char *const *header, size_t n_columns)
{
    struct table *t = MEM_NEW(struct table);

    t->n_columns = n_columns;
    table_add(t, header);
    return t;
}

void
table_add(struct table *t, const char *const *cells)
{
    if (t->n_rows == t->cap) {
        t->cap = t->cap > 0 ? t->cap * 2 : 16;
        t->cells = mem_resize(t->cells, t->cap * t->n_columns * sizeof(t->cells[0]));
    }
    for (size_t i = 0; i < t->n_columns; i++)
        t->cells[t->n_rows * t->n_columns + i] = mem_strdup(cells[i]);
    t->n_rows++;
}

static size_t
column_width(const struct table *t, size_t column)
{
    size_t widest = 0;

    for (size_t row = 0; row < t->n_rows; row++) {
        size_t len = utf8_len(t->cells[row * t->n_columns + column]);

        if (len > widest)
            widest = len;
    }
    return widest;
}

void
table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        mem_free(t->cells[i]);
    mem_free(t->cells);
    mem_free(t);
}

void
table_print_free(struct table *t)
{
    size_t *width = mem_new_array(t->n_columns, sizeof(*width));

    for (size_t i = 0; i < t->n_columns; i++)
        width[i] = column_width(t, i);
    for (size_t row = 0; row < t->n_rows; row++)
        for (size_t i = 0; i < t->n_columns; i++) {
            char *cell = t->cells[row * t->n_columns + i];
            bool last = i + 1 == t->n_columns;

            printf("%s%*s", cell, last ? 0 : (int)(width[i] + 2 - utf8_len(cell)), "");
            if (last)
                putchar('\n');
        }
    mem_free(width);
    table_free(t);
}
