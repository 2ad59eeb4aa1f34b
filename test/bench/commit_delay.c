/*
 * commit_delay quiet|busy|flood SECONDS DATABASE FOLDER [DATABASE FOLDER]... - how long
 * committed changes take to a file replica.
 *
 * FOLDER is the replica's ltx/0. A commit is identified by the salts of the WAL and the
 * number of frames behind it; it is durable when a file that covers it has its name and
 * the folder was synced (here once more: the daemon's own sync cannot be seen from
 * outside, and ours returns no sooner than it). Prints one delay in microseconds a line.
 *
 *   quiet  one commit at a time, each after more than a second without any
 *   busy   a commit each millisecond
 *   flood  commits one behind the other without a pause
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/ltx/ltx_format.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_scan.h"

#define PAGE_SIZE 4096
#define MAX_PENDING 1000000
#define QUIET_MS 1100
#define LAST_FILES_MS 5000
#define EVENTS 65536

struct commit {
    struct wal_salt salt;
    int64_t end_off; /* of its last frame */
    int64_t done_ns;
};

struct watched {
    const char *db_path, *folder;
    char mode; /* first letter */
    int64_t until_ns;
    int inotify;
    pthread_t thread, watcher;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended;
    struct commit *pending; /* oldest first; those up to `n_durable` are durable */
    size_t n, n_durable;
    int64_t *delay_ns;
    struct ltx_header newest; /* file seen */
};

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
sleep_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

static _Noreturn void
fail(const char *what, const char *why)
{
    fprintf(stderr, "commit_delay: %s: %s\n", what, why);
    exit(1);
}

/* --- writing --------------------------------------------------------------------------
 */

static int
on_wal(void *arg, sqlite3 *db, const char *name, int n_frames)
{
    (void)db;
    (void)name;
    *(int *)arg = n_frames;
    return SQLITE_OK;
}

static struct wal_salt
read_salt(int wal)
{
    struct wal_header h;
    struct err e;

    if (wal_read_header(wal, &h, &e) != 0)
        fail("read WAL header", e.text);
    return h.salt;
}

static bool
covers(const struct ltx_header *h, const struct commit *c)
{
    if (h->wal_salt1 != c->salt.s1 || h->wal_salt2 != c->salt.s2)
        return false;
    return h->wal_offset + h->wal_size >= c->end_off;
}

/* Under the lock: everything up to commit number n (from 1) is durable now. */
static void
set_durable(struct watched *w, size_t n, int64_t now)
{
    for (; w->n_durable < n; w->n_durable++)
        w->delay_ns[w->n_durable] = now - w->pending[w->n_durable].done_ns;
    pthread_cond_broadcast(&w->changed);
}

/* One commit, noted with the moment at which SQLite called it done. */
static void
commit_one(
    struct watched *w, sqlite3 *db, sqlite3_stmt *insert, int wal, const int *n_frames)
{
    struct commit c;

    if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
        fail("commit", sqlite3_errmsg(db));
    c.done_ns = now_ns();
    c.salt = read_salt(wal);
    c.end_off = wal_frame_off(PAGE_SIZE, (uint32_t)*n_frames + 1);
    pthread_mutex_lock(&w->lock);
    if (w->n < MAX_PENDING)
        w->pending[w->n++] = c;
    if (w->n_durable + 1 == w->n &&
        covers(&w->newest, &c)) /* the file was quicker than we */
        set_durable(w, w->n, now_ns());
    pthread_mutex_unlock(&w->lock);
}

static void
wait_all_durable(struct watched *w)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_FILES_MS / 1000;
    pthread_mutex_lock(&w->lock);
    while (w->n_durable < w->n)
        if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != 0)
            fail(w->folder, "a commit did not arrive");
    pthread_mutex_unlock(&w->lock);
}

static void *
write_thread(void *arg)
{
    struct watched *w = arg;
    unsigned seed = (unsigned)(uintptr_t)w;
    char *wal_path = sqlite3_mprintf("%s-wal", w->db_path);
    sqlite3_stmt *insert;
    sqlite3 *db;
    int n_frames = 0, wal;

    if (sqlite3_open(w->db_path, &db) != SQLITE_OK ||
        sqlite3_busy_timeout(db, 10000) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = normal", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
            "INSERT INTO item (price, body) VALUES (1, hex(randomblob(50)))", -1, &insert,
            NULL) != SQLITE_OK)
        fail(w->db_path, sqlite3_errmsg(db));
    sqlite3_wal_hook(db, on_wal, &n_frames);
    wal = open(wal_path, O_RDONLY | O_CLOEXEC);
    if (wal < 0)
        fail(wal_path, "no WAL");
    while (now_ns() < w->until_ns) {
        if (w->mode == 'q') {
            seed = seed * 1103515245 + 12345;
            sleep_ms(QUIET_MS + seed / 65536 % 300);
        } else if (w->mode == 'b') {
            sleep_ms(1);
        }
        commit_one(w, db, insert, wal, &n_frames);
        if (w->mode == 'q')
            wait_all_durable(w);
    }
    wait_all_durable(w);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    close(wal);
    sqlite3_free(wal_path);
    return NULL;
}

/* --- watching -------------------------------------------------------------------------
 */

/* Commits of a generation that is over are in files before this one, which were seen. */
static void
take_file(struct watched *w, int dir, const char *name)
{
    uint8_t raw[LTX_HEADER_SIZE];
    struct ltx_header h;
    struct err e;
    size_t last = 0;
    int64_t now;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* merged and gone */
    if (fsync(dir) != 0 || pread(fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        fail(name, "cannot be read");
    close(fd);
    now = now_ns();
    if (ltx_header_decode(raw, &h, &e) != 0)
        fail(name, e.text);
    pthread_mutex_lock(&w->lock);
    for (size_t i = w->n; last == 0 && i > w->n_durable; i--)
        if (covers(&h, &w->pending[i - 1]))
            last = i;
    w->newest = h;
    set_durable(w, last, now);
    pthread_mutex_unlock(&w->lock);
}

static void
take_events(struct watched *w, int dir)
{
    static __thread char events[EVENTS] __attribute__((aligned(8)));
    ssize_t n = read(w->inotify, events, sizeof(events));

    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const void *)(events + at);

        at += (ssize_t)(sizeof(*event) + event->len);
        if (event->len > 0 && strlen(event->name) > 4 &&
            strcmp(event->name + strlen(event->name) - 4, ".ltx") == 0)
            take_file(w, dir, event->name);
    }
}

static void *
watch_thread(void *arg)
{
    struct watched *w = arg;
    struct pollfd p = { .fd = w->inotify, .events = POLLIN };
    int dir = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ended = false;

    if (dir < 0)
        fail(w->folder, "no such folder");
    while (!ended) {
        if (poll(&p, 1, 100) > 0)
            take_events(w, dir);
        pthread_mutex_lock(&w->lock);
        ended = w->ended;
        pthread_mutex_unlock(&w->lock);
    }
    close(dir);
    return NULL;
}

/* --------------------------------------------------------------------------------------
 */

static void
start(struct watched *w, int i, char mode, int seconds, char **paths)
{
    w->db_path = paths[0];
    w->folder = paths[1];
    w->mode = mode;
    /* spread over the second, so that they do not meet */
    w->until_ns = now_ns() + (int64_t)seconds * 1000000000 + (int64_t)i * 7000000;
    w->pending = calloc(MAX_PENDING, sizeof(w->pending[0]));
    w->delay_ns = calloc(MAX_PENDING, sizeof(w->delay_ns[0]));
    w->inotify = inotify_init1(IN_CLOEXEC);
    if (w->pending == NULL || w->delay_ns == NULL || w->inotify < 0 ||
        inotify_add_watch(w->inotify, w->folder, IN_MOVED_TO | IN_CREATE) < 0)
        fail(w->folder, "cannot be watched");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (pthread_create(&w->watcher, NULL, watch_thread, w) != 0 ||
        pthread_create(&w->thread, NULL, write_thread, w) != 0)
        fail("thread", "cannot be started");
}

static void
end(struct watched *w)
{
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->watcher, NULL);
    for (size_t i = 0; i < w->n_durable; i++)
        printf("%lld\n", (long long)(w->delay_ns[i] / 1000));
    close(w->inotify);
    free(w->pending);
    free(w->delay_ns);
}

int
main(int argc, char **argv)
{
    int n = (argc - 3) / 2;
    struct watched *all = calloc((size_t)(n > 0 ? n : 1), sizeof(*all));

    if (argc < 5 || argc % 2 == 0 || all == NULL) {
        fprintf(
            stderr, "usage: commit_delay quiet|busy|flood SECONDS DATABASE FOLDER...\n");
        return 2;
    }
    for (int i = 0; i < n; i++)
        start(&all[i], i, argv[1][0], atoi(argv[2]), &argv[3 + 2 * i]);
    for (int i = 0; i < n; i++)
        end(&all[i]);
    free(all);
    return 0;
}
