/*
 * restore - a database out of a replica, at a transaction or moment, or the newest.
 *
 * list all levels -> plan -> fetch in parallel -> apply newest first -> check -> put in
 * place
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

struct restore_options {
    const struct cfg_replica *replica;
    struct restore_target target;
    const char *output; /* as written */
    unsigned parallelism;
    bool force; /* an existing database may be replaced, at the very end */
    bool plan_only;
    bool check_bounds; /* a timestamp outside of what is covered is an error */
    enum restore_integrity integrity;
};

struct restore_result {
    struct restore_plan plan;     /* owned: restore_result_deinit */
    uint64_t txid;                /* reached */
    struct wall created;          /* of the newest file used */
    int64_t bytes;                /* of the database */
    struct wall earliest, latest; /* covered range by created-at */
};

/*
 * returns 0; ERR_NOT_FOUND: nothing fits ("transaction not available") or nothing is
 * there
 * ("no backups found", with check_bounds); anything else as it comes
 */
int restore_run(
    const struct restore_options *options, struct restore_result *out, struct err *e);
void restore_result_deinit(struct restore_result *r);

/*
 * Lists levels first..last of a replica in order; `entries` gets them level by level.
 */
int restore_list(const struct cfg_replica *replica, int first, int last, bool exact_times,
    struct restore_files *files, struct err *e);

#endif
