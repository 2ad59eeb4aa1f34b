/*
 * file - replicas in a folder: P/ltx/<level 0..9>/<min>-<max>.ltx
 *
 * A file appears by write to NAME.tmp, times set to the LTX timestamp, fsync, rename,
 * fsync of the folder; folders that are created are fsync'ed with their parents. Where
 * nothing may be replaced, link and unlink stand for the rename. NAME.tmp is locked
 * meanwhile, so that two writers of one folder do not mix their bytes.
 * Created-at is the mtime. Small pieces of work are done on the loop (the worker's own
 * disk, nobody else waits); large ones, and all of them when drv_env.isolate is set, on a
 * job thread.
 */
#ifndef DRIVERS_FILE_FILE_H
#define DRIVERS_FILE_FILE_H

#include "drivers/driver_impl.h"

extern const struct drv_ops drv_file_ops;

#endif
