#include <stddef.h>

#include <criterion/criterion.h>

#include "workers/sync/decide.h"

#define FRAME 4120
#define O (WAL_HEADER_SIZE + 10 * FRAME)

static const struct wal_salt g = { 100, 1 }, next = { 101, 77 }, other = { 102, 5 };

static struct decide_in
base(void)
{
    return (struct decide_in){ .have_mark = true,
        .wal = DECIDE_WAL_OK,
        .mark_salt = g,
        .mark_off = O,
        .wal_salt = g,
        .wal_size = O,
        .committed_end = O,
        .slot = DECIDE_SLOT_END,
        .new_end = WAL_HEADER_SIZE,
        .frame_size = FRAME };
}

static void
expect(const struct decide_in *in, enum decide_action want)
{
    const char *reason;

    cr_assert_eq(decide(in, &reason), want);
    cr_assert_eq(reason != NULL, want == DECIDE_IMAGE || want == DECIDE_BUMP_IMAGE);
}

Test(decide, without_a_position_the_whole_database_is_written)
{
    struct decide_in in = base();

    in.have_mark = false;
    expect(&in, DECIDE_IMAGE);
    in.sealed = true;
    expect(&in, DECIDE_IMAGE);
}

Test(decide, a_missing_wal_needs_nothing_only_when_it_was_sealed)
{
    struct decide_in in = base();

    in.wal = DECIDE_WAL_ABSENT;
    expect(&in, DECIDE_BUMP_IMAGE);
    in.sealed = true;
    expect(&in, DECIDE_NOTHING);
}

Test(decide, a_torn_header_is_looked_at_again_but_not_for_ever)
{
    struct decide_in in = base();

    in.wal = DECIDE_WAL_TORN;
    expect(&in, DECIDE_AGAIN);
    in.sealed = true;
    expect(&in, DECIDE_AGAIN);
    in.torn_too_long = true;
    expect(&in, DECIDE_BUMP_IMAGE);
}

Test(decide, the_same_generation_goes_on_while_the_file_reaches_the_position)
{
    struct decide_in in = base();

    expect(&in, DECIDE_CONTINUE);
    in.wal_size = O + 5 * FRAME;
    expect(&in, DECIDE_CONTINUE);
    in.wal_size = O - 1;
    expect(&in, DECIDE_IMAGE);
    in.sealed = true;
    expect(&in, DECIDE_IMAGE);
}

Test(decide, a_position_behind_the_last_commit_was_rolled_back)
{
    struct decide_in in = base();

    in.wal_size = O + 5 * FRAME;
    in.committed_end = O + FRAME;
    expect(&in, DECIDE_CONTINUE);
    in.committed_end = O - FRAME;
    expect(&in, DECIDE_IMAGE);
    in.committed_end = O;
    in.chain_differs = true;
    expect(&in, DECIDE_IMAGE);
}

Test(decide, one_restart_of_a_sealed_wal_goes_on_at_its_start)
{
    struct decide_in in = base();

    in.wal_salt = next;
    in.sealed = true;
    in.slot = DECIDE_SLOT_NEW; /* not even looked at */
    in.new_end = O + FRAME;
    cr_assert_not(decide_needs_slot(&in));
    expect(&in, DECIDE_RESTARTED);
}

Test(decide, salt_one_counts_modulo_2_to_32)
{
    struct decide_in in = base();

    in.mark_salt = (struct wal_salt){ UINT32_MAX, 1 };
    in.wal_salt = (struct wal_salt){ 0, 2 };
    in.sealed = true;
    expect(&in, DECIDE_RESTARTED);
}

Test(decide, two_restarts_lose_the_proof_even_when_sealed)
{
    struct decide_in in = base();

    in.wal_salt = other;
    in.sealed = true;
    expect(&in, DECIDE_IMAGE);
    in.wal_salt = (struct wal_salt){ 100, 2 }; /* same salt-1, another file */
    expect(&in, DECIDE_IMAGE);
}

Test(decide, any_salts_go_on_after_a_seal_when_the_database_was_not_touched)
{
    struct decide_in in = base();

    in.sealed = in.db_untouched = true;
    in.new_end = O + FRAME;
    in.wal_salt = other;
    expect(&in, DECIDE_RESTARTED);
    in.wal_salt = (struct wal_salt){ 4270795023, 9 };
    expect(&in, DECIDE_RESTARTED);
    in.db_untouched = false;
    expect(&in, DECIDE_IMAGE);
    in.db_untouched = true;
    in.sealed = false;
    expect(&in, DECIDE_IMAGE);
}

/* Rows 8 and 9: every kind of slot, near and far ends of the new generation. */
Test(decide, an_unsealed_restart_needs_proof_that_the_old_wal_ended_at_the_position)
{
    static const struct {
        enum decide_slot slot;
        enum decide_action far, near; /* new frames end far before the position, or not */
    } rows[] = {
        { DECIDE_SLOT_END, DECIDE_RESTARTED, DECIDE_IMAGE },
        { DECIDE_SLOT_OLD, DECIDE_RESTARTED, DECIDE_IMAGE },
        { DECIDE_SLOT_OTHER, DECIDE_RESTARTED, DECIDE_IMAGE },
        { DECIDE_SLOT_TAIL, DECIDE_IMAGE, DECIDE_IMAGE },
        { DECIDE_SLOT_NEW, DECIDE_IMAGE, DECIDE_IMAGE },
        { DECIDE_SLOT_SHORT, DECIDE_IMAGE, DECIDE_IMAGE },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decide_in in = base();

        in.wal_salt = next;
        in.slot = rows[i].slot;
        cr_assert(decide_needs_slot(&in));
        in.new_end = O - FRAME; /* the frame before the position is untouched */
        expect(&in, rows[i].far);
        in.new_end = O - FRAME + 1;
        expect(&in, rows[i].near);
        in.new_end = O;
        expect(&in, rows[i].near);
    }
}

Test(decide, at_the_start_of_a_wal_old_frames_cannot_be_judged)
{
    struct decide_in in = base();

    in.wal_salt = next;
    in.mark_off = WAL_HEADER_SIZE;
    in.slot = DECIDE_SLOT_OLD;
    expect(&in, DECIDE_IMAGE);
    in.slot = DECIDE_SLOT_END;
    expect(&in, DECIDE_IMAGE);
    in.slot = DECIDE_SLOT_OTHER;
    expect(&in, DECIDE_RESTARTED);
    in.new_end = WAL_HEADER_SIZE + FRAME;
    expect(&in, DECIDE_IMAGE);
}
