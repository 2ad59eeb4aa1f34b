#include "workers/replica/backlog.h"

int64_t
backlog_limit(int64_t db_bytes)
{
    if (db_bytes > INT64_MAX / 2)
        return INT64_MAX;
    return 2 * db_bytes > BACKLOG_BYTES ? 2 * db_bytes : BACKLOG_BYTES;
}

void
backlog_wrote(struct backlog *b, int64_t bytes)
{
    b->bytes += bytes;
}

void
backlog_in_sync(struct backlog *b)
{
    b->bytes = 0;
    b->told = false;
}

uint64_t
backlog_first(const struct backlog *b, uint64_t replica_txid)
{
    return (b->dropped_to > replica_txid ? b->dropped_to : replica_txid) + 1;
}

bool
backlog_may_be_over(const struct backlog *b, int64_t limit)
{
    return b->bytes > limit;
}

bool
backlog_is_over(
    const struct backlog *b, int64_t limit, uint64_t replica_txid, uint64_t newest_txid)
{
    uint64_t first = backlog_first(b, replica_txid);

    return b->bytes > limit ||
           (newest_txid >= first && newest_txid - first >= BACKLOG_FILES);
}

bool
backlog_drop(struct backlog *b, uint64_t newest_txid)
{
    bool tell = !b->told;

    b->bytes = 0;
    b->dropped_to = newest_txid;
    b->told = true;
    return tell;
}
