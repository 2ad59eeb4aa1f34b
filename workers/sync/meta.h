/*
 * meta - a database's local folder, .<name>-litestream:
 *
 *   ltx/<level>/<min>-<max>.ltx   level 0 is the staging area and the only memory of the
 *                                 worker between two lives: the newest file says where it
 *                                 stopped
 *   .database                     which file the local files describe (db_id.h)
 *   .lock                         held while a worker replicates the database
 *   *.tmp                         left over from a crash, removed at start
 *   *.ltx.bad                     damaged files, kept for a look as long as intact ones
 *                                 of their TXIDs would be (meta_remove_aside)
 */
#ifndef WORKERS_SYNC_META_H
#define WORKERS_SYNC_META_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"

/* Mode and owner of what is created for a database: its own, and its folder's. */
int meta_owner_of(const char *db_path, struct sys_owner *owner, struct err *e);

/* Makes the folder with its level 0. */
int meta_make(const char *meta, const struct sys_owner *owner, struct err *e);

/* Removes temporary files below it, at any depth; only while the lock is held. */
void meta_clean(const char *meta);

/*
 * Locks the folder for this process until *fd is closed. ERR_CONFLICT names the process
 * that has it.
 */
int meta_lock(const char *meta, int *fd, struct err *e);

/* The file with the highest max TXID in a level, by name; ERR_NOT_FOUND when none. */
int meta_newest(const char *meta, int level, struct ltx_info *info, struct err *e);

/* All files of a level by name, sorted; *infos is the caller's (mem_free). */
int meta_list(
    const char *meta, int level, struct ltx_info **infos, size_t *n, struct err *e);

/* Bytes of all files of a level that end at txid or behind it. */
int meta_bytes_from(
    const char *meta, int level, uint64_t txid, int64_t *bytes, struct err *e);

/* Puts a damaged file out of the way (NAME.bad). */
int meta_set_aside(const char *path, struct err *e);

/*
 * Removes the files of a level whose TXIDs are all <= txid, but never the newest one. Not
 * made durable: one that comes back after a crash is removed another time.
 */
int meta_remove_upto(const char *meta, int level, uint64_t txid, struct err *e);

/* Removes what was put aside of TXIDs <= txid; not made durable. */
int meta_remove_aside(const char *meta, int level, uint64_t txid, struct err *e);

/* Removes the whole ltx folder, then makes that durable. */
int meta_remove_all(const char *meta, struct err *e);

/* Removes every LTX file of a level, then makes that durable. */
int meta_clear_level(const char *meta, int level, struct err *e);

#endif
