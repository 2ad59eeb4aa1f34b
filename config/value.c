#include "config/value.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytesize.h"
#include "common/base/duration.h"
#include "common/base/must.h"
#include "config/command.h"
#include "config/url.h"

#define VALUE_TEXT_MAX 65536

static const struct {
    const char *name;
    unsigned bit;
} events[] = {
    { "start", CFG_ON_START },
    { "stop", CFG_ON_STOP },
    { "error", CFG_ON_ERROR },
    { "recovered", CFG_ON_RECOVERED },
    { "snapshot", CFG_ON_SNAPSHOT },
    { "restore", CFG_ON_RESTORE },
};

#define N_EVENTS (sizeof(events) / sizeof(events[0]))

static const struct {
    const char *name;
    enum log_format format;
} log_types[] = {
    { "text", LOG_TEXT },
    { "", LOG_TEXT },
    { "json", LOG_JSON },
    { "pretty", LOG_PRETTY },
};

#define N_LOG_TYPES (sizeof(log_types) / sizeof(log_types[0]))

bool
cfg_event_parse(const char *text, unsigned *mask)
{
    for (size_t i = 0; i < N_EVENTS; i++)
        if (strcmp(events[i].name, text) == 0) {
            *mask |= events[i].bit;
            return true;
        }
    return false;
}

static enum cfg_value_result
take_event(const char *text, unsigned *mask, struct err *e)
{
    *mask = 0;
    if (cfg_event_parse(text, mask))
        return CFG_VALUE_OK;
    err_set(e, ERR_CONFIG,
        "must be start, stop, error, recovered, snapshot or restore (got %s)", text);
    return CFG_VALUE_BAD;
}

static enum cfg_value_result
take_log_type(const char *text, enum log_format *format, struct err *e)
{
    for (size_t i = 0; i < N_LOG_TYPES; i++)
        if (strcmp(log_types[i].name, text) == 0) {
            *format = log_types[i].format;
            return CFG_VALUE_OK;
        }
    err_set(e, ERR_CONFIG, "must be text, json or pretty (got %s)", text);
    return CFG_VALUE_BAD;
}

static enum cfg_value_result
take_bytesize(const char *text, int64_t *bytes, struct err *e)
{
    struct err why = ERR_NONE;

    if (bytesize_parse(text, bytes, &why) == 0)
        return CFG_VALUE_OK;
    err_set(e, ERR_CONFIG, "%s (got %s)", why.text, text);
    return CFG_VALUE_BAD;
}

static enum cfg_value_result
take_command(struct arena *a, const char *text, struct cfg_strings *argv, struct err *e)
{
    return cfg_split_command(a, text, argv, e) == 0 ? CFG_VALUE_OK : CFG_VALUE_BAD;
}

static bool
take_tri(const struct yscalar *s, enum cfg_tri *out)
{
    bool flag;

    if (!yscalar_to_bool(s, &flag))
        return false;
    *out = flag ? CFG_ON : CFG_OFF;
    return true;
}

enum cfg_value_result
cfg_value_take(struct arena *a, const struct cfg_option *o, const struct yscalar *s,
    void *field, struct err *e)
{
    bool ok = true;

    switch (o->type) {
    case CFG_BOOL:
        ok = yscalar_to_bool(s, field);
        break;
    case CFG_TRI:
        ok = take_tri(s, field);
        break;
    case CFG_INT:
    case CFG_INT64:
        ok = yscalar_to_int(s, field);
        break;
    case CFG_MODE:
        ok = yscalar_to_mode(s, field);
        break;
    case CFG_DURATION:
        ok = yscalar_to_duration(s, field);
        break;
    case CFG_BYTESIZE:
        return take_bytesize(s->text, field, e);
    case CFG_STRING:
    case CFG_EXEC:
        *(const char **)field = s->text;
        break;
    case CFG_SECRET:
        secret_set(field, s->text);
        break;
    case CFG_LOG_TYPE:
        return take_log_type(s->text, field, e);
    case CFG_COMMAND:
        return take_command(a, s->text, field, e);
    case CFG_EVENTS:
        return take_event(s->text, field, e);
    case CFG_STRINGS:
    case CFG_SECTION:
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_MAP:
    case CFG_REPLICA_LIST:
        ok = false;
        break;
    case CFG_IGNORED:
        break;
    }
    return ok ? CFG_VALUE_OK : CFG_VALUE_TYPE;
}

void
cfg_value_default(struct arena *a, const struct cfg_option *o, void *field)
{
    struct err e = ERR_NONE;
    struct yscalar s;
    struct ynode n = { .kind = YNODE_SCALAR, .plain = true };

    if (cfg_type_is_container(o->type))
        return;
    if (o->type == CFG_STRING || o->type == CFG_EXEC)
        *(const char **)field = o->def != NULL ? o->def : "";
    if (o->def == NULL || o->type == CFG_STRING)
        return;
    n.value = arena_strdup(a, o->def);
    n.size = strlen(n.value);
    must(yscalar_resolve(&n, &s, &e) == 0);
    must(cfg_value_take(a, o, &s, field, &e) == CFG_VALUE_OK);
}

static const char *
list_text(struct arena *a, const struct cfg_strings *list)
{
    struct buf text;
    const char *copy;

    buf_init(&text, VALUE_TEXT_MAX);
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", list->items[i]);
    copy = arena_printf(a, "[%s]", buf_str(&text));
    buf_deinit(&text);
    return copy;
}

static const char *
events_text(struct arena *a, unsigned mask)
{
    const char *names[N_EVENTS];
    struct cfg_strings list = { .items = names };

    for (size_t i = 0; i < N_EVENTS; i++)
        if ((mask & events[i].bit) != 0)
            names[list.n++] = events[i].name;
    return list_text(a, &list);
}

static const char *
duration_text(struct arena *a, int64_t ns)
{
    char text[DURATION_TEXT_MAX];

    duration_format(ns, text);
    return arena_strdup(a, text);
}

static const char *
string_text(struct arena *a, const struct cfg_option *o, const char *s)
{
    return o->private ? url_without_details(a, s) : url_without_password(a, s);
}

static const char *
log_type_text(enum log_format format)
{
    return format == LOG_JSON ? "json" : format == LOG_PRETTY ? "pretty" : "text";
}

static const char *
tri_text(enum cfg_tri tri)
{
    return tri == CFG_ON ? "true" : tri == CFG_OFF ? "false" : "";
}

const char *
cfg_value_text(struct arena *a, const struct cfg_option *o, const void *field)
{
    switch (o->type) {
    case CFG_BOOL:
        return *(const bool *)field ? "true" : "false";
    case CFG_TRI:
        return tri_text(*(const enum cfg_tri *)field);
    case CFG_INT:
    case CFG_INT64:
    case CFG_BYTESIZE:
        return arena_printf(a, "%lld", (long long)*(const int64_t *)field);
    case CFG_MODE:
        return arena_printf(a, "%#llo", (unsigned long long)*(const int64_t *)field);
    case CFG_DURATION:
        return duration_text(a, *(const int64_t *)field);
    case CFG_STRING:
    case CFG_EXEC:
        return string_text(a, o, *(const char *const *)field);
    case CFG_SECRET:
        return secret_is_set(field) ? "***" : "";
    case CFG_STRINGS:
    case CFG_COMMAND:
        return list_text(a, field);
    case CFG_LOG_TYPE:
        return log_type_text(*(const enum log_format *)field);
    case CFG_EVENTS:
        return events_text(a, *(const unsigned *)field);
    case CFG_SECTION:
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_MAP:
    case CFG_REPLICA_LIST:
    case CFG_IGNORED:
        break;
    }
    return "";
}

static bool
list_equal(const struct cfg_strings *a, const struct cfg_strings *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

/* How a type is kept; the size is that of plain ones. */
static const struct {
    enum { NONE, PLAIN, STRING, SECRET, LIST } as;
    size_t size;
} kept[] = {
    [CFG_BOOL] = { PLAIN, sizeof(bool) },
    [CFG_TRI] = { PLAIN, sizeof(enum cfg_tri) },
    [CFG_INT] = { PLAIN, sizeof(int64_t) },
    [CFG_INT64] = { PLAIN, sizeof(int64_t) },
    [CFG_MODE] = { PLAIN, sizeof(int64_t) },
    [CFG_DURATION] = { PLAIN, sizeof(int64_t) },
    [CFG_BYTESIZE] = { PLAIN, sizeof(int64_t) },
    [CFG_STRING] = { STRING, 0 },
    [CFG_SECRET] = { SECRET, 0 },
    [CFG_STRINGS] = { LIST, 0 },
    [CFG_LOG_TYPE] = { PLAIN, sizeof(enum log_format) },
    [CFG_COMMAND] = { LIST, 0 },
    [CFG_EVENTS] = { PLAIN, sizeof(unsigned) },
    [CFG_EXEC] = { STRING, 0 },
    [CFG_IGNORED] = { NONE, 0 },
};

bool
cfg_value_equal(const struct cfg_option *o, const void *a, const void *b)
{
    switch (kept[o->type].as) {
    case PLAIN:
        return memcmp(a, b, kept[o->type].size) == 0;
    case STRING:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case SECRET:
        return strcmp(secret_reveal(a), secret_reveal(b)) == 0;
    case LIST:
        return list_equal(a, b);
    case NONE:
        break;
    }
    return true;
}

bool
cfg_value_is_zero(const struct cfg_option *o, const void *field)
{
    static const char *const empty = "";
    static const struct cfg_strings nothing;
    static const struct secret none;
    static const int64_t zero;
    static const void *const zeros[] = {
        [PLAIN] = &zero,
        [STRING] = &empty,
        [SECRET] = &none,
        [LIST] = &nothing,
    };

    return cfg_value_equal(o, field, zeros[kept[o->type].as]);
}

void
cfg_value_copy(const struct cfg_option *o, void *to, const void *from)
{
    switch (kept[o->type].as) {
    case PLAIN:
        memcpy(to, from, kept[o->type].size);
        break;
    case STRING:
        *(const char **)to = *(const char *const *)from;
        break;
    case SECRET:
        secret_copy(to, from);
        break;
    case LIST:
        *(struct cfg_strings *)to = *(const struct cfg_strings *)from;
        break;
    case NONE:
        break;
    }
}

static void
own_list(struct arena *a, struct cfg_strings *list)
{
    const char **items = arena_alloc(a, (list->n + 1) * sizeof(*items));

    for (size_t i = 0; i < list->n; i++)
        items[i] = arena_strdup(a, list->items[i]);
    list->items = items;
}

void
cfg_value_own(struct arena *a, const struct cfg_option *o, void *field)
{
    if (kept[o->type].as == STRING)
        *(const char **)field = arena_strdup(a, *(const char **)field);
    else if (kept[o->type].as == LIST)
        own_list(a, field);
}
