#include "test/unit/workers/rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/support/tmp.h"

void
rig_start(struct rig *r)
{
    *r = (struct rig){ .db = tmp_path("app.db"),
        .meta = tmp_path(".app.db-litestream"),
        .l0_dir = tmp_path(".app.db-litestream/ltx/0"),
        .truth = tmp_path("truth") };
    r->opt = (struct engine_options){ .db_path = r->db,
        .meta = r->meta,
        .busy_timeout_ms = 50,
        .min_checkpoint_pages = 1000,
        .checkpoint_interval_ns = INT64_C(60000000000) };
    for (int i = 0; i < RIG_APPS; i++)
        r->app[i] = app_start(r->db);
    cr_assert_eq(uv_loop_init(&r->loop), 0);
}

static void
on_done(void *arg, const struct engine_report *report, const struct err *e)
{
    struct rig *r = arg;

    r->job_done = true;
    r->job_failed = report == NULL;
    if (report != NULL)
        r->report = *report;
    else
        r->err = *e;
}

bool
rig_open(struct rig *r)
{
    int rc;

    cr_assert_null(r->eng);
    r->eng = engine_new(&r->loop, &r->opt, on_done, r);
    rc = engine_open(r->eng, &r->err);
    if (rc == ERR_BUSY) {
        engine_free(r->eng);
        r->eng = NULL;
        return false;
    }
    cr_assert_eq(rc, 0, "%s", r->err.text);
    engine_set_floor(r->eng, 0);
    return true;
}

void
rig_close(struct rig *r)
{
    if (r->eng == NULL)
        return;
    engine_close(r->eng);
    engine_free(r->eng);
    r->eng = NULL;
}

void
rig_stop(struct rig *r)
{
    rig_close(r);
    for (int i = 0; i < RIG_APPS; i++)
        app_stop(r->app[i]);
    replay_free(&r->replay);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&r->loop), 0);
}

enum engine_sync_result
rig_sync_once(struct rig *r, bool limited, bool may_job)
{
    enum engine_sync_result res;

    r->job_done = r->job_failed = false;
    res = engine_sync(r->eng, limited, may_job, &r->report, &r->err);
    if (res == ENGINE_JOB) {
        while (!r->job_done)
            uv_run(&r->loop, UV_RUN_ONCE);
        res = r->job_failed ? ENGINE_FAILED : ENGINE_DONE;
    }
    if (res == ENGINE_DONE && r->report.wrote && r->report.image)
        r->last_reason = r->report.reason;
    return res;
}

bool
rig_sync(struct rig *r)
{
    int n_again = 0;

    for (int i = 0; i < 10000; i++) {
        if (rig_sync_once(r, i % 2 == 0, i % 3 == 0) == ENGINE_FAILED)
            return false;
        if (r->report.replaced) { /* the same engine, as in a worker */
            engine_close(r->eng);
            cr_assert_eq(engine_open(r->eng, &r->err), 0, "%s", r->err.text);
        } else if (!r->report.wrote && !r->report.more) {
            if (r->report.again_ms == 0 || ++n_again == 20)
                return true;
            usleep((useconds_t)r->report.again_ms * 1000);
        }
    }
    cr_assert_fail("the engine does not come to rest");
    return false;
}

bool
rig_equal(struct rig *r)
{
    int rc = app_save(r->app[0], r->truth);

    cr_assert_eq(rc, 0, "the database cannot be read: %d", rc);
    return replay_forward(&r->replay, r->l0_dir) && replay_equals(&r->replay, r->truth);
}
