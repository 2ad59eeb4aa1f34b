#include "workers/sync/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "common/base/wall.h"
#include "common/wal/wal_scan.h"
#include "drivers/loop/job.h"
#include "workers/sync/dbconn.h"
#include "workers/sync/l0_writer.h"
#include "workers/sync/look.h"
#include "workers/sync/meta.h"
#include "workers/sync/position.h"

/* More than this many bytes of pages go to a job thread. */
#define INLINE_BYTES ((int64_t)4 << 20)

/* An image of this many bytes is worth more than one core. */
#define PARALLEL_BYTES ((int64_t)32 << 20)

#define TORN_LOOK_MS 10
#define TORN_LIMIT_MS 1000
#define MOVED_LIMIT 100

enum sync_flag { SYNC_LIMITED = 1, SYNC_MAY_JOB = 2, SYNC_NO_IMAGE = 4 };

struct engine {
    struct engine_options opt;
    uv_loop_t *loop;
    engine_done_cb *done;
    void *arg;

    char *wal_path, *l0_dir;
    struct sys_owner owner;
    struct dbconn *db; /* NULL: closed */
    int lock_fd, wal_fd;
    dev_t wal_dev;
    ino_t wal_ino;

    bool opened_once;
    uint64_t txid, start_txid;
    uint32_t commit;       /* database pages at txid */
    struct position found; /* at open, for the proof */
    struct mark mark;
    bool sealed; /* we hold the proof that nothing of the mark's generation is missing */
    bool floor_known;
    uint64_t floor;
    const char *image_reason; /* an image is wanted whatever the WAL says */
    unsigned moved_in_row;
    struct mono torn_since; /* 0: the header is whole */

    struct wal_scan *scan;
    bool scan_started;     /* from the mark, no commit found so far */
    struct look_seen seen; /* what that scan ended on */
    struct ckpt_policy policy;

    /* the file being written */
    struct l0_plan plan;
    struct l0_result written;
    struct mark next; /* the mark when the plan is done */
    struct engine_report report;
    struct job *job;
    int job_rc;
    struct err job_err;
};

struct engine *
engine_new(uv_loop_t *loop, const struct engine_options *options, engine_done_cb *done,
    void *arg)
{
    struct engine *eng = MEM_NEW(struct engine);

    eng->opt = *options;
    eng->loop = loop;
    eng->done = done;
    eng->arg = arg;
    eng->lock_fd = eng->wal_fd = -1;
    eng->wal_path = mem_printf("%s-wal", options->db_path);
    eng->l0_dir = meta_level_dir(options->meta, 0);
    eng->scan = wal_scan_new(eng->l0_dir);
    return eng;
}

void
engine_free(struct engine *eng)
{
    if (eng == NULL)
        return;
    must(eng->db == NULL && eng->job == NULL);
    wal_scan_free(eng->scan);
    mem_free(eng->wal_path);
    mem_free(eng->l0_dir);
    mem_free(eng);
}

/* --- open and close -------------------------------------------------------------------
 */

static int
open_wal(struct engine *eng, struct err *e)
{
    struct stat st;
    int rc = sys_open(eng->wal_path, O_RDONLY, 0, &eng->wal_fd, e);

    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    if (fstat(eng->wal_fd, &st) != 0)
        return err_errno(e, errno, "stat %s", eng->wal_path);
    eng->wal_dev = st.st_dev;
    eng->wal_ino = st.st_ino;
    return 0;
}

/* The WAL at the path is still the one that is open. A missing one counts as another. */
static bool
same_wal(const struct engine *eng)
{
    struct stat st;

    if (eng->wal_fd < 0)
        return true;
    return stat(eng->wal_path, &st) == 0 && st.st_dev == eng->wal_dev &&
           st.st_ino == eng->wal_ino;
}

static void
take_position(struct engine *eng, unsigned damaged)
{
    const struct position *p = &eng->found;

    eng->txid = p->txid;
    eng->commit = p->commit;
    eng->mark = (struct mark){ 0 };
    eng->image_reason = NULL;
    if (p->txid != 0 && p->page_size != dbconn_page_size(eng->db)) {
        eng->image_reason = "page size changed";
    } else if (p->txid != 0 && !p->have_mark) {
        eng->image_reason = "last ltx file names no place in the wal";
    } else if (p->txid != 0) {
        eng->mark =
            (struct mark){ .set = true, .salt = p->salt, .place = { .off = p->off } };
    }
    if (!eng->opened_once)
        eng->start_txid = p->txid;
    eng->opened_once = true;
    if (damaged > 0)
        log_warn("local ltx files were damaged", LF_UINT("files", damaged),
            LF_TXID("txid", p->txid));
}

int
engine_open(struct engine *eng, struct err *e)
{
    unsigned damaged = 0;
    int rc;

    must(eng->db == NULL);
    rc = meta_owner_of(eng->opt.db_path, &eng->owner, e);
    if (rc == 0)
        rc = dbconn_open(eng->opt.db_path, eng->opt.busy_timeout_ms, &eng->db, e);
    if (rc == 0)
        rc = meta_make(eng->opt.meta, &eng->owner, e);
    if (rc == 0)
        rc = meta_lock(eng->opt.meta, &eng->lock_fd, e);
    if (rc == 0) {
        meta_clean(eng->opt.meta);
        rc = position_find(eng->opt.meta, &eng->found, &damaged, e);
    }
    if (rc == 0)
        rc = open_wal(eng, e);
    if (rc != 0) {
        engine_close(eng);
        return rc;
    }
    take_position(eng, damaged);
    ckpt_policy_init(&eng->policy, eng->opt.min_checkpoint_pages,
        eng->opt.checkpoint_interval_ns, mono_now());
    if (eng->mark.set && eng->mark.place.off > WAL_HEADER_SIZE)
        ckpt_policy_captured(&eng->policy); /* what the last life left in the WAL */
    return 0;
}

void
engine_close(struct engine *eng)
{
    must(eng->job == NULL);
    sys_close(&eng->wal_fd);
    dbconn_close(eng->db);
    eng->db = NULL;
    sys_close(&eng->lock_fd);
    eng->sealed = false;
    eng->scan_started = false;
    eng->torn_since = (struct mono){ 0 };
}

bool
engine_is_open(const struct engine *eng)
{
    return eng->db != NULL;
}

uint64_t
engine_txid(const struct engine *eng)
{
    return eng->txid;
}

uint64_t
engine_start_txid(const struct engine *eng)
{
    return eng->start_txid;
}

bool
engine_busy(const struct engine *eng)
{
    return eng->job != NULL;
}

void
engine_cancel(struct engine *eng)
{
    job_cancel(eng->job);
}

int64_t
engine_wal_offset(const struct engine *eng)
{
    return eng->mark.set ? eng->mark.place.off : 0;
}

int64_t
engine_db_size(const struct engine *eng)
{
    struct stat st;

    return eng->db != NULL && fstat(dbconn_fd(eng->db), &st) == 0 ? st.st_size : 0;
}

const char *
engine_l0_dir(const struct engine *eng)
{
    return eng->l0_dir;
}

void
engine_set_floor(struct engine *eng, uint64_t txid)
{
    eng->floor_known = true;
    if (txid > eng->floor)
        eng->floor = txid;
}

bool
engine_can_name(const struct engine *eng)
{
    return eng->floor_known || eng->txid != 0;
}

int
engine_rebase(struct engine *eng, uint64_t txid, struct err *e)
{
    int rc;

    must(eng->db != NULL && eng->job == NULL);
    rc = meta_clear_level(eng->opt.meta, 0, e);
    if (rc != 0)
        return err_wrap(e, "discard local ltx files");
    eng->txid = eng->start_txid = txid;
    eng->mark = (struct mark){ 0 };
    eng->sealed = false;
    eng->scan_started = false;
    eng->image_reason = "database behind replica";
    engine_set_floor(eng, txid);
    return 0;
}

/* --- a plan for the next file ---------------------------------------------------------
 */

static void
plan_begin(struct engine *eng, const struct wal_header *h)
{
    eng->plan = (struct l0_plan){ .dir = eng->l0_dir,
        .owner = eng->owner,
        .wal_fd = eng->wal_fd,
        .wal_salt = h->salt,
        .wal_now = h->salt,
        .db_fd = -1,
        .prev_commit = eng->commit };
    eng->plan.header = (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = dbconn_page_size(eng->db),
        .timestamp_ms = wall_to_ms(wall_now()) };
}

static void
plan_frames(struct engine *eng, const struct wal_scan_result *res, int64_t from)
{
    struct ltx_header *h = &eng->plan.header;

    eng->plan.map = wal_scan_map(eng->scan);
    eng->plan.last_frame_no = res->last_frame_no;
    h->commit = res->commit;
    h->wal_offset = from;
    h->wal_size = res->end.off - from;
    h->wal_salt1 = eng->plan.wal_salt.s1;
    h->wal_salt2 = eng->plan.wal_salt.s2;
}

static void
plan_txid(struct engine *eng, uint64_t txid)
{
    eng->plan.header.min_txid = eng->plan.header.max_txid = txid;
}

/* What was committed behind the mark; *any is false when nothing was. */
static int
plan_increment(struct engine *eng, const struct wal_header *h, int64_t limit, bool *any,
    struct err *e)
{
    struct wal_scan_result res;
    int rc;

    *any = false;
    if (!eng->scan_started)
        wal_scan_start(eng->scan, h, eng->mark.place);
    eng->scan_started = true;
    rc = wal_scan_run(eng->scan, eng->wal_fd, limit, NULL, &res, e);
    if (rc == 0 && res.n_commits == 0) {
        /* What is remembered must have been judged: look at it, then scan once more. */
        look_remember(eng->wal_fd, eng->mark.place.off, res.valid_end.off, h->page_size,
            &eng->seen);
        rc = wal_scan_run(eng->scan, eng->wal_fd, limit, NULL, &res, e);
    }
    if (rc != 0)
        return err_wrap(e, "read WAL");
    if (res.n_commits == 0) {
        wal_scan_trim(eng->scan);
        return 0;
    }
    plan_begin(eng, h);
    plan_frames(eng, &res, eng->mark.place.off);
    plan_txid(eng, eng->txid + 1);
    eng->next = eng->mark;
    eng->next.place = res.end;
    eng->report.more = res.limited;
    *any = true;
    return 0;
}

/* What the previous generation still holds behind the mark. */
static int
plan_tail(struct engine *eng, const struct wal_header *h, bool *any, struct err *e)
{
    struct wal_header old = *h;
    struct wal_scan_result res;
    int rc;

    *any = false;
    old.salt = eng->mark.salt;
    old.big_endian = eng->mark.big_endian;
    wal_scan_start(eng->scan, &old, eng->mark.place);
    rc = wal_scan_run(eng->scan, eng->wal_fd, 0, NULL, &res, e);
    if (rc != 0)
        return err_wrap(e, "read WAL");
    if (res.n_commits == 0) /* it moved since the look */
        return err_set(e, ERR_MOVED, "the WAL changed while it was read");
    plan_begin(eng, h);
    eng->plan.wal_salt = eng->mark.salt;
    plan_frames(eng, &res, eng->mark.place.off);
    plan_txid(eng, eng->txid + 1);
    eng->next = mark_at_start(h);
    eng->report.more = true; /* the new generation comes next */
    *any = true;
    return 0;
}

/* The whole database: frames of the current generation, the rest from the file. */
static int
plan_image(
    struct engine *eng, const struct wal_header *h, const char *reason, struct err *e)
{
    struct wal_place start = { WAL_HEADER_SIZE, h->sum };
    uint32_t page_size = dbconn_page_size(eng->db);
    struct wal_scan_result res;
    int rc;

    eng->scan_started = false;
    wal_scan_start(eng->scan, h, start);
    rc = wal_scan_run(eng->scan, eng->wal_fd, 0, NULL, &res, e);
    if (rc != 0)
        return err_wrap(e, "read WAL");
    plan_begin(eng, h);
    plan_frames(eng, &res, WAL_HEADER_SIZE);
    if (res.n_commits == 0) {
        eng->plan.map = NULL;
        eng->plan.last_frame_no = 0;
        eng->plan.header.commit = (uint32_t)(engine_db_size(eng) / page_size);
    }
    plan_txid(eng, (eng->txid > eng->floor ? eng->txid : eng->floor) + 1);
    eng->plan.db_fd = dbconn_fd(eng->db);
    if ((int64_t)eng->plan.header.commit * page_size >= PARALLEL_BYTES)
        eng->plan.n_threads = uv_available_parallelism() - 1;
    eng->next = mark_at_start(h);
    eng->next.place = res.end;
    eng->report.image = true;
    eng->report.reason = reason;
    return 0;
}

static int64_t
plan_bytes(const struct engine *eng)
{
    const struct ltx_header *h = &eng->plan.header;

    return eng->plan.db_fd >= 0 ? (int64_t)h->commit * h->page_size : h->wal_size;
}

/* --- doing it -------------------------------------------------------------------------
 */

/* The file is durable under its name: now the position moves. */
static void
commit_plan(struct engine *eng)
{
    const struct ltx_header *h = &eng->plan.header;

    eng->txid = h->max_txid;
    eng->commit = h->commit;
    if (!wal_salt_equal(eng->next.salt, eng->mark.salt))
        ckpt_policy_restarted(&eng->policy);
    if (h->wal_size > 0)
        ckpt_policy_captured(&eng->policy);
    eng->mark = eng->next;
    eng->seen.set = false;
    eng->sealed = false;
    eng->scan_started = false;
    eng->image_reason = NULL;
    eng->moved_in_row = 0;
    eng->report.wrote = true;
    eng->report.txid = h->max_txid;
    eng->report.size = eng->written.size;
    eng->report.wal_bytes = h->wal_size;
    wal_pagemap_clear(wal_scan_map(eng->scan));
    wal_scan_trim(eng->scan);
}

/*
 * A file could not be written. Two reasons are answers about the WAL and not faults: it
 * moved (look again), or pages are missing (an image is needed). Returns 0 for those.
 */
static int
failed_plan(struct engine *eng, int rc, struct err *e)
{
    eng->scan_started = false;
    if (rc == ERR_MOVED && ++eng->moved_in_row <= MOVED_LIMIT) {
        eng->report = (struct engine_report){ .again_ms = 1 };
        return 0;
    }
    if (rc == ERR_GAP) {
        log_error("increment is incomplete, writing a full image", LF_ERR(e));
        eng->image_reason = "missed frames";
        eng->report = (struct engine_report){ .more = true };
        return 0;
    }
    return rc;
}

static void
run_job(void *arg, const struct cancel *cancel)
{
    struct engine *eng = arg;

    eng->job_rc = l0_write(&eng->plan, cancel, &eng->written, &eng->job_err);
}

static void
on_job_done(void *arg)
{
    struct engine *eng = arg;
    int rc = eng->job_rc;

    eng->job = NULL;
    if (rc == 0)
        commit_plan(eng);
    else
        rc = failed_plan(eng, rc, &eng->job_err);
    eng->done(eng->arg, rc == 0 ? &eng->report : NULL, rc == 0 ? NULL : &eng->job_err);
}

static enum engine_sync_result
execute(struct engine *eng, unsigned flags, struct err *e)
{
    int rc;

    if ((flags & SYNC_MAY_JOB) != 0 && plan_bytes(eng) > INLINE_BYTES) {
        rc = job_start(eng->loop, run_job, on_job_done, eng, &eng->job, e);
        return rc == 0 ? ENGINE_JOB : ENGINE_FAILED;
    }
    rc = l0_write(&eng->plan, NULL, &eng->written, e);
    if (rc == 0)
        commit_plan(eng);
    else
        rc = failed_plan(eng, rc, e);
    return rc == 0 ? ENGINE_DONE : ENGINE_FAILED;
}

/* --- sync -----------------------------------------------------------------------------
 */

static int
hold_read_lock(struct engine *eng, struct err *e)
{
    bool lost;
    int rc = dbconn_hold(eng->db, &lost, e);

    if (lost) {
        eng->sealed = false;
        log_warn("read transaction was lost, taking it again",
            LF_STR("path", eng->opt.db_path));
    }
    return rc;
}

static int
take_look(struct engine *eng, struct look *l, struct err *e)
{
    bool scan_used = false;
    struct look_in in = { .wal_fd = eng->wal_fd,
        .mark = &eng->mark,
        .sealed = eng->sealed,
        .torn_too_long =
            eng->torn_since.ns != 0 && mono_since_ms(eng->torn_since) >= TORN_LIMIT_MS,
        .page_size = dbconn_page_size(eng->db),
        .scan = eng->scan,
        .scan_used = &scan_used };
    int rc = look_at_wal(&in, l, e);

    if (scan_used)
        eng->scan_started = false;
    if (rc != 0)
        return err_wrap(e, "look at WAL");
    if (l->action != DECIDE_AGAIN)
        eng->torn_since = (struct mono){ 0 };
    else if (eng->torn_since.ns == 0)
        eng->torn_since = mono_now();
    return 0;
}

/* Right after a start: the local files against the WAL of the same generation. */
static int
prove_mark(struct engine *eng, struct look *l, struct err *e)
{
    struct wal_place place;
    bool same;
    int rc =
        position_verify(eng->opt.meta, &eng->found, eng->wal_fd, &l->h, &place, &same, e);

    if (rc != 0)
        return rc;
    if (!same) {
        l->action = DECIDE_IMAGE;
        l->reason = "wal differs from the local ltx files";
        return 0;
    }
    eng->mark.place = place;
    eng->mark.big_endian = l->h.big_endian;
    eng->mark.proven = true;
    return 0;
}

/* A tail of the previous generation needs the chain at the mark, which a start lacks. */
static int
prove_tail(struct engine *eng, const struct look *l, struct err *e)
{
    struct wal_frame before;
    int rc;

    if (eng->mark.proven)
        return 0;
    rc = wal_read_frame(eng->wal_fd,
        eng->mark.place.off - wal_frame_size(dbconn_page_size(eng->db)), &before, e);
    if (rc == 0 && !wal_salt_equal(before.salt, eng->mark.salt))
        rc = err_set(e, ERR_MOVED, "the WAL changed while it was read");
    if (rc != 0)
        return rc;
    eng->mark.place.sum = before.sum;
    eng->mark.big_endian = l->h.big_endian;
    eng->mark.proven = true;
    return 0;
}

static void
enter_generation(struct engine *eng, const struct wal_header *h)
{
    eng->mark = mark_at_start(h);
    eng->sealed = false;
    eng->scan_started = false;
    eng->seen.set = false;
    ckpt_policy_restarted(&eng->policy);
}

/* An image can be named and is allowed now. */
static bool
image_possible(struct engine *eng, unsigned flags)
{
    if ((flags & SYNC_NO_IMAGE) != 0) {
        eng->report.more = true;
        return false;
    }
    return engine_can_name(eng);
}

static int
make_wal(struct engine *eng, struct look *l, struct err *e)
{
    int rc = dbconn_bump(eng->db, e);

    if (rc == 0 && !same_wal(eng))
        sys_close(&eng->wal_fd);
    if (rc == 0 && eng->wal_fd < 0)
        rc = open_wal(eng, e);
    if (rc == 0 && eng->wal_fd < 0)
        rc = err_set(e, ERR_NOT_FOUND, "%s was not created", eng->wal_path);
    return rc != 0 ? rc : wal_read_header(eng->wal_fd, &l->h, e);
}

/* Turns a look into a plan. *any: there is something to write. */
static int
make_plan(struct engine *eng, struct look *l, unsigned flags, bool *any, struct err *e)
{
    int64_t limit = (flags & SYNC_LIMITED) != 0 ? eng->opt.max_sync_wal_bytes : 0;
    int rc = 0;

    *any = false;
    switch (l->action) {
    case DECIDE_NOTHING:
        return 0;
    case DECIDE_AGAIN:
        eng->report.again_ms = TORN_LOOK_MS;
        return 0;
    case DECIDE_RESTARTED:
        enter_generation(eng, &l->h);
        return plan_increment(eng, &l->h, limit, any, e);
    case DECIDE_CONTINUE:
        return plan_increment(eng, &l->h, limit, any, e);
    case DECIDE_TAIL:
        rc = prove_tail(eng, l, e);
        return rc != 0 ? rc : plan_tail(eng, &l->h, any, e);
    case DECIDE_BUMP_IMAGE:
    case DECIDE_IMAGE:
        if (!image_possible(eng, flags))
            return 0;
        if (l->action == DECIDE_BUMP_IMAGE)
            rc = make_wal(eng, l, e);
        if (rc == 0)
            rc = plan_image(eng, &l->h, l->reason, e);
        *any = rc == 0;
        return rc;
    }
    return 0;
}

/* A wanted image overrides what the WAL says, as long as there is a WAL. */
static void
want_image(struct engine *eng, struct look *l)
{
    if (eng->image_reason == NULL || l->action == DECIDE_AGAIN)
        return;
    if (l->action != DECIDE_BUMP_IMAGE)
        l->action = l->action == DECIDE_NOTHING ? DECIDE_BUMP_IMAGE : DECIDE_IMAGE;
    l->reason = eng->image_reason;
}

static enum engine_sync_result
sync_once(struct engine *eng, unsigned flags, struct err *e)
{
    bool replaced = !dbconn_same_file(eng->db) || !same_wal(eng);
    struct look l;
    bool any = false;
    int rc;

    eng->report = (struct engine_report){ .replaced = replaced };
    rc = hold_read_lock(eng, e);
    if (rc == 0 && eng->wal_fd < 0)
        rc = open_wal(eng, e);
    if (rc == 0)
        rc = take_look(eng, &l, e);
    if (rc == 0 && l.page_size_differs) {
        eng->report.replaced = true;
        return ENGINE_DONE;
    }
    if (rc == 0 && l.action == DECIDE_CONTINUE && !eng->mark.proven)
        rc = prove_mark(eng, &l, e);
    if (rc != 0)
        return ENGINE_FAILED;
    want_image(eng, &l);
    if (replaced && (l.action == DECIDE_IMAGE || l.action == DECIDE_BUMP_IMAGE))
        return ENGINE_DONE; /* of a file that is no longer there */
    rc = make_plan(eng, &l, flags, &any, e);
    if (rc == ERR_MOVED)
        return failed_plan(eng, rc, e) == 0 ? ENGINE_DONE : ENGINE_FAILED;
    if (rc != 0)
        return ENGINE_FAILED;
    if (!any)
        return ENGINE_DONE;
    return execute(eng, flags, e);
}

enum engine_sync_result
engine_sync(struct engine *eng, bool limited, bool may_job, struct engine_report *report,
    struct err *e)
{
    unsigned flags =
        (limited ? (unsigned)SYNC_LIMITED : 0) | (may_job ? (unsigned)SYNC_MAY_JOB : 0);
    enum engine_sync_result res;

    must(eng->db != NULL && eng->job == NULL);
    res = sync_once(eng, flags, e);
    *report = eng->report;
    return res;
}

bool
engine_has_news(struct engine *eng)
{
    if (eng->db == NULL || eng->job != NULL)
        return false;
    if (eng->image_reason != NULL || !dbconn_same_file(eng->db) || !same_wal(eng))
        return true;
    return look_has_news(eng->wal_fd, &eng->mark, eng->sealed, &eng->seen);
}

/* --- checkpoint -----------------------------------------------------------------------
 */

bool
engine_checkpoint_due(const struct engine *eng)
{
    return eng->db != NULL && eng->job == NULL && eng->mark.set && eng->mark.proven &&
           ckpt_policy_due(
               &eng->policy, eng->mark.place.off, dbconn_page_size(eng->db), mono_now());
}

int64_t
engine_checkpoint_wait_ms(const struct engine *eng)
{
    if (eng->db == NULL || !eng->mark.set)
        return -1;
    return ckpt_policy_wait_ms(
        &eng->policy, eng->mark.place.off, dbconn_page_size(eng->db), mono_now());
}

/* Under the write lock: captures the last commits. *sealed: nothing is left. */
static int
seal(struct engine *eng, struct engine_report *wrote, bool *sealed, struct err *e)
{
    *sealed = false;
    for (int i = 0; i < 4; i++) {
        if (sync_once(eng, SYNC_NO_IMAGE, e) == ENGINE_FAILED)
            return (int)e->code;
        if (eng->report.wrote)
            *wrote = eng->report;
        if (eng->report.replaced || eng->report.again_ms > 0 || !eng->mark.proven)
            return 0;
        if (!eng->report.wrote && !eng->report.more) {
            *sealed = eng->image_reason == NULL;
            return 0;
        }
    }
    return 0;
}

int
engine_checkpoint(struct engine *eng, struct engine_checkpoint *out, struct err *e)
{
    bool sealed = false;
    int rc;

    must(eng->db != NULL && eng->job == NULL);
    *out = (struct engine_checkpoint){ 0 };
    rc = dbconn_barrier_begin(eng->db, e);
    if (rc == ERR_BUSY) { /* a writer is at work: later */
        ckpt_policy_done(&eng->policy, false, eng->mark.place.off, mono_now());
        return 0;
    }
    if (rc != 0)
        return err_wrap(e, "checkpoint");
    eng->sealed = false;
    rc = seal(eng, &out->sealed, &sealed, e);
    if (rc == 0 && sealed) {
        out->ran = true;
        rc = dbconn_checkpoint(eng->db, &out->complete, e);
        eng->sealed = rc == 0 && out->complete;
    }
    dbconn_barrier_end(eng->db);
    ckpt_policy_done(&eng->policy, out->complete, eng->mark.place.off, mono_now());
    return rc != 0 ? err_wrap(e, "checkpoint") : 0;
}
