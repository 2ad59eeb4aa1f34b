/*
 * output - the restored database: written beside its place, checked, put there at the
 * end.
 *
 *   P.tmp locked, written, fsync'ed -> integrity check -> in place -> folder fsync'ed
 *
 * What stands at P stays as it is until then; whatever fails before leaves it alone and
 * removes P.tmp and the files SQLite made beside it. P.tmp is locked while it is written:
 * a second restore to the same place is refused instead of writing into the file that the
 * first one has put in place.
 *
 * With `force` an old database is replaced. Its -wal and -journal would be replayed into
 * the new one, and are part of the old one until it is gone: they are set aside
 * (P-wal.old), put back when the rename fails, and removed after it. Without `force`
 * nothing is replaced but an empty file, not even what came while the restore ran.
 */
#ifndef WORKERS_RESTORE_OUTPUT_H
#define WORKERS_RESTORE_OUTPUT_H

#include <stdbool.h>

#include "common/base/err.h"

enum restore_integrity { INTEGRITY_NONE, INTEGRITY_QUICK, INTEGRITY_FULL };

struct output; /* opaque */

/*
 * May a database be put at this path? Without `force` an existing file must be empty and
 * have no -wal, -shm or -journal beside it. ERR_EXISTS, or ERR_USAGE for a folder.
 */
int output_check(const char *path, bool force, struct err *e);

/*
 * Creates missing parent folders and P.tmp, and removes what a killed restore left beside
 * it. ERR_CONFLICT: another process restores to this place.
 */
int output_open(const char *path, bool force, struct output **out, struct err *e);

int output_fd(const struct output *o);
const char *output_tmp_path(const struct output *o);

/*
 * fsync, check, put in place. ERR_EXISTS: a database came meanwhile. Only output_free may
 * follow, whatever comes back.
 */
int output_publish(struct output *o, enum restore_integrity mode, struct err *e);

/* Throws everything away; NULL and after output_publish is fine. */
void output_free(struct output *o);

#endif
