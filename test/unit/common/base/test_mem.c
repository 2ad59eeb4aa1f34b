#include <signal.h>
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"

Test(mem, is_zeroed)
{
    for (size_t size = 1; size < 100000; size *= 3) {
        uint8_t *p = mem_new(size), *q = mem_new_array(size, 3), *r = mem_try(size, 3);

        for (size_t i = 0; i < size; i++)
            cr_assert_eq(p[i] | q[i * 3] | r[i * 3], 0);
        memset(p, 0xff, size);
        memset(q, 0xff, size * 3);
        memset(r, 0xff, size * 3);
        mem_free(p);
        mem_free(q);
        mem_free(r);
    }
}

Test(mem, nothing_is_still_something_to_free)
{
    void *p = mem_new(0), *q = mem_try(0, 8), *r = mem_resize(NULL, 0);

    cr_expect_not_null(p);
    cr_expect_not_null(q);
    cr_expect_not_null(r);
    mem_free(p);
    mem_free(q);
    mem_free(r);
    mem_free(NULL);
}

Test(mem, an_impossible_size_gives_NULL_where_asking_is_allowed)
{
    cr_expect_null(mem_try(SIZE_MAX, 2));
    cr_expect_null(mem_try(SIZE_MAX / 2, 3));
    cr_expect_null(mem_try(SIZE_MAX, 1));
    cr_expect_null(mem_try((size_t)PTRDIFF_MAX + 1, 1));
}

Test(mem, an_impossible_size_ends_the_process_where_it_is_not, .signal = SIGABRT)
{
    mem_new_array(SIZE_MAX / 2, 3);
}

Test(mem, resizing_keeps_the_content)
{
    char *p = mem_strdup("content");

    p = mem_resize(p, 10000);
    cr_expect_str_eq(p, "content");
    p = mem_resize(p, 4);
    cr_expect_eq(memcmp(p, "cont", 4), 0);
    mem_free(p);
}

Test(mem, copies_and_formats_strings)
{
    char *a = mem_strdup("abc"), *b = mem_strndup("abcdef", 2), *c = mem_strdup("");
    char *d = mem_printf("%s-%d", "x", 7), *e = mem_printf("%5000s", "x");

    cr_expect_str_eq(a, "abc");
    cr_expect_str_eq(b, "ab");
    cr_expect_str_eq(c, "");
    cr_expect_str_eq(d, "x-7");
    cr_expect_eq(strlen(e), 5000);
    cr_expect_null(mem_strdup(NULL));
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(e);
}
