/*
 * faultpoint - a preloaded library that counts the file calls of a program and strikes at
 * one of them.
 *
 * Counted are the calls of libc that name, or go to, something below one folder
 * (FAULTPOINT_ROOT), in whichever process and thread, SQLite's own among them. What is to
 * be done is in a file that a test and all processes have mapped (FAULTPOINT_CONTROL), so
 * that it can be changed while they run; the test (faultpoint.py) knows the layout of
 * struct control. Without these variables every call just goes through.
 *
 * What a call goes to is known by its descriptor: an entry is made when it is opened here
 * and goes with close(), closedir() and close_range(). Entries are inherited by a child.
 *
 * A library of glibc itself that opens files (fopen, nftw) does not come by here.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAGIC 0x66617531u
#define MAX_FDS 1024
#define MAX_PATH 240
#define MAX_EVENTS 16384

/* In the order of KINDS in faultpoint.py. */
enum kind {
    K_OPEN,
    K_CREATE, /* open with O_CREAT */
    K_READ,
    K_WRITE,
    K_SYNC,
    K_TRUNCATE,
    K_RENAME,
    K_LINK,
    K_UNLINK, /* and rmdir */
    K_MKDIR,
    K_MMAP,
    K_STAT,
    K_LIST,    /* readdir */
    K_COPY,    /* copy_file_range */
    K_OPENDIR, /* opendir; open() of a folder is a K_OPEN */
};

enum action {
    ACT_COUNT,
    ACT_KILL,  /* before the call */
    ACT_FAIL,  /* instead of the call */
    ACT_TEAR,  /* after half of a write; other calls: before */
    ACT_SHORT, /* a read or write of half the bytes, which is no error; others: as they
                  are */
};

struct event {
    uint8_t kind;
    char path[191]; /* below the root; its end, when it is longer */
};

struct control {
    uint32_t magic;
    _Atomic uint32_t on; /* 0: nothing is counted */
    uint32_t kinds;      /* those that count, 1 << kind */
    uint32_t action;
    uint32_t sys_errno;   /* for ACT_FAIL */
    uint32_t first, last; /* the calls that are struck, from 1 */
    _Atomic uint32_t calls;
    _Atomic uint32_t struck;
    _Atomic uint32_t n_events;
    uint32_t struck_kind; /* of the first one struck */
    uint32_t unused;
    char struck_path[MAX_PATH];
    struct event events[MAX_EVENTS];
};

static struct control *control; /* NULL: not wanted */
static char root[MAX_PATH];
static size_t root_len;

/* What descriptors go to; an empty text: not ours. Written by who opens and who closes.
 */
static char paths[MAX_FDS][MAX_PATH];

/* A call behind ours in the order of libraries: libc's, or a sanitizer's. */
#define NEXT(name)                                                                       \
    static __typeof__(name) *next;                                                       \
    if (next == NULL)                                                                    \
    next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void
start(void)
{
    const char *folder = getenv("FAULTPOINT_ROOT"), *path = getenv("FAULTPOINT_CONTROL");
    long fd;

    if (folder == NULL || path == NULL)
        return;
    root_len = strlen(folder);
    if (root_len >= sizeof(root))
        abort();
    memcpy(root, folder, root_len + 1);
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    control =
        mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    syscall(SYS_close, fd);
    if (control == MAP_FAILED || control->magic != MAGIC)
        abort();
}

/* --- paths ----------------------------------------------------------------------------
 */

static const char *
path_of(int fd)
{
    return fd >= 0 && fd < MAX_FDS ? paths[fd] : "";
}

static void
forget(int fd)
{
    if (fd >= 0 && fd < MAX_FDS)
        paths[fd][0] = '\0';
}

/* The name below the root, "" when it is not there; out has MAX_PATH bytes. */
static const char *
resolve(int dir, const char *name, char *out)
{
    size_t n;

    out[0] = '\0';
    if (control == NULL || name == NULL)
        return out;
    if (name[0] == '/') {
        snprintf(out, MAX_PATH, "%s", name);
    } else if (dir == AT_FDCWD) {
        if (getcwd(out, MAX_PATH) == NULL)
            return out[0] = '\0', out;
        n = strlen(out);
        snprintf(out + n, MAX_PATH - n, "/%s", name);
    } else {
        snprintf(out, MAX_PATH, "%s/%s", path_of(dir), name);
    }
    if (strncmp(out, root, root_len) != 0 ||
        (out[root_len] != '/' && out[root_len] != '\0'))
        out[0] = '\0';
    return out;
}

static void
remember(int fd, const char *path)
{
    if (fd < 0 || fd >= MAX_FDS)
        return;
    snprintf(paths[fd], MAX_PATH, "%s", path);
}

/* --- striking -------------------------------------------------------------------------
 */

static void
note(enum kind kind, const char *path)
{
    uint32_t i = atomic_fetch_add(&control->n_events, 1);
    size_t len, from;

    if (i >= MAX_EVENTS)
        return;
    path += root_len;
    len = strlen(path);
    from = len < sizeof(control->events[0].path)
               ? 0
               : len - sizeof(control->events[0].path) + 1;
    control->events[i].kind = (uint8_t)kind;
    memcpy(control->events[i].path, path + from, len - from + 1);
}

static void
die(void)
{
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
    for (;;)
        pause();
}

/* What to do about a call; ACT_KILL does not return, ACT_FAIL has set errno. */
static enum action
meet(enum kind kind, const char *path)
{
    uint32_t n;

    if (control == NULL || path[0] == '\0' || !atomic_load(&control->on))
        return ACT_COUNT;
    if ((control->kinds & 1u << kind) == 0)
        return ACT_COUNT;
    n = atomic_fetch_add(&control->calls, 1) + 1;
    note(kind, path);
    if (control->action == ACT_COUNT || n < control->first || n > control->last)
        return ACT_COUNT;
    if (atomic_fetch_add(&control->struck, 1) == 0) {
        control->struck_kind = kind;
        snprintf(
            control->struck_path, sizeof(control->struck_path), "%s", path + root_len);
    }
    if (control->action == ACT_KILL || (control->action == ACT_TEAR && kind != K_WRITE))
        die();
    if (control->action == ACT_FAIL)
        errno = (int)control->sys_errno;
    return (enum action)control->action;
}

/* True: the call is not made, its error is in errno. */
static bool
fails(enum kind kind, const char *path)
{
    return meet(kind, path) == ACT_FAIL;
}

static bool
fails_fd(enum kind kind, int fd)
{
    return meet(kind, path_of(fd)) == ACT_FAIL;
}

/* --- open, close ----------------------------------------------------------------------
 */

static int
opened(int fd, const char *path)
{
    int saved = errno;

    if (fd >= 0)
        remember(fd, path);
    errno = saved;
    return fd;
}

static enum kind
open_kind(int flags)
{
    return (flags & O_CREAT) != 0 ? K_CREATE : K_OPEN;
}

#define MODE_OF(flags)                                                                   \
    mode_t mode = 0;                                                                     \
    if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) {                    \
        va_list ap;                                                                      \
        va_start(ap, flags);                                                             \
        mode = va_arg(ap, mode_t);                                                       \
        va_end(ap);                                                                      \
    }

#define OPEN(name)                                                                       \
    int name(const char *file, int flags, ...)                                           \
    {                                                                                    \
        char path[MAX_PATH];                                                             \
        NEXT(name);                                                                      \
        MODE_OF(flags)                                                                   \
        if (fails(open_kind(flags), resolve(AT_FDCWD, file, path)))                      \
            return -1;                                                                   \
        return opened(next(file, flags, mode), path);                                    \
    }

#define OPENAT(name)                                                                     \
    int name(int dir, const char *file, int flags, ...)                                  \
    {                                                                                    \
        char path[MAX_PATH];                                                             \
        NEXT(name);                                                                      \
        MODE_OF(flags)                                                                   \
        if (fails(open_kind(flags), resolve(dir, file, path)))                           \
            return -1;                                                                   \
        return opened(next(dir, file, flags, mode), path);                               \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* What a fortified program calls when it passes no mode. */
int __open_2(const char *file, int flags);
int __open64_2(const char *file, int flags);
int __openat_2(int dir, const char *file, int flags);
int __openat64_2(int dir, const char *file, int flags);

int
__open_2(const char *file, int flags)
{
    return open(file, flags, 0);
}

int
__open64_2(const char *file, int flags)
{
    return open64(file, flags, 0);
}

int
__openat_2(int dir, const char *file, int flags)
{
    return openat(dir, file, flags, 0);
}

int
__openat64_2(int dir, const char *file, int flags)
{
    return openat64(dir, file, flags, 0);
}

int
creat(const char *file, mode_t mode)
{
    return open(file, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int
creat64(const char *file, mode_t mode)
{
    return open64(file, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int
close(int fd)
{
    NEXT(close);
    forget(fd);
    return next(fd);
}

int
close_range(unsigned first, unsigned last, int flags)
{
    NEXT(close_range);
    if (flags == 0)
        for (unsigned fd = first; fd <= last && fd < MAX_FDS; fd++)
            forget((int)fd);
    return next(first, last, flags);
}

DIR *
opendir(const char *name)
{
    char path[MAX_PATH];
    DIR *dir;
    NEXT(opendir);

    if (fails(K_OPENDIR, resolve(AT_FDCWD, name, path)))
        return NULL;
    dir = next(name);
    if (dir != NULL)
        opened(dirfd(dir), path);
    return dir;
}

int
closedir(DIR *dir)
{
    NEXT(closedir);
    forget(dirfd(dir));
    return next(dir);
}

#define READDIR(name, type)                                                              \
    struct type *name(DIR *dir)                                                          \
    {                                                                                    \
        NEXT(name);                                                                      \
        return fails_fd(K_LIST, dirfd(dir)) ? NULL : next(dir);                          \
    }

READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

/* --- content --------------------------------------------------------------------------
 */

static size_t
half(enum action what, size_t n)
{
    return what == ACT_COUNT || n < 2 ? n : n / 2;
}

#define READ(name, params, args)                                                         \
    ssize_t name params                                                                  \
    {                                                                                    \
        enum action what;                                                                \
        NEXT(name);                                                                      \
        what = meet(K_READ, path_of(fd));                                                \
        if (what == ACT_FAIL)                                                            \
            return -1;                                                                   \
        n = half(what, n);                                                               \
        return next args;                                                                \
    }

#define WRITE(name, params, args)                                                        \
    ssize_t name params                                                                  \
    {                                                                                    \
        enum action what;                                                                \
        ssize_t done;                                                                    \
        NEXT(name);                                                                      \
        what = meet(K_WRITE, path_of(fd));                                               \
        if (what == ACT_FAIL)                                                            \
            return -1;                                                                   \
        n = half(what, n);                                                               \
        done = next args;                                                                \
        if (what == ACT_TEAR)                                                            \
            die();                                                                       \
        return done;                                                                     \
    }

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t room);

READ(read, (int fd, void *buf, size_t n), (fd, buf, n))
READ(pread, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off))
READ(pread64, (int fd, void *buf, size_t n, off64_t off), (fd, buf, n, off))
READ(__read_chk, (int fd, void *buf, size_t n, size_t room), (fd, buf, n, room))
READ(__pread_chk, (int fd, void *buf, size_t n, off_t off, size_t room),
    (fd, buf, n, off, room))
READ(__pread64_chk, (int fd, void *buf, size_t n, off64_t off, size_t room),
    (fd, buf, n, off, room))
WRITE(write, (int fd, const void *buf, size_t n), (fd, buf, n))
WRITE(pwrite, (int fd, const void *buf, size_t n, off_t off), (fd, buf, n, off))
WRITE(pwrite64, (int fd, const void *buf, size_t n, off64_t off), (fd, buf, n, off))

ssize_t
copy_file_range(
    int in, off64_t *in_off, int out, off64_t *out_off, size_t n, unsigned flags)
{
    NEXT(copy_file_range);
    return fails_fd(K_COPY, out) ? -1 : next(in, in_off, out, out_off, n, flags);
}

#define ON_FD(name, kind, params, args)                                                  \
    int name params                                                                      \
    {                                                                                    \
        NEXT(name);                                                                      \
        return fails_fd(kind, fd) ? -1 : next args;                                      \
    }

ON_FD(fsync, K_SYNC, (int fd), (fd))
ON_FD(fdatasync, K_SYNC, (int fd), (fd))
ON_FD(ftruncate, K_TRUNCATE, (int fd, off_t size), (fd, size))
ON_FD(ftruncate64, K_TRUNCATE, (int fd, off64_t size), (fd, size))
ON_FD(fstat, K_STAT, (int fd, struct stat *st), (fd, st))
ON_FD(fstat64, K_STAT, (int fd, struct stat64 *st), (fd, st))

#define MMAP(name, off_type)                                                             \
    void *name(void *at, size_t n, int prot, int flags, int fd, off_type off)            \
    {                                                                                    \
        NEXT(name);                                                                      \
        return fails_fd(K_MMAP, fd) ? MAP_FAILED : next(at, n, prot, flags, fd, off);    \
    }

MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

/* --- names ----------------------------------------------------------------------------
 */

#define ON_NAME(name, kind, params, args)                                                \
    int name params                                                                      \
    {                                                                                    \
        char path[MAX_PATH];                                                             \
        NEXT(name);                                                                      \
        return fails(kind, resolve(AT_FDCWD, file, path)) ? -1 : next args;              \
    }

#define ON_NAME_AT(name, kind, params, args)                                             \
    int name params                                                                      \
    {                                                                                    \
        char path[MAX_PATH];                                                             \
        NEXT(name);                                                                      \
        return fails(kind, resolve(dir, file, path)) ? -1 : next args;                   \
    }

/* By its new name, which tells what is being done. */
ON_NAME(rename, K_RENAME, (const char *old, const char *file), (old, file))
ON_NAME(link, K_LINK, (const char *old, const char *file), (old, file))
ON_NAME(unlink, K_UNLINK, (const char *file), (file))
ON_NAME(rmdir, K_UNLINK, (const char *file), (file))
ON_NAME(remove, K_UNLINK, (const char *file), (file))
ON_NAME(mkdir, K_MKDIR, (const char *file, mode_t mode), (file, mode))
ON_NAME(stat, K_STAT, (const char *file, struct stat *st), (file, st))
ON_NAME(stat64, K_STAT, (const char *file, struct stat64 *st), (file, st))
ON_NAME(lstat, K_STAT, (const char *file, struct stat *st), (file, st))
ON_NAME(lstat64, K_STAT, (const char *file, struct stat64 *st), (file, st))
ON_NAME_AT(unlinkat, K_UNLINK, (int dir, const char *file, int flags), (dir, file, flags))
ON_NAME_AT(mkdirat, K_MKDIR, (int dir, const char *file, mode_t mode), (dir, file, mode))
ON_NAME_AT(fstatat, K_STAT, (int dir, const char *file, struct stat *st, int flags),
    (dir, file, st, flags))
ON_NAME_AT(fstatat64, K_STAT, (int dir, const char *file, struct stat64 *st, int flags),
    (dir, file, st, flags))

/* Also of a descriptor, with an empty name. */
int
statx(int dir, const char *file, int flags, unsigned mask, struct statx *st)
{
    char path[MAX_PATH];

    NEXT(statx);
    if (file[0] == '\0' ? fails_fd(K_STAT, dir) : fails(K_STAT, resolve(dir, file, path)))
        return -1;
    return next(dir, file, flags, mask, st);
}
