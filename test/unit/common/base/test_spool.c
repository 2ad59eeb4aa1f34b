#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/spool.h"
#include "common/base/sys.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

/* Writes `total` bytes in odd pieces and reads them back in others. */
static int
there_and_back(struct spool *s, size_t total, struct err *e)
{
    uint8_t piece[977], back[1409];
    size_t at = 0, got;
    int rc = 0;

    while (rc == 0 && at < total) {
        size_t n = total - at < sizeof(piece) ? total - at : sizeof(piece);

        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)((at + i) * 31 >> 3);
        rc = spool_append(s, piece, n, e);
        at += n;
    }
    cr_assert(rc != 0 || spool_size(s) == (int64_t)total);
    for (at = 0; rc == 0 && at < total; at += got) {
        rc = spool_read(s, (int64_t)at, back, sizeof(back), &got, e);
        if (rc != 0)
            break;
        cr_assert(got > 0 && got <= total - at);
        for (size_t i = 0; i < got; i++)
            cr_assert_eq(back[i], (uint8_t)((at + i) * 31 >> 3), "byte %zu", at + i);
    }
    if (rc == 0) {
        rc = spool_read(s, (int64_t)total, back, sizeof(back), &got, e);
        cr_assert(rc != 0 || got == 0);
    }
    return rc;
}

Test(spool, gives_back_what_it_got)
{
    static const size_t sizes[] = { 0, 1, 1000, SPOOL_MEMORY - 1, SPOOL_MEMORY,
        SPOOL_MEMORY + 1, 3 * SPOOL_MEMORY + 17 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct spool *s = spool_new(tmp_dir()), *memory = spool_new(NULL);
        struct err e;

        cr_assert_eq(there_and_back(s, sizes[i], &e), 0, "%s", e.text);
        cr_assert_eq(there_and_back(memory, sizes[i], &e), 0);
        spool_reset(s);
        cr_expect_eq(spool_size(s), 0);
        cr_assert_eq(there_and_back(s, sizes[i], &e), 0, "again: %s", e.text);
        spool_free(s);
        spool_free(memory);
    }
}

Test(spool, reports_errors_of_its_file)
{
    int nth = 1;

    for (; fault_nth(nth, ENOSPC); nth++) {
        struct spool *s = spool_new(tmp_dir());
        struct err e = { 0 };
        int rc = there_and_back(s, 3 * SPOOL_MEMORY, &e);

        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_NO_SPACE, "call %d: %d", nth, rc);
        else
            cr_expect_eq(rc, 0);
        spool_free(s);
        if (nth > 40)
            break;
    }
    fault_off();
    cr_expect_gt(nth, 3);
}

Test(spool, a_missing_folder_is_an_error_only_when_it_is_needed)
{
    struct spool *s = spool_new("/nonexistent/folder");
    struct err e;

    cr_expect_eq(there_and_back(s, 1000, &e), 0);
    spool_reset(s);
    cr_expect_eq(there_and_back(s, 2 * SPOOL_MEMORY, &e), ERR_NOT_FOUND);
    spool_free(s);
}

/* --- short counts ---------------------------------------------------------------------
 */

static ssize_t
short_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    return sys_posix.pwrite(fd, buf, n > 1000 ? n / 3 : n, off);
}

static ssize_t
short_pread(int fd, void *buf, size_t n, off_t off)
{
    return sys_posix.pread(fd, buf, n > 10 ? n / 2 : n, off);
}

Test(spool, goes_on_after_short_counts)
{
    struct sys_ops ops = sys_posix;
    struct spool *s = spool_new(tmp_dir());
    struct err e;

    ops.pwrite = short_pwrite;
    ops.pread = short_pread;
    sys = &ops;
    cr_expect_eq(there_and_back(s, 3 * SPOOL_MEMORY + 17, &e), 0, "%s", e.text);
    sys = &sys_posix;
    spool_free(s);
}

static size_t disk_left;

static ssize_t
full_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    if (disk_left == 0) {
        errno = ENOSPC;
        return -1;
    }
    n = n < disk_left ? n : disk_left;
    disk_left -= n;
    return sys_posix.pwrite(fd, buf, n, off);
}

/* A disk that fills up in the middle of a write: an error, and what was there stays. */
Test(spool, a_full_disk_is_an_error_and_loses_nothing)
{
    struct sys_ops ops = sys_posix;

    ops.pwrite = full_pwrite;
    for (size_t room = 0; room < 3 * SPOOL_MEMORY; room += 50021) {
        struct spool *s = spool_new(tmp_dir());
        uint8_t piece[5000], back[5000];
        size_t n = 0, got;
        struct err e;
        int rc = 0;

        disk_left = room;
        sys = &ops;
        for (; rc == 0 && n < 200; n++) {
            memset(piece, (int)n, sizeof(piece));
            rc = spool_append(s, piece, sizeof(piece), &e);
        }
        cr_expect_eq(rc, ERR_NO_SPACE);
        n--;
        cr_expect_eq(spool_size(s), (int64_t)(n * sizeof(piece)), "whole appends only");
        disk_left = SIZE_MAX;
        memset(piece, (int)n, sizeof(piece));
        cr_expect_eq(spool_append(s, piece, sizeof(piece), &e), 0, "space again");
        for (size_t i = 0; i <= n; i++)
            for (size_t at = 0; at < sizeof(back); at += got) {
                cr_assert_eq(spool_read(s, (int64_t)(i * sizeof(back) + at), back + at,
                                 sizeof(back) - at, &got, &e),
                    0);
                cr_assert_gt(got, 0);
                for (size_t k = at; k < at + got; k++)
                    cr_assert_eq(back[k], (uint8_t)i);
            }
        sys = &sys_posix;
        spool_free(s);
    }
}

/* --- its file -------------------------------------------------------------------------
 */

static size_t
n_files(void)
{
    DIR *dir = opendir(tmp_dir());
    struct dirent *entry;
    size_t n = 0;

    cr_assert_not_null(dir);
    while ((entry = readdir(dir)) != NULL)
        n += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(dir);
    return n;
}

Test(spool, its_file_has_no_name)
{
    struct spool *s = spool_new(tmp_dir());
    struct err e;

    cr_assert_eq(there_and_back(s, 2 * SPOOL_MEMORY, &e), 0);
    cr_expect_eq(n_files(), 0);
    spool_free(s);
    cr_expect_eq(n_files(), 0);
}

Test(spool, memory_alone_makes_no_system_call)
{
    struct spool *s = spool_new(tmp_dir()), *memory = spool_new(NULL);
    struct err e;

    cr_assert(fault_nth(1, EIO));
    cr_expect_eq(there_and_back(s, SPOOL_MEMORY, &e), 0);
    cr_expect_eq(there_and_back(memory, 5 * SPOOL_MEMORY, &e), 0);
    cr_expect_eq(fault_calls(), 0);
    fault_off();
    spool_free(s);
    spool_free(memory);
    spool_free(NULL);
}

/* --- against an array -----------------------------------------------------------------
 */

Test(spool, reads_any_range_between_appends)
{
    uint64_t state = 3;
    size_t limit = 4 * SPOOL_MEMORY;
    uint8_t *model = malloc(limit), *back = malloc(limit);

    for (int round = 0; round < 6; round++) {
        struct spool *s = spool_new(round % 2 ? tmp_dir() : NULL);
        size_t n = 0;
        struct err e;

        while (n < limit) {
            size_t step, off, want, got;

            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            step = (state >> 33) % (round < 3 ? 30000 : 2 * SPOOL_MEMORY);
            step = step < limit - n ? step : limit - n;
            memset(model + n, (int)(state >> 40), step);
            cr_assert_eq(spool_append(s, model + n, step, &e), 0, "%s", e.text);
            n += step;
            off = (state >> 20) % (n + 100);
            want = (state >> 13) % limit;
            cr_assert_eq(spool_read(s, (int64_t)off, back, want, &got, &e), 0);
            cr_assert(got <= want && (off >= n ? got == 0 : got <= n - off));
            cr_assert(got > 0 || want == 0 || off >= n);
            if (got > 0)
                cr_assert_arr_eq(back, model + off, got);
        }
        cr_assert_eq(spool_size(s), (int64_t)n);
        spool_free(s);
    }
    free(model);
    free(back);
}
