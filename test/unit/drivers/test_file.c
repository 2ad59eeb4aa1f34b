#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
put_with_faults(int sys_errno, enum err_code expected)
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
        rc = rig_put(&r, 0, 1, 1, &o);
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
    put_with_faults(ENOSPC, ERR_NO_SPACE);
}

Test(file_only, survives_an_io_error_at_every_call)
{
    put_with_faults(EIO, ERR_IO);
}
