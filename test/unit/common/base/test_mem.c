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

/* Every other one of many pieces of memory is a hole. */
#define N_PIECES 400
#define PIECE_BYTES 200

struct holes {
    char *kept[N_PIECES / 2];
    const char *last; /* of all pieces */
};

static void
make_holes(struct holes *h)
{
    char *freed[N_PIECES / 2];

    h->last = NULL;
    for (int i = 0; i < N_PIECES; i++) {
        char *p = mem_new(PIECE_BYTES);

        memset(p, i, PIECE_BYTES);
        (i % 2 == 0 ? h->kept : freed)[i / 2] = p;
        if (p > h->last)
            h->last = p;
    }
    for (int i = 0; i < N_PIECES / 2; i++)
        mem_free(freed[i]);
}

static void
free_kept(struct holes *h)
{
    for (int i = 0; i < N_PIECES / 2; i++) {
        for (int at = 0; at < PIECE_BYTES; at++)
            cr_assert_eq(h->kept[i][at], (char)(2 * i));
        mem_free(h->kept[i]);
    }
}

/* How many of some new pieces lie in holes; they are not freed before all are there. */
static int
n_in_holes(const struct holes *h)
{
    char *p[N_PIECES / 8];
    int n = 0;

    for (int i = 0; i < N_PIECES / 8; i++) {
        p[i] = mem_new(PIECE_BYTES);
        n += p[i] <= h->last;
    }
    for (int i = 0; i < N_PIECES / 8; i++)
        mem_free(p[i]);
    return n;
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define PLUGS_HOLES true
#else
#define PLUGS_HOLES false
#endif

Test(mem, a_sealed_heap_has_no_holes_until_it_is_unsealed)
{
    struct holes h;

    make_holes(&h);
    for (int round = 0; round < 3; round++) {
        mem_seal();
        if (PLUGS_HOLES)
            cr_expect_eq(n_in_holes(&h), 0, "%d", round);
        mem_unseal();
        if (PLUGS_HOLES)
            cr_expect_eq(n_in_holes(&h), N_PIECES / 8, "%d", round);
    }
    free_kept(&h);
}

/* What was taken as the end of the heap must not be a hole itself. */
Test(mem, large_holes_are_plugged_too)
{
    struct holes h;
    char *large[4], *between[4];

    for (int i = 0; i < 4; i++) {
        large[i] = mem_new(50000);
        between[i] = mem_new(PIECE_BYTES);
    }
    make_holes(&h);
    for (int i = 0; i < 4; i++)
        mem_free(large[i]);
    mem_seal();
    if (PLUGS_HOLES)
        cr_expect_eq(n_in_holes(&h), 0);
    mem_unseal();
    for (int i = 0; i < 4; i++)
        mem_free(between[i]);
    free_kept(&h);
}
