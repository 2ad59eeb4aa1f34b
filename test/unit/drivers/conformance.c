#include "test/unit/drivers/conformance.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define DAY_MS INT64_C(86400000)
#define SOME_TIME_MS (20454 * DAY_MS + 1234)

static struct object
small_object(uint64_t min_txid, uint64_t max_txid)
{
    return object_make(min_txid, max_txid, 300, SOME_TIME_MS);
}

static void
put_small(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid)
{
    struct object o = small_object(min_txid, max_txid);

    cr_assert_eq(rig_put(r, level, min_txid, max_txid, &o), 0);
    free(o.p);
}

void
conformance_an_empty_destination_has_no_files(rig_open_cb *open)
{
    struct rig r;

    rig_open(&r, open);
    for (int level = 0; level < LTX_N_LEVELS; level++)
        cr_expect_eq(rig_count(&r, level), 0);
    rig_close(&r);
}

void
conformance_a_file_is_there_whole_after_a_put(rig_open_cb *open)
{
    struct object o = small_object(1, 1);
    struct listing l;
    struct rig r;

    rig_open(&r, open);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    rig_close(&r);
    rig_open(&r, open); /* another life */
    cr_expect(rig_holds(&r, 0, 1, 1, &o));
    cr_assert_eq(rig_list(&r, 0, 0, false, &l), 0);
    cr_assert_eq(l.n, 1);
    cr_expect_eq(l.infos[0].level, 0);
    cr_expect_eq(l.infos[0].min_txid, 1);
    cr_expect_eq(l.infos[0].max_txid, 1);
    cr_expect_eq(l.infos[0].size, (int64_t)o.n);
    free(l.infos);
    free(o.p);
    rig_close(&r);
}

void
conformance_listings_are_in_order(rig_open_cb *open)
{
    static const uint64_t ranges[][2] = { { 9, 9 }, { 1, 4 },
        { UINT64_MAX - 1, UINT64_MAX }, { 5, 8 }, { 1, 1 }, { 16, 17 }, { 10, 10 },
        { 1, 2 }, { 0x100000000, 0x100000000 } };
    size_t n = sizeof(ranges) / sizeof(ranges[0]);
    struct listing l;
    struct rig r;

    rig_open(&r, open);
    for (size_t i = 0; i < n; i++)
        put_small(&r, 1, ranges[i][0], ranges[i][1]);
    cr_assert_eq(rig_list(&r, 1, 0, false, &l), 0);
    cr_assert_eq(l.n, n);
    for (size_t i = 1; i < n; i++)
        cr_expect(l.infos[i - 1].min_txid < l.infos[i].min_txid ||
                  (l.infos[i - 1].min_txid == l.infos[i].min_txid &&
                      l.infos[i - 1].max_txid < l.infos[i].max_txid));
    free(l.infos);
    rig_close(&r);
}

void
conformance_listings_start_where_they_are_asked_to(rig_open_cb *open)
{
    struct listing l;
    struct rig r;

    rig_open(&r, open);
    for (uint64_t txid = 1; txid <= 20; txid++)
        put_small(&r, 0, txid, txid);
    for (uint64_t seek = 0; seek <= 22; seek++) {
        uint64_t first = seek > 0 ? seek : 1;
        size_t expected = first <= 20 ? 21 - first : 0;

        cr_assert_eq(rig_list(&r, 0, seek, false, &l), 0);
        cr_expect_eq(l.n, expected, "from %d: %zu", (int)seek, l.n);
        if (l.n > 0)
            cr_expect_eq(l.infos[0].min_txid, first);
        free(l.infos);
    }
    rig_close(&r);
}

void
conformance_levels_do_not_mix(rig_open_cb *open)
{
    struct rig r;

    rig_open(&r, open);
    for (int level = 0; level < LTX_N_LEVELS; level++)
        for (int i = 0; i <= level; i++)
            put_small(&r, level, 1, (uint64_t)i + 1);
    for (int level = 0; level < LTX_N_LEVELS; level++)
        cr_expect_eq(rig_count(&r, level), (size_t)level + 1);
    rig_close(&r);
}

/* More than one page of any store's listing. */
void
conformance_listings_may_be_long(rig_open_cb *open)
{
    enum { N = 1050 };
    struct object o = small_object(1, 1);
    struct listing l;
    struct rig r;

    rig_open(&r, open);
    if (rig_bulk != NULL)
        rig_bulk(true);
    for (uint64_t txid = 1; txid <= N; txid++)
        cr_assert_eq(rig_put(&r, 0, txid, txid, &o), 0);
    if (rig_bulk != NULL)
        rig_bulk(false);
    cr_assert_eq(rig_list(&r, 0, 3, false, &l), 0);
    cr_assert_eq(l.n, N - 2);
    for (size_t i = 0; i < l.n; i++)
        cr_assert_eq(l.infos[i].min_txid, i + 3);
    cr_expect_eq(rig_del(&r, l.infos, l.n), 0);
    cr_expect_eq(rig_count(&r, 0), 2);
    free(l.infos);
    free(o.p);
    rig_close(&r);
}

struct feeding {
    rig_open_cb *open;
    uint64_t n;
};

/* Another process in all but name: a rig of its own, on a thread. */
static void
feed(void *arg)
{
    struct feeding *f = arg;
    struct object o = small_object(1, 1);
    struct rig r;

    rig_open(&r, f->open);
    for (uint64_t txid = 1; txid <= f->n; txid++)
        cr_assert_eq(rig_put(&r, 0, txid, txid, &o), 0);
    rig_close(&r);
    free(o.p);
}

void
conformance_listings_have_no_holes_while_files_come(rig_open_cb *open)
{
    struct feeding f = { .open = open, .n = 1500 };
    uv_thread_t thread;
    size_t n = 0;
    struct rig r;

    if (rig_bulk != NULL)
        rig_bulk(true);
    rig_open(&r, open);
    cr_assert_eq(uv_thread_create(&thread, feed, &f), 0);
    while (n < f.n) {
        struct listing l;

        cr_assert_eq(rig_list(&r, 0, 0, false, &l), 0);
        cr_assert_geq(l.n, n, "a file is gone");
        n = l.n;
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(l.infos[i].min_txid, i + 1, "a hole at %zu of %zu", i + 1, n);
        free(l.infos);
    }
    uv_thread_join(&thread);
    if (rig_bulk != NULL)
        rig_bulk(false);
    rig_close(&r);
}

void
conformance_ranges_are_exact(rig_open_cb *open)
{
    struct object o = object_make(1, 1, 10000, SOME_TIME_MS);
    static const struct {
        int64_t off;
        size_t size, got;
    } ranges[] = { { 0, 1, 1 }, { 0, 10000, 10000 }, { 0, 20000, 10000 }, { 1, 1, 1 },
        { 4095, 2, 2 }, { 5000, 5000, 5000 }, { 9999, 1, 1 }, { 9999, 100, 1 } };
    uint8_t buf[20000];
    size_t got;
    struct rig r;

    rig_open(&r, open);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        memset(buf, 0xEE, sizeof(buf));
        cr_assert_eq(
            rig_get(&r, 0, 1, 1, ranges[i].off, buf, ranges[i].size, &got), 0, "%zu", i);
        cr_expect_eq(got, ranges[i].got, "range %zu: %zu bytes", i, got);
        cr_expect_arr_eq(buf, o.p + ranges[i].off, got);
        if (got < sizeof(buf))
            cr_expect_eq(buf[got], 0xEE, "range %zu: a byte too many", i);
    }
    cr_expect_eq(rig_get(&r, 0, 1, 1, 10001, buf, 1, &got), ERR_RANGE);
    free(o.p);
    rig_close(&r);
}

void
conformance_absent_is_told_from_failed(rig_open_cb *open)
{
    uint8_t buf[10];
    size_t got;
    struct rig r;

    rig_open(&r, open);
    cr_expect_eq(rig_get(&r, 0, 1, 1, 0, buf, sizeof(buf), &got), ERR_NOT_FOUND);
    put_small(&r, 0, 1, 1);
    cr_expect_eq(rig_get(&r, 0, 1, 2, 0, buf, sizeof(buf), &got), ERR_NOT_FOUND);
    cr_expect_eq(rig_get(&r, 1, 1, 1, 0, buf, sizeof(buf), &got), ERR_NOT_FOUND);
    rig_close(&r);
}

void
conformance_a_put_replaces(rig_open_cb *open)
{
    struct object a = object_make(1, 1, 5000, SOME_TIME_MS);
    struct object b = object_make(1, 1, 400, SOME_TIME_MS + DAY_MS);
    struct rig r;

    rig_open(&r, open);
    b.p[300] ^= 1;
    cr_assert_eq(rig_put(&r, 0, 1, 1, &a), 0);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &b), 0);
    cr_expect(rig_holds(&r, 0, 1, 1, &b));
    cr_expect_eq(rig_count(&r, 0), 1);
    free(a.p);
    free(b.p);
    rig_close(&r);
}

void
conformance_an_exclusive_put_leaves_what_is_there(rig_open_cb *open)
{
    struct object a = object_make(1, 1, 5000, SOME_TIME_MS);
    struct object b = object_make(1, 1, 400, SOME_TIME_MS + DAY_MS);
    struct rig r;

    rig_open(&r, open);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &a), 0, "nothing is there");
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &b), ERR_EXISTS);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &a), ERR_EXISTS, "not even the same one");
    cr_expect(rig_holds(&r, 0, 1, 1, &a));
    cr_expect_eq(rig_count(&r, 0), 1);
    cr_expect_eq(rig_put_new(&r, 1, 1, 1, &b), 0, "of another level");
    cr_expect_eq(drv_stats(r.drv, DRV_PUT)->errors, 0, "it is an answer, no failure");
    free(a.p);
    free(b.p);
    rig_close(&r);
}

void
conformance_of_two_exclusive_puts_one_wins(rig_open_cb *open)
{
    struct object o[2];
    struct drv_pipe *pipes[2];
    struct answer a[2] = { { 0 } };
    struct err e;
    struct rig r;
    int winner;

    rig_open(&r, open);
    for (int i = 0; i < 2; i++) {
        struct drv_put req = { .min_txid = 1, .max_txid = 1, .exclusive = true };

        o[i] = object_make(1, 1, 70000, SOME_TIME_MS + i);
        o[i].p[60000] = (uint8_t)i;
        cr_assert_eq(drv_pipe_new(&r.loop, o[i].n, &pipes[i], &e), 0);
        req.size = -1;
        req.src = drv_pipe_source(pipes[i]);
        req.done = rig_done;
        req.arg = &a[i];
        cr_assert_not_null(drv_put(r.drv, &req, &e), "%s", e.text);
    }
    /* Both are under way by now, and their bytes come in turns. */
    for (size_t at = 0; at < o[0].n; at += 10000)
        for (int i = 0; i < 2; i++)
            drv_pipe_write(pipes[i], o[i].p + at, 10000, &e);
    for (int i = 0; i < 2; i++)
        drv_pipe_end(pipes[i], NULL);
    for (int i = 0; i < 2; i++)
        rig_wait(&r, &a[i]);
    winner = a[0].rc == 0 ? 0 : 1;
    cr_expect_eq(a[winner].rc, 0, "%s", a[winner].err.text);
    cr_expect(a[!winner].rc == ERR_EXISTS || a[!winner].rc == ERR_BUSY, "%d: %s",
        a[!winner].rc, a[!winner].err.text);
    cr_expect(rig_holds(&r, 0, 1, 1, &o[winner]));
    cr_expect_eq(rig_count(&r, 0), 1);
    for (int i = 0; i < 2; i++) {
        drv_pipe_free(pipes[i]);
        free(o[i].p);
    }
    rig_close(&r);
}

void
conformance_a_large_file_goes_through(rig_open_cb *open)
{
    struct object o = object_make(1, 9, ((size_t)12 << 20) + 17, SOME_TIME_MS);
    struct rig r;

    rig_open(&r, open);
    cr_assert_eq(rig_put(&r, 9, 1, 9, &o), 0);
    cr_expect(rig_holds(&r, 9, 1, 9, &o));
    free(o.p);
    rig_close(&r);
}

/* --- bytes that are still being made --------------------------------------------------
 */

struct streaming {
    struct drv_pipe *pipe;
    struct drv_op *op;
    struct answer a;
};

static void
stream_begin(struct rig *r, struct streaming *s, int64_t size)
{
    struct drv_put req = { .level = 0, .min_txid = 1, .max_txid = 1, .size = size };
    struct err e;

    *s = (struct streaming){ 0 };
    cr_assert_eq(drv_pipe_new(&r->loop, 4096, &s->pipe, &e), 0);
    req.src = drv_pipe_source(s->pipe);
    req.done = rig_done;
    req.arg = &s->a;
    s->op = drv_put(r->drv, &req, &e);
    cr_assert_not_null(s->op, "%s", e.text);
}

static void
stream_free(struct rig *r, struct streaming *s)
{
    drv_pipe_free(s->pipe);
    uv_run(&r->loop, UV_RUN_NOWAIT);
}

/* The bytes come from a thread, as those of a merge do. */
struct writer {
    struct drv_pipe *pipe;
    const struct object *o;
    size_t n; /* written before the end */
    bool fail;
    uv_sem_t go; /* waited for behind the first half */
};

static void
write_stream(void *arg)
{
    struct writer *w = arg;
    struct err e;
    size_t half = w->n / 2;
    int rc = drv_pipe_write(w->pipe, w->o->p, half, &e);

    uv_sem_wait(&w->go);
    if (rc == 0)
        rc = drv_pipe_write(w->pipe, w->o->p + half, w->n - half, &e);
    if (w->fail) {
        err_set(&e, ERR_CORRUPT, "the merge went wrong");
        drv_pipe_end(w->pipe, &e);
    } else {
        drv_pipe_end(w->pipe, NULL);
    }
}

static int
stream(struct rig *r, const struct object *o, size_t n, bool fail, int64_t size)
{
    struct streaming s;
    struct writer w = { .o = o, .n = n, .fail = fail };
    uv_thread_t thread;
    uint8_t byte;
    size_t got;

    stream_begin(r, &s, size);
    w.pipe = s.pipe;
    cr_assert_eq(uv_sem_init(&w.go, 0), 0);
    cr_assert_eq(uv_thread_create(&thread, write_stream, &w), 0);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(rig_count(r, 0), 0);
        cr_expect_eq(rig_get(r, 0, 1, 1, 0, &byte, 1, &got), ERR_NOT_FOUND);
        cr_expect_not(s.a.done);
    }
    uv_sem_post(&w.go);
    rig_wait(r, &s.a);
    drv_pipe_abandon(s.pipe);
    uv_thread_join(&thread);
    uv_sem_destroy(&w.go);
    stream_free(r, &s);
    return s.a.rc;
}

void
conformance_a_put_shows_nothing_before_its_end(rig_open_cb *open)
{
    struct object o = object_make(1, 1, 300000, SOME_TIME_MS);
    struct rig r;

    rig_open(&r, open);
    cr_expect_eq(stream(&r, &o, o.n, false, -1), 0);
    cr_expect(rig_holds(&r, 0, 1, 1, &o));
    free(o.p);
    rig_close(&r);
}

void
conformance_a_source_that_fails_leaves_nothing(rig_open_cb *open)
{
    struct object o = object_make(1, 1, 300000, SOME_TIME_MS);
    struct rig r;

    rig_open(&r, open);
    cr_expect_eq(stream(&r, &o, 200000, true, -1), ERR_CORRUPT, "the source's own error");
    cr_expect_eq(rig_count(&r, 0), 0);
    free(o.p);
    rig_close(&r);
}

void
conformance_a_source_that_ends_early_leaves_nothing(rig_open_cb *open)
{
    struct object o = object_make(1, 1, 300000, SOME_TIME_MS);
    struct rig r;

    rig_open(&r, open);
    cr_expect_neq(stream(&r, &o, 200000, false, 300000), 0, "less than was announced");
    cr_expect_eq(rig_count(&r, 0), 0);
    cr_expect_neq(stream(&r, &o, 60, false, -1), 0, "less than a header");
    cr_expect_eq(rig_count(&r, 0), 0);
    free(o.p);
    rig_close(&r);
}

/* --- times ----------------------------------------------------------------------------
 */

void
conformance_created_is_the_time_in_the_header(rig_open_cb *open)
{
    static const int64_t times[] = { SOME_TIME_MS, 1000, 1767225600999 };
    struct rig r;

    rig_open(&r, open);
    for (uint64_t i = 0; i < 3; i++) {
        struct object o = object_make(i + 1, i + 1, 200, times[i]);

        cr_assert_eq(rig_put(&r, 0, i + 1, i + 1, &o), 0);
        free(o.p);
    }
    for (int exact = 0; exact < 2; exact++) {
        struct listing l;

        cr_assert_eq(rig_list(&r, 0, 0, exact != 0, &l), 0);
        cr_assert_eq(l.n, 3);
        for (size_t i = 0; exact != 0 && i < 3; i++)
            cr_expect_eq(wall_to_ms(l.infos[i].created), times[i], "file %zu", i);
        free(l.infos);
    }
    rig_close(&r);
}

/* --- deleting -------------------------------------------------------------------------
 */

void
conformance_deleting_is_exact(rig_open_cb *open)
{
    struct ltx_info gone[] = { { .level = 0, .min_txid = 2, .max_txid = 2 },
        { .level = 1, .min_txid = 1, .max_txid = 3 },
        { .level = 0, .min_txid = 4, .max_txid = 4 } };
    struct listing l;
    struct rig r;

    rig_open(&r, open);
    for (uint64_t txid = 1; txid <= 5; txid++)
        put_small(&r, 0, txid, txid);
    put_small(&r, 1, 1, 3);
    put_small(&r, 1, 1, 4);
    cr_expect_eq(rig_del(&r, gone, 3), 0);
    cr_assert_eq(rig_list(&r, 0, 0, false, &l), 0);
    cr_assert_eq(l.n, 3);
    cr_expect_eq(l.infos[0].min_txid, 1);
    cr_expect_eq(l.infos[1].min_txid, 3);
    cr_expect_eq(l.infos[2].min_txid, 5);
    free(l.infos);
    cr_expect_eq(rig_count(&r, 1), 1);
    rig_close(&r);
}

void
conformance_deleting_twice_is_fine(rig_open_cb *open)
{
    struct ltx_info files[] = { { .level = 0, .min_txid = 1, .max_txid = 1 },
        { .level = 0, .min_txid = 2, .max_txid = 2 },
        { .level = 7, .min_txid = 1, .max_txid = 2 } };
    struct rig r;

    rig_open(&r, open);
    cr_expect_eq(rig_del(&r, files, 3), 0, "nothing is there");
    put_small(&r, 0, 2, 2);
    cr_expect_eq(rig_del(&r, files, 3), 0);
    cr_expect_eq(rig_count(&r, 0), 0);
    cr_expect_eq(rig_del(&r, files, 3), 0);
    rig_close(&r);
}

void
conformance_delete_all_leaves_an_empty_destination(rig_open_cb *open)
{
    struct answer a = { 0 }, again = { 0 };
    struct err e;
    struct rig r;

    rig_open(&r, open);
    for (int level = 0; level < LTX_N_LEVELS; level++)
        put_small(&r, level, 1, 3);
    cr_assert_not_null(drv_del_all(r.drv, rig_done, &a, &e));
    cr_expect_eq(rig_wait(&r, &a), 0);
    for (int level = 0; level < LTX_N_LEVELS; level++)
        cr_expect_eq(rig_count(&r, level), 0);
    cr_assert_not_null(drv_del_all(r.drv, rig_done, &again, &e));
    cr_expect_eq(rig_wait(&r, &again), 0);
    put_small(&r, 0, 1, 1); /* it can be used again */
    cr_expect_eq(rig_count(&r, 0), 1);
    rig_close(&r);
}

/* --- the end of operations ------------------------------------------------------------
 */

/* The writer gives half and then nothing: only the cancel ends it. */
void
conformance_cancel_ends_a_put_that_waits(rig_open_cb *open)
{
    struct object o = object_make(1, 1, 2000, SOME_TIME_MS);
    struct streaming s;
    struct err e;
    struct rig r;

    rig_open(&r, open);
    stream_begin(&r, &s, -1);
    cr_assert_eq(drv_pipe_write(s.pipe, o.p, 1000, &e), 0);
    uv_run(&r.loop, UV_RUN_NOWAIT);
    cr_expect_not(s.a.done);
    drv_cancel(s.op);
    drv_pipe_end(s.pipe, NULL); /* what the owner of a pipe does next */
    cr_expect_neq(rig_wait(&r, &s.a), 0);
    cr_expect_eq(s.a.n, 1);
    cr_expect_eq(rig_count(&r, 0), 0);
    stream_free(&r, &s);
    free(o.p);
    rig_close(&r);
}

void
conformance_cancel_answers_once(rig_open_cb *open)
{
    uint8_t buf[300];
    struct answer a = { 0 };
    struct drv_get req = { .level = 0,
        .min_txid = 1,
        .max_txid = 1,
        .size = sizeof(buf),
        .buf = buf,
        .done = rig_done,
        .arg = &a };
    struct drv_op *op;
    struct err e;
    struct rig r;

    rig_open(&r, open);
    put_small(&r, 0, 1, 1);
    op = drv_get(r.drv, &req, &e);
    cr_assert_not_null(op);
    drv_cancel(op);
    drv_cancel(op);
    cr_expect_not(a.done, "an answer inside the call");
    rig_wait(&r, &a);
    cr_expect(a.rc == 0 || a.rc == ERR_CANCELLED);
    uv_run(&r.loop, UV_RUN_NOWAIT);
    cr_expect_eq(a.n, 1);
    drv_cancel(NULL);
    rig_close(&r);
}

void
conformance_close_ends_what_is_under_way(rig_open_cb *open)
{
    enum { N = 8 };
    static uint8_t bufs[N][300];
    struct answer answers[N] = { { 0 } };
    struct err e;
    struct rig r;

    rig_open(&r, open);
    put_small(&r, 0, 1, 1);
    for (int i = 0; i < N; i++) {
        struct drv_get req = { .level = 0,
            .min_txid = 1,
            .max_txid = 1,
            .size = sizeof(bufs[i]),
            .buf = bufs[i],
            .done = rig_done,
            .arg = &answers[i] };

        cr_assert_not_null(drv_get(r.drv, &req, &e));
    }
    rig_close(&r);
    for (int i = 0; i < N; i++) {
        cr_expect_eq(answers[i].n, 1, "answer %d", i);
        cr_expect(answers[i].rc == 0 || answers[i].rc == ERR_CANCELLED);
    }
}

void
conformance_many_at_once(rig_open_cb *open)
{
    enum { N = 24 };
    struct object o[N];
    uint8_t *bufs[N];
    struct answer answers[N] = { { 0 } };
    struct err e;
    struct rig r;

    rig_open(&r, open);
    for (uint64_t i = 0; i < N; i++) {
        o[i] = object_make(i + 1, i + 1, 1000 + 100000 * (size_t)i, SOME_TIME_MS);
        bufs[i] = malloc(o[i].n);
        cr_assert_eq(rig_put(&r, 0, i + 1, i + 1, &o[i]), 0);
    }
    for (uint64_t i = 0; i < N; i++) {
        struct drv_get req = { .level = 0,
            .min_txid = i + 1,
            .max_txid = i + 1,
            .size = o[i].n,
            .buf = bufs[i],
            .done = rig_done,
            .arg = &answers[i] };

        cr_assert_not_null(drv_get(r.drv, &req, &e));
    }
    for (int i = 0; i < N; i++) {
        cr_expect_eq(rig_wait(&r, &answers[i]), 0);
        cr_expect_eq(answers[i].size, (int64_t)o[i].n);
        cr_expect_arr_eq(bufs[i], o[i].p, o[i].n);
        free(o[i].p);
        free(bufs[i]);
    }
    cr_expect_eq(drv_stats(r.drv, DRV_GET)->count, N);
    cr_expect_eq(drv_stats(r.drv, DRV_GET)->errors, 0);
    cr_expect_eq(drv_stats(r.drv, DRV_PUT)->count, N);
    rig_close(&r);
}
