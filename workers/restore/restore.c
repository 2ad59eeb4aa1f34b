#include "workers/restore/restore.h"

#include <string.h>

#include <uv.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "drivers/driver.h"
#include "drivers/loop/job.h"
#include "workers/restore/apply.h"
#include "workers/restore/fetch.h"

/* --- a driver on a loop of its own ----------------------------------------------------
 */

struct session {
    uv_loop_t loop;
    struct drv *drv;
    bool done; /* of the operation under way */
    int rc;
    struct err *e;
    struct restore_files *files;
};

static int
session_open(struct session *s, const struct cfg_replica *replica, struct err *e)
{
    struct drv_env env = { .loop = &s->loop, .owner = SYS_OWNER_DEFAULT };
    int rc;

    *s = (struct session){ 0 };
    must(uv_loop_init(&s->loop) == 0);
    rc = drv_open(replica, &env, &s->drv, e);
    if (rc != 0)
        must(uv_loop_close(&s->loop) == 0);
    return rc;
}

static void
session_close(struct session *s)
{
    drv_close(s->drv, NULL, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&s->loop) == 0);
}

static void
on_entries(void *arg, const struct ltx_info *infos, size_t n)
{
    struct session *s = arg;

    for (size_t i = 0; s->rc == 0 && i < n; i++)
        s->rc = restore_files_add(s->files, &infos[i], s->e);
}

static void
on_listed(void *arg, const struct drv_result *res)
{
    struct session *s = arg;

    s->done = true;
    if (res->err != NULL && s->rc == 0) {
        *s->e = *res->err;
        s->rc = (int)res->err->code;
    }
}

static int
session_list(struct session *s, int level, bool exact_times, struct restore_files *files,
    struct err *e)
{
    struct drv_list req = { .level = level,
        .exact_times = exact_times,
        .entries = on_entries,
        .done = on_listed,
        .arg = s };

    s->done = false;
    s->rc = 0;
    s->e = e;
    s->files = files;
    if (drv_list(s->drv, &req, e) == NULL)
        return (int)e->code;
    while (!s->done)
        uv_run(&s->loop, UV_RUN_ONCE);
    return s->rc;
}

int
restore_list(const struct cfg_replica *replica, int first, int last, bool exact_times,
    struct restore_files *files, struct err *e)
{
    struct session s;
    int rc = session_open(&s, replica, e);

    if (rc != 0)
        return rc;
    for (int level = first; rc == 0 && level <= last; level++)
        rc = session_list(&s, level, exact_times, files, e);
    session_close(&s);
    return rc;
}

/* --- fetching and applying ------------------------------------------------------------
 */

struct restoring {
    struct session *session;
    struct fetch *fetch;
    struct apply *apply;
    struct ltx_info *order; /* the plan, newest first */
    size_t n;
    size_t at; /* the file being applied */
    bool job_done;
    int rc;
    struct err err;
};

static int
read_fetched(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct restoring *r = arg;

    return fetch_read(r->fetch, r->at, buf, cap, n, e);
}

/* On the job's thread. */
static void
apply_all(void *arg, const struct cancel *cancel)
{
    struct restoring *r = arg;
    struct ltx_source src = { .read = read_fetched, .arg = r };

    for (r->at = 0; r->rc == 0 && r->at < r->n && !apply_complete(r->apply); r->at++) {
        const struct ltx_info *f = &r->order[r->at];

        r->rc = apply_file(r->apply, src, f, cancel, &r->err);
        if (r->rc != 0)
            err_wrap(&r->err, "ltx file level=%d min=%016llx max=%016llx", f->level,
                (unsigned long long)f->min_txid, (unsigned long long)f->max_txid);
    }
    if (r->rc == 0)
        r->rc = apply_finish(r->apply, &r->err);
}

static void
on_applied(void *arg)
{
    struct restoring *r = arg;

    r->job_done = true;
    fetch_stop(r->fetch);
}

static void
on_drv_closed(void *arg)
{
    struct restoring *r = arg;

    fetch_close(r->fetch, NULL, NULL);
}

/* Ends with the driver closed, too. */
static int
fetch_and_apply(struct session *s, const struct restore_plan *plan, unsigned parallelism,
    struct apply *apply, struct err *e)
{
    struct restoring r = { .session = s, .apply = apply, .n = plan->n };
    struct fetch_files files;
    int rc;

    r.order = mem_new_array(plan->n, sizeof(r.order[0]));
    for (size_t i = 0; i < plan->n; i++)
        r.order[i] = plan->files[plan->n - 1 - i];
    files = fetch_ltx_files(r.order, r.n);
    rc = fetch_open(&s->loop, s->drv, &files, parallelism, &r.fetch, e);
    if (rc == 0) {
        rc = job_start(&s->loop, apply_all, on_applied, &r, NULL, e);
        if (rc == 0)
            while (!r.job_done)
                uv_run(&s->loop, UV_RUN_ONCE);
        else
            fetch_stop(r.fetch);
        /* What is under way comes to its end before its buffers go. */
        drv_close(s->drv, on_drv_closed, &r);
    } else {
        drv_close(s->drv, NULL, NULL);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (rc == 0 && r.rc != 0) {
        *e = r.err;
        rc = r.rc;
    }
    mem_free(r.order);
    return rc != 0 ? err_wrap(e, "decode database") : 0;
}

/* --- the whole ------------------------------------------------------------------------
 */

static int
check_sizes(const struct restore_plan *plan, struct err *e)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct ltx_info *f = &plan->files[i];

        if (f->size < LTX_HEADER_SIZE)
            return err_set(e, ERR_CORRUPT,
                "invalid ltx file: level=%d min=%016llx max=%016llx has size %lld bytes "
                "(minimum %d)",
                f->level, (unsigned long long)f->min_txid,
                (unsigned long long)f->max_txid, (long long)f->size, LTX_HEADER_SIZE);
    }
    return 0;
}

static int
check_bounds(const struct restore_options *o, const struct restore_files *files,
    const struct restore_result *out, struct err *e)
{
    char from[WALL_TEXT_MAX], to[WALL_TEXT_MAX];

    if (!o->check_bounds || !o->target.by_time)
        return 0;
    if (restore_files_count(files) == 0)
        return err_set(e, ERR_NOT_FOUND, "no backups found");
    if (wall_cmp(o->target.timestamp, out->earliest) >= 0 &&
        wall_cmp(o->target.timestamp, out->latest) <= 0)
        return 0;
    wall_format(out->earliest, WALL_TRIMMED, from);
    wall_format(out->latest, WALL_TRIMMED, to);
    return err_set(
        e, ERR_USAGE, "timestamp does not exist (backups cover %s to %s)", from, to);
}

static int
make_plan(struct session *s, const struct restore_options *o, struct restore_result *out,
    struct err *e)
{
    struct restore_files files = { 0 };
    int rc = 0;

    for (int level = LTX_LEVEL_SNAPSHOT; rc == 0 && level >= 0; level--)
        rc = session_list(s, level, o->target.by_time, &files, e);
    if (rc == 0) {
        restore_files_bounds(&files, &out->earliest, &out->latest);
        rc = check_bounds(o, &files, out, e);
    }
    if (rc == 0) {
        rc = restore_plan_make(&files, &o->target, &out->plan, e);
        if (rc != 0)
            err_wrap(e, "cannot calc restore plan");
    }
    if (rc == 0)
        rc = check_sizes(&out->plan, e);
    if (rc == 0) {
        const struct ltx_info *last = &out->plan.files[out->plan.n - 1];

        out->txid = last->max_txid;
        out->created = last->created;
    }
    restore_files_deinit(&files);
    return rc;
}

static int
restore_into(struct session *s, const struct restore_options *o,
    struct restore_result *out, bool *drv_closed, struct err *e)
{
    struct output *output = NULL;
    struct apply *apply = NULL;
    int rc = output_check(o->output, o->force, e);

    if (rc == 0)
        rc = output_open(o->output, &output, e);
    if (rc != 0)
        return rc;
    apply = apply_new(output_fd(output));
    *drv_closed = true;
    rc = fetch_and_apply(s, &out->plan, o->parallelism, apply, e);
    if (rc == 0) {
        out->bytes = (int64_t)apply_commit(apply) * apply_page_size(apply);
        rc = output_publish(output, o->integrity, e);
    }
    apply_free(apply);
    output_free(output);
    return rc;
}

int
restore_run(
    const struct restore_options *options, struct restore_result *out, struct err *e)
{
    bool drv_closed = false;
    struct session s;
    int rc;

    *out = (struct restore_result){ 0 };
    if (options->target.by_txid && options->target.by_time)
        return err_set(e, ERR_USAGE,
            options->plan_only ? "cannot specify both TXID & timestamp to restore"
                               : "cannot specify index & timestamp to restore");
    rc = session_open(&s, options->replica, e);
    if (rc != 0)
        return rc;
    rc = make_plan(&s, options, out, e);
    if (rc == 0 && !options->plan_only)
        rc = restore_into(&s, options, out, &drv_closed, e);
    if (drv_closed)
        must(uv_loop_close(&s.loop) == 0);
    else
        session_close(&s);
    return rc;
}

void
restore_result_deinit(struct restore_result *r)
{
    restore_plan_deinit(&r->plan);
}
