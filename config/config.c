#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "config/options.h"

static const char *const type_names[CFG_N_REPLICA_TYPES] = {
    [CFG_REPLICA_FILE] = "file",
    [CFG_REPLICA_S3] = "s3",
    [CFG_REPLICA_GS] = "gs",
    [CFG_REPLICA_ABS] = "abs",
    [CFG_REPLICA_OSS] = "oss",
    [CFG_REPLICA_SFTP] = "sftp",
    [CFG_REPLICA_WEBDAV] = "webdav",
    [CFG_REPLICA_NATS] = "nats",
};

const char *
cfg_replica_type_name(enum cfg_replica_type type)
{
    must((unsigned)type < CFG_N_REPLICA_TYPES);
    return type_names[type];
}

bool
cfg_replica_type_parse(const char *text, enum cfg_replica_type *type)
{
    for (unsigned i = 0; i < CFG_N_REPLICA_TYPES; i++)
        if (strcmp(type_names[i], text) == 0) {
            *type = (enum cfg_replica_type)i;
            return true;
        }
    return false;
}

int
cfg_line_of(const struct cfg_obj *obj, const char *option)
{
    for (size_t i = 0; i < obj->n_marks; i++)
        if (strcmp(cfg_options[obj->marks[i].option].name, option) == 0)
            return obj->marks[i].line;
    return 0;
}

bool
cfg_is_set(const struct cfg_obj *obj, const char *option)
{
    for (size_t i = 0; i < obj->n_marks; i++)
        if (strcmp(cfg_options[obj->marks[i].option].name, option) == 0)
            return true;
    return false;
}

struct cfg_db *
config_find_db(struct config *c, const char *path)
{
    for (size_t i = 0; i < c->n_dbs; i++)
        if (c->dbs[i].path[0] != '\0' && strcmp(c->dbs[i].path, path) == 0)
            return &c->dbs[i];
    return NULL;
}

/* ---- secrets ---- */

static void
wipe_replica(struct cfg_replica *r)
{
    for (size_t i = 0; i < cfg_n_options; i++)
        if (cfg_options[i].type == CFG_SECRET &&
            (cfg_options[i].scope & CFG_REPLICA) != 0)
            secret_wipe(cfg_field(r, &cfg_options[i]));
}

void
config_wipe_secrets(struct config *c, const struct cfg_db *keep)
{
    secret_wipe(&c->mcp_auth_token);
    wipe_replica(&c->global);
    for (size_t i = 0; i < c->n_dbs; i++)
        for (size_t k = 0; k < c->dbs[i].n_replicas && &c->dbs[i] != keep; k++)
            wipe_replica(&c->dbs[i].replicas[k]);
}

void
config_free(struct config *c)
{
    struct arena arena;

    if (c == NULL)
        return;
    config_wipe_secrets(c, NULL);
    arena = c->arena;
    mem_free(c);
    arena_deinit(&arena);
}

/* ---- checks that were made while loading ---- */

int
cfg_check_replicas(const struct cfg_db *db, struct err *e)
{
    const struct err *fault = db->fault;

    for (size_t i = 0; i < db->n_replicas && fault == NULL; i++)
        fault = db->replicas[i].fault;
    if (fault == NULL)
        return 0;
    *e = *fault;
    return (int)e->code;
}

int
config_check_replicas(const struct config *c, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < c->n_dbs && rc == 0; i++)
        rc = cfg_check_replicas(&c->dbs[i], e);
    return rc;
}

/* ---- environment ---- */

char *
config_default_meta_path(const char *db_path)
{
    char *dir = path_dir(db_path);
    char *meta = mem_printf(
        "%s/.%s-litestream", strcmp(dir, "/") == 0 ? "" : dir, path_base(db_path));

    mem_free(dir);
    return meta;
}

const char *
config_default_path(void)
{
    const char *path = getenv("LITESTREAM_CONFIG");

    return path != NULL && path[0] != '\0' ? path : CFG_DEFAULT_PATH;
}

void
config_export_env(void)
{
    static const char *const names[][2] = {
        { "LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID" },
        { "LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *from = getenv(names[i][0]), *to = getenv(names[i][1]);

        if (from != NULL && from[0] != '\0' && (to == NULL || to[0] == '\0'))
            setenv(names[i][1], from, 1);
    }
}

enum log_level
config_log_level(const struct config *c)
{
    const char *env = getenv("LOG_LEVEL");
    enum log_level level = LOG_INFO;

    if (env != NULL && env[0] != '\0')
        log_level_parse(env, &level);
    else if (c != NULL)
        log_level_parse(c->logging.level, &level);
    return level;
}
