/*
 * The table of databases with workers of our own making: each database's path names what
 * its worker does (up to a #).
 */
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
#include <uv.h>

#include "common/base/mem.h"
#include "common/base/must.h"
#include "common/base/proc.h"
#include "supervisor/db_table.h"
#include "supervisor/slot_pool.h"
#include "workers/worker.h"

#define PATIENCE_MS 20000
#define LIFE_MAX_S 60
#define N_MAX 8

/* --- a worker -------------------------------------------------------------------------
 */

struct life {
    const struct worker_start *start;
    bool dies_on_ask, dies_on_stop, mute, backwards, fails;
};

static atomic_uint *lives; /* shared: all forks so far */

static void
say(const struct life *l, uint16_t id, uint16_t request, int code, uint64_t txid)
{
    struct msg m = { .head = { .id = id, .request = request } };
    struct buf b;

    if (id == MSG_DONE) {
        m.u.done.code = code;
        m.u.done.txid = txid;
        m.u.done.complete = txid == MSG_CHECKPOINT_FULL;
        snprintf(m.u.done.text, sizeof(m.u.done.text), "%s", code != 0 ? "as told" : "");
    }
    m.head.incarnation = l->start->incarnation;
    buf_init(&b, MSG_MAX);
    msg_encode(&b, &m);
    must(write(l->start->channel, b.data, b.size) == (ssize_t)b.size);
    buf_deinit(&b);
}

static void
hear(const struct life *l, struct msg *m)
{
    static uint8_t in[64 * MSG_MAX];
    static size_t size;
    struct pollfd p = { .fd = l->start->channel, .events = POLLIN };
    struct err e;
    size_t used;
    ssize_t n;

    while (msg_decode(in, size, MSG_FROM_SUPERVISOR, WS_ANY, m, &used, &e) != 0) {
        must(poll(&p, 1, LIFE_MAX_S * 1000) == 1);
        n = read(p.fd, in + size, sizeof(in) - size);
        if (n <= 0)
            proc_exit(9);
        size += (size_t)n;
    }
    memmove(in, in + used, size - used);
    size -= used;
}

/* What it was asked comes back as the TXID. */
static uint64_t
word(const struct msg *m)
{
    return m->head.id == MSG_CHECKPOINT ? m->u.checkpoint.mode
           : m->head.id == MSG_SYNC     ? m->u.sync.wait
                                        : 77;
}

static int
serve(const struct life *l)
{
    struct msg held = { .head.id = 0 }, m;

    say(l, MSG_READY, 0, 0, 0);
    for (;;) {
        hear(l, &m);
        if (m.head.id == MSG_STOP && l->dies_on_stop)
            return 4;
        if (m.head.id == MSG_STOP) {
            say(l, MSG_DONE, m.head.request, l->fails ? ERR_IO : 0, 1000);
            return l->fails ? 1 : 0;
        }
        if (m.head.id == MSG_LOG_LEVEL || l->mute)
            continue;
        if (l->dies_on_ask)
            raise(SIGKILL);
        if (l->backwards && held.head.id == 0) {
            held = m;
            continue;
        }
        say(l, MSG_DONE, m.head.request, l->fails ? ERR_SQLITE : 0, word(&m));
        if (held.head.id != 0)
            say(l, MSG_DONE, held.head.request, 0, word(&held));
        held.head.id = 0;
    }
}

void
worker_prepare(void)
{
}

int
worker_main(const struct worker_start *start)
{
    const char *name = start->db->path;
    struct life l = { .start = start,
        .dies_on_ask = strncmp(name, "dies-on-ask", 11) == 0,
        .dies_on_stop = strncmp(name, "dies-on-stop", 12) == 0,
        .mute = strncmp(name, "mute", 4) == 0,
        .backwards = strncmp(name, "backwards", 9) == 0,
        .fails = strncmp(name, "fails", 5) == 0 };
    struct slot_data seen = { .incarnation = start->incarnation, .txid = 500 };

    alarm(LIFE_MAX_S);
    proc_must_be(PROC_WORKER);
    fcntl(start->channel, F_SETFL, 0);
    (*lives)++;
    slot_write(start->slot, &seen);
    if (strncmp(name, "never-ready", 11) == 0)
        return 3;
    return serve(&l);
}

/* --- the loop around ------------------------------------------------------------------
 */

static uv_loop_t loop;
static uv_signal_t sigchld;
static uv_timer_t limit;
static struct db_table *table;
static struct config config;
static struct cfg_db dbs[N_MAX];
static struct cfg_share *share;
static unsigned n_dbs, n_idle, n_events[DB_EVENT_REMOVED + 1];
static bool in_call; /* no callback may come now */

struct answers {
    struct db_answer last;
    unsigned n;
};

static void
on_answer(void *arg, const struct db_answer *a)
{
    struct answers *to = arg;

    cr_assert_not(in_call);
    to->last = *a;
    to->n++;
}

static void
on_event(void *arg, const struct db_entry *d, enum db_event event)
{
    struct db_info info;

    (void)arg;
    db_entry_info(d, &info);
    cr_assert_not_null(info.path);
    n_events[event]++;
}

static void
on_idle(void *arg)
{
    (void)arg;
    n_idle++;
}

static void
on_sigchld(uv_signal_t *h, int signum)
{
    (void)h;
    (void)signum;
    db_table_on_sigchld(table);
}

static void
on_limit(uv_timer_t *h)
{
    (void)h;
    cr_assert_fail("nothing happened");
}

static void
open_table(bool once)
{
    struct db_table_options options = {
        .loop = &loop, .event = on_event, .idle = on_idle, .once = once
    };

    lives = mmap(
        NULL, sizeof(*lives), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(lives, MAP_FAILED);
    setenv("LITESTREAM_INOTIFY_BUDGET", "2", 1);
    alarm(LIFE_MAX_S);
    signal(SIGPIPE, SIG_IGN);
    proc_set_role(PROC_SUPERVISOR);
    cr_assert_eq(uv_loop_init(&loop), 0);
    uv_signal_init(&loop, &sigchld);
    uv_signal_start(&sigchld, on_sigchld, SIGCHLD);
    uv_timer_init(&loop, &limit);
    config.shutdown_sync_timeout_ns = INT64_C(5000000000);
    share = cfg_share_new(&config, false);
    table = db_table_new(&options);
    cr_assert_not_null(table);
}

static void
set_up(void)
{
    open_table(false);
}

/* Until the value is reached. */
static void
run_until(const unsigned *value, unsigned least)
{
    uv_update_time(&loop);
    uv_timer_start(&limit, on_limit, PATIENCE_MS, 0);
    while (*value < least)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&limit);
}

static void
clean_up(void)
{
    unsigned before = n_idle;

    db_table_end(table, false);
    run_until(&n_idle, before + 1);
    cr_expect_eq(db_table_n_alive(table), 0);
    db_table_free(table, NULL, NULL);
    uv_close((uv_handle_t *)&sigchld, NULL);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&loop), 0, "a handle is left");
    cfg_share_put(share);
}

TestSuite(db_table, .init = set_up, .fini = clean_up);

static const struct cfg_db *
make_db(const char *path)
{
    cr_assert_lt(n_dbs, N_MAX);
    dbs[n_dbs] = (struct cfg_db){ .path = path, .meta_path = "", .enabled = true };
    return &dbs[n_dbs++];
}

static void
add(const char *path)
{
    struct err e;

    cr_assert_eq(
        db_table_add(table, share, make_db(path), DB_FROM_CONFIG, &e), 0, "%s", e.text);
}

static struct db_info
info_of(const char *path)
{
    const struct db_entry *d = db_table_find(table, path);
    struct db_info info;

    cr_assert_not_null(d, "%s", path);
    db_entry_info(d, &info);
    return info;
}

static void
add_ready(const char *path)
{
    unsigned before = n_events[DB_EVENT_READY];

    add(path);
    run_until(&n_events[DB_EVENT_READY], before + 1);
}

static int
ask_mode(const char *path, unsigned mode, int64_t timeout_ms, struct answers *to,
    struct err *e)
{
    struct msg m = { .head.id = MSG_CHECKPOINT, .u.checkpoint.mode = mode };
    int rc;

    in_call = true;
    rc = db_table_ask(table, path, &m, timeout_ms, on_answer, to, e);
    in_call = false;
    return rc;
}

/* --- requests -------------------------------------------------------------------------
 */

Test(db_table, each_request_gets_its_own_answer_in_whatever_order)
{
    struct answers a[4] = { { .n = 0 } };
    struct err e;

    add_ready("backwards");
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(ask_mode("backwards", i + 1, 0, &a[i], &e), 0);
    for (unsigned i = 0; i < 4; i++) {
        run_until(&a[i].n, 1);
        cr_expect_eq(a[i].last.txid, i + 1);
        cr_expect_eq(a[i].last.err.code, ERR_OK);
        cr_expect_eq(a[i].last.complete, i + 1 == MSG_CHECKPOINT_FULL);
    }
}

Test(db_table, an_error_of_the_worker_comes_with_its_words)
{
    struct answers a = { .n = 0 };
    struct err e;

    add_ready("fails");
    cr_assert_eq(ask_mode("fails", 1, 0, &a, &e), 0);
    run_until(&a.n, 1);
    cr_expect_eq(a.last.err.code, ERR_SQLITE);
    cr_expect_str_eq(a.last.err.text, "as told");
}

Test(db_table, a_worker_that_dies_answers_all_its_requests)
{
    struct answers a = { .n = 0 };
    struct err e;

    add_ready("dies-on-ask");
    for (int i = 0; i < 5; i++)
        cr_assert_eq(ask_mode("dies-on-ask", 1, PATIENCE_MS * 2, &a, &e), 0);
    run_until(&a.n, 5);
    cr_expect_eq(a.last.err.code, ERR_IO);
    cr_expect_not_null(strstr(a.last.err.text, "worker of dies-on-ask died: signal 9"),
        "%s", a.last.err.text);
    cr_expect_eq(info_of("dies-on-ask").restarts, 1);
    cr_expect_eq(info_of("dies-on-ask").state, DB_WAITING);
    cr_expect_not_null(strstr(info_of("dies-on-ask").obituary, "signal 9"));
    cr_expect_eq(ask_mode("dies-on-ask", 1, 0, &a, &e), ERR_BUSY);
    cr_expect_not_null(strstr(e.text, "waiting"), "%s", e.text);
    run_until(&n_events[DB_EVENT_READY], 2);
    cr_expect_eq(a.n, 5, "once each");
}

Test(db_table, a_request_ends_at_its_time_limit_and_a_late_answer_is_nobodys)
{
    struct answers slow = { .n = 0 }, other = { .n = 0 };
    struct err e;

    add_ready("backwards");
    cr_assert_eq(ask_mode("backwards", 1, 20, &slow, &e), 0);
    run_until(&slow.n, 1);
    cr_expect_eq(slow.last.err.code, ERR_TIMEOUT);
    cr_assert_eq(ask_mode("backwards", 2, 0, &other, &e), 0);
    run_until(&other.n, 1);
    cr_expect_eq(other.last.txid, 2);
    cr_assert_eq(ask_mode("backwards", 3, 0, &other, &e), 0);
    cr_assert_eq(ask_mode("backwards", 4, 0, &other, &e), 0);
    run_until(&other.n, 3);
    cr_expect_eq(slow.n, 1);
}

Test(db_table, requests_are_bounded_and_a_stop_cancels_them)
{
    struct answers a = { .n = 0 }, stop = { .n = 0 };
    struct err e;

    add_ready("mute");
    for (int i = 0; i < DB_MAX_ASKS - 1; i++)
        cr_assert_eq(ask_mode("mute", 1, 0, &a, &e), 0);
    cr_assert_eq(db_table_stop(table, "mute", 0, on_answer, &stop, &e), 0);
    cr_expect_eq(db_table_stop(table, "mute", 0, on_answer, &stop, &e), ERR_LIMIT);
    run_until(&stop.n, 1);
    cr_expect_eq(stop.last.err.code, ERR_OK);
    cr_expect_eq(stop.last.txid, 1000);
    cr_expect_not(stop.last.already);
    cr_expect_eq(a.n, DB_MAX_ASKS - 1);
    cr_expect_eq(a.last.err.code, ERR_CANCELLED);
    cr_expect_eq(ask_mode("mute", 1, 0, &a, &e), ERR_BUSY);
    cr_expect_eq(ask_mode("unknown", 1, 0, &a, &e), ERR_NOT_FOUND);
}

/* --- starts and stops -----------------------------------------------------------------
 */

Test(db_table, stop_and_start_as_often_as_it_is_told)
{
    struct answers stop = { .n = 0 }, start = { .n = 0 };
    struct err e;

    add_ready("well");
    cr_assert_eq(db_table_start(table, "well", 0, on_answer, &start, &e), 0);
    run_until(&start.n, 1);
    cr_expect(start.last.already);
    cr_expect_eq(start.last.txid, 500, "of the slot");
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(db_table_stop(table, "well", 1000, on_answer, &stop, &e), 0);
        run_until(&stop.n, 2 * i - 1);
        cr_expect_not(stop.last.already);
        cr_expect_eq(info_of("well").state, DB_DISABLED);
        cr_expect_eq(info_of("well").pid, 0);
        cr_assert_eq(db_table_stop(table, "well", 1000, on_answer, &stop, &e), 0);
        run_until(&stop.n, 2 * i);
        cr_expect(stop.last.already);
        cr_assert_eq(db_table_start(table, "well", 1000, on_answer, &start, &e), 0);
        run_until(&start.n, i + 1);
        cr_expect_not(start.last.already);
        cr_expect_eq(start.last.err.code, ERR_OK, "%s", start.last.err.text);
        cr_expect_eq(info_of("well").incarnation, i + 1);
    }
    cr_expect_eq(db_table_start(table, "none", 0, on_answer, &start, &e), ERR_NOT_FOUND);
    cr_expect_eq(*lives, 4);
}

Test(db_table, a_start_right_behind_a_stop_waits_for_it)
{
    struct answers stop = { .n = 0 }, start = { .n = 0 };
    struct err e;

    add_ready("well");
    cr_assert_eq(db_table_stop(table, "well", 0, on_answer, &stop, &e), 0);
    cr_expect_eq(info_of("well").state, DB_STOPPING);
    cr_assert_eq(db_table_start(table, "well", 0, on_answer, &start, &e), 0);
    run_until(&start.n, 1);
    cr_expect_eq(stop.n, 1);
    cr_expect_eq(start.last.err.code, ERR_OK);
    cr_expect_eq(info_of("well").state, DB_RUNNING);
    cr_expect_eq(*lives, 2);
}

Test(db_table, a_start_of_a_worker_that_dies_says_so)
{
    struct answers start = { .n = 0 };
    struct err e;

    dbs[0] = (struct cfg_db){ .path = "never-ready", .meta_path = "" };
    n_dbs = 1;
    cr_assert_eq(db_table_add(table, share, &dbs[0], DB_FROM_CONFIG, &e), 0);
    cr_expect_eq(info_of("never-ready").state, DB_DISABLED);
    cr_assert_eq(db_table_start(table, "never-ready", 0, on_answer, &start, &e), 0);
    run_until(&start.n, 1);
    cr_expect_eq(start.last.err.code, ERR_IO);
    cr_expect_not_null(strstr(start.last.err.text, "exit status 3"));
}

Test(db_table, a_stop_that_fails_or_dies_is_told_and_over)
{
    struct answers stop = { .n = 0 };
    struct err e;

    add_ready("fails");
    add_ready("dies-on-stop");
    cr_assert_eq(db_table_stop(table, "fails", 0, on_answer, &stop, &e), 0);
    run_until(&stop.n, 1);
    cr_expect_eq(stop.last.err.code, ERR_IO);
    cr_assert_eq(db_table_stop(table, "dies-on-stop", 0, on_answer, &stop, &e), 0);
    run_until(&stop.n, 2);
    cr_expect_eq(stop.last.err.code, ERR_IO);
    cr_expect_eq(*lives, 3, "one more life for the final sync");
    cr_expect_eq(info_of("dies-on-stop").state, DB_DISABLED);
    cr_expect_eq(db_table_n_failed(table), 2, "known at the end, too");
    cr_assert_eq(db_table_start(table, "fails", 0, on_answer, &stop, &e), 0);
    run_until(&stop.n, 3);
    cr_expect_eq(db_table_n_failed(table), 1, "another life may do better");
}

/* --- coming and going -----------------------------------------------------------------
 */

Test(db_table, removed_is_gone_and_may_be_added_again_at_once)
{
    struct answers gone = { .n = 0 };
    struct err e;

    add_ready("well");
    cr_expect_eq(db_table_add(table, share, &dbs[0], DB_FROM_CONFIG, &e), ERR_EXISTS);
    cr_assert_eq(db_table_remove(table, "well", 0, on_answer, &gone, &e), 0);
    cr_expect_eq(db_table_remove(table, "well", 0, on_answer, &gone, &e), ERR_NOT_FOUND);
    cr_expect(info_of("well").removing);
    cr_expect_eq(db_table_add(table, share, &dbs[0], DB_REGISTERED, &e), 0, "%s", e.text);
    cr_expect_eq(db_table_add(table, share, &dbs[0], DB_REGISTERED, &e), ERR_EXISTS);
    cr_expect_not(info_of("well").removing, "it comes back");
    cr_expect_eq(info_of("well").origin, DB_REGISTERED);
    cr_expect_eq(info_of("well").state, DB_STOPPING);
    cr_expect_eq(
        db_table_replace(table, share, make_db("well"), DB_REGISTERED, false, &e), 0);
    cr_expect_eq(info_of("well").db, &dbs[1]);
    cr_assert_eq(db_table_remove(table, "well", 0, NULL, NULL, &e), 0, "not after all");
    cr_expect(info_of("well").removing);
    cr_expect_eq(db_table_add(table, share, &dbs[0], DB_REGISTERED, &e), 0, "%s", e.text);
    run_until(&n_events[DB_EVENT_READY], 2);
    cr_expect_eq(gone.n, 1);
    cr_expect_eq(gone.last.txid, 1000);
    cr_expect_eq(n_events[DB_EVENT_REMOVED], 1);
    cr_expect_eq(info_of("well").origin, DB_REGISTERED);
    cr_assert_eq(db_table_remove(table, "well", 0, on_answer, &gone, &e), 0);
    run_until(&gone.n, 2);
    cr_expect_null(db_table_find(table, "well"));
    cr_expect_eq(db_table_size(table), 0);
}

static void
remove_another(void *arg, const struct db_answer *a)
{
    struct err e;

    (void)a;
    cr_assert_eq(db_table_remove(table, "well#2", 0, on_answer, arg, &e), 0);
    cr_assert_eq(
        db_table_add(table, share, &dbs[0], DB_FROM_CONFIG, &e), 0, "%s", e.text);
}

Test(db_table, a_callback_may_change_the_table)
{
    struct answers gone = { .n = 0 };
    struct err e;

    add_ready("well#1");
    add_ready("well#2");
    cr_assert_eq(db_table_remove(table, "well#1", 0, remove_another, &gone, &e), 0);
    run_until(&gone.n, 1);
    run_until(&n_events[DB_EVENT_READY], 3);
    cr_expect_null(db_table_find(table, "well#2"));
    cr_expect_eq(info_of("well#1").incarnation, 1, "another one");
}

Test(db_table, another_configuration_with_and_without_a_restart)
{
    struct err e;
    pid_t before;

    add_ready("well");
    before = info_of("well").pid;
    cr_assert_eq(
        db_table_replace(table, share, make_db("well"), DB_FROM_CONFIG, false, &e), 0);
    cr_expect_eq(info_of("well").pid, before);
    cr_expect_eq(info_of("well").db, &dbs[1]);
    cr_assert_eq(
        db_table_replace(table, share, make_db("well"), DB_FROM_CONFIG, true, &e), 0);
    cr_assert_eq(
        db_table_replace(table, share, make_db("well"), DB_FROM_CONFIG, true, &e), 0);
    run_until(&n_events[DB_EVENT_READY], 2);
    cr_expect_eq(info_of("well").db, &dbs[3], "the newest");
    cr_expect_neq(info_of("well").pid, before);
    cr_expect_eq(*lives, 2);
    dbs[n_dbs] = dbs[0];
    dbs[n_dbs].enabled = false;
    cr_assert_eq(
        db_table_replace(table, share, &dbs[n_dbs], DB_FROM_CONFIG, true, &e), 0);
    run_until(&n_events[DB_EVENT_STOPPED], 2);
    cr_expect_eq(info_of("well").state, DB_DISABLED);
    cr_expect_eq(
        db_table_replace(table, share, make_db("none"), DB_FROM_CONFIG, true, &e),
        ERR_NOT_FOUND);
}

Test(db_table, no_two_in_one_local_folder)
{
    struct answers gone = { .n = 0 };
    struct err e;

    dbs[0] = (struct cfg_db){ .path = "well#1", .meta_path = "/m", .enabled = true };
    dbs[1] = (struct cfg_db){ .path = "well#2", .meta_path = "/m", .enabled = true };
    cr_assert_eq(db_table_add(table, share, &dbs[0], DB_FROM_CONFIG, &e), 0);
    cr_expect_eq(db_table_add(table, share, &dbs[1], DB_FROM_CONFIG, &e), ERR_CONFLICT);
    cr_expect_not_null(strstr(e.text, "well#1 and well#2 would share meta-path /m"));
    run_until(&n_events[DB_EVENT_READY], 1);
    cr_assert_eq(db_table_remove(table, "well#1", 0, on_answer, &gone, &e), 0);
    cr_expect_eq(db_table_add(table, share, &dbs[1], DB_FROM_CONFIG, &e), ERR_CONFLICT,
        "not before the old one has ended");
    run_until(&gone.n, 1);
    cr_expect_eq(db_table_add(table, share, &dbs[1], DB_FROM_CONFIG, &e), 0);
}

Test(db_table, ten_thousand_are_found_in_order_and_leave_nothing_behind)
{
    enum { N = 10000 };
    struct cfg_db *many = mem_new_array(N, sizeof(*many));
    const struct db_entry *d = NULL;
    struct answers gone = { .n = 0 };
    struct err e;

    for (int i = 0; i < N; i++) {
        many[i].path = mem_printf("/data/%d.db", (i * 7919) % N);
        many[i].meta_path = "";
        cr_assert_eq(db_table_add(table, share, &many[i], DB_REGISTERED, &e), 0);
    }
    cr_expect_eq(db_table_size(table), N);
    for (int i = 0; i < N; i++) {
        struct db_info info;

        d = db_table_next(table, d);
        cr_assert_not_null(d);
        db_entry_info(d, &info);
        cr_assert_str_eq(info.path, many[i].path);
        cr_assert_eq(db_table_find(table, many[i].path), d);
    }
    cr_expect_null(db_table_next(table, d));
    for (int i = 0; i < N; i++)
        cr_assert_eq(
            db_table_remove(table, many[i].path, 0, on_answer, &gone, &e), 0, "%d", i);
    run_until(&gone.n, N);
    cr_expect_eq(db_table_size(table), 0);
    cr_expect_eq(*lives, 0);
    for (int i = 0; i < N; i++)
        mem_free((void *)(uintptr_t)many[i].path);
    mem_free(many);
}

Test(db_table, the_end_is_told_also_when_nothing_is_left)
{
    struct answers gone = { .n = 0 };
    struct err e;

    add_ready("well");
    cr_assert_eq(db_table_remove(table, "well", 0, on_answer, &gone, &e), 0);
    run_until(&n_idle, 1);
    db_table_end(table, false);
    run_until(&n_idle, 2);
    cr_expect_eq(db_table_add(table, share, &dbs[0], DB_FROM_CONFIG, &e), ERR_CANCELLED);
}

/* --- slots ----------------------------------------------------------------------------
 */

Test(slot_pool, slots_are_used_again_and_areas_go_back)
{
    enum { N = 5 * SLOT_POOL_CHUNK };
    struct slot *all[N];
    struct slot_pool p;

    slot_pool_init(&p);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            all[i] = slot_pool_take(&p);
            cr_assert_not_null(all[i]);
            for (int k = 0; k < i; k++)
                cr_assert_neq(all[k], all[i]);
        }
        cr_expect_eq(p.n_chunks, 5);
        for (int i = 0; i < N; i += 2) { /* every other one, and take it again */
            slot_pool_give(&p, all[i]);
            all[i] = slot_pool_take(&p);
        }
        cr_expect_eq(p.n_chunks, 5);
        for (int i = 0; i < N; i++)
            slot_pool_give(&p, all[(i * 7) % N]);
        cr_expect_eq(p.n_chunks, 1);
        cr_expect_eq(p.n_used, 0);
    }
    slot_pool_deinit(&p);
}
