"""Two daemons on one database: the second one is refused, says why and does no harm; it takes
over when the first has ended."""

import disk
import lib

REFUSED = "already replicated by pid"
FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]


def config(ledger, replica):
    db = {
        "path": ledger.path,
        "monitor-interval": "20ms",
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    return {"dbs": [db], "shutdown-sync-timeout": "2s"}


def test_the_second_is_refused_and_takes_over_later(litestream, ledger, replica):
    ledger.commit(30, fill_bytes=4000)
    first = litestream.replicate(config=config(ledger, replica))
    worker = first.wait_worker(ledger.path)
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0)
    second = litestream.replicate(config=config(ledger, replica))
    line = second.wait_log(REFUSED)
    assert f"already replicated by pid {worker} " in line and ledger.path in line
    for _ in range(10):
        ledger.commit()
        litestream.wait_caught_up(ledger.path, replica.path)
    assert first.worker_of(ledger.path) == worker
    assert not first.lines("level=(ERROR|WARN)")
    # the lock of the first on the database must have survived the second's visit
    ledger.con.execute("PRAGMA busy_timeout = 20")
    assert ledger.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 1
    first.stop()
    ledger.commit(3)
    litestream.wait_caught_up(ledger.path, replica.path)
    second.wait_log("sync recovered")
    second.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_the_second_may_be_stopped_without_harm(litestream, ledger, replica):
    ledger.commit(30, fill_bytes=4000)
    first = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0)
    second = litestream.replicate(config=config(ledger, replica))
    second.wait_log(REFUSED)
    second.stop(status=1)  # it has not replicated anything
    for _ in range(5):
        ledger.commit()
        litestream.wait_caught_up(ledger.path, replica.path)
    first.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)


def test_one_database_twice_in_a_configuration_is_refused_at_once(litestream, ledger, replica):
    c = config(ledger, replica)
    c["dbs"].append(dict(c["dbs"][0]))
    done = litestream.run("replicate", "-config", litestream.config(c), status=1)
    assert ledger.path in done.stderr
    assert not disk.level_names(replica.path)


def test_hand_over_under_load(litestream, ledger, replica):
    """The new daemon starts before the old one stops, as rolling deployments do."""
    ledger.commit(30, fill_bytes=4000)
    writer = litestream.writer(ledger.path, autocheckpoint=0, pause=0.002)
    old = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0)
    for _ in range(3):
        new = litestream.replicate(config=config(ledger, replica))
        new.wait_log(REFUSED)
        old.stop()
        before = disk.newest_txid(replica.path)
        lib.wait_until(lambda n=before: disk.newest_txid(replica.path) > n, 20, "the new one")
        old = new
    newest = writer.stop()
    old.stop()
    copy = litestream.assert_restores(replica.url, ledger.path)
    assert lib.Ledger.committed(copy) == newest
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE
