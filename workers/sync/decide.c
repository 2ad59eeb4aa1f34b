#include "workers/sync/decide.h"

#include <stddef.h>

static bool
one_restart(const struct decide_in *in)
{
    return in->wal_salt.s1 == in->mark_salt.s1 + 1;
}

bool
decide_needs_slot(const struct decide_in *in)
{
    return in->have_mark && in->wal == DECIDE_WAL_OK &&
           !wal_salt_equal(in->wal_salt, in->mark_salt) && one_restart(in) && !in->sealed;
}

/* Rows 8 and 9. */
static enum decide_action
after_unsealed_restart(const struct decide_in *in, const char **reason)
{
    /* New frames may not have come near O: what stands there must be from before. */
    bool untouched = in->new_end <= in->mark_off - in->frame_size;
    bool at_start = in->mark_off == WAL_HEADER_SIZE;

    if (at_start) /* the old header, and with it the chain's start, is gone */
        untouched = in->new_end <= WAL_HEADER_SIZE;
    if (untouched) {
        switch (in->slot) {
        case DECIDE_SLOT_OTHER:
            return DECIDE_RESTARTED;
        case DECIDE_SLOT_END: /* at the start: nothing, or cut with all that was there */
        case DECIDE_SLOT_OLD:
            if (!at_start)
                return DECIDE_RESTARTED;
            break;
        case DECIDE_SLOT_TAIL:
        case DECIDE_SLOT_NEW:
        case DECIDE_SLOT_SHORT:
            break;
        }
    }
    *reason = "wal restarted, end of the previous one cannot be proven";
    return DECIDE_IMAGE;
}

enum decide_action
decide(const struct decide_in *in, const char **reason)
{
    *reason = NULL;
    if (!in->have_mark) {
        *reason = "no local position";
        return DECIDE_IMAGE;
    }
    if (in->wal == DECIDE_WAL_TORN && !in->torn_too_long)
        return DECIDE_AGAIN;
    if (in->wal != DECIDE_WAL_OK) {
        if (in->sealed && in->wal == DECIDE_WAL_ABSENT)
            return DECIDE_NOTHING;
        *reason =
            in->wal == DECIDE_WAL_ABSENT ? "wal missing or empty" : "wal header damaged";
        return DECIDE_BUMP_IMAGE;
    }
    if (wal_salt_equal(in->wal_salt, in->mark_salt)) {
        if (in->wal_size < in->mark_off)
            *reason = "wal truncated by another process";
        else if (in->committed_end < in->mark_off || in->chain_differs)
            *reason = "wal rolled back behind the position";
        else
            return DECIDE_CONTINUE;
        return DECIDE_IMAGE;
    }
    if (in->sealed && (one_restart(in) || in->db_untouched))
        return DECIDE_RESTARTED;
    if (!one_restart(in)) {
        *reason = "wal header salt reset, snapshotting";
        return DECIDE_IMAGE;
    }
    return after_unsealed_restart(in, reason);
}
