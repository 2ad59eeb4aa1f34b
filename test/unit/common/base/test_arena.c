#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/base/arena.h"

static bool
is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

Test(arena, gives_zeroed_aligned_memory_of_any_size)
{
    struct arena a;

    arena_init(&a);
    for (size_t size = 0; size < 20000; size = size * 3 / 2 + 1) {
        uint8_t *p = arena_alloc(&a, size);

        cr_expect_eq((uintptr_t)p % _Alignof(max_align_t), 0, "%zu bytes", size);
        cr_expect(is_zero(p, size), "%zu bytes", size);
        memset(p, 0xff, size);
    }
    arena_deinit(&a);
}

Test(arena, allocations_do_not_overlap)
{
    struct arena a;
    uint32_t *numbers[3000];

    arena_init(&a);
    for (uint32_t i = 0; i < 3000; i++) {
        numbers[i] = ARENA_NEW(&a, uint32_t);
        *numbers[i] = i;
    }
    for (uint32_t i = 0; i < 3000; i++)
        cr_assert_eq(*numbers[i], i);
    arena_deinit(&a);
}

Test(arena, a_large_piece_does_not_disturb_the_small_ones_around_it)
{
    struct arena a;
    char *before, *after;
    uint8_t *large;

    arena_init(&a);
    before = arena_strdup(&a, "before");
    large = arena_alloc(&a, 1 << 20);
    after = arena_strdup(&a, "after");
    memset(large, 0xff, 1 << 20);
    cr_expect_str_eq(before, "before");
    cr_expect_str_eq(after, "after");
    arena_deinit(&a);
}

Test(arena, copies_and_formats_strings)
{
    struct arena a;

    arena_init(&a);
    cr_expect_str_eq(arena_strdup(&a, ""), "");
    cr_expect_null(arena_strdup(&a, NULL));
    cr_expect_str_eq(arena_strndup(&a, "abcdef", 3), "abc");
    cr_expect_str_eq(arena_printf(&a, "%s-%d", "x", 42), "x-42");
    cr_expect_eq(strlen(arena_printf(&a, "%10000s", "x")), 10000);
    arena_deinit(&a);
}

Test(arena, can_be_used_again_after_deinit)
{
    struct arena a;

    arena_init(&a);
    arena_strdup(&a, "first life");
    arena_deinit(&a);
    arena_deinit(&a);
    cr_expect_str_eq(arena_strdup(&a, "second life"), "second life");
    arena_deinit(&a);
}
