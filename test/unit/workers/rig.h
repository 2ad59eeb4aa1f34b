/*
 * rig - an engine beside applications, and the question whether its L0 files say what the
 * database says.
 */
#ifndef TEST_UNIT_WORKERS_RIG_H
#define TEST_UNIT_WORKERS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "test/unit/workers/app.h"
#include "test/unit/workers/replay.h"
#include "workers/sync/engine.h"

#define RIG_APPS 3

struct rig {
    uv_loop_t loop;
    struct engine_options opt;
    struct engine *eng; /* NULL between two lives of the daemon */
    const char *db, *meta, *l0_dir, *truth;
    struct app *app[RIG_APPS];
    struct replay replay;

    struct engine_report report; /* of the last sync */
    struct err err;
    bool job_done, job_failed;
    const char *last_reason; /* of the last full image */
};

/* A fresh folder, applications without a connection, no engine yet. */
void rig_start(struct rig *r);
void rig_stop(struct rig *r);

/* A life of the daemon begins, ends. False: a writer is in the way (ERR_BUSY). */
bool rig_open(struct rig *r);
void rig_close(struct rig *r);

/* One engine_sync with its job, if any; report and err are set. */
enum engine_sync_result rig_sync_once(struct rig *r, bool limited, bool may_job);

/* Until there is nothing more; false: a writer is in the way (ERR_BUSY) or a fault. */
bool rig_sync(struct rig *r);

/*
 * Everything captured? The files against the database as a new connection of app 0 sees
 * it. Nobody may write meanwhile.
 */
bool rig_equal(struct rig *r);

#endif
