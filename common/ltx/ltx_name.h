/*
 * ltx_name - TXIDs and file names as text.
 *
 * A TXID is 16 lower-case hex digits. A file is MIN-MAX.ltx, matched exactly: lower case
 * only, nothing before or after; that min <= max is not checked in names.
 */
#ifndef COMMON_LTX_LTX_NAME_H
#define COMMON_LTX_LTX_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/ltx/ltx_format.h"

#define LTX_TXID_SIZE 17 /* with the NUL */
#define LTX_NAME_SIZE 38 /* "0000000000000001-0000000000000001.ltx" and the NUL */

void ltx_txid_format(uint64_t txid, char out[LTX_TXID_SIZE]);

/* Exactly 16 hex digits of either case; ERR_USAGE in Litestream's words otherwise. */
int ltx_txid_parse(const char *text, uint64_t *txid, struct err *e);

void ltx_name_format(uint64_t min_txid, uint64_t max_txid, char out[LTX_NAME_SIZE]);
bool ltx_name_parse(const char *name, uint64_t *min_txid, uint64_t *max_txid);

/* ROOT/ltx/LEVEL and a file in it, as a local folder and a file replica have them. Owned.
 */
char *ltx_level_path(const char *root, int level);
char *ltx_file_path(const char *root, int level, uint64_t min_txid, uint64_t max_txid);

/* By level, min, max; for qsort over struct ltx_info. */
int ltx_info_cmp(const void *a, const void *b);

/*
 * True when a file next_min..next_max may follow one that ends at prev_max: it leaves no
 * gap and brings something new (overlap is allowed, a range inside the previous one is
 * not).
 */
bool ltx_contiguous(uint64_t prev_max, uint64_t next_min, uint64_t next_max);

#endif
