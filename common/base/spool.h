/*
 * spool - bytes that are written once and then read back from the start, in bounded
 * memory.
 *
 * The first SPOOL_MEMORY bytes stay in memory; beyond that everything goes to an unlinked
 * temporary file in the folder given.
 */
#ifndef COMMON_BASE_SPOOL_H
#define COMMON_BASE_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define SPOOL_MEMORY ((size_t)256 << 10)

struct spool; /* opaque */

/* dir: where the temporary file goes, copied; NULL: memory only, without a ceiling. */
struct spool *spool_new(const char *dir);
void spool_free(struct spool *s); /* NULL is fine */

int spool_append(struct spool *s, const void *bytes, size_t n, struct err *e);
int64_t spool_size(const struct spool *s);

/* Up to n bytes from off; *got is 0 at the end. */
int spool_read(
    struct spool *s, int64_t off, void *buf, size_t n, size_t *got, struct err *e);

/* Empty again; keeps memory and file for the next use. */
void spool_reset(struct spool *s);

#endif
