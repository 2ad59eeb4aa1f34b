#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/ltx/ltx_decoder.h"
#include "common/wal/wal_scan.h"
#include "test/unit/common/wal/made_wal.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/sync/l0_writer.h"

#define NAME "0000000000000007-0000000000000007.ltx"

/* A database of 6 pages (filled with their number + 100) and a WAL over it. */
static struct made_wal w;
static struct wal_scan *scan;
static struct l0_plan plan;
static const char *path, *tmp;

static void
set_up(void)
{
    struct wal_range all = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_header h;
    uint8_t db[6 * 512];
    struct err e;

    for (int i = 0; i < 6; i++)
        memset(db + i * 512, i + 101, 512);
    tmp_write(tmp_path("db"), db, sizeof(db));
    made_wal_begin(&w, false, 512, 0, 1, 2);
    made_wal_frame(&w, 2, 0, 1);
    made_wal_frame(&w, 9, 0, 2); /* above the commit: dropped */
    made_wal_frame(&w, 7, 0, 3);
    made_wal_frame(&w, 2, 8, 4);
    made_wal_frame(&w, 8, 8, 5);
    tmp_write(tmp_path("wal"), w.bytes, w.size);
    path = tmp_path("l0/" NAME);
    tmp = tmp_path("l0/" NAME ".tmp");
    plan = (struct l0_plan){ .dir = tmp_path("l0"),
        .owner = SYS_OWNER_DEFAULT,
        .wal_fd = open(tmp_path("wal"), O_RDWR | O_CLOEXEC),
        .wal_salt = { 1, 2 },
        .db_fd = -1,
        .prev_commit = 6 };
    scan = wal_scan_new(NULL);
    cr_assert_eq(wal_read_header(plan.wal_fd, &h, &e), 0);
    all.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    cr_assert_eq(wal_scan_run(scan, plan.wal_fd, &h, &all, NULL, &res, &e), 0);
    plan.map = wal_scan_map(scan);
    plan.last_frame_no = res.last_frame_no;
    plan.header = (struct ltx_header){ .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = 512,
        .commit = 8,
        .min_txid = 7,
        .max_txid = 7,
        .wal_offset = 32,
        .wal_size = (int64_t)w.size - 32,
        .wal_salt1 = 1,
        .wal_salt2 = 2 };
}

static void
tear_down(void)
{
    close(plan.wal_fd);
    if (plan.db_fd >= 0)
        close(plan.db_fd);
    wal_scan_free(scan);
}

TestSuite(l0_writer, .init = set_up, .fini = tear_down);

static void
want_image(void)
{
    plan.db_fd = open(tmp_path("db"), O_RDWR | O_CLOEXEC);
}

/* Page numbers and first bytes of the file: "2:4 7:3 ..." */
static const char *
content(void)
{
    static char text[400];
    struct ltx_decoder *dec;
    struct ltx_page info;
    uint8_t page[512];
    struct err e;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    text[0] = '\0';
    cr_assert_geq(fd, 0);
    cr_assert_eq(ltx_decoder_open_fd(fd, 0, &dec, &e), 0);
    while ((rc = ltx_decoder_page(dec, &info, page, &e)) == 0) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len, "%u:%u ", info.pgno, page[0]);
        for (int i = 1; i < 512; i++)
            cr_assert_eq(page[i], page[0]);
    }
    cr_assert_eq(rc, ERR_END);
    cr_assert_eq(ltx_decoder_close(dec, NULL, &e), 0, "%s", e.text);
    ltx_decoder_free(dec);
    close(fd);
    return text;
}

static int
n_files(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    int n = 0;

    while (d != NULL && (entry = readdir(d)) != NULL)
        n += entry->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return n;
}

Test(l0_writer, an_increment_holds_the_newest_version_of_each_page)
{
    struct l0_result out;
    struct err e;

    cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0, "%s", e.text);
    cr_assert_str_eq(content(), "2:4 7:3 8:5 ");
    cr_assert_eq(out.n_pages, 3);
    cr_assert_eq(n_files(plan.dir), 1);
}

Test(l0_writer, an_image_takes_the_rest_from_the_database)
{
    struct l0_result out;
    struct err e;

    want_image();
    for (plan.n_threads = 0; plan.n_threads < 4; plan.n_threads += 3) {
        cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0, "%s", e.text);
        cr_assert_str_eq(content(), "1:101 2:4 3:103 4:104 5:105 6:106 7:3 8:5 ");
    }
}

Test(l0_writer, only_frames_up_to_the_last_commit_count)
{
    struct l0_result out;
    struct err e;

    plan.last_frame_no = 4; /* page 8 is missing then */
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_GAP);
    plan.header.commit = 7;
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0);
    cr_assert_str_eq(content(), "2:4 7:3 ");
}

Test(l0_writer, a_page_that_is_nowhere_makes_no_file)
{
    struct l0_result out;
    struct err e;

    plan.prev_commit = 5; /* page 6 should be in the WAL */
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_GAP);
    want_image();
    cr_assert_eq(ftruncate(plan.db_fd, 6 * 512 - 1), 0);
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_MOVED);
    cr_assert_eq(n_files(plan.dir), 0);
}

Test(l0_writer, a_wal_that_moves_makes_no_file)
{
    struct l0_result out;
    struct made_wal *other = malloc(sizeof(*other));
    struct err e;

    *other = w;
    made_wal_begin(other, false, 512, 1, 2, 9); /* header only: pages still read well */
    cr_assert_eq(pwrite(plan.wal_fd, other->bytes, 32, 0), 32);
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_MOVED);
    cr_assert_eq(pwrite(plan.wal_fd, w.bytes, 32, 0), 32);
    made_wal_frame(other, 3, 3, 3); /* a frame, header as before */
    cr_assert_eq(
        pwrite(plan.wal_fd, other->bytes + 32 + 3 * 536, 536, 32 + 4 * 536), 536);
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_MOVED);
    cr_assert_eq(ftruncate(plan.wal_fd, 200), 0);
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_MOVED);
    cr_assert_eq(n_files(plan.dir), 0);
    free(other);
}

Test(l0_writer, cancelled)
{
    struct cancel cancel = { true };
    struct l0_result out;
    struct err e;

    cr_assert_eq(l0_write(&plan, &cancel, &out, &e), ERR_CANCELLED);
    want_image();
    plan.n_threads = 2;
    cr_assert_eq(l0_write(&plan, &cancel, &out, &e), ERR_CANCELLED);
    cr_assert_eq(n_files(plan.dir), 0);
}

static unsigned n_syncs; /* of the file, before it got its name */

static int
counting_fsync(int fd)
{
    n_syncs += !tmp_exists(path);
    return sys_posix.fsync(fd);
}

static int
checking_rename(const char *from, const char *to)
{
    cr_assert_gt(n_syncs, 0);
    return sys_posix.rename(from, to);
}

Test(l0_writer, has_its_name_only_when_it_is_durable)
{
    struct sys_ops ops = sys_posix;
    struct l0_result out;
    struct err e;

    cr_assert_eq(mkdir(plan.dir, 0700), 0);
    ops.fsync = counting_fsync;
    ops.rename = checking_rename;
    sys = &ops;
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0);
    sys = &sys_posix;
    cr_assert_eq(n_syncs, 1);
}

/* Whichever call fails: an error that says so, nothing left, nothing leaked. */
static void
fail_every_call(int sys_errno)
{
    int n_fds = n_files("/proc/self/fd"), n_failed = 0;

    for (int nth = 1; fault_nth(nth, sys_errno); nth++) {
        struct l0_result out;
        struct err e = ERR_NONE;
        int rc = l0_write(&plan, NULL, &out, &e);

        fault_off();
        cr_assert_eq(n_files("/proc/self/fd"), n_fds, "call %d", nth);
        cr_assert_not(tmp_exists(tmp), "call %d", nth);
        if (tmp_exists(path)) /* its name may not be durable yet, its content is */
            cr_assert_eq(strlen(content()), strlen("2:4 7:3 8:5 "), "call %d", nth);
        if (rc == 0)
            break;
        n_failed++;
        cr_assert_neq(e.code, ERR_OK);
        cr_assert_not_null(strstr(e.text, NAME), "call %d: %s", nth, e.text);
        unlink(path);
    }
    fault_off();
    cr_assert_gt(n_failed, 8);
}

Test(l0_writer, leaves_nothing_half_done_whichever_call_fails)
{
    fail_every_call(EIO);
}

Test(l0_writer, leaves_nothing_half_done_on_a_full_disk)
{
    fail_every_call(ENOSPC);
}

/* 65536 bytes: the lock page is 16385, reachable with little data. */
Test(l0_writer, the_lock_page_is_left_out_but_counted)
{
    static struct made_wal big;
    struct wal_range all = { .last_frame_no = WAL_SCAN_ALL };
    struct wal_scan_result res;
    struct wal_header h;
    struct l0_result out;
    struct err e;
    uint32_t lock = ltx_lock_pgno(65536);
    int fd;

    cr_assert_eq(lock, 16385);
    made_wal_begin(&big, false, 65536, 0, 1, 2);
    made_wal_frame(&big, lock - 1, 0, 1);
    made_wal_frame(&big, lock, 0, 2); /* SQLite never does that */
    made_wal_frame(&big, lock + 1, 0, 3);
    made_wal_frame(&big, lock + 2, lock + 2, 4);
    tmp_write(tmp_path("bigwal"), big.bytes, big.size);
    fd = open(tmp_path("bigwal"), O_RDONLY | O_CLOEXEC);
    cr_assert_eq(wal_read_header(fd, &h, &e), 0);
    all.from = (struct wal_place){ WAL_HEADER_SIZE, h.sum };
    cr_assert_eq(wal_scan_run(scan, fd, &h, &all, NULL, &res, &e), 0);
    close(plan.wal_fd);
    plan.wal_fd = fd;
    plan.last_frame_no = 4;
    plan.header.page_size = 65536;
    plan.header.commit = lock + 2;
    plan.prev_commit = lock - 2;
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0, "%s", e.text);
    cr_assert_eq(out.n_pages, 3);
    plan.prev_commit = lock - 3;
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), ERR_GAP);

    /* As an image over a file with holes. */
    plan.db_fd = open(tmp_path("db"), O_RDWR | O_CLOEXEC);
    cr_assert_eq(ftruncate(plan.db_fd, (off_t)(lock + 2) * 65536), 0);
    plan.n_threads = 2;
    cr_assert_eq(l0_write(&plan, NULL, &out, &e), 0, "%s", e.text);
    cr_assert_eq(out.n_pages, lock + 1);
}
