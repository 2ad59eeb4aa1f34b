#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/proc.h"

Test(proc, is_a_command_until_told_otherwise)
{
    cr_expect_eq(proc_role(), PROC_COMMAND);
    proc_must_be(PROC_COMMAND);
    proc_set_role(PROC_WORKER);
    cr_expect_eq(proc_role(), PROC_WORKER);
    proc_must_be(PROC_WORKER | PROC_COMMAND);
}

Test(proc, a_function_of_another_role_ends_the_process, .signal = SIGABRT)
{
    proc_set_role(PROC_WORKER);
    proc_must_be(PROC_SUPERVISOR | PROC_COMMAND);
}

static void
parents_handler(void)
{
    _exit(99);
}

Test(proc, leaves_with_its_status_flushed_output_and_without_the_parents_handlers)
{
    int ends[2], status;
    char text[32] = "";
    pid_t pid;

    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        atexit(parents_handler);
        printf("last words");
        proc_exit(7);
    }
    close(ends[1]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status));
    cr_expect_eq(WEXITSTATUS(status), 7);
    cr_assert_eq(read(ends[0], text, sizeof(text) - 1), 10);
    cr_expect_str_eq(text, "last words");
    close(ends[0]);
}
