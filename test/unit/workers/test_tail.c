#include <fcntl.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "test/unit/support/tmp.h"
#include "workers/tail/tail.h"

#define PATIENCE_MS 10000
#define TICK_MS 10

static uv_loop_t loop;
static uv_timer_t deadline;
static struct tail *t;
static const char *path;
static int n_changed, n_armed, n_safety, n_asked, n_dropped;
static int n_ticks;

static void
on_wake(void *arg, enum tail_event event)
{
    cr_assert_eq(arg, &loop);
    n_changed += event == TAIL_CHANGED;
    n_armed += event == TAIL_ARMED;
    n_safety += event == TAIL_SAFETY;
}

static void
ask_hub(void *arg, bool arm)
{
    (void)arg;
    n_asked += arm;
    n_dropped += !arm;
}

static void
on_tick(uv_timer_t *h)
{
    (void)h;
    n_ticks++;
}

static void
start(bool own, bool hub, int64_t interval_ms)
{
    struct tail_options o = { .loop = &loop,
        .path = path,
        .interval_ms = interval_ms,
        .own = own,
        .ask_hub = hub ? ask_hub : NULL,
        .wake = on_wake,
        .arg = &loop };

    t = tail_new(&o);
}

static void
set_up(void)
{
    cr_assert_eq(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &deadline);
    path = tmp_path("db-wal");
    tmp_write(path, "x", 1);
}

static void
tear_down(void)
{
    int before = n_changed + n_armed + n_safety;

    tail_close(t);
    tail_close(t);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
    cr_assert_eq(n_changed + n_armed + n_safety, before);
}

TestSuite(tail, .init = set_up, .fini = tear_down);

static void
wait_for(const int *counter, int n)
{
    /* One turn may first run a timer and then sleep until the next one. */
    n_ticks = 0;
    uv_timer_start(&deadline, on_tick, TICK_MS, TICK_MS);
    while (*counter < n && n_ticks < PATIENCE_MS / TICK_MS)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&deadline);
    cr_assert_eq(*counter, n);
}

/* What is already there, without waiting. */
static void
drain(void)
{
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void
append(void)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    cr_assert(fd >= 0 && write(fd, "y", 1) == 1);
    close(fd);
}

Test(tail, own_watch_tells_of_a_write_once_until_it_is_armed_again)
{
    start(true, true, 60000);
    cr_assert(tail_arm(t));
    cr_assert(tail_arm(t)); /* is set already */
    for (int round = 1; round <= 3; round++) {
        append();
        append();
        wait_for(&n_changed, round);
        append();
        drain();
        cr_assert_eq(n_changed, round);
        cr_assert(tail_arm(t));
    }
    cr_assert_eq(tail_mode(t), TAIL_OWN);
    cr_assert_eq(n_asked, 0);
}

Test(tail, own_watch_tells_of_deletion_and_of_what_comes_after)
{
    start(true, false, 20);
    cr_assert(tail_arm(t));
    unlink(path);
    wait_for(&n_changed, 1);
    cr_assert(tail_arm(t)); /* there is nothing to watch: it polls */
    wait_for(&n_changed, 2);
    tmp_write(path, "z", 1);
    cr_assert(tail_arm(t)); /* the new file */
    append();
    wait_for(&n_changed, 3);
    cr_assert_eq(tail_mode(t), TAIL_OWN);
}

Test(tail, own_watch_tells_of_a_file_that_takes_its_place)
{
    start(true, false, 60000);
    tmp_write(tmp_path("other"), "z", 1);
    cr_assert(tail_arm(t));
    cr_assert_eq(rename(tmp_path("other"), path), 0);
    wait_for(&n_changed, 1);
    cr_assert(tail_arm(t));
    append();
    wait_for(&n_changed, 2);
}

Test(tail, a_write_while_it_is_not_armed_makes_no_noise)
{
    start(true, false, 60000);
    cr_assert(tail_arm(t));
    tail_disarm(t);
    append();
    drain();
    cr_assert_eq(n_changed, 0);
    cr_assert(tail_arm(t));
    drain();
    cr_assert_eq(n_changed, 0);
}

Test(tail, hub_is_asked_and_answers)
{
    start(false, true, 60000);
    cr_assert_eq(tail_mode(t), TAIL_HUB);
    cr_assert_not(tail_arm(t));
    cr_assert_eq(n_asked, 1);
    tail_hub_event(t, true, false);
    cr_assert_eq(n_armed, 1);
    tail_hub_event(t, false, false);
    cr_assert_eq(n_changed, 1);
    cr_assert_eq(n_dropped, 0);      /* it is gone there already */
    tail_hub_event(t, false, false); /* late word */
    cr_assert_eq(n_changed, 1);
    cr_assert_not(tail_arm(t));
    tail_disarm(t);
    cr_assert_eq(n_asked, 2);
    cr_assert_eq(n_dropped, 1);
    tail_hub_event(t, true, false);
    cr_assert_eq(n_armed, 1);
}

Test(tail, polls_when_the_hub_has_no_watch_left)
{
    start(false, true, 5);
    cr_assert_not(tail_arm(t));
    tail_hub_event(t, false, true);
    cr_assert_eq(tail_mode(t), TAIL_POLL);
    cr_assert_eq(n_armed, 1); /* look now */
    wait_for(&n_changed, 1);
    drain();
    cr_assert_eq(n_changed, 1); /* once for each time it is armed */
    cr_assert(tail_arm(t));
    wait_for(&n_changed, 2);
}

Test(tail, polls_without_watches)
{
    start(false, false, 5);
    for (int i = 1; i <= 3; i++) {
        cr_assert(tail_arm(t));
        wait_for(&n_changed, i);
    }
    cr_assert_eq(n_safety, 0);
}

Test(tail, polls_after_a_change_was_missed)
{
    start(true, true, 5);
    cr_assert(tail_arm(t));
    tail_missed(t);
    cr_assert_eq(tail_mode(t), TAIL_POLL);
    cr_assert(tail_arm(t));
    wait_for(&n_changed, 1);
    tail_missed(t);
    cr_assert_eq(tail_mode(t), TAIL_POLL);
}

Test(tail, close_drops_the_watch_of_the_hub)
{
    start(false, true, 60000);
    cr_assert_not(tail_arm(t));
    tail_close(t);
    cr_assert_eq(n_dropped, 1);
    tail_close(NULL);
}
