/*
 * driver_impl - what a driver implements and what the common layer does for it.
 *
 * The common layer allocates operations (op_bytes each, struct drv_op first), counts
 * them, defers their completion to the loop and keeps the order of closing. Only drivers
 * include this header.
 */
#ifndef DRIVERS_DRIVER_IMPL_H
#define DRIVERS_DRIVER_IMPL_H

#include "common/base/mono.h"
#include "drivers/driver.h"

struct drv_ops {
    const char *type;   /* "file" */
    size_t state_bytes; /* allocated for the driver, drv->state */
    size_t op_bytes;    /* size of the struct that starts with struct drv_op */

    int (*open)(struct drv *d, const struct cfg_replica *cfg, struct err *e);
    /* No operation is under way any more; calls drv_closed() now or later. */
    void (*close)(struct drv *d);

    /* Start and return 0, then drv_op_finish() exactly once; not 0: nothing started. */
    int (*list)(struct drv_op *op, const struct drv_list *req, struct err *e);
    int (*get)(struct drv_op *op, const struct drv_get *req, struct err *e);
    int (*put)(struct drv_op *op, const struct drv_put *req, struct err *e);
    int (*del)(struct drv_op *op, const struct drv_del *req, struct err *e);
    int (*del_all)(struct drv_op *op, struct err *e);
    /* Both or none. */
    int (*list_keys)(struct drv_op *op, const struct drv_list_keys *req, struct err *e);
    int (*get_key)(struct drv_op *op, const struct drv_get_key *req, struct err *e);
    void (*cancel)(struct drv_op *op); /* asks; drv_op_finish still follows */
};

struct drv_op {
    struct drv *drv;
    enum drv_kind kind;
    drv_done_cb *done;
    void *arg;
    /* Driver: runs from the loop just before `done`, e.g. to hand over entries. */
    void (*deliver)(struct drv_op *op);
    /* Driver: frees what hangs on the op; runs last. */
    void (*release)(struct drv_op *op);

    struct drv_result res;
    struct err err;
    struct mono started;
    bool finished, cancelled;
    struct drv_op *prev, *next;
};

struct drv {
    const struct drv_ops *ops;
    struct drv_env env;
    void *state;
    struct drv_stats stats[DRV_N_KINDS];
    struct drv_failure failures[DRV_N_FAILURES];

    struct drv_op *active; /* started, not finished */
    struct drv_op *finished, **last_finished;
    uv_idle_t deliver; /* runs while there are finished ones */
    bool closing, close_asked;
    drv_closed_cb *closed;
    void *closed_arg;
};

/* e is NULL for success; op->res is filled in by the driver before. */
void drv_op_finish(struct drv_op *op, const struct err *e);

/* The driver has given everything back. */
void drv_closed(struct drv *d);

/* The kinds there are: drivers/registry.c. NULL when this build has none for it. */
const struct drv_ops *drv_ops_for(enum cfg_replica_type type);

#endif
