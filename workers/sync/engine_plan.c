#include "common/base/log.h"
#include "common/base/wall.h"
#include "workers/sync/engine_impl.h"

/* More than this many bytes of pages go to a job thread. */
#define INLINE_BYTES ((int64_t)4 << 20)

/* An image of this many bytes is worth more than one core. */
#define PARALLEL_BYTES ((int64_t)32 << 20)

#define MOVED_LIMIT 100

/* --- a plan for the next file ---------------------------------------------------------
 */

static void
plan_begin(struct engine *eng, const struct wal_header *h)
{
    eng->plan = (struct l0_plan){ .dir = eng->l0_dir,
        .owner = eng->owner,
        .wal_fd = eng->wal_fd,
        .wal_salt = h->salt,
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

/*
 * Committed frames did not read as valid: the WAL was restarted meanwhile, or what is in
 * the file is not what was captured and written behind it.
 */
static int
unreadable(struct engine *eng, const struct wal_header *h, int64_t off, struct err *e)
{
    struct wal_header now;
    int rc = wal_read_header(eng->wal_fd, &now, e);

    if (rc != 0 && rc != ERR_NOT_FOUND && rc != ERR_AGAIN)
        return rc;
    if (rc != 0 || !wal_salt_equal(now.salt, h->salt))
        return err_set(e, ERR_MOVED, "the WAL was restarted while it was read");
    return err_set(
        e, ERR_CORRUPT, "frame at offset %lld of the WAL is damaged", (long long)off);
}

/* What was committed behind the mark; *any is false when nothing was. */
int
engine_plan_increment(
    struct engine *eng, const struct look *l, int64_t limit, bool *any, struct err *e)
{
    struct wal_range range = { eng->mark.place, l->n_frames, limit };
    int64_t end = wal_size_of(l->h.page_size, l->n_frames);
    struct wal_scan_result res;
    int rc;

    *any = false;
    if (eng->mark.place.off == end) {
        eng->report.peek_ms =
            look_again_ms(eng->wal_fd, &eng->mark, &eng->rest, mono_now());
        return 0;
    }
    rc = wal_scan_run(eng->scan, eng->wal_fd, &l->h, &range, NULL, &res, e);
    if (rc != 0)
        return err_wrap(e, "read WAL");
    if (res.end.off != end && !res.limited) {
        rc = unreadable(eng, &l->h, res.valid_end.off, e);
        if (rc == ERR_CORRUPT) {
            eng->image_reason = "wal does not continue what was captured";
            eng->report.more = true;
            rc = 0;
        }
        return rc;
    }
    plan_begin(eng, &l->h);
    plan_frames(eng, &res, eng->mark.place.off);
    plan_txid(eng, eng->txid + 1);
    eng->next = eng->mark;
    eng->next.place = res.end;
    eng->report.more = res.limited;
    *any = true;
    return 0;
}

/*
 * SQLite reads no frame that was copied. That is the same as its page in the database
 * file, unless the file was exchanged or overwritten since.
 */
static int
skip_copied(
    struct engine *eng, const struct look *l, struct wal_place *from, struct err *e)
{
    struct wal_index index;
    uint32_t n_copied;
    int rc;

    if (!dbconn_n_copied(eng->db, &n_copied) || !dbconn_wal_index(eng->db, &index) ||
        !wal_salt_equal(index.salt, l->h.salt) || n_copied > l->n_frames)
        return 0;
    rc = wal_chain_to(
        eng->wal_fd, &l->h, wal_size_of(l->h.page_size, n_copied), from, NULL, e);
    return rc == ERR_CORRUPT ? 0 : rc; /* the scan tells */
}

/* The whole database: frames of the current generation, the rest from the file. */
int
engine_plan_image(struct engine *eng, const struct look *l, struct err *e)
{
    const struct wal_header *h = &l->h;
    struct wal_range range = { { WAL_HEADER_SIZE, h->sum }, l->n_frames, 0 };
    uint32_t page_size = dbconn_page_size(eng->db);
    struct wal_scan_result res;
    int rc = 0;

    if (eng->other_db)
        rc = skip_copied(eng, l, &range.from, e);
    if (rc == 0)
        rc = wal_scan_run(eng->scan, eng->wal_fd, h, &range, NULL, &res, e);
    if (rc == 0 && res.end.off != wal_size_of(page_size, l->n_frames))
        rc = unreadable(eng, h, res.valid_end.off, e);
    if (rc != 0)
        return err_wrap(e, "read WAL");
    plan_begin(eng, h);
    plan_frames(eng, &res, range.from.off);
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
    eng->report.resized = eng->found.txid != 0 && eng->found.page_size != page_size;
    eng->report.reason = l->reason;
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
    eng->found.page_size = h->page_size;
    if (!wal_salt_equal(eng->next.salt, eng->mark.salt))
        engine_wal_restarted(eng);
    if (h->wal_size > 0)
        ckpt_policy_captured(&eng->policy, mono_now());
    eng->mark = eng->next;
    eng->rest.set = false;
    eng->sealed = false;
    eng->image_reason = NULL;
    eng->moved_in_row = 0;
    if (eng->report.image) {
        eng->other_db = eng->still.set = false;
        engine_note_db(eng);
    }
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
int
engine_plan_failed(struct engine *eng, int rc, struct err *e)
{
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
        rc = engine_plan_failed(eng, rc, &eng->job_err);
    if (rc == 0)
        engine_note_caught_up(eng);
    eng->done(eng->arg, rc == 0 ? &eng->report : NULL, rc == 0 ? NULL : &eng->job_err);
}

enum engine_sync_result
engine_execute(struct engine *eng, unsigned flags, struct err *e)
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
        rc = engine_plan_failed(eng, rc, e);
    return rc == 0 ? ENGINE_DONE : ENGINE_FAILED;
}
