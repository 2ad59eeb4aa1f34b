#include <stddef.h>

#include "common/base/log.h"
#include "common/base/wall.h"
#include "workers/worker_impl.h"

/* Readers of a few seconds are nothing to speak of. */
#define BLOCKED_WARN_MS 10000

#define BUCKET(limit_ms, name)                                                           \
    {                                                                                    \
        limit_ms, offsetof(struct slot_data, checkpoint_##name),                         \
            offsetof(struct slot_data, held_##name)                                      \
    }

static const struct {
    int64_t limit_ms;
    size_t took, held; /* where the slot counts them */
} buckets[] = { BUCKET(1, below_1ms), BUCKET(5, below_5ms), BUCKET(10, below_10ms),
    BUCKET(20, below_20ms), BUCKET(50, below_50ms), BUCKET(100, below_100ms),
    BUCKET(500, below_500ms), BUCKET(INT64_MAX, longer) };

static uint64_t *
counter_at(struct worker *w, size_t off)
{
    return (uint64_t *)(void *)((char *)&w->view + off);
}

static size_t
bucket_of(int64_t ns)
{
    size_t i = 0;

    while (ns / 1000000 >= buckets[i].limit_ms)
        i++;
    return i;
}

static void
count_held(struct worker *w, int64_t ns)
{
    if (ns == 0)
        return;
    ++*counter_at(w, buckets[bucket_of(ns)].held);
    w->view.held_ns += (uint64_t)ns;
    if ((uint64_t)ns > w->view.held_max_ns)
        w->view.held_max_ns = (uint64_t)ns;
}

static void
count_took(struct worker *w, int64_t ns)
{
    ++*counter_at(w, buckets[bucket_of(ns)].took);
    w->view.checkpoint_ns += (uint64_t)ns;
}

/* Said once, when readers have been in the way for a while, and when they have gone. */
static void
watch_readers(struct worker *w, const struct engine_checkpoint *done)
{
    w->view.checkpoint_blocked = !done->complete;
    if (!done->blocked) {
        if (w->blocked_said)
            log_info("checkpoint is no longer blocked",
                LF_STR("path", w->start->db->path),
                LF_MS("age", mono_since_ms(w->blocked_since)));
        w->blocked_said = false;
        w->blocked_since = (struct mono){ 0 };
        w->view.checkpoint_blocked_ms = 0;
        return;
    }
    if (w->blocked_since.ns == 0) {
        w->blocked_since = mono_now();
        w->view.checkpoint_blocked_ms = (uint64_t)wall_to_ms(wall_now());
    }
    if (w->blocked_said || mono_since_ms(w->blocked_since) < BLOCKED_WARN_MS)
        return;
    w->blocked_said = true;
    log_warn("checkpoint blocked by a long-running reader, wal keeps growing",
        LF_STR("path", w->start->db->path), LF_INT("wal_size", engine_wal_offset(w->eng)),
        LF_MS("age", mono_since_ms(w->blocked_since)),
        LF_STR(
            "hint", "find the program that keeps a read transaction open, and end it"));
}

int
worker_checkpoint(struct worker *w, struct engine_checkpoint *out, struct err *e)
{
    struct mono t0 = mono_now();
    int rc;

    worker_set_phase(w, PHASE_CHECKPOINTING);
    rc = engine_checkpoint(w->eng, out, e);
    w->view.phase = PHASE_IDLE;
    worker_took_report(w, &out->sealed);
    count_held(w, out->held_ns);
    if (rc != 0)
        w->view.checkpoint_errors++;
    if (rc != 0 || !out->ran)
        return rc;
    count_took(w, mono_since_ns(t0));
    w->view.checkpoint_count += out->forced ? 0 : 1;
    w->view.checkpoint_forced += out->forced ? 1 : 0;
    watch_readers(w, out);
    log_debug("checkpoint", LF_STR("mode", out->forced ? "TRUNCATE" : "PASSIVE"),
        LF_BOOL("complete", out->complete), LF_MS("took", mono_since_ms(t0)),
        LF_INT("held_us", out->held_ns / 1000));
    return 0;
}

void
worker_checkpoint_run(struct worker *w)
{
    struct engine_checkpoint done;
    struct err e;
    int rc = worker_checkpoint(w, &done, &e);

    if (rc == ERR_NO_SPACE) { /* what is committed can still be captured */
        w->view.disk_full = 1;
        w->again_at = mono_now(); /* a sync tells whether there is room again */
        log_error("disk full while copying the wal into the database, wal keeps growing",
            LF_ERR(&e), LF_STR("path", w->start->db->path),
            LF_INT("wal_size", engine_wal_offset(w->eng)));
    } else if (rc != 0) {
        worker_sync_failed(w, &e);
    }
}

/* Nothing is copied into a database that has no room: not before a sync went well. */
bool
worker_may_checkpoint(const struct worker *w)
{
    return w->view.disk_full == 0 && !engine_busy(w->eng);
}
