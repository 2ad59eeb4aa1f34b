/*
 * plan - which files of a replica rebuild a database at a wanted moment. Plain data.
 *
 * Base is the last eligible snapshot (level 9); behind it, always the file that reaches
 * furthest among those that leave no gap: larger max, then smaller min, then higher
 * level, then earlier. Eligible: max <= TXID; or created strictly before the timestamp;
 * or all. "Latest" refuses to leave files behind that it cannot reach; a timestamp takes
 * what it can.
 */
#ifndef WORKERS_RESTORE_PLAN_H
#define WORKERS_RESTORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

struct restore_target {
    bool by_txid, by_time; /* neither: latest; both: an error */
    uint64_t txid;
    struct wall timestamp;
};

/* The listings of a replica, each sorted by (min, max). */
struct restore_files {
    struct ltx_info *level[LTX_N_LEVELS]; /* owned: restore_files_deinit */
    size_t n[LTX_N_LEVELS];
    size_t cap[LTX_N_LEVELS];
};

int restore_files_add(
    struct restore_files *f, const struct ltx_info *info, struct err *e);
void restore_files_deinit(struct restore_files *f);

/* Number of files over all levels, and the earliest and latest created-at. */
size_t restore_files_count(const struct restore_files *f);
void restore_files_bounds(
    const struct restore_files *f, struct wall *earliest, struct wall *latest);

struct restore_plan {
    struct ltx_info *files; /* ascending; owned: restore_plan_deinit */
    size_t n, cap;
    bool cut_short; /* by time: files before that moment lie behind a gap */
};

/*
 * returns 0; ERR_NOT_FOUND "transaction not available": nothing fits the target;
 * ERR_CORRUPT: a gap; ERR_USAGE: both kinds of target
 */
int restore_plan_make(const struct restore_files *f, const struct restore_target *target,
    struct restore_plan *plan, struct err *e);
void restore_plan_deinit(struct restore_plan *plan);

#endif
