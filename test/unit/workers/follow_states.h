/*
 * follow_states - a database after transactions 1..N_STATES as images, the LTX files that
 * lead from one to another, and a followed copy of it.
 *
 * What must exclude others runs in a child: the locks of one process do not exclude each
 * other.
 */
#ifndef TEST_UNIT_WORKERS_FOLLOW_STATES_H
#define TEST_UNIT_WORKERS_FOLLOW_STATES_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "test/unit/common/ltx/ltx_files.h"
#include "workers/restore/follow_apply.h"

#define N_STATES 6

extern struct bytes fs_state[N_STATES + 1]; /* [1] is the first */
extern uint32_t fs_page_size;               /* 1024; before fs_make_states */
extern const char *fs_out, *fs_journal, *fs_image_db, *fs_source_db;

void fs_prepare(void); /* a test begins: the states, and state 1 as the copy */
void fs_clean_up(void);
void fs_make_states(void);
void fs_put_state(int i);

struct bytes fs_file(const char *path);
void fs_sql(sqlite3 *db, const char *text);

/* Which state is it, but for what a mark is made of? 0: none. */
int fs_state_of(const char *path);

/* What SQLite sees of the copy, after rolling back what must be; 0: not sound. */
int fs_state_seen_by_sqlite(void);
uint64_t fs_txid_of_mark(void);

/* The file from..to; without_page1: as when a WAL has no frame of it. */
struct bytes fs_ltx(int from, int to, bool without_page1);
int fs_take(
    const struct bytes *b, int from, int to, struct follow_file **f, struct err *e);

/* What a follower does with one file, from opening the database to OUT-txid. */
int fs_apply(
    const struct bytes *b, int from, int to, const struct cancel *c, struct err *e);

/* The same in a child; its error code, or -1 when it was killed. */
int fs_apply_in_child(const struct bytes *b, int from, int to);

#endif
