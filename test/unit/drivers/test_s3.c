#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "config/config.h"
#include "test/unit/drivers/conformance.h"

/*
 * Run by test/servers/rgw.sh and swift.sh, which tell in the environment where their
 * server is. Every test is a process and has a path of its own there.
 */

static const char *
env(const char *name)
{
    const char *value = getenv(name);

    cr_assert_not_null(value, "%s is not set: run by test/servers/rgw.sh", name);
    return value;
}

static struct cfg_replica
replica(const char *path)
{
    struct cfg_replica cfg = { .type = CFG_REPLICA_S3,
        .bucket = env("S3_BUCKET"),
        .region = env("S3_REGION"),
        .endpoint = env("S3_ENDPOINT"),
        .access_key_id = env("S3_KEY"),
        .force_path_style = CFG_ON,
        .storage_class = "",
        .sse_customer_algorithm = "",
        .sse_customer_key_path = "",
        .sse_customer_key_md5 = "",
        .sse_kms_key_id = "",
        .path = path };

    secret_set(&cfg.secret_access_key, env("S3_SECRET"));
    return cfg;
}

static int
open_cfg(uv_loop_t *loop, const struct cfg_replica *cfg, struct drv **out, struct err *e)
{
    struct drv_env surroundings = { .loop = loop, .owner = SYS_OWNER_DEFAULT };

    return drv_open(cfg, &surroundings, out, e);
}

/* Of this test alone. Odd names are names. */
static const char *
own_path(void)
{
    static char path[100];
    struct wall now = wall_now();

    if (path[0] == '\0')
        snprintf(path, sizeof(path), "a b/ü/%ld-%lld%09d", (long)getpid(),
            (long long)now.sec, (int)now.nsec);
    return path;
}

static int
open_s3(uv_loop_t *loop, struct drv **out, struct err *e)
{
    static struct cfg_replica cfg;

    if (cfg.path == NULL) /* other threads of the test open it again */
        cfg = replica(own_path());
    return open_cfg(loop, &cfg, out, e);
}

#define S3_TEST(name) CONFORMANCE_TEST_(s3, open_s3, name)

CONFORMANCE_CHECKS(S3_TEST)
