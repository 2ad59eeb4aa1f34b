#include "supervisor/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log_file.h"
#include "common/base/proc.h"
#include "common/base/secret.h"
#include "common/base/sys.h"

static void
close_between(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (first > last)
        return;
#ifdef __linux__ /* close_range(2), since 5.9 */
    if (close_range(first, last, 0) == 0)
        return;
#endif
    if (last == ~0u)
        last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1u << 20
                   ? (unsigned)limit.rlim_cur
                   : 1u << 20;
    for (unsigned fd = first; fd < last; fd++)
        close((int)fd);
}

/* Everything but 0..2, the log file and the channel (-1: there is none). */
static void
close_others(int channel)
{
    int kept = log_file_fd();
    int low = channel < kept ? channel : kept, high = channel < kept ? kept : channel;

    if (low >= 3) {
        close_between(3, (unsigned)low - 1);
        close_between((unsigned)low + 1, (unsigned)high - 1);
    } else if (high >= 3) {
        close_between(3, (unsigned)high - 1);
    }
    close_between(high >= 3 ? (unsigned)high + 1 : 3, ~0u);
}

static void
own_signals(void)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    static const int restored[] = { SIGCHLD, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
    sigset_t none;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    for (size_t i = 0; i < sizeof(restored) / sizeof(restored[0]); i++)
        signal(restored[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The secrets of its database, and of no other. */
static void
take_secrets(const struct cfg_db *db, struct buf *secrets)
{
    secret_forked();
    config_unpack_secrets(db->replicas, db->n_replicas, secrets);
    config_forget_pack(secrets);
}

_Noreturn static void
worker_child(const struct spawn *s, int channel, struct buf *secrets)
{
    struct worker_start start = s->start;

    proc_set_role(PROC_WORKER);
    start.channel = channel;
    close_others(channel);
    own_signals();
    take_secrets(start.db, secrets);
    proc_exit(worker_main(&start));
}

_Noreturn static void
task_child(const struct cfg_db *db, spawn_task_cb *run, struct buf *secrets)
{
    proc_set_role(PROC_COMMAND);
    close_others(-1);
    own_signals();
    take_secrets(db, secrets);
    proc_exit(run(db));
}

_Noreturn static void
helper_child(spawn_helper_cb *run, const void *arg)
{
    proc_set_role(PROC_COMMAND);
    close_between(3, ~0u);
    own_signals();
    secret_forked();
    proc_exit(run(arg));
}

/* What both sides share; signals stay blocked until the child has its own handlers. */
static pid_t
fork_quietly(sigset_t *before)
{
    sigset_t all;

    fflush(stdout);
    fflush(stderr);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, before);
    return fork();
}

static pid_t
fork_for(const struct cfg_db *db, struct buf *secrets, sigset_t *before)
{
    config_pack_secrets(db, secrets);
    return fork_quietly(before);
}

static void
parent_again(struct buf *secrets, const sigset_t *before)
{
    int saved = errno;

    sigprocmask(SIG_SETMASK, before, NULL);
    config_forget_pack(secrets);
    errno = saved;
}

int
spawn_worker(const struct spawn *s, pid_t *pid, int *channel, struct err *e)
{
    sigset_t before;
    struct buf secrets;
    int ends[2];
    pid_t child;

    proc_must_be(PROC_SUPERVISOR);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return err_errno(e, errno, "create channel");
    child = fork_for(s->start.db, &secrets, &before);
    if (child == 0)
        worker_child(s, ends[1], &secrets);
    parent_again(&secrets, &before);
    if (child < 0) {
        int rc = err_errno(e, errno, "fork");

        sys_close(&ends[1]);
        sys_close(&ends[0]);
        return rc;
    }
    sys_close(&ends[1]);
    *pid = child;
    *channel = ends[0];
    return 0;
}

int
spawn_task(const struct cfg_db *db, spawn_task_cb *run, pid_t *pid, struct err *e)
{
    sigset_t before;
    struct buf secrets;
    pid_t child;

    proc_must_be(PROC_COMMAND | PROC_SUPERVISOR);
    child = fork_for(db, &secrets, &before);
    if (child == 0)
        task_child(db, run, &secrets);
    parent_again(&secrets, &before);
    if (child < 0)
        return err_errno(e, errno, "fork");
    *pid = child;
    return 0;
}

int
spawn_helper(spawn_helper_cb *run, const void *arg, pid_t *pid, struct err *e)
{
    sigset_t before;
    pid_t child;
    int saved;

    proc_must_be(PROC_SUPERVISOR);
    child = fork_quietly(&before);
    if (child == 0)
        helper_child(run, arg);
    saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        return err_errno(e, saved, "fork");
    *pid = child;
    return 0;
}
