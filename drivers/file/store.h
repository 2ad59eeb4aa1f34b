/*
 * store - the blocking half of the file driver: what is done to the folder.
 *
 * Any thread; one struct file_store may be used by several at a time.
 */
#ifndef DRIVERS_FILE_STORE_H
#define DRIVERS_FILE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"
#include "drivers/source.h"

struct file_store {
    char *root; /* P */
    struct sys_owner owner;
};

struct file_name {
    int level;
    uint64_t min_txid, max_txid;
};

/* *infos is the caller's (mem_free), sorted by (min, max); no folder: 0 files. */
int file_store_list(const struct file_store *s, int level, uint64_t seek,
    struct ltx_info **infos, size_t *n, struct err *e);

/* Part of any file: bytes off..off+size, fewer at its end; beyond it: ERR_RANGE. */
int file_read_part(
    const char *path, int64_t off, void *buf, size_t size, size_t *got, struct err *e);

int file_store_get(const struct file_store *s, const struct file_name *name, int64_t off,
    void *buf, size_t size, size_t *got, struct err *e);

struct file_input {
    struct drv_source *src;
    int64_t size;   /* announced bytes; -1: not known before */
    bool exclusive; /* a file of that name stays: ERR_EXISTS, and it is durable */
};

/*
 * Writes one file durably; *size is what the source gave, *created the header's
 * timestamp. A partial file never gets the name, nor one of another size than announced.
 * ERR_BUSY while another writer writes that file.
 */
int file_store_put(const struct file_store *s, const struct file_name *name,
    const struct file_input *in, const struct cancel *cancel, int64_t *size,
    struct wall *created, struct err *e);

/*
 * Removes what writers that were killed left of a level: temporary files that nobody has
 * locked. Best effort; one writer per path is assumed.
 */
void file_store_tidy(const struct file_store *s, int level);

int file_store_del(const struct file_store *s, const struct ltx_info *files, size_t n,
    const struct cancel *cancel, struct err *e);

/* LTX and temporary files of all levels, then the folders that became empty, up to P. */
int file_store_del_all(const struct file_store *s, struct err *e);

#endif
