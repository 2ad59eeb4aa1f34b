#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <uv.h>

#include "common/base/container.h"
#include "drivers/driver_impl.h"
#include "drivers/loop/job.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/fetch.h"

#define N_FILES 4
#define CHUNK 1000
#define MAX_REQUESTS 2000

static const size_t sizes[N_FILES] = { 2500, 1000, 1, 5321 };

/* What the driver does with one request; gives nothing at the end of its file. */
struct answer {
    size_t most;        /* bytes it gives at most; 0: all */
    enum err_code code; /* not 0: it fails, with rubbish in the buffer */
    bool refuse;        /* ... before it has begun */
    bool hang;          /* until it is cancelled */
};

struct request {
    size_t file;
    int64_t off;
    size_t size;
};

/* A driver that follows a script, a fetch from it, and a reader on a thread. */
static struct {
    uv_loop_t loop;
    struct cfg_replica cfg;
    struct drv *drv;
    struct drv_ops ops;
    struct ltx_info infos[N_FILES];

    struct answer (*script)(const struct request *r, unsigned nth); /* nth: 0, 1... */
    struct request requests[MAX_REQUESTS];
    unsigned n_requests, n_cancelled;
    int64_t served; /* bytes given without an error */
    uv_timer_t timer;
    void (*on_hang)(void); /* from the loop, once a request hangs */

    struct fetch *fetch;
    size_t first;        /* file the reader begins with */
    size_t stop_after;   /* bytes it wants; 0: all */
    atomic_llong n_read; /* bytes it has */
    int rc;
    struct err err;
    bool closed;
} t;

static uint8_t
byte_at(size_t file, int64_t off)
{
    return (uint8_t)(file * 71 + (size_t)off * 13 + (size_t)off / 256);
}

/* --- the driver -----------------------------------------------------------------------
 */

struct get_op {
    struct drv_op base;
    struct drv_get req;
};

static void
on_timer(uv_timer_t *h)
{
    (void)h;
    t.on_hang();
}

static void
serve(struct drv_op *op, const struct request *r, const struct drv_get *req, size_t most)
{
    size_t left = r->off < (int64_t)sizes[r->file] ? sizes[r->file] - (size_t)r->off : 0;
    size_t n = left < r->size ? left : r->size;

    if (most > 0 && n > most)
        n = most;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)req->buf)[i] = byte_at(r->file, r->off + (int64_t)i);
    op->res.size = (int64_t)n;
    t.served += (int64_t)n;
    drv_op_finish(op, NULL);
}

static int
scripted_get(struct drv_op *op, const struct drv_get *req, struct err *e)
{
    unsigned nth = t.n_requests++;
    struct request *r = &t.requests[nth];
    struct answer a;

    cr_assert_lt(nth, MAX_REQUESTS);
    *r = (struct request){ (size_t)req->min_txid - 1, req->off, req->size };
    a = t.script(r, nth);
    if (a.code != ERR_OK) {
        struct err why;

        err_set(&why, a.code, "no luck");
        if (a.refuse) {
            *e = why;
            return (int)a.code;
        }
        memset(req->buf, 0xee, req->size);
        drv_op_finish(op, &why);
    } else if (a.hang) {
        container_of(op, struct get_op, base)->req = *req;
        if (t.on_hang != NULL)
            uv_timer_start(&t.timer, on_timer, 0, 0);
    } else {
        serve(op, r, req, a.most);
    }
    return 0;
}

/* Writes to the buffer once more before it ends: it is borrowed until then. */
static void
scripted_cancel(struct drv_op *op)
{
    const struct drv_get *req = &container_of(op, struct get_op, base)->req;
    struct err e;

    t.n_cancelled++;
    memset(req->buf, 0xee, req->size);
    err_set(&e, ERR_CANCELLED, "cancelled");
    drv_op_finish(op, &e);
}

static struct answer
all_at_once(const struct request *r, unsigned nth)
{
    (void)r;
    (void)nth;
    return (struct answer){ 0 };
}

static void
set_up(void)
{
    struct drv_env env = { .loop = &t.loop, .owner = SYS_OWNER_DEFAULT };
    struct err e;

    t.cfg = (struct cfg_replica){ .type = CFG_REPLICA_FILE, .path = tmp_path("replica") };
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    cr_assert_eq(uv_timer_init(&t.loop, &t.timer), 0);
    cr_assert_eq(drv_open(&t.cfg, &env, &t.drv, &e), 0, "%s", e.text);
    t.ops = *t.drv->ops;
    t.ops.op_bytes = sizeof(struct get_op);
    t.ops.get = scripted_get;
    t.ops.cancel = scripted_cancel;
    t.drv->ops = &t.ops;
    t.script = all_at_once;
    for (size_t i = 0; i < N_FILES; i++)
        t.infos[i] = (struct ltx_info){
            .min_txid = i + 1, .max_txid = i + 1, .size = (int64_t)sizes[i]
        };
}

static void
tear_down(void)
{
    if (t.drv != NULL)
        drv_close(t.drv, NULL, NULL);
    uv_close((uv_handle_t *)&t.timer, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0, "something is left on the loop");
}

TestSuite(fetch_script, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- the reader -----------------------------------------------------------------------
 */

static bool
has_enough(void)
{
    return t.stop_after > 0 && (size_t)t.n_read >= t.stop_after;
}

static void
read_file(size_t i)
{
    uint8_t buf[333];
    int64_t at = 0;
    size_t n;

    while (!has_enough()) {
        t.rc = fetch_read(t.fetch, i, buf, sizeof(buf), &n, &t.err);
        if (t.rc != 0)
            return;
        if (n == 0) {
            cr_expect_eq(at, (int64_t)sizes[i], "file %zu", i);
            return;
        }
        for (size_t k = 0; k < n; k++, at++)
            cr_assert_eq(buf[k], byte_at(i, at), "file %zu, byte %lld", i, (long long)at);
        t.n_read += (long long)n;
    }
}

static void
read_all(void *arg, const struct cancel *cancel)
{
    (void)arg;
    (void)cancel;
    for (size_t i = t.first; i < N_FILES && t.rc == 0 && !has_enough(); i++)
        read_file(i);
}

static void
on_closed(void *arg)
{
    (void)arg;
    t.closed = true;
}

static void
on_reader_done(void *arg)
{
    (void)arg;
    fetch_close(t.fetch, on_closed, NULL);
}

static void
begin(unsigned parallelism)
{
    static struct fetch_files files;
    struct err e;

    files = fetch_ltx_files(t.infos, N_FILES);
    files.chunk = CHUNK;
    cr_assert_eq(fetch_open(&t.loop, t.drv, &files, parallelism, &t.fetch, &e), 0);
}

static void
run(unsigned parallelism)
{
    struct err e;

    begin(parallelism);
    cr_assert_eq(job_start(&t.loop, read_all, on_reader_done, NULL, NULL, &e), 0);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_assert(t.closed);
}

static const int64_t whole = 2500 + 1000 + 1 + 5321;

/* --- the connection -------------------------------------------------------------------
 */

static struct answer
dribble(const struct request *r, unsigned nth)
{
    (void)r;
    return (struct answer){ .most = 1 + nth * 37 % 211 };
}

Test(fetch_script, short_answers_are_put_together)
{
    for (unsigned parallelism = 1; parallelism <= 5; parallelism++) {
        t.served = 0;
        t.n_read = 0;
        t.n_requests = 0;
        t.closed = false;
        t.script = dribble;
        run(parallelism);
        cr_assert_eq(t.rc, 0, "%s", t.err.text);
        cr_expect_eq(t.n_read, whole);
        cr_expect_eq(t.served, whole, "bytes were fetched twice");
    }
}

/* The third request gives 300 bytes, the one for the rest fails in its middle. */
static struct answer
break_in_the_middle(const struct request *r, unsigned nth)
{
    (void)r;
    return (struct answer){ .most = nth == 2 ? 300 : 0, .code = nth == 3 ? ERR_IO : 0 };
}

Test(fetch_script, a_broken_connection_goes_on_from_the_last_good_byte)
{
    t.script = break_in_the_middle;
    run(1);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_read, whole);
    cr_expect_eq(t.served, whole);
    cr_assert_geq(t.n_requests, 5);
    cr_expect_eq(t.requests[2].off, 2000);
    for (unsigned i = 3; i < 5; i++) {
        cr_expect_eq(t.requests[i].file, 0);
        cr_expect_eq(t.requests[i].off, 2300);
        cr_expect_eq(t.requests[i].size, 200);
    }
}

/* Five failures for one chunk, but never two without a byte between them. */
static struct answer
stumble(const struct request *r, unsigned nth)
{
    bool first_chunk = r->file == 0 && r->off < CHUNK;

    return (
        struct answer){ .most = 200, .code = first_chunk && nth % 2 == 0 ? ERR_IO : 0 };
}

Test(fetch_script, progress_renews_the_attempts)
{
    t.script = stumble;
    run(1);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_read, whole);
}

/* --- what does not heal ---------------------------------------------------------------
 */

static enum err_code fail_code;
static bool fail_refused;

/* The second chunk of the first file. */
static struct answer
fail_second_chunk(const struct request *r, unsigned nth)
{
    bool fails = r->file == 0 && r->off == CHUNK;

    (void)nth;
    return (struct answer){ .code = fails ? fail_code : 0, .refuse = fail_refused };
}

static unsigned
requests_for(size_t file, int64_t off)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t.n_requests; i++)
        n += t.requests[i].file == file && t.requests[i].off == off;
    return n;
}

static void
expect_failure(enum err_code code, unsigned n_attempts)
{
    fail_code = code;
    t.script = fail_second_chunk;
    run(3);
    cr_expect_eq(t.rc, (int)code, "%s", t.err.text);
    cr_expect_not_null(strstr(t.err.text, "no luck"), "%s", t.err.text);
    cr_expect_eq(requests_for(0, CHUNK), n_attempts);
    cr_expect_eq(t.n_read, CHUNK, "what was good before it is read");
    cr_expect_leq(
        t.n_requests, 3 + n_attempts, "nothing beyond the chunks there is room for");
}

Test(fetch_script, an_absent_file_is_asked_for_once)
{
    expect_failure(ERR_NOT_FOUND, 1);
}

Test(fetch_script, a_range_beyond_the_end_is_asked_for_once)
{
    expect_failure(ERR_RANGE, 1);
}

Test(fetch_script, what_may_heal_is_tried_four_times)
{
    expect_failure(ERR_NETWORK, FETCH_ATTEMPTS);
    cr_expect_not_null(strstr(t.err.text, "gave up after 4 attempts"), "%s", t.err.text);
}

Test(fetch_script, a_request_that_cannot_even_start_is_tried_as_often)
{
    fail_refused = true;
    expect_failure(ERR_LIMIT, FETCH_ATTEMPTS);
}

/* It fails long before the reader would come to it, which it never does. */
Test(fetch_script, an_error_in_a_file_that_is_skipped_does_no_harm)
{
    fail_code = ERR_NOT_FOUND;
    t.script = fail_second_chunk;
    t.first = 1;
    run(3);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_read, whole - (int64_t)sizes[0]);
}

Test(fetch_script, a_file_that_ends_early_is_damaged)
{
    t.infos[0].size += 200;
    run(2);
    cr_expect_eq(t.rc, ERR_CORRUPT, "%s", t.err.text);
    cr_expect_not_null(
        strstr(t.err.text, "unexpected end of file at offset 2500"), "%s", t.err.text);
}

/* --- memory ---------------------------------------------------------------------------
 */

static unsigned bound;

/* Of what was asked for, only so much can still lie in memory. */
static struct answer
count_ahead(const struct request *r, unsigned nth)
{
    int64_t end = r->off + (int64_t)r->size;

    (void)nth;
    for (size_t i = 0; i < r->file; i++)
        end += (int64_t)sizes[i];
    cr_expect_leq(r->size, CHUNK);
    cr_expect_leq(end - t.n_read, (int64_t)bound * CHUNK, "file %zu at %lld", r->file,
        (long long)r->off);
    return (struct answer){ 0 };
}

Test(fetch_script, runs_ahead_of_the_reader_only_so_far)
{
    t.script = count_ahead;
    for (bound = 1; bound <= 4; bound++) {
        t.n_requests = 0;
        t.n_read = 0;
        t.closed = false;
        run(bound);
        cr_assert_eq(t.rc, 0, "%s", t.err.text);
        cr_expect_eq(t.n_requests, 3 + 1 + 1 + 6);
    }
}

Test(fetch_script, without_a_reader_it_fills_its_places_and_waits)
{
    begin(4);
    for (int i = 0; i < 20; i++)
        uv_run(&t.loop, UV_RUN_NOWAIT);
    cr_expect_eq(t.n_requests, 4);
    cr_expect_eq(t.served, 2500 + 1000);
    fetch_close(t.fetch, on_closed, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect(t.closed);
}

/* --- a stop ---------------------------------------------------------------------------
 */

static struct answer
hang_from_third(const struct request *r, unsigned nth)
{
    (void)r;
    return (struct answer){ .hang = nth >= 2 };
}

static void
stop(void)
{
    fetch_stop(t.fetch);
}

Test(fetch_script, a_stop_in_the_middle_ends_reader_and_requests)
{
    t.script = hang_from_third;
    t.on_hang = stop;
    run(4);
    cr_expect_eq(t.rc, ERR_CANCELLED, "%s", t.err.text);
    cr_expect_eq(t.n_requests, 4, "nothing is asked for after it");
    cr_expect_eq(t.n_cancelled, 2);
}

/* The sanitizer sees it when a request outlives its buffer. */
Test(fetch_script, closing_waits_for_requests_that_hang)
{
    t.script = hang_from_third;
    t.stop_after = 500;
    run(4);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_cancelled, 2);
}

Test(fetch_script, the_driver_may_be_closed_before_it)
{
    t.script = hang_from_third;
    begin(4);
    drv_close(t.drv, NULL, NULL);
    cr_expect_eq(t.n_cancelled, 2);
    cr_expect_eq(t.n_requests, 4);
    fetch_close(t.fetch, on_closed, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect(t.closed);
    t.drv = NULL;
}
