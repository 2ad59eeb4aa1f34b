#include "workers/sync/dbconn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "common/base/sys.h"
#include "workers/sync/dbconn_impl.h"

/* First release with the fix, and the two branches it went to: sqlite.org/wal.html */
#define SQLITE_FIXED 3051003
#define SQLITE_FIXED_350 3050007
#define SQLITE_FIXED_344 3044006

#define WAL_INDEX_REGION 32768  /* what SQLite maps at a time */
#define INDEX_TRIES 100         /* a writer needs well under a microsecond */
#define WAL_INDEX_N_BACKFILL 96 /* sqlite.org/walformat.html */
#define WAL_INDEX_N_ATTEMPTED 128

int
dbconn_check_library(struct err *e)
{
    int v = sqlite3_libversion_number();

    if (v >= SQLITE_FIXED || v == SQLITE_FIXED_350 || v == SQLITE_FIXED_344)
        return 0;
    return err_set(e, ERR_UNSUPPORTED,
        "SQLite %s can lose committed pages while checkpoints run (fixed in "
        "3.51.3, 3.50.7 "
        "and 3.44.6); build litestream with its own SQLite or a newer one",
        sqlite3_libversion());
}

void
dbconn_prepare(void)
{
    must(sqlite3_initialize() == SQLITE_OK);
}

int
dbconn_sqlite_err(sqlite3 *db, int rc, struct err *e, const char *what)
{
    enum err_code code = ERR_SQLITE;

    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = ERR_BUSY;
        break;
    case SQLITE_FULL:
        code = ERR_NO_SPACE;
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        code = ERR_CORRUPT;
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        code = ERR_PERMISSION;
        break;
    case SQLITE_IOERR:
        if (db != NULL && sqlite3_system_errno(db) == ENOSPC)
            code = ERR_NO_SPACE;
        break;
    default:
        break;
    }
    return err_set(e, code, "%s: %s (%d)", what,
        db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
}

int
dbconn_exec(sqlite3 *db, const char *sql, struct err *e, const char *what)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : dbconn_sqlite_err(db, rc, e, what);
}

static int
query_int(sqlite3 *db, const char *sql, int64_t *value, struct err *e, const char *what)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(stmt, 0);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        *value = 0;
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        rc = dbconn_sqlite_err(db, rc, e, what);
    sqlite3_finalize(stmt);
    return rc;
}

/* Bytes of memory that others write to: neither cached nor reordered by the compiler. */
static void
copy_shared(uint8_t *to, const volatile uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

/* The first part of the wal-index as SQLite has mapped it; NULL: there is none. */
static const volatile uint8_t *
shared_index(struct dbconn *c, sqlite3_file **out)
{
    void volatile *shared = NULL;
    sqlite3_file *f = NULL;

    if (sqlite3_file_control(c->reader, "main", SQLITE_FCNTL_FILE_POINTER, &f) !=
            SQLITE_OK ||
        f == NULL || f->pMethods == NULL || f->pMethods->iVersion < 2 ||
        f->pMethods->xShmMap(f, 0, WAL_INDEX_REGION, 0, &shared) != SQLITE_OK)
        return NULL;
    *out = f;
    return shared;
}

static bool
read_count(struct dbconn *c, size_t off, uint32_t *n_frames)
{
    sqlite3_file *f;
    const volatile uint8_t *shared = shared_index(c, &f);

    if (shared == NULL)
        return false;
    /* Whole, not byte by byte: a checkpoint of others may be about to raise it. */
    *n_frames =
        __atomic_load_n((const volatile uint32_t *)(const volatile void *)(shared + off),
            __ATOMIC_ACQUIRE);
    f->pMethods->xShmBarrier(f);
    return true;
}

bool
dbconn_n_copied(struct dbconn *c, uint32_t *n_frames)
{
    return read_count(c, WAL_INDEX_N_BACKFILL, n_frames);
}

bool
dbconn_n_copy_begun(struct dbconn *c, uint32_t *n_frames)
{
    return read_count(c, WAL_INDEX_N_ATTEMPTED, n_frames);
}

bool
dbconn_wal_index(struct dbconn *c, struct wal_index *out)
{
    uint8_t header[WAL_INDEX_HEADER_SIZE];
    sqlite3_file *f;
    const volatile uint8_t *shared = shared_index(c, &f);

    if (shared == NULL)
        return false;
    for (int i = 0; i < INDEX_TRIES; i++) {
        /* A writer sets the second copy first: read in the other order. */
        copy_shared(header, shared, WAL_INDEX_COPY_SIZE);
        f->pMethods->xShmBarrier(f);
        copy_shared(header + WAL_INDEX_COPY_SIZE, shared + WAL_INDEX_COPY_SIZE,
            WAL_INDEX_COPY_SIZE);
        if (wal_index_decode(header, out))
            return true;
    }
    return false;
}

/* What every connection of ours needs, the reader and the writer alike. */
int
dbconn_connect(struct dbconn *c, int64_t busy_ms, sqlite3 **out, struct err *e)
{
    sqlite3 *db = NULL;
    int persist = 1;
    int rc = sqlite3_open_v2(c->path, &db, SQLITE_OPEN_READWRITE, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, (int)busy_ms);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_autocheckpoint(db, 0);
    if (rc == SQLITE_OK) /* the last one to close must not delete the WAL */
        rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    if (rc != SQLITE_OK) {
        rc = dbconn_sqlite_err(db, rc, e, "open database");
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

static int
enable_wal(sqlite3 *db, struct err *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = wal", -1, &stmt, NULL);
    const char *mode;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        rc = dbconn_sqlite_err(db, rc, e, "enable wal");
    } else {
        mode = (const char *)sqlite3_column_text(stmt, 0);
        rc = 0;
        if (mode == NULL || strcmp(mode, "wal") != 0)
            rc = err_set(e, ERR_SQLITE, "enable wal failed, mode=\"%s\"",
                mode != NULL ? mode : "");
    }
    sqlite3_finalize(stmt);
    return rc;
}

/*
 * A bare BEGIN takes no lock: the first read does. This one reads only the header of the
 * database: a SELECT would keep the parsed schema in memory, 2.5 KB a table.
 */
int
dbconn_begin_read(sqlite3 *db, struct err *e)
{
    int64_t n;
    int rc = dbconn_exec(db, "BEGIN", e, "begin read transaction");

    if (rc != 0)
        return rc;
    rc = query_int(db, "PRAGMA main.schema_version", &n, e, "begin read transaction");
    if (rc != 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

bool
dbconn_holds(const struct dbconn *c)
{
    return sqlite3_get_autocommit(c->reader) == 0 &&
           sqlite3_txn_state(c->reader, "main") >= SQLITE_TXN_READ;
}

/* busy_ms: how long it waits for the write lock. */
int
dbconn_open_writer(struct dbconn *c, int64_t busy_ms, struct err *e)
{
    must(c->writer == NULL);
    return dbconn_connect(c, busy_ms, &c->writer, e);
}

void
dbconn_close_writer(struct dbconn *c)
{
    sqlite3_close(c->writer);
    c->writer = NULL;
}

int
dbconn_create_tables(sqlite3 *db, struct err *e)
{
    return dbconn_exec(db,
        "BEGIN IMMEDIATE;"
        "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY "
        "KEY, seq INTEGER);"
        "CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);"
        "COMMIT",
        e, "create helper tables");
}

/* The tables of another program count as well. */
static int
make_helper_tables(sqlite3 *db, struct err *e)
{
    int64_t n = 0;
    int rc = query_int(db,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND "
        "name IN ('_litestream_seq', '_litestream_lock')",
        &n, e, "look for helper tables");

    if (rc != 0 || n == 2)
        return rc;
    sqlite3_busy_timeout(db, 0);
    rc = dbconn_create_tables(db, e);
    if (rc == ERR_BUSY) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* nothing, if it did not begin */
        rc = 0;
    }
    return rc;
}

static bool
may_write(const struct dbconn *c, const char *suffix)
{
    char *path = mem_printf("%s%s", c->path, suffix);
    bool may = access(path, W_OK) == 0;

    mem_free(path);
    return may;
}

/*
 * SQLite opens a file read-only when it cannot open it for writing, also when the reason
 * (too many descriptors, a disk that fails now and then) is a passing one; all
 * connections of this process share the wal-index that the first one gets. Such a
 * connection would never see a checkpoint, so it must not last. It does where the file
 * really is read-only: frames can be captured there, and whatever needs more says so.
 */
static int
check_writable(struct dbconn *c, struct err *e)
{
    int rc;

    sqlite3_busy_timeout(c->reader, 0); /* a writer that holds the lock is as good */
    rc = sqlite3_exec(c->reader, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    sqlite3_busy_timeout(c->reader, (int)c->busy_timeout_ms);
    if (rc == SQLITE_OK)
        return dbconn_exec(c->reader, "ROLLBACK", e, "end write transaction");
    if ((rc & 0xff) != SQLITE_READONLY || !may_write(c, "") || !may_write(c, "-wal") ||
        !may_write(c, "-shm"))
        return 0;
    return err_set(
        e, ERR_IO, "%s, its -wal or its -shm could not be opened for writing", c->path);
}

/*
 * What needs the schema is done by a connection that ends here and takes its memory with
 * it. It is not the last one to close, which would checkpoint: the reader has begun.
 */
static int
set_up(struct dbconn *c, struct err *e)
{
    int rc = dbconn_open_writer(c, c->busy_timeout_ms, e);

    if (rc == 0)
        rc = enable_wal(c->writer, e);
    if (rc == 0)
        rc = check_writable(c, e);
    if (rc == 0)
        rc = dbconn_begin_read(c->reader, e);
    if (rc == 0)
        rc = make_helper_tables(c->writer, e);
    dbconn_close_writer(c);
    return rc;
}

static int
open_file(struct dbconn *c, struct err *e)
{
    struct stat st;
    uint8_t magic[16];
    size_t got;
    int rc = sys_open(c->path, O_RDONLY, 0, &c->fd, e);

    if (rc != 0)
        return rc;
    if (fstat(c->fd, &st) != 0)
        return err_errno(e, errno, "stat %s", c->path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CORRUPT, "%s is not a regular file", c->path);
    if (st.st_size == 0)
        return err_set(e, ERR_NOT_FOUND, "%s is empty", c->path);
    c->file = (struct dbconn_file){ st.st_dev, st.st_ino };
    rc = sys_pread(c->fd, magic, sizeof(magic), 0, &got, e);
    if (rc == 0 && (got < sizeof(magic) || memcmp(magic, "SQLite format 3", 16) != 0))
        rc = err_set(
            e, ERR_CORRUPT, "%s is not a SQLite database (or it is encrypted)", c->path);
    return rc;
}

/* The wal-index has just been mapped. */
static void
find_files(struct dbconn *c)
{
    const char *file = sqlite3_db_filename(c->reader, "main");
    struct stat st;

    c->wal = mem_printf("%s-wal", file);
    c->wal_index = mem_printf("%s-shm", file);
    if (stat(c->wal_index, &st) == 0)
        c->wal_index_file = (struct dbconn_file){ st.st_dev, st.st_ino };
}

int
dbconn_open(const char *path, int64_t busy_timeout_ms, struct dbconn **out, struct err *e)
{
    struct dbconn *c = MEM_NEW(struct dbconn);
    int64_t page_size = 0;
    int rc;

    proc_must_be(PROC_WORKER | PROC_COMMAND);
    c->fd = -1;
    c->path = mem_strdup(path);
    c->busy_timeout_ms = busy_timeout_ms;
    rc = open_file(c, e);
    if (rc == 0)
        rc = dbconn_connect(c, busy_timeout_ms, &c->reader, e);
    if (rc == 0)
        rc = set_up(c, e);
    if (rc == 0)
        find_files(c);
    if (rc == 0)
        rc = query_int(c->reader, "PRAGMA page_size", &page_size, e, "read page size");
    if (rc == 0 && page_size <= 0)
        rc = err_set(e, ERR_SQLITE, "read page size: %lld", (long long)page_size);
    if (rc != 0) {
        dbconn_close(c);
        return rc;
    }
    c->page_size = (uint32_t)page_size;
    *out = c;
    return 0;
}

/*
 * The last connection to close copies the WAL into the database. Not with a wal-index
 * that has become stale: the frames may be others by now.
 */
static void
close_without_copying(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

void
dbconn_close(struct dbconn *c)
{
    if (c == NULL)
        return;
    if (c->reader != NULL && !dbconn_same_file(c))
        close_without_copying(c->reader);
    dbconn_barrier_end(c);
    dbconn_ahead_end(c);
    dbconn_close_writer(c);
    if (c->reader != NULL) {
        if (sqlite3_get_autocommit(c->reader) == 0)
            sqlite3_exec(c->reader, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_close(c->reader);
    }
    sys_close(&c->fd);
    mem_free(c->wal);
    mem_free(c->wal_index);
    mem_free(c->path);
    mem_free(c);
}

uint32_t
dbconn_page_size(const struct dbconn *c)
{
    return c->page_size;
}

int
dbconn_fd(const struct dbconn *c)
{
    return c->fd;
}

const char *
dbconn_wal_path(const struct dbconn *c)
{
    return c->wal;
}

static bool
is_file(const struct stat *st, const struct dbconn_file *file)
{
    return st->st_dev == file->dev && st->st_ino == file->ino;
}

/*
 * A wal-index that was removed is still shared by those who have it open. One that was
 * made anew in its place is not: who commits by that is not seen.
 */
static bool
same_wal_index(const struct dbconn *c)
{
    struct stat st;

    return c->wal_index_file.ino == 0 || stat(c->wal_index, &st) != 0 ||
           is_file(&st, &c->wal_index_file);
}

bool
dbconn_same_file(const struct dbconn *c)
{
    struct stat st;

    return stat(c->path, &st) == 0 && is_file(&st, &c->file) && same_wal_index(c);
}

int
dbconn_hold(struct dbconn *c, bool *lost, struct err *e)
{
    *lost = !dbconn_holds(c);
    if (!*lost)
        return 0;
    if (sqlite3_get_autocommit(c->reader) == 0)
        sqlite3_exec(c->reader, "ROLLBACK", NULL, NULL, NULL);
    return dbconn_begin_read(c->reader, e);
}
