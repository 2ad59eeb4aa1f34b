/*
 * l0_writer - one L0 file: pages from the WAL and the database, staged, durable,
 * published.
 *
 * An increment holds the newest version of every page that committed transactions
 * changed. A full image holds every page 1..commit but the lock page: those of the map
 * from the WAL, the rest from the database file. Reading the database while others
 * checkpoint is safe because the read lock's mark lies within the map: others copy only
 * frames up to it, and those pages come from the WAL here.
 *
 * Order: NAME.tmp, fsync, rename, fsync of the folder. Nothing has the name before all of
 * it is durable; a failure removes the temporary file. Runs on the loop or on a job
 * thread.
 */
#ifndef WORKERS_SYNC_L0_WRITER_H
#define WORKERS_SYNC_L0_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_pagemap.h"

struct l0_plan {
    const char *dir; /* of level 0; made if missing */
    struct sys_owner owner;
    struct ltx_header header; /* min = max; page size and commit as they will be */
    int wal_fd;               /* -1: no frame is used */
    struct wal_salt wal_salt; /* generation the frames belong to */
    struct wal_pagemap *map;  /* borrowed; NULL: no frame is used */
    uint32_t last_frame_no;   /* frames behind it are not committed */
    int db_fd;                /* full image: the database; -1: increment */
    uint32_t prev_commit;     /* increment: database pages before */
    unsigned n_threads;       /* extra cores for compression; 0: none */
};

struct l0_result {
    int64_t size; /* bytes of the file */
    uint32_t n_pages;
};

/*
 * returns 0; ERR_MOVED: the WAL was restarted or replaced under the read, look again;
 * ERR_GAP: an increment lacks pages of a growth, which proves that frames were missed;
 * ERR_CANCELLED; ERR_NO_SPACE and others as they come
 */
int l0_write(const struct l0_plan *plan, const struct cancel *cancel,
    struct l0_result *out, struct err *e);

#endif
