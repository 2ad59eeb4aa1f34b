"""Requests come in great number while the application writes: all are answered, none costs
a commit, none holds up another."""

import concurrent.futures

import control
import disk
import lib
import pytest


@pytest.fixture
def sock(tmp_path):
    return control.Socket(tmp_path)


@pytest.fixture
def busy(litestream, sock, ledger, replica):
    """A daemon, and an application that writes all the time."""
    ledger.commit(3)
    db = {
        "path": ledger.path,
        "monitor-interval": "20ms",
        "min-checkpoint-page-count": 50,
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    sock.wait_in_sync(ledger.path)
    daemon.settings = db
    daemon.writer = litestream.writer(ledger.path, fill_bytes=500)
    yield daemon
    if daemon.running():
        daemon.stop()


def nothing_is_lost(litestream, daemon, ledger, replica):
    newest = daemon.writer.stop()
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()
    copy = litestream.assert_restores(replica.url, ledger.path)
    assert lib.Ledger.committed(copy) == newest
    disk.assert_chain(replica.path)


def test_fifty_syncs_at_a_time(litestream, busy, sock, ledger, replica):
    def sync(_):
        return sock.post("/sync", {"path": ledger.path, "wait": True, "timeout": 20})

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        for _ in range(3):
            before = busy.writer.committed()
            replies = list(pool.map(sync, range(50)))
            refused = [r for r in replies if r.status != 200]
            assert not refused, refused[:3]
            busy.writer.wait_committed(before + 5)
    nothing_is_lost(litestream, busy, ledger, replica)


def test_syncs_that_run_out_of_time_leave_the_read_lock_where_it_is(
    litestream, busy, sock, ledger, replica
):
    """Else the application could begin the WAL anew before it is captured."""
    con = lib.connect(ledger.path)
    con.execute("PRAGMA busy_timeout = 50")
    for _ in range(10):
        reply = sock.post("/sync", {"path": ledger.path, "wait": True, "timeout": 1})
        assert reply.status in (200, 504, 500), reply
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    con.close()
    nothing_is_lost(litestream, busy, ledger, replica)
    assert disk.images(replica.path) == ["0000000000000001-0000000000000001.ltx"]


def test_stopped_started_taken_away_and_added_again(litestream, busy, sock, ledger, replica):
    path = {"path": ledger.path}
    for _ in range(6):
        busy.writer.wait_committed(busy.writer.committed() + 20)
        assert sock.post("/stop", path).status == 200
        assert sock.post("/start", path).status == 200
        sock.wait_in_sync(ledger.path)
        assert sock.post("/unregister", path).status == 200
        busy.writer.wait_committed(busy.writer.committed() + 20)
        added = {**path, "replica_url": replica.url}
        assert sock.post("/register", added).status == 200
        sock.wait_in_sync(ledger.path)
    nothing_is_lost(litestream, busy, ledger, replica)
