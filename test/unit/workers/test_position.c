#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "common/ltx/ltx_encoder.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/common/wal/made_wal.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/sync/meta.h"
#include "workers/sync/position.h"

#define FRAME 536

/*
 * A WAL with commits at frames 2, 3 and 6, and its L0 files: 1 an image of frames 1..2, 2
 * frame 3, 3 frames 4..6.
 */
static struct made_wal w;
static const char *meta;
static int wal_fd;

struct l0 {
    uint64_t txid;
    uint32_t commit, page_size;
    int64_t off, size;
    struct wal_salt salt;
    uint32_t pages[4][2]; /* number, fill; ends with 0 */
};

static struct l0 files[] = {
    { 1, 2, 512, 32, 2 * FRAME, { 100, 200 }, { { 1, 1 }, { 2, 2 } } },
    { 2, 2, 512, 32 + 2 * FRAME, FRAME, { 100, 200 }, { { 1, 3 } } },
    { 3, 4, 512, 32 + 3 * FRAME, 3 * FRAME, { 100, 200 },
        { { 1, 5 }, { 3, 4 }, { 4, 6 } } },
};

static int
sink_write(void *arg, const void *bytes, size_t n, struct err *e)
{
    return sys_write_all(*(int *)arg, bytes, n, e);
}

static const char *
l0_path(uint64_t txid)
{
    char name[LTX_NAME_SIZE], path[200];

    ltx_name_format(txid, txid, name);
    snprintf(path, sizeof(path), ".db-litestream/ltx/0/%s", name);
    return tmp_path(path);
}

static void
write_l0(const struct l0 *f)
{
    struct ltx_header h = { .flags = LTX_FLAG_NO_CHECKSUM,
        .page_size = f->page_size,
        .commit = f->commit,
        .min_txid = f->txid,
        .max_txid = f->txid,
        .wal_offset = f->off,
        .wal_size = f->size,
        .wal_salt1 = f->salt.s1,
        .wal_salt2 = f->salt.s2 };
    int fd = open(l0_path(f->txid), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct ltx_sink sink = { sink_write, &fd };
    struct ltx_encoder *enc;
    uint8_t page[1024];
    struct err e;

    cr_assert_eq(ltx_encoder_open(&h, sink, NULL, &enc, &e), 0, "%s", e.text);
    for (int i = 0; i < 4 && f->pages[i][0] != 0; i++) {
        memset(page, (int)f->pages[i][1], sizeof(page));
        cr_assert_eq(ltx_encoder_page(enc, f->pages[i][0], page, &e), 0, "%s", e.text);
    }
    cr_assert_eq(ltx_encoder_close(enc, 0, NULL, &e), 0, "%s", e.text);
    ltx_encoder_free(enc);
    close(fd);
}

static void
set_up(void)
{
    struct sys_owner owner = SYS_OWNER_DEFAULT;
    struct err e;

    meta = tmp_path(".db-litestream");
    cr_assert_eq(meta_make(meta, &owner, &e), 0);
    made_wal_begin(&w, false, 512, 3, 100, 200);
    made_wal_frame(&w, 1, 0, 1);
    made_wal_frame(&w, 2, 2, 2);
    made_wal_frame(&w, 1, 2, 3);
    made_wal_frame(&w, 3, 0, 4);
    made_wal_frame(&w, 1, 0, 5);
    made_wal_frame(&w, 4, 4, 6);
    for (int i = 0; i < 3; i++)
        write_l0(&files[i]);
    wal_fd = open(tmp_path("wal"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(pwrite(wal_fd, w.bytes, w.size, 0), (ssize_t)w.size);
}

TestSuite(position, .init = set_up);

static struct position
find(unsigned want_damaged)
{
    struct position pos;
    unsigned damaged;
    struct err e;

    cr_assert_eq(position_find(meta, &pos, &damaged, &e), 0, "%s", e.text);
    cr_assert_eq(damaged, want_damaged);
    return pos;
}

static bool
verify(const struct position *pos)
{
    struct wal_header h;
    struct wal_place place;
    struct err e;
    bool same;

    cr_assert_eq(wal_read_header(wal_fd, &h, &e), 0);
    cr_assert_eq(
        position_verify(meta, pos, wal_fd, &h, &place, &same, &e), 0, "%s", e.text);
    if (same) {
        cr_assert_eq(place.off, pos->off);
        cr_assert(pos->off != (int64_t)w.size || place.sum.a == w.a);
    }
    return same;
}

static bool
verify_end(const struct position *pos)
{
    struct err e;
    bool same;

    cr_assert_eq(position_verify_end(meta, pos, wal_fd, &same, &e), 0, "%s", e.text);
    return same;
}

static void
flip(const char *path, off_t off)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t b;

    cr_assert_eq(pread(fd, &b, 1, off), 1);
    b ^= 0x10;
    cr_assert_eq(pwrite(fd, &b, 1, off), 1);
    close(fd);
}

Test(position, is_the_end_of_the_newest_file)
{
    struct position pos = find(0);

    cr_assert_eq(pos.txid, 3);
    cr_assert(pos.have_mark);
    cr_assert_eq(pos.off, (int64_t)w.size);
    cr_assert_eq(pos.commit, 4);
    cr_assert_eq(pos.page_size, 512);
    cr_assert(verify(&pos));
    cr_assert(verify_end(&pos));
}

Test(position, of_an_empty_folder_is_none)
{
    struct err e;

    cr_assert_eq(meta_clear_level(meta, 0, &e), 0);
    cr_assert_eq(find(0).txid, 0);
}

Test(position, damaged_newest_files_are_put_aside)
{
    struct position pos;

    flip(l0_path(3), 130);
    tmp_write(l0_path(4), "", 0);
    tmp_write(l0_path(5), "LTX1", 4);
    pos = find(3);
    cr_assert_eq(pos.txid, 2);
    cr_assert_eq(pos.off, 32 + 3 * FRAME);
    cr_assert(verify(&pos));
    for (uint64_t txid = 3; txid <= 5; txid++) {
        char bad[300];

        snprintf(bad, sizeof(bad), "%s.bad", l0_path(txid));
        cr_assert(access(bad, F_OK) == 0 && !tmp_exists(l0_path(txid)));
    }
}

Test(position, any_flipped_byte_of_the_newest_file_is_found)
{
    size_t size;
    uint8_t *bytes = tmp_read(l0_path(3), &size);
    const char *path = l0_path(3);

    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x20;
        tmp_write(path, bytes, size);
        bytes[i] ^= 0x20;
        cr_assert_eq(find(1).txid, 2, "byte %zu", i);
    }
    free(bytes);
}

Test(position, a_file_under_another_name_is_damaged)
{
    cr_assert_eq(rename(l0_path(3), l0_path(8)), 0);
    cr_assert_eq(find(1).txid, 2);
}

Test(position, a_disk_error_is_no_damage)
{
    int n_failed = 0;

    for (int nth = 1; fault_nth(nth, EIO); nth++) {
        struct position pos;
        unsigned damaged;
        struct err e;
        int rc = position_find(meta, &pos, &damaged, &e);

        cr_assert(rc == ERR_IO || rc == 0);
        cr_assert_eq(damaged, 0);
        n_failed += rc != 0;
    }
    cr_assert_gt(n_failed, 1);
    cr_assert_eq(find(0).txid, 3);
}

Test(position, files_of_others_name_no_place)
{
    struct l0 f = files[2];

    f.txid = 4;
    f.off = f.size = 0;
    f.salt = (struct wal_salt){ 0, 0 };
    write_l0(&f);
    cr_assert_not(find(0).have_mark);
    f = files[2];
    f.txid = 5;
    f.size = 100; /* not the end of a frame */
    write_l0(&f);
    cr_assert_not(find(0).have_mark);
    f.txid = 6;
    f.off = INT64_MAX - 10;
    f.size = INT64_MAX - 10; /* beyond what can be counted */
    write_l0(&f);
    cr_assert_not(find(0).have_mark);
}

Test(position, a_wal_that_was_rewritten_differs)
{
    struct position pos = find(0);

    /* Same generation, valid, same frames but for one page in the middle. */
    made_wal_begin(&w, false, 512, 3, 100, 200);
    made_wal_frame(&w, 1, 0, 1);
    made_wal_frame(&w, 2, 2, 2);
    made_wal_frame(&w, 1, 2, 99);
    made_wal_frame(&w, 3, 0, 4);
    made_wal_frame(&w, 1, 0, 5);
    made_wal_frame(&w, 4, 4, 6);
    cr_assert_eq(pwrite(wal_fd, w.bytes, w.size, 0), (ssize_t)w.size);
    cr_assert_not(verify(&pos));
    /* The old local files are gone: what is left of them agrees. */
    unlink(l0_path(1));
    unlink(l0_path(2));
    cr_assert(verify(&pos));
}

Test(position, other_commits_at_the_same_place_differ)
{
    struct position pos = find(0);

    made_wal_begin(&w, false, 512, 3, 100, 200);
    made_wal_frame(&w, 1, 0, 1);
    made_wal_frame(&w, 2, 2, 2);
    made_wal_frame(&w, 1, 2, 3);
    made_wal_frame(&w, 3, 3, 4); /* a commit more */
    made_wal_frame(&w, 1, 0, 5);
    made_wal_frame(&w, 4, 5, 6); /* another size */
    cr_assert_eq(pwrite(wal_fd, w.bytes, w.size, 0), (ssize_t)w.size);
    cr_assert_not(verify(&pos));
    cr_assert_not(verify_end(&pos));
}

Test(position, a_torn_wal_differs)
{
    struct position pos = find(0);

    for (size_t i = 32; i < w.size; i += 97) {
        uint8_t b = (uint8_t)(w.bytes[i] ^ 1);

        cr_assert_eq(pwrite(wal_fd, &b, 1, (off_t)i), 1);
        cr_assert_not(verify(&pos), "byte %zu", i);
        cr_assert_eq(pwrite(wal_fd, w.bytes + i, 1, (off_t)i), 1);
    }
    cr_assert(verify(&pos));
    cr_assert_eq(ftruncate(wal_fd, (off_t)w.size - 1), 0);
    cr_assert_not(verify(&pos));
}

Test(position, a_gap_in_the_files_is_where_comparing_begins)
{
    struct position pos = find(0);

    unlink(l0_path(2));
    cr_assert(verify(&pos));
    flip(l0_path(3), 130); /* damage after the position was found */
    cr_assert_not(verify(&pos));
}

Test(position, a_file_of_another_page_size_does_not_agree)
{
    struct l0 f = files[1];
    struct position pos = find(0);

    f.page_size = 1024;
    f.size = 1048;
    write_l0(&f);
    cr_assert_not(verify(&pos));
}

Test(position, the_end_of_the_wal_before_is_compared_with_the_newest_file)
{
    struct position pos = find(0);
    struct made_wal *next = malloc(sizeof(*next));
    uint8_t b = 77;

    /* Restarted, with one frame so far: the last one captured is still there. */
    made_wal_begin(next, false, 512, 4, 101, 9);
    made_wal_frame(next, 1, 1, 1);
    cr_assert_eq(pwrite(wal_fd, next->bytes, next->size, 0), (ssize_t)next->size);
    cr_assert(verify_end(&pos));
    cr_assert_eq(pwrite(wal_fd, &b, 1, (off_t)w.size - 200), 1);
    cr_assert_not(verify_end(&pos));
    cr_assert_eq(pwrite(wal_fd, w.bytes + w.size - 200, 1, (off_t)w.size - 200), 1);
    cr_assert(verify_end(&pos));
    cr_assert_eq(ftruncate(wal_fd, (off_t)w.size - 1), 0);
    cr_assert_not(verify_end(&pos));
    free(next);
}
