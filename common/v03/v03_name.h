/*
 * v03_name - where Litestream v0.3 keeps a backup, and what the names there mean.
 *
 *   generations/GENERATION/snapshots/INDEX.snapshot.lz4
 *   generations/GENERATION/wal/INDEX_OFFSET.wal.lz4
 *
 * are keys below the path of the replica. GENERATION has 16 hex digits, INDEX 8, OFFSET 8
 * to 16, all lower case. A generation is an unbroken history of a database; the index
 * counts its WAL files, one up each time SQLite starts the WAL anew. Snapshot i is the
 * database when WAL i began; the segments of WAL i are pieces of it, each beginning at
 * the offset in its name. Both are LZ4 frames (v03_lz4.h). Nothing else is known of an
 * object but its size and when the store got it.
 *
 * Names that do not match, an index beyond 31 bits and an offset beyond 63 are none of
 * ours and are passed over.
 */
#ifndef COMMON_V03_V03_NAME_H
#define COMMON_V03_V03_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/wall.h"

#define V03_GENERATIONS "generations" /* the folder of all of them */
#define V03_KEY_SIZE 80               /* of the longest key, with the NUL */
#define V03_KEY_SHORT 29              /* where a key goes on behind its generation */

enum v03_kind { V03_SNAPSHOT, V03_SEGMENT };

struct v03_object {
    uint64_t generation;
    enum v03_kind kind;
    uint32_t index;
    int64_t off;         /* of a segment in its WAL, uncompressed */
    uint8_t off_digits;  /* as its name has it: it is opened as it was listed */
    int64_t size;        /* bytes as stored, compressed */
    struct wall created; /* as the store says */
};

bool v03_generation_parse(const char *name, uint64_t *generation);

/* Sets index, off and off_digits from a name in a folder of that kind. */
bool v03_object_parse(enum v03_kind kind, const char *name, struct v03_object *o);

/* The folder of a kind, "generations/GENERATION/wal". */
void v03_folder_format(uint64_t generation, enum v03_kind kind, char out[V03_KEY_SIZE]);

/* The whole key of an object. */
void v03_key_format(const struct v03_object *o, char out[V03_KEY_SIZE]);

/* By generation, kind (snapshots first), index, offset; for qsort. */
int v03_object_cmp(const void *a, const void *b);

#endif
