#include "workers/sync/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/path.h"
#include "common/ltx/ltx_name.h"
#include "workers/sync/engine_impl.h"
#include "workers/sync/meta.h"

struct engine *
engine_new(uv_loop_t *loop, const struct engine_options *options, engine_done_cb *done,
    void *arg)
{
    struct engine *eng = MEM_NEW(struct engine);

    eng->opt = *options;
    eng->loop = loop;
    eng->done = done;
    eng->arg = arg;
    eng->lock_fd = eng->wal_fd = -1;
    eng->l0_dir = ltx_level_path(options->meta, 0);
    eng->scan = wal_scan_new(eng->l0_dir);
    return eng;
}

void
engine_free(struct engine *eng)
{
    if (eng == NULL)
        return;
    must(eng->db == NULL && eng->job == NULL);
    wal_scan_free(eng->scan);
    mem_free(eng->l0_dir);
    mem_free(eng);
}

/* --- open and close -------------------------------------------------------------------
 */

int
engine_open_wal(struct engine *eng, struct err *e)
{
    struct stat st;
    const char *path = dbconn_wal_path(eng->db);
    int rc = sys_open(path, O_RDONLY, 0, &eng->wal_fd, e);

    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    if (fstat(eng->wal_fd, &st) != 0)
        return err_errno(e, errno, "stat %s", path);
    eng->wal_dev = st.st_dev;
    eng->wal_ino = st.st_ino;
    return 0;
}

/* The WAL at the path is still the one that is open. A missing one counts as another. */
bool
engine_same_wal(const struct engine *eng)
{
    struct stat st;

    if (eng->wal_fd < 0)
        return true;
    return stat(dbconn_wal_path(eng->db), &st) == 0 && st.st_dev == eng->wal_dev &&
           st.st_ino == eng->wal_ino;
}

static void
take_position(struct engine *eng, unsigned damaged)
{
    const struct position *p = &eng->found;

    eng->txid = p->txid;
    eng->commit = p->commit;
    eng->mark = (struct mark){ 0 };
    eng->image_reason = NULL;
    if (p->txid != 0 && p->page_size != dbconn_page_size(eng->db)) {
        eng->image_reason = "page size changed";
    } else if (p->txid != 0 && !p->have_mark) {
        eng->image_reason = "last ltx file names no place in the wal";
    } else if (p->txid != 0) {
        eng->mark =
            (struct mark){ .set = true, .salt = p->salt, .place = { .off = p->off } };
    }
    eng->other_db = p->txid != 0 && !db_id_may_be(&eng->captured_id, &eng->db_id);
    if (eng->other_db)
        eng->image_reason = "database file was replaced or overwritten";
    if (!eng->opened_once)
        eng->start_txid = p->txid;
    eng->opened_once = true;
    if (damaged > 0)
        log_warn("local ltx files were damaged", LF_UINT("files", damaged),
            LF_TXID("txid", p->txid));
}

void
engine_note_db(struct engine *eng)
{
    struct err e;

    if (db_id_equal(&eng->captured_id, &eng->db_id))
        return;
    eng->captured_id = eng->db_id;
    if (db_id_store(eng->opt.meta, &eng->owner, &eng->db_id, &e) != 0)
        log_warn("identity of the database was not noted",
            LF_STR("path", eng->opt.db_path), LF_ERR(&e));
}

void
engine_disown_db(struct engine *eng)
{
    struct db_id nobody = { .inode = UINT64_MAX };
    struct err e;

    eng->captured_id = nobody;
    if (db_id_store(eng->opt.meta, &eng->owner, &nobody, &e) != 0)
        log_warn("overwritten database was not noted", LF_ERR(&e));
}

/* Of a folder that was made without it nothing is known: its files are believed. */
static int
identify(struct engine *eng, struct err *e)
{
    struct db_id noted;
    int rc = db_id_load(eng->opt.meta, &noted, e);

    eng->db_id = db_id_of(dbconn_fd(eng->db));
    if (rc == 0 && noted.inode != 0)
        eng->captured_id = noted;
    if (rc == 0 && eng->found.txid != 0 && eng->captured_id.inode == 0)
        engine_note_db(eng);
    return rc;
}

int
engine_open(struct engine *eng, struct err *e)
{
    unsigned damaged = 0;
    int rc;

    must(eng->db == NULL);
    rc = meta_owner_of(eng->opt.db_path, &eng->owner, e);
    if (rc == 0)
        rc = dbconn_open(eng->opt.db_path, eng->opt.busy_timeout_ms, &eng->db, e);
    if (rc == 0)
        rc = meta_make(eng->opt.meta, &eng->owner, e);
    if (rc == 0)
        rc = meta_lock(eng->opt.meta, &eng->lock_fd, e);
    if (rc == 0) {
        meta_clean(eng->opt.meta);
        rc = position_find(eng->opt.meta, &eng->found, &damaged, e);
    }
    if (rc == 0)
        rc = identify(eng, e);
    if (rc == 0)
        rc = engine_open_wal(eng, e);
    if (rc != 0) {
        engine_close(eng);
        return rc;
    }
    take_position(eng, damaged);
    engine_policy_init(eng);
    if (eng->mark.set && eng->mark.place.off > WAL_HEADER_SIZE)
        ckpt_policy_captured(
            &eng->policy, mono_now()); /* what the last life left in the WAL */
    return 0;
}

void
engine_close(struct engine *eng)
{
    must(eng->job == NULL && eng->frozen == NULL);
    sys_close(&eng->wal_fd);
    dbconn_close(eng->db);
    eng->db = NULL;
    sys_close(&eng->lock_fd);
    eng->sealed = eng->caught_up = false;
    eng->still.set = eng->overwritten.set = false;
    eng->rest.set = false;
    eng->torn_since = (struct mono){ 0 };
}

bool
engine_is_open(const struct engine *eng)
{
    return eng->db != NULL;
}

const char *
engine_wal_path(const struct engine *eng)
{
    return dbconn_wal_path(eng->db);
}

uint64_t
engine_txid(const struct engine *eng)
{
    return eng->txid;
}

uint64_t
engine_start_txid(const struct engine *eng)
{
    return eng->start_txid;
}

bool
engine_busy(const struct engine *eng)
{
    return eng->job != NULL;
}

void
engine_cancel(struct engine *eng)
{
    job_cancel(eng->job);
}

int64_t
engine_wal_offset(const struct engine *eng)
{
    return eng->mark.set ? eng->mark.place.off : 0;
}

int64_t
engine_db_size(const struct engine *eng)
{
    struct stat st;

    return eng->db != NULL && fstat(dbconn_fd(eng->db), &st) == 0 ? st.st_size : 0;
}

const char *
engine_l0_dir(const struct engine *eng)
{
    return eng->l0_dir;
}

void
engine_set_floor(struct engine *eng, uint64_t txid)
{
    eng->floor_known = true;
    if (txid > eng->floor)
        eng->floor = txid;
}

bool
engine_can_name(const struct engine *eng)
{
    return eng->floor_known || eng->txid != 0;
}

int
engine_rebase(struct engine *eng, uint64_t txid, struct err *e)
{
    int rc;

    must(eng->db != NULL && eng->job == NULL);
    rc = meta_clear_level(eng->opt.meta, 0, e);
    if (rc != 0)
        return err_wrap(e, "discard local ltx files");
    engine_lose_frozen(eng, "the local files were discarded");
    eng->txid = eng->start_txid = txid;
    eng->mark = (struct mark){ 0 };
    eng->sealed = false;
    eng->image_reason = "database behind replica";
    engine_set_floor(eng, txid);
    return 0;
}

int
engine_reset(struct engine *eng, struct err *e)
{
    uint64_t to = eng->txid > eng->floor ? eng->txid : eng->floor;
    int rc;

    if (eng->found.damaged_txid > to)
        to = eng->found.damaged_txid;
    rc = engine_rebase(eng, to, e);
    if (rc == 0)
        rc = meta_remove_aside(eng->opt.meta, 0, UINT64_MAX, e);
    if (rc == 0)
        eng->image_reason = "local state was reset";
    return rc;
}

bool
engine_found_damage(const struct engine *eng)
{
    return eng->found.damaged_txid > 0;
}
