#include "common/base/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/must.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_LEAK_CHECK 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_LEAK_CHECK 1
#endif
#ifdef HAVE_LEAK_CHECK
#include <sanitizer/lsan_interface.h>
#endif

#ifdef LITESTREAM_COVERAGE
void __gcov_dump(void);
#endif

static enum proc_role role = PROC_COMMAND;

void
proc_open_std(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

void
proc_set_role(enum proc_role r)
{
    role = r;
}

enum proc_role
proc_role(void)
{
    return role;
}

void
proc_must_be(unsigned roles)
{
    must((role & roles) != 0);
}

_Noreturn void
proc_exit(int status)
{
    fflush(stdout);
    fflush(stderr);
#ifdef HAVE_LEAK_CHECK
    if (__lsan_do_recoverable_leak_check() != 0 && status == 0)
        status = 23; /* what LeakSanitizer itself uses */
#endif
#ifdef LITESTREAM_COVERAGE
    __gcov_dump();
#endif
    _exit(status);
}
