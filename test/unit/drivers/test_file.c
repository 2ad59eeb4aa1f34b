#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "config/config.h"
#include "test/unit/drivers/conformance.h"
#include "test/unit/support/fault.h"
#include "test/unit/support/tmp.h"

#define ROOT "a b/ü/replica" /* odd names are names */

static int
open_as(uv_loop_t *loop, bool isolate, struct drv **out, struct err *e)
{
    static struct cfg_replica cfg;
    struct drv_env env = { .loop = loop, .owner = SYS_OWNER_DEFAULT, .isolate = isolate };

    cfg.type = CFG_REPLICA_FILE;
    cfg.path = (char *)(uintptr_t)tmp_path(ROOT);
    return drv_open(&cfg, &env, out, e);
}

static int
open_file(uv_loop_t *loop, struct drv **out, struct err *e)
{
    return open_as(loop, false, out, e);
}

/* Everything on threads. */
static int
open_isolated(uv_loop_t *loop, struct drv **out, struct err *e)
{
    return open_as(loop, true, out, e);
}

static int
no_fsync(int fd)
{
    (void)fd;
    return 0;
}

/* Many files are written in no time when none of them has to survive. */
static void
bulk(bool on)
{
    static struct sys_ops hasty;

    hasty = sys_posix;
    hasty.fsync = no_fsync;
    sys = on ? &hasty : &sys_posix;
}

__attribute__((constructor)) static void
use_bulk(void)
{
    rig_bulk = bulk;
}

#define ON_LOOP(name) CONFORMANCE_TEST_(file, open_file, name)
#define ON_THREADS(name) CONFORMANCE_TEST_(file_isolated, open_isolated, name)

CONFORMANCE_CHECKS(ON_LOOP)
CONFORMANCE_CHECKS(ON_THREADS)

/* --- what only a folder has -----------------------------------------------------------
 */

Test(file_only, names_files_as_litestream_does)
{
    struct object o = object_make(1, 0x2a, 300, 1767225600123);
    struct stat st;
    struct rig r;

    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 3, 1, 0x2a, &o), 0);
    cr_assert_eq(
        stat(tmp_path(ROOT "/ltx/3/0000000000000001-000000000000002a.ltx"), &st), 0);
    cr_expect_eq(st.st_size, 300);
    cr_expect_eq(st.st_mtim.tv_sec, 1767225600);
    cr_expect_eq(st.st_mtim.tv_nsec, 123000000);
    free(o.p);
    rig_close(&r);
}

Test(file_only, ignores_what_it_did_not_write)
{
    static const char *const junk[] = { "x", "0000000000000002-0000000000000002.ltx.tmp",
        "0000000000000003-0000000000000003.LTX", ".hidden", "0000000000000004.ltx" };
    struct object o = object_make(1, 1, 300, 1000);
    struct rig r;

    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        char name[200];

        snprintf(name, sizeof(name), ROOT "/ltx/0/%s", junk[i]);
        tmp_write(tmp_path(name), "junk", 4);
    }
    cr_assert_eq(
        mkdir(tmp_path(ROOT "/ltx/0/0000000000000005-0000000000000005.ltx"), 0755), 0);
    cr_expect_eq(rig_count(&r, 0), 1);
    free(o.p);
    rig_close(&r);
}

/* What others keep beside the replica stays. */
Test(file_only, delete_all_takes_only_its_own)
{
    struct object o = object_make(1, 1, 300, 1000);
    struct answer a = { 0 };
    struct err e;
    struct rig r;

    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    cr_assert_eq(rig_put(&r, 1, 1, 1, &o), 0);
    tmp_write(tmp_path(ROOT "/ltx/0/notes.txt"), "mine", 4);
    cr_assert_not_null(drv_del_all(r.drv, rig_done, &a, &e));
    cr_expect_eq(rig_wait(&r, &a), 0, "%s", a.err.text);
    cr_expect(tmp_exists(tmp_path(ROOT "/ltx/0/notes.txt")));
    cr_expect_not(tmp_exists(tmp_path(ROOT "/ltx/1")));
    cr_expect_eq(rig_count(&r, 0), 0);
    free(o.p);
    rig_close(&r);
}

Test(file_only, a_file_in_the_way_is_an_error_not_an_empty_level)
{
    struct object o = object_make(1, 1, 300, 1000);
    struct listing l;
    struct rig r;

    cr_assert(mkdir(tmp_path("a b"), 0755) == 0 && mkdir(tmp_path("a b/ü"), 0755) == 0);
    tmp_write(tmp_path(ROOT), "a file", 6);
    rig_open(&r, open_file);
    cr_expect_neq(rig_put(&r, 0, 1, 1, &o), 0);
    cr_expect_neq(rig_list(&r, 0, 0, false, &l), 0);
    free(o.p);
    rig_close(&r);
}

static bool
has_temporary_file(void)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s", tmp_dir(),
        ROOT "/ltx/0/0000000000000001-0000000000000001.ltx.tmp");
    return tmp_exists(path);
}

/*
 * Every call fails once: the error comes back, and what is stored is nothing or all of
 * it, with no temporary file left.
 */
static void
put_with_faults(int sys_errno, enum err_code expected,
    int (*put)(struct rig *r, int level, uint64_t min_txid, uint64_t max_txid,
        const struct object *o))
{
    struct object o = object_make(1, 1, 5000, 1000);
    struct ltx_info file = { .level = 0, .min_txid = 1, .max_txid = 1 };
    bool reached = true;
    int n_failed = 0;
    struct rig r;

    rig_open(&r, open_file);
    for (int nth = 1; reached; nth++) {
        int rc;

        fault_nth(nth, sys_errno);
        rc = put(&r, 0, 1, 1, &o);
        reached = fault_calls() >= nth;
        fault_off();
        n_failed += rc != 0 ? 1 : 0;
        cr_expect(rc == 0 || rc == (int)expected, "call %d: %d", nth, rc);
        cr_expect_not(has_temporary_file(), "call %d", nth);
        if (rc == 0)
            cr_expect(rig_holds(&r, 0, 1, 1, &o), "call %d", nth);
        else
            cr_expect(
                rig_count(&r, 0) == 0 || rig_holds(&r, 0, 1, 1, &o), "call %d", nth);
        cr_assert_eq(rig_del(&r, &file, 1), 0);
    }
    cr_expect_geq(n_failed, 5, "open, write, fsync, rename and the folder's fsync");
    free(o.p);
    rig_close(&r);
}

Test(file_only, survives_a_full_disk_at_every_call)
{
    put_with_faults(ENOSPC, ERR_NO_SPACE, rig_put);
}

Test(file_only, survives_an_io_error_at_every_call)
{
    put_with_faults(EIO, ERR_IO, rig_put);
}

Test(file_only, an_exclusive_put_survives_an_io_error_at_every_call)
{
    put_with_faults(EIO, ERR_IO, rig_put_new);
}

static void
expect_failure(const struct drv *d, const char *code, enum drv_kind kind, uint64_t n)
{
    const struct drv_failure *f = drv_failures(d);

    for (unsigned i = 0; i < DRV_N_FAILURES; i++)
        if (f[i].n > 0 && f[i].kind == kind && strcmp(f[i].code, code) == 0) {
            cr_expect_eq(f[i].n, n, "%s: %u", code, (unsigned)f[i].n);
            return;
        }
    cr_expect_eq(n, 0u, "%s is not there", code);
}

Test(file_only, failures_are_counted_by_what_they_were)
{
    static const int errnos[] = { EIO, ENOSPC, EACCES, EIO, ENOMEM, EMFILE, EMFILE,
        ENOSPC };
    struct object o = object_make(1, 1, 5000, 1000);
    struct ltx_info file = { .level = 0, .min_txid = 1, .max_txid = 1 };
    struct rig r;

    rig_open(&r, open_file);
    for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
        fault_nth(1, errnos[i]);
        cr_expect_neq(rig_put(&r, 0, 1, 1, &o), 0, "%zu", i);
        fault_off();
    }
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    fault_nth(1, EMFILE);
    cr_expect_neq(rig_del(&r, &file, 1), 0);
    fault_off();
    expect_failure(r.drv, "io", DRV_PUT, 2);
    expect_failure(r.drv, "no_space", DRV_PUT, 2);
    expect_failure(r.drv, "permission", DRV_PUT, 1);
    expect_failure(r.drv, "memory", DRV_PUT, 1);
    expect_failure(r.drv, "limit", DRV_PUT, 0); /* there is room for four ways */
    expect_failure(r.drv, "other", DRV_PUT, 2);
    expect_failure(r.drv, "other", DRV_DELETE, 1);
    expect_failure(r.drv, "other", DRV_GET, 0);
    cr_expect_eq(drv_stats(r.drv, DRV_PUT)->errors, 8u);
    free(o.p);
    rig_close(&r);
}

/* --- exclusive puts -------------------------------------------------------------------
 */

static unsigned n_folder_syncs;

static int
count_folder_sync(int fd)
{
    struct stat st;

    n_folder_syncs += fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    return sys_posix.fsync(fd);
}

/* The first writer may have lost its power between the name and the folder's fsync. */
Test(file_only, a_file_that_exists_is_made_durable_before_that_is_told)
{
    struct object o = object_make(1, 1, 300, 1000);
    struct sys_ops counting = sys_posix;
    struct rig r;

    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 0, 1, 1, &o), 0);
    counting.fsync = count_folder_sync;
    sys = &counting;
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &o), ERR_EXISTS);
    sys = &sys_posix;
    cr_expect_eq(n_folder_syncs, 1);
    free(o.p);
    rig_close(&r);
}

static int
no_link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = EPERM;
    return -1;
}

Test(file_only, an_exclusive_put_works_without_hard_links)
{
    struct object a = object_make(1, 1, 300, 1000), b = object_make(1, 1, 400, 1000);
    struct sys_ops linkless = sys_posix;
    struct rig r;

    linkless.link = no_link;
    rig_open(&r, open_file);
    sys = &linkless;
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &a), 0);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &b), ERR_EXISTS);
    sys = &sys_posix;
    cr_expect(rig_holds(&r, 0, 1, 1, &a));
    cr_expect_not(has_temporary_file());
    free(a.p);
    free(b.p);
    rig_close(&r);
}

/* A file that comes between the look and the link. */
static int
link_too_late(const char *from, const char *to)
{
    tmp_write(to, "theirs", 6);
    return sys_posix.link(from, to);
}

static int
no_link_too_late(const char *from, const char *to)
{
    tmp_write(to, "theirs", 6);
    return no_link(from, to);
}

static void
meet_at_the_last_moment(int (*link)(const char *from, const char *to))
{
    struct object o = object_make(1, 1, 300, 1000);
    struct sys_ops late = sys_posix;
    struct rig r;
    char buf[10];
    size_t got;

    late.link = link;
    late.fsync = count_folder_sync;
    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 0, 2, 2, &o), 0); /* makes the folders */
    sys = &late;
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &o), ERR_EXISTS);
    sys = &sys_posix;
    cr_expect_eq(n_folder_syncs, 1, "the name of theirs is durable");
    cr_assert_eq(rig_get(&r, 0, 1, 1, 0, buf, sizeof(buf), &got), 0);
    cr_expect(got == 6 && memcmp(buf, "theirs", 6) == 0);
    cr_expect_not(has_temporary_file());
    free(o.p);
    rig_close(&r);
}

Test(file_only, a_file_that_comes_at_the_last_moment_stays)
{
    meet_at_the_last_moment(link_too_late);
}

Test(file_only, a_file_that_comes_at_the_last_moment_stays_without_hard_links)
{
    meet_at_the_last_moment(no_link_too_late);
}

Test(file_only, the_temporary_file_of_another_writer_is_not_touched)
{
    struct object o = object_make(1, 1, 300, 1000);
    struct rig r;
    char path[4096];
    size_t n = 0;
    uint8_t *p;
    int fd;

    rig_open(&r, open_file);
    cr_assert_eq(rig_put(&r, 0, 2, 2, &o), 0); /* makes the folder */
    snprintf(path, sizeof(path), "%s/%s", tmp_dir(),
        ROOT "/ltx/0/0000000000000001-0000000000000001.ltx.tmp");
    tmp_write(path, "theirs", 6);
    fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(flock(fd, LOCK_EX), 0);
    cr_expect_eq(rig_put(&r, 0, 1, 1, &o), ERR_BUSY);
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &o), ERR_BUSY);
    p = tmp_read(path, &n);
    cr_expect(p != NULL && n == 6 && memcmp(p, "theirs", 6) == 0);
    free(p);
    close(fd); /* as when it is killed: what it left is written over */
    cr_expect_eq(rig_put_new(&r, 0, 1, 1, &o), 0);
    cr_expect(rig_holds(&r, 0, 1, 1, &o));
    cr_expect_not(has_temporary_file());
    free(o.p);
    rig_close(&r);
}
