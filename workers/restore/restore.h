/*
 * restore - a database out of a replica, at a transaction or moment, or the newest.
 *
 * list all levels -> plan -> fetch in parallel -> apply newest first -> check -> put in
 * place
 *
 * Where a replica has backups of Litestream v0.3, too, or nothing else, those are used
 * when they lead to a later moment (v03_plan.h); never for a TXID.
 *
 * Needs no running worker. Synchronous with a loop of its own: for one-shot commands.
 */
#ifndef WORKERS_RESTORE_RESTORE_H
#define WORKERS_RESTORE_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "config/config.h"
#include "workers/restore/output.h"
#include "workers/restore/plan.h"
#include "workers/restore/v03_plan.h"

struct session;

struct restore_options {
    const struct cfg_replica *replica;
    struct restore_target target;
    const char *output; /* as written */
    unsigned parallelism;
    bool force; /* an existing database may be replaced, at the very end */
    bool plan_only;
    bool check_bounds; /* a timestamp outside of what is covered is an error */
    enum restore_integrity integrity;
    const struct cancel *cancel; /* may be NULL; not looked at during the check */
    bool ltx_only;               /* v0.3 backups are not looked at */

    /* May change the new database, fd, before it is checked and put in place; NULL: none
     */
    int (*finish)(const char *output, int fd, uint64_t txid, struct err *e);
};

struct restore_result {
    struct restore_plan plan;     /* owned: restore_result_deinit */
    struct v03_plan v03;          /* n > 0: this is used; owned */
    size_t n_ltx, n_v03;          /* files there are on the replica */
    uint64_t txid;                /* reached; 0: v0.3 */
    struct wall created;          /* of the newest file used */
    int64_t bytes;                /* of the database */
    struct wall earliest, latest; /* covered range by created-at */
};

/*
 * returns 0; ERR_NOT_FOUND: nothing fits ("transaction not available", "no snapshots
 * available") or nothing is
 * there
 * ("no backups found", with check_bounds); anything else as it comes
 */
int restore_run(
    const struct restore_options *options, struct restore_result *out, struct err *e);
void restore_result_deinit(struct restore_result *r);

/*
 * Of several replicas of one database the one that leads to the latest moment for this
 * target; that cannot be told from TXIDs, which another history may have used up. One
 * that cannot be read, or whose files do not fit together, is left out with a warning.
 *
 *   out  one of `replicas`; when nothing fits on any of them the first that can be read
 */
int restore_choose(const struct cfg_replica *const *replicas, size_t n,
    const struct restore_target *target, const struct cfg_replica **out, struct err *e);

/* ERR_CORRUPT when a planned file is too short to be one. */
int restore_plan_check(const struct restore_plan *plan, struct err *e);

/*
 * Writes what a plan leads to into an output that is not published; *size: bytes of the
 * database.
 */
int restore_plan_run(struct session *s, const struct restore_plan *plan,
    unsigned parallelism, struct output *output, int64_t *size, struct err *e);

/*
 * Lists levels first..last of a replica in order; `entries` gets them level by level.
 */
int restore_list(const struct cfg_replica *replica, int first, int last, bool exact_times,
    struct restore_files *files, struct err *e);

#endif
