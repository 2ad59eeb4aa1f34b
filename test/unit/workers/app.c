#include "test/unit/workers/app.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <unistd.h>

#include <sqlite3.h>

enum op { OP_SQL = 1, OP_DIE_AT, OP_CLOSE, OP_SAVE, OP_KILL, OP_STOP };

struct message {
    uint32_t op, size, call, nth;
};

struct app {
    pid_t pid;
    int to, from;
};

/* --- the process ----------------------------------------------------------------------
 */

static const char *path;
static sqlite3 *db;
static const sqlite3_io_methods *real;
static sqlite3_io_methods deadly;
static enum app_call die_call;
static unsigned die_nth;

static void
maybe_die(enum app_call call)
{
    if (call == die_call && --die_nth == 0)
        kill(getpid(), SIGKILL);
}

static int
deadly_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 off)
{
    maybe_die(APP_WAL_WRITE);
    return real->xWrite(f, bytes, n, off);
}

static int
deadly_sync(sqlite3_file *f, int flags)
{
    maybe_die(APP_WAL_SYNC);
    return real->xSync(f, flags);
}

static void
noise(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    uint64_t x = (uint64_t)sqlite3_value_int64(argv[0]) * 2654435761u + 1;
    int n = sqlite3_value_int(argv[1]);
    uint8_t *bytes = malloc((size_t)n + 1);

    (void)argc;
    for (int i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(x >> 56);
    }
    sqlite3_result_blob(ctx, bytes, n, free);
}

static int
open_db(void)
{
    int rc = SQLITE_OK;

    if (db == NULL) {
        rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
        sqlite3_busy_timeout(db, 50);
        sqlite3_create_function(db, "noise", 2, SQLITE_UTF8, NULL, noise, NULL, NULL);
    }
    return rc;
}

/* The WAL's own handle appears with the first access. */
static void
hook_wal(void)
{
    sqlite3_file *f = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK ||
        f == NULL || f->pMethods == NULL || f->pMethods == &deadly)
        return;
    real = f->pMethods;
    deadly = *real;
    deadly.xWrite = deadly_write;
    deadly.xSync = deadly_sync;
    f->pMethods = &deadly;
}

static int
run_sql(const char *sql)
{
    int rc = open_db();

    if (rc == SQLITE_OK && die_call != APP_NEVER) {
        sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
        hook_wal();
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK && getenv("APP_TRACE") != NULL)
        fprintf(stderr, "app: %s: %s\n", sqlite3_errmsg(db), sql);
    if (rc != SQLITE_OK && sqlite3_get_autocommit(db) == 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc & 0xff;
}

static int
save(const char *to)
{
    sqlite3 *other = NULL;
    sqlite3_int64 size = 0;
    unsigned char *bytes = NULL;
    int rc = sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL);
    FILE *f;

    if (rc == SQLITE_OK)
        sqlite3_busy_timeout(other, 1000);
    if (rc == SQLITE_OK)
        bytes = sqlite3_serialize(other, "main", &size, 0);
    if (rc == SQLITE_OK && bytes == NULL)
        rc = SQLITE_BUSY;
    f = rc == SQLITE_OK ? fopen(to, "wb") : NULL;
    if (f != NULL && fwrite(bytes, 1, (size_t)size, f) != (size_t)size)
        rc = SQLITE_IOERR;
    if (f != NULL)
        fclose(f);
    sqlite3_free(bytes);
    sqlite3_close(other);
    return rc;
}

static int
read_all(int fd, void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = read(fd, (char *)buf + done, n - done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return -1;
        done += (size_t)r;
    }
    return 0;
}

static int
serve_one(const struct message *m, const char *text)
{
    switch ((enum op)m->op) {
    case OP_SQL:
        return run_sql(text);
    case OP_DIE_AT:
        die_call = (enum app_call)m->call;
        die_nth = m->nth;
        return 0;
    case OP_CLOSE:
        sqlite3_close(db);
        db = NULL;
        return 0;
    case OP_SAVE:
        return save(text);
    case OP_KILL:
        kill(getpid(), SIGKILL);
        break;
    case OP_STOP:
        break;
    }
    return SQLITE_MISUSE;
}

static _Noreturn void
serve(int in, int out)
{
    struct message m;

    while (read_all(in, &m, sizeof(m)) == 0) {
        char *text = calloc(1, m.size + 1);
        int32_t rc;

        if (read_all(in, text, m.size) != 0)
            break;
        rc = serve_one(&m, text);
        free(text);
        if (m.op == OP_STOP || write(out, &rc, sizeof(rc)) != (ssize_t)sizeof(rc))
            break;
    }
    sqlite3_close(db);
    _exit(0);
}

static void
end_with_parent(void)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

/* Never opens a database itself, so that each life starts with none. */
static _Noreturn void
keep_alive(int in, int out)
{
    for (;;) {
        int32_t died = APP_DIED;
        int status;
        pid_t child = fork();

        if (child == 0) {
            end_with_parent();
            serve(in, out);
        }
        if (child < 0 || waitpid(child, &status, 0) != child ||
            (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            _exit(0);
        if (write(out, &died, sizeof(died)) != (ssize_t)sizeof(died))
            _exit(0);
    }
}

/* --- the test's side ------------------------------------------------------------------
 */

struct app *
app_start(const char *db_path)
{
    struct app *a = calloc(1, sizeof(*a));
    int to[2], from[2];

    path = db_path;
    if (a == NULL || pipe(to) != 0 || pipe(from) != 0 || (a->pid = fork()) < 0)
        abort();
    if (a->pid == 0) {
        close(to[1]);
        close(from[0]);
        end_with_parent();
        keep_alive(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    a->to = to[1];
    a->from = from[0];
    return a;
}

static void
send_message(struct app *a, struct message m, const char *text)
{
    m.size = (uint32_t)strlen(text);
    if (write(a->to, &m, sizeof(m)) != (ssize_t)sizeof(m) ||
        write(a->to, text, m.size) != (ssize_t)m.size)
        abort();
}

int
app_wait(struct app *a)
{
    int32_t rc;

    if (read_all(a->from, &rc, sizeof(rc)) != 0)
        abort();
    return rc;
}

__attribute__((format(printf, 2, 0))) static void
go(struct app *a, const char *fmt, va_list ap)
{
    char *sql = NULL;

    if (vasprintf(&sql, fmt, ap) < 0)
        abort();
    send_message(a, (struct message){ .op = OP_SQL }, sql);
    free(sql);
}

void
app_go(struct app *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    go(a, fmt, ap);
    va_end(ap);
}

int
app_sql(struct app *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    go(a, fmt, ap);
    va_end(ap);
    return app_wait(a);
}

void
app_die_at(struct app *a, enum app_call call, unsigned nth)
{
    send_message(
        a, (struct message){ .op = OP_DIE_AT, .call = (uint32_t)call, .nth = nth }, "");
    app_wait(a);
}

void
app_kill(struct app *a)
{
    send_message(a, (struct message){ .op = OP_KILL }, "");
    app_wait(a);
}

void
app_close_db(struct app *a)
{
    send_message(a, (struct message){ .op = OP_CLOSE }, "");
    app_wait(a);
}

int
app_save(struct app *a, const char *to)
{
    send_message(a, (struct message){ .op = OP_SAVE }, to);
    return app_wait(a);
}

void
app_stop(struct app *a)
{
    if (a == NULL)
        return;
    /* Not by closing the pipe: younger processes inherited its other end. */
    send_message(a, (struct message){ .op = OP_STOP }, "");
    waitpid(a->pid, NULL, 0);
    close(a->to);
    close(a->from);
    free(a);
}
