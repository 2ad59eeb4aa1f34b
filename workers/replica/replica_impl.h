/*
 * replica_impl - what the parts of a replica share: its state and the ways between them.
 */
#ifndef WORKERS_REPLICA_REPLICA_IMPL_H
#define WORKERS_REPLICA_REPLICA_IMPL_H

#include <sys/stat.h>

#include "common/base/mono.h"
#include "common/base/retry.h"
#include "drivers/driver.h"
#include "workers/replica/compare.h"
#include "workers/replica/holdings.h"
#include "workers/replica/replica.h"
#include "workers/replica/verify.h"
#include "workers/sync/pacer.h"

#define REPLICA_N_TRUSTED 8

struct replica {
    struct replica_options opt;
    struct drv *drv;
    struct drv_op *op; /* under way */
    uv_timer_t timer;
    bool closing, drv_is_closed, timer_is_closed;
    void (*closed)(void *arg);
    void *closed_arg;

    bool started;
    uint64_t target; /* newest local file */
    bool has_target;
    uint64_t first_target; /* the newest one when this life began */
    bool known;
    int n_listed; /* levels, from the snapshots down, while not known */
    uint64_t listed_max;
    /*
     * All up to here is in what was listed, without a gap: from the newest snapshot on;
     * and without the help of later ones from the oldest on, or from TXID 1.
     */
    uint64_t covered, covered_from_oldest, covered_from_1;
    struct holdings *holdings;
    uint64_t found_txid;
    bool foreign; /* its newest file is not the local one of that TXID */
    struct {
        uint8_t local[LTX_TRAILER_SIZE], there[LTX_TRAILER_SIZE];
    } trailer; /* of that file, while it is looked at */
    uint64_t txid;
    bool held;
    bool stopped;        /* held for a reason, which stays in err */
    bool needs_snapshot; /* the file behind txid is missing, as err says */
    bool lost;           /* with needs_snapshot: as replica_lost_files */

    struct pacer pacer;
    int64_t early_ms; /* so much earlier a round may start when a file is made */
    struct retry retry;
    bool waiting; /* a back-off runs */
    bool pushed;
    uint64_t attempts, errors;
    struct err err; /* code ERR_OK: none */
    int64_t last_ok_ms;

    /* Files made just now, by TXID; see replica_trust. */
    struct {
        uint64_t txid;
        struct stat st;
        struct mono made;
    } trusted[REPLICA_N_TRUSTED];

    /* the upload under way */
    struct verify *verify; /* is the local file whole? */
    int fd;
    int64_t fd_size; /* bytes */
    struct drv_source source;
    struct compare *compare; /* with the file that was there already */
};

/* An attempt ended. After a failure a back-off runs, unless r is stopped. */
void replica_failed(struct replica *r, const struct err *e);
void replica_succeeded(struct replica *r);

/* The end of replica_close, once nothing is under way any more. */
void replica_free_if_closed(struct replica *r);

/* All levels are listed: sets r->foreign, then calls replica_verified. */
void replica_verify(struct replica *r);
void replica_verified(struct replica *r);

/* The local file of a TXID is there. */
bool replica_has_local(const struct replica *r, uint64_t txid);

/* Starts what is due. */
void replica_step(struct replica *r);

/* Starts to bring the file behind r->txid there, or finds that it cannot. */
void replica_upload(struct replica *r);

/* A snapshot up to txid took the place of the files that are missing. */
void replica_go_on_at(struct replica *r, uint64_t txid);

#endif
