/*
 * checkpoint_policy - when the worker checkpoints. Plain values and arithmetic.
 *
 * Sizes are logical: bytes up to the end of the captured WAL, never the size of the file,
 * which keeps its high-water mark after a restart. A checkpoint that could not copy
 * everything (a long reader) is tried again only after the application wrote more, or
 * after a delay that doubles to a minute: no attempt that is bound to fail, no writes of
 * our own that would call for the next one.
 *
 * By time, a database is checkpointed at moments of its own, an interval apart, so that
 * those of many databases that were started or written together do not fall together.
 *
 * When everything is copied the next writer restarts the WAL, unless a reader that began
 * before is still there; readers that begin later do no harm. Where short readers are
 * never gone altogether the WAL would grow for ever. Writers are held up for them for a
 * few milliseconds, for up to LINGER_MAX when the WAL is several times as large as it
 * should be, and beyond truncate_pages for as long as their busy timeout allows: not
 * before an ordinary attempt, never for readers that do not leave, and with a delay that
 * doubles to a minute.
 *
 * The write lock is waited for on the loop, so briefly at first: after each miss twice as
 * long, with pauses in which uploads and looks go on.
 */
#ifndef WORKERS_SYNC_CHECKPOINT_POLICY_H
#define WORKERS_SYNC_CHECKPOINT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mono.h"

struct ckpt_settings {
    int64_t min_pages;      /* frames that call for a checkpoint */
    int64_t interval_ns;    /* <= 0: not by time */
    int64_t truncate_pages; /* frames beyond which readers are waited for; <= 0: never */
    uint64_t seed;          /* of the moments that are this database's own */
};

struct ckpt_policy {
    struct ckpt_settings set;
    int64_t phase_ns; /* its moments are at phase + n * interval on the clock */

    bool captured;            /* frames of the application since the last checkpoint */
    struct mono captured_at;  /* the first of them */
    struct mono last_attempt; /* or the start */
    int64_t base_off;         /* end of the WAL at the last attempt in this generation */
    bool blocked;             /* that attempt could not copy everything */
    int64_t retry_ms;         /* delay after it */

    int64_t linger_ms; /* how long the next one keeps writers out for readers */

    int64_t patience_ms;    /* how long the next attempt waits for the write lock */
    int64_t put_off_ms;     /* the next pause after a put-off */
    struct mono not_before; /* after a miss or a put-off; 0: at any time */

    /* beyond truncate_pages */
    bool over;   /* an attempt was made there */
    bool forced; /* one that waited for readers */
    struct mono over_at;
    int64_t over_off; /* end of the WAL at over_at: readers beyond are younger */
    struct mono force_from;
    int64_t force_ms; /* delay after the next one */
};

void ckpt_policy_init(
    struct ckpt_policy *p, const struct ckpt_settings *set, struct mono now);

/* An L0 file was written from frames that are not our own. */
void ckpt_policy_captured(struct ckpt_policy *p, struct mono now);

/*
 * The WAL began anew: frames are counted from its start again. True when that ended an
 * episode beyond truncate_pages without force.
 */
bool ckpt_policy_restarted(struct ckpt_policy *p);

/* off: end of the captured WAL; page_size in bytes. */
bool ckpt_policy_due(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now);

/* Milliseconds until it may become due by time alone; -1: not by time. */
int64_t ckpt_policy_wait_ms(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now);

/*
 * Before each attempt: is this one to wait for readers as long as it takes?
 *
 *   copied_off  end of the frames that are copied. Readers that began before keep more
 *               from being copied; as long as those of a second ago still do, they are
 *               not readers that leave soon.
 */
bool ckpt_policy_force(struct ckpt_policy *p, int64_t off, int64_t copied_off,
    uint32_t page_size, struct mono now);

/* The write lock was not to be had within patience_ms. */
void ckpt_policy_missed(struct ckpt_policy *p, struct mono now);

/* Something else was in the way: again after a pause that doubles to some seconds. */
void ckpt_policy_put_off(struct ckpt_policy *p, struct mono now);

/* The WAL is several times as large as min_pages: writers may be held up for longer. */
bool ckpt_policy_too_large(const struct ckpt_policy *p, int64_t off, uint32_t page_size);

/* Milliseconds that writers are kept out at most while only readers are waited for. */
int64_t ckpt_policy_held_max(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size);

/* An attempt has ended; complete: everything in the WAL was copied. */
void ckpt_policy_done(struct ckpt_policy *p, bool complete, int64_t off,
    uint32_t page_size, struct mono now);

#endif
