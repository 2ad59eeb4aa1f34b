#include "supervisor/mcp/tools.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"

#define MAX_PARAMS 8

enum param_kind { PARAM_TEXT, PARAM_BOOL };

struct param {
    const char *name, *doc;
    enum param_kind kind;
    bool required;
    const char *flag; /* of the command; NULL: its argument */
};

struct tool {
    const char *name, *doc;
    const char *command;
    bool read_only, destructive, idempotent;
    bool takes_config, drops_config_for_url;
    struct param params[MAX_PARAMS];
};

#define CONFIG_PARAM                                                                     \
    {                                                                                    \
        "config", "Path of the configuration file; the daemon's own if it is left out.", \
            PARAM_TEXT, false, "-config"                                                 \
    }

/* By name. */
static const struct tool tools[] = {
    { .name = "litestream_databases",
        .doc = "List the databases of the configuration and their replicas.",
        .command = "databases",
        .read_only = true,
        .idempotent = true,
        .takes_config = true,
        .params = { CONFIG_PARAM } },
    { .name = "litestream_info",
        .doc = "Report the version, the configuration, its databases and the LTX files "
               "of each.",
        .command = NULL,
        .read_only = true,
        .idempotent = true,
        .takes_config = true,
        .params = { CONFIG_PARAM } },
    { .name = "litestream_ltx",
        .doc = "List the LTX files of a database or of a replica URL.",
        .command = "ltx",
        .read_only = true,
        .idempotent = true,
        .takes_config = true,
        .drops_config_for_url = true,
        .params = { { "path", "Database path or replica URL.", PARAM_TEXT, true, NULL },
            CONFIG_PARAM } },
    { .name = "litestream_reset",
        .doc = "Remove the local state of a database, so that the next sync starts with "
               "a full snapshot.",
        .command = "reset",
        .destructive = true,
        .idempotent = true,
        .takes_config = true,
        .params = { { "path", "Database path.", PARAM_TEXT, true, NULL },
            CONFIG_PARAM } },
    { .name = "litestream_restore",
        .doc = "Restore a database from its replica, to the newest state, a TXID or a "
               "time.",
        .command = "restore",
        .takes_config = true,
        .drops_config_for_url = true,
        .params = { { "path", "Database path or replica URL.", PARAM_TEXT, true, NULL },
            { "o", "Where the restored database is written.", PARAM_TEXT, false, "-o" },
            CONFIG_PARAM,
            { "txid", "Restore up to this TXID (16 hex digits).", PARAM_TEXT, false,
                "-txid" },
            { "timestamp", "Restore to this time (RFC 3339).", PARAM_TEXT, false,
                "-timestamp" },
            { "parallelism", "Number of files that are read at a time.", PARAM_TEXT,
                false, "-parallelism" },
            { "if_db_not_exists", "Succeed without restoring if the database exists.",
                PARAM_BOOL, false, "-if-db-not-exists" },
            { "if_replica_exists", "Succeed without restoring if there is no replica.",
                PARAM_BOOL, false, "-if-replica-exists" } } },
    { .name = "litestream_status",
        .doc = "Show the state of replication of all databases or of one.",
        .command = "status",
        .read_only = true,
        .idempotent = true,
        .takes_config = true,
        .params = { CONFIG_PARAM,
            { "path", "Database path.", PARAM_TEXT, false, NULL } } },
    { .name = "litestream_version",
        .doc = "Show the version of Litestream.",
        .command = "version",
        .read_only = true,
        .idempotent = true },
};

#define N_TOOLS (sizeof(tools) / sizeof(tools[0]))

const struct tool *
tool_find(const char *name)
{
    for (size_t i = 0; i < N_TOOLS; i++)
        if (strcmp(tools[i].name, name) == 0)
            return &tools[i];
    return NULL;
}

bool
tool_is_report(const struct tool *t)
{
    return t->command == NULL;
}

/* --- tools/list -----------------------------------------------------------------------
 */

static json_t *
schema(const struct tool *t)
{
    json_t *o = json_object(), *properties = json_object(), *required = json_array();

    for (const struct param *p = t->params; p < t->params + MAX_PARAMS && p->name != NULL;
         p++) {
        json_object_set_new(properties, p->name,
            json_pack("{s:s, s:s}", "type", p->kind == PARAM_BOOL ? "boolean" : "string",
                "description", p->doc));
        if (p->required)
            json_array_append_new(required, json_string(p->name));
    }
    json_object_set_new(o, "type", json_string("object"));
    json_object_set_new(o, "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(o, "required", required);
    json_decref(required);
    return o;
}

json_t *
tool_list(void)
{
    json_t *list = json_array(), *o = json_object();

    for (size_t i = 0; i < N_TOOLS; i++) {
        const struct tool *t = &tools[i];

        json_array_append_new(list,
            json_pack("{s:s, s:s, s:o, s:{s:b, s:b, s:b, s:b}}", "name", t->name,
                "description", t->doc, "inputSchema", schema(t), "annotations",
                "readOnlyHint", (int)t->read_only, "destructiveHint", (int)t->destructive,
                "idempotentHint", (int)t->idempotent, "openWorldHint", 1));
    }
    json_object_set_new(o, "tools", list);
    return o;
}

/* --- commands -------------------------------------------------------------------------
 */

void
tool_argv_add(struct tool_argv *a, const char *text)
{
    must(a->n < TOOL_ARGS_MAX);
    a->items[a->n++] = mem_strdup(text);
    a->items[a->n] = NULL;
}

void
tool_argv_begin(struct tool_argv *a, const char *command)
{
    *a = (struct tool_argv){ .n = 0 };
    tool_argv_add(a, "litestream");
    tool_argv_add(a, command);
}

void
tool_argv_deinit(struct tool_argv *a)
{
    for (unsigned i = 0; i < a->n; i++)
        mem_free(a->items[i]);
    *a = (struct tool_argv){ .n = 0 };
}

/* NULL: not there, or of another type. */
static const char *
text_of(const json_t *arguments, const char *name)
{
    const char *text = json_string_value(json_object_get(arguments, name));

    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool
is_true(const json_t *value)
{
    if (json_is_string(value))
        return strcmp(json_string_value(value), "true") == 0 ||
               strcmp(json_string_value(value), "1") == 0;
    if (json_is_number(value))
        return json_number_value(value) != 0;
    return json_is_true(value);
}

const char *
tool_config(const json_t *arguments, const struct tool_defaults *d)
{
    const char *given = text_of(arguments, "config");

    return given != NULL ? given : d->config;
}

static void
add_config(const struct tool *t, const json_t *arguments, const struct tool_defaults *d,
    struct tool_argv *out)
{
    const char *path = text_of(arguments, "path"), *config = tool_config(arguments, d);

    if (!t->takes_config || config[0] == '\0' ||
        (t->drops_config_for_url && path != NULL && strstr(path, "://") != NULL))
        return;
    tool_argv_add(out, "-config");
    tool_argv_add(out, config);
}

bool
tool_command(const struct tool *t, const json_t *arguments, const struct tool_defaults *d,
    struct tool_argv *out, const char **missing)
{
    const char *argument = NULL, *text;

    tool_argv_begin(out, t->command);
    add_config(t, arguments, d, out);
    for (const struct param *p = t->params; p < t->params + MAX_PARAMS && p->name != NULL;
         p++) {
        text = text_of(arguments, p->name);
        if (p->required && text == NULL) {
            *missing = p->name;
            tool_argv_deinit(out);
            return false;
        }
        if (p->kind == PARAM_BOOL && is_true(json_object_get(arguments, p->name))) {
            tool_argv_add(out, p->flag);
        } else if (p->kind == PARAM_TEXT && p->flag == NULL) {
            argument = text;
        } else if (p->kind == PARAM_TEXT && text != NULL &&
                   strcmp(p->flag, "-config") != 0) {
            tool_argv_add(out, p->flag);
            tool_argv_add(out, text);
        }
    }
    if (argument != NULL) {
        tool_argv_add(out, "--"); /* whatever it begins with */
        tool_argv_add(out, argument);
    }
    return true;
}

char *
tool_summary(const struct tool *t, const json_t *arguments)
{
    const char *path = text_of(arguments, "path"), *output = text_of(arguments, "o");

    if (strcmp(t->name, "litestream_restore") != 0 || path == NULL)
        return mem_strdup("");
    if (output == NULL)
        return mem_printf("Restored %s.", path);
    return mem_printf("Restored %s to %s.", path, output);
}
