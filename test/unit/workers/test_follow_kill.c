#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/sys.h"
#include "test/unit/support/fault.h"
#include "test/unit/workers/follow_states.h"
#include "workers/restore/follow_state.h"

TestSuite(follow_kill, .init = fs_prepare, .fini = fs_clean_up);

static int kill_at, n_calls;

static void
count_call(void)
{
    if (++n_calls == kill_at)
        _exit(111); /* nothing is cleaned up, as by SIGKILL */
}

#define KILLING(type, name, params, args)                                                \
    static type k_##name params                                                          \
    {                                                                                    \
        count_call();                                                                    \
        return sys_posix.name args;                                                      \
    }

KILLING(int, open, (const char *p, int f, mode_t m), (p, f, m))
KILLING(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
KILLING(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))
KILLING(int, ftruncate, (int fd, off_t n), (fd, n))
KILLING(int, fsync, (int fd), (fd))
KILLING(int, rename, (const char *a, const char *b), (a, b))
KILLING(int, unlink, (const char *p), (p))

static int
k_close(int fd)
{
    return sys_posix.close(fd);
}

static ssize_t
k_read(int fd, void *b, size_t n)
{
    return sys_posix.read(fd, b, n);
}

static ssize_t
k_pread(int fd, void *b, size_t n, off_t o)
{
    return sys_posix.pread(fd, b, n, o);
}

static int
k_mkdir(const char *p, mode_t m)
{
    return sys_posix.mkdir(p, m);
}

static const struct sys_ops killing = { .open = k_open,
    .close = k_close,
    .read = k_read,
    .pread = k_pread,
    .write = k_write,
    .pwrite = k_pwrite,
    .ftruncate = k_ftruncate,
    .fsync = k_fsync,
    .rename = k_rename,
    .unlink = k_unlink,
    .mkdir = k_mkdir };

/* Applies in a child that ends before its nth call; false: it had fewer. */
static bool
apply_and_die(const struct bytes *b, int from, int to, int nth)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct err e;

        kill_at = nth;
        sys = &killing;
        _exit(fs_apply(b, from, to, NULL, &e));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(
        WIFEXITED(status) && (WEXITSTATUS(status) == 111 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 111;
}

static void
die_at_every_call(int from, int to, bool a_reader_comes)
{
    struct bytes b = fs_ltx(from, to, false);
    int nth, n_old = 0, n_new = 0;

    for (nth = 1;; nth++) {
        uint64_t saved;
        struct err e;
        int seen;

        fs_put_state(from);
        if (!apply_and_die(&b, from, to, nth))
            break;
        if (a_reader_comes) {
            seen = fs_state_seen_by_sqlite();
            cr_expect(seen == from || seen == to, "call %d: %d", nth, seen);
            n_old += seen == from;
            n_new += seen == to;
            cr_expect_eq(fs_txid_of_mark(), seen, "call %d", nth);
        }
        cr_assert_eq(follow_txid_read(fs_out, &saved, &e), 0, "call %d: %s", nth, e.text);
        cr_expect(saved == (uint64_t)from || saved == (uint64_t)to);
        cr_assert_eq(fs_apply(&b, from, to, NULL, &e), 0, "call %d: %s", nth, e.text);
        cr_expect_eq(fs_state_seen_by_sqlite(), to, "call %d", nth);
    }
    cr_expect(nth > 20, "%d", nth);
    cr_expect(!a_reader_comes || (n_old > 0 && n_new > 0));
    bytes_free(&b);
}

Test(follow_kill, killed_at_any_call_readers_see_the_old_state_or_the_new)
{
    die_at_every_call(1, 2, true);
    die_at_every_call(2, 3, true);
    die_at_every_call(3, 4, true);
}

Test(follow_kill, killed_at_any_call_the_next_follower_gets_there)
{
    die_at_every_call(2, 3, false);
    die_at_every_call(3, 4, false);
}

Test(follow_kill, after_any_failing_call_the_next_try_gets_there)
{
    static const int errors[] = { EIO, ENOSPC };

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        for (int nth = 1;; nth++) {
            struct bytes b = fs_ltx(2, 3, false);
            struct err e;
            bool over;
            int rc, seen;

            fs_put_state(2);
            cr_assert(fault_nth(nth, errors[i]));
            rc = fs_apply(&b, 2, 3, NULL, &e);
            over = fault_calls() < nth;
            fault_off();
            cr_expect(rc == 0 || !over);
            seen = fs_state_seen_by_sqlite();
            cr_expect(seen == 3 || (seen == 2 && rc != 0), "call %d: %d", nth, seen);
            cr_assert_eq(fs_apply(&b, 2, 3, NULL, &e), 0, "call %d: %s", nth, e.text);
            cr_expect_eq(fs_state_seen_by_sqlite(), 3);
            bytes_free(&b);
            if (over) {
                cr_expect(nth > 20, "%d", nth);
                break;
            }
        }
}
