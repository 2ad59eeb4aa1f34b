"""A commit wakes the worker when it happens; it is not found by the rare safety look."""

import os

import lib

MISSED = "a change was not reported by the file system"


def newest(replica):
    """The highest TXID among the L0 files of the replica."""
    folder = os.path.join(replica.path, "ltx/0")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return max((int(n[17:33], 16) for n in names if n.endswith(".ltx")), default=0)


def test_large_transactions_are_noticed_although_they_are_seen_half_written(
    litestream, ledger, replica
):
    """The worker looks at a WAL that is being written: frames without a commit, then more of
    them between two of its reads."""
    daemon = litestream.replicate(
        config={
            "dbs": [
                {
                    "path": ledger.path,
                    "monitor-interval": "20ms",
                    "replica": {"url": replica.url, "sync-interval": "20ms"},
                }
            ]
        }
    )
    lib.wait_until(lambda: newest(replica) > 0, 30, "the first file")
    for _ in range(15):
        before = newest(replica)
        ledger.commit(fill_bytes=3_000_000)
        lib.wait_until(lambda n=before: newest(replica) > n, 30, "the next file")
        assert daemon.lines(MISSED) == []
    daemon.stop()
    lib.assert_same(ledger.path, litestream.restore(replica.url))
