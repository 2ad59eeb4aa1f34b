/*
 * top - a table of the databases, again and again: those that are in trouble first, then
 * those that write most.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/bytesize.h"
#include "common/base/duration.h"
#include "common/base/mem.h"
#include "common/base/mono.h"
#include "supervisor/commands/socket.h"
#include "supervisor/ctl/ctl.h"

#define SCREEN_BEGIN                                                                     \
    "\x1b[?1049h\x1b[?25l\x1b[?7l" /* of its own, no cursor, no wrapping */
#define SCREEN_END "\x1b[?7h\x1b[?25h\x1b[?1049l"
#define SCREEN_HOME "\x1b[H"
#define LINE_REST "\x1b[K"
#define SCREEN_REST "\x1b[J"

struct top_db {
    const json_t *json;
    const char *path;
    double lag_s, rate; /* bytes of WAL a second; < 0: not known */
    bool bad;
};

struct top {
    const struct socket_args *a;
    int64_t interval_s, count; /* of pages; 0: no end */
    bool screen;
    struct termios before;
    json_t *reply;     /* of the last page */
    struct mono taken; /* then */
    json_t *bytes;     /* {path: total_wal_bytes} of the page before */
    struct mono bytes_taken;
    struct top_db *dbs;
    size_t n;
};

static volatile sig_atomic_t over;

static void
on_signal(int signum)
{
    (void)signum;
    over = 1;
}

/* --- numbers --------------------------------------------------------------------------
 */

static double
rate_of(const struct top *t, const char *path, uint64_t total)
{
    const json_t *before = json_object_get(t->bytes, path);
    double s = (double)mono_diff_ms(t->taken, t->bytes_taken) / 1000;
    double n = (double)total - (double)json_integer_value(before);

    return before != NULL && s > 0 ? (n > 0 ? n / s : 0) : -1;
}

static int
by_interest(const void *a, const void *b)
{
    const struct top_db *x = a, *y = b;

    if (x->bad != y->bad)
        return x->bad ? -1 : 1;
    if (x->rate < y->rate || x->rate > y->rate)
        return x->rate > y->rate ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void
judge(struct top *t)
{
    json_t *list = json_object_get(t->reply, "databases"), *db, *bytes = json_object();
    size_t i;

    mem_free(t->dbs);
    t->n = json_array_size(list);
    t->dbs = mem_new_array(t->n + 1, sizeof(t->dbs[0]));
    json_array_foreach(list, i, db)
    {
        struct top_db *x = &t->dbs[i];
        const json_t *lag = json_object_get(db, "lag_seconds");

        x->json = db;
        x->path = socket_text(db, "path");
        x->rate = rate_of(t, x->path, socket_uint(db, "total_wal_bytes"));
        x->lag_s = lag != NULL ? json_number_value(lag) : -1;
        x->bad = socket_text(db, "last_error")[0] != '\0';
        json_object_set(bytes, x->path, json_object_get(db, "total_wal_bytes"));
    }
    qsort(t->dbs, t->n, sizeof(t->dbs[0]), by_interest);
    json_decref(t->bytes);
    t->bytes = bytes;
    t->bytes_taken = t->taken;
}

/* --- the page -------------------------------------------------------------------------
 */

#define N_COLUMNS 9

static const char *const header[N_COLUMNS] = { "DATABASE", "STATE", "TXID", "REPLICA",
    "LAG", "WAL", "RATE", "RESTARTS", "ERROR" };

/* A name must not move the cursor. */
static char *
shown(const char *text)
{
    char *copy = mem_strdup(text);

    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return copy;
}

static void
add_row(struct table *table, const struct top_db *x)
{
    char txid[24], replica[24], lag[DURATION_TEXT_MAX] = "-", wal[BYTESIZE_TEXT_MAX],
                                rate[BYTESIZE_TEXT_MAX + 2] = "-", restarts[24];
    char *path = shown(x->path);
    char *error = shown(x->bad ? socket_text(x->json, "last_error") : "-");
    const char *cells[N_COLUMNS] = { path, socket_text(x->json, "state"), txid, replica,
        lag, wal, rate, restarts, error };

    snprintf(txid, sizeof(txid), "%" PRIu64, socket_uint(x->json, "txid"));
    snprintf(replica, sizeof(replica), "%" PRIu64, socket_uint(x->json, "replica_txid"));
    snprintf(restarts, sizeof(restarts), "%" PRIu64, socket_uint(x->json, "restarts"));
    bytesize_format(socket_uint(x->json, "wal_size"), wal);
    if (x->lag_s >= 0)
        duration_format((int64_t)(x->lag_s * 10) * (DURATION_SEC / 10), lag);
    if (x->rate >= 0) {
        bytesize_format((uint64_t)x->rate, rate);
        strncat(rate, "/s", sizeof(rate) - strlen(rate) - 1);
    }
    table_add(table, cells);
    mem_free(path);
    mem_free(error);
}

static void
print_summary(const struct top *t)
{
    size_t n_bad = 0, n_behind = 0;

    for (size_t i = 0; i < t->n; i++) {
        n_bad += t->dbs[i].bad;
        n_behind += t->dbs[i].lag_s > 0;
    }
    printf("%zu databases, %zu behind, %zu with an error%s\n", t->n, n_behind, n_bad,
        t->screen ? LINE_REST : "");
}

static size_t
rows_of_screen(const struct top *t)
{
    struct winsize size;

    if (!t->screen || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 4)
        return SIZE_MAX;
    return (size_t)size.ws_row - 3;
}

static void
print_page(const struct top *t)
{
    struct table *table = table_new(header, N_COLUMNS);
    size_t rows = rows_of_screen(t);

    if (t->screen)
        printf(SCREEN_HOME SCREEN_REST);
    print_summary(t);
    for (size_t i = 0; i < t->n && i < rows; i++)
        add_row(table, &t->dbs[i]);
    table_print_free(table);
    fflush(stdout);
}

/* --- again and again ------------------------------------------------------------------
 */

static int
next_page(struct top *t, struct err *e)
{
    struct client c = socket_client(t->a);
    json_t *reply;
    int rc = client_call_json(&c, "top", "/list", NULL, &reply, e);

    if (rc != 0)
        return rc;
    json_decref(t->reply);
    t->reply = reply;
    t->taken = mono_now();
    judge(t);
    print_page(t);
    return 0;
}

/* Until the next page is due, a signal comes or a key asks for the end. */
static void
rest(const struct top *t)
{
    struct mono until = mono_add_ms(mono_now(), t->interval_s * 1000);
    struct pollfd key = { .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN };
    char c;

    while (over == 0 && !mono_reached(until))
        if (poll(&key, 1, (int)mono_wait_ms(until)) == 1 &&
            (read(STDIN_FILENO, &c, 1) != 1 || c == 'q'))
            over = 1;
}

static void
begin_screen(struct top *t)
{
    struct sigaction quit = { .sa_handler = on_signal };
    struct termios raw;

    t->screen = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                tcgetattr(STDIN_FILENO, &t->before) == 0;
    if (!t->screen)
        return;
    sigaction(SIGINT, &quit, NULL);
    sigaction(SIGTERM, &quit, NULL);
    raw = t->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    printf(SCREEN_BEGIN);
}

static void
end_screen(struct top *t)
{
    if (!t->screen)
        return;
    printf(SCREEN_END);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

static int
run(const struct socket_args *a, const char *argument, void *arg, struct err *e)
{
    struct top *t = arg;
    int64_t n = 0;
    int rc;

    (void)argument;
    t->a = a;
    if (t->interval_s <= 0)
        return err_set(e, ERR_USAGE, "interval must be greater than 0");
    begin_screen(t);
    if (t->count <= 0)
        t->count = t->screen ? INT64_MAX : 1;
    do {
        rc = next_page(t, e);
        if (rc == 0 && ++n < t->count)
            rest(t);
    } while (rc == 0 && n < t->count && over == 0);
    end_screen(t);
    json_decref(t->reply);
    json_decref(t->bytes);
    mem_free(t->dbs);
    return rc;
}

int
ctl_top(int argc, char **argv, struct err *e)
{
    static const struct command_help help = {
        .about =
            "Shows the databases of the daemon again and again; q ends it. Those with an\n"
            "error come first, then those that write most. When it is no terminal that\n"
            "it writes to, it shows them once.",
        .usage = "\tlitestream top [flags]",
    };
    struct socket_args a = SOCKET_ARGS(10);
    struct top t = { .interval_s = 2 };
    const struct flag flags[] = {
        { .name = "socket",
            .type = FLAG_STRING,
            .value = &a.socket,
            .arg = "PATH",
            .doc = "Control socket of the daemon (" CFG_DEFAULT_SOCKET ")." },
        { .name = "timeout",
            .type = FLAG_INT,
            .value = &a.timeout_s,
            .arg = "SECONDS",
            .doc = "Longest time for a request." },
        { .name = "interval",
            .type = FLAG_INT,
            .value = &t.interval_s,
            .arg = "SECONDS",
            .doc = "Time from one page to the next (2)." },
        { .name = "n",
            .type = FLAG_INT,
            .value = &t.count,
            .arg = "COUNT",
            .doc = "End after so many pages." },
    };
    const struct socket_command c = {
        .help = &help, .flags = flags, .n_flags = 4, .run = run, .arg = &t
    };

    return socket_command(&c, &a, argc, argv, e);
}
