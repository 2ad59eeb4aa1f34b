#include "drivers/file/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "drivers/file/copy.h"

#define WRITE_BLOCK ((size_t)256 << 10)

/* Below this many bytes one read and one write are cheaper than asking the kernel. */
#define COPY_MIN ((int64_t)128 << 10)

/* --- list -----------------------------------------------------------------------------
 */

struct listing {
    struct ltx_info *infos;
    size_t n, cap;
};

static int
listing_add(struct listing *l, const struct ltx_info *info, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 64;
        struct ltx_info *more = mem_try(cap, sizeof(*more));

        if (more == NULL)
            return err_set(e, ERR_MEMORY, "no memory for a listing of %zu files", cap);
        if (l->n > 0)
            memcpy(more, l->infos, l->n * sizeof(*more));
        mem_free(l->infos);
        l->infos = more;
        l->cap = cap;
    }
    l->infos[l->n++] = *info;
    return 0;
}

/*
 * The highest max TXID that a first pass sees. A folder that is being written to may give
 * a new file and keep back one that came just before it; what is there when the second
 * pass begins comes for sure, so that up to this TXID nothing is missing from it.
 */
static int
find_highest(DIR *dir, uint64_t *highest, struct err *e)
{
    struct dirent *entry;
    uint64_t min, max;

    *highest = 0;
    while (errno = 0, (entry = readdir(dir)) != NULL)
        if (ltx_name_parse(entry->d_name, &min, &max) && max > *highest)
            *highest = max;
    if (errno != 0)
        return err_errno(e, errno, "read folder");
    rewinddir(dir);
    return 0;
}

static int
list_dir(DIR *dir, int level, uint64_t seek, uint64_t highest, struct listing *l,
    struct err *e)
{
    struct dirent *entry;

    while (errno = 0, (entry = readdir(dir)) != NULL) {
        struct ltx_info info = { .level = level };
        struct stat st;
        int rc;

        if (!ltx_name_parse(entry->d_name, &info.min_txid, &info.max_txid) ||
            info.min_txid < seek || info.max_txid > highest)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0) {
            if (errno == ENOENT)
                continue; /* deleted since */
            return err_errno(e, errno, "stat %s", entry->d_name);
        }
        if (!S_ISREG(st.st_mode))
            continue;
        info.size = st.st_size;
        info.created = (struct wall){ st.st_mtim.tv_sec, (int32_t)st.st_mtim.tv_nsec };
        rc = listing_add(l, &info, e);
        if (rc != 0)
            return rc;
    }
    return errno != 0 ? err_errno(e, errno, "read folder") : 0;
}

int
file_store_list(const struct file_store *s, int level, uint64_t seek,
    struct ltx_info **infos, size_t *n, struct err *e)
{
    struct listing l = { 0 };
    char *path = ltx_level_path(s->root, level);
    uint64_t highest;
    DIR *dir = NULL;
    int fd = -1, rc;

    *infos = NULL;
    *n = 0;
    rc = sys_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, e);
    if (rc == ERR_NOT_FOUND) {
        rc = 0;
        goto out;
    }
    if (rc != 0)
        goto out;
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = err_errno(e, errno, "open folder");
        goto out;
    }
    fd = -1; /* closedir closes it */
    rc = find_highest(dir, &highest, e);
    if (rc == 0)
        rc = list_dir(dir, level, seek, highest, &l, e);
    if (rc != 0)
        goto out;
    if (l.n > 0)
        qsort(l.infos, l.n, sizeof(l.infos[0]), ltx_info_cmp);
    *infos = l.infos;
    *n = l.n;
    l.infos = NULL;
out:
    if (rc != 0)
        err_wrap(e, "list %s", path);
    if (dir != NULL)
        closedir(dir);
    sys_close(&fd);
    mem_free(l.infos);
    mem_free(path);
    return rc;
}

/* --- get ------------------------------------------------------------------------------
 */

int
file_read_part(
    const char *path, int64_t off, void *buf, size_t size, size_t *got, struct err *e)
{
    struct stat st;
    int fd = -1, rc;

    rc = sys_open(path, O_RDONLY, 0, &fd, e);
    if (rc != 0)
        goto out;
    rc = sys_pread(fd, buf, size, off, got, e);
    if (rc == 0 && *got == 0 && fstat(fd, &st) == 0 && off > st.st_size)
        rc = err_set(e, ERR_RANGE, "offset %lld is beyond the end (%lld bytes)",
            (long long)off, (long long)st.st_size);
    if (rc != 0)
        err_wrap(e, "%s", path);
out:
    sys_close(&fd);
    return rc;
}

int
file_store_get(const struct file_store *s, const struct file_name *name, int64_t off,
    void *buf, size_t size, size_t *got, struct err *e)
{
    char *path = ltx_file_path(s->root, name->level, name->min_txid, name->max_txid);
    int rc = file_read_part(path, off, buf, size, got, e);

    mem_free(path);
    return rc;
}

/* --- put ------------------------------------------------------------------------------
 */

/* Creates the file; missing folders are made on the way. */
static int
create(const struct file_store *s, const char *tmp, int *fd, struct err *e)
{
    int flags = O_RDWR | O_CREAT;
    int rc = sys_open(tmp, flags, s->owner.file_mode & 0777, fd, e);
    char *dir;

    if (rc == ERR_NOT_FOUND) {
        dir = path_dir(tmp);
        rc = sys_mkdirs(dir, &s->owner, e);
        mem_free(dir);
        if (rc == 0)
            rc = sys_open(tmp, flags, s->owner.file_mode & 0777, fd, e);
    }
    return rc;
}

/*
 * Two writers of one path have the same temporary name. It is locked until the file is in
 * place: the bytes of one must not get into the file of the other. *gone: it lost its
 * name before it was locked. Where there are no locks there is no such protection.
 */
static int
lock_tmp(const char *tmp, int fd, bool *gone, struct err *e)
{
    struct stat mine, named;

    *gone = false;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return err_set(e, ERR_BUSY, "%s is being written by another writer", tmp);
    if (fstat(fd, &mine) != 0)
        return err_errno(e, errno, "stat %s", tmp);
    if (stat(tmp, &named) == 0)
        *gone = named.st_ino != mine.st_ino || named.st_dev != mine.st_dev;
    else if (errno == ENOENT)
        *gone = true;
    else /* nor would it be there the next time */
        return err_errno(e, errno, "stat %s", tmp);
    if (!*gone && mine.st_size > 0 && sys->ftruncate(fd, 0) != 0)
        return err_errno(e, errno, "truncate %s", tmp);
    return 0;
}

/* The temporary file, empty and ours. */
static int
open_tmp(const struct file_store *s, const char *tmp, int *fd, struct err *e)
{
    bool gone;
    int rc;

    do {
        sys_close(fd);
        rc = create(s, tmp, fd, e);
        if (rc == 0)
            rc = lock_tmp(tmp, *fd, &gone, e);
    } while (rc == 0 && gone);
    if (rc != 0)
        sys_close(fd);
    else if (s->owner.set_owner && fchown(*fd, s->owner.uid, s->owner.gid) != 0) {
        /* best effort: an unprivileged daemon cannot give files away */
    }
    return rc;
}

static int
write_stream(struct drv_source *src, int fd, int64_t *done, const struct cancel *cancel,
    struct err *e)
{
    uint8_t *block = mem_new(WRITE_BLOCK);
    int rc;

    for (;;) {
        size_t n;

        rc = cancel_asked(cancel) ? err_set(e, ERR_CANCELLED, "cancelled")
                                  : src->read(src, block, WRITE_BLOCK, true, &n, e);
        if (rc != 0 || n == 0)
            break;
        rc = sys_pwrite_all(fd, block, n, *done, e);
        if (rc != 0)
            break;
        *done += (int64_t)n;
    }
    mem_free(block);
    return rc;
}

static int
fill_tmp(struct drv_source *src, int fd, int64_t *size, const struct cancel *cancel,
    struct err *e)
{
    struct stat st;
    int rc;

    *size = 0;
    if (src->fd >= 0 && fstat(src->fd, &st) == 0 &&
        st.st_size - src->fd_off >= COPY_MIN) {
        rc = copy_in_kernel(src->fd, src->fd_off, fd, size, cancel, e);
        src->fd_off += *size;
        if (rc != ERR_UNSUPPORTED)
            return rc;
    }
    return write_stream(src, fd, size, cancel, e);
}

/* The timestamp of the header just written becomes the file's times. */
static int
set_times(int fd, struct wall *created, struct err *e)
{
    uint8_t raw[LTX_HEADER_SIZE];
    struct timespec times[2];
    size_t got;
    int rc = sys_pread(fd, raw, sizeof(raw), 0, &got, e);

    if (rc != 0)
        return rc;
    if (got < sizeof(raw) || memcmp(raw, "LTX1", 4) != 0)
        return err_set(e, ERR_CORRUPT, "extract timestamp from LTX header: %s",
            got < sizeof(raw) ? "unexpected EOF" : "invalid LTX file");
    *created = wall_from_ms((int64_t)ltx_get_u64(raw + 32));
    times[0].tv_sec = created->sec;
    times[0].tv_nsec = created->nsec;
    times[1] = times[0];
    if (futimens(fd, times) != 0)
        return err_errno(e, errno, "set times");
    return 0;
}

static int
write_tmp(int fd, struct drv_source *src, int64_t announced, const struct cancel *cancel,
    int64_t *size, struct wall *created, struct err *e)
{
    int rc = fill_tmp(src, fd, size, cancel, e);

    if (rc == 0 && announced >= 0 && *size != announced)
        rc = err_set(e, ERR_CORRUPT, "%lld bytes came instead of %lld", (long long)*size,
            (long long)announced);
    if (rc == 0)
        rc = set_times(fd, created, e);
    if (rc == 0 && sys->fsync(fd) != 0)
        rc = err_errno(e, errno, "sync file");
    return rc;
}

/* Who is told that a file exists may rely on it: its name reaches the disk before. */
static int
report_existing(const char *path, struct err *e)
{
    int rc = sys_sync_parent(path, e);

    return rc != 0 ? rc : err_set(e, ERR_EXISTS, "%s exists already", path);
}

int
file_store_put(const struct file_store *s, const struct file_name *name,
    const struct file_input *in, const struct cancel *cancel, int64_t *size,
    struct wall *created, struct err *e)
{
    char *path = ltx_file_path(s->root, name->level, name->min_txid, name->max_txid);
    char *tmp = mem_printf("%s.tmp", path);
    struct err ignored;
    struct stat st;
    int fd = -1, rc;

    if (in->exclusive && lstat(path, &st) == 0) {
        rc = report_existing(path, e); /* without writing it all in vain */
        goto out;
    }
    rc = open_tmp(s, tmp, &fd, e);
    if (rc != 0)
        goto out;
    rc = write_tmp(fd, in->src, in->size, cancel, size, created, e);
    if (rc == 0)
        rc = in->exclusive ? sys_publish_new(tmp, path, e) : sys_publish(tmp, path, e);
    if (rc != 0)
        sys_remove(tmp, &ignored);
    if (rc == ERR_EXISTS)
        rc = report_existing(path, e);
out:
    sys_close(&fd); /* unlocks: nothing is done to the name after this */
    if (rc != 0)
        err_wrap(e, "write %s", path);
    mem_free(tmp);
    mem_free(path);
    return rc;
}

/* --- delete ---------------------------------------------------------------------------
 */

int
file_store_del(const struct file_store *s, const struct ltx_info *files, size_t n,
    const struct cancel *cancel, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char *path;
        int rc;

        if (cancel_asked(cancel))
            return err_set(e, ERR_CANCELLED, "cancelled");
        path =
            ltx_file_path(s->root, files[i].level, files[i].min_txid, files[i].max_txid);
        rc = sys_remove(path, e);
        mem_free(path);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static bool
is_ours(const char *name)
{
    char whole[LTX_NAME_SIZE];
    uint64_t min, max;
    size_t len = strlen(name);

    if (len == LTX_NAME_SIZE - 1 + 4 && strcmp(name + len - 4, ".tmp") == 0) {
        memcpy(whole, name, LTX_NAME_SIZE - 1);
        whole[LTX_NAME_SIZE - 1] = '\0';
        return ltx_name_parse(whole, &min, &max);
    }
    return ltx_name_parse(name, &min, &max);
}

static bool
is_left_over(int dir, const char *name)
{
    size_t len = strlen(name);
    bool is_free;
    int fd;

    if (len < 4 || strcmp(name + len - 4, ".tmp") != 0 || !is_ours(name))
        return false;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    sys_close(&fd);
    return is_free;
}

void
file_store_tidy(const struct file_store *s, int level)
{
    char *path = ltx_level_path(s->root, level);
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (is_left_over(dirfd(dir), entry->d_name) &&
            unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            continue; /* somebody else was quicker, or nobody may */
    if (dir != NULL)
        closedir(dir);
    mem_free(path);
}

static int
empty_level(const char *path, struct err *e)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : err_errno(e, errno, "open folder %s", path);
    while (rc == 0 && (entry = readdir(dir)) != NULL)
        if (is_ours(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) != 0 &&
            errno != ENOENT)
            rc = err_errno(e, errno, "remove %s/%s", path, entry->d_name);
    closedir(dir);
    return rc;
}

int
file_store_del_all(const struct file_store *s, struct err *e)
{
    char *ltx = path_join(s->root, "ltx");
    int rc = 0;

    for (int level = 0; rc == 0 && level < LTX_N_LEVELS; level++) {
        char *dir = ltx_level_path(s->root, level);

        rc = empty_level(dir, e);
        if (rc == 0)
            rmdir(dir); /* stays when something foreign is in it */
        mem_free(dir);
    }
    /* Without ltx a write has failed in between, and may have made the folder. */
    if (rc == 0 && (rmdir(ltx) == 0 || errno == ENOENT))
        rmdir(s->root);
    mem_free(ltx);
    return rc;
}
