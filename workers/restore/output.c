#include "workers/restore/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/base/sys.h"
#include "workers/restore/integrity.h"

static const char *const sidecars[] = { "-wal", "-shm", "-journal" };

#define N_SIDECARS (sizeof(sidecars) / sizeof(sidecars[0]))

struct output {
    char *path, *tmp;
    int fd;
    bool force;
    bool made;              /* P.tmp is ours */
    bool aside[N_SIDECARS]; /* P-wal.old and the like hold what was there */
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

    if (path[0] == '\0' || path[strlen(path) - 1] == '/')
        return err_set(
            e, ERR_USAGE, "cannot restore, output path names no file: \"%s\"", path);
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

/* False: what is locked has another name, or none, by now. */
static bool
still_named(const struct output *o)
{
    struct stat mine, named;

    return fstat(o->fd, &mine) == 0 && lstat(o->tmp, &named) == 0 &&
           mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/*
 * P.tmp, empty and for us alone. One that a killed restore left is used again; its -wal
 * and -journal would be replayed into what is written now.
 */
static int
open_tmp(struct output *o, struct err *e)
{
    int rc = sys_open(o->tmp, O_RDWR | O_CREAT, 0666, &o->fd, e);

    if (rc != 0)
        return rc;
    if (flock(o->fd, LOCK_EX | LOCK_NB) != 0 || !still_named(o)) {
        rc = err_set(
            e, ERR_CONFLICT, "another process restores to this place: %s", o->path);
        err_hint(e, "wait for the other restore to end, or use another output path");
        return rc;
    }
    o->made = true;
    if (sys->ftruncate(o->fd, 0) != 0)
        return err_errno(e, errno, "truncate %s", o->tmp);
    return remove_sidecars(o->tmp, e);
}

int
output_open(const char *path, bool force, struct output **out, struct err *e)
{
    struct output *o = MEM_NEW(struct output);
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    char *dir = path_dir(path);
    struct stat st;
    mode_t mode;
    int rc;

    o->fd = -1;
    o->force = force;
    o->path = mem_strdup(path);
    o->tmp = mem_printf("%s.tmp", path);
    rc = sys_mkdirs(dir, &owner, e);
    if (rc != 0)
        err_wrap(e, "create parent directory");
    mem_free(dir);
    if (rc == 0) {
        rc = open_tmp(o, e);
        if (rc != 0)
            err_wrap(e, "create temp database path");
    }
    if (rc != 0) {
        output_free(o);
        return rc;
    }
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

/* --- putting it in place --------------------------------------------------------------
 */

static char *
side_path(const struct output *o, size_t i, const char *suffix)
{
    return mem_printf("%s%s%s", o->path, sidecars[i], suffix);
}

/* P-wal and P-journal to P-wal.old ...; a missing one is fine. */
static int
set_aside(struct output *o, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < N_SIDECARS; i++) {
        char *side = side_path(o, i, ""), *old = side_path(o, i, ".old");

        if (sys->rename(side, old) == 0)
            o->aside[i] = true;
        else if (errno != ENOENT)
            rc = err_errno(e, errno, "set %s aside", side);
        mem_free(side);
        mem_free(old);
    }
    return rc;
}

/* The old database is whole again, or gone with all that belonged to it. */
static void
end_aside(struct output *o, bool put_back)
{
    for (size_t i = 0; i < N_SIDECARS; i++) {
        char *side = side_path(o, i, ""), *old = side_path(o, i, ".old");

        if (o->aside[i] && (put_back ? sys->rename(old, side) : sys->unlink(old)) != 0)
            log_warn(
                "what belonged to the old database was left behind", LF_STR("path", old));
        o->aside[i] = false;
        mem_free(side);
        mem_free(old);
    }
}

static int
replace(struct output *o, struct err *e)
{
    struct stat mine, there;
    bool in_place;
    int rc = set_aside(o, e);

    if (rc == 0)
        rc = sys_publish(o->tmp, o->path, e);
    in_place = fstat(o->fd, &mine) == 0 && stat(o->path, &there) == 0 &&
               mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
    end_aside(o, !in_place);
    return rc;
}

/* What came since the restore began is not ours to replace. */
static int
put_new(struct output *o, struct err *e)
{
    struct stat st;
    int rc = output_check(o->path, false, e);

    if (rc != 0)
        return rc;
    return stat(o->path, &st) == 0 ? sys_publish(o->tmp, o->path, e)
                                   : sys_publish_new(o->tmp, o->path, e);
}

int
output_publish(struct output *o, enum restore_integrity mode, struct err *e)
{
    int rc;

    if (sys->fsync(o->fd) != 0)
        return err_errno(e, errno, "sync restored database");
    rc = integrity_check(o->tmp, mode, e);
    if (rc != 0)
        return err_wrap(e, "post-restore integrity check");
    rc = o->force ? replace(o, e) : put_new(o, e);
    if (rc != 0 && rc != ERR_EXISTS)
        err_wrap(e, "sync restore output dir");
    return rc;
}

void
output_free(struct output *o)
{
    struct err ignored;

    if (o == NULL)
        return;
    if (o->made && still_named(o)) { /* once in place, P.tmp may be another restore's */
        sys_remove(o->tmp, &ignored);
        remove_sidecars(o->tmp, &ignored);
    }
    sys_close(&o->fd); /* the lock ends when the name is gone */
    mem_free(o->path);
    mem_free(o->tmp);
    mem_free(o);
}
