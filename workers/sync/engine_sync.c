#include "common/base/log.h"
#include "common/base/must.h"
#include "common/base/sys.h"
#include "workers/sync/engine_impl.h"

#define TORN_LOOK_MS 10
#define TORN_LIMIT_MS 1000

/* --- sync -----------------------------------------------------------------------------
 */

int
engine_hold(struct engine *eng, bool *lost, struct err *e)
{
    int rc = dbconn_hold(eng->db, lost, e);

    if (*lost) {
        eng->sealed = eng->caught_up = eng->still.set = false;
        engine_lose_frozen(eng, "the read transaction was lost");
        log_warn("read transaction was lost, taking it again",
            LF_STR("path", eng->opt.db_path));
    }
    return rc;
}

/* Not a byte was copied into the database since it was sealed. */
static bool
db_untouched(const struct engine *eng)
{
    const struct stat *then = &eng->db_at_seal;
    struct stat now;

    return eng->sealed && fstat(dbconn_fd(eng->db), &now) == 0 &&
           now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == then->st_mtim.tv_nsec &&
           now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == then->st_ctim.tv_nsec;
}

static int
take_look(struct engine *eng, struct look *l, struct err *e)
{
    struct wal_index index;
    struct look_in in = { .wal_fd = eng->wal_fd,
        .index = dbconn_wal_index(eng->db, &index) ? &index : NULL,
        .mark = &eng->mark,
        .sealed = eng->sealed,
        .db_untouched = db_untouched(eng),
        .torn_too_long =
            eng->torn_since.ns != 0 && mono_since_ms(eng->torn_since) >= TORN_LIMIT_MS,
        .page_size = dbconn_page_size(eng->db),
        .scan = eng->scan };
    int rc = look_at_wal(&in, l, e);

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

/*
 * Right after a start the WAL was restarted, and the old generation seems to end at the
 * mark: the frame before it must still be what the newest local file says.
 */
static int
prove_end(struct engine *eng, struct look *l, struct err *e)
{
    bool same;
    int rc = position_verify_end(eng->opt.meta, &eng->found, eng->wal_fd, &same, e);

    if (rc == 0 && !same) {
        l->action = DECIDE_IMAGE;
        l->reason = "wal differs from the local ltx files";
    }
    return rc;
}

static void
enter_generation(struct engine *eng, const struct wal_header *h)
{
    engine_wal_restarted(eng);
    eng->mark = mark_at_start(h);
    eng->sealed = false;
    eng->rest.set = false;
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
    struct wal_index index;
    int rc = dbconn_bump(eng->db, e);

    if (rc == ERR_BUSY && eng->other_db && eng->wal_fd >= 0)
        rc = 0; /* there is a WAL, and who writes to it restarts it as well */
    if (rc == 0 && !engine_same_wal(eng))
        sys_close(&eng->wal_fd);
    if (rc == 0 && eng->wal_fd < 0)
        rc = engine_open_wal(eng, e);
    if (rc == 0 && eng->wal_fd < 0)
        rc = err_set(e, ERR_NOT_FOUND, "%s was not created", dbconn_wal_path(eng->db));
    if (rc == 0)
        rc = wal_read_header(eng->wal_fd, &l->h, e);
    if (rc == 0 && (!dbconn_wal_index(eng->db, &index) ||
                       !wal_index_committed(&index, &l->h, &l->n_frames)))
        rc = err_set(e, ERR_MOVED, "the WAL was restarted while it was read");
    return rc;
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
        if (!eng->sealed)
            engine_lose_frozen(eng, "the WAL was restarted by another program");
        enter_generation(eng, &l->h);
        return engine_plan_increment(eng, l, limit, any, e);
    case DECIDE_CONTINUE:
        return engine_plan_increment(eng, l, limit, any, e);
    case DECIDE_BUMP_IMAGE:
    case DECIDE_IMAGE:
        engine_lose_frozen(eng, "the database has to be captured as a whole");
        if (!image_possible(eng, flags))
            return 0;
        if (l->action == DECIDE_BUMP_IMAGE)
            rc = make_wal(eng, l, e);
        if (rc == 0)
            rc = engine_plan_image(eng, l, e);
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
    /* A WAL that does not belong to the file goes, if nobody reads it. */
    if (l->action != DECIDE_BUMP_IMAGE)
        l->action = l->action == DECIDE_NOTHING || eng->other_db ? DECIDE_BUMP_IMAGE
                                                                 : DECIDE_IMAGE;
    l->reason = eng->image_reason;
}

enum engine_sync_result
engine_sync_once(struct engine *eng, unsigned flags, struct err *e)
{
    bool replaced = !dbconn_same_file(eng->db) || !engine_same_wal(eng);
    struct look l = { 0 };
    bool any = false, lost;
    int rc;

    eng->report = (struct engine_report){ .replaced = replaced };
    rc = engine_hold(eng, &lost, e);
    if (rc == 0 && !replaced && engine_wait_for_overwriting(eng))
        return ENGINE_DONE;
    if (rc == 0 && eng->wal_fd < 0)
        rc = engine_open_wal(eng, e);
    if (rc == 0)
        rc = take_look(eng, &l, e);
    if (rc == 0 && l.page_size_differs) {
        eng->report.replaced = true;
        return ENGINE_DONE;
    }
    if (rc == 0 && l.action == DECIDE_CONTINUE && !eng->mark.proven)
        rc = prove_mark(eng, &l, e);
    if (rc == 0 && l.action == DECIDE_RESTARTED && !eng->mark.proven)
        rc = prove_end(eng, &l, e);
    if (rc != 0)
        return ENGINE_FAILED;
    want_image(eng, &l);
    if (replaced && (l.action == DECIDE_IMAGE || l.action == DECIDE_BUMP_IMAGE))
        return ENGINE_DONE; /* of a file that is no longer there */
    rc = make_plan(eng, &l, flags, &any, e);
    if (rc == ERR_MOVED)
        return engine_plan_failed(eng, rc, e) == 0 ? ENGINE_DONE : ENGINE_FAILED;
    if (rc != 0)
        return ENGINE_FAILED;
    if (!any)
        return ENGINE_DONE;
    return engine_execute(eng, flags, e);
}

enum engine_sync_result
engine_sync(struct engine *eng, bool limited, bool may_job, struct engine_report *report,
    struct err *e)
{
    unsigned flags =
        (limited ? (unsigned)SYNC_LIMITED : 0) | (may_job ? (unsigned)SYNC_MAY_JOB : 0);
    enum engine_sync_result res;

    must(eng->db != NULL && eng->job == NULL);
    res = engine_sync_once(eng, flags, e);
    if (res == ENGINE_DONE)
        engine_note_caught_up(eng);
    *report = eng->report;
    return res;
}

bool
engine_has_news(struct engine *eng)
{
    struct wal_index index;

    if (eng->db == NULL || eng->job != NULL)
        return false;
    if (eng->image_reason != NULL || !dbconn_same_file(eng->db) || !engine_same_wal(eng))
        return true;
    if (eng->overwritten.set || engine_db_overwritten(eng))
        return true;
    return look_has_news(eng->wal_fd, dbconn_wal_index(eng->db, &index) ? &index : NULL,
        &eng->mark, eng->sealed, &eng->rest);
}
