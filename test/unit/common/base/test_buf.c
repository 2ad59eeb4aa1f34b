#include <string.h>

#include <criterion/criterion.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

Test(buf, is_an_empty_string_at_first)
{
    struct buf b;
    char *s;

    buf_init(&b, 10);
    cr_expect_str_eq(buf_str(&b), "");
    cr_expect_eq(b.size, 0);
    s = buf_take_str(&b);
    cr_expect_str_eq(s, "");
    mem_free(s);
    buf_deinit(&b);
}

Test(buf, collects_bytes_characters_strings_and_formatted_text)
{
    struct buf b;

    buf_init(&b, 1000);
    cr_expect(buf_add(&b, "ab", 2));
    cr_expect(buf_add_char(&b, 'c'));
    cr_expect(buf_add_str(&b, "de"));
    cr_expect(buf_printf(&b, "%03d", 7));
    cr_expect(buf_add(&b, NULL, 0));
    cr_expect_str_eq(buf_str(&b), "abcde007");
    cr_expect_eq(b.size, 8);
    buf_deinit(&b);
}

Test(buf, takes_as_many_bytes_as_its_ceiling_and_not_one_more)
{
    struct buf b;

    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        cr_assert(buf_add_char(&b, 'x'), "byte %d", i);
    cr_expect_not(buf_failed(&b));
    cr_expect_not(buf_add_char(&b, 'y'));
    cr_expect(buf_failed(&b));
    cr_expect_eq(b.size, 100);
    cr_expect_eq(strlen(buf_str(&b)), 100);
    buf_deinit(&b);
}

Test(buf, keeps_its_content_when_something_does_not_fit)
{
    struct buf b;

    buf_init(&b, 8);
    buf_add_str(&b, "12345");
    cr_expect_not(buf_add_str(&b, "6789"));
    cr_expect_not(buf_printf(&b, "%s", "6789"));
    cr_expect_str_eq(buf_str(&b), "12345");
    cr_expect(buf_add_str(&b, "678"), "what fits is still taken");
    cr_expect(buf_failed(&b), "but the loss is not forgotten");
    buf_deinit(&b);
}

Test(buf, a_size_near_the_end_of_the_range_is_refused)
{
    struct buf b;

    buf_init(&b, 100);
    buf_add_char(&b, 'x');
    cr_expect_not(buf_reserve(&b, SIZE_MAX));
    cr_expect_not(buf_reserve(&b, SIZE_MAX - 1));
    cr_expect_str_eq(buf_str(&b), "x");
    buf_deinit(&b);
}

Test(buf, a_ceiling_of_zero_takes_nothing)
{
    struct buf b;

    buf_init(&b, 0);
    cr_expect(buf_add(&b, "", 0));
    cr_expect_str_eq(buf_str(&b), "");
    cr_expect_not(buf_add_char(&b, 'x'));
    buf_deinit(&b);
}

Test(buf, reset_keeps_the_memory_and_forgets_the_failure)
{
    struct buf b;
    size_t cap;

    buf_init(&b, 200);
    buf_printf(&b, "%150s", "x");
    buf_printf(&b, "%150s", "x");
    cap = b.cap;
    buf_reset(&b);
    cr_expect_not(buf_failed(&b));
    cr_expect_eq(b.cap, cap);
    cr_expect_str_eq(buf_str(&b), "");
    buf_deinit(&b);
}

Test(buf, a_taken_string_belongs_to_the_caller_and_the_buffer_starts_again)
{
    struct buf b;
    char *s;

    buf_init(&b, 100);
    buf_add_str(&b, "mine");
    s = buf_take_str(&b);
    buf_add_str(&b, "other");
    cr_expect_str_eq(s, "mine");
    cr_expect_str_eq(buf_str(&b), "other");
    cr_expect_not(buf_add(&b, s, 200), "the ceiling stays");
    mem_free(s);
    buf_deinit(&b);
}
