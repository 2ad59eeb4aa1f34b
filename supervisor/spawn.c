#include "supervisor/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Everything but 0..2 and the channel. */
static void
close_others(int channel)
{
    close_between(3, (unsigned)channel - 1);
    close_between((unsigned)channel + 1, ~0u);
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

_Noreturn static void
child_main(const struct spawn *s, int channel, struct buf *secrets)
{
    struct worker_start start = s->start;

    proc_set_role(PROC_WORKER);
    start.channel = channel;
    close_others(channel);
    own_signals();
    secret_forked();
    config_unpack_secrets(start.db->replicas, start.db->n_replicas, secrets);
    config_forget_pack(secrets);
    proc_exit(worker_main(&start));
}

int
spawn_worker(const struct spawn *s, pid_t *pid, int *channel, struct err *e)
{
    sigset_t all, before;
    struct buf secrets;
    int ends[2], saved;
    pid_t child;

    proc_must_be(PROC_SUPERVISOR);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return err_errno(e, errno, "create channel");
    config_pack_secrets(s->start.db, &secrets);
    fflush(stdout);
    fflush(stderr);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    child = fork();
    if (child == 0)
        child_main(s, ends[1], &secrets);
    saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    config_forget_pack(&secrets);
    sys_close(&ends[1]);
    if (child < 0) {
        sys_close(&ends[0]);
        return err_errno(e, saved, "fork");
    }
    *pid = child;
    *channel = ends[0];
    return 0;
}
