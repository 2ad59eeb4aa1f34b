/*
 * A walk over the option table: each key is what its row says it is, wherever it may
 * stand.
 */
#include <ctype.h>
#include <string.h>

#include <criterion/criterion.h>

#include "config/options.h"
#include "config/value.h"
#include "test/unit/config/loaded.h"

/* One good value of a type, how it is shown, and a bad one (NULL: there is none). */
static const struct {
    const char *good, *shown, *bad;
} by_type[] = {
    [CFG_BOOL] = { "true", "true", "1" },
    [CFG_TRI] = { "false", "false", "\"true\"" },
    [CFG_INT] = { "0x10", "16", "many" },
    [CFG_INT64] = { "1_000", "1000", "64MB" },
    [CFG_MODE] = { "0640", "0640", "rw" },
    [CFG_DURATION] = { "90s", "1m30s", "1d" },
    [CFG_BYTESIZE] = { "1 KiB", "1024", "5xb" },
    [CFG_STRING] = { "https://word", "https://word", "[a]" },
    [CFG_SECRET] = { "word", "***", "{a: b}" },
    [CFG_STRINGS] = { "[a, b]", "[a, b]", "a" },
    [CFG_LOG_TYPE] = { "json", "json", "xml" },
    [CFG_COMMAND] = { "a 'b c'", "[a, b c]", "a; b" },
    [CFG_EVENTS] = { "[stop, error]", "[stop, error]", "boot" },
    [CFG_EXEC] = { "app -x", "app -x", "{a: b}" },
};

static const struct {
    enum cfg_scope scope;
    const char *name;
} scopes[] = {
    { CFG_GLOBAL, "top level" },
    { CFG_DB, "dbs[]" },
    { CFG_REPLICA, "replica" },
    { CFG_LEVEL, "levels[]" },
    { CFG_HOOK, "hooks[]" },
};

#define N_SCOPES (sizeof(scopes) / sizeof(scopes[0]))

/* A file with "key: value" at one level. A key with a section stands in it. */
static const char *
file_with(enum cfg_scope scope, const struct cfg_option *o, const char *value)
{
    static char text[4096];
    char item[2048];
    const char *dot = strchr(o->name, '.');

    if (dot != NULL)
        snprintf(item, sizeof(item), "%.*s: {%s: %s}", (int)(dot - o->name), o->name,
            dot + 1, value);
    else
        snprintf(item, sizeof(item), "%s: %s", o->name, value);
    switch (scope) {
    case CFG_GLOBAL:
        snprintf(text, sizeof(text), "%s\n", item);
        break;
    case CFG_DB:
        snprintf(text, sizeof(text), "dbs:\n  - {%s%s}\n", item,
            strcmp(o->name, "path") == 0  ? ""
            : strcmp(o->name, "dir") == 0 ? ", pattern: '*'"
            : strcmp(o->name, "watch") == 0 || strcmp(o->name, "meta-dir") == 0
                ? ", dir: /d, pattern: '*'"
                : ", path: /a");
        break;
    case CFG_REPLICA:
        snprintf(text, sizeof(text), "dbs: [{path: /a, replica: {%s}}]\n", item);
        break;
    case CFG_LEVEL:
        snprintf(text, sizeof(text), "levels: [{%s%s}]\n", item,
            strcmp(o->name, "interval") == 0 ? "" : ", interval: 1h");
        break;
    case CFG_HOOK:
        snprintf(text, sizeof(text), "hooks: [{%s%s}]\n", item,
            strcmp(o->name, "cmd") == 0 ? "" : ", cmd: x");
        break;
    }
    return text;
}

/* The object of a loaded file that has the key. */
static const void *
object(const struct config *c, enum cfg_scope scope, const struct cfg_option *o)
{
    switch (scope) {
    case CFG_GLOBAL:
        return (o->scope & CFG_REPLICA) != 0 ? (const void *)&c->global : c;
    case CFG_DB:
        return &c->dbs[0];
    case CFG_REPLICA:
        return &c->dbs[0].replicas[0];
    case CFG_LEVEL:
        return &c->levels[0];
    case CFG_HOOK:
        return &c->hooks[0];
    }
    return NULL;
}

static bool
has_value(const struct cfg_option *o)
{
    return !cfg_type_is_container(o->type);
}

/* What loading makes of it is another matter: names of files, parts of URLs. */
static bool
is_resolved(const struct cfg_option *o)
{
    static const char *const names[] = { "path", "dir", "url", "meta-path", "meta-dir" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(o->name, names[i]) == 0)
            return true;
    return false;
}

Test(options, each_takes_a_good_value)
{
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < cfg_n_options; i++)
        for (size_t k = 0; k < N_SCOPES; k++) {
            const struct cfg_option *o = &cfg_options[i];
            struct config *c;
            const char *shown;

            if ((o->scope & scopes[k].scope) == 0 || !has_value(o))
                continue;
            cr_assert_not_null(by_type[o->type].good, "%s", o->name);
            c = loaded(file_with(scopes[k].scope, o, by_type[o->type].good));
            shown =
                cfg_value_text(&a, o, cfg_field_const(object(c, scopes[k].scope, o), o));
            if (!is_resolved(o))
                cr_expect_str_eq(shown, by_type[o->type].shown, "%s of %s: %s", o->name,
                    scopes[k].name, shown);
            config_free(c);
        }
    arena_deinit(&a);
}

Test(options, each_refuses_a_bad_value_and_names_the_key)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        for (size_t k = 0; k < N_SCOPES; k++) {
            const struct cfg_option *o = &cfg_options[i];
            const char *text, *error, *key = strrchr(o->name, '.');

            if ((o->scope & scopes[k].scope) == 0 || !has_value(o))
                continue;
            cr_assert_not_null(by_type[o->type].bad, "%s", o->name);
            text = file_with(scopes[k].scope, o, by_type[o->type].bad);
            error = refused(text);
            cr_expect(strncmp(error, "t.yml: ", 7) == 0, "%s%s", text, error);
            cr_expect(strstr(error, "line ") != NULL, "%s%s", text, error);
            cr_expect(strstr(error, key != NULL ? key + 1 : o->name) != NULL, "%s%s",
                text, error);
        }
}

/* As a loaded empty file, or an object without keys, has it. */
Test(options, each_has_its_default)
{
    struct config *c = loaded("levels: [{interval: 1h}]\nhooks: [{cmd: x}]\n"
                              "dbs: [{path: /a, replica: {path: /r}}]\n");
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < cfg_n_options; i++)
        for (size_t k = 0; k < N_SCOPES; k++) {
            const struct cfg_option *o = &cfg_options[i];
            const void *field;
            _Alignas(max_align_t) char def[64] = { 0 };

            if ((o->scope & scopes[k].scope) == 0 || !has_value(o) || is_resolved(o) ||
                strcmp(o->name, "cmd") == 0 || strcmp(o->name, "interval") == 0 ||
                (scopes[k].scope == CFG_DB &&
                    (strncmp(o->name, "snapshot.", 9) == 0 ||
                        strcmp(o->name, "heartbeat-interval") == 0)))
                continue;
            field = cfg_field_const(object(c, scopes[k].scope, o), o);
            cfg_value_default(&a, o, def);
            cr_expect(cfg_value_equal(o, field, def), "%s of %s: %s", o->name,
                scopes[k].name, cfg_value_text(&a, o, field));
        }
    /* What a database does not say is that of the top level. */
    cr_expect_eq(c->dbs[0].snapshot.interval_ns, c->snapshot.interval_ns);
    cr_expect_eq(c->dbs[0].snapshot.retention_ns, c->snapshot.retention_ns);
    cr_expect_eq(c->dbs[0].heartbeat_interval_ns, c->heartbeat_interval_ns);
    arena_deinit(&a);
    config_free(c);
}

Test(options, bounds_hold)
{
    static const struct {
        enum cfg_rule rule;
        const char *bad, *good;
    } bounds[] = {
        { CFG_POSITIVE, "0s", "1ns" },
        { CFG_POSITIVE, "-1s", "1ns" },
        { CFG_NOT_NEGATIVE, "-1ns", "0s" },
        { CFG_MINUTE, "59s", "1m" },
        { CFG_HTTP_URL, "ftp://x", "http://x" },
    };
    size_t n = 0;

    for (size_t i = 0; i < cfg_n_options; i++)
        for (size_t k = 0; k < N_SCOPES; k++)
            for (size_t m = 0; m < sizeof(bounds) / sizeof(bounds[0]); m++) {
                const struct cfg_option *o = &cfg_options[i];
                const char *error;

                /* Replica settings at the top are looked at in a replica. */
                if ((o->scope & scopes[k].scope) == 0 || o->rule != bounds[m].rule ||
                    (scopes[k].scope == CFG_GLOBAL && (o->scope & CFG_REPLICA) != 0))
                    continue;
                error = refused(file_with(scopes[k].scope, o, bounds[m].bad));
                cr_expect(strstr(error, o->rule_text) != NULL, "%s: %s: %s", o->name,
                    bounds[m].bad, error);
                error = refused(file_with(scopes[k].scope, o, bounds[m].good));
                cr_expect(strstr(error, o->rule_text) == NULL, "%s: %s: %s", o->name,
                    bounds[m].good, error);
                n++;
            }
    cr_expect_gt(n, 20);
}

Test(options, null_is_as_if_absent)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        for (size_t k = 0; k < N_SCOPES; k++) {
            const struct cfg_option *o = &cfg_options[i];
            struct config *c;
            struct err e = ERR_NONE;
            const char *text;

            if ((o->scope & scopes[k].scope) == 0 || strcmp(o->name, "cmd") == 0 ||
                strcmp(o->name, "path") == 0 || strcmp(o->name, "dir") == 0 ||
                (scopes[k].scope == CFG_LEVEL && strcmp(o->name, "interval") == 0))
                continue;
            text = file_with(scopes[k].scope, o, "");
            cr_expect_eq(config_parse(text, strlen(text), "t.yml", NULL, &c, &e), 0,
                "%s: %s", text, e.text);
            if (e.code == ERR_OK)
                config_free(c);
        }
}

Test(options, rows_are_in_order)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];
        bool hidden =
            o->alias_of != NULL || o->instead != NULL || strncmp(o->name, "age", 3) == 0;
        size_t len;

        for (const char *s = o->name; *s != '\0'; s++)
            cr_expect(islower((unsigned char)*s) || isdigit((unsigned char)*s) ||
                          *s == '-' || *s == '.',
                "%s", o->name);
        for (size_t k = 0; k < i; k++)
            cr_expect((cfg_options[k].scope & o->scope) == 0 ||
                          strcmp(cfg_options[k].name, o->name) != 0,
                "%s is there twice", o->name);
        cr_expect_eq(cfg_option_index(o), i);
        cr_expect_eq(o->rule == CFG_ANY, o->rule_text == NULL, "%s", o->name);
        cr_expect_eq(o->doc == NULL, hidden, "%s has no sentence", o->name);
        if (o->doc == NULL)
            continue;
        len = strlen(o->doc);
        cr_expect(
            len > 5 && len < 90 && o->doc[len - 1] == '.', "%s: %s", o->name, o->doc);
        if (o->gate != NULL)
            for (size_t k = 0; k < N_SCOPES; k++)
                cr_expect((o->scope & scopes[k].scope) == 0 ||
                              cfg_option_find(scopes[k].scope, o->gate) != NULL,
                    "%s: no %s", o->name, o->gate);
    }
}

Test(options, aliases_and_partners_exist)
{
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i], *partner = cfg_option_partner(o);

        if (o->alias_of != NULL) {
            const struct cfg_option *main = cfg_option_find(CFG_REPLICA, o->alias_of);

            cr_assert_not_null(main, "%s", o->name);
            cr_expect_eq(main->offset, o->offset);
            cr_expect_eq(main->type, o->type);
        } else if (partner != NULL) {
            cr_expect_eq(cfg_option_partner(partner), o, "%s", o->name);
        }
    }
    cr_expect_null(cfg_option_find(CFG_DB, "addr"));
    cr_expect_null(cfg_option_find(CFG_GLOBAL, "nope"));
}
