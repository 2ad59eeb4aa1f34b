/*
 * replica_rig - destinations of one database on a loop, fed with made-up local files.
 *
 * They lie in folders; their disk can be made to fail, to hang and to stop in the middle
 * of a file. What is put in place is recorded in its order.
 */
#ifndef TEST_UNIT_WORKERS_REPLICA_RIG_H
#define TEST_UNIT_WORKERS_REPLICA_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "workers/replica/replica.h"

#define RIG_MAX_DESTS 2

struct rig_dest {
    struct cfg_replica cfg;
    struct replica *r;
    atomic_bool broken;       /* its disk fails */
    atomic_bool half;         /* its disk takes half of a write, then fails */
    atomic_bool hanging;      /* opening waits for rig_unhang */
    atomic_bool hanging_sync; /* as does fsync of a file */
    atomic_bool is_hung;      /* one does */
    unsigned n_changes;
};

struct replica_rig {
    uv_loop_t loop;
    uv_timer_t limit;
    bool limit_reached;
    const char *l0_dir, *db_path;
    struct rig_dest dest[RIG_MAX_DESTS];
    unsigned n_rounds;
    unsigned n_fds;         /* open before there is a destination */
    void (*on_round)(void); /* may be NULL */
    uv_sem_t unhang;
    uv_async_t hung; /* a call that hangs on a thread wakes the loop */
    char placed[64]
               [48]; /* "replica0 0000000000000001-..."; by rename or link, in order */
    atomic_uint n_placed;
    bool closed[RIG_MAX_DESTS];
};

extern struct replica_rig rig;

/* The loop and the folder of local files; once in a test, then rig_end. */
void rig_start(void);

/* Opens dest[i], its folder is "replica<i>". */
void rig_open_dest(unsigned i, int64_t sync_ms, int64_t feed_ms, bool isolate);

/* From now on the disk goes through the switches of the destinations, and the recorder.
 */
void rig_watch_disk(void);

/* One at sync_ms with a watched disk. */
void rig_one(int64_t sync_ms);

/* Closes what is open and checks that nothing is left of it. */
void rig_end(void);
void rig_close_dest(unsigned i); /* begins it; rig.closed[i] says when it is through */

/* --- time */

/* Runs the loop until cond, or for so long; the condition at the end. */
bool rig_until(bool (*cond)(void), uint64_t limit_ms);

/* ... until dest[0] has this one. */
bool rig_arrives(uint64_t txid, uint64_t limit_ms);

/* Pushes dest[i] and runs until that made an attempt. */
void rig_try(unsigned i);

void rig_unhang(void); /* lets one waiting call go */

/* --- files: good ones, with noise of the TXID and the variant in their pages */

#define RIG_FILE_SIZE 4370

/* Variant 0 is the right one. The folder of path is made. */
void rig_write_file(const char *path, uint64_t txid, unsigned variant);
void rig_make_local(uint64_t first, uint64_t last);

/* Tells dest[0] after making it. */
void rig_add(uint64_t txid);

/* A file of dest[i], of any content. */
const char *rig_dest_path(unsigned i, int level, uint64_t min, uint64_t max);

enum rig_found { RIG_ABSENT, RIG_LOCAL, RIG_OTHER };

/* What is there under the name of a level 0 file: nothing, the local file, another one.
 */
enum rig_found rig_find(unsigned i, uint64_t txid);

/* first..last are there as they are locally, and nothing else is in the folder. */
bool rig_holds_just(unsigned i, uint64_t first, uint64_t last);

#endif
