/*
 * What does not hinder the other commands, but the daemon does not start with.
 */
#include <stdarg.h>
#include <string.h>

#include "config/build.h"
#include "config/command.h"

static int __attribute__((format(printf, 4, 5)))
refuse(const struct config *c, int line, struct err *e, const char *fmt, ...)
{
    va_list ap;
    char text[ERR_TEXT_MAX];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    build_fail(e, line, "%s", text);
    if (c->file[0] != '\0')
        err_wrap(e, "%s", c->file);
    return (int)e->code;
}

/* [host]:port with a port. */
static bool
has_port(const char *addr)
{
    const char *bracket = strrchr(addr, ']');
    const char *colon = strchr(bracket != NULL ? bracket : addr, ':');

    return colon != NULL && colon[1] != '\0' && strchr(colon + 1, ':') == NULL;
}

static int
check_exec(const struct config *c, struct err *e)
{
    struct arena scratch;
    struct cfg_strings argv;
    struct err why = ERR_NONE;
    int rc = 0;

    if (c->exec[0] == '\0')
        return 0;
    arena_init(&scratch);
    if (cfg_split_command(&scratch, c->exec, &argv, &why) != 0)
        rc = refuse(c, cfg_line_of(&c->obj, "exec"), e, "cannot parse exec command: %s",
            why.text);
    arena_deinit(&scratch);
    return rc;
}

static int
check_db(const struct config *c, const struct cfg_db *db, struct err *e)
{
    if (db->min_checkpoint_pages <= 0)
        return refuse(c, cfg_line_of(&db->obj, "min-checkpoint-page-count"), e,
            "dbs[%s].min-checkpoint-page-count: cannot open store: minimum checkpoint page "
            "count required (got %lld)",
            db->path[0] != '\0' ? db->path : db->dir,
            (long long)db->min_checkpoint_pages);
    if (db->clash == NULL)
        return 0;
    *e = *db->clash;
    return (int)e->code;
}

int
config_check_daemon(const struct config *c, struct err *e)
{
    int rc = 0;

    if (c->addr[0] != '\0' && !has_port(c->addr))
        return refuse(c, cfg_line_of(&c->obj, "addr"), e,
            "must specify port for bind address: \"%s\"", c->addr);
    if (c->n_levels > CFG_MAX_LEVELS)
        return refuse(c, cfg_line_of(&c->obj, "levels"), e,
            "cannot open store: compaction level cannot exceed %d", CFG_MAX_LEVELS);
    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        rc = check_db(c, &c->dbs[i], e);
    return rc == 0 ? check_exec(c, e) : rc;
}
