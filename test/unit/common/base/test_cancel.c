#include <pthread.h>

#include <criterion/criterion.h>

#include "common/base/cancel.h"

Test(cancel, is_asked_once_and_for_all)
{
    struct cancel c = { false };

    cr_expect_not(cancel_asked(&c));
    cancel_ask(&c);
    cr_expect(cancel_asked(&c));
    cancel_ask(&c);
    cr_expect(cancel_asked(&c));
}

Test(cancel, nobody_asks_through_null)
{
    cr_expect_not(cancel_asked(NULL));
}

static void *
ask(void *arg)
{
    cancel_ask(arg);
    return NULL;
}

Test(cancel, is_seen_on_another_thread)
{
    struct cancel c = { false };
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, ask, &c), 0);
    while (!cancel_asked(&c))
        ; /* ends with the thread, or with the time limit of the test */
    pthread_join(thread, NULL);
    cr_expect(cancel_asked(&c));
}
