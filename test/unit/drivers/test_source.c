#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <uv.h>

#include "drivers/loop/job.h"
#include "drivers/source.h"
#include "test/unit/support/tmp.h"

Test(file_source, reads_and_goes_back)
{
    struct drv_source s;
    char buf[10];
    size_t n;
    struct err e;
    int fd;

    tmp_write(tmp_path("f"), "0123456789abcdef", 16);
    fd = open(tmp_path("f"), O_RDONLY | O_CLOEXEC);
    drv_source_file(&s, fd, 4);
    cr_assert_eq(s.read(&s, buf, 10, false, &n, &e), 0);
    cr_expect_eq(n, 10);
    cr_expect_arr_eq(buf, "456789abcd", 10);
    cr_assert_eq(s.read(&s, buf, 10, false, &n, &e), 0);
    cr_expect_eq(n, 2);
    cr_assert_eq(s.read(&s, buf, 10, false, &n, &e), 0);
    cr_expect_eq(n, 0);
    cr_assert_eq(s.rewind(&s, 4, &e), 0);
    cr_assert_eq(s.read(&s, buf, 3, true, &n, &e), 0);
    cr_expect_arr_eq(buf, "456", 3);
    close(fd);
}

#define TOTAL 1000000u

static void
write_all(void *arg)
{
    struct drv_pipe *p = arg;
    uint8_t piece[997];
    struct err e;

    for (uint32_t at = 0; at < TOTAL;) {
        uint32_t n = TOTAL - at < sizeof(piece) ? TOTAL - at : (uint32_t)sizeof(piece);

        for (uint32_t i = 0; i < n; i++)
            piece[i] = (uint8_t)((at + i) * 7 >> 3);
        cr_assert_eq(drv_pipe_write(p, piece, n, &e), 0);
        at += n;
    }
    drv_pipe_end(p, NULL);
}

Test(pipe_source, carries_every_byte_through_a_small_buffer)
{
    uv_loop_t loop;
    struct drv_pipe *p;
    struct drv_source *s;
    uv_thread_t thread;
    uint8_t buf[611];
    uint32_t at = 0;
    size_t n;
    struct err e;

    uv_loop_init(&loop);
    cr_assert_eq(drv_pipe_new(&loop, 1024, &p, &e), 0);
    s = drv_pipe_source(p);
    cr_expect_null(s->rewind, "its bytes are gone");
    cr_assert_eq(uv_thread_create(&thread, write_all, p), 0);
    do {
        cr_assert_eq(s->read(s, buf, sizeof(buf), true, &n, &e), 0);
        for (size_t i = 0; i < n; i++, at++)
            cr_assert_eq(buf[i], (uint8_t)(at * 7 >> 3), "byte %u", at);
    } while (n > 0);
    cr_expect_eq(at, TOTAL);
    uv_thread_join(&thread);
    drv_pipe_free(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

static void
keep_alive(uv_idle_t *h)
{
    (void)h;
}

static void
woken(void *arg)
{
    ++*(int *)arg;
}

Test(pipe_source, wakes_a_reader_on_the_loop)
{
    uv_loop_t loop;
    uv_idle_t idle; /* a pipe alone does not keep a loop going */
    struct drv_pipe *p;
    struct drv_source *s;
    int n_wakes = 0;
    char buf[8];
    size_t n;
    struct err e;

    uv_loop_init(&loop);
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, keep_alive);
    cr_assert_eq(drv_pipe_new(&loop, 16, &p, &e), 0);
    s = drv_pipe_source(p);
    s->wake = woken;
    s->wake_arg = &n_wakes;
    cr_expect_eq(s->read(s, buf, sizeof(buf), false, &n, &e), ERR_AGAIN);
    cr_assert_eq(drv_pipe_write(p, "abc", 3, &e), 0);
    while (n_wakes == 0)
        uv_run(&loop, UV_RUN_NOWAIT);
    cr_assert_eq(s->read(s, buf, sizeof(buf), false, &n, &e), 0);
    cr_expect_eq(n, 3);
    err_set(&e, ERR_IO, "no more");
    drv_pipe_end(p, &e);
    cr_expect_eq(s->read(s, buf, sizeof(buf), false, &n, &e), ERR_IO);
    drv_pipe_free(p);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

static void
write_until_refused(void *arg)
{
    struct drv_pipe *p = arg;
    struct err e;
    int rc;

    do
        rc = drv_pipe_write(p, "0123456789", 10, &e);
    while (rc == 0);
    cr_expect_eq(rc, ERR_CANCELLED);
}

Test(pipe_source, lets_go_of_a_writer_when_nobody_reads)
{
    uv_loop_t loop;
    struct drv_pipe *p;
    uv_thread_t thread;
    struct err e;

    uv_loop_init(&loop);
    cr_assert_eq(drv_pipe_new(&loop, 64, &p, &e), 0);
    cr_assert_eq(uv_thread_create(&thread, write_until_refused, p), 0);
    drv_pipe_abandon(p);
    uv_thread_join(&thread);
    drv_pipe_free(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

/* --- jobs -----------------------------------------------------------------------------
 */

struct work {
    uv_thread_t loop_thread, ran_on;
    struct job *job;
    bool cancelled, done;
};

static void
run_work(void *arg, const struct cancel *cancel)
{
    struct work *w = arg;

    w->ran_on = uv_thread_self();
    while (w->job != NULL && !cancel_asked(cancel))
        uv_sleep(1);
    w->cancelled = cancel_asked(cancel);
}

static void
work_done(void *arg)
{
    struct work *w = arg;
    uv_thread_t self = uv_thread_self();

    cr_expect(uv_thread_equal(&self, &w->loop_thread), "from the loop");
    w->done = true;
}

Test(job, runs_on_a_thread_and_reports_to_the_loop)
{
    struct work w = { .loop_thread = uv_thread_self() };
    uv_loop_t loop;
    struct err e;

    uv_loop_init(&loop);
    cr_assert_eq(job_start(&loop, run_work, work_done, &w, NULL, &e), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect(w.done);
    cr_expect_not(w.cancelled);
    cr_expect_not(uv_thread_equal(&w.ran_on, &w.loop_thread));
    cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(job, can_be_cancelled)
{
    struct work w = { .loop_thread = uv_thread_self() };
    uv_loop_t loop;
    struct err e;

    uv_loop_init(&loop);
    w.job = (struct job *)&w; /* so that it waits for the cancel */
    {
        struct job *job;

        cr_assert_eq(job_start(&loop, run_work, work_done, &w, &job, &e), 0);
        job_cancel(job);
        job_cancel(NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect(w.done && w.cancelled);
    cr_assert_eq(uv_loop_close(&loop), 0);
}
