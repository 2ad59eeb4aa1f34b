/*
 * app - an application in a process of its own that uses a database with real SQLite.
 *
 * The process can be told to die at a write or fsync of the WAL, as by kill -9; the next
 * command then finds a fresh process without a connection. Start all of them before the
 * test itself opens a database: a child must not inherit SQLite's idea of its locks.
 *
 * SQL may use noise(seed, n): n bytes that depend on the seed alone.
 */
#ifndef TEST_UNIT_WORKERS_APP_H
#define TEST_UNIT_WORKERS_APP_H

#include <stdint.h>

#define APP_DIED (-1)

struct app; /* opaque */

enum app_call { APP_NEVER, APP_WAL_WRITE, APP_WAL_SYNC };

struct app *app_start(const char *db_path);
void app_stop(struct app *a); /* closes its database first; NULL is fine */

/*
 * Runs statements, opening the database when needed. Returns the SQLite result code, or
 * APP_DIED. After an error an open transaction is rolled back.
 */
int app_sql(struct app *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same in two halves, so that it runs while the test does something else. */
void app_go(struct app *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int app_wait(struct app *a);

/* The nth call of this kind on the WAL from now ends the process instead. */
void app_die_at(struct app *a, enum app_call call, unsigned nth);

/* Ends the process at once, whatever it holds. */
void app_kill(struct app *a);

void app_close_db(struct app *a);

/* The database as a connection of its own sees it now, byte by byte, into a file. */
int app_save(struct app *a, const char *to);

#endif
