/*
 * validate - whether the names of one level make an unbroken row. Plain data.
 *
 * Only names are looked at, never contents. The texts are Litestream's; TXIDs show as 16
 * hex digits.
 */
#ifndef WORKERS_COMPACT_VALIDATE_H
#define WORKERS_COMPACT_VALIDATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

/*
 * Retention removes what nothing needs below the oldest snapshot, but never the last file
 * of a level: so a hole that ends at or below this TXID is no fault. 0: there is no
 * snapshot.
 *
 *   snapshots  the listing of level 9
 */
uint64_t validate_pruned_to(const struct ltx_info *snapshots, size_t n);

/*
 * After a merge: each file begins where the one before it ends. ERR_GAP at the first pair
 * that leaves a gap or overlaps.
 *
 *   files      one level in the order of its listing
 *   pruned_to  gaps up to there are fine
 */
int validate_merged(
    const struct ltx_info *files, size_t n, uint64_t pruned_to, struct err *e);

enum validate_type { VALIDATE_UNSORTED, VALIDATE_GAP, VALIDATE_OVERLAP };

#define VALIDATE_TEXT_MAX 128

struct validate_problem {
    enum validate_type type;
    struct ltx_info prev, cur;
    char text[VALIDATE_TEXT_MAX];
};

const char *validate_type_name(enum validate_type type); /* "gap" */

/*
 * All problems of a level, at most one a pair. A long listing may come in parts, each
 * beginning with the last file of the part before.
 *
 *   report   called for each problem, which is borrowed for the call; may be NULL
 *   returns  how many there are
 */
size_t validate_level(const struct ltx_info *files, size_t n, uint64_t pruned_to,
    void (*report)(void *arg, const struct validate_problem *problem), void *arg);

#endif
