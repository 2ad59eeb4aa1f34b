#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/ltx/ltx_name.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"
#include "workers/sync/meta.h"

static const char *meta;
static const struct sys_owner owner = SYS_OWNER_DEFAULT;

static void
set_up(void)
{
    struct err e;

    meta = tmp_path(".db-litestream");
    cr_assert_eq(meta_make(meta, &owner, &e), 0);
}

TestSuite(meta, .init = set_up);

static void
put(const char *name)
{
    char path[200];

    snprintf(path, sizeof(path), ".db-litestream/%s", name);
    tmp_write(tmp_path(path), "x", 1);
}

static mode_t
mode_of(const char *path)
{
    struct stat st;

    cr_assert_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

Test(meta, takes_modes_from_the_database_and_its_folder)
{
    struct sys_owner o;
    struct err e;

    umask(0);
    cr_assert_eq(mkdir(tmp_path("data"), 0751), 0);
    tmp_write(tmp_path("data/app.db"), "x", 1);
    chmod(tmp_path("data/app.db"), 0640);
    cr_assert_eq(meta_owner_of(tmp_path("data/app.db"), &o, &e), 0);
    cr_assert_eq(o.file_mode, 0640);
    cr_assert_eq(o.dir_mode, 0751);
    cr_assert_not(o.set_owner);
    cr_assert_eq(meta_make(tmp_path("data/.app.db-litestream"), &o, &e), 0);
    cr_assert_eq(mode_of(tmp_path("data/.app.db-litestream")), 0751);
    cr_assert_eq(mode_of(tmp_path("data/.app.db-litestream/ltx/0")), 0751);
    cr_assert_eq(meta_owner_of(tmp_path("data/none.db"), &o, &e), ERR_NOT_FOUND);
    if (geteuid() == 0) {
        cr_assert_eq(chown(tmp_path("data/app.db"), 12345, 54321), 0);
        cr_assert_eq(meta_owner_of(tmp_path("data/app.db"), &o, &e), 0);
        cr_assert(o.set_owner && o.uid == 12345 && o.gid == 54321);
    }
}

Test(meta, removes_temporary_files_at_any_depth_and_nothing_else)
{
    cr_assert_eq(mkdir(tmp_path(".db-litestream/ltx/9"), 0700), 0);
    put("a.tmp");
    put("ltx/0/0000000000000001-0000000000000001.ltx.tmp");
    put("ltx/9/x.tmp");
    put("ltx/0/0000000000000001-0000000000000001.ltx");
    put("ltx/0/tmp");
    put("ltx/0/0000000000000002-0000000000000002.ltx.bad");
    cr_assert_eq(symlink("/etc", tmp_path(".db-litestream/link.tmp")), 0);
    meta_clean(meta);
    cr_assert_not(tmp_exists(tmp_path(".db-litestream/a.tmp")));
    cr_assert_not(tmp_exists(
        tmp_path(".db-litestream/ltx/0/0000000000000001-0000000000000001.ltx.tmp")));
    cr_assert_not(tmp_exists(tmp_path(".db-litestream/ltx/9/x.tmp")));
    cr_assert(tmp_exists(
        tmp_path(".db-litestream/ltx/0/0000000000000001-0000000000000001.ltx")));
    cr_assert(tmp_exists(tmp_path(".db-litestream/ltx/0/tmp")));
    cr_assert(tmp_exists(
        tmp_path(".db-litestream/ltx/0/0000000000000002-0000000000000002.ltx.bad")));
    cr_assert(tmp_exists("/etc/passwd"));
}

Test(meta, one_process_has_the_lock_until_it_ends)
{
    struct err e;
    int fd = -1, status;
    char pid[40];
    pid_t child = fork();

    if (child == 0) {
        int mine = -1;

        _exit(meta_lock(meta, &mine, &e)); /* the kernel lets go of it */
    }
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
    cr_assert_eq(meta_lock(meta, &fd, &e), 0, "%s", e.text);
    child = fork();
    if (child == 0) {
        int mine = -1;
        int rc = meta_lock(meta, &mine, &e);

        snprintf(pid, sizeof(pid), "by pid %ld ", (long)getppid());
        _exit(rc == ERR_CONFLICT && mine == -1 && strstr(e.text, pid) != NULL ? 0 : 1);
    }
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
    close(fd);
}

Test(meta, a_lock_that_fails_half_way_is_none)
{
    struct err e;

    for (int nth = 1; fault_nth(nth, ENOSPC); nth++) {
        int fd = -1;
        int rc = meta_lock(meta, &fd, &e);

        fault_off();
        if (rc == 0) {
            close(fd);
            cr_assert_gt(nth, 3);
            break;
        }
        cr_assert_eq(rc, ERR_NO_SPACE);
        cr_assert_eq(fd, -1);
        cr_assert_eq(meta_lock(meta, &fd, &e), 0); /* it was let go */
        close(fd);
    }
    fault_off();
}

Test(meta, lists_files_by_name_and_ignores_the_rest)
{
    struct ltx_info *all, newest;
    struct err e;
    size_t n;

    cr_assert_eq(meta_newest(meta, 0, &newest, &e), ERR_NOT_FOUND);
    cr_assert_eq(meta_list(meta, 5, &all, &n, &e), 0); /* no such folder */
    cr_assert_eq(n, 0);
    put("ltx/0/0000000000000009-0000000000000009.ltx");
    put("ltx/0/000000000000000a-000000000000000a.ltx");
    put("ltx/0/0000000000000008-0000000000000008.ltx");
    put("ltx/0/00000000000000ff-00000000000000ff.ltx.tmp");
    put("ltx/0/00000000000000ff-00000000000000ff.ltx.bad");
    put("ltx/0/00000000000000fg-00000000000000ff.ltx");
    cr_assert_eq(meta_list(meta, 0, &all, &n, &e), 0);
    cr_assert_eq(n, 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(all[i].min_txid, 8 + i);
    mem_free(all);
    cr_assert_eq(meta_newest(meta, 0, &newest, &e), 0);
    cr_assert_eq(newest.max_txid, 10);
}

Test(meta, clears_a_level)
{
    struct ltx_info newest;
    struct err e;

    put("ltx/0/0000000000000009-0000000000000009.ltx");
    put("ltx/0/000000000000000a-000000000000000a.ltx");
    put("ltx/0/000000000000000b-000000000000000b.ltx.bad");
    fault_nth(1, EIO);
    cr_assert_eq(meta_clear_level(meta, 0, &e), ERR_IO);
    fault_off();
    cr_assert_eq(meta_newest(meta, 0, &newest, &e), 0);
    cr_assert_eq(meta_clear_level(meta, 0, &e), 0);
    cr_assert_eq(meta_newest(meta, 0, &newest, &e), ERR_NOT_FOUND);
    cr_assert(tmp_exists(
        tmp_path(".db-litestream/ltx/0/000000000000000b-000000000000000b.ltx.bad")));
    cr_assert_eq(meta_clear_level(meta, 7, &e), 0);
}

static bool
is_there(const char *name)
{
    char path[200];

    snprintf(path, sizeof(path), ".db-litestream/ltx/0/%s", name);
    return tmp_exists(tmp_path(path));
}

Test(meta, removes_what_was_put_aside_up_to_a_transaction)
{
    struct err e;

    put("ltx/0/0000000000000009-0000000000000009.ltx");
    put("ltx/0/0000000000000009-0000000000000009.ltx.bad");
    put("ltx/0/000000000000000a-000000000000000a.ltx.bad");
    put("ltx/0/000000000000000b-000000000000000b.ltx.bad");
    put("ltx/0/notes.bad");
    put("ltx/0/.bad");
    fault_nth(1, EIO);
    cr_assert_eq(meta_remove_aside(meta, 0, 10, &e), ERR_IO);
    fault_off();
    cr_assert_eq(meta_remove_aside(meta, 0, 10, &e), 0);
    cr_expect(is_there("0000000000000009-0000000000000009.ltx"));
    cr_expect_not(is_there("0000000000000009-0000000000000009.ltx.bad"));
    cr_expect_not(is_there("000000000000000a-000000000000000a.ltx.bad"));
    cr_expect(is_there("000000000000000b-000000000000000b.ltx.bad"));
    cr_expect(is_there("notes.bad") && is_there(".bad"));
    cr_assert_eq(meta_remove_aside(meta, 7, 10, &e), 0, "no such folder");
}

Test(meta, counts_the_bytes_of_what_waits)
{
    int64_t bytes;
    struct err e;

    put("ltx/0/0000000000000008-0000000000000008.ltx");
    put("ltx/0/0000000000000009-0000000000000009.ltx");
    put("ltx/0/000000000000000a-000000000000000a.ltx");
    put("ltx/0/000000000000000b-000000000000000b.ltx.bad");
    cr_assert_eq(meta_bytes_from(meta, 0, 0, &bytes, &e), 0);
    cr_expect_eq(bytes, 3);
    cr_assert_eq(meta_bytes_from(meta, 0, 9, &bytes, &e), 0);
    cr_expect_eq(bytes, 2);
    cr_assert_eq(meta_bytes_from(meta, 3, 0, &bytes, &e), 0, "no such folder");
    cr_expect_eq(bytes, 0);
}
