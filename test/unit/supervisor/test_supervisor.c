/*
 * The supervisor with workers of our own making: what it does about lives, deaths and
 * words of theirs. worker_main() of this file stands in for the real one; each database's
 * path names what its worker does (up to a #).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/must.h"
#include "common/base/proc.h"
#include "common/ipc/messages.h"
#include "supervisor/supervisor.h"
#include "test/unit/support/tmp.h"
#include "workers/worker.h"

#define N_MAX 6
#define PATIENCE_MS 20000
#define LIFE_MAX_S 40 /* nobody outlives a test that hangs */

/* What the workers leave behind, shared with them; by the order of the databases. */
struct board {
    struct {
        atomic_uint lives, stops, skips, ready, own_watch, wal_armed, wal_fired,
            wal_failed;
        atomic_uint incarnation;
        atomic_llong timeout_ms;
        atomic_int n_foreign_fds, n_wrong_signals;
    } db[N_MAX];
};

static struct board *board;
static struct config config = { .addr = "", .mcp_addr = "", .heartbeat_url = "" };
static struct cfg_db dbs[N_MAX];

/* --- a worker -------------------------------------------------------------------------
 */

struct life {
    const struct worker_start *start;
    unsigned i;   /* of the database */
    unsigned nth; /* life, from 1 */
};

static void
say(const struct life *l, const void *bytes, size_t n)
{
    must(write(l->start->channel, bytes, n) == (ssize_t)n);
}

static void
say_message(const struct life *l, struct msg *m, uint32_t incarnation)
{
    struct buf b;

    m->head.incarnation = incarnation;
    buf_init(&b, MSG_MAX);
    msg_encode(&b, m);
    say(l, b.data, b.size);
    buf_deinit(&b);
}

static void
say_ready(const struct life *l)
{
    struct msg m = { .head = { .id = MSG_READY } };

    say_message(l, &m, l->start->incarnation);
    board->db[l->i].ready++;
}

static void
say_done(const struct life *l, int code, uint32_t incarnation)
{
    struct msg m = { .head = { .id = MSG_DONE, .request = 1 },
        .u.done = { .code = code } };

    say_message(l, &m, incarnation);
}

/* The next message; the end of the channel ends the worker as a death. */
static void
hear(const struct life *l, struct msg *m)
{
    static uint8_t in[4 * MSG_MAX];
    static size_t size;
    struct pollfd p = { .fd = l->start->channel, .events = POLLIN };
    struct err e;
    size_t used;
    ssize_t n;

    while (msg_decode(in, size, MSG_FROM_SUPERVISOR, WS_ANY, m, &used, &e) != 0) {
        must(poll(&p, 1, PATIENCE_MS) == 1);
        n = read(p.fd, in + size, sizeof(in) - size);
        if (n <= 0)
            proc_exit(9);
        size += (size_t)n;
    }
    memmove(in, in + used, size - used);
    size -= used;
    if (m->head.id == MSG_STOP) {
        board->db[l->i].timeout_ms = m->u.stop.timeout_ms;
        board->db[l->i].stops++;
        board->db[l->i].skips += m->u.stop.skip;
    } else if (m->head.id == MSG_WAL_EVENT) {
        board->db[l->i].wal_armed += m->u.wal_event.armed;
        board->db[l->i].wal_failed += m->u.wal_event.failed;
        board->db[l->i].wal_fired += !m->u.wal_event.armed && !m->u.wal_event.failed;
    }
}

static void
wait_stop(const struct life *l)
{
    struct msg m;

    do
        hear(l, &m);
    while (m.head.id != MSG_STOP);
}

/* All that a worker has to wait for comes from others by the board. */
static void
wait_board(const atomic_uint *value, unsigned least)
{
    for (int ms = 0; *value < least; ms++) {
        must(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
}

static void
end_all(void)
{
    kill(getppid(), SIGTERM);
}

static int
live_well(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    say_done(l, 0, l->start->incarnation);
    return 0;
}

/* Ends everything once the second life of all others has begun. */
static int
live_last(const struct life *l)
{
    say_ready(l);
    for (unsigned i = 0; i < config.n_dbs; i++)
        if (i != l->i && strcmp(dbs[i].path, "well") != 0)
            wait_board(&board->db[i].ready, 1);
    end_all();
    wait_stop(l);
    say_done(l, 0, l->start->incarnation);
    return 0;
}

static int
live_breaking_rules(const struct life *l, const void *bytes, size_t n)
{
    if (l->nth > 1)
        return live_well(l);
    say(l, bytes, n);
    for (;;)
        pause(); /* it does not end by itself */
}

static int
live_garbage(const struct life *l)
{
    return live_breaking_rules(l, "this is no message of any kind", 30);
}

static int
live_oversized(const struct life *l)
{
    struct msg_head head = {
        .size = UINT32_MAX, .id = MSG_DONE, .incarnation = l->start->incarnation
    };

    return live_breaking_rules(l, &head, sizeof(head));
}

static int
live_as_supervisor(const struct life *l)
{
    struct msg m = { .head = { .id = MSG_STOP } };

    if (l->nth == 1)
        say_message(l, &m, l->start->incarnation);
    return live_breaking_rules(l, "", 0);
}

/* Dies in the middle of a word. */
static int
live_cut_off(const struct life *l)
{
    struct msg_head head = { .size = sizeof(head) + sizeof(struct msg_ready),
        .id = MSG_READY,
        .incarnation = l->start->incarnation };

    if (l->nth > 1)
        return live_well(l);
    say(l, &head, sizeof(head));
    return 3;
}

/* A bad word of an earlier life, then a good one of this. */
static int
live_with_late_word(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    say_done(l, ERR_IO, l->start->incarnation - 1);
    say_done(l, 0, l->start->incarnation);
    return 0;
}

static int
live_failing_stop(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    say_done(l, ERR_IO, l->start->incarnation);
    return 1;
}

static int
live_dying_in_stop(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    if (l->nth == 1)
        raise(SIGKILL);
    say_done(l, 0, l->start->incarnation);
    return 0;
}

static int
live_dying_in_every_stop(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    return 7;
}

/* Stops only when it is told to skip. */
static int
live_until_skip(const struct life *l)
{
    struct msg m;

    say_ready(l);
    wait_stop(l);
    end_all();
    do
        hear(l, &m);
    while (m.head.id != MSG_STOP || m.u.stop.skip == 0);
    say_done(l, 0, l->start->incarnation);
    return 0;
}

/* Wants neither to end nor to skip. */
static int
live_deaf(const struct life *l)
{
    say_ready(l);
    wait_stop(l);
    end_all();
    while (pause() == -1)
        continue;
    return 0;
}

/* Has its WAL watched, and one that is not there. */
static int
live_watching(const struct life *l)
{
    struct msg m = { .head = { .id = MSG_WATCH }, .u.watch = { .arm = 1 } }, in;
    char *wal;

    must(asprintf(&wal, "%s-wal", l->start->db->path) > 0);
    say_message(l, &m, l->start->incarnation);
    hear(l, &in);
    tmp_write(wal, "x", 1);
    say_message(l, &m, l->start->incarnation);
    hear(l, &in);
    tmp_write(wal, "y", 1);
    hear(l, &in);
    free(wal);
    return live_last(l);
}

static const struct {
    const char *name;
    int (*live)(const struct life *l);
} kinds[] = {
    { "well", live_well },
    { "last", live_last },
    { "garbage", live_garbage },
    { "oversized", live_oversized },
    { "as-supervisor", live_as_supervisor },
    { "cut-off", live_cut_off },
    { "late-word", live_with_late_word },
    { "failing-stop", live_failing_stop },
    { "dying-in-stop", live_dying_in_stop },
    { "dying-in-every-stop", live_dying_in_every_stop },
    { "until-skip", live_until_skip },
    { "deaf", live_deaf },
    { "watching", live_watching },
};

/* Descriptors besides the standard ones, the channel and the one that reads the folder.
 */
static int
foreign_fds(int channel)
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *entry;
    int n = 0;

    must(d != NULL);
    while ((entry = readdir(d)) != NULL) {
        int fd = atoi(entry->d_name);

        n += entry->d_name[0] != '.' && fd > 2 && fd != channel && fd != dirfd(d);
    }
    closedir(d);
    return n;
}

static int
wrong_signals(void)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    struct sigaction a;
    sigset_t blocked;
    int n = 0;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        n += sigaction(ignored[i], NULL, &a) != 0 || a.sa_handler != SIG_IGN;
    n += sigaction(SIGCHLD, NULL, &a) != 0 || a.sa_handler != SIG_DFL;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int s = 1; s < 32; s++)
        n += sigismember(&blocked, s) == 1;
    return n;
}

void
worker_prepare(void)
{
}

int
worker_main(const struct worker_start *start)
{
    struct life l = { .start = start, .i = (unsigned)(start->db - dbs) };
    const char *name = strrchr(start->db->path, '/');

    alarm(LIFE_MAX_S);
    proc_must_be(PROC_WORKER);
    fcntl(start->channel, F_SETFL, 0);
    l.nth = ++board->db[l.i].lives;
    board->db[l.i].incarnation = start->incarnation;
    board->db[l.i].own_watch += start->own_watch;
    board->db[l.i].n_foreign_fds += foreign_fds(start->channel);
    board->db[l.i].n_wrong_signals += wrong_signals();
    name = name != NULL ? name + 1 : start->db->path;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strlen(kinds[i].name) == strcspn(name, "#") &&
            strncmp(name, kinds[i].name, strcspn(name, "#")) == 0)
            return kinds[i].live(&l);
    return 99;
}

/* --- the tests ------------------------------------------------------------------------
 */

static void
add(const char *path)
{
    cr_assert_lt(config.n_dbs, N_MAX);
    dbs[config.n_dbs++] = (struct cfg_db){ .path = path,
        .dir_path = "",
        .meta_path = "",
        .heartbeat_url = "",
        .enabled = true };
}

static void
set_up(void)
{
    board = mmap(
        NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
    config.dbs = dbs;
    config.shutdown_sync_timeout_ns = INT64_C(1500000001);
    setenv("LITESTREAM_INOTIFY_BUDGET", "2", 1);
    alarm(LIFE_MAX_S);
}

static int
run(struct err *e)
{
    struct supervisor_options options = { .config = &config };

    return supervisor_run(&options, e);
}

static void
expect_lives(unsigned i, unsigned lives, unsigned stops)
{
    cr_expect_eq(
        board->db[i].lives, lives, "%s: %u lives", dbs[i].path, board->db[i].lives);
    cr_expect_eq(board->db[i].incarnation, lives, "%s", dbs[i].path);
    cr_expect_eq(
        board->db[i].stops, stops, "%s: %u stops", dbs[i].path, board->db[i].stops);
}

TestSuite(supervisor, .init = set_up);

Test(supervisor, who_breaks_the_rules_of_the_channel_is_started_anew_and_no_other)
{
    int spare = dup(2); /* a worker does not get it */
    struct err e = ERR_NONE;

    add("garbage");
    add("oversized");
    add("as-supervisor");
    add("cut-off");
    add("well");
    add("last");
    cr_expect_eq(run(&e), 0, "%s", e.text);
    for (unsigned i = 0; i < 4; i++)
        expect_lives(i, 2, 1);
    expect_lives(4, 1, 1);
    expect_lives(5, 1, 1);
    for (unsigned i = 0; i < 6; i++) {
        cr_expect_eq(board->db[i].n_foreign_fds, 0, "%s", dbs[i].path);
        cr_expect_eq(board->db[i].n_wrong_signals, 0, "%s", dbs[i].path);
        cr_expect_eq(board->db[i].timeout_ms, 1501, "rounded up");
        cr_expect_eq(board->db[i].skips, 0);
    }
    close(spare);
}

Test(supervisor, the_budget_of_watches_is_kept_over_lives)
{
    struct err e = ERR_NONE;

    add("cut-off#1");
    add("cut-off#2");
    add("cut-off#3");
    add("last");
    cr_expect_eq(run(&e), 0, "%s", e.text);
    cr_expect_eq(board->db[0].own_watch, 2, "both lives");
    cr_expect_eq(board->db[1].own_watch, 2);
    cr_expect_eq(board->db[2].own_watch, 0);
    cr_expect_eq(board->db[3].own_watch, 0);
}

Test(supervisor, what_is_not_enabled_or_has_no_path_gets_no_worker)
{
    struct err e = ERR_NONE;

    add("well");
    dbs[0].enabled = false;
    add("");
    add("last");
    board->db[0].ready = board->db[1].ready = 1;
    cr_expect_eq(run(&e), 0, "%s", e.text);
    cr_expect_eq(board->db[0].lives, 0);
    cr_expect_eq(board->db[1].lives, 0);
    expect_lives(2, 1, 1);
}

Test(supervisor, a_late_word_of_another_life_does_not_count)
{
    struct err e = ERR_NONE;

    add("late-word");
    add("last");
    cr_expect_eq(run(&e), 0, "%s", e.text);
    expect_lives(0, 1, 1);
}

Test(supervisor, a_bad_answer_to_the_stop_is_told_at_the_end)
{
    struct err e = ERR_NONE;

    add("failing-stop#1");
    add("well");
    add("failing-stop#2");
    add("last");
    cr_expect_eq(run(&e), ERR_TIMEOUT);
    cr_expect_not_null(strstr(e.text, "of 2 databases"), "%s", e.text);
    expect_lives(0, 1, 1);
    expect_lives(1, 1, 1);
}

Test(supervisor, a_death_in_the_final_sync_is_made_good_by_one_more_life)
{
    struct err e = ERR_NONE;

    add("dying-in-stop");
    add("last");
    cr_expect_eq(run(&e), 0, "%s", e.text);
    expect_lives(0, 2, 2);
}

Test(supervisor, but_by_one_only)
{
    struct err e = ERR_NONE;

    add("dying-in-every-stop");
    add("last");
    cr_expect_eq(run(&e), ERR_TIMEOUT);
    cr_expect_not_null(strstr(e.text, "of 1 databases"), "%s", e.text);
    expect_lives(0, 2, 2);
}

Test(supervisor, a_second_signal_tells_them_to_skip)
{
    struct err e = ERR_NONE;

    add("until-skip");
    add("last");
    cr_expect_eq(run(&e), 0, "%s", e.text);
    expect_lives(0, 1, 2);
    cr_expect_eq(board->db[0].skips, 1);
}

Test(supervisor, one_that_does_not_end_after_a_second_signal_is_killed)
{
    struct err e = ERR_NONE;

    add("deaf");
    add("well");
    add("last");
    cr_expect_eq(run(&e), ERR_TIMEOUT);
    cr_expect_not_null(strstr(e.text, "of 1 databases"), "%s", e.text);
    expect_lives(0, 1, 1);
    expect_lives(1, 1, 1);
}

/* A WAL that is not there yet, then armed, then one event. */
Test(supervisor, watches_a_wal_on_behalf_of_a_worker)
{
    struct err e = ERR_NONE;

    add(tmp_path("watching"));
    cr_expect_eq(run(&e), 0, "%s", e.text);
    cr_expect_eq(board->db[0].wal_failed, 1);
    cr_expect_eq(board->db[0].wal_armed, 1);
    cr_expect_eq(board->db[0].wal_fired, 1);
}
