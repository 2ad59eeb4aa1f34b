/*
 * look - gathers what `decide` wants to know about the WAL, with as few reads as it can.
 */
#ifndef WORKERS_SYNC_LOOK_H
#define WORKERS_SYNC_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
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
    int64_t wal_size;
    bool page_size_differs; /* the WAL belongs to a database of another page size */
};

struct look_in {
    int wal_fd; /* -1: there is no WAL */
    const struct mark *mark;
    bool sealed;
    bool db_untouched; /* since it was sealed */
    bool torn_too_long;
    uint32_t page_size;
    struct wal_scan
        *scan;       /* scratch: its state is lost when look->action needed a scan */
    bool *scan_used; /* set to true then */
};

int look_at_wal(const struct look_in *in, struct look *out, struct err *e);

/*
 * What stood behind the mark after a scan that found no commit: frames of an unfinished
 * transaction, or what a rolled-back one left. The same bytes are no news. A frame is
 * written as header, then page: the one at the end must be compared as a whole, for its
 * header may be there already.
 */
struct look_seen {
    bool set;
    int64_t mark_off, end_off; /* end of the valid frames */
    size_t frame_size;
    size_t mark_size, end_size; /* bytes that were there */
    uint64_t mark_crc, end_crc;
};

void look_remember(int wal_fd, int64_t mark_off, int64_t end_off, uint32_t page_size,
    struct look_seen *seen);

/* A few small reads: false when there is certainly nothing new behind the mark. */
bool look_has_news(
    int wal_fd, const struct mark *mark, bool sealed, const struct look_seen *seen);

#endif
