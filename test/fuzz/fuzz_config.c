/*
 * Any text as a configuration: it loads or is refused, with expansion and without; what
 * loads can be checked, printed and split up. No file but the current folder's name.
 */
#include <stdint.h>
#include <string.h>

#include "config/config.h"
#include "config/features.h"
#include "config/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
env(const char *name)
{
    return strcmp(name, "HOME") == 0 ? "/home/user" : NULL;
}

static void
use(struct config *c)
{
    struct err e = ERR_NONE;
    struct buf text;
    struct config *other;

    config_check_replicas(c, &e);
    config_check_daemon(c, &e);
    cfg_require_features(c, 0, &e);
    buf_init(&text, (size_t)1 << 20);
    config_print(c, &text);
    buf_deinit(&text);
    for (size_t i = 0; i < c->n_dbs && i < 4; i++)
        if (c->dbs[i].dir[0] != '\0' && c->dbs[i].fault == NULL) {
            char path[8192];

            snprintf(path, sizeof(path), "%s/sub/x y.db", c->dbs[i].dir_path);
            if (config_member(c, &c->dbs[i], path, &other, &e) == 0)
                config_free(other);
        }
    config_free(c);
}

/* The first line as the URL of a command line. */
static void
try_url(const char *text, size_t size, const struct config_options *options)
{
    char url[2048];
    const char *end = memchr(text, '\n', size);
    struct cfg_replica *r;
    struct err e = ERR_NONE;
    size_t n = end != NULL ? (size_t)(end - text) : size;

    if (n >= sizeof(url))
        return;
    memcpy(url, text, n);
    url[n] = '\0';
    if (cfg_replica_from_url(url, options, &r, &e) == 0)
        cfg_replica_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_options plain = { .no_expand_env = true, .env = env };
    struct config_options expanding = { .env = env };
    struct config *c;
    struct err e = ERR_NONE;

    if (config_parse((const char *)data, size, "fuzz.yml", &plain, &c, &e) == 0)
        use(c);
    if (memmem(data, size, "://", 3) != NULL)
        try_url((const char *)data, size, &plain);
    if (memchr(data, '$', size) != NULL &&
        config_parse((const char *)data, size, "fuzz.yml", &expanding, &c, &e) == 0)
        use(c);
    return 0;
}
