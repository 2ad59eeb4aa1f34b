/*
 * v03_plan - which objects of a Litestream v0.3 backup rebuild a database. Plain data.
 *
 * A snapshot and the WAL segments of its generation from its index on. With a timestamp
 * what was stored at that moment or before counts (inclusive, unlike LTX files), without
 * one everything does. Of several generations the one is taken that leads to the latest
 * moment, of the snapshots in it the last: there is the least to replay.
 *
 * v0.3 knows no TXIDs.
 */
#ifndef WORKERS_RESTORE_V03_PLAN_H
#define WORKERS_RESTORE_V03_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/v03/v03_name.h"
#include "workers/restore/plan.h"

/* Everything there is, in any order. */
struct v03_files {
    struct v03_object *items; /* owned: v03_files_deinit */
    size_t n, cap;
};

int v03_files_add(struct v03_files *f, const struct v03_object *o, struct err *e);
void v03_files_deinit(struct v03_files *f);

/* Widens a range of created-at; *any tells whether there is one yet, and is set. */
void v03_files_bounds(
    const struct v03_files *f, bool *any, struct wall *earliest, struct wall *latest);

struct v03_plan {
    struct v03_object *files; /* the snapshot, then segments in order; v03_plan_deinit */
    size_t n;                 /* 0: no plan */
    struct wall newest;       /* created-at of the newest of them */
};

/*
 * Sorts *f.
 *
 *   returns 0; ERR_NOT_FOUND "no snapshots available"; ERR_MEMORY
 */
int v03_plan_make(struct v03_files *f, const struct restore_target *target,
    struct v03_plan *plan, struct err *e);
void v03_plan_deinit(struct v03_plan *plan);

/*
 * Is every WAL there and does it begin at its beginning? ERR_CORRUPT names what is
 * missing. (Whether a segment is missing inside a WAL is seen when they are read.)
 */
int v03_plan_check(const struct v03_plan *plan, struct err *e);

#endif
