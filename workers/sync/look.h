/*
 * look - gathers what `decide` wants to know about the WAL, with as few reads as it can.
 */
#ifndef WORKERS_SYNC_LOOK_H
#define WORKERS_SYNC_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/base/err.h"
#include "common/base/mono.h"
#include "common/wal/wal_index.h"
#include "common/wal/wal_scan.h"
#include "workers/sync/decide.h"

/* Up to where the WAL is captured. */
struct mark {
    bool set;
    bool proven; /* place.sum is known and the local files were compared with the WAL */
    bool big_endian;
    struct wal_salt salt;
    struct wal_place place;
};

/* The generation of a header, from its first frame. */
struct mark mark_at_start(const struct wal_header *h);

struct look {
    enum decide_action action;
    const char *reason;  /* for an image */
    struct wal_header h; /* set when the WAL has a good header */
    uint32_t n_frames;   /* how many frames of h's generation are committed */
    int64_t wal_size;
    bool page_size_differs; /* the WAL belongs to a database of another page size */
};

struct look_in {
    int wal_fd;                    /* -1: there is no WAL */
    const struct wal_index *index; /* read before; NULL: it was being written */
    const struct mark *mark;
    bool sealed;
    bool db_untouched; /* since it was sealed */
    bool torn_too_long;
    uint32_t page_size;
    struct wal_scan *scan; /* scratch */
};

int look_at_wal(const struct look_in *in, struct look *out, struct err *e);

/*
 * What stands behind the mark without counting: frames of a transaction under way, of one
 * whose commit is being made durable, or what a rolled-back one left. The commit itself
 * is a change of the wal-index, which makes no event: so it is looked for in growing
 * intervals until nothing in the file has moved for LOOK_REST_MS.
 */
struct look_rest {
    bool set, given_up;
    int64_t mark_off;
    int64_t size; /* of the file */
    struct timespec mtime;
    struct mono began, moved;
};

#define LOOK_REST_MS 10000

/*
 * After a look that found everything captured: how long to wait before the next one even
 * without an event, 0: no need to.
 */
int64_t look_again_ms(
    int wal_fd, const struct mark *mark, struct look_rest *rest, struct mono now);

/* A few small reads: false when there is certainly nothing new behind the mark. */
bool look_has_news(int wal_fd, const struct wal_index *index, const struct mark *mark,
    bool sealed, const struct look_rest *rest);

#endif
