#include "workers/restore/follow_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/sys.h"
#include "common/ltx/ltx_format.h"
#include "workers/restore/follow_journal.h"
#include "workers/restore/follow_lock.h"
#include "workers/restore/follow_state.h"

#define RECOVER_TIMEOUT_MS 10000

struct follow_db {
    char *path; /* as SQLite sees it, symbolic links resolved: the journal's name */
    char *journal_path;
    int fd;
    uint32_t page_size, n_pages;
    uint64_t txid;                      /* 0: not known */
    uint8_t header[FOLLOW_HEADER_SIZE]; /* as last seen or written */

    /* a change */
    struct follow_journal *journal; /* NULL: none */
    bool sealed;
    uint32_t commit;
    uint64_t *saved; /* a bit per page 1..n_pages */
    uint8_t *page1;  /* as it will be */
    uint8_t *page;   /* scratch */
};

/* --- open -----------------------------------------------------------------------------
 */

static int
check_absent(const char *path, const char *suffix, struct err *e)
{
    char *side = mem_printf("%s%s", path, suffix);
    struct stat st;
    int rc = 0;

    if (lstat(side, &st) == 0)
        rc = err_set(e, ERR_EXISTS,
            "cannot follow, SQLite sidecar path exists: %s: another program has the "
            "database open in WAL mode, or has left it so",
            side);
    mem_free(side);
    return rc;
}

/* Whoever reads first plays the journal back: here that is SQLite itself. */
static int
recover(struct follow_db *db, struct err *e)
{
    sqlite3 *con = NULL;
    bool hot;
    int rc = follow_journal_is_hot(db->journal_path, &hot, e);

    if (rc != 0 || !hot)
        return rc;
    rc = sqlite3_open_v2(db->path, &con, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(con, RECOVER_TIMEOUT_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(con, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        rc = err_set(e, rc == SQLITE_BUSY ? ERR_BUSY : ERR_SQLITE, "roll back %s: %s",
            db->journal_path, con != NULL ? sqlite3_errmsg(con) : sqlite3_errstr(rc));
    sqlite3_close(con);
    if (rc == 0)
        rc = follow_journal_is_hot(db->journal_path, &hot, e);
    if (rc == 0 && hot)
        return err_set(e, ERR_BUSY, "%s is still there", db->journal_path);
    if (rc == 0)
        log_info("follow: rolled back an unfinished change", LF_STR("path", db->path));
    return rc;
}

static int
read_size(struct follow_db *db, struct err *e)
{
    struct stat st;

    if (fstat(db->fd, &st) != 0)
        return err_errno(e, errno, "stat %s", db->path);
    if (st.st_size % db->page_size != 0 || st.st_size / db->page_size > UINT32_MAX)
        return err_set(e, ERR_CORRUPT, "%s: %lld bytes are no whole pages of %u bytes",
            db->path, (long long)st.st_size, db->page_size);
    db->n_pages = (uint32_t)(st.st_size / db->page_size);
    return 0;
}

static int
read_header(struct follow_db *db, uint8_t header[FOLLOW_HEADER_SIZE], struct err *e)
{
    size_t got;
    int rc = sys_pread(db->fd, header, FOLLOW_HEADER_SIZE, 0, &got, e);

    if (rc != 0)
        return err_wrap(e, "%s", db->path);
    if (got < FOLLOW_HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
        return err_set(e, ERR_CORRUPT, "%s is no SQLite database", db->path);
    return 0;
}

static int
written_by_another(const struct follow_db *db, struct err *e)
{
    return err_set(e, ERR_CONFLICT,
        "another program has written to %s; delete it and its -txid file to restore it "
        "again",
        db->path);
}

static int
read_state(struct follow_db *db, uint64_t saved, struct err *e)
{
    uint32_t size;
    int rc = read_header(db, db->header, e);

    if (rc != 0)
        return rc;
    size = ltx_get_u16(db->header + 16);
    db->page_size = size == 1 ? 65536 : size;
    if (!ltx_page_size_valid(db->page_size))
        return err_set(e, ERR_CORRUPT, "%s: page size %u", db->path, db->page_size);
    switch (follow_mark_get(db->header, saved, &db->txid)) {
    case FOLLOW_MARK_OURS:
        break;
    case FOLLOW_MARK_NONE:
        db->txid = 0;
        break;
    case FOLLOW_MARK_WRITER:
        return written_by_another(db, e);
    }
    db->page1 = mem_new(db->page_size);
    db->page = mem_new(db->page_size);
    return read_size(db, e);
}

static int
open_all(struct follow_db *db, uint64_t saved, struct err *e)
{
    int rc = check_absent(db->path, "-wal", e);

    if (rc == 0)
        rc = check_absent(db->path, "-shm", e);
    if (rc == 0)
        rc = recover(db, e);
    if (rc == 0)
        rc = sys_open(db->path, O_RDWR, 0, &db->fd, e);
    return rc == 0 ? read_state(db, saved, e) : rc;
}

int
follow_db_open(const char *path, uint64_t saved, struct follow_db **out, struct err *e)
{
    struct follow_db *db;
    char *real = realpath(path, NULL);
    int rc;

    if (real == NULL)
        return err_errno(e, errno, "open %s", path);
    db = MEM_NEW(struct follow_db);
    db->fd = -1;
    db->path = mem_strdup(real);
    db->journal_path = mem_printf("%s-journal", real);
    free(real);
    rc = open_all(db, saved, e);
    if (rc == 0)
        *out = db;
    else
        follow_db_close(db);
    return rc;
}

void
follow_db_close(struct follow_db *db)
{
    if (db == NULL)
        return;
    must(db->journal == NULL);
    if (db->fd >= 0)
        sys->fsync(db->fd);
    sys_close(&db->fd);
    mem_free(db->page1);
    mem_free(db->page);
    mem_free(db->path);
    mem_free(db->journal_path);
    mem_free(db);
}

uint64_t
follow_db_txid(const struct follow_db *db)
{
    return db->txid;
}

uint32_t
follow_db_page_size(const struct follow_db *db)
{
    return db->page_size;
}

uint32_t
follow_db_n_pages(const struct follow_db *db)
{
    return db->n_pages;
}

/* --- a change -------------------------------------------------------------------------
 */

static int64_t
offset_of(const struct follow_db *db, uint32_t pgno)
{
    return (int64_t)(pgno - 1) * db->page_size;
}

int
follow_db_read(
    struct follow_db *db, uint32_t pgno, uint32_t n, void *pages, struct err *e)
{
    int rc =
        sys_pread_all(db->fd, pages, (size_t)n * db->page_size, offset_of(db, pgno), e);

    return rc == 0 ? 0 : err_wrap(e, "%s", db->path);
}

/* Under the lock: is it still the file, and in the state that it was left in? */
static int
check_unchanged(struct follow_db *db, struct stat *st, struct err *e)
{
    uint8_t header[FOLLOW_HEADER_SIZE];
    struct stat named;
    bool hot;
    int rc;

    if (fstat(db->fd, st) != 0)
        return err_errno(e, errno, "stat %s", db->path);
    if (stat(db->path, &named) != 0)
        return err_set(e, ERR_CONFLICT, "%s: %s", db->path, err_errno_text(errno));
    if (st->st_dev != named.st_dev || st->st_ino != named.st_ino)
        return err_set(e, ERR_CONFLICT, "%s was replaced by another file", db->path);
    rc = follow_journal_is_hot(db->journal_path, &hot, e);
    if (rc == 0 && hot)
        rc = err_set(
            e, ERR_BUSY, "the writer of %s has not ended its change", db->journal_path);
    if (rc == 0)
        rc = read_header(db, header, e);
    if (rc == 0 && memcmp(header, db->header, sizeof(header)) != 0)
        rc = written_by_another(db, e);
    return rc == 0 ? read_size(db, e) : rc;
}

static int
start_change(struct follow_db *db, const struct stat *st, struct err *e)
{
    int rc;

    db->saved = mem_try((size_t)db->n_pages / 64 + 1, sizeof(db->saved[0]));
    if (db->saved == NULL)
        return err_set(e, ERR_MEMORY, "no memory for %u pages", db->n_pages);
    rc = follow_journal_create(
        db->journal_path, st, db->page_size, db->n_pages, &db->journal, e);
    if (rc == 0)
        rc = follow_db_read(db, 1, 1, db->page1, e);
    if (rc == 0)
        rc = follow_db_save(db, 1, e);
    /* no loop over a uint32_t: the last page may be the highest number there is */
    for (uint64_t pgno = (uint64_t)db->commit + 1; rc == 0 && pgno <= db->n_pages; pgno++)
        rc = follow_db_save(db, (uint32_t)pgno, e);
    return rc;
}

int
follow_db_begin(
    struct follow_db *db, uint32_t commit, const struct cancel *cancel, struct err *e)
{
    struct stat st;
    int rc;

    must(db->journal == NULL);
    if (commit == 0)
        return err_set(e, ERR_CORRUPT, "a database without pages");
    rc = follow_lock_reserve(db->fd, db->path, cancel, e);
    if (rc != 0)
        return rc;
    db->commit = commit;
    db->sealed = false;
    rc = check_unchanged(db, &st, e);
    if (rc == 0)
        rc = start_change(db, &st, e);
    return rc;
}

int
follow_db_save(struct follow_db *db, uint32_t pgno, struct err *e)
{
    uint64_t bit = UINT64_C(1) << (pgno % 64);
    int rc;

    must(!db->sealed);
    if (pgno > db->n_pages || (db->saved[pgno / 64] & bit) != 0)
        return 0;
    rc = follow_db_read(db, pgno, 1, db->page, e);
    if (rc == 0)
        rc = follow_journal_add(db->journal, pgno, db->page, e);
    db->saved[pgno / 64] |= bit;
    return rc;
}

int
follow_db_seal(struct follow_db *db, const struct cancel *cancel, struct err *e)
{
    int rc = follow_journal_seal(db->journal, e);

    if (rc == 0)
        rc = follow_lock_exclude(db->fd, db->path, cancel, e);
    db->sealed = rc == 0;
    return rc;
}

int
follow_db_write(struct follow_db *db, uint32_t pgno, const void *page, struct err *e)
{
    must(db->sealed && pgno >= 1 && pgno <= db->commit);
    must(pgno > db->n_pages || (db->saved[pgno / 64] >> (pgno % 64) & 1) != 0);
    if (pgno == 1) {
        memcpy(db->page1, page, db->page_size);
        return 0;
    }
    return sys_pwrite_all(db->fd, page, db->page_size, offset_of(db, pgno), e);
}

static void
end_change(struct follow_db *db)
{
    follow_journal_free(db->journal);
    db->journal = NULL;
    mem_free(db->saved);
    db->saved = NULL;
    follow_unlock(db->fd);
}

int
follow_db_commit(struct follow_db *db, uint64_t txid, struct err *e)
{
    int rc;

    must(db->sealed);
    follow_mark_set(db->page1, txid);
    rc = sys_pwrite_all(db->fd, db->page1, db->page_size, 0, e);
    if (rc == 0 && sys->ftruncate(db->fd, (off_t)db->commit * db->page_size) != 0)
        rc = err_errno(e, errno, "set size of database");
    if (rc == 0 && sys->fsync(db->fd) != 0)
        rc = err_errno(e, errno, "sync database");
    if (rc == 0)
        rc = follow_journal_remove(db->journal, e);
    if (rc != 0)
        return err_wrap(e, "%s", db->path);
    memcpy(db->header, db->page1, sizeof(db->header));
    db->txid = txid;
    db->n_pages = db->commit;
    end_change(db);
    return 0;
}

/* Without EXCLUSIVE nothing was written: the journal is just deleted. */
bool
follow_db_abort(struct follow_db *db)
{
    bool usable = !db->sealed;
    struct err ignored;

    if (db->journal == NULL) {
        end_change(db);
        return true;
    }
    if (!db->sealed && sys_remove(db->journal_path, &ignored) != 0)
        usable = false;
    end_change(db);
    return usable;
}
