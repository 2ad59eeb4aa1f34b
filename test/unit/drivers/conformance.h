/*
 * conformance - what every kind of driver must do, whatever it talks to.
 *
 *     CONFORMANCE(file, open_file)
 *
 * makes one Criterion test a promise of drivers/driver.h, in the suite "file".
 */
#ifndef TEST_UNIT_DRIVERS_CONFORMANCE_H
#define TEST_UNIT_DRIVERS_CONFORMANCE_H

#include "test/unit/drivers/rig.h"

typedef void conformance_check(rig_open_cb *open);

#define CONFORMANCE_CHECKS(X)                                                            \
    X(an_empty_destination_has_no_files)                                                 \
    X(a_file_is_there_whole_after_a_put)                                                 \
    X(listings_are_in_order)                                                             \
    X(listings_start_where_they_are_asked_to)                                            \
    X(levels_do_not_mix)                                                                 \
    X(listings_may_be_long)                                                              \
    X(listings_have_no_holes_while_files_come)                                           \
    X(ranges_are_exact)                                                                  \
    X(absent_is_told_from_failed)                                                        \
    X(a_put_replaces)                                                                    \
    X(an_exclusive_put_leaves_what_is_there)                                             \
    X(of_two_exclusive_puts_one_wins)                                                    \
    X(a_large_file_goes_through)                                                         \
    X(a_put_shows_nothing_before_its_end)                                                \
    X(a_source_that_fails_leaves_nothing)                                                \
    X(a_source_that_ends_early_leaves_nothing)                                           \
    X(created_is_the_time_in_the_header)                                                 \
    X(deleting_is_exact)                                                                 \
    X(deleting_twice_is_fine)                                                            \
    X(delete_all_leaves_an_empty_destination)                                            \
    X(cancel_ends_a_put_that_waits)                                                      \
    X(cancel_answers_once)                                                               \
    X(close_ends_what_is_under_way)                                                      \
    X(many_at_once)

#define CONFORMANCE_DECLARE(name) conformance_check conformance_##name;
CONFORMANCE_CHECKS(CONFORMANCE_DECLARE)

#define CONFORMANCE_TEST_(suite, open, name)                                             \
    Test(suite, name)                                                                    \
    {                                                                                    \
        conformance_##name(open);                                                        \
    }

#endif
