/*
 * v03_replay - a database image out of a Litestream v0.3 snapshot and pieces of its WALs.
 *
 *   snapshot -> image;  segments -> one WAL file -> its commits into the image, WAL by
 * WAL
 *
 * Into the image goes what SQLite's own checkpoint would put there: of each page the
 * newest version up to the last commit of the WAL, then the size after that commit.
 * Unlike SQLite, which takes any broken frame for the end of a WAL, a frame that belongs
 * to the WAL but is damaged is an error: commits behind it would be lost without a word.
 * What is no frame of this WAL (left from an earlier one), a transaction without its
 * commit and half a frame at the very end are left out and counted.
 *
 * The image must stay invisible until v03_replay_finish is through.
 */
#ifndef WORKERS_RESTORE_V03_REPLAY_H
#define WORKERS_RESTORE_V03_REPLAY_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/v03/v03_lz4.h"
#include "common/v03/v03_name.h"

struct v03_replay; /* opaque */

/*
 *   fd         an empty file, written from offset 0; borrowed
 *   wal_path   where the file of one WAL at a time is put; unlinked at once
 *   spool_dir  see spool_new(); copied
 */
int v03_replay_new(int fd, const char *wal_path, const char *spool_dir,
    struct v03_replay **out, struct err *e);
void v03_replay_free(struct v03_replay *r); /* NULL is fine */

/* First, the whole of `z`. */
int v03_replay_snapshot(
    struct v03_replay *r, struct v03_lz4 *z, const struct cancel *cancel, struct err *e);

/*
 * Then each segment, ascending; one at offset 0 ends the WAL before it. ERR_CORRUPT names
 * the piece that is missing.
 */
int v03_replay_segment(struct v03_replay *r, const struct v03_object *o,
    struct v03_lz4 *z, const struct cancel *cancel, struct err *e);

/* Ends the last WAL and looks at the whole. The caller fsyncs. */
int v03_replay_finish(struct v03_replay *r, const struct cancel *cancel, struct err *e);

int64_t v03_replay_size(const struct v03_replay *r);     /* of the image, bytes */
int64_t v03_replay_left_out(const struct v03_replay *r); /* bytes of WALs */

#endif
