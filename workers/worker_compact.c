/*
 * The heavy part of a worker's life: merges, snapshots and retention of its replicas, one
 * at a time, and the local files that nobody needs any more.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/wall.h"
#include "workers/sync/meta.h"
#include "workers/worker_impl.h"

static void
on_changed(void *arg)
{
    struct worker *w = arg;

    w->trim_wanted = true;
    worker_kick(w);
}

void
worker_open_compactor(struct worker *w, unsigned i)
{
    const struct cfg_db *db = w->start->db;
    struct compactor_options options = { .loop = &w->loop,
        .config = w->start->config,
        .cfg = &db->replicas[i],
        .db_path = db->path,
        .l0_dir = engine_l0_dir(w->eng),
        .spool_dir = db->meta_path,
        .engine = w->eng,
        .replica = w->replicas[i],
        .only_on_request = w->start->once.wanted,
        .changed = on_changed,
        .arg = w };

    w->compactors[i] = compactor_new(&options);
}

void
worker_close_compactors(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        compactor_free(w->compactors[i]);
        w->compactors[i] = NULL;
    }
}

static struct compactor *
busy_one(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->compactors[i] != NULL && compactor_busy(w->compactors[i]))
            return w->compactors[i];
    return NULL;
}

bool
worker_compacts(const struct worker *w)
{
    return busy_one(w) != NULL;
}

bool
worker_snapshot_reads_db(const struct worker *w)
{
    const struct compactor *c = busy_one(w);

    return c != NULL && compactor_reads_db(c);
}

void
worker_stop_compacting(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->compactors[i] != NULL)
            compactor_cancel(w->compactors[i]);
}

void
worker_resume_compacting(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->compactors[i] != NULL)
            compactor_resume(w->compactors[i]);
}

/* --- local files ----------------------------------------------------------------------
 */

/*
 * Every destination has merged the files up to this TXID and keeps them elsewhere, or
 * gave up its right to be waited for.
 */
static uint64_t
needless_to(const struct worker *w)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < w->n_replicas; i++) {
        uint64_t merged;

        if (w->replicas[i] == NULL || w->compactors[i] == NULL)
            return 0;
        merged = compactor_needless_to(w->compactors[i]);
        if (w->backlog[i].dropped_to > merged)
            merged = w->backlog[i].dropped_to;
        if (merged < lowest)
            lowest = merged;
    }
    /* The newest file says where the next life goes on. */
    if (lowest >= engine_txid(w->eng))
        lowest = engine_txid(w->eng) > 0 ? engine_txid(w->eng) - 1 : 0;
    return lowest;
}

void
worker_note_backlog(struct worker *w, int64_t bytes)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        backlog_wrote(&w->backlog[i], bytes);
}

void
worker_note_position(struct worker *w, unsigned i)
{
    if (replica_in_sync(w->replicas[i]))
        backlog_in_sync(&w->backlog[i]);
}

/* What an earlier life left behind. */
void
worker_count_backlog(struct worker *w)
{
    int64_t bytes;
    struct err e;

    if (meta_bytes_from(w->start->db->meta_path, 0, 0, &bytes, &e) != 0)
        log_warn("cannot count local ltx files", LF_STR("path", w->start->db->path),
            LF_ERR(&e));
    for (unsigned i = 0; i < w->n_replicas; i++)
        w->backlog[i].bytes = bytes;
}

static void
limit_backlog(struct worker *w, unsigned i)
{
    int64_t limit = backlog_limit(engine_db_size(w->eng));
    struct backlog *b = &w->backlog[i];
    uint64_t there = replica_txid(w->replicas[i]);
    struct err e;

    if (backlog_may_be_over(b, limit) && meta_bytes_from(w->start->db->meta_path, 0,
                                             backlog_first(b, there), &b->bytes, &e) != 0)
        return;
    if (!backlog_is_over(b, limit, there, engine_txid(w->eng)))
        return;
    w->trim_wanted = true;
    if (backlog_drop(b, engine_txid(w->eng)))
        log_warn("replica is too far behind: local ltx files do not wait for it any "
                 "more, it gets a snapshot when it is back",
            LF_STR("replica", replica_type(w->replicas[i])),
            LF_STR("path", w->start->db->path), LF_TXID("replica_txid", there),
            LF_TXID("db_txid", engine_txid(w->eng)), LF_INT("limit", limit));
}

static void
trim_local(struct worker *w)
{
    uint64_t to = needless_to(w);
    struct err e;

    w->trim_wanted = false;
    if (to <= w->trimmed_to || w->rebase_to != 0)
        return;
    if (meta_remove_upto(w->start->db->meta_path, 0, to, &e) != 0 ||
        meta_remove_aside(w->start->db->meta_path, 0, to, &e) != 0) {
        log_error("failed to remove local l0 file", LF_STR("path", w->start->db->path),
            LF_ERR(&e));
        return;
    }
    w->trimmed_to = to;
}

/* --- what is due ----------------------------------------------------------------------
 */

void
worker_compact(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL)
            limit_backlog(w, i);
    if (w->trim_wanted)
        trim_local(w);
    for (unsigned i = 0; i < w->n_replicas && busy_one(w) == NULL; i++)
        if (w->compactors[i] != NULL && compactor_due_ms(w->compactors[i]) == 0) {
            w->untidy = true;
            compactor_run(w->compactors[i]);
        }
}

int64_t
worker_compact_due_ms(const struct worker *w)
{
    int64_t due = -1;

    if (busy_one(w) != NULL)
        return -1; /* its end tells */
    for (unsigned i = 0; i < w->n_replicas; i++) {
        int64_t wait = w->compactors[i] != NULL ? compactor_due_ms(w->compactors[i]) : -1;

        if (wait >= 0 && (due < 0 || wait < due))
            due = wait;
    }
    return due;
}
