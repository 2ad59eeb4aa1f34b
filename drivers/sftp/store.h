/*
 * store - what is done to the folder on an SFTP server, over one session.
 *
 * ROOT/ltx/LEVEL/NAME, as a file replica has it. The timestamp of a file is its mtime in
 * whole seconds. A file is written as NAME.PID.NANOSECONDS.tmp beside its place, synced
 * (fsync@openssh.com, where the server has it) and renamed: by posix-rename@openssh.com
 * where a file may be replaced, else by the rename of version 3, which OpenSSH makes a
 * hard link, so that it leaves an existing file as it is. A server whose rename replaces
 * gets a look before and a comparison of sizes after it.
 *
 * Calls wait: for the threads of jobs. One struct sftp_store is used by several sessions
 * at a time.
 */
#ifndef DRIVERS_SFTP_STORE_H
#define DRIVERS_SFTP_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/cancel.h"
#include "common/base/err.h"
#include "common/ltx/ltx_format.h"
#include "drivers/driver.h"
#include "drivers/sftp/session.h"

struct sftp_store {
    char *root;        /* P; without a leading slash relative to the login folder */
    unsigned n_writes; /* write requests under way for one file */
    atomic_uint made;  /* a bit per level: its folder is there */
    atomic_uint tidy;  /* a bit per level: left-overs were removed */
};

/* *infos is the caller's (mem_free), sorted by (min, max); no folder: 0 files. */
int sftp_store_list(const struct sftp_store *st, struct sftp_session *s,
    const struct drv_list *req, struct ltx_info **infos, size_t *n, struct err *e);

/* Bytes of any file, as drv_get has it. */
int sftp_store_get(struct sftp_session *s, const char *path, int64_t off, void *buf,
    size_t size, size_t *got, struct err *e);

/*
 * *taken: something was read from the source, which matters for another try. The rest as
 * drv_put has it.
 */
int sftp_store_put(struct sftp_store *st, struct sftp_session *s,
    const struct drv_put *req, const struct cancel *cancel, struct drv_result *res,
    bool *taken, struct err *e);

int sftp_store_del(const struct sftp_store *st, struct sftp_session *s,
    const struct ltx_info *files, size_t n, struct err *e);

/* LTX and temporary files of all levels, then the folders that became empty, up to P. */
int sftp_store_del_all(struct sftp_store *st, struct sftp_session *s, struct err *e);

struct sftp_keys {
    struct drv_key *items; /* mem_free */
    size_t n, cap;
    struct arena names;
};

/* What is in a folder; none when it is absent. *keys also after an error. */
int sftp_store_keys(
    struct sftp_session *s, const char *folder, struct sftp_keys *keys, struct err *e);

#endif
