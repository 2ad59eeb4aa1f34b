#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

static const struct sys_owner defaults = SYS_OWNER_DEFAULT;

static bool
file_is(const char *path, const char *content)
{
    size_t n;
    uint8_t *data = tmp_read(path, &n);
    bool same = data != NULL && n == strlen(content) && memcmp(data, content, n) == 0;

    free(data);
    return same;
}

static mode_t
mode_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

/* A disk that does a few bytes at a time, and is interrupted before each success. */
static int turn;

static bool
interrupted(void)
{
    errno = EINTR;
    return ++turn % 2 != 0;
}

static int
slow_open(const char *path, int flags, mode_t mode)
{
    return interrupted() ? -1 : sys_posix.open(path, flags, mode);
}

static ssize_t
slow_read(int fd, void *buf, size_t n)
{
    return interrupted() ? -1 : sys_posix.read(fd, buf, n < 3 ? n : 3);
}

static ssize_t
slow_pread(int fd, void *buf, size_t n, off_t off)
{
    return interrupted() ? -1 : sys_posix.pread(fd, buf, n < 3 ? n : 3, off);
}

static ssize_t
slow_write(int fd, const void *buf, size_t n)
{
    return interrupted() ? -1 : sys_posix.write(fd, buf, n < 3 ? n : 3);
}

static ssize_t
slow_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    return interrupted() ? -1 : sys_posix.pwrite(fd, buf, n < 3 ? n : 3, off);
}

static ssize_t
stuck_write(int fd, const void *buf, size_t n)
{
    (void)fd;
    (void)buf;
    (void)n;
    return 0;
}

static ssize_t
stuck_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    (void)off;
    return stuck_write(fd, buf, n);
}

static const struct sys_ops slow = {
    .open = slow_open,
    .close = close,
    .read = slow_read,
    .pread = slow_pread,
    .write = slow_write,
    .pwrite = slow_pwrite,
};

static const struct sys_ops stuck = { .write = stuck_write, .pwrite = stuck_pwrite };

Test(sys, opens_for_this_process_only)
{
    struct err e = ERR_NONE;
    int fd = -1;

    cr_assert_eq(sys_open(tmp_path("f"), O_RDWR | O_CREAT, 0600, &fd, &e), 0);
    cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    sys_close(&fd);
    cr_expect_eq(fd, -1);
    sys_close(&fd);
}

Test(sys, says_which_file_cannot_be_opened)
{
    struct err e = ERR_NONE;
    const char *path = tmp_path("missing");
    int fd = -1;

    cr_expect_eq(sys_open(path, O_RDONLY, 0, &fd, &e), ERR_NOT_FOUND);
    cr_expect_eq(fd, -1);
    cr_expect_not_null(strstr(e.text, path), "%s", e.text);
    cr_expect_eq(e.sys_errno, ENOENT);
}

Test(sys, resumes_after_interruptions_and_short_counts)
{
    struct err e = ERR_NONE;
    const char *path = tmp_path("f");
    char got_bytes[20] = "";
    size_t got;
    int fd = -1;

    sys = &slow;
    cr_assert_eq(sys_open(path, O_RDWR | O_CREAT, 0600, &fd, &e), 0);
    cr_assert_eq(sys_write_all(fd, "0123456789", 10, &e), 0);
    cr_assert_eq(sys_pwrite_all(fd, "abcdefgh", 8, 6, &e), 0);
    cr_expect(file_is(path, "012345abcdefgh"));
    cr_assert_eq(lseek(fd, 1, SEEK_SET), 1);
    cr_assert_eq(sys_read(fd, got_bytes, 12, &got, &e), 0);
    cr_expect_eq(got, 12);
    cr_expect_eq(memcmp(got_bytes, "12345abcdefg", 12), 0);
    cr_assert_eq(sys_pread_all(fd, got_bytes, 11, 2, &e), 0);
    cr_expect_eq(memcmp(got_bytes, "2345abcdefg", 11), 0);
    sys_close(&fd);
}

Test(sys, reads_less_only_at_the_end_of_the_file)
{
    struct err e = ERR_NONE;
    const char *path = tmp_path("f");
    char got_bytes[20];
    size_t got = 42;
    int fd = -1;

    tmp_write(path, "0123456789", 10);
    cr_assert_eq(sys_open(path, O_RDONLY, 0, &fd, &e), 0);
    cr_assert_eq(sys_pread(fd, got_bytes, 20, 4, &got, &e), 0);
    cr_expect_eq(got, 6);
    cr_assert_eq(sys_pread(fd, got_bytes, 20, 100, &got, &e), 0);
    cr_expect_eq(got, 0);
    cr_assert_eq(sys_read(fd, got_bytes, 20, &got, &e), 0);
    cr_expect_eq(got, 10);
    cr_assert_eq(sys_read(fd, got_bytes, 20, &got, &e), 0);
    cr_expect_eq(got, 0);
    cr_expect_eq(sys_pread_all(fd, got_bytes, 7, 4, &e), ERR_CORRUPT);
    cr_expect_str_eq(e.text, "unexpected end of file at offset 10");
    cr_expect_eq(sys_pread_all(fd, got_bytes, 0, 100, &e), 0);
    sys_close(&fd);
}

Test(sys, a_write_that_makes_no_progress_is_an_error_and_not_a_loop)
{
    struct err e = ERR_NONE;

    sys = &stuck;
    cr_expect_eq(sys_write_all(1, "x", 1, &e), ERR_IO);
    cr_expect_eq(sys_pwrite_all(1, "x", 1, 7, &e), ERR_IO);
    cr_expect_str_eq(e.text, "write at offset 7: input/output error");
    cr_expect_eq(sys_write_all(1, "", 0, &e), 0);
}

Test(sys, each_failing_call_is_told_with_its_code)
{
    struct err e = ERR_NONE;
    char byte;
    size_t got;
    int fd = -1;

    cr_assert_eq(sys_open(tmp_path("f"), O_RDWR | O_CREAT, 0600, &fd, &e), 0);
    fault_nth(1, ENOSPC);
    cr_expect_eq(sys_write_all(fd, "x", 1, &e), ERR_NO_SPACE);
    fault_nth(1, EIO);
    cr_expect_eq(sys_pwrite_all(fd, "x", 1, 5, &e), ERR_IO);
    cr_expect_str_eq(e.text, "write at offset 5: input/output error");
    fault_nth(1, EIO);
    cr_expect_eq(sys_read(fd, &byte, 1, &got, &e), ERR_IO);
    fault_nth(1, EIO);
    cr_expect_eq(sys_pread(fd, &byte, 1, 5, &got, &e), ERR_IO);
    cr_expect_str_eq(e.text, "read at offset 5: input/output error");
    cr_expect_eq(got, 0);
    fault_nth(1, EMFILE);
    cr_expect_eq(sys_open_parent("/x", &fd, &e), ERR_LIMIT);
    fault_off();
    sys_close(&fd);
}

Test(sys, makes_folders_with_their_parents_and_mode)
{
    struct sys_owner owner = defaults;
    struct err e = ERR_NONE;

    umask(0);
    owner.dir_mode = 0750;
    cr_assert_eq(sys_mkdirs(tmp_path("a/b//c/./d/"), &owner, &e), 0, "%s", e.text);
    cr_expect_eq(mode_of(tmp_path("a")), 0750);
    cr_expect_eq(mode_of(tmp_path("a/b/c/d")), 0750);
    cr_expect_eq(
        sys_mkdirs(tmp_path("a/b"), &defaults, &e), 0, "an existing one is fine");
    cr_expect_eq(mode_of(tmp_path("a/b")), 0750, "and stays as it is");
    cr_expect_eq(sys_mkdirs(tmp_path("a/e"), &defaults, &e), 0);
    cr_expect_eq(mode_of(tmp_path("a/e")), 0700);
}

Test(sys, makes_folders_below_the_current_one)
{
    struct err e = ERR_NONE;

    cr_assert_eq(chdir(tmp_dir()), 0);
    cr_expect_eq(sys_mkdirs("x", &defaults, &e), 0, "%s", e.text);
    cr_expect_eq(sys_mkdirs("y/z", &defaults, &e), 0, "%s", e.text);
    cr_expect_eq(sys_mkdirs(".", &defaults, &e), 0);
    cr_expect_eq(sys_mkdirs("/", &defaults, &e), 0);
    cr_expect(tmp_exists(tmp_path("x")));
    cr_expect(tmp_exists(tmp_path("y/z")));
}

Test(sys, gives_a_new_folder_to_its_owner)
{
    struct sys_owner owner = defaults;
    struct err e = ERR_NONE;
    struct stat st;

    if (geteuid() != 0)
        cr_skip_test("only root can give folders away");
    owner.uid = 12345;
    owner.gid = 23456;
    owner.set_owner = true;
    cr_assert_eq(sys_mkdirs(tmp_path("a/b"), &owner, &e), 0);
    cr_assert_eq(stat(tmp_path("a/b"), &st), 0);
    cr_expect_eq(st.st_uid, 12345);
    cr_expect_eq(st.st_gid, 23456);
}

Test(sys, a_file_where_a_folder_should_be_is_an_error)
{
    struct err e = ERR_NONE;

    tmp_write(tmp_path("file"), "x", 1);
    cr_assert_eq(symlink("nowhere", tmp_path("link")), 0);
    cr_expect_eq(sys_mkdirs(tmp_path("file"), &defaults, &e), ERR_IO);
    cr_expect_eq(e.sys_errno, ENOTDIR);
    cr_expect_eq(sys_mkdirs(tmp_path("file/below"), &defaults, &e), ERR_IO);
    cr_expect_eq(e.sys_errno, ENOTDIR);
    cr_expect_eq(sys_mkdirs(tmp_path("link"), &defaults, &e), ERR_IO);
    cr_expect(file_is(tmp_path("file"), "x"));
}

Test(sys, a_link_to_a_folder_is_a_folder)
{
    struct err e = ERR_NONE;

    cr_assert_eq(sys_mkdirs(tmp_path("real"), &defaults, &e), 0);
    cr_assert_eq(symlink("real", tmp_path("link")), 0);
    cr_expect_eq(sys_mkdirs(tmp_path("link"), &defaults, &e), 0);
    cr_expect_eq(sys_mkdirs(tmp_path("link/x"), &defaults, &e), 0);
    cr_expect(tmp_exists(tmp_path("real/x")));
}

Test(sys, a_folder_whose_name_may_be_lost_is_not_left_behind)
{
    for (int nth = 1;; nth++) {
        struct err e = ERR_NONE;
        char name[32];
        bool struck;
        int rc;

        snprintf(name, sizeof(name), "%d/b/c", nth);
        fault_nth(nth, EIO);
        rc = sys_mkdirs(tmp_path(name), &defaults, &e);
        struck = fault_calls() >= nth;
        fault_off();
        if (!struck) {
            cr_expect_eq(nth, 10, "mkdir, open and fsync of the parent, three times");
            break;
        }
        cr_expect_eq(rc, ERR_IO, "call %d", nth);
        cr_expect_not(tmp_exists(tmp_path(name)), "call %d", nth);
        cr_expect_eq(sys_mkdirs(tmp_path(name), &defaults, &e), 0, "and then it works");
    }
}

#define OLD "the old content"
#define NEW "what is new"

Test(sys, publishing_leaves_the_old_or_the_new_file_whole_whichever_call_fails)
{
    const char *tmp = tmp_path("f.tmp"), *final = tmp_path("f");
    int nth;

    for (nth = 1; fault_nth(nth, EIO); nth++) {
        struct err e = ERR_NONE;
        int rc;

        tmp_write(tmp, NEW, strlen(NEW));
        tmp_write(final, OLD, strlen(OLD));
        rc = sys_publish(tmp, final, &e);
        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_IO, "call %d", nth);
        else
            cr_expect(rc == 0 && file_is(final, NEW) && !tmp_exists(tmp));
        cr_expect(file_is(final, OLD) || file_is(final, NEW), "call %d", nth);
        cr_expect(file_is(final, NEW) || file_is(tmp, NEW), "call %d", nth);
    }
    cr_expect_eq(nth, 5, "open, rename, fsync: %d", nth);
}

Test(sys, publishing_anew_replaces_nothing)
{
    const char *tmp = tmp_path("f.tmp"), *final = tmp_path("f");
    struct err e = ERR_NONE;

    tmp_write(tmp, NEW, strlen(NEW));
    cr_expect_eq(sys_publish_new(tmp, final, &e), 0, "%s", e.text);
    cr_expect(file_is(final, NEW) && !tmp_exists(tmp));
    tmp_write(tmp, OLD, strlen(OLD));
    cr_expect_eq(sys_publish_new(tmp, final, &e), ERR_EXISTS);
    cr_expect(file_is(final, NEW) && file_is(tmp, OLD), "both stay");
}

static int
no_link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = EPERM;
    return -1;
}

Test(sys, publishing_anew_works_without_hard_links)
{
    const char *tmp = tmp_path("f.tmp"), *final = tmp_path("f");
    struct sys_ops ops = sys_posix;
    struct err e = ERR_NONE;

    ops.link = no_link;
    sys = &ops;
    tmp_write(tmp, NEW, strlen(NEW));
    cr_expect_eq(sys_publish_new(tmp, final, &e), 0, "%s", e.text);
    cr_expect(file_is(final, NEW) && !tmp_exists(tmp));
    tmp_write(tmp, OLD, strlen(OLD));
    cr_expect_eq(sys_publish_new(tmp, final, &e), ERR_EXISTS);
    cr_expect(file_is(final, NEW) && file_is(tmp, OLD), "both stay");
    sys = &sys_posix;
}

Test(sys, publishing_anew_leaves_a_whole_file_whichever_call_fails)
{
    const char *tmp = tmp_path("f.tmp"), *final = tmp_path("f");
    int nth;

    for (nth = 1; fault_nth(nth, EIO); nth++) {
        struct err e = ERR_NONE;
        int rc;

        unlink(final);
        tmp_write(tmp, NEW, strlen(NEW));
        rc = sys_publish_new(tmp, final, &e);
        if (fault_calls() >= nth)
            cr_expect_eq(rc, ERR_IO, "call %d", nth);
        else
            cr_expect(rc == 0 && file_is(final, NEW) && !tmp_exists(tmp));
        cr_expect(file_is(final, NEW) || file_is(tmp, NEW), "call %d", nth);
    }
    cr_expect_eq(nth, 6, "open, link, unlink, fsync: %d", nth);
}

Test(sys, publishing_nothing_is_an_error)
{
    struct err e = ERR_NONE;

    cr_expect_eq(sys_publish(tmp_path("f.tmp"), tmp_path("f"), &e), ERR_NOT_FOUND);
    cr_expect_eq(sys_publish(tmp_path("f.tmp"), tmp_path("no/f"), &e), ERR_NOT_FOUND);
}

Test(sys, finds_the_folder_of_a_name_without_one)
{
    struct err e = ERR_NONE;
    struct stat want, got;
    int fd = -1;

    cr_assert_eq(chdir(tmp_dir()), 0);
    cr_assert_eq(sys_open_parent("file", &fd, &e), 0);
    cr_assert_eq(fstat(fd, &got), 0);
    cr_assert_eq(stat(".", &want), 0);
    cr_expect_eq(got.st_ino, want.st_ino);
    sys_close(&fd);
    cr_expect_eq(sys_sync_parent("file", &e), 0);
    cr_expect_eq(sys_sync_parent("no/file", &e), ERR_NOT_FOUND);
}

Test(sys, removing_what_is_not_there_is_fine)
{
    struct err e = ERR_NONE;
    const char *path = tmp_path("f");

    tmp_write(path, "x", 1);
    cr_expect_eq(sys_remove(path, &e), 0);
    cr_expect_not(tmp_exists(path));
    cr_expect_eq(sys_remove(path, &e), 0);
    cr_expect_neq(sys_remove(tmp_dir(), &e), 0, "a folder is not removed");
    fault_nth(1, EACCES);
    cr_expect_eq(sys_remove(path, &e), ERR_PERMISSION);
    fault_off();
}

Test(sys, starting_writeback_changes_nothing_that_can_be_read)
{
    struct err e = ERR_NONE;
    const char *path = tmp_path("f");
    int fd = -1;

    tmp_write(path, OLD, strlen(OLD));
    cr_assert_eq(sys_open(path, O_RDWR, 0, &fd, &e), 0);
    sys_start_writeback(fd, 0, 4);
    sys_start_writeback(fd, 1 << 20, 4);
    sys_start_writeback(-1, 0, 4);
    cr_expect(file_is(path, OLD));
    sys_close(&fd);
}

Test(sys, the_fault_table_fails_exactly_the_call_it_was_told)
{
    int fd = -1;
    struct err e = ERR_NONE;
    int failed = 0, runs = 0;

    cr_assert_eq(sys_open(tmp_path("f"), O_RDWR | O_CREAT, 0600, &fd, &e), 0);
    for (int nth = 1; fault_nth(nth, ENOSPC); nth++) {
        runs++;
        for (int i = 1; i <= 3; i++)
            if (sys->fsync(fd) != 0) {
                cr_expect_eq(i, nth);
                cr_expect_eq(errno, ENOSPC);
                failed++;
            }
        cr_expect_eq(fault_calls(), 3);
    }
    cr_expect_eq(failed, 3);
    cr_expect_eq(runs, 4, "the fourth has nothing to fail");
    cr_expect_eq(sys, &sys_posix);
    sys_close(&fd);
}
