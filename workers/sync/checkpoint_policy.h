/*
 * checkpoint_policy - when the worker checkpoints. Plain values and arithmetic.
 *
 * Sizes are logical: bytes up to the end of the captured WAL, never the size of the file,
 * which keeps its high-water mark after a restart. A checkpoint that could not copy
 * everything (a long reader) is tried again only after the application wrote more, or
 * after a delay that doubles to a minute: no attempt that is bound to fail, no writes of
 * our own that would call for the next one.
 *
 * When everything is copied the next writer restarts the WAL, unless a reader that began
 * before is still there; readers that begin later do no harm. Where short readers are
 * never gone altogether the WAL would grow for ever: an attempt that did not lead to a
 * restart is followed by one that keeps the write lock a little longer, until old readers
 * have left.
 *
 * The write lock is waited for on the loop, so briefly at first: after each miss twice as
 * long, with pauses in which uploads and looks go on.
 */
#ifndef WORKERS_SYNC_CHECKPOINT_POLICY_H
#define WORKERS_SYNC_CHECKPOINT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mono.h"

struct ckpt_policy {
    int64_t min_pages;   /* frames that call for a checkpoint */
    int64_t interval_ns; /* <= 0: not by time */

    bool captured;            /* frames of the application since the last checkpoint */
    struct mono last_attempt; /* or the start */
    int64_t base_off;         /* end of the WAL at the last attempt in this generation */
    bool blocked;             /* that attempt could not copy everything */
    int64_t retry_ms;         /* delay after it */

    bool whole; /* that attempt copied everything, and the WAL did not restart yet */
    int64_t linger_ms; /* how long the next one keeps writers out after it has copied */

    int64_t patience_ms;    /* how long the next attempt waits for the write lock */
    struct mono not_before; /* after a miss; 0: at any time */
};

void ckpt_policy_init(
    struct ckpt_policy *p, int64_t min_pages, int64_t interval_ns, struct mono now);

/* An L0 file was written from frames that are not our own. */
void ckpt_policy_captured(struct ckpt_policy *p);

/* The WAL began anew: frames are counted from its start again. */
void ckpt_policy_restarted(struct ckpt_policy *p);

/* off: end of the captured WAL; page_size in bytes. */
bool ckpt_policy_due(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now);

/* Milliseconds until it may become due by time alone; -1: not by time. */
int64_t ckpt_policy_wait_ms(
    const struct ckpt_policy *p, int64_t off, uint32_t page_size, struct mono now);

/* The write lock was not to be had within patience_ms. */
void ckpt_policy_missed(struct ckpt_policy *p, struct mono now);

/* An attempt has ended; complete: everything in the WAL was copied. */
void ckpt_policy_done(struct ckpt_policy *p, bool complete, int64_t off, struct mono now);

#endif
