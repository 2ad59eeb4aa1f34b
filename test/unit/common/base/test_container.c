#include <signal.h>

#include <criterion/criterion.h>

#include "common/base/container.h"

#define THING_MAGIC 0x7468696e

struct thing {
    uint32_t magic;
    int first;
    int second;
};

Test(container, leads_from_a_member_to_its_object)
{
    struct thing t = { THING_MAGIC, 1, 2 };

    cr_expect_eq(container_of(&t.second, struct thing, second), &t);
    cr_expect_eq(container_of(&t.magic, struct thing, magic), &t);
}

Test(container, gives_an_object_back_that_has_the_magic_number)
{
    struct thing t = { THING_MAGIC, 1, 2 };
    void *p = &t;

    cr_expect_eq(OBJ_CAST(struct thing, THING_MAGIC, p)->second, 2);
}

Test(container, ends_the_process_on_another_object, .signal = SIGABRT)
{
    struct thing t = { THING_MAGIC + 1, 1, 2 };
    void *p = &t;

    (void)OBJ_CAST(struct thing, THING_MAGIC, p);
}

Test(container, ends_the_process_on_NULL, .signal = SIGABRT)
{
    void *p = NULL;

    (void)OBJ_CAST(struct thing, THING_MAGIC, p);
}
