/*
 * run - examines the machine and everything that a configuration names.
 *
 * Databases are looked at on threads and replicas tried on one loop, several at a time.
 * A `dir` entry counts with each database that is in it now; its replicas are tried once.
 */
#ifndef SUPERVISOR_DOCTOR_RUN_H
#define SUPERVISOR_DOCTOR_RUN_H

#include "config/config.h"
#include "supervisor/doctor/doctor.h"

struct doctor_line {
    const char *subject; /* path of a database or folder, "REPLICA of PATH"; "": host */
    const char *check;
    struct doctor_finding finding;
};

struct doctor_options {
    int64_t timeout_ms;  /* of a look at a database and of a step of a trial */
    const char *problem; /* of the configuration as a whole; NULL: none */
    /* Findings in order; the line is borrowed for the call. */
    void (*say)(void *arg, const struct doctor_line *line);
    void *arg;
};

/*
 * Reads the secrets of c. 0 also when something is not well. ERR_CANCELLED: SIGINT or
 * SIGTERM came; what the trials had written is removed, and nothing was said. What hangs
 * keeps its thread and its part of c: then *c is not given back to the caller (NULL).
 */
int doctor_run(struct config **c, const struct doctor_options *options, struct err *e);

#endif
