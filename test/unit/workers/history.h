/*
 * history - a replica in memory, and every state that its database was ever in.
 */
#ifndef TEST_UNIT_WORKERS_HISTORY_H
#define TEST_UNIT_WORKERS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test/unit/common/ltx/ltx_files.h"
#include "workers/restore/plan.h"

#define HISTORY_MAX_TXID 160
#define HISTORY_MAX_PAGES 64

struct history_level {
    struct ltx_info *files; /* sorted by (min, max) */
    struct bytes *data;     /* of the file with the same index */
    size_t n, cap;
};

struct history {
    int64_t now_ms;
    uint64_t n;                               /* transactions; the last TXID */
    struct image state[HISTORY_MAX_TXID + 1]; /* after each; 0 is not used */
    int64_t created_ms[HISTORY_MAX_TXID + 1];
    struct history_level level[LTX_N_LEVELS];
    uint64_t rng;
};

void history_init(struct history *h, uint64_t seed);
void history_deinit(struct history *h);

uint32_t history_below(struct history *h, uint32_t n); /* 0..n-1 */

/* The next transaction, now: changes, growth, shrinking, and its level-0 file. */
void history_commit(struct history *h, uint32_t max_pages);

/* The same with another page size: a full image. */
void history_change_page_size(struct history *h, uint32_t page_size);

/*
 * A snapshot of the last TXID, created now, unless there is one: taken again it would be
 * younger, and no base any more for the moments since the first.
 */
void history_snapshot(struct history *h);

/*
 * Merges the files (of one level) into the next level; min_txid goes into the header. 0
 * or the first error of ltx_merge.
 */
int history_merge(struct history *h, const struct ltx_info *files, size_t n, int level,
    uint64_t min_txid, struct err *e);

const struct bytes *history_find(const struct history *h, const struct ltx_info *f);
void history_delete(struct history *h, const struct ltx_info *files, size_t n);
uint32_t history_page_size(const struct history *h, const struct ltx_info *f);
uint64_t history_max(const struct history *h, int level); /* highest TXID; 0: empty */

int history_plan(const struct history *h, const struct restore_target *target,
    struct restore_plan *plan, struct err *e);

/*
 * Restores what was planned, as the restore does: not with what lies before a change of
 * the page size; ERR_NOT_FOUND when a file is gone. *same: it is the state
 * after the plan's last TXID, byte for byte.
 */
int history_restore(
    const struct history *h, const struct restore_plan *plan, bool *same, struct err *e);

/* The last TXID created before the moment; 0: none. */
uint64_t history_txid_at(const struct history *h, int64_t before_ms);

/* All files and transactions with their age, to stderr. */
void history_print(const struct history *h);

#endif
