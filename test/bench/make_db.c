/*
 * make_db FILE MEGABYTES - a database in WAL mode with rows of text that compress about
 * as well as those of an application (LZ4: to somewhat more than half). The same bytes
 * each time.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define PAGE_SIZE 4096
#define TEXT_SIZE 640
#define N_WORDS 2000
#define ROWS_A_COMMIT 50000

static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
static char words[N_WORDS][12];

/* xorshift64 */
static uint32_t
draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void
make_words(void)
{
    for (int i = 0; i < N_WORDS; i++) {
        uint32_t len = 3 + draw(7);

        for (uint32_t k = 0; k < len; k++)
            words[i][k] = (char)('a' + draw(26));
    }
}

static int
make_text(char *text)
{
    int n = snprintf(text, TEXT_SIZE, "{\"id\": \"%08x-%08x\", \"note\": \"",
        draw(UINT32_MAX), draw(UINT32_MAX));

    while (n < TEXT_SIZE - 16)
        n += snprintf(text + n, TEXT_SIZE - (size_t)n, "%s ", words[draw(N_WORDS)]);
    return n;
}

static void
check(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "make_db: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void
fill(sqlite3 *db, int64_t bytes)
{
    sqlite3_stmt *insert;
    char text[TEXT_SIZE];
    int n;

    check(db, sqlite3_prepare_v2(db, "INSERT INTO item (price, body) VALUES (?1, ?2)", -1,
                  &insert, NULL));
    check(db, sqlite3_exec(db, "BEGIN", NULL, NULL, NULL));
    /* six rows a page */
    for (int64_t row = 0; row < bytes / PAGE_SIZE * 6; row++) {
        n = make_text(text);
        sqlite3_bind_int64(insert, 1, draw(1000000));
        sqlite3_bind_text(insert, 2, text, n, SQLITE_STATIC);
        check(db, sqlite3_step(insert));
        check(db, sqlite3_reset(insert));
        if (row % ROWS_A_COMMIT == ROWS_A_COMMIT - 1)
            check(db, sqlite3_exec(db, "COMMIT; BEGIN", NULL, NULL, NULL));
    }
    check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    sqlite3_finalize(insert);
}

int
main(int argc, char **argv)
{
    sqlite3 *db = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: make_db FILE MEGABYTES\n");
        return 2;
    }
    make_words();
    check(db, sqlite3_open(argv[1], &db));
    check(db, sqlite3_exec(db,
                  "PRAGMA page_size = 4096; PRAGMA journal_mode = off;"
                  "PRAGMA synchronous = off; PRAGMA cache_size = -16384;"
                  "CREATE TABLE item (id INTEGER PRIMARY KEY, price INTEGER, body TEXT)",
                  NULL, NULL, NULL));
    fill(db, (int64_t)atoi(argv[2]) << 20);
    check(db, sqlite3_exec(db, "PRAGMA journal_mode = wal", NULL, NULL, NULL));
    check(db, sqlite3_close(db));
    return 0;
}
