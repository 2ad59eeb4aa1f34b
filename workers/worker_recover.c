/*
 * auto-recover: local files that had not gone up yet are damaged or lost.
 *
 * Replication goes on in any case: a snapshot takes the place of what is missing. Without
 * the key all other local files stay and go up, and what was damaged is kept beside them
 * for a look. With it, none of them is trusted any more: the worker does what
 * `litestream reset` does, while it runs. Moments that had not gone up are given up, and
 * a full image is the new beginning.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "workers/worker_impl.h"

void
worker_see_loss(struct worker *w, unsigned i)
{
    if (w->start->db->replicas[i].auto_recover && replica_lost_files(w->replicas[i]))
        w->recover_wanted = true;
}

void
worker_see_damage(struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->start->db->replicas[i].auto_recover && engine_found_damage(w->eng))
            w->recover_wanted = true;
}

static const struct err *
loss_of(const struct worker *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        if (w->replicas[i] != NULL && replica_lost_files(w->replicas[i]))
            return replica_error(w->replicas[i]);
    return NULL;
}

bool
worker_recover(struct worker *w)
{
    const char *path = w->start->db->path;
    const struct err *loss = loss_of(w);
    struct err e;

    if (!w->recover_wanted)
        return true;
    if (loss != NULL)
        log_warn("auto-recovery enabled, resetting local state", LF_STR("path", path),
            LF_ERR(loss));
    else
        log_warn("auto-recovery enabled, resetting local state", LF_STR("path", path));
    log_info("resetting local litestream state",
        LF_STR("meta_path", w->start->db->meta_path),
        LF_STR("ltx_dir", engine_l0_dir(w->eng)));
    if (engine_reset(w->eng, &e) != 0) {
        log_error("auto-recovery failed", LF_STR("path", path), LF_ERR(&e));
        worker_sync_failed(w, &e);
        return false;
    }
    w->recover_wanted = false;
    w->recovering = true;
    w->again_at = mono_now();
    return true;
}

void
worker_recovered(struct worker *w)
{
    if (w->recovering)
        log_info("auto-recovery complete, resuming replication",
            LF_STR("path", w->start->db->path), LF_TXID("txid", engine_txid(w->eng)));
    w->recovering = false;
}
