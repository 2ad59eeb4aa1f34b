#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/must.h"
#include "common/crc64/crc64.h"
#include "workers/sync/engine_impl.h"

/* Fewer frames than these are copied under the write lock without ado. */
#define AHEAD_FRAMES 32

/* More than this is not captured or copied with writers waiting, if it can be helped. */
#define LEFT_BYTES ((int64_t)512 << 10)
#define ROUNDS 4

#define SEAL_ROUNDS 4

/* A WAL file so many times as large as it should be is cut, at most once in so long. */
#define CUT_SIZE 8
#define CUT_MIN_BYTES ((int64_t)1 << 20)
#define CUT_PAUSE_MS 60000
#define CUT_WAIT_MS 20

void
engine_policy_init(struct engine *eng)
{
    const char *path = eng->opt.db_path;
    struct ckpt_settings set = { .min_pages = eng->opt.min_checkpoint_pages,
        .interval_ns = eng->opt.checkpoint_interval_ns,
        .truncate_pages = eng->opt.truncate_pages,
        .seed = crc64_update(0, path, strlen(path)) };

    ckpt_policy_init(&eng->policy, &set, mono_now());
}

static int64_t
truncate_size(const struct engine *eng)
{
    return wal_size_of(dbconn_page_size(eng->db), eng->opt.truncate_pages);
}

void
engine_wal_restarted(struct engine *eng)
{
    if (ckpt_policy_restarted(&eng->policy))
        log_info("wal restarted by passive checkpoint, skipping truncate checkpoint",
            LF_INT("wal_size", eng->mark.place.off),
            LF_INT("threshold", truncate_size(eng)));
}

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

/* --- what is left to do ---------------------------------------------------------------
 */

struct left {
    int64_t frames;     /* to copy */
    int64_t copied_off; /* end of those that are copied */
    int64_t uncaptured; /* bytes */
};

static struct left
what_is_left(struct engine *eng)
{
    uint32_t page_size = dbconn_page_size(eng->db), n_copied;
    struct wal_index index;
    struct left l = { 0 };
    int64_t end;

    if (!dbconn_n_copied(eng->db, &n_copied) || !dbconn_wal_index(eng->db, &index))
        return l;
    end = wal_size_of(page_size, index.last_frame_no);
    l.frames = index.last_frame_no > n_copied ? index.last_frame_no - n_copied : 0;
    l.copied_off = wal_size_of(page_size, n_copied);
    l.uncaptured = end;
    if (wal_salt_equal(index.salt, eng->mark.salt))
        l.uncaptured = end - eng->mark.place.off;
    return l;
}

static bool
too_much(const struct engine *eng, const struct left *l)
{
    int64_t frame = wal_frame_size(dbconn_page_size(eng->db));

    return l->uncaptured > LEFT_BYTES || l->frames * frame > LEFT_BYTES;
}

/* --- with writers at work -------------------------------------------------------------
 */

/* *all: everything that was committed when this began is captured. */
static int
capture(struct engine *eng, struct engine_checkpoint *out, bool *all, struct err *e)
{
    const struct engine_report *r = &eng->report;
    int64_t wal_bytes = out->sealed.wal_bytes;

    *all = false;
    if (engine_sync_once(eng, SYNC_NO_IMAGE, e) == ENGINE_FAILED)
        return (int)e->code;
    if (r->wrote) {
        out->sealed = *r;
        out->sealed.wal_bytes += wal_bytes;
    }
    *all = !r->replaced && r->again_ms == 0 && !r->more && eng->mark.set &&
           eng->mark.proven && eng->image_reason == NULL;
    return 0;
}

struct ahead {
    bool all;     /* false: the WAL calls for another sync */
    bool reached; /* false: a reader keeps frames from being copied that are captured */
    bool put_off; /* a snapshot is in the way */
};

/* Under the second read lock, whose mark is within what is captured. */
static int
copy_captured(struct engine *eng, struct ahead *a, struct err *e)
{
    bool saved;
    int rc;

    if (!engine_save_frozen(eng, &saved)) {
        a->put_off = true;
        return 0;
    }
    rc = dbconn_ahead_copy(eng->db, &a->reached, e);
    engine_end_save(eng, saved, false);
    return rc;
}

/* Captures what there is and copies it, unless there is little of it. */
static int
copy_ahead(
    struct engine *eng, struct engine_checkpoint *out, struct ahead *a, struct err *e)
{
    bool any = false;
    int rc;

    *a = (struct ahead){ .all = true, .reached = true };
    if (!dbconn_holds(eng->db))
        return capture(eng, out, &a->all, e);
    if (what_is_left(eng).frames < AHEAD_FRAMES)
        return 0;
    rc = dbconn_ahead_begin(eng->db, &any, e);
    if (rc != 0 || !any)
        return rc;
    rc = capture(eng, out, &a->all, e);
    if (rc == 0 && a->all)
        rc = copy_captured(eng, a, e);
    dbconn_ahead_end(eng->db);
    return rc;
}

/* --- under the write lock -------------------------------------------------------------
 */

/* Captures the last commits. *sealed: nothing is left. */
static int
seal(struct engine *eng, struct engine_checkpoint *out, bool *sealed, struct err *e)
{
    bool all;
    int rc;

    *sealed = false;
    for (int i = 0; i < SEAL_ROUNDS; i++) {
        rc = capture(eng, out, &all, e);
        if (rc != 0)
            return rc;
        if (all && !eng->report.wrote)
            *sealed = true;
        if (*sealed || (!all && !eng->report.more))
            return 0;
    }
    return 0;
}

/* How long readers may be waited for. */
static int64_t
patience_for_readers(
    const struct engine *eng, const struct engine_checkpoint *out, struct mono taken)
{
    int64_t held_max = ckpt_policy_held_max(
        &eng->policy, eng->mark.place.off, dbconn_page_size(eng->db));
    int64_t left = held_max - mono_since_ms(taken);

    if (out->forced)
        return eng->opt.busy_timeout_ms;
    return eng->policy.linger_ms < left ? eng->policy.linger_ms : left;
}

/* *put_off: a snapshot is in the way. */
static int
copy_rest(struct engine *eng, struct engine_checkpoint *out, struct mono taken,
    bool *put_off, bool *restartable, struct err *e)
{
    struct dbconn_copied copied = { 0 };
    bool sealed, saved;
    /* A seal of before still counts: the WAL may have been restarted since. */
    int rc = seal(eng, out, &sealed, e);

    if (rc != 0 || !sealed)
        return rc;
    if (!engine_save_frozen(eng, &saved)) {
        *put_off = true;
        return 0;
    }
    out->ran = true;
    rc = dbconn_checkpoint(eng->db, patience_for_readers(eng, out, taken), &copied, e);
    engine_end_save(eng, saved, rc == 0 && copied.complete);
    /*
     * Complete or not: everything is captured, and the read lock was taken again
     * before any writer moved. If it is on slot 0 (somebody else copied the rest)
     * nothing more can be copied; on another slot nobody can restart the WAL.
     */
    if (rc == 0)
        eng->sealed = fstat(dbconn_fd(eng->db), &eng->db_at_seal) == 0;
    eng->all_copied = rc == 0 && copied.complete;
    out->complete = copied.complete;
    *restartable = copied.restartable;
    return rc;
}

static void
end_barrier(struct engine *eng, struct engine_checkpoint *out)
{
    int64_t held_ns = dbconn_barrier_end(eng->db);

    if (held_ns > out->held_ns)
        out->held_ns = held_ns;
}

/* --- a checkpoint ---------------------------------------------------------------------
 */

/*
 * After a spike the file keeps its size, as SQLite writes over it from its start. A write
 * of our own restarts the WAL and cuts the file; it is one frame in a new WAL, and does
 * not call for a checkpoint by itself.
 */
static void
cut_file(struct engine *eng)
{
    int64_t size = wal_size_of(dbconn_page_size(eng->db), eng->policy.set.min_pages);
    struct stat st;
    struct err e;

    if (eng->cut_from.ns != 0 && !mono_reached(eng->cut_from))
        return;
    if (eng->wal_fd < 0 || fstat(eng->wal_fd, &st) != 0 || st.st_size < CUT_MIN_BYTES ||
        st.st_size / CUT_SIZE < size)
        return;
    eng->cut_from = mono_add_ms(mono_now(), CUT_PAUSE_MS);
    if (dbconn_cut(eng->db, size, CUT_WAIT_MS, &e) != 0)
        log_debug("wal file was not cut", LF_ERR(&e));
    else
        log_debug("wal file is cut", LF_INT("size", st.st_size), LF_INT("to", size));
}

/*
 * Takes the write lock at a moment when there is little left to do. Where writers write
 * faster than is copied there is none: they are let be until the WAL is far too large.
 */
static int
take_barrier(struct engine *eng, struct engine_checkpoint *out, bool *held, bool *put_off,
    struct err *e)
{
    struct ckpt_policy *p = &eng->policy;
    uint32_t page_size = dbconn_page_size(eng->db);
    struct ahead a;
    struct left l;
    int rc;

    *held = false;
    for (int round = 1;; round++) {
        rc = copy_ahead(eng, out, &a, e);
        *put_off = a.put_off;
        if (rc != 0 || !a.all || a.put_off)
            return rc;
        l = what_is_left(eng);
        if (round == 1)
            out->forced = ckpt_policy_force(
                p, eng->mark.place.off, l.copied_off, page_size, mono_now());
        if (!a.reached && !out->forced && too_much(eng, &l)) {
            out->ran = true; /* it cannot become complete: let writers be */
            return 0;
        }
        if (out->forced && round == 1)
            log_info("forcing truncate checkpoint",
                LF_INT("wal_size", eng->mark.place.off),
                LF_INT("threshold", truncate_size(eng)));
        rc = dbconn_barrier_begin(
            eng->db, out->forced ? eng->opt.busy_timeout_ms : p->patience_ms, e);
        if (rc != 0)
            return rc;
        l = what_is_left(eng);
        *held =
            !too_much(eng, &l) || out->forced ||
            (round == ROUNDS && ckpt_policy_too_large(p, eng->mark.place.off, page_size));
        if (*held)
            return 0;
        end_barrier(eng, out);
        if (round == ROUNDS)
            return err_set(e, ERR_BUSY, "writers are too fast");
    }
}

int
engine_checkpoint(struct engine *eng, struct engine_checkpoint *out, struct err *e)
{
    struct ckpt_policy *p = &eng->policy;
    bool held = false, restartable = false, put_off = false;
    uint32_t page_size;
    int rc;

    must(eng->db != NULL && eng->job == NULL);
    page_size = dbconn_page_size(eng->db);
    *out = (struct engine_checkpoint){ 0 };
    rc = take_barrier(eng, out, &held, &put_off, e);
    if (held)
        rc = copy_rest(eng, out, mono_now(), &put_off, &restartable, e);
    end_barrier(eng, out);
    if (rc == ERR_BUSY) { /* writers are at work, or another program checkpoints */
        out->ran = false;
        ckpt_policy_missed(p, mono_now());
        return 0;
    }
    if (put_off) {
        ckpt_policy_put_off(p, mono_now());
        return 0;
    }
    out->blocked = rc == 0 && out->ran && !restartable &&
                   eng->mark.place.off >= wal_size_of(page_size, p->set.min_pages);
    ckpt_policy_done(p, out->complete, eng->mark.place.off, page_size, mono_now());
    if (rc != 0)
        return err_wrap(e, "checkpoint");
    out->restartable = restartable && eng->sealed;
    if (out->restartable)
        cut_file(eng);
    return 0;
}

int
engine_truncate_wal(struct engine *eng, struct err *e)
{
    must(eng->db != NULL && eng->job == NULL);
    return dbconn_cut(eng->db, 0, CUT_WAIT_MS, e);
}
