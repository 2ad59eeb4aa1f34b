/*
 * worker - one process for one database: WAL to local L0 files to its replicas.
 *
 *              no file yet                        STOP, EOF
 *   STARTING -------------> WAITING     RUNNING ------------> STOPPING --> end
 *      |  ^                    |           ^
 *      |  '--- file appears ---'           |
 *      '---------- database opened --------'
 *
 * It builds a loop of its own and touches nothing of the supervisor's but its channel
 * end, its slot and its part of the configuration.
 */
#ifndef WORKERS_WORKER_H
#define WORKERS_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc/slot.h"
#include "config/config.h"

struct worker_start {
    const struct config *config; /* borrowed for the life of the process */
    const struct cfg_db *db;     /* of it */
    int channel;                 /* its end of the socket pair; taken over */
    struct slot *slot;
    uint32_t incarnation;
    bool own_watch; /* within the budget of inotify instances */
    int64_t
        shutdown_timeout_ms; /* for uploads after EOF; 0: one attempt without a limit */
    int64_t shutdown_interval_ms;
    struct {
        bool wanted; /* sync, upload, do what is asked here, end */
        bool snapshot, retention;
    } once;
};

/*
 * In the supervisor, before the first fork: makes what all workers have alike (tables of
 * checksums and of SQLite's functions), so that they share it. Opens nothing.
 */
void worker_prepare(void);

/* Runs to the end and returns the exit status. Role PROC_WORKER. */
int worker_main(const struct worker_start *start);

#endif
