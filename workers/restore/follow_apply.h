/*
 * follow_apply - one LTX file, or a whole new image, into a followed database.
 *
 * A file is read to its end and verified before any page of it is applied; until then its
 * bytes are kept in memory, or in an unlinked temporary file when there are many.
 */
#ifndef WORKERS_RESTORE_FOLLOW_APPLY_H
#define WORKERS_RESTORE_FOLLOW_APPLY_H

#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_decoder.h"
#include "workers/restore/follow_db.h"

struct follow_file; /* a verified file; opaque */

/*
 * Reads all of src.
 *
 *   info  what the listing said; the header must agree
 *   dir   for the temporary file
 *   returns 0; ERR_CORRUPT: it is damaged
 */
int follow_file_take(struct ltx_source src, const struct ltx_info *info, const char *dir,
    const struct cancel *cancel, struct follow_file **out, struct err *e);
void follow_file_free(struct follow_file *f); /* NULL is fine */

/*
 * The database must be in a state min-1..max of the file. After an error it is in that
 * state, or must be opened anew: then *db is closed and NULL.
 *
 *   returns 0; ERR_UNSUPPORTED: other page size; ERR_CORRUPT: a page of the new size is
 *   missing; what follow_db.h says
 */
int follow_file_apply(struct follow_file *f, struct follow_db **db,
    const struct cancel *cancel, struct err *e);

/* Makes the database equal to an image; writes the pages that differ. As above. */
int follow_image_apply(int image, uint32_t page_size, uint32_t commit, uint64_t txid,
    struct follow_db **db, const struct cancel *cancel, struct err *e);

#endif
