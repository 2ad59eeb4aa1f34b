/*
 * retention_plan - which files of a replica nobody needs any more. Plain data.
 *
 * The window is every moment from now - retention on. What a pass leaves behind restores
 * the newest state, every moment of the window and every TXID from the window's base on,
 * as finely as before the pass. The base is the newest snapshot that is older than the
 * window: the start of every restore to a moment inside it. Nothing else before it is
 * kept, so it is not deleted together with the snapshots before it, as a rule that looks
 * at the age of each snapshot alone would do.
 *
 * A restore that was planned right before a pass, for any of these targets, finds all its
 * files after it: it starts at the base or behind. One for an earlier target, which has
 * begun to read the newest snapshot that the pass deletes, still finds all that follows
 * (see the floor). A second pass gives no such promise.
 *
 * A snapshot must not be written again under its name later: it would be younger, and no
 * base any more for the moments in between.
 *
 * A created-at that is too late (an upload time) or clocks that jump only keep more.
 *
 * All listings are sorted by (min, max). Every function writes the files to delete to
 * `del`, which holds n files or is the array of the listing itself, and returns how many
 * they are.
 */
#ifndef WORKERS_COMPACT_RETENTION_PLAN_H
#define WORKERS_COMPACT_RETENTION_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/wall.h"
#include "common/ltx/ltx_format.h"

/*
 * Snapshots (level 9). The newest one always stays.
 *
 *   floor  what levels 1..8 hold below this TXID is not needed: the max TXID of the
 *          newest snapshot that this pass deletes; when it deletes none (a later pass:
 *          one generation of grace is over) that of the base, if it is the oldest one
 *          there; else 0, for then the window reaches back before the first snapshot
 */
size_t retention_snapshots(const struct ltx_info *files, size_t n, struct wall now,
    int64_t retention_ns, struct ltx_info *del, uint64_t *floor);

/*
 * The floor of a level that has a retention of its own: max TXID of the newest snapshot
 * that is older than that; 0: none, or retention_ns is 0. A level is cut at the higher of
 * the two floors. From that snapshot on, every moment younger than the level's retention
 * stays as finely restorable as the level makes it; older ones of the window only as
 * finely as other levels still have them.
 *
 *   files  all snapshots, as retention_snapshots gets them
 */
uint64_t retention_level_floor(
    const struct ltx_info *files, size_t n, struct wall now, int64_t retention_ns);

/*
 * One of the levels 1..8: what ends before the floor. The last file stays, and so does
 * the one that reaches furthest: merges go on from it.
 */
size_t retention_level(
    const struct ltx_info *files, size_t n, uint64_t floor, struct ltx_info *del);

/*
 * Level 0: the files at the start of the listing that are in level 1 and at least
 * retention_ns old. No hole is made (followers read level 0 in order) and the newest file
 * stays (it holds the position in the WAL).
 *
 * A level-1 file that reaches into the last retention_ns cannot be used for a moment in
 * its middle. Its level-0 files are of use together only, so they also go together.
 *
 *   l1            files of level 1, at least one; those that are known here keep their
 *                 level-0 files together. Without a file that was written a moment ago,
 *                 restores planned before it was there find the level-0 files they read
 *   retention_ns  <= 0: nothing goes, ever
 */
size_t retention_l0(const struct ltx_info *files, size_t n, const struct ltx_info *l1,
    size_t n_l1, struct wall now, int64_t retention_ns, struct ltx_info *del);

#endif
