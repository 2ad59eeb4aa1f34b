/*
 * ltx_merge - several files of ascending TXIDs seen as one (compaction, restore).
 *
 * For each page the last input that has it wins; pages above the last input's commit are
 * dropped. Output header: page size, min TXID from the first input; commit, max TXID and
 * timestamp from the last; flags LTX_FLAG_NO_CHECKSUM; everything else 0.
 *
 * Inputs of mixed page size, or not contiguous (ltx_contiguous), are refused at open.
 * That an input is damaged is only known at the end: the result must stay invisible until
 * ltx_merge_close returned 0. Memory: one page and one read buffer per input; the caller
 * bounds the number of inputs.
 */
#ifndef COMMON_LTX_LTX_MERGE_H
#define COMMON_LTX_LTX_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_decoder.h"
#include "common/ltx/ltx_encoder.h"

struct ltx_merge; /* opaque */

/* The decoders are borrowed until ltx_merge_free and are not used by anyone else. */
int ltx_merge_open(
    struct ltx_decoder *const *inputs, size_t n, struct ltx_merge **out, struct err *e);

const struct ltx_header *ltx_merge_header(const struct ltx_merge *m);

/*
 * The next page of the result; *page is borrowed until the next call. info->payload is
 * the winner's LZ4 block, or NULL when it must be compressed anew. ERR_END after the
 * last; ERR_CORRUPT also when the result is a snapshot and a page is in no input. After
 * any other error than ERR_END the merge is over.
 */
int ltx_merge_next(
    struct ltx_merge *m, struct ltx_page *info, const void **page, struct err *e);

/* Closes and verifies every input; after ERR_END only. */
int ltx_merge_close(struct ltx_merge *m, struct err *e);

void ltx_merge_free(struct ltx_merge *m);

/*
 * All of it into an encoder that was opened with ltx_merge_header: pages, close of the
 * inputs, close of the encoder. *cancel (may be NULL) is looked at before each page of an
 * input and ends the run with ERR_CANCELLED. After an error the encoder is abandoned.
 */
int ltx_merge_run(struct ltx_merge *m, struct ltx_encoder *enc,
    const struct cancel *cancel, struct err *e);

#endif
