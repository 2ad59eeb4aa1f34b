#include "workers/restore/integrity.h"

#include <string.h>

#include <sqlite3.h>

#include "common/base/mem.h"
#include "common/base/sys.h"

static int
run_check(sqlite3 *db, const char *sql, struct err *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *row = (const char *)sqlite3_column_text(stmt, 0);

        rc = 0;
        if (row == NULL || strcmp(row, "ok") != 0)
            rc = err_set(e, ERR_CORRUPT, "integrity check failed: %s",
                row != NULL ? row : "no answer");
    } else {
        rc = err_set(e, ERR_CORRUPT, "integrity check: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(stmt);
    return rc;
}

static void
remove_beside(const char *path, const char *suffix)
{
    char *side = mem_printf("%s%s", path, suffix);
    struct err ignored;

    sys_remove(side, &ignored);
    mem_free(side);
}

int
integrity_check(const char *path, enum restore_integrity mode, struct err *e)
{
    sqlite3 *db = NULL;
    int rc;

    if (mode == INTEGRITY_NONE)
        return 0;
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc != SQLITE_OK)
        rc = err_set(e, ERR_CORRUPT, "open database for integrity check: %s",
            db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    else
        rc = run_check(db,
            mode == INTEGRITY_QUICK ? "PRAGMA quick_check" : "PRAGMA integrity_check", e);
    sqlite3_close(db);
    remove_beside(path, "-wal");
    remove_beside(path, "-shm");
    return rc;
}
