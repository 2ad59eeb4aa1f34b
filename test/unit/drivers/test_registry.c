#include <string.h>

#include <criterion/criterion.h>

#include "config/config.h"
#include "drivers/driver_impl.h"

Test(registry, has_the_kinds_that_are_built)
{
    cr_assert_not_null(drv_ops_for(CFG_REPLICA_FILE));
    cr_expect_str_eq(drv_ops_for(CFG_REPLICA_FILE)->type, "file");
}

Test(registry, a_kind_that_is_not_built_is_a_clear_error)
{
    struct cfg_replica cfg = { .type = CFG_REPLICA_NATS };
    uv_loop_t loop;
    struct drv_env env = { .loop = &loop };
    struct drv *d;
    struct err e;

    if (drv_ops_for(CFG_REPLICA_NATS) != NULL)
        return; /* then it is built */
    uv_loop_init(&loop);
    cr_expect_eq(drv_open(&cfg, &env, &d, &e), ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(e.text, "nats"), "%s", e.text);
    cr_assert_eq(uv_loop_close(&loop), 0);
}
