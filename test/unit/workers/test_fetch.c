#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <uv.h>

#include "common/base/sys.h"
#include "common/ltx/ltx_name.h"
#include "drivers/driver.h"
#include "drivers/loop/job.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/fetch.h"

#define N_FILES 5
#define CHUNK_BYTES (FETCH_CHUNK + 0)

/* Files of a replica, some of more than one chunk, and a reader on a thread. */
static struct {
    uv_loop_t loop;
    struct cfg_replica cfg;
    struct drv *drv;
    struct ltx_info infos[N_FILES];
    uint8_t *bytes[N_FILES];

    struct fetch *fetch;
    size_t first, step;    /* which files the reader wants */
    size_t cap;            /* bytes it asks for at once */
    size_t stop_after;     /* it stops reading after so many bytes; 0: never */
    size_t n_read, n_good; /* bytes, files that came as they are */
    int rc;
    struct err err;
    bool closed;
} t;

static const size_t sizes[N_FILES] = { 100, CHUNK_BYTES, 2 * CHUNK_BYTES + 12345, 1,
    70000 };

static void
make_files(void)
{
    const char *folder = tmp_path("replica/ltx/0");
    uint32_t state = 1;

    mkdir(tmp_path("replica"), 0755);
    mkdir(tmp_path("replica/ltx"), 0755);
    mkdir(folder, 0755);
    for (size_t i = 0; i < N_FILES; i++) {
        char name[LTX_NAME_SIZE], path[300];

        t.bytes[i] = malloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            t.bytes[i][k] = (uint8_t)((state = state * 1103515245 + 12345) >> 16);
        ltx_name_format(i + 1, i + 1, name);
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        tmp_write(path, t.bytes[i], sizes[i]);
        t.infos[i] = (struct ltx_info){
            .min_txid = i + 1, .max_txid = i + 1, .size = (int64_t)sizes[i]
        };
    }
}

static void
set_up(void)
{
    struct drv_env env = { .loop = &t.loop, .owner = SYS_OWNER_DEFAULT, .isolate = true };
    struct err e;

    make_files();
    t.cfg = (struct cfg_replica){ .type = CFG_REPLICA_FILE, .path = tmp_path("replica") };
    cr_assert_eq(uv_loop_init(&t.loop), 0);
    cr_assert_eq(drv_open(&t.cfg, &env, &t.drv, &e), 0, "%s", e.text);
    t.step = 1;
    t.cap = 65536;
}

static void
tear_down(void)
{
    sys = &sys_posix;
    drv_close(t.drv, NULL, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&t.loop), 0, "something is left on the loop");
    for (size_t i = 0; i < N_FILES; i++)
        free(t.bytes[i]);
}

TestSuite(fetch, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- the reader -----------------------------------------------------------------------
 */

static int
read_file(size_t i)
{
    uint8_t *buf = malloc(t.cap);
    size_t at = 0, n = 0;
    int rc;

    while ((rc = fetch_read(t.fetch, i, buf, t.cap, &n, &t.err)) == 0 && n > 0) {
        cr_assert(at + n <= sizes[i], "file %zu is too long", i);
        cr_assert(memcmp(t.bytes[i] + at, buf, n) == 0, "file %zu differs", i);
        at += n;
        t.n_read += n;
        if (t.stop_after > 0 && t.n_read >= t.stop_after)
            break;
    }
    if (rc == 0 && at == sizes[i])
        t.n_good++;
    free(buf);
    return rc;
}

static void
read_all(void *arg, const struct cancel *cancel)
{
    (void)arg;
    (void)cancel;
    for (size_t i = t.first; t.rc == 0 && i < N_FILES; i += t.step) {
        t.rc = read_file(i);
        if (t.stop_after > 0 && t.n_read >= t.stop_after)
            break;
    }
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
    fetch_stop(t.fetch);
    fetch_close(t.fetch, on_closed, NULL);
}

static void
run(unsigned parallelism)
{
    struct fetch_files files = fetch_ltx_files(t.infos, N_FILES);
    struct err e;

    cr_assert_eq(fetch_open(&t.loop, t.drv, &files, parallelism, &t.fetch, &e), 0);
    cr_assert_eq(job_start(&t.loop, read_all, on_reader_done, NULL, NULL, &e), 0);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    cr_assert(t.closed);
}

/* --- tests ----------------------------------------------------------------------------
 */

Test(fetch, all_files_come_whole_and_in_order)
{
    run(4);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_good, N_FILES);
}

Test(fetch, one_piece_at_a_time_is_enough)
{
    t.cap = 1000003;
    run(1);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_good, N_FILES);
}

Test(fetch, files_that_are_skipped_do_no_harm)
{
    t.step = 2;
    run(3);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_good, 3);
}

Test(fetch, a_reader_that_has_enough_ends_it)
{
    t.stop_after = CHUNK_BYTES / 2;
    run(4);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_lt(t.n_read, 2 * CHUNK_BYTES);
}

Test(fetch, a_file_that_is_gone_is_an_error_without_another_try)
{
    uint64_t before = uv_hrtime();

    t.infos[1].min_txid = t.infos[1].max_txid = 99;
    run(2);
    cr_expect_eq(t.rc, ERR_NOT_FOUND, "%s", t.err.text);
    cr_expect_eq(t.n_good, 1);
    cr_expect_null(strstr(t.err.text, "attempts"), "%s", t.err.text);
    cr_expect_lt(uv_hrtime() - before, UINT64_C(200000000), "it did not try again");
}

Test(fetch, a_file_that_is_shorter_than_listed_is_damaged)
{
    t.infos[4].size += 10;
    run(2);
    cr_expect_eq(t.rc, ERR_CORRUPT, "%s", t.err.text);
    cr_expect_eq(t.n_good, 4);
}

/* --- a disk that fails now and then ---------------------------------------------------
 */

static int n_calls, fail_from, fail_to;
static size_t most;

static ssize_t
moody_pread(int fd, void *buf, size_t n, off_t off)
{
    int call = __atomic_add_fetch(&n_calls, 1, __ATOMIC_RELAXED);

    if (call >= fail_from && call < fail_to) {
        errno = EIO;
        return -1;
    }
    return sys_posix.pread(fd, buf, most > 0 && n > most ? most : n, off);
}

static void
be_moody(int from, int to)
{
    static struct sys_ops moody;

    moody = sys_posix;
    moody.pread = moody_pread;
    fail_from = from;
    fail_to = to;
    sys = &moody;
}

Test(fetch, what_fails_once_is_asked_for_again)
{
    be_moody(3, 5);
    run(2);
    cr_expect_eq(t.rc, 0, "%s", t.err.text);
    cr_expect_eq(t.n_good, N_FILES);
    cr_expect_geq(n_calls, 5);
}

Test(fetch, a_disk_that_stays_broken_is_an_error_in_the_end)
{
    be_moody(2, 1000000);
    run(1);
    cr_expect_eq(t.rc, ERR_IO, "%s", t.err.text);
    cr_expect_not_null(strstr(t.err.text, "gave up after 4 attempts"), "%s", t.err.text);
}

/* --- a stop ---------------------------------------------------------------------------
 */

static void
on_stop_timer(uv_timer_t *h)
{
    fetch_stop(t.fetch);
    uv_close((uv_handle_t *)h, NULL);
}

Test(fetch, a_stop_wakes_a_reader_that_waits)
{
    uv_timer_t timer;

    uv_timer_init(&t.loop, &timer);
    uv_timer_start(&timer, on_stop_timer, 50, 0);
    be_moody(2, 1000000); /* it waits for the next attempt */
    run(1);
    cr_expect_eq(t.rc, ERR_CANCELLED, "%s", t.err.text);
}
