/*
 * output - the restored database: written beside its place, checked, put there at the
 * end.
 *
 *   P.tmp written -> fsync -> integrity check -> old sidecars removed -> rename -> fsync
 * folder
 *
 * What stands at P stays as it is until the rename; whatever fails before leaves it alone
 * and removes P.tmp and the files SQLite made beside it.
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

/* Creates missing parent folders and P.tmp. */
int output_open(const char *path, struct output **out, struct err *e);

int output_fd(const struct output *o);
const char *output_tmp_path(const struct output *o);

/* fsync, check, rename. The output is closed afterwards, whatever comes back. */
int output_publish(struct output *o, enum restore_integrity mode, struct err *e);

/* Throws everything away; NULL and after output_publish is fine. */
void output_free(struct output *o);

#endif
