/*
 * writer backlog DATABASE MEGABYTES - changes rows of a database of make_db until its WAL
 * holds so much, without a checkpoint. Prints the bytes of the WAL.
 *
 * writer rate DATABASE SECONDS PAGES - commits as fast as it goes, a few rows at a time,
 * with synchronous = NORMAL and SQLite's own checkpoints from so many pages of WAL on; 0:
 * none. Prints commits a second.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#define FRAME_SIZE 4120
#define BODY_SIZE 600
#define ROWS_A_COMMIT 2000 /* backlog */
#define ROWS_A_SMALL_COMMIT 5

static uint64_t state = UINT64_C(0x2545f4914f6cdd1d);
static char body[BODY_SIZE + 1];

/* xorshift64 */
static uint64_t
draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void
check(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "writer: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Words that are half noise: as compressible as those of make_db. */
static void
make_body(void)
{
    for (size_t i = 0; i < BODY_SIZE; i++)
        body[i] = (char)(i % 8 < 4 ? 'a' + draw() % 26 : 'a' + i % 26);
}

static int64_t
count_rows(sqlite3 *db)
{
    sqlite3_stmt *s;
    int64_t n;

    check(db, sqlite3_prepare_v2(db, "SELECT max(id) FROM item", -1, &s, NULL));
    check(db, sqlite3_step(s));
    n = sqlite3_column_int64(s, 0);
    check(db, sqlite3_finalize(s));
    return n;
}

static void
commit(sqlite3 *db, sqlite3_stmt *update, int64_t n_rows, int rows)
{
    check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    make_body();
    for (int i = 0; i < rows; i++) {
        sqlite3_bind_text(update, 1, body, BODY_SIZE, SQLITE_STATIC);
        sqlite3_bind_int64(update, 2, 1 + (int64_t)(draw() % (uint64_t)n_rows));
        check(db, sqlite3_step(update));
        check(db, sqlite3_reset(update));
    }
    check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
}

static int
on_wal(void *arg, sqlite3 *db, const char *name, int n_frames)
{
    (void)db;
    (void)name;
    *(int64_t *)arg = n_frames;
    return SQLITE_OK;
}

static void
make_backlog(sqlite3 *db, sqlite3_stmt *update, int64_t bytes)
{
    int64_t n_rows = count_rows(db), n_frames = 0;

    check(db, sqlite3_exec(db, "PRAGMA synchronous = off", NULL, NULL, NULL));
    check(db, sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL));
    sqlite3_wal_hook(db, on_wal, &n_frames); /* instead of checkpoints */
    while (n_frames * FRAME_SIZE < bytes)
        commit(db, update, n_rows, ROWS_A_COMMIT);
    printf("%lld\n", (long long)(n_frames * FRAME_SIZE));
}

static void
measure_rate(sqlite3 *db, sqlite3_stmt *update, double seconds)
{
    int64_t n_rows = count_rows(db), n = 0;
    double begin = now(), took;

    do {
        commit(db, update, n_rows, ROWS_A_SMALL_COMMIT);
        n++;
        took = now() - begin;
    } while (took < seconds);
    printf("%.1f\n", (double)n / took);
}

int
main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *update;

    if (argc < 4) {
        fprintf(stderr, "usage: writer backlog|rate DATABASE AMOUNT [PAGES]\n");
        return 2;
    }
    check(db, sqlite3_open(argv[2], &db));
    check(db, sqlite3_busy_timeout(db, 60000));
    check(db, sqlite3_exec(db, "PRAGMA synchronous = normal", NULL, NULL, NULL));
    if (argc > 4)
        check(db, sqlite3_wal_autocheckpoint(db, atoi(argv[4])));
    check(db, sqlite3_prepare_v2(
                  db, "UPDATE item SET body = ?1 WHERE id = ?2", -1, &update, NULL));
    if (strcmp(argv[1], "backlog") == 0)
        make_backlog(db, update, (int64_t)atoi(argv[3]) << 20);
    else
        measure_rate(db, update, atof(argv[3]));
    check(db, sqlite3_finalize(update));
    check(db, sqlite3_close(db));
    return 0;
}
