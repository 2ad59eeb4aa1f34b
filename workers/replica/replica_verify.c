/*
 * Is what the destination holds of the same history as the local files? TXIDs alone do
 * not tell: a machine that was set back, or a copy of it, has used them up for other
 * content.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "workers/replica/replica_impl.h"

/* So many files of level 0 are looked at for one that is here as well. */
#define MAX_LOOKS 256

/* The trailer ends with the checksum of the whole file. */
static int
read_local(struct replica *r, const struct ltx_info *info, int64_t *size, struct err *e)
{
    char name[LTX_NAME_SIZE];
    struct stat st;
    char *path;
    int fd = -1, rc;

    ltx_name_format(info->min_txid, info->max_txid, name);
    path = path_join(r->opt.l0_dir, name);
    rc = sys_open(path, O_RDONLY, 0, &fd, e);
    mem_free(path);
    if (rc != 0)
        return rc;
    if (fstat(fd, &st) != 0)
        rc = err_errno(e, errno, "stat %s", name);
    else if (st.st_size < LTX_MIN_FILE_SIZE)
        rc = err_set(e, ERR_CORRUPT, "%s is too short", name);
    if (rc == 0)
        rc = sys_pread_all(
            fd, r->trailer.local, LTX_TRAILER_SIZE, st.st_size - LTX_TRAILER_SIZE, e);
    *size = st.st_size;
    sys_close(&fd);
    return rc;
}

/* It cannot be told now: everything is listed again. */
static void
give_up(struct replica *r, const struct err *why)
{
    struct err e = *why;

    err_wrap(&e, "find replica position");
    r->n_listed = 0;
    replica_failed(r, &e);
}

/* A file that is gone since it was listed says nothing about the history. */
static void
on_trailer(void *arg, const struct drv_result *res)
{
    struct replica *r = arg;

    r->op = NULL;
    if (res->err != NULL && res->err->code != ERR_RANGE) {
        give_up(r, res->err);
        return;
    }
    r->foreign = res->err != NULL || res->size != LTX_TRAILER_SIZE ||
                 memcmp(r->trailer.local, r->trailer.there, LTX_TRAILER_SIZE) != 0;
    replica_verified(r);
}

static void
ask(struct replica *r, const struct ltx_info *info)
{
    struct drv_get req = { .level = 0,
        .min_txid = info->min_txid,
        .max_txid = info->max_txid,
        .off = info->size - LTX_TRAILER_SIZE,
        .size = LTX_TRAILER_SIZE,
        .buf = r->trailer.there,
        .done = on_trailer,
        .arg = r };
    struct err e;

    r->op = drv_get(r->drv, &req, &e);
    if (r->op == NULL)
        give_up(r, &e);
}

/* There is none of that name, or a damaged one: an older one has to tell. */
static bool
is_no_witness(int rc)
{
    return rc == ERR_NOT_FOUND || rc == ERR_CORRUPT;
}

void
replica_verify(struct replica *r)
{
    size_t n, looks = 0;
    const struct ltx_info *l0 = holdings_l0(r->holdings, &n);

    r->foreign = false;
    while (n > 0 && looks++ < MAX_LOOKS) {
        const struct ltx_info *info = &l0[--n];
        int64_t size;
        struct err e;
        int rc;

        if (info->min_txid != info->max_txid)
            continue;
        rc = read_local(r, info, &size, &e);
        if (is_no_witness(rc))
            continue;
        if (rc != 0) {
            give_up(r, &e);
            return;
        }
        if (size == info->size) {
            ask(r, info);
            return;
        }
        r->foreign = true;
        break;
    }
    replica_verified(r);
}
