#include "test/unit/support/fault.h"

#include <errno.h>

#include "common/base/sys.h"

static int armed_nth, armed_errno, calls;
static bool hit = true;

static bool
strikes(void)
{
    if (++calls != armed_nth)
        return false;
    hit = true;
    errno = armed_errno;
    return true;
}

static int
f_open(const char *path, int flags, mode_t mode)
{
    return strikes() ? -1 : sys_posix.open(path, flags, mode);
}

static int
f_close(int fd)
{
    return sys_posix.close(fd);
}

static ssize_t
f_read(int fd, void *buf, size_t n)
{
    return strikes() ? -1 : sys_posix.read(fd, buf, n);
}

static ssize_t
f_pread(int fd, void *buf, size_t n, off_t off)
{
    return strikes() ? -1 : sys_posix.pread(fd, buf, n, off);
}

static ssize_t
f_write(int fd, const void *buf, size_t n)
{
    return strikes() ? -1 : sys_posix.write(fd, buf, n);
}

static ssize_t
f_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    return strikes() ? -1 : sys_posix.pwrite(fd, buf, n, off);
}

static int
f_ftruncate(int fd, off_t size)
{
    return strikes() ? -1 : sys_posix.ftruncate(fd, size);
}

static int
f_fsync(int fd)
{
    return strikes() ? -1 : sys_posix.fsync(fd);
}

static int
f_rename(const char *from, const char *to)
{
    return strikes() ? -1 : sys_posix.rename(from, to);
}

static int
f_link(const char *from, const char *to)
{
    return strikes() ? -1 : sys_posix.link(from, to);
}

static int
f_unlink(const char *path)
{
    return strikes() ? -1 : sys_posix.unlink(path);
}

static int
f_mkdir(const char *path, mode_t mode)
{
    return strikes() ? -1 : sys_posix.mkdir(path, mode);
}

static const struct sys_ops faulty = {
    .open = f_open,
    .close = f_close,
    .read = f_read,
    .pread = f_pread,
    .write = f_write,
    .pwrite = f_pwrite,
    .ftruncate = f_ftruncate,
    .fsync = f_fsync,
    .rename = f_rename,
    .link = f_link,
    .unlink = f_unlink,
    .mkdir = f_mkdir,
};

void
fault_off(void)
{
    sys = &sys_posix;
    armed_nth = 0;
    hit = true;
}

bool
fault_nth(int nth, int sys_errno)
{
    if (nth > 1 && !hit) {
        fault_off();
        return false;
    }
    armed_nth = nth;
    armed_errno = sys_errno;
    calls = 0;
    hit = false;
    sys = &faulty;
    return true;
}

int
fault_calls(void)
{
    return calls;
}
