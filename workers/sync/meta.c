#include "workers/sync/meta.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"

#define TMP_MAX_OPEN 8
#define ASIDE_SUFFIX ".bad"

int
meta_owner_of(const char *db_path, struct sys_owner *owner, struct err *e)
{
    char *dir = path_dir(db_path);
    struct stat db, folder;
    int rc = 0;

    if (stat(db_path, &db) != 0)
        rc = err_errno(e, errno, "stat %s", db_path);
    else if (stat(dir, &folder) != 0)
        rc = err_errno(e, errno, "stat %s", dir);
    mem_free(dir);
    if (rc != 0)
        return rc;
    *owner = (struct sys_owner){ .file_mode = db.st_mode & 0777,
        .dir_mode = folder.st_mode & 07777,
        .uid = db.st_uid,
        .gid = db.st_gid,
        .set_owner = db.st_uid != geteuid() || db.st_gid != getegid() };
    return 0;
}

static int
remove_tmp(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t len = strlen(path);

    (void)st;
    (void)ftw;
    if (type == FTW_F && len > 4 && strcmp(path + len - 4, ".tmp") == 0)
        unlink(path);
    return 0;
}

int
meta_make(const char *meta, const struct sys_owner *owner, struct err *e)
{
    char *dir = ltx_level_path(meta, 0);
    int rc = sys_mkdirs(dir, owner, e);

    mem_free(dir);
    return rc != 0 ? err_wrap(e, "stage-mkdir") : 0;
}

void
meta_clean(const char *meta)
{
    nftw(meta, remove_tmp, TMP_MAX_OPEN, FTW_PHYS);
}

static int
lock_conflict(int fd, const char *path, struct err *e)
{
    char pid[32] = "";
    size_t got = 0;
    struct err ignored;

    if (sys_pread(fd, pid, sizeof(pid) - 1, 0, &got, &ignored) == 0)
        pid[got] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return err_set(e, ERR_CONFLICT, "already replicated by pid %s (lock %s)",
        pid[0] != '\0' ? pid : "unknown", path);
}

int
meta_lock(const char *meta, int *fd, struct err *e)
{
    char *path = path_join(meta, ".lock");
    char pid[32];
    int rc = sys_open(path, O_RDWR | O_CREAT, 0600, fd, e);

    if (rc != 0)
        goto out;
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? lock_conflict(*fd, path, e)
                                  : err_errno(e, errno, "lock %s", path);
        sys_close(fd);
        goto out;
    }
    snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (sys->ftruncate(*fd, 0) != 0)
        rc = err_errno(e, errno, "truncate %s", path);
    if (rc == 0)
        rc = sys_pwrite_all(*fd, pid, strlen(pid), 0, e);
    if (rc != 0)
        sys_close(fd);
out:
    mem_free(path);
    return rc;
}

int
meta_list(const char *meta, int level, struct ltx_info **infos, size_t *n, struct err *e)
{
    char *path = ltx_level_path(meta, level);
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t cap = 0;
    int rc = 0;

    *infos = NULL;
    *n = 0;
    if (dir == NULL && errno != ENOENT)
        rc = err_errno(e, errno, "open %s", path);
    while (dir != NULL && (errno = 0, entry = readdir(dir)) != NULL) {
        struct ltx_info info = { .level = level };

        if (!ltx_name_parse(entry->d_name, &info.min_txid, &info.max_txid))
            continue;
        if (*n == cap) {
            cap = cap > 0 ? cap * 2 : 16;
            *infos = mem_resize(*infos, cap * sizeof(info));
        }
        (*infos)[(*n)++] = info;
    }
    /* A listing cut short would bring an old position, whose TXIDs are taken. */
    if (dir != NULL && errno != 0)
        rc = err_errno(e, errno, "read %s", path);
    if (dir != NULL)
        closedir(dir);
    if (*n > 0)
        qsort(*infos, *n, sizeof(**infos), ltx_info_cmp);
    mem_free(path);
    return rc;
}

int
meta_newest(const char *meta, int level, struct ltx_info *info, struct err *e)
{
    struct ltx_info *all;
    size_t n;
    int rc = meta_list(meta, level, &all, &n, e);

    if (rc == 0 && n == 0)
        rc = err_set(e, ERR_NOT_FOUND, "no local ltx file");
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (i == 0 || all[i].max_txid > info->max_txid)
            *info = all[i];
    mem_free(all);
    return rc;
}

int
meta_bytes_from(const char *meta, int level, uint64_t txid, int64_t *bytes, struct err *e)
{
    struct ltx_info *all;
    size_t n;
    int rc = meta_list(meta, level, &all, &n, e);

    *bytes = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *file = ltx_file_path(meta, level, all[i].min_txid, all[i].max_txid);
        struct stat st;

        if (all[i].max_txid >= txid && stat(file, &st) == 0)
            *bytes += st.st_size;
        mem_free(file);
    }
    mem_free(all);
    return rc;
}

int
meta_set_aside(const char *path, struct err *e)
{
    char *bad = mem_printf("%s" ASIDE_SUFFIX, path);
    int rc = sys_publish(path, bad, e);

    mem_free(bad);
    return rc;
}

int
meta_remove_upto(const char *meta, int level, uint64_t txid, struct err *e)
{
    struct ltx_info *all;
    size_t n;
    int rc = meta_list(meta, level, &all, &n, e);

    for (size_t i = 0; rc == 0 && i + 1 < n && all[i].max_txid <= txid; i++) {
        char *file = ltx_file_path(meta, level, all[i].min_txid, all[i].max_txid);

        rc = sys_remove(file, e);
        mem_free(file);
    }
    mem_free(all);
    return rc;
}

/* min and max TXID of the file that was put aside under this name. */
static bool
parse_aside(const char *name, uint64_t *min_txid, uint64_t *max_txid)
{
    size_t len = strlen(name), suffix = strlen(ASIDE_SUFFIX);
    char plain[LTX_NAME_SIZE];

    if (len <= suffix || len - suffix >= sizeof(plain) ||
        strcmp(name + len - suffix, ASIDE_SUFFIX) != 0)
        return false;
    memcpy(plain, name, len - suffix);
    plain[len - suffix] = '\0';
    return ltx_name_parse(plain, min_txid, max_txid);
}

int
meta_remove_aside(const char *meta, int level, uint64_t txid, struct err *e)
{
    char *path = ltx_level_path(meta, level);
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL && errno != ENOENT)
        rc = err_errno(e, errno, "open %s", path);
    while (rc == 0 && dir != NULL && (entry = readdir(dir)) != NULL) {
        uint64_t min, max;
        char *file;

        if (!parse_aside(entry->d_name, &min, &max) || max > txid)
            continue;
        file = path_join(path, entry->d_name);
        rc = sys_remove(file, e);
        mem_free(file);
    }
    if (dir != NULL)
        closedir(dir);
    mem_free(path);
    return rc;
}

static int
remove_any(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int
meta_remove_all(const char *meta, struct err *e)
{
    char *ltx = path_join(meta, "ltx");
    int rc = 0;

    if (nftw(ltx, remove_any, TMP_MAX_OPEN, FTW_PHYS | FTW_DEPTH) != 0 && errno != ENOENT)
        rc = err_errno(e, errno, "remove %s", ltx);
    if (rc == 0)
        rc = sys_sync_parent(ltx, e);
    mem_free(ltx);
    return rc;
}

int
meta_clear_level(const char *meta, int level, struct err *e)
{
    char *path = ltx_level_path(meta, level);
    struct ltx_info *all;
    size_t n;
    int rc = meta_list(meta, level, &all, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *file = ltx_file_path(meta, level, all[i].min_txid, all[i].max_txid);

        rc = sys_remove(file, e);
        if (rc == 0 && i + 1 == n)
            rc = sys_sync_parent(file, e);
        mem_free(file);
    }
    mem_free(all);
    mem_free(path);
    return rc;
}
