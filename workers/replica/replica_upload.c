#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "workers/replica/replica_impl.h"
#include "workers/sync/meta.h"

#define TRUST_MS 60000

/* In an LTX file. */
#define HEADER_TIMESTAMP_OFF 32

static char *
local_path(const struct replica *r, uint64_t txid)
{
    char name[LTX_NAME_SIZE];

    ltx_name_format(txid, txid, name);
    return path_join(r->opt.l0_dir, name);
}

bool
replica_has_local(const struct replica *r, uint64_t txid)
{
    char *path = local_path(r, txid);
    struct stat st;
    bool there = stat(path, &st) == 0;

    mem_free(path);
    return there;
}

/* The next file is there. */
static void
advance(struct replica *r, int64_t size, struct wall created)
{
    struct ltx_info info = {
        .min_txid = r->txid + 1, .max_txid = r->txid + 1, .size = size, .created = created
    };

    sys_close(&r->fd);
    r->txid++;
    holdings_add(r->holdings, &info);
    replica_succeeded(r);
    log_debug("ltx file uploaded", LF_STR("replica", drv_type(r->drv)),
        LF_INT("level", 0), LF_TXID("minTXID", r->txid), LF_TXID("maxTXID", r->txid),
        LF_INT("size", size));
    if (r->txid >= r->target)
        r->last_ok_ms = wall_to_ms(wall_now());
    r->opt.changed(r->opt.arg, r);
    replica_step(r);
}

static void
upload_failed(struct replica *r, const struct err *why)
{
    struct err e = *why;

    sys_close(&r->fd);
    err_wrap(&e, "write ltx file");
    replica_failed(r, &e);
}

/* Nothing of the other writer's is replaced: one of the two would lose its backup. */
static void
stop_for_writer(struct replica *r)
{
    struct err e;

    sys_close(&r->fd);
    err_set(&e, ERR_CONFLICT,
        "another writer uses the path of this replica: its file of TXID %016llx differs",
        (unsigned long long)(r->txid + 1));
    err_hint(&e, "give this replica a path of its own");
    replica_hold(r, &e);
    replica_step(r); /* answers a push */
}

static void
on_compared(void *arg, bool same, const struct err *why)
{
    struct replica *r = arg;
    uint8_t stamp[8];
    struct err e;

    r->compare = NULL;
    if (why != NULL) {
        upload_failed(r, why);
    } else if (!same) {
        stop_for_writer(r);
    } else if (sys_pread_all(r->fd, stamp, sizeof(stamp), HEADER_TIMESTAMP_OFF, &e) !=
               0) {
        upload_failed(r, &e);
    } else {
        advance(r, r->fd_size, wall_from_ms((int64_t)ltx_get_u64(stamp)));
    }
}

/*
 * An upload whose answer was lost leaves the same file. Any other one comes from somebody
 * who writes there at the same time.
 */
static void
start_compare(struct replica *r)
{
    struct ltx_info name = { .min_txid = r->txid + 1, .max_txid = r->txid + 1 };
    struct err e;

    if (r->closing)
        return;
    if (compare_start(
            r->drv, &name, r->fd, r->fd_size, on_compared, r, &r->compare, &e) != 0)
        upload_failed(r, &e);
}

static void
on_uploaded(void *arg, const struct drv_result *res)
{
    struct replica *r = arg;

    r->op = NULL;
    if (res->err == NULL)
        advance(r, res->size, res->created);
    else if (res->err->code == ERR_EXISTS)
        start_compare(r);
    else
        upload_failed(r, res->err);
}

/* --- a local file that is gone --------------------------------------------------------
 */

/*
 * Goes on behind a snapshot. Its last TXID goes up as a file of level 0 as well, if it is
 * still there: Litestream looks for its position at that level.
 */
void
replica_go_on_at(struct replica *r, uint64_t txid)
{
    r->needs_snapshot = false;
    if (!r->stopped)
        r->err.code = ERR_OK;
    r->txid = replica_has_local(r, txid) ? txid - 1 : txid;
    log_info("replica goes on behind a snapshot", LF_STR("replica", drv_type(r->drv)),
        LF_STR("path", r->opt.db_path), LF_TXID("txid", txid));
}

/* Trying again does not help: no timer. */
static void
is_missing(struct replica *r, const struct err *e)
{
    const struct ltx_info *snapshot = holdings_newest(r->holdings, LTX_LEVEL_SNAPSHOT);

    if (snapshot->max_txid > r->txid && snapshot->max_txid <= r->target) {
        replica_go_on_at(r, snapshot->max_txid);
        replica_step(r);
        return;
    }
    r->err = *e;
    r->errors++;
    r->attempts++;
    r->pushed = false;
    if (!r->needs_snapshot)
        log_warn("replica needs a snapshot", LF_STR("replica", drv_type(r->drv)),
            LF_ERR(e), LF_STR("path", r->opt.db_path), LF_TXID("txid", r->txid + 1),
            LF_STR("hint", e->hint));
    r->needs_snapshot = true;
    r->opt.changed(r->opt.arg, r);
}

static int
open_local(struct replica *r, uint64_t txid, struct err *e)
{
    char *path = local_path(r, txid);
    struct stat st;
    int rc = sys_open(path, O_RDONLY, 0, &r->fd, e);

    mem_free(path);
    if (rc != 0)
        return rc;
    if (fstat(r->fd, &st) != 0) {
        rc = err_errno(e, errno, "stat ltx file");
        sys_close(&r->fd);
        return rc;
    }
    r->fd_size = st.st_size;
    return 0;
}

/*
 * It is worth nothing at the destination, and no attempt would make it better. Ends with
 * ERR_NOT_FOUND, unless it could not be moved.
 */
static int
put_aside(struct replica *r, uint64_t txid, struct err *e)
{
    struct err failure;
    char *path = local_path(r, txid);

    log_warn("damaged ltx file put aside", LF_STR("path", path), LF_ERR(e));
    err_wrap(e, "%s is damaged", path);
    e->code = ERR_NOT_FOUND;
    if (meta_set_aside(path, &failure) != 0)
        *e = failure;
    else
        r->lost = true;
    mem_free(path);
    return err_code(e);
}

/* --- files made just now --------------------------------------------------------------
 */

void
replica_trust(struct replica *r, uint64_t txid)
{
    size_t at = txid % REPLICA_N_TRUSTED;
    char *path = local_path(r, txid);

    r->trusted[at].txid = stat(path, &r->trusted[at].st) == 0 ? txid : 0;
    r->trusted[at].made = mono_now();
    mem_free(path);
}

static bool
same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool
replica_trusts(const struct replica *r, uint64_t txid, int fd)
{
    size_t at = txid % REPLICA_N_TRUSTED;
    const struct stat *then = &r->trusted[at].st;
    struct stat now;

    return r->trusted[at].txid == txid && txid > 0 &&
           mono_since_ms(r->trusted[at].made) < TRUST_MS && fstat(fd, &now) == 0 &&
           now.st_dev == then->st_dev && now.st_ino == then->st_ino &&
           now.st_size == then->st_size && same_time(now.st_mtim, then->st_mtim) &&
           same_time(now.st_ctim, then->st_ctim);
}

/* The local file is gone, or was not worth keeping. */
static void
has_no_file(struct replica *r, struct err *e)
{
    err_wrap(e, "a snapshot is needed: open ltx file");
    err_hint(e, "litestream reset %s", r->opt.db_path);
    e->code = ERR_CORRUPT; /* the other one is normal control flow */
    is_missing(r, e);
}

/* --- sending it -----------------------------------------------------------------------
 */

static void
send_file(struct replica *r)
{
    struct drv_put req = { .level = 0,
        .min_txid = r->txid + 1,
        .max_txid = r->txid + 1,
        .size = r->fd_size,
        .exclusive = true,
        .src = &r->source,
        .done = on_uploaded,
        .arg = r };
    struct err e;

    r->needs_snapshot = false; /* it is back */
    drv_source_file(&r->source, r->fd, 0);
    r->op = drv_put(r->drv, &req, &e);
    if (r->op == NULL) {
        sys_close(&r->fd);
        replica_failed(r, &e);
    }
}

/* e: what its verification found, NULL: it is good. */
static void
is_verified(struct replica *r, const struct err *found)
{
    struct err e;

    if (found == NULL) {
        send_file(r);
        return;
    }
    e = *found;
    sys_close(&r->fd);
    if (e.code != ERR_CORRUPT)
        err_wrap(&e, "verify local ltx file");
    else if (put_aside(r, r->txid + 1, &e) == ERR_NOT_FOUND) {
        has_no_file(r, &e);
        return;
    }
    replica_failed(r, &e);
}

static void
on_verified(void *arg, const struct err *found)
{
    struct replica *r = arg;

    r->verify = NULL;
    if (r->closing) {
        replica_free_if_closed(r);
    } else if (r->held) { /* meanwhile it became one of another history */
        sys_close(&r->fd);
        replica_step(r);
    } else {
        is_verified(r, found);
    }
}

void
replica_upload(struct replica *r)
{
    uint64_t txid = r->txid + 1;
    struct err e;
    int rc = open_local(r, txid, &e);

    r->lost = rc == ERR_NOT_FOUND && r->txid > 0 && replica_has_local(r, r->txid);
    if (rc == ERR_NOT_FOUND) {
        has_no_file(r, &e);
        return;
    }
    if (rc == 0 && r->fd_size <= VERIFY_INLINE_BYTES) {
        is_verified(r, verify_now(r->fd, txid, NULL, &e) != 0 ? &e : NULL);
        return;
    }
    if (rc == 0 && replica_trusts(r, txid, r->fd)) {
        send_file(r);
        return;
    }
    if (rc == 0)
        rc = verify_start(r->opt.loop, r->fd, txid, on_verified, r, &r->verify, &e);
    if (rc != 0) {
        sys_close(&r->fd);
        replica_failed(r, &e);
    }
}
