#include "supervisor/doctor/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include <unistd.h>

#include <sqlite3.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_name.h"
#include "common/wal/wal_format.h"
#include "supervisor/control/client.h"
#include "supervisor/doctor/doctor.h"
#include "workers/sync/meta.h"

/* --- small files of the kernel --------------------------------------------------------
 */

/* The first line of a file, "" when there is none; without its newline. */
static void
first_line(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");

    if (f == NULL || fgets(out, (int)size, f) == NULL)
        out[0] = '\0';
    if (f != NULL)
        fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

/* < 0: there is no number in it ("max"). */
static int64_t
number_in(const char *path)
{
    char text[32], *end;
    long long n;

    first_line(path, text, sizeof(text));
    n = strtoll(text, &end, 10);
    return end == text ? -1 : (int64_t)n;
}

/* --- limits ---------------------------------------------------------------------------
 */

static void
lower_to(int64_t *limit, int64_t n)
{
    if (n >= 0 && (*limit < 0 || n < *limit))
        *limit = n;
}

#ifdef __linux__
#define GET_LIMIT(pid, resource, limit)                                                  \
    (prlimit((pid_t)(pid), resource, NULL, limit) == 0)
#else
#define GET_LIMIT(pid, resource, limit) ((pid) == 0 && getrlimit(resource, limit) == 0)
#endif

/* Up to the hard limit the daemon raises its own. */
static int64_t
hard_limit(bool known, const struct rlimit *limit)
{
    return !known || limit->rlim_max == RLIM_INFINITY ? -1 : (int64_t)limit->rlim_max;
}

/* The cgroup that a process is in, and those above it, may limit their tasks. */
static int64_t
cgroup_limit(int64_t pid)
{
    char line[1024], *from = line, *group;
    int64_t limit = -1;

    if (pid > 0)
        snprintf(line, sizeof(line), "/proc/%lld/cgroup", (long long)pid);
    else
        snprintf(line, sizeof(line), "/proc/self/cgroup");
    group = mem_strdup(line);
    first_line(group, line, sizeof(line));
    mem_free(group);
    if (strncmp(line, "0::/", 4) != 0) /* version 1 */
        return -1;
    from += 3;
    for (;;) {
        char *file = mem_printf("/sys/fs/cgroup%s/pids.max", from);
        char *cut;

        lower_to(&limit, number_in(file));
        mem_free(file);
        cut = strrchr(from, '/');
        if (cut == NULL)
            return limit;
        *cut = '\0';
    }
}

static void
look_limits(struct doctor_host *h)
{
    int64_t pid = h->socket == DOCTOR_SOCKET_LIVE ? h->daemon_pid : 0;
    struct rlimit limit;

    if (pid != 0 && !GET_LIMIT(pid, RLIMIT_NOFILE, &limit))
        pid = 0; /* it is somebody else's: ours are a guess */
    h->of_daemon = pid != 0;
    h->nofile = hard_limit(GET_LIMIT(pid, RLIMIT_NOFILE, &limit), &limit);
    h->n_procs = cgroup_limit(pid);
    lower_to(&h->n_procs, number_in("/proc/sys/kernel/pid_max"));
    lower_to(&h->n_procs, number_in("/proc/sys/kernel/threads-max"));
    if (geteuid() != 0) /* root is not held to it */
        lower_to(&h->n_procs, hard_limit(GET_LIMIT(pid, RLIMIT_NPROC, &limit), &limit));
    h->inotify_instances = number_in("/proc/sys/fs/inotify/max_user_instances");
    h->inotify_watches = number_in("/proc/sys/fs/inotify/max_user_watches");
}

static void
look_socket(const struct config *c, int64_t timeout_ms, struct doctor_host *h)
{
    struct client client = { .socket = c->socket.path, .timeout_ms = timeout_ms };
    json_t *reply;
    struct err e;

    h->socket_path = c->socket.path;
    if (!c->socket.enabled)
        return;
    h->socket = DOCTOR_SOCKET_SILENT;
    if (client_call_json(&client, "info", "/info", NULL, &reply, &e) != 0)
        return;
    h->daemon_pid = json_integer_value(json_object_get(reply, "pid"));
    if (h->daemon_pid > 0)
        h->socket = DOCTOR_SOCKET_LIVE;
    json_decref(reply);
}

void
doctor_look_host(const struct config *c, int64_t timeout_ms, struct doctor_host *out)
{
    *out = (struct doctor_host){ .sqlite_version = sqlite3_libversion_number(),
        .now = wall_now() };
    look_socket(c, timeout_ms, out);
    look_limits(out);
}

/* --- folders and space ----------------------------------------------------------------
 */

char *
doctor_nearest(const char *path)
{
    char *at = path_clean(path), *up;

    while (access(at, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR) &&
           strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
        up = path_dir(at);
        mem_free(at);
        at = up;
    }
    return at;
}

void
doctor_look_space(const char *path, struct doctor_space *out)
{
    char *at = doctor_nearest(path);
    struct statvfs vfs;

    *out = (struct doctor_space){ 0 };
    if (statvfs(at, &vfs) == 0) {
        out->known = true;
        out->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
        out->total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    }
#ifdef __linux__
    struct statfs fs;

    if (statfs(at, &fs) == 0)
        out->fs_magic = (uint64_t)(uint32_t)fs.f_type;
#endif
    mem_free(at);
}

/* 0, or why no file can be made in a folder; a missing one counts as what it is made in.
 */
static int
cannot_write_in(const char *folder)
{
    char *at = doctor_nearest(folder);
    struct stat st;
    int failed = 0;

    if (stat(at, &st) != 0 || faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS) != 0)
        failed = errno;
    else if (!S_ISDIR(st.st_mode))
        failed = ENOTDIR;
    mem_free(at);
    return failed;
}

/* --- a database -----------------------------------------------------------------------
 */

/* Opens a regular file for reading; else -1 and errno. */
static int
open_file(const char *path, struct stat *st)
{
    struct err e;
    int fd;

    /* Nothing is waited for: it may be a pipe. */
    if (sys_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, &e) != 0) {
        errno = e.sys_errno;
        return -1;
    }
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    sys_close(&fd);
    errno = S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
    return -1;
}

static void
look_file(const char *path, struct doctor_db *d)
{
    struct stat st = { 0 };
    struct err e;
    int fd = open_file(path, &st);

    if (fd < 0) {
        d->open_errno = errno;
        return;
    }
    d->size = (uint64_t)st.st_size;
    if (sys_pread(fd, d->header, sizeof(d->header), 0, &d->header_size, &e) != 0)
        d->open_errno = e.sys_errno;
    else if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
        d->open_errno = errno;
    sys_close(&fd);
}

static void
look_wal(const char *path, struct doctor_db *d)
{
    char *wal = mem_printf("%s-wal", path);
    uint8_t head[WAL_HEADER_SIZE];
    struct wal_header header;
    struct stat st;
    size_t got = 0;
    struct err e;
    int fd = open_file(wal, &st);

    mem_free(wal);
    if (fd < 0)
        return;
    d->wal_size = (uint64_t)st.st_size;
    if (sys_pread(fd, head, sizeof(head), 0, &got, &e) == 0 && got == sizeof(head) &&
        wal_header_decode(head, &header, &e) == 0) {
        d->has_wal = true;
        d->wal_salt1 = header.salt.s1;
    }
    sys_close(&fd);
}

/* What the newest local file says of the WAL that it comes from. */
static void
look_mark(const char *meta, struct doctor_db *d)
{
    uint8_t head[LTX_HEADER_SIZE];
    struct ltx_header header;
    struct ltx_info newest;
    struct stat st;
    size_t got = 0;
    struct err e;
    char *path;
    int fd;

    if (meta_newest(meta, 0, &newest, &e) != 0)
        return;
    path = ltx_file_path(meta, 0, newest.min_txid, newest.max_txid);
    fd = open_file(path, &st);
    mem_free(path);
    if (fd < 0)
        return;
    if (sys_pread(fd, head, sizeof(head), 0, &got, &e) == 0 && got == sizeof(head) &&
        ltx_header_decode(head, &header, &e) == 0 && header.wal_offset > 0) {
        d->has_mark = true;
        d->mark_salt1 = header.wal_salt1;
    }
    sys_close(&fd);
}

/* Whether the lock of the local folder (meta.h) is held, and by whom. */
static void
look_lock(const char *meta, struct doctor_db *d)
{
    char *path = path_join(meta, ".lock");
    struct stat st;
    struct err e;
    size_t got = 0;
    int fd = open_file(path, &st);

    mem_free(path);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        d->locked = true;
        if (sys_pread(fd, d->holder, sizeof(d->holder) - 1, 0, &got, &e) != 0)
            got = 0;
        d->holder[got] = '\0';
        d->holder[strspn(d->holder, "0123456789")] = '\0';
    }
    sys_close(&fd);
}

static void
add_user(struct doctor_db *d, pid_t pid)
{
    struct doctor_user *u = &d->users[d->n_users];
    char path[64];

    if (pid <= 0)
        return;
    for (size_t i = 0; i < d->n_users; i++)
        if (d->users[i].pid == pid)
            return;
    u->pid = pid;
    snprintf(path, sizeof(path), "/proc/%lld/comm", (long long)pid);
    first_line(path, u->name, sizeof(u->name));
    d->n_users++;
}

/* Locks of the wal-index: read marks 0 to 4, and the one that every connection holds. */
#define SHM_FIRST_LOCK 123
#define SHM_LAST_LOCK 128

/* Who has locks on the wal-index. Asking takes none, and we have none to lose. */
static void
look_users(const char *path, struct doctor_db *d)
{
    char *shm = mem_printf("%s-shm", path);
    struct stat st;
    int fd = open_file(shm, &st);

    mem_free(shm);
    if (fd < 0)
        return;
    _Static_assert(
        SHM_LAST_LOCK - SHM_FIRST_LOCK + 1 == DOCTOR_MAX_USERS, "one of each lock");
    for (off_t at = SHM_FIRST_LOCK; at <= SHM_LAST_LOCK; at++) {
        struct flock l = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1
        };

        if (fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK)
            add_user(d, l.l_pid);
    }
    sys_close(&fd);
}

void
doctor_look_db(const char *path, const char *meta_path, struct doctor_db *out)
{
    /* The WAL lies beside the file that a link leads to. */
    char *real = realpath(path, NULL), *folder = path_dir(real != NULL ? real : path);

    *out = (struct doctor_db){ 0 };
    look_file(path, out);
    if (out->open_errno == 0 && real != NULL) {
        look_wal(real, out);
        look_users(real, out);
    }
    look_mark(meta_path, out);
    look_lock(meta_path, out);
    out->folder_errno = cannot_write_in(folder);
    out->meta_errno = cannot_write_in(meta_path);
    doctor_look_space(path, &out->space);
    doctor_look_space(meta_path, &out->meta_space);
    mem_free(folder);
    free(real);
}
