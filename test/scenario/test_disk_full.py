"""A full disk: replication says so, never holds up the application and goes on by itself when
there is room again."""

import time

import disk
import lib

MESSAGE = "disk full while staging ltx file"
FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]

# A database's back-off is bounded by 5 s for want of space, a replica's grows with its failures.
RECOVERY = 30


def config(db, replica, **more):
    settings = {
        "path": str(db),
        "monitor-interval": "20ms",
        "replica": {"path": str(replica), "sync-interval": "20ms"},
        **more,
    }
    return {"dbs": [settings], "shutdown-sync-timeout": "2s"}


def commit_without_waiting(ledger, n):
    """The application commits as if there were no replication."""
    for _ in range(n):
        begin = time.monotonic()
        ledger.commit(1, fill_bytes=4000)
        assert time.monotonic() - begin < 2 * lib.SLOW


def test_no_room_for_local_files(tiny, litestream, ledger, replica):
    fs = tiny("4m")
    ledger.commit(30, fill_bytes=4000)
    c = config(ledger.path, replica.path, **{"meta-path": fs.mount + "/meta"})
    daemon = litestream.replicate(config=c, prefix=fs.inside)
    litestream.wait_caught_up(ledger.path, replica.path)
    for _ in range(2):
        make_room = fs.fill()
        before = len(daemon.lines("disk full"))
        held = disk.newest_txid(replica.path)
        commit_without_waiting(ledger, 20)
        daemon.wait_log(MESSAGE, count=before + 1)
        commit_without_waiting(ledger, 20)
        assert disk.newest_txid(replica.path) == held
        make_room()
        litestream.wait_caught_up(ledger.path, replica.path, RECOVERY)
    (line, *_) = daemon.lines(MESSAGE)
    assert "no space left" in line and fs.mount in line
    daemon.wait_log("sync recovered", count=2)
    ledger.commit(5)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_no_room_for_the_first_image(tiny, litestream, ledger, replica):
    fs = tiny("1m")
    ledger.commit(30, fill_bytes=4000)
    make_room = fs.fill(leave=40000)
    c = config(ledger.path, replica.path, **{"meta-path": fs.mount + "/meta"})
    daemon = litestream.replicate(config=c, prefix=fs.inside)
    daemon.wait_log(MESSAGE)
    commit_without_waiting(ledger, 10)
    make_room()
    litestream.wait_caught_up(ledger.path, replica.path, RECOVERY)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)


def test_the_end_comes_while_there_is_no_room(tiny, litestream, ledger, replica):
    fs = tiny("4m")
    ledger.commit(30, fill_bytes=4000)
    c = config(ledger.path, replica.path, **{"meta-path": fs.mount + "/meta"})
    daemon = litestream.replicate(config=c, prefix=fs.inside)
    litestream.wait_caught_up(ledger.path, replica.path)
    make_room = fs.fill()
    ledger.commit(10, fill_bytes=4000)
    daemon.wait_log(MESSAGE)
    daemon.stop(status=1)  # the last transactions are not saved, and it says so
    assert daemon.lines("final sync failed.*no space left")
    daemon = litestream.replicate(config=c, prefix=fs.inside)
    daemon.wait_log("sync error|disk full")
    commit_without_waiting(ledger, 3)
    make_room()
    litestream.wait_caught_up(ledger.path, replica.path, RECOVERY)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_no_room_on_the_replica(tiny, litestream, ledger):
    fs = tiny("4m")
    replica = fs.mount + "/replica"
    seen = fs.path + "/replica"
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(config=config(ledger.path, replica), prefix=fs.inside)
    litestream.wait_caught_up(ledger.path, seen)
    make_room = fs.fill()
    commit_without_waiting(ledger, 20)
    daemon.wait_log("monitor error.*no space left")
    held = disk.newest_txid(seen)
    commit_without_waiting(ledger, 20)
    # what is there is whole, and capture goes on locally
    whole = litestream.restore("file://" + replica, prefix=fs.inside)
    assert 30 <= lib.Ledger.committed(whole) < ledger.n
    lib.wait_until(lambda: disk.has_all(ledger.path, disk.meta_folder(ledger.path)))
    assert disk.newest_txid(seen) == held
    make_room()
    litestream.wait_caught_up(ledger.path, seen, RECOVERY)
    daemon.wait_log("replica sync recovered")
    daemon.stop()
    lib.assert_same(ledger.path, litestream.restore("file://" + replica, prefix=fs.inside))
    disk.assert_chain(seen)
    assert disk.images(seen) == FIRST_IMAGE


def test_everything_is_on_the_disk_that_is_full(tiny, litestream, tmp_path, replica):
    """Database, WAL and local files share the disk: the application's own writes fail, too."""
    fs = tiny("6m")
    db = fs.mount + "/app.db"
    seen = fs.path + "/app.db"
    first = litestream.writer(db, prefix=fs.inside, limit=30, fill_bytes=4000)
    assert first.process.wait() == 0
    daemon = litestream.replicate(config=config(db, replica.path), prefix=fs.inside)
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0)
    make_room = fs.fill()
    second = litestream.writer(db, prefix=fs.inside, fill_bytes=4000, autocheckpoint=0)
    assert second.process.wait() == 1, "an application with a full disk ends in an error"
    assert "disk is full" in second.process.output()
    make_room()
    third = litestream.writer(db, prefix=fs.inside, limit=second.committed() + 60, fill_bytes=4000)
    third.process.wait()
    assert third.process.status() == 0, third.process.output()
    lib.wait_until(lambda: disk.has_all(seen, replica.path), RECOVERY, "the rest")
    daemon.stop()
    copy = litestream.restore(replica.url)
    assert lib.Ledger.committed(copy) == third.committed() >= second.committed() + 60
    check = (
        "import sys; sys.path.insert(0, sys.argv[1]); import lib; lib.assert_same(*sys.argv[2:])"
    )
    litestream.run(
        "-B", "-c", check, lib.HERE, db, copy, binary=lib.PYTHON, prefix=fs.inside
    )
    disk.assert_chain(replica.path)
