#include "test/unit/config/loaded.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static const char *extra_name = "", *extra_value;
static const struct config_options options = { .env = loaded_env };

const char *
loaded_env(const char *name)
{
    static const char *const vars[][2] = {
        { "A", "1" },
        { "HOST", "example.com" },
        { "KEY", "k$y" },
        { "EMPTY", "" },
    };

    for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return strcmp(extra_name, name) == 0 ? extra_value : NULL;
}

void
loaded_set(const char *name, const char *value)
{
    extra_name = name;
    extra_value = value;
}

struct config *
loaded(const char *text)
{
    struct config *c = NULL;
    struct err e = ERR_NONE;
    int rc = config_parse(text, strlen(text), "t.yml", &options, &c, &e);

    cr_assert_eq(rc, 0, "%s\n%s", e.text, text);
    return c;
}

struct config *
loaded_replica(const char *keys)
{
    char text[4096];

    snprintf(text, sizeof(text), "dbs:\n  - path: /data/app.db\n    replica:\n%s", keys);
    return loaded(text);
}

const char *
refused(const char *text)
{
    static struct err e;
    struct config *c = NULL;

    e = (struct err)ERR_NONE;
    if (config_parse(text, strlen(text), "t.yml", &options, &c, &e) != 0)
        return e.text;
    if (config_check_replicas(c, &e) == 0)
        config_check_daemon(c, &e);
    config_free(c);
    return e.text;
}

const char *
noticed(const char *text)
{
    static char out[16384];
    struct config *c = loaded(text);
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < c->n_notices; i++)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%d: %s\n",
            c->notices[i].line, c->notices[i].text);
    config_free(c);
    return out;
}
