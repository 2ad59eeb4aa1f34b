/* Compiles only against a SQLite without the WAL-reset bug (sqlite.org/wal.html). */
#include <sqlite3.h>

#if SQLITE_VERSION_NUMBER < 3051003 && SQLITE_VERSION_NUMBER != 3050007 &&               \
    SQLITE_VERSION_NUMBER != 3044006
#error "this SQLite can lose committed pages; 3.51.3 or newer is needed"
#endif

int
main(void)
{
    return 0;
}
