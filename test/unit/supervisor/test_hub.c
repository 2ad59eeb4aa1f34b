#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/container.h"
#include "supervisor/watch/hub.h"
#include "test/unit/support/tmp.h"

#define PATIENCE_MS 10000

static struct {
    uv_loop_t loop;
    uv_timer_t limit;
    struct hub_watch a, b;
    int n_a, n_b;
    bool late, arm_again;
} t;

static void
on_fired(struct hub_watch *w)
{
    *(w == &t.a ? &t.n_a : &t.n_b) += 1;
    if (t.arm_again)
        cr_assert(hub_arm(w, &t.loop, tmp_path("x-wal"), on_fired));
}

static void
on_limit(uv_timer_t *h)
{
    (void)h;
    t.late = true;
}

/* Until a fired so often, or for so long. */
static bool
fires(int n, uint64_t limit_ms)
{
    t.late = false;
    uv_update_time(&t.loop);
    uv_timer_start(&t.limit, on_limit, limit_ms, 0);
    while (t.n_a < n && !t.late)
        uv_run(&t.loop, UV_RUN_ONCE);
    uv_timer_stop(&t.limit);
    return t.n_a >= n;
}

static void
touch(const char *name)
{
    int fd = open(tmp_path(name), O_WRONLY | O_CREAT | O_APPEND, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

static void
set_up(void)
{
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    uv_timer_init(&t.loop, &t.limit);
    touch("x-wal");
    touch("y-wal");
}

static void
clean_up(void)
{
    hub_close(&t.a, NULL);
    hub_close(&t.b, NULL);
    uv_close((uv_handle_t *)&t.limit, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0, "a handle is left");
}

TestSuite(hub, .init = set_up, .fini = clean_up);

Test(hub, tells_of_one_event_and_is_gone)
{
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    cr_expect_not(fires(1, 50), "nothing has happened yet");
    touch("x-wal");
    cr_assert(fires(1, PATIENCE_MS));
    touch("x-wal");
    cr_expect_not(fires(2, 100));
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    touch("x-wal");
    cr_expect(fires(2, PATIENCE_MS));
}

Test(hub, may_be_armed_from_its_own_event)
{
    t.arm_again = true;
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    for (int n = 1; n <= 3; n++) {
        touch("x-wal");
        cr_assert(fires(n, PATIENCE_MS), "event %d", n);
    }
}

Test(hub, each_watch_tells_of_its_own_file)
{
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    cr_assert(hub_arm(&t.b, &t.loop, tmp_path("y-wal"), on_fired));
    touch("x-wal");
    cr_assert(fires(1, PATIENCE_MS));
    cr_expect_eq(t.n_b, 0);
}

/* An armed watch is set anew: the old file does not matter any more. */
Test(hub, can_move_to_another_file)
{
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("y-wal"), on_fired));
    touch("x-wal");
    cr_expect_not(fires(1, 100));
    touch("y-wal");
    cr_expect(fires(1, PATIENCE_MS));
}

Test(hub, says_when_there_is_nothing_to_watch_and_can_be_armed_later)
{
    cr_expect_not(hub_arm(&t.a, &t.loop, tmp_path("z-wal"), on_fired));
    touch("z-wal");
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("z-wal"), on_fired));
    touch("z-wal");
    cr_expect(fires(1, PATIENCE_MS));
}

Test(hub, tells_nothing_after_it_was_disarmed)
{
    hub_disarm(&t.a); /* never armed: fine */
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    touch("x-wal"); /* the event is there already */
    hub_disarm(&t.a);
    touch("x-wal");
    cr_expect_not(fires(1, 100));
}

Test(hub, tells_that_the_file_is_gone)
{
    cr_assert(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
    unlink(tmp_path("x-wal"));
    cr_expect(fires(1, PATIENCE_MS));
    cr_expect_not(hub_arm(&t.a, &t.loop, tmp_path("x-wal"), on_fired));
}

Test(hub_budget, can_be_given_and_is_bounded_else)
{
    setenv("LITESTREAM_INOTIFY_BUDGET", "3", 1);
    cr_expect_eq(hub_own_budget(), 3);
    setenv("LITESTREAM_INOTIFY_BUDGET", "0", 1);
    cr_expect_eq(hub_own_budget(), 0);
    setenv("LITESTREAM_INOTIFY_BUDGET", "", 1);
    cr_expect_leq(hub_own_budget(), 64);
    unsetenv("LITESTREAM_INOTIFY_BUDGET");
    cr_expect_leq(hub_own_budget(), 64);
}
