#include "drivers/s3/s3.h"

#include <string.h>

#include "common/base/container.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "drivers/s3/s3_impl.h"

struct s3_task *
s3_task_of(struct drv_op *op)
{
    return container_of(op, struct s3_task, op);
}

struct s3_drv *
s3_drv_of(const struct s3_task *t)
{
    return t->op.drv->state;
}

void
s3_task_finish(struct s3_task *t, const struct err *e)
{
    t->stop = NULL;
    drv_op_finish(&t->op, e);
}

static void
s3_drv_cancel(struct drv_op *op)
{
    struct s3_task *t = s3_task_of(op);

    if (t->stop != NULL)
        t->stop(t);
}

/* --- names
 * --------------------------------------------------------------------------------- */

char *
s3_level_prefix(const struct s3_drv *sd, int level)
{
    return mem_printf("%s/%04x/", sd->cfg->path, (unsigned)level);
}

char *
s3_ltx_key(const struct s3_drv *sd, int level, uint64_t min, uint64_t max)
{
    char name[LTX_NAME_SIZE];

    ltx_name_format(min, max, name);
    return mem_printf("%s/%04x/%s", sd->cfg->path, (unsigned)level, name);
}

char *
s3_other_key(const struct s3_drv *sd, const char *key)
{
    return path_join(sd->cfg->path, key);
}

char *
s3_other_folder(const struct s3_drv *sd, const char *folder)
{
    char *path = s3_other_key(sd, folder);
    char *out = mem_printf("%s%s", path, path[0] != '\0' ? "/" : "");

    mem_free(path);
    return out;
}

int
s3_parse_key(const struct s3_drv *sd, const char *key, uint64_t *min, uint64_t *max)
{
    size_t n = strlen(sd->cfg->path);
    const char *at = key + n;

    if (strncmp(key, sd->cfg->path, n) != 0 || strncmp(at, "/000", 4) != 0 ||
        at[4] < '0' || at[4] > '9' || at[5] != '/' || !ltx_name_parse(at + 6, min, max))
        return -1;
    return at[4] - '0';
}

/* --- life
 * ---------------------------------------------------------------------------------- */

static int
s3_drv_open(struct drv *d, const struct cfg_replica *cfg, struct err *e)
{
    struct s3_drv *sd = d->state;
    int rc = s3_client_open(d->env.loop, cfg, &sd->client, e);

    if (rc != 0)
        return rc;
    sd->drv = d;
    sd->cfg = cfg;
    uv_timer_init(d->env.loop, &sd->turn);
    if (s3_client_address(sd->client)->provider == s3_provider_of(NULL))
        sd->conditions = S3_COND_HONOURED; /* AWS says so */
    if (cfg->path[0] == '\0' || strcmp(cfg->path, ".") == 0) {
        char *key = s3_ltx_key(sd, 0, 1, 1);

        log_warn("the replica has no path in its bucket; its keys look like this",
            LF_STR("bucket", cfg->bucket), LF_STR("key", key));
        mem_free(key);
    }
    return 0;
}

static void
on_client_closed(void *arg)
{
    drv_closed(arg);
}

static void
on_turn_closed(uv_handle_t *h)
{
    struct s3_drv *sd = container_of((uv_timer_t *)h, struct s3_drv, turn);

    s3_client_close(sd->client, on_client_closed, sd->drv);
}

static void
s3_drv_close(struct drv *d)
{
    struct s3_drv *sd = d->state;

    uv_close((uv_handle_t *)&sd->turn, on_turn_closed);
}

const struct drv_ops drv_s3_ops = {
    .type = "s3",
    .state_bytes = sizeof(struct s3_drv),
    .op_bytes = sizeof(struct s3_task),
    .open = s3_drv_open,
    .close = s3_drv_close,
    .list = s3_list,
    .get = s3_get,
    .put = s3_put,
    .del = s3_delete,
    .del_all = s3_delete_all,
    .list_keys = s3_list_keys,
    .get_key = s3_get_key,
    .cancel = s3_drv_cancel,
};
