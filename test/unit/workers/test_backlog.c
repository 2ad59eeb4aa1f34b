#include <criterion/criterion.h>

#include "workers/replica/backlog.h"

#define GB (INT64_C(1) << 30)

Test(backlog, may_be_twice_the_database_but_no_less_than_a_gigabyte)
{
    cr_expect_eq(backlog_limit(0), GB);
    cr_expect_eq(backlog_limit(GB / 2), GB);
    cr_expect_eq(backlog_limit(GB / 2 + 1), GB + 2);
    cr_expect_eq(backlog_limit(100 * GB), 200 * GB);
    cr_expect_eq(backlog_limit(INT64_MAX), INT64_MAX);
}

Test(backlog, counts_bytes_until_the_destination_has_all)
{
    struct backlog b = { 0 };

    backlog_wrote(&b, 60);
    backlog_wrote(&b, 40);
    cr_expect_not(backlog_may_be_over(&b, 100));
    cr_expect_not(backlog_is_over(&b, 100, 7, 9));
    backlog_wrote(&b, 1);
    cr_expect(backlog_may_be_over(&b, 100));
    cr_expect(backlog_is_over(&b, 100, 7, 10));
    backlog_in_sync(&b);
    backlog_wrote(&b, 60);
    cr_expect_not(backlog_may_be_over(&b, 100));
}

Test(backlog, counts_files_from_where_the_destination_is)
{
    struct backlog b = { 0 };

    cr_expect_not(backlog_is_over(&b, 100, 50, 50));
    cr_expect_not(backlog_is_over(&b, 100, 50, 40), "an older line");
    cr_expect_not(backlog_is_over(&b, 100, 50, 50 + BACKLOG_FILES));
    cr_expect(backlog_is_over(&b, 100, 50, 51 + BACKLOG_FILES));
}

Test(backlog, files_that_come_after_the_limit_wait_again)
{
    struct backlog b = { 0 };

    backlog_wrote(&b, 101);
    cr_expect(backlog_drop(&b, 20), "told");
    cr_expect_eq(backlog_first(&b, 3), 21);
    cr_expect_not(backlog_is_over(&b, 100, 3, 20));
    backlog_wrote(&b, 100);
    cr_expect_not(backlog_is_over(&b, 100, 3, 20 + BACKLOG_FILES));
    cr_expect(backlog_is_over(&b, 100, 3, 21 + BACKLOG_FILES));
    backlog_wrote(&b, 1);
    cr_expect(backlog_is_over(&b, 100, 3, 22));
    cr_expect_not(backlog_drop(&b, 22), "told before");
    backlog_in_sync(&b);
    cr_expect_eq(backlog_first(&b, 30), 31);
    backlog_wrote(&b, 101);
    cr_expect(backlog_drop(&b, 40), "another time");
}
