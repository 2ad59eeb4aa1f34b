/*
 * apply - decoded pages of the planned files into one database image.
 *
 * Files are applied from the newest to the oldest and each page is written once: a bit
 * per page remembers. Once every page is there, older files are not read any more. Each
 * file that is read is verified to its end; the image must stay invisible until
 * apply_finish is through.
 */
#ifndef WORKERS_RESTORE_APPLY_H
#define WORKERS_RESTORE_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_decoder.h"

struct apply; /* opaque */

/* fd: an empty file, written from offset 0; borrowed. */
struct apply *apply_new(int fd);
void apply_free(struct apply *a); /* NULL is fine */

/*
 * One file, the newest first. info: what the listing said; the header must agree.
 *
 *   returns 0; ERR_CORRUPT when the file is damaged or does not fit the others
 */
int apply_file(struct apply *a, struct ltx_source src, const struct ltx_info *info,
    const struct cancel *cancel, struct err *e);

/* True when nothing older is needed. */
bool apply_complete(const struct apply *a);

/* Checks that every page came, sets the size. The caller fsyncs. */
int apply_finish(struct apply *a, struct err *e);

uint32_t apply_page_size(const struct apply *a);
uint32_t apply_commit(const struct apply *a);      /* database pages */
int64_t apply_timestamp_ms(const struct apply *a); /* of the newest file */

#endif
