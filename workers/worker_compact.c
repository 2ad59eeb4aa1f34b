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

/*
 * A destination that is this many files behind is not waited for: it gets a snapshot when
 * it comes back.
 */
#define PATIENCE_FILES 65536

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
        if (replica_pending_files(w->replicas[i]) > PATIENCE_FILES)
            continue;
        merged = compactor_needless_to(w->compactors[i]);
        if (merged < lowest)
            lowest = merged;
    }
    /* The newest file says where the next life goes on. */
    if (lowest >= engine_txid(w->eng))
        lowest = engine_txid(w->eng) > 0 ? engine_txid(w->eng) - 1 : 0;
    return lowest;
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
