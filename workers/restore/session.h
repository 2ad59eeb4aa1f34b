/*
 * session - a driver on a loop of its own, for one-shot work that may wait.
 *
 * One thread. With `cancel` everything ends soon with ERR_CANCELLED once it is asked for.
 */
#ifndef WORKERS_RESTORE_SESSION_H
#define WORKERS_RESTORE_SESSION_H

#include <stdbool.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "config/config.h"
#include "workers/restore/fetch.h"
#include "workers/restore/plan.h"
#include "workers/restore/v03_plan.h"

struct session; /* opaque */

/* replica and cancel (may be NULL) are borrowed until session_close. */
int session_open(const struct cfg_replica *replica, const struct cancel *cancel,
    struct session **out, struct err *e);
void session_close(struct session *s); /* NULL is fine */

/* Adds the files of a level, in order. */
int session_list(struct session *s, int level, bool exact_times,
    struct restore_files *files, struct err *e);

/* Only those with min_txid >= seek. */
int session_list_from(struct session *s, int level, uint64_t seek,
    struct restore_files *files, struct err *e);

/* Adds all v0.3 objects; none when the driver cannot read them. */
int session_list_v03(struct session *s, struct v03_files *files, struct err *e);

/* v0.3 objects of a list, for session_fetch. */
struct fetch_files session_v03_files(const struct v03_object *objects, size_t n);

/* On a thread of its own, with fetch_read. */
typedef int session_work_cb(
    void *arg, struct fetch *f, const struct cancel *cancel, struct err *e);

/* Fetches while `work` reads. */
int session_fetch(struct session *s, const struct fetch_files *files,
    unsigned parallelism, session_work_cb *work, void *arg, struct err *e);

#endif
