#include "workers/restore/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "workers/restore/integrity.h"

static const char *const sidecars[] = { "-wal", "-shm", "-journal" };

#define N_SIDECARS (sizeof(sidecars) / sizeof(sidecars[0]))

struct output {
    char *path, *tmp;
    int fd;
    bool made; /* P.tmp exists */
};

static int
check_sidecars(const char *path, struct err *e)
{
    for (size_t i = 0; i < N_SIDECARS; i++) {
        char *side = mem_printf("%s%s", path, sidecars[i]);
        struct stat st;
        int rc = 0;

        if (lstat(side, &st) == 0)
            rc = err_set(e, ERR_EXISTS,
                "cannot restore, SQLite sidecar path already exists: %s. Use -force to "
                "overwrite",
                side);
        mem_free(side);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int
output_check(const char *path, bool force, struct err *e)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return err_set(
                e, ERR_USAGE, "cannot restore, output path is a directory: %s", path);
        if (st.st_size > 0 && !force)
            return err_set(e, ERR_EXISTS,
                "cannot restore, output path already exists and is not empty: %s. Use -force "
                "to overwrite",
                path);
    } else if (errno != ENOENT) {
        return err_errno(e, errno, "stat %s", path);
    }
    return force ? 0 : check_sidecars(path, e);
}

/* A file that is replaced hands on its mode and, where that is allowed, its owner. */
static mode_t
old_mode(const char *path, struct stat *st)
{
    return stat(path, st) == 0 ? st->st_mode & 0777 : 0;
}

int
output_open(const char *path, struct output **out, struct err *e)
{
    struct output *o = MEM_NEW(struct output);
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    char *dir = path_dir(path);
    struct stat st;
    mode_t mode;
    int rc;

    o->fd = -1;
    o->path = mem_strdup(path);
    o->tmp = mem_printf("%s.tmp", path);
    rc = sys_mkdirs(dir, &owner, e);
    if (rc != 0)
        err_wrap(e, "create parent directory");
    mem_free(dir);
    if (rc == 0) {
        rc = sys_open(o->tmp, O_RDWR | O_CREAT | O_TRUNC, 0666, &o->fd, e);
        if (rc != 0)
            err_wrap(e, "create temp database path");
    }
    if (rc != 0) {
        output_free(o);
        return rc;
    }
    o->made = true;
    mode = old_mode(path, &st);
    if (mode != 0 &&
        (fchmod(o->fd, mode) != 0 || fchown(o->fd, st.st_uid, st.st_gid) != 0)) {
        /* best effort: the new file then belongs to whoever restores */
    }
    *out = o;
    return 0;
}

int
output_fd(const struct output *o)
{
    return o->fd;
}

const char *
output_tmp_path(const struct output *o)
{
    return o->tmp;
}

static int
remove_sidecars(const char *path, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < N_SIDECARS; i++) {
        char *side = mem_printf("%s%s", path, sidecars[i]);

        rc = sys_remove(side, e);
        mem_free(side);
    }
    return rc;
}

static int
publish(struct output *o, enum restore_integrity mode, struct err *e)
{
    int rc;

    if (sys->fsync(o->fd) != 0)
        return err_errno(e, errno, "sync restored database");
    sys_close(&o->fd);
    rc = integrity_check(o->tmp, mode, e);
    if (rc != 0)
        return err_wrap(e, "post-restore integrity check");
    /* A WAL of the old database beside the new one would be replayed into it. */
    rc = remove_sidecars(o->path, e);
    if (rc != 0)
        return rc;
    rc = sys_publish(o->tmp, o->path, e);
    if (rc != 0)
        return err_wrap(e, "sync restore output dir");
    o->made = false;
    return 0;
}

int
output_publish(struct output *o, enum restore_integrity mode, struct err *e)
{
    return publish(o, mode, e);
}

void
output_free(struct output *o)
{
    struct err ignored;

    if (o == NULL)
        return;
    sys_close(&o->fd);
    if (o->made) {
        sys_remove(o->tmp, &ignored);
        remove_sidecars(o->tmp, &ignored);
    }
    mem_free(o->path);
    mem_free(o->tmp);
    mem_free(o);
}
