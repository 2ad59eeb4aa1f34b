#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_name.h"
#include "test/unit/common/ltx/ltx_files.h"
#include "test/unit/support/tmp.h"
#include "workers/restore/restore.h"

/* A file replica with TXIDs 1..N and the database after each of them. */
#define N 6
#define PAGE 512

static struct {
    struct image after[N + 1];
    struct cfg_replica cfg;
    struct restore_options options;
    struct restore_result result;
    struct err err;
} t;

static const uint32_t commits[N + 1] = { 0, 8, 12, 12, 5, 9, 9 };

static const char *
file_path(int level, uint64_t min, uint64_t max)
{
    static char path[400];
    char name[LTX_NAME_SIZE];

    ltx_name_format(min, max, name);
    snprintf(path, sizeof(path), "%s/ltx/%d/%s", tmp_path("replica"), level, name);
    return path;
}

static void
write_file(int level, uint64_t min, uint64_t max, struct image *im, const uint32_t *pgnos,
    size_t n)
{
    struct ltx_header h = header_of(PAGE, im->commit, min, max);
    struct bytes b = encode(&h, im, pgnos, n);
    char folder[400];

    snprintf(folder, sizeof(folder), "%s/ltx/%d", tmp_path("replica"), level);
    mkdir(folder, 0755);
    tmp_write(file_path(level, min, max), b.p, b.n);
    bytes_free(&b);
}

static void
copy_image(struct image *to, const struct image *from)
{
    *to = (struct image){ 0 };
    image_resize(to, PAGE, from->commit);
    memcpy(to->pages, from->pages, (size_t)PAGE * from->commit);
}

static void
make_replica(void)
{
    struct image now = { 0 };
    uint64_t state = 42;

    mkdir(tmp_path("replica"), 0755);
    mkdir(tmp_path("replica/ltx"), 0755);
    for (uint64_t txid = 1; txid <= N; txid++) {
        uint32_t pgnos[16], before = now.commit;
        size_t n = 0;

        image_resize(&now, PAGE, commits[txid]);
        for (uint32_t pgno = 1; pgno <= now.commit; pgno++)
            if (pgno > before || pgno == 1 || noise(&state) % 3 == 0) {
                fill_page(&state, image_page(&now, pgno), PAGE);
                pgnos[n++] = pgno;
            }
        write_file(0, txid, txid, &now, pgnos, n);
        copy_image(&t.after[txid], &now);
    }
    image_free(&now);
}

static void
set_up(void)
{
    make_replica();
    t.cfg = (struct cfg_replica){ .type = CFG_REPLICA_FILE, .path = tmp_path("replica") };
    t.options = (struct restore_options){
        .replica = &t.cfg, .output = tmp_path("out.db"), .parallelism = 3
    };
}

static void
tear_down(void)
{
    restore_result_deinit(&t.result);
    for (size_t i = 1; i <= N; i++)
        image_free(&t.after[i]);
}

TestSuite(restore, .init = set_up, .fini = tear_down, .timeout = 60);

static int
run(void)
{
    restore_result_deinit(&t.result);
    return restore_run(&t.options, &t.result, &t.err);
}

static void
assert_output(uint64_t txid)
{
    size_t n;
    uint8_t *out = tmp_read(t.options.output, &n);

    cr_assert_not_null(out);
    cr_assert(image_equals(&t.after[txid], out, n), "not the database at %d", (int)txid);
    cr_expect_eq(t.result.txid, txid);
    cr_expect_eq(t.result.bytes, (int64_t)n);
    free(out);
    unlink(t.options.output);
}

static void
assert_nothing_left(void)
{
    cr_expect_not(tmp_exists(tmp_path("out.db")));
    cr_expect_not(tmp_exists(tmp_path("out.db.tmp")));
}

Test(restore, the_newest_state)
{
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, every_transaction)
{
    for (uint64_t txid = 1; txid <= N; txid++) {
        t.options.target = (struct restore_target){ .by_txid = true, .txid = txid };
        cr_assert_eq(run(), 0, "%s", t.err.text);
        assert_output(txid);
    }
}

Test(restore, a_transaction_that_is_not_there)
{
    t.options.target = (struct restore_target){ .by_txid = true, .txid = N + 1 };
    cr_assert_eq(run(), ERR_NOT_FOUND);
    cr_expect_not_null(strstr(t.err.text, "transaction not available"), "%s", t.err.text);
    assert_nothing_left();
}

/* The state strictly before a moment; file times count. */
Test(restore, every_moment)
{
    for (uint64_t txid = 1; txid <= N; txid++) {
        struct timespec when[2] = { { .tv_sec = 1000 * (long)txid },
            { .tv_sec = 1000 * (long)txid } };

        cr_assert_eq(utimensat(AT_FDCWD, file_path(0, txid, txid), when, 0), 0);
    }
    for (uint64_t txid = 1; txid < N; txid++) {
        t.options.target = (struct restore_target){ .by_time = true,
            .timestamp = { .sec = 1000 * ((int64_t)txid + 1) } };
        cr_assert_eq(run(), 0, "%s", t.err.text);
        assert_output(txid);
    }
    t.options.check_bounds = true;
    t.options.target.timestamp.sec = 999;
    cr_assert_eq(run(), ERR_USAGE);
    cr_expect_not_null(strstr(t.err.text, "timestamp does not exist"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_snapshot_stands_for_what_is_gone)
{
    uint32_t all[16];

    for (uint32_t i = 0; i < 16; i++)
        all[i] = i + 1;
    write_file(9, 1, 4, &t.after[4], all, t.after[4].commit);
    for (uint64_t txid = 1; txid <= 4; txid++)
        unlink(file_path(0, txid, txid));
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, a_missing_file_is_named_and_nothing_is_left)
{
    unlink(file_path(0, 3, 3));
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(
        strstr(t.err.text, "have up to 0000000000000002 but next file starts at "
                           "0000000000000004"),
        "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_damaged_file_is_named_and_nothing_is_left)
{
    size_t n;
    uint8_t *bytes = tmp_read(file_path(0, 5, 5), &n);

    bytes[n / 2] ^= 1;
    tmp_write(file_path(0, 5, 5), bytes, n);
    free(bytes);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(strstr(t.err.text, "min=0000000000000005"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, a_file_too_short_to_be_one)
{
    tmp_write(file_path(0, 5, 5), "short", 5);
    cr_assert_eq(run(), ERR_CORRUPT);
    cr_expect_not_null(strstr(t.err.text, "has size 5 bytes"), "%s", t.err.text);
    assert_nothing_left();
}

Test(restore, an_empty_replica)
{
    t.cfg.path = tmp_path("nowhere");
    cr_assert_eq(run(), ERR_NOT_FOUND);
    cr_expect_eq(t.result.n_ltx, 0);
    assert_nothing_left();
}

Test(restore, a_plan_alone_writes_nothing)
{
    t.options.plan_only = true;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    cr_expect_eq(t.result.plan.n, N);
    cr_expect_eq(t.result.txid, N);
    assert_nothing_left();
}

Test(restore, a_cancel_leaves_nothing)
{
    struct cancel cancel = { 0 };

    cancel_ask(&cancel);
    t.options.cancel = &cancel;
    cr_assert_eq(run(), ERR_CANCELLED);
    assert_nothing_left();
}

Test(restore, what_is_there_stays_without_force)
{
    size_t n;
    uint8_t *found;

    tmp_write(t.options.output, "mine", 4);
    cr_assert_eq(run(), ERR_EXISTS);
    found = tmp_read(t.options.output, &n);
    cr_expect(n == 4 && memcmp(found, "mine", 4) == 0);
    free(found);
    t.options.force = true;
    cr_assert_eq(run(), 0, "%s", t.err.text);
    assert_output(N);
}

Test(restore, two_targets_are_refused)
{
    t.options.target = (struct restore_target){ .by_txid = true, .by_time = true };
    cr_assert_eq(run(), ERR_USAGE);
    assert_nothing_left();
}
