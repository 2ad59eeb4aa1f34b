"""A daemon that is told to stop while it starts saves what is committed all the same."""

import os
import signal
import time

import lib
import pytest


def stopped_at_once(litestream, *args, **more):
    """Starts `replicate` and tells it to stop as soon as it says what it will do, which is
    before its worker has asked the replica what it holds; returns the exit status."""
    daemon = litestream.replicate(*args, **more)
    deadline = time.monotonic() + 30 * lib.SLOW
    while "replicating to" not in daemon.output():
        assert daemon.running() and time.monotonic() < deadline, daemon.output()
    daemon.signal(signal.SIGTERM)
    return daemon.wait(60)


@pytest.mark.parametrize("turn", range(8))
def test_a_database_that_was_never_replicated(litestream, ledger, replica, turn):
    ledger.commit(3)
    assert stopped_at_once(litestream, ledger.path, replica.url) == 0
    lib.assert_same(ledger.path, litestream.restore(replica.url))


@pytest.mark.parametrize("turn", range(8))
def test_a_replica_that_is_ahead_of_a_database_without_local_state(
    litestream, ledger, replica, turn
):
    ledger.commit(3)
    litestream.replicate(ledger.path, replica.url).wait_log("replicating to")
    litestream.wait_replicated(replica.url, ledger.n)
    litestream.processes[-1].stop()
    lib.remove_meta(ledger.path)
    ledger.commit(3)
    assert stopped_at_once(litestream, ledger.path, replica.url) == 0
    lib.assert_same(ledger.path, litestream.restore(replica.url))


@pytest.mark.parametrize("timeout, least", [("0s", 0), ("500ms", 0.5)])
def test_a_replica_that_cannot_be_asked_is_told_by_the_status(
    litestream, ledger, tmp_path, timeout, least
):
    """Once without a limit, or until the time is up; then the failure is not hidden."""
    (tmp_path / "file").write_text("not a folder")
    replica = {"path": str(tmp_path / "file/replica")}
    ledger.commit(3)
    start = time.monotonic()
    status = stopped_at_once(
        litestream,
        config={
            "shutdown-sync-timeout": timeout,
            "shutdown-sync-interval": "50ms",
            "dbs": [{"path": ledger.path, "replica": replica}],
        },
    )
    assert status == 1
    assert time.monotonic() - start >= least
    assert litestream.processes[-1].lines("level=ERROR")
    assert os.path.isfile(tmp_path / "file")
