/*
 * Configurations that come from a command line or the control socket.
 */
#include <string.h>

#include "common/base/container.h"
#include "common/base/mem.h"
#include "config/build.h"

static expand_env_cb *
env_of(const struct config_options *options)
{
    return options != NULL ? options->env : NULL;
}

/* One database with a replica for each URL, as if a file said so. */
static void
add_db(struct build *b, const char *path, const char *const *urls, size_t n)
{
    struct config *c = b->c;
    struct cfg_db *db = ARENA_NEW(b->a, struct cfg_db);

    *db = b->blank_db;
    db->path = arena_strdup(b->a, path);
    db->replicas = arena_alloc(b->a, (n + 1) * sizeof(*db->replicas));
    for (size_t i = 0; i < n; i++) {
        struct cfg_replica *r = &db->replicas[i];

        *r = b->blank_replica;
        r->field = n > 1 ? arena_printf(b->a, "replicas[%zu]", i) : "replica";
        secret_set(&r->url_text, urls[i]);
    }
    db->n_replicas = n;
    c->dbs = db;
    c->n_dbs = 1;
}

static int
finish(struct build *b, struct config **out, struct err *e)
{
    int rc = build_finish(b, e);

    if (rc == 0) {
        *out = b->c;
        b->c = NULL;
    }
    build_deinit(b);
    return rc;
}

int
config_from_args(const char *db_path, const char *const *urls, size_t n_urls,
    const struct config_options *options, struct config **out, struct err *e)
{
    struct build b;

    build_init(&b, env_of(options));
    add_db(&b, db_path, urls, n_urls);
    return finish(&b, out, e);
}

/* A replica alone, with the configuration that its memory belongs to. */
struct lone_replica {
    struct cfg_replica r; /* shares everything with the one in c */
    struct config *c;
};

int
cfg_replica_from_url(const char *url, const struct config_options *options,
    struct cfg_replica **out, struct err *e)
{
    struct lone_replica *lone;
    struct config *c;
    int rc = config_from_args("/", &url, 1, options, &c, e);

    if (rc != 0)
        return rc;
    rc = config_check_replicas(c, e);
    if (rc != 0) {
        config_free(c);
        return rc;
    }
    lone = MEM_NEW(struct lone_replica);
    lone->r = c->dbs[0].replicas[0];
    lone->c = c;
    *out = &lone->r;
    return 0;
}

const struct config *
cfg_replica_config(struct cfg_replica *r)
{
    return container_of(r, struct lone_replica, r)->c;
}

void
cfg_replica_free(struct cfg_replica *r)
{
    struct lone_replica *lone;

    if (r == NULL)
        return;
    lone = container_of(r, struct lone_replica, r);
    config_free(lone->c);
    mem_free(lone);
}

int
config_for_added_db(const struct config *c, const char *db_path, const char *url,
    const struct config_options *options, struct config **out, struct err *e)
{
    struct build b;

    build_init(&b, env_of(options));
    build_copy_global(&b, c);
    add_db(&b, db_path, &url, 1);
    return finish(&b, out, e);
}
