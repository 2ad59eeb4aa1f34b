/*
 * merge_plan - which files of one level become the next file of the level above it. Plain
 * data.
 *
 * Chosen is a row without a gap that goes on where the destination ends: always the file
 * that reaches furthest among those that leave no gap, so duplicates and files inside
 * others fall away instead of stopping the level. Every choice is one that ltx_merge
 * accepts.
 *
 * The destination may end inside a source (min <= dst_max < max), for instance when two
 * processes merged the same level. Leaving the source out would be a gap. Merging it is
 * right, for it holds the last version of every page it names, but under its own TXIDs
 * the result would overlap the file before it for ever, which restores bear and
 * validation reports. As its pages are also a complete account of what changed after
 * dst_max, the result takes the smaller range: min_txid of the plan, not of the first
 * input, belongs in its header and name.
 *
 * A hole in the sources is crossed when a snapshot reaches to its end: from that snapshot
 * everything behind the hole can be restored. The first source behind the hole is taken,
 * not the first behind the snapshot: between two snapshots it may be needed for a moment
 * that lies there. Without such a snapshot nothing may be merged (the result would look
 * usable), and the caller takes one.
 */
#ifndef WORKERS_COMPACT_MERGE_PLAN_H
#define WORKERS_COMPACT_MERGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ltx/ltx_format.h"

struct merge_plan_request {
    const struct ltx_info *src; /* the level below, sorted by (min, max) */
    size_t n_src;               /* those that end at or before dst_max may be left out */
    uint64_t dst_max;           /* last TXID of the destination level; 0: it is empty */
    uint64_t snapshot_max;      /* last TXID of the newest snapshot; 0: none */

    /*
     * Sources that end behind it wait; UINT64_MAX: none does. Files of two page sizes
     * cannot be merged: where it changes at TXID p, one merge has the limit p - 1, and
     * the next one begins with the full image that p is.
     */
    uint64_t limit_txid;

    /* Sources that begin at or before it are never taken; 0: all may. */
    uint64_t skip_to;

    size_t max_inputs; /* 0: any number */
    int64_t max_bytes; /* of all inputs; 0: any; one input is taken whatever its size */
};

enum merge_verdict {
    MERGE_NOTHING, /* no source has anything new (or all wait for limit_txid) */
    MERGE_GO,
    MERGE_GAP, /* nothing can be merged before a snapshot reaches next_txid - 1 */
};

struct merge_plan {
    enum merge_verdict verdict;
    size_t n;                    /* GO: inputs */
    uint64_t min_txid, max_txid; /* GO: of the result */
    bool more;                   /* GO: a further run right behind this one has work */

    uint64_t have_txid, next_txid; /* GAP: known up to, next source begins at */
};

/*
 *   chosen  gets the inputs in order; room for n_src or max_inputs files, whichever is
 *           less; may be the array of the sources itself
 */
struct merge_plan merge_plan_make(
    const struct merge_plan_request *req, struct ltx_info *chosen);

#endif
