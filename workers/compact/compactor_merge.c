#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "common/ltx/ltx_name.h"
#include "workers/compact/compactor_impl.h"
#include "workers/compact/merge_plan.h"
#include "workers/compact/validate.h"

/* A snapshot that cannot be taken yet is asked for again after this time. */
#define NOT_READY_MS 1000

static uint64_t
newest(const struct compactor *c, int level)
{
    return holdings_newest(replica_holdings(c->opt.replica), level)->max_txid;
}

static void
written(struct compactor *c, const struct ltx_info *info)
{
    replica_took(c->opt.replica, info);
    if (info->level == LTX_LEVEL_SNAPSHOT)
        c->want_snapshot = false;
    if (info->level == LTX_LEVEL_SNAPSHOT)
        log_info("snapshot complete", LF_STR("path", c->opt.db_path),
            LF_TXID("txid", info->max_txid), LF_INT("size", info->size));
    else
        log_info("compaction complete", LF_STR("path", c->opt.db_path),
            LF_INT("level", info->level), LF_TXID("txid.min", info->min_txid),
            LF_TXID("txid.max", info->max_txid), LF_INT("size", info->size));
}

/* --- merges ---------------------------------------------------------------------------
 */

static void verify(struct compactor *c);

static void
verify_again(struct compactor *c)
{
    c->pruned_to = validate_pruned_to(c->list, c->n_list);
    c->pruned_known = true;
    compactor_list(c, c->at, 0, verify);
}

/* How far retention may have left gaps is asked for only when there are any. */
static void
verify(struct compactor *c)
{
    struct err e;

    if (validate_merged(c->list, c->n_list, c->pruned_to, &e) == 0) {
        compactor_ended(c, NULL);
        return;
    }
    if (!c->pruned_known) {
        compactor_list(c, LTX_LEVEL_SNAPSHOT, 0, verify_again);
        return;
    }
    c->n_verify_errors++;
    if (strcmp(c->verify_told, e.text) != 0) /* one that stays is told once */
        log_warn("post-compaction verification failed", LF_STR("path", c->opt.db_path),
            LF_INT("level", c->at), LF_ERR(&e));
    snprintf(c->verify_told, sizeof(c->verify_told), "%.*s",
        (int)sizeof(c->verify_told) - 1, e.text);
    compactor_ended(c, NULL);
}

/*
 * What is damaged, gone or does not fit together cannot be merged, now or later: a
 * snapshot takes its place, and the level goes on behind it.
 */
static void
step_over(struct compactor *c, const struct err *e)
{
    uint64_t snapshot = newest(c, LTX_LEVEL_SNAPSHOT);

    log_error("compaction failed", LF_INT("level", c->at), LF_ERR(e),
        LF_STR("path", c->opt.db_path));
    c->n_errors++;
    if (snapshot > newest(c, c->at) && snapshot > c->skip_to[c->at]) {
        c->skip_to[c->at] = snapshot;
        log_warn("compaction goes on behind a snapshot", LF_STR("path", c->opt.db_path),
            LF_INT("level", c->at), LF_TXID("txid", snapshot));
    } else {
        c->level[LTX_LEVEL_SNAPSHOT].due = mono_now();
    }
    compactor_ended(c, NULL);
}

static void look_for_sources(struct compactor *c);

/*
 * Files of two page sizes never get into one: a merge ends where the page size changes,
 * and the next one begins with the full image that the change was captured as. So a row
 * of files goes on over the change, and restores need nothing of before it.
 */
static void
end_at_page_size(struct compactor *c)
{
    log_info("page size changed, merging up to the change",
        LF_STR("path", c->opt.db_path), LF_INT("level", c->at),
        LF_TXID("txid", c->page_size_until));
    c->merge_until = c->page_size_until;
    if (newest(c, LTX_LEVEL_SNAPSHOT) <= c->merge_until)
        c->want_snapshot = true;
    look_for_sources(c);
}

/*
 * Level 0 is read from the local copies. One that is damaged says nothing about the file
 * that went up when it was still good.
 */
static void
merge_without_copies(struct compactor *c, const struct err *e)
{
    log_warn("a local ltx file is damaged, merging what the replica holds",
        LF_STR("path", c->opt.db_path), LF_INT("level", c->at), LF_ERR(e));
    c->merge_remote = true;
    look_for_sources(c);
}

static void
on_merged(void *arg, const struct ltx_info *info, const struct err *e)
{
    struct compactor *c = arg;

    c->merge = NULL;
    c->unsure[c->at] = e != NULL;
    if (e != NULL) {
        if (e->code == ERR_CORRUPT && c->page_size_until != 0 &&
            c->page_size_until < c->merge_until)
            end_at_page_size(c);
        else if (e->code == ERR_CORRUPT && c->at == 1 && !c->merge_remote)
            merge_without_copies(c, e);
        else if (e->code == ERR_CORRUPT ||
                 e->code == ERR_NOT_FOUND) /* an input is gone */
            step_over(c, e);
        else
            compactor_ended(c, e);
        return;
    }
    c->n_merges++;
    if (c->at == 1)
        compactor_note_l1(c, info);
    written(c, info);
    if (c->opt.config->verify_compaction)
        compactor_list(c, c->at, 0, verify);
    else
        compactor_ended(c, NULL);
}

static void
start_merge(struct compactor *c, const struct merge_plan *plan)
{
    struct merge_options options = { .loop = c->opt.loop,
        .drv = replica_drv(c->opt.replica),
        .l0_dir = c->merge_remote ? NULL : c->opt.l0_dir,
        .spool_dir = c->opt.spool_dir,
        .level = c->at,
        .files = c->list,
        .n = plan->n,
        .min_txid = plan->min_txid,
        .page_size_until = &c->page_size_until,
        .done = on_merged,
        .arg = c };
    struct err e;

    c->more = plan->more || c->merge_until != UINT64_MAX;
    c->page_size_until = 0;
    if (merge_start(&options, &c->merge, &e) != 0)
        compactor_ended(c, &e);
}

/* Nothing follows what the level holds: level 0 or the one below lost a file. */
static void
at_a_gap(struct compactor *c, const struct merge_plan *plan)
{
    struct err e;

    err_set(&e, ERR_CORRUPT,
        "level %d has no file that follows %016llx, the next one starts at %016llx",
        c->at - 1, (unsigned long long)plan->have_txid,
        (unsigned long long)plan->next_txid);
    step_over(c, &e);
}

static void
choose(struct compactor *c)
{
    struct merge_plan_request req = { .src = c->list,
        .n_src = c->n_list,
        .dst_max = newest(c, c->at),
        .snapshot_max = newest(c, LTX_LEVEL_SNAPSHOT),
        .skip_to = c->skip_to[c->at],
        .limit_txid = c->at == 1 ? replica_txid(c->opt.replica) : UINT64_MAX,
        .max_inputs = merge_max_inputs(engine_page_size(c->opt.engine)) };
    struct merge_plan plan;

    if (req.limit_txid > c->merge_until)
        req.limit_txid = c->merge_until;
    /* A file that begins before the place that was asked for may bridge a hole. */
    if (!c->list_all && c->n_list > 0 && c->list[0].min_txid > req.dst_max + 1) {
        c->list_all = true;
        compactor_list(c, c->at - 1, 0, choose);
        return;
    }
    plan = merge_plan_make(&req, c->list);
    switch (plan.verdict) {
    case MERGE_GO:
        start_merge(c, &plan);
        break;
    case MERGE_GAP:
        at_a_gap(c, &plan);
        break;
    case MERGE_NOTHING:
        compactor_ended(c, NULL);
        break;
    }
}

/*
 * The answer to a write may get lost, and a file may get its name before the folder
 * cannot be synced: a merge that starts below its end would overlap it for ever.
 */
static void
take_level(struct compactor *c)
{
    for (size_t i = 0; i < c->n_list; i++) {
        if (c->at == 1)
            compactor_note_l1(c, &c->list[i]);
        replica_took(c->opt.replica, &c->list[i]);
    }
    c->unsure[c->at] = false;
    look_for_sources(c);
}

static void
look_for_sources(struct compactor *c)
{
    if (c->unsure[c->at]) {
        compactor_list(c, c->at, newest(c, c->at) + 1, take_level);
        return;
    }
    c->list_all = false;
    if (c->at == 1 && compactor_copy_l0(c)) {
        c->list_all = true;
        choose(c);
        return;
    }
    compactor_list(c, c->at - 1, newest(c, c->at) + 1, choose);
}

void
compactor_begin_merge(struct compactor *c)
{
    c->merge_until = UINT64_MAX;
    c->merge_remote = false;
    c->pruned_to = 0;
    c->pruned_known = false;
    look_for_sources(c);
}

/* --- snapshots ------------------------------------------------------------------------
 */

/* Not a fault: what goes on in the database does not allow it right now. */
static void
try_soon(struct compactor *c, const struct err *why)
{
    log_debug("no snapshot yet", LF_STR("path", c->opt.db_path), LF_ERR(why));
    compactor_ended(c, NULL);
    c->level[LTX_LEVEL_SNAPSHOT].due = mono_add_ms(mono_now(), NOT_READY_MS);
}

static void
snapshot_over(struct compactor *c, const struct ltx_info *info, const struct err *e)
{
    if (c->frozen != NULL)
        engine_thaw(c->opt.engine, c->frozen);
    c->frozen = NULL;
    sys_close(&c->fd);
    if (e == NULL && info != NULL) {
        c->n_snapshots++;
        written(c, info);
        c->retain.due = mono_now();
    }
    if (e != NULL && e->code == ERR_MOVED && !c->on_request)
        try_soon(c, e);
    else
        compactor_ended(c, e);
}

static void
on_snapshot(void *arg, const struct ltx_info *info, const struct err *e)
{
    struct compactor *c = arg;

    c->upload = NULL;
    snapshot_over(c, info, e);
}

static int
make_snapshot(void *arg, struct ltx_sink sink, const struct cancel *cancel, struct err *e)
{
    struct compactor *c = arg;

    return frozen_write(c->frozen, sink, uv_available_parallelism() - 1, cancel, e);
}

/* Pages that do not get smaller, and what comes with each: its header, a place in the
 * index. */
static int64_t
snapshot_bound(const struct ltx_header *h)
{
    return (int64_t)h->commit * ((int64_t)h->page_size + h->page_size / 64 + 64);
}

static int
upload_snapshot(struct compactor *c, struct err *e)
{
    struct upload_options up = { .loop = c->opt.loop,
        .drv = replica_drv(c->opt.replica),
        .level = LTX_LEVEL_SNAPSHOT,
        .min_txid = 1,
        .make = make_snapshot,
        .done = on_snapshot,
        .arg = c };
    const struct ltx_info *last;
    int rc = engine_freeze(c->opt.engine, &c->frozen, e);

    if (rc != 0)
        return rc;
    up.max_txid = frozen_header(c->frozen)->max_txid;
    up.bound = snapshot_bound(frozen_header(c->frozen));
    last = holdings_newest(replica_holdings(c->opt.replica), LTX_LEVEL_SNAPSHOT);
    if (last->max_txid == up.max_txid) /* moments between the two keep their base */
        frozen_set_timestamp(c->frozen, wall_to_ms(last->created));
    rc = upload_start(&up, &c->upload, e);
    if (rc != 0) {
        engine_thaw(c->opt.engine, c->frozen);
        c->frozen = NULL;
    }
    return rc;
}

static void
on_copied(void *arg, const struct drv_result *res)
{
    struct compactor *c = arg;
    struct ltx_info info = { .level = LTX_LEVEL_SNAPSHOT,
        .min_txid = 1,
        .max_txid = 1,
        .size = res->size,
        .created = res->created };

    c->op = NULL;
    snapshot_over(c, res->err == NULL ? &info : NULL, res->err);
}

static void
send_first_file(struct compactor *c)
{
    struct drv_put req = { .level = LTX_LEVEL_SNAPSHOT,
        .min_txid = 1,
        .max_txid = 1,
        .src = &c->source,
        .done = on_copied,
        .arg = c };
    struct stat st;
    struct err e;

    if (fstat(c->fd, &st) != 0) {
        err_errno(&e, errno, "stat ltx file");
        snapshot_over(c, NULL, &e);
        return;
    }
    req.size = st.st_size;
    drv_source_file(&c->source, c->fd, 0);
    c->op = drv_put(replica_drv(c->opt.replica), &req, &e);
    if (c->op == NULL)
        snapshot_over(c, NULL, &e);
}

static void read_snapshot(struct compactor *c);

static void
on_verified(void *arg, const struct err *e)
{
    struct compactor *c = arg;

    c->verify = NULL;
    if (e == NULL) {
        send_first_file(c);
    } else if (e->code == ERR_CANCELLED) {
        snapshot_over(c, NULL, e);
    } else {
        sys_close(&c->fd);
        read_snapshot(c);
    }
}

/* The very first local file is a full image of TXID 1: it is a snapshot as it is. */
static bool
take_first_file(struct compactor *c)
{
    char name[LTX_NAME_SIZE];
    struct stat st = { 0 };
    struct err e;
    char *path;
    int rc;

    if (engine_txid(c->opt.engine) != 1)
        return false;
    ltx_name_format(1, 1, name);
    path = path_join(c->opt.l0_dir, name);
    rc = sys_open(path, O_RDONLY, 0, &c->fd, &e);
    mem_free(path);
    if (rc == 0 && fstat(c->fd, &st) == 0 && st.st_size <= VERIFY_INLINE_BYTES) {
        rc = verify_now(c->fd, 1, NULL, &e);
        if (rc == 0)
            send_first_file(c);
    } else if (rc == 0 && replica_trusts(c->opt.replica, 1, c->fd)) {
        send_first_file(c);
    } else if (rc == 0) {
        rc = verify_start(c->opt.loop, c->fd, 1, on_verified, c, &c->verify, &e);
    }
    if (rc != 0)
        sys_close(&c->fd);
    return rc == 0;
}

static void
read_snapshot(struct compactor *c)
{
    struct err e;
    int rc = upload_snapshot(c, &e);

    if (rc == 0)
        return;
    if (rc == ERR_AGAIN && !c->on_request)
        try_soon(c, &e);
    else
        compactor_ended(c, &e);
}

void
compactor_begin_snapshot(struct compactor *c)
{
    if (!take_first_file(c))
        read_snapshot(c);
}
