#include "test/unit/workers/follow_states.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/follow.h"
#include "workers/restore/follow_journal.h"
#include "workers/restore/follow_state.h"

struct bytes fs_state[N_STATES + 1]; /* [1] is the first */
uint32_t fs_page_size = 1024;
const char *fs_out, *fs_journal, *fs_image_db, *fs_source_db;

struct bytes
fs_file(const char *path)
{
    size_t n;
    uint8_t *p = tmp_read(path, &n);

    cr_assert(p != NULL, "%s", path);
    return (struct bytes){ p, n };
}

void
fs_sql(sqlite3 *db, const char *text)
{
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s: %s", text,
        sqlite3_errmsg(db));
}

static const char *const changes[N_STATES + 1] = { NULL,
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL "
    "SELECT i+1 FROM n WHERE i < 60) INSERT INTO t SELECT i, randomblob(700) FROM n",
    "UPDATE t SET b = randomblob(700) WHERE a % 7 = 3",     /* same size */
    "INSERT INTO t SELECT a + 100, randomblob(700) FROM t", /* grows */
    "DELETE FROM t WHERE a > 20; VACUUM",                   /* shrinks */
    "CREATE TABLE u(x); INSERT INTO u VALUES (1)", "UPDATE t SET b = 'x' WHERE a = 5" };

void
fs_make_states(void)
{
    char *pragma = mem_printf("PRAGMA page_size = %u", fs_page_size);
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(fs_source_db, &db), SQLITE_OK);
    fs_sql(db, pragma);
    for (int i = 1; i <= N_STATES; i++) {
        fs_sql(db, changes[i]);
        fs_state[i] = fs_file(fs_source_db);
    }
    sqlite3_close(db);
    mem_free(pragma);
}

void
fs_put_state(int i)
{
    struct err e;
    int fd;

    tmp_write(fs_out, fs_state[i].p, fs_state[i].n);
    fd = open(fs_out, O_RDWR | O_CLOEXEC);
    cr_assert_eq(follow_prepare(fs_out, fd, (uint64_t)i, &e), 0, "%s", e.text);
    close(fd);
}

void
fs_prepare(void)
{
    fs_out = tmp_path("out.db");
    fs_journal = tmp_path("out.db-journal");
    fs_image_db = tmp_path("image.db");
    fs_source_db = tmp_path("source.db");
    fs_make_states();
    fs_put_state(1);
}

void
fs_clean_up(void)
{
    fault_off();
    for (int i = 1; i <= N_STATES; i++)
        bytes_free(&fs_state[i]);
}

/* Which state is it, but for what a mark is made of? 0: none. */
int
fs_state_of(const char *path)
{
    struct bytes b = fs_file(path);
    int found = 0;

    for (int i = 1; found == 0 && i <= N_STATES; i++) {
        uint8_t header[FOLLOW_HEADER_SIZE];

        if (b.n != fs_state[i].n)
            continue;
        memcpy(header, b.p, sizeof(header));
        memcpy(header + 18, fs_state[i].p + 18, 2);
        memcpy(header + 24, fs_state[i].p + 24, 4);
        memcpy(header + 92, fs_state[i].p + 92, 4);
        if (memcmp(header, fs_state[i].p, sizeof(header)) == 0 &&
            memcmp(b.p + sizeof(header), fs_state[i].p + sizeof(header),
                b.n - sizeof(header)) == 0)
            found = i;
    }
    bytes_free(&b);
    return found;
}

/* What SQLite sees, after rolling back what must be; 0: not sound. */
int
fs_state_seen_by_sqlite(void)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    bool sound, hot = true;
    struct err e;

    cr_assert_eq(sqlite3_open(fs_out, &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    sound = sqlite3_step(stmt) == SQLITE_ROW &&
            strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    cr_expect_eq(follow_journal_is_hot(fs_journal, &hot, &e), 0);
    cr_expect_not(hot);
    return sound ? fs_state_of(fs_out) : 0;
}

/* The file from..to; without_page1: as when a WAL has no frame of it. */
struct bytes
fs_ltx(int from, int to, bool without_page1)
{
    uint32_t commit = (uint32_t)(fs_state[to].n / fs_page_size), n = 0;
    struct image im = { fs_page_size, commit, fs_state[to].p };
    struct ltx_header h =
        header_of(fs_page_size, commit, (uint64_t)from + 1, (uint64_t)to);
    uint32_t *pgnos = mem_new_array(commit, sizeof(uint32_t));
    struct bytes b;

    for (uint32_t p = without_page1 ? 2 : 1; p <= commit; p++) {
        size_t at = (size_t)(p - 1) * fs_page_size;

        if (at >= fs_state[from].n ||
            memcmp(fs_state[from].p + at, fs_state[to].p + at, fs_page_size) != 0)
            pgnos[n++] = p;
    }
    b = encode(&h, &im, pgnos, n);
    mem_free(pgnos);
    return b;
}

int
fs_take(const struct bytes *b, int from, int to, struct follow_file **f, struct err *e)
{
    struct reader r = { .p = b->p, .n = b->n, .chunk = 1000 };
    struct ltx_info info = {
        .min_txid = (uint64_t)from + 1, .max_txid = (uint64_t)to, .size = (int64_t)b->n
    };

    return follow_file_take(reader_source(&r), &info, tmp_dir(), NULL, f, e);
}

/* What a follower does with one file, from opening the database to OUT-txid. */
int
fs_apply(const struct bytes *b, int from, int to, const struct cancel *c, struct err *e)
{
    struct follow_db *db = NULL;
    struct follow_file *f = NULL;
    uint64_t saved;
    int rc = follow_txid_read(fs_out, &saved, e);

    if (rc == 0)
        rc = follow_db_open(fs_out, saved, &db, e);
    if (rc == 0)
        rc = fs_take(b, from, to, &f, e);
    if (rc == 0)
        rc = follow_file_apply(f, &db, c, e);
    if (rc == 0)
        rc = follow_txid_write(fs_out, follow_db_txid(db), e);
    follow_file_free(f);
    follow_db_close(db);
    return rc;
}

/* The same in a child; its error code, or -1 when it was killed. */
int
fs_apply_in_child(const struct bytes *b, int from, int to)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct err e;

        alarm(20);
        _exit(fs_apply(b, from, to, NULL, &e));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

uint64_t
fs_txid_of_mark(void)
{
    struct bytes b = fs_file(fs_out);
    uint64_t txid = 0;

    cr_expect_eq(follow_mark_get(b.p, 1, &txid), FOLLOW_MARK_OURS);
    bytes_free(&b);
    return txid;
}
