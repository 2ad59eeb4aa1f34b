/*
 * trial - can a replica be listed, written, read and deleted, and does it keep a second
 * writer from replacing a file?
 *
 * The replica itself is only listed. What is written is one small LTX file of a replica
 * of its own below it, PATH/.litestream-doctor-RANDOM, where no listing of the replica
 * looks, so that it is mistaken for nothing and whatever is deleted afterwards is the
 * trial's. All of it goes through drivers/driver.h and holds for every kind of replica.
 * It is removed in any case but the end of the process or the connection; folders that a
 * file replica had not before are removed too.
 *
 *   list level 9, level 0 | put, put again, get, list, delete, list, delete all
 *
 * Loop thread.
 */
#ifndef SUPERVISOR_DOCTOR_TRIAL_H
#define SUPERVISOR_DOCTOR_TRIAL_H

#include <uv.h>

#include "config/config.h"
#include "supervisor/doctor/doctor.h"

struct doctor_trial; /* opaque */

struct doctor_trial_options {
    int64_t step_ms; /* longest time of one step, then it is cancelled */
    /* From the loop. false: a step did not even end when it was cancelled; the trial and
     * what it is about stay in use, and so does the loop. */
    void (*done)(void *arg, bool ended);
    void *arg;
};

/*
 * cfg is borrowed until doctor_trial_free, *out until `done`, out->probe lives as long
 * as the trial: until doctor_trial_free.
 */
struct doctor_trial *doctor_trial_start(uv_loop_t *loop, const struct cfg_replica *cfg,
    const struct doctor_trial_options *options, struct doctor_replica *out);

/* Goes on with removing what was written. `done` still comes. */
void doctor_trial_stop(struct doctor_trial *t);

/*
 * After `done` with `ended`, and after that of all trials that ran at the same time: they
 * may have had folders in common. NULL is fine.
 */
void doctor_trial_free(struct doctor_trial *t);

#endif
