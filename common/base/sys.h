/*
 * sys - system calls on files behind one table, and the helpers on top of them.
 *
 * Everything that must survive a failing or killed call goes through `sys`, so that tests
 * can replace the table and fail the N-th call. Helpers resume after EINTR and short
 * counts.
 */
#ifndef COMMON_BASE_SYS_H
#define COMMON_BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/base/err.h"

struct sys_ops {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *buf, size_t n);
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t off);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t off);
    int (*ftruncate)(int fd, off_t size);
    int (*fsync)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*link)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
};

extern const struct sys_ops *sys;      /* what the process uses */
extern const struct sys_ops sys_posix; /* the real calls */

/* Opens with O_CLOEXEC; -1 never reaches *fd. The message is "open PATH: ...". */
int sys_open(const char *path, int flags, mode_t mode, int *fd, struct err *e);

/* Closes and sets -1; -1 is fine; errors are ignored (data was fsync'ed or is thrown
 * away). */
void sys_close(int *fd);

/* Reads until n bytes or the end; *got tells how many. */
int sys_pread(int fd, void *buf, size_t n, int64_t off, size_t *got, struct err *e);
int sys_read(int fd, void *buf, size_t n, size_t *got, struct err *e);

/* ERR_CORRUPT when the file ends before n bytes. */
int sys_pread_all(int fd, void *buf, size_t n, int64_t off, struct err *e);

int sys_write_all(int fd, const void *buf, size_t n, struct err *e);
int sys_pwrite_all(int fd, const void *buf, size_t n, int64_t off, struct err *e);

/* Opens the folder that holds `path`, for fsync. */
int sys_open_parent(const char *path, int *fd, struct err *e);

/* fsync of the folder that holds `path`. */
int sys_sync_parent(const char *path, struct err *e);

/* Who owns what is created for a database: its own mode and owner, or the defaults. */
struct sys_owner {
    mode_t file_mode; /* 0600 unless taken from a file */
    mode_t dir_mode;  /* 0700 unless taken from a folder */
    uid_t uid;
    gid_t gid;
    bool set_owner; /* try chown; failures are ignored */
};

#define SYS_OWNER_DEFAULT                                                                \
    {                                                                                    \
        .file_mode = 0600, .dir_mode = 0700                                              \
    }

/*
 * Creates a folder and its missing parents with the owner's folder mode; the folder that
 * holds a new one is fsync'ed. An existing folder is fine. After an error no folder is
 * left whose name may not have reached the disk.
 */
int sys_mkdirs(const char *path, const struct sys_owner *owner, struct err *e);

/*
 * Makes `tmp` visible as `path`: rename, then fsync of the folder. The content of tmp
 * must be fsync'ed already. After an error either name may exist, whole.
 */
int sys_publish(const char *tmp, const char *path, struct err *e);

/*
 * The same where nothing may be replaced: ERR_EXISTS when there is a `path` already,
 * which stays as it is, as does tmp. On a file system without hard links it looks before
 * it renames, which another process can get between.
 */
int sys_publish_new(const char *tmp, const char *path, struct err *e);

/*
 * Asks the kernel to start writing a range to the disk, so that a later fsync has less to
 * do. A hint: does nothing where the system has no such call.
 */
void sys_start_writeback(int fd, int64_t off, int64_t n);

/* Unlinks; a missing file is fine. */
int sys_remove(const char *path, struct err *e);

#endif
