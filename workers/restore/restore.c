#include "workers/restore/restore.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "workers/restore/apply.h"
#include "workers/restore/session.h"
#include "workers/restore/v03.h"

int
restore_list(const struct cfg_replica *replica, int first, int last, bool exact_times,
    struct restore_files *files, struct err *e)
{
    struct session *s;
    int rc = session_open(replica, NULL, &s, e);

    if (rc != 0)
        return rc;
    for (int level = first; rc == 0 && level <= last; level++)
        rc = session_list(s, level, exact_times, files, e);
    session_close(s);
    return rc;
}

/* --- from LTX files -------------------------------------------------------------------
 */

struct restoring {
    struct fetch *fetch;
    struct apply *apply;
    struct ltx_info *order; /* the plan, newest first */
    size_t n;
    size_t at; /* the file being applied */
};

static int
read_fetched(void *arg, void *buf, size_t cap, size_t *n, struct err *e)
{
    struct restoring *r = arg;

    return fetch_read(r->fetch, r->at, buf, cap, n, e);
}

/* On the job's thread. */
static int
apply_all(void *arg, struct fetch *fetch, const struct cancel *cancel, struct err *e)
{
    struct restoring *r = arg;
    struct ltx_source src = { .read = read_fetched, .arg = r };
    int rc = 0;

    r->fetch = fetch;
    for (r->at = 0; rc == 0 && r->at < r->n && !apply_complete(r->apply); r->at++) {
        const struct ltx_info *f = &r->order[r->at];

        rc = apply_file(r->apply, src, f, cancel, e);
        if (rc != 0)
            err_wrap(e, "ltx file level=%d min=%016llx max=%016llx", f->level,
                (unsigned long long)f->min_txid, (unsigned long long)f->max_txid);
    }
    return rc == 0 ? apply_finish(r->apply, e) : rc;
}

int
restore_plan_run(struct session *s, const struct restore_plan *plan, unsigned parallelism,
    struct output *output, int64_t *size, struct err *e)
{
    struct restoring r = { .n = plan->n };
    struct fetch_files files;
    int rc;

    r.apply = apply_new(output_fd(output));
    r.order = mem_new_array(plan->n, sizeof(r.order[0]));
    for (size_t i = 0; i < plan->n; i++)
        r.order[i] = plan->files[plan->n - 1 - i];
    files = fetch_ltx_files(r.order, r.n);
    rc = session_fetch(s, &files, parallelism, apply_all, &r, e);
    if (rc == 0)
        *size = (int64_t)apply_commit(r.apply) * apply_page_size(r.apply);
    else
        err_wrap(e, "decode database");
    apply_free(r.apply);
    mem_free(r.order);
    return rc;
}

/* --- what is restored -----------------------------------------------------------------
 */

int
restore_plan_check(const struct restore_plan *plan, struct err *e)
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

/* What there is on a replica. */
struct found {
    struct restore_files ltx;
    struct v03_files v03;
};

static void
found_deinit(struct found *f)
{
    restore_files_deinit(&f->ltx);
    v03_files_deinit(&f->v03);
}

static int
look(struct session *s, const struct restore_options *o, struct found *f, struct err *e)
{
    int rc = 0;

    for (int level = LTX_LEVEL_SNAPSHOT; rc == 0 && level >= 0; level--)
        rc = session_list(s, level, o->target.by_time, &f->ltx, e);
    /* With a TXID only to say that there is no such thing in them. */
    if (rc == 0 && !o->ltx_only &&
        (!o->target.by_txid || restore_files_count(&f->ltx) == 0))
        rc = session_list_v03(s, &f->v03, e);
    return rc;
}

static int
check_bounds(const struct restore_options *o, const struct found *f,
    struct restore_result *out, struct err *e)
{
    char from[WALL_TEXT_MAX], to[WALL_TEXT_MAX];
    bool any;

    out->n_ltx = restore_files_count(&f->ltx);
    out->n_v03 = f->v03.n;
    any = out->n_ltx > 0;
    restore_files_bounds(&f->ltx, &out->earliest, &out->latest);
    v03_files_bounds(&f->v03, &any, &out->earliest, &out->latest);
    if (!o->check_bounds || !o->target.by_time)
        return 0;
    if (!any)
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
plan_ltx(const struct restore_options *o, const struct found *f,
    struct restore_result *out, struct err *e)
{
    const struct ltx_info *last;
    int rc = restore_plan_make(&f->ltx, &o->target, &out->plan, e);

    if (rc != 0)
        return err_wrap(e, "cannot calc restore plan");
    rc = restore_plan_check(&out->plan, e);
    if (rc != 0)
        return rc;
    if (out->plan.cut_short)
        log_warn("ltx files behind a gap are left out: the state is older than asked for",
            LF_STR("path", o->replica->path),
            LF_TXID("txid", out->plan.files[out->plan.n - 1].max_txid));
    last = &out->plan.files[out->plan.n - 1];
    out->txid = last->max_txid;
    out->created = last->created;
    return 0;
}

/*
 * Both formats on one replica: the one that leads to the later moment, LTX files when it
 * is the same. Without a timestamp any LTX file counts, also one that is out of reach:
 * then the restore fails rather than to go back to what was before.
 */
static bool
v03_is_later(const struct restore_options *o, const struct found *f,
    const struct restore_result *out)
{
    struct wall earliest, latest;

    if (out->v03.n == 0)
        return false;
    if (o->target.by_time)
        return out->plan.n == 0 || wall_cmp(out->v03.newest, out->created) > 0;
    restore_files_bounds(&f->ltx, &earliest, &latest);
    return out->n_ltx == 0 || wall_cmp(out->v03.newest, latest) > 0;
}

static int
choose(const struct restore_options *o, struct found *f, struct restore_result *out,
    struct err *e)
{
    struct err no_v03 = ERR_NONE;
    int rc = 0;

    if (!o->target.by_txid)
        rc = v03_plan_make(&f->v03, &o->target, &out->v03, &no_v03);
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        *e = no_v03;
        return rc;
    }
    rc = 0;
    if (o->target.by_time || !v03_is_later(o, f, out))
        rc = plan_ltx(o, f, out, e);
    if ((rc == 0 || rc == ERR_NOT_FOUND) && v03_is_later(o, f, out)) {
        if (out->n_ltx > 0)
            log_warn(
                "the backup of Litestream v0.3 on this replica is used, its files are "
                "newer than the LTX files",
                LF_STR("path", o->replica->path));
        restore_plan_deinit(&out->plan);
        out->txid = 0;
        out->created = out->v03.newest;
        return 0;
    }
    v03_plan_deinit(&out->v03);
    if (rc == ERR_NOT_FOUND && out->n_ltx == 0 && no_v03.code != ERR_OK && out->n_v03 > 0)
        *e = no_v03;
    return rc;
}

static int
make_plan(struct session *s, const struct restore_options *o, struct restore_result *out,
    struct err *e)
{
    struct found f = { 0 };
    int rc = look(s, o, &f, e);

    if (rc == 0)
        rc = check_bounds(o, &f, out, e);
    if (rc == 0)
        rc = choose(o, &f, out, e);
    found_deinit(&f);
    return rc;
}

/* --- the whole ------------------------------------------------------------------------
 */

static int
restore_into(struct session *s, const struct restore_options *o,
    struct restore_result *out, struct err *e)
{
    struct output *output = NULL;
    int rc = output_check(o->output, o->force, e);

    if (rc == 0)
        rc = output_open(o->output, o->force, &output, e);
    if (rc != 0)
        return rc;
    if (out->v03.n > 0)
        rc = v03_restore(s, &out->v03, o->parallelism, output, &out->bytes, e);
    else
        rc = restore_plan_run(s, &out->plan, o->parallelism, output, &out->bytes, e);
    if (rc == 0 && cancel_asked(o->cancel))
        rc = err_set(e, ERR_CANCELLED, "cancelled");
    if (rc == 0 && o->finish != NULL)
        rc = o->finish(o->output, output_fd(output), out->txid, e);
    if (rc == 0)
        rc = output_publish(output, o->integrity, e);
    output_free(output);
    return rc;
}

int
restore_run(
    const struct restore_options *options, struct restore_result *out, struct err *e)
{
    struct session *s;
    int rc;

    *out = (struct restore_result){ 0 };
    if (options->target.by_txid && options->target.by_time)
        return err_set(e, ERR_USAGE,
            options->plan_only ? "cannot specify both TXID & timestamp to restore"
                               : "cannot specify index & timestamp to restore");
    rc = session_open(options->replica, options->cancel, &s, e);
    if (rc != 0)
        return rc;
    rc = make_plan(s, options, out, e);
    if (rc == 0 && !options->plan_only)
        rc = restore_into(s, options, out, e);
    session_close(s);
    return rc;
}

void
restore_result_deinit(struct restore_result *r)
{
    restore_plan_deinit(&r->plan);
    v03_plan_deinit(&r->v03);
}

/* --- several replicas -----------------------------------------------------------------
 */

/* The newest moment that a replica leads to. */
static int
reach(const struct cfg_replica *replica, const struct restore_target *target,
    struct wall *created, struct err *e)
{
    struct restore_options options = {
        .replica = replica, .target = *target, .plan_only = true
    };
    struct restore_result res;
    int rc = restore_run(&options, &res, e);

    *created = res.created;
    restore_result_deinit(&res);
    return rc;
}

int
restore_choose(const struct cfg_replica *const *replicas, size_t n,
    const struct restore_target *target, const struct cfg_replica **out, struct err *e)
{
    const struct cfg_replica *readable = NULL;
    struct wall best = { 0 };

    *out = NULL;
    if (n == 1)
        *out = replicas[0];
    for (size_t i = 0; n > 1 && i < n; i++) {
        struct wall created;
        int rc = reach(replicas[i], target, &created, e);

        if (rc == ERR_NOT_FOUND && readable == NULL)
            readable = replicas[i];
        if (rc != 0 && rc != ERR_NOT_FOUND)
            log_warn("replica left out",
                LF_STR("replica", cfg_replica_type_name(replicas[i]->type)),
                LF_STR("path", replicas[i]->path), LF_ERR(e));
        if (rc == 0 && (*out == NULL || wall_cmp(created, best) > 0)) {
            *out = replicas[i];
            best = created;
        }
    }
    if (*out == NULL)
        *out = readable;
    return *out != NULL ? 0 : err_wrap(e, "no replica can be read");
}
