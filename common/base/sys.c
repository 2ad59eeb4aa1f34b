#include "common/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"

static int
posix_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

const struct sys_ops sys_posix = {
    .open = posix_open,
    .close = close,
    .read = read,
    .pread = pread,
    .write = write,
    .pwrite = pwrite,
    .ftruncate = ftruncate,
    .fsync = fsync,
    .rename = rename,
    .link = link,
    .unlink = unlink,
    .mkdir = mkdir,
};

const struct sys_ops *sys = &sys_posix;

int
sys_open(const char *path, int flags, mode_t mode, int *fd, struct err *e)
{
    int n;

    do
        n = sys->open(path, flags | O_CLOEXEC, mode);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(e, errno, "open %s", path);
    *fd = n;
    return 0;
}

void
sys_close(int *fd)
{
    if (*fd >= 0)
        sys->close(*fd);
    *fd = -1;
}

int
sys_pread(int fd, void *buf, size_t n, int64_t off, size_t *got, struct err *e)
{
    size_t done = 0;

    *got = 0;
    while (done < n) {
        ssize_t r = sys->pread(fd, (char *)buf + done, n - done, off + (int64_t)done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(
                e, errno, "read at offset %lld", (long long)off + (long long)done);
        if (r == 0)
            break;
        done += (size_t)r;
    }
    *got = done;
    return 0;
}

int
sys_read(int fd, void *buf, size_t n, size_t *got, struct err *e)
{
    size_t done = 0;

    *got = 0;
    while (done < n) {
        ssize_t r = sys->read(fd, (char *)buf + done, n - done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(e, errno, "read");
        if (r == 0)
            break;
        done += (size_t)r;
    }
    *got = done;
    return 0;
}

int
sys_pread_all(int fd, void *buf, size_t n, int64_t off, struct err *e)
{
    size_t got;
    int rc = sys_pread(fd, buf, n, off, &got, e);

    if (rc == 0 && got < n)
        rc = err_set(e, ERR_CORRUPT, "unexpected end of file at offset %lld",
            (long long)off + (long long)got);
    return rc;
}

int
sys_write_all(int fd, const void *buf, size_t n, struct err *e)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = sys->write(fd, (const char *)buf + done, n - done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) /* 0 makes no progress and would be tried for ever */
            return err_errno(e, r < 0 ? errno : EIO, "write");
        done += (size_t)r;
    }
    return 0;
}

int
sys_pwrite_all(int fd, const void *buf, size_t n, int64_t off, struct err *e)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r =
            sys->pwrite(fd, (const char *)buf + done, n - done, off + (int64_t)done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return err_errno(e, r < 0 ? errno : EIO, "write at offset %lld",
                (long long)off + (long long)done);
        done += (size_t)r;
    }
    return 0;
}

int
sys_open_parent(const char *path, int *fd, struct err *e)
{
    char *dir = path_dir(path);
    int rc = sys_open(dir, O_RDONLY | O_DIRECTORY, 0, fd, e);

    mem_free(dir);
    return rc;
}

int
sys_sync_parent(const char *path, struct err *e)
{
    int dir = -1;
    int rc = sys_open_parent(path, &dir, e);

    if (rc == 0 && sys->fsync(dir) != 0)
        rc = err_errno(e, errno, "sync folder of %s", path);
    sys_close(&dir);
    return rc;
}

static int
make_one(const char *path, const struct sys_owner *owner, struct err *e)
{
    int rc;

    if (sys->mkdir(path, owner->dir_mode & 07777) != 0) {
        struct stat st;
        int saved = errno;

        if (saved == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return 0;
        return err_errno(e, saved == EEXIST ? ENOTDIR : saved, "create folder %s", path);
    }
    if (owner->set_owner && chown(path, owner->uid, owner->gid) != 0) {
        /* best effort: an unprivileged daemon cannot give folders away */
    }
    rc = sys_sync_parent(path, e);
    if (rc != 0)
        rmdir(path); /* or the next call would find it and take it for safe */
    return rc;
}

int
sys_mkdirs(const char *path, const struct sys_owner *owner, struct err *e)
{
    char *clean = path_clean(path);
    struct stat st;
    int rc = 0;

    if (stat(clean, &st) == 0 && S_ISDIR(st.st_mode)) {
        mem_free(clean);
        return 0;
    }
    for (char *s = clean + 1; rc == 0 && *s != '\0'; s++) {
        if (*s != '/')
            continue;
        *s = '\0';
        if (stat(clean, &st) != 0 || !S_ISDIR(st.st_mode))
            rc = make_one(clean, owner, e);
        *s = '/';
    }
    if (rc == 0)
        rc = make_one(clean, owner, e);
    mem_free(clean);
    return rc;
}

int
sys_publish(const char *tmp, const char *path, struct err *e)
{
    int dir = -1;
    int rc = sys_open_parent(path, &dir, e);

    if (rc != 0)
        goto out;
    if (sys->rename(tmp, path) != 0)
        rc = err_errno(e, errno, "rename %s", path);
    else if (sys->fsync(dir) != 0)
        rc = err_errno(e, errno, "sync folder of %s", path);
out:
    sys_close(&dir);
    return rc;
}

static bool
no_hard_links(int sys_errno)
{
    switch (sys_errno) {
    case EPERM:
    case ENOTSUP:
#if EOPNOTSUPP != ENOTSUP
    case EOPNOTSUPP:
#endif
    case ENOSYS:
    case EMLINK:
        return true;
    default:
        return false;
    }
}

/* Gives tmp its second name, or the error of link(). */
static int
link_or_rename(const char *tmp, const char *path)
{
    struct stat st;

    if (sys->link(tmp, path) == 0)
        return sys->unlink(tmp);
    if (!no_hard_links(errno))
        return -1;
    if (lstat(path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return sys->rename(tmp, path);
}

int
sys_publish_new(const char *tmp, const char *path, struct err *e)
{
    int dir = -1;
    int rc = sys_open_parent(path, &dir, e);

    if (rc != 0)
        goto out;
    if (link_or_rename(tmp, path) != 0)
        rc = errno == EEXIST ? err_set(e, ERR_EXISTS, "%s exists already", path)
                             : err_errno(e, errno, "put %s in place", path);
    else if (sys->fsync(dir) != 0)
        rc = err_errno(e, errno, "sync folder of %s", path);
out:
    sys_close(&dir);
    return rc;
}

void
sys_start_writeback(int fd, int64_t off, int64_t n)
{
#ifdef SYNC_FILE_RANGE_WRITE /* Linux */
    (void)!sync_file_range(fd, off, n, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd;
    (void)off;
    (void)n;
#endif
}

int
sys_remove(const char *path, struct err *e)
{
    if (sys->unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, errno, "remove %s", path);
    return 0;
}
