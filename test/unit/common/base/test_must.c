#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/must.h"

static int hook_calls;

static void
good_hook(const char *what)
{
    /* the expected signal shows that the text was right */
    if (strncmp(what, "test_must.c:", 12) != 0 ||
        strstr(what, "must(2 + 2 == 5)") == NULL)
        _exit(1);
}

static void
failing_hook(const char *what)
{
    (void)what;
    if (++hook_calls > 1)
        _exit(1);
    must(hook_calls == 0);
}

Test(must, passes_what_is_true)
{
    must(2 + 2 == 4);
}

Test(must, ends_the_process_on_what_is_not, .signal = SIGABRT)
{
    must(2 + 2 == 5);
}

Test(must, shows_the_hook_expression_and_place, .signal = SIGABRT)
{
    must_set_hook(good_hook);
    must(2 + 2 == 5);
}

Test(must, ends_the_process_when_the_hook_fails_too, .signal = SIGABRT)
{
    must_set_hook(failing_hook);
    must(2 + 2 == 5);
}

Test(must, a_hook_can_be_taken_away, .signal = SIGABRT)
{
    must_set_hook(good_hook);
    must_set_hook(NULL);
    must(2 + 2 == 6);
}
