/*
 * decide - does the WAL continue what was captured? Plain values in, an action out.
 *
 * The captured part of a database ends at byte O of one generation of the WAL (salts g).
 * To go on from there is only allowed with proof that nothing was written behind O and
 * lost: a step over the boundary of a generation needs either that the worker itself
 * sealed it (it held the write lock, captured everything up to O, and a checkpoint copied
 * all of it), or that the old generation can be seen to end at O. Without proof the
 * answer is a full image.
 *
 *   row  condition                                          action
 *   1    no usable L0 file                                  IMAGE
 *   2    WAL absent or shorter than its header, sealed      NOTHING
 *   3    same, not sealed                                   BUMP, then IMAGE
 *   4    header's checksum is wrong                         AGAIN; for too long: as 3
 *   5    salts equal, file and commits reach O              CONTINUE
 *   6    salts equal, file shorter than O, fewer frames     IMAGE
 *        committed, or others than those captured
 *   7    one restart since, sealed; or several, sealed,     RESTARTED
 *        and the database was not touched since
 *   8    one restart, old generation seen to end at O       RESTARTED
 *   9    one restart, anything else                         IMAGE
 *   10   any other salts                                    IMAGE
 *
 * "One restart" is salt-1 = g1 + 1 modulo 2^32: SQLite adds one when it restarts a WAL.
 * After a TRUNCATE checkpoint that need not be so: each of several on an idle database
 * adds one, and a connection that has never restarted a WAL itself begins the empty file
 * with random salts. A commit in between would have been copied into the database, so a
 * file that did not change since the seal proves that there was none.
 */
#ifndef WORKERS_SYNC_DECIDE_H
#define WORKERS_SYNC_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wal/wal_format.h"

enum decide_wal {
    DECIDE_WAL_ABSENT, /* missing, or fewer bytes than a header */
    DECIDE_WAL_TORN,   /* header with a wrong checksum: a writer is at it */
    DECIDE_WAL_OK,
};

/*
 * What stands at O after a restart; matters in rows 8 and 9 only. All but the last two
 * say that the frame before O is still the captured one: a file that was cut and has
 * grown again holds nothing of g, whatever its size.
 */
enum decide_slot {
    DECIDE_SLOT_END,   /* the file ends at O */
    DECIDE_SLOT_TAIL,  /* a commit of generation g follows, chain intact; may count */
    DECIDE_SLOT_OLD,   /* frames of g without a commit or with a broken chain */
    DECIDE_SLOT_OTHER, /* older than g */
    DECIDE_SLOT_NEW,   /* frames of the current generation, there or before O */
    DECIDE_SLOT_SHORT, /* the file ends before O */
};

struct decide_in {
    bool have_mark; /* an intact L0 file names g and O */
    enum decide_wal wal;
    bool torn_too_long;
    bool sealed;
    bool db_untouched;         /* nothing was copied into the database since the seal */
    struct wal_salt mark_salt; /* g */
    int64_t mark_off;          /* O */
    struct wal_salt wal_salt;  /* h */
    int64_t wal_size;          /* bytes of the file */
    int64_t committed_end;     /* of generation h, by the wal-index */
    bool chain_differs;        /* what is committed up to O is not what was captured */
    enum decide_slot slot;
    int64_t new_end; /* end of the valid frames of h, uncommitted ones included; read
                        after the slot */
    int64_t frame_size;
};

enum decide_action {
    DECIDE_NOTHING,
    DECIDE_AGAIN,
    DECIDE_CONTINUE,
    DECIDE_RESTARTED,
    DECIDE_IMAGE,
    DECIDE_BUMP_IMAGE,
};

/* *reason: why a full image is needed, constant text; NULL for other actions. */
enum decide_action decide(const struct decide_in *in, const char **reason);

/* True when `decide` will look at slot and new_end, which cost a scan to find out. */
bool decide_needs_slot(const struct decide_in *in);

#endif
