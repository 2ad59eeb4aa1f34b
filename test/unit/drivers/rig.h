/*
 * rig - a driver on a loop, driven one operation at a time or several at once.
 */
#ifndef TEST_UNIT_DRIVERS_RIG_H
#define TEST_UNIT_DRIVERS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "drivers/driver.h"

/* Set by a kind whose files cost much each: called around the writing of many. */
extern void (*rig_bulk)(bool on);

/* Opens a destination; every call of one test leads to the same one, empty at first. */
typedef int rig_open_cb(uv_loop_t *loop, struct drv **out, struct err *e);

struct rig {
    uv_loop_t loop;
    struct drv *drv;
};

void rig_open(struct rig *r, rig_open_cb *open);

/* Closes and checks that nothing is left on the loop. */
void rig_close(struct rig *r);

/* The answer to one operation. */
struct answer {
    bool done;
    int n; /* times that it came */
    int rc;
    struct err err;
    int64_t size;
    struct wall created;
};

drv_done_cb rig_done; /* arg: a struct answer */

/* Runs the loop until the answer is there; returns its code. */
int rig_wait(struct rig *r, struct answer *a);

/* --- an LTX file as far as a driver cares: a header, then noise */

struct object {
    uint8_t *p; /* free() */
    size_t n;
};

struct object object_make(
    uint64_t min_txid, uint64_t max_txid, size_t n, int64_t time_ms);

/* --- one operation, to its end; they return the code of the answer */

int rig_put(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o);

/* An exclusive one. */
int rig_put_new(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o);

/* *got: bytes that came. */
int rig_get(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid, int64_t off,
    void *buf, size_t size, size_t *got);

/* All of an object equals what is stored. */
bool rig_holds(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
    const struct object *o);

struct listing {
    struct ltx_info *infos; /* free() */
    size_t n;
    int calls;
};

int rig_list(
    struct rig *r, int level, uint64_t seek, bool exact_times, struct listing *out);

/* Number of files of a level. */
size_t rig_count(struct rig *r, int level);

int rig_del(struct rig *r, const struct ltx_info *files, size_t n);

#endif
