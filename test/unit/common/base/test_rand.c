#include <signal.h>

#include <criterion/criterion.h>

#include "common/base/rand.h"

Test(rand, a_seed_gives_its_sequence)
{
    uint64_t first[4];

    rand_seed_with(42);
    for (int i = 0; i < 4; i++)
        first[i] = rand_u64();
    rand_seed_with(42);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(rand_u64(), first[i]);
    rand_seed_with(43);
    cr_expect_neq(rand_u64(), first[0]);
}

Test(rand, follows_splitmix64)
{
    rand_seed_with(1234567);
    cr_expect_eq(rand_u64(), UINT64_C(6457827717110365317));
    cr_expect_eq(rand_u64(), UINT64_C(3203168211198807973));
}

Test(rand, the_kernel_gives_a_new_seed_each_time)
{
    uint64_t a, b;

    rand_seed();
    a = rand_u64();
    rand_seed();
    b = rand_u64();
    cr_expect_neq(a, b);
}

Test(rand, stays_below_and_reaches_every_number)
{
    int seen[10] = { 0 };

    rand_seed_with(1);
    for (int i = 0; i < 10000; i++) {
        uint64_t n = rand_below(10);

        cr_assert_lt(n, 10);
        seen[n]++;
    }
    for (int i = 0; i < 10; i++)
        cr_expect(seen[i] > 800 && seen[i] < 1200, "%d: %d times", i, seen[i]);
    cr_expect_eq(rand_below(1), 0);
}

Test(rand, nothing_is_below_zero, .signal = SIGABRT)
{
    rand_below(0);
}
