"""Checkpoints beside readers and beside those of the application: writers never fail, nothing is
written without need, and no full image is made."""

import threading
import time

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]
PAGES = 50  # frames that call for a checkpoint
FRAME = 4096 + 24
WARNING = "checkpoint blocked by a long-running reader"


def settings(ledger, replica, **more):
    return {
        "path": ledger.path,
        "monitor-interval": "10ms",
        "min-checkpoint-page-count": PAGES,
        "replica": {"path": replica.path, "sync-interval": "10ms"},
        **more,
    }


def start(litestream, *args, **more):
    c = {"dbs": [settings(*args, **more)], "logging": {"level": "debug"}}
    return litestream.replicate(config=c)


def finish(litestream, daemon, ledger, replica):
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def begin(con):
    con.execute("BEGIN")
    return con.execute("SELECT count(*) FROM ledger").fetchone()[0]


def own_writes(ledger):
    """How often litestream wrote into the database."""
    row = ledger.con.execute("SELECT seq FROM _litestream_seq").fetchone()
    return row[0] if row else 0


def test_a_reader_that_stays_is_reported_once_and_costs_nothing(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    daemon = start(litestream, ledger, replica)
    litestream.wait_caught_up(ledger.path, replica.path)
    reader = lib.connect(ledger.path)
    seen = begin(reader)
    ledger.con.execute("PRAGMA wal_autocheckpoint = 0")
    ledger.commit(5 * PAGES, fill_bytes=4000)
    litestream.wait_caught_up(ledger.path, replica.path)
    # from here on the application is idle, for several attempts
    daemon.wait_log("checkpoint.*complete=false")
    files, size = disk.level_names(replica.path), disk.wal_size(ledger.path)
    writes, place = own_writes(ledger), disk.wal_place(ledger.path)
    daemon.wait_log(WARNING, timeout=40)
    assert disk.level_names(replica.path) == files and own_writes(ledger) == writes
    assert disk.wal_size(ledger.path) == size and disk.wal_place(ledger.path) == place
    assert f"wal_size={place.end}" in daemon.lines(WARNING)[0]
    assert "hint=" in daemon.lines(WARNING)[0]
    attempts = len(daemon.lines("complete=false"))
    assert 3 <= attempts < 20  # a second, doubling
    # it writes again; more attempts are made, nothing more is said
    while len(daemon.lines("complete=false")) < attempts + 3:
        ledger.commit(10, fill_bytes=4000)
        litestream.wait_caught_up(ledger.path, replica.path)
    assert len(daemon.lines(WARNING)) == 1
    assert reader.execute("SELECT count(*) FROM ledger").fetchone() == (seen,)
    assert disk.wal_place(ledger.path).salts == place.salts
    reader.close()

    def restarted():
        ledger.commit(10, fill_bytes=4000)
        return disk.wal_place(ledger.path).salts != place.salts

    lib.wait_until(restarted, 20, "a restart of the WAL")
    daemon.wait_log("checkpoint is no longer blocked")
    finish(litestream, daemon, ledger, replica)


def test_writers_are_not_held_up_for_a_reader_that_stays(litestream, ledger, replica):
    """Far beyond truncate-page-n: what cannot succeed is not tried at the writers' cost."""
    ledger.commit(20, fill_bytes=4000)
    daemon = start(litestream, ledger, replica, **{"truncate-page-n": 100})
    litestream.wait_caught_up(ledger.path, replica.path)
    reader = lib.connect(ledger.path)
    begin(reader)
    writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=4000, pause=0.001)
    writer.wait_committed(writer.committed() + 2000, 60)
    daemon.wait_log("complete=false", count=10)
    assert not daemon.lines("forcing truncate checkpoint")
    reader.close()
    writer.wait_committed(writer.committed() + 200, 60)
    writer.stop()
    assert writer.slowest() < 0.5 * lib.SLOW  # busy-timeout is a second
    assert disk.wal_size(ledger.path) > 2000 * FRAME or daemon.lines("wal file is cut")
    finish(litestream, daemon, ledger, replica)


def test_the_limit_bounds_the_wal_below_readers_without_a_gap(litestream, ledger, replica):
    """Readers that overlap live longer than writers are usually held up for them."""
    ledger.commit(20, fill_bytes=4000)
    daemon = start(litestream, ledger, replica, **{"truncate-page-n": 200})
    writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=4000, pause=0.002)
    readers = [lib.connect(ledger.path), lib.connect(ledger.path)]
    begin(readers[0])
    writer.wait_committed(1)
    generations, highest = set(), 0
    deadline = time.monotonic() + 60 * lib.SLOW
    while len(daemon.lines("forcing truncate checkpoint")) < 3:
        assert time.monotonic() < deadline and writer.process.running()
        begin(readers[1])
        time.sleep(0.05)  # how long a reader lives
        readers[0].execute("ROLLBACK")
        readers.reverse()
        generations.add(disk.wal_place(ledger.path).salts)
        highest = max(highest, disk.wal_size(ledger.path))
    for con in readers:
        con.close()
    written = writer.stop()
    assert len(generations) >= 3
    assert highest < 10000 * FRAME * lib.SLOW and highest * 1.5 < written * 3 * FRAME
    assert writer.slowest() < 2 * lib.SLOW
    (line, *_) = daemon.lines("forcing truncate checkpoint")
    assert "wal_size=" in line and f"threshold={32 + 200 * FRAME}" in line
    ledger.n = written
    finish(litestream, daemon, ledger, replica)


def test_the_limit_is_reached_and_an_ordinary_checkpoint_is_enough(litestream, ledger, replica):
    ledger.con.execute("PRAGMA wal_autocheckpoint = 0")
    ledger.commit(300, fill_bytes=4000)
    more = {"truncate-page-n": 100, "min-checkpoint-page-count": 100}
    daemon = start(litestream, ledger, replica, **more)
    daemon.wait_log("checkpoint.*complete=true")
    ledger.commit()
    daemon.wait_log("wal restarted by passive checkpoint, skipping truncate checkpoint")
    assert not daemon.lines("forcing truncate checkpoint")
    finish(litestream, daemon, ledger, replica)


def test_after_a_spike_the_wal_file_becomes_small_again(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    ledger.con.execute("PRAGMA wal_autocheckpoint = 0")
    daemon = start(litestream, ledger, replica)
    litestream.wait_caught_up(ledger.path, replica.path)
    reader = lib.connect(ledger.path)
    begin(reader)
    ledger.commit(20 * PAGES, fill_bytes=4000)
    spike = disk.wal_size(ledger.path)
    assert spike > 40 * PAGES * FRAME
    reader.close()

    def small():
        ledger.commit(10, fill_bytes=4000)
        litestream.wait_caught_up(ledger.path, replica.path)
        return disk.wal_size(ledger.path) < 8 * PAGES * FRAME

    lib.wait_until(small, 20, "a small WAL")
    lib.wait_until(lambda: own_writes(ledger) > 0, 5, "the write that cut it")
    writes = own_writes(ledger)
    assert writes == 1
    for _ in range(10):
        ledger.commit(2 * PAGES, fill_bytes=4000)
        litestream.wait_caught_up(ledger.path, replica.path)
    assert own_writes(ledger) == writes
    files = disk.level_names(replica.path)
    lines = len(daemon.lines("msg=checkpoint"))
    time.sleep(1)  # nothing may happen
    assert disk.level_names(replica.path) == files
    assert len(daemon.lines("msg=checkpoint")) == lines
    finish(litestream, daemon, ledger, replica)


def test_the_application_checkpoints_after_each_commit(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    daemon = start(litestream, ledger, replica)
    litestream.wait_caught_up(ledger.path, replica.path)
    writer = litestream.writer(ledger.path, autocheckpoint=1, fill_bytes=200, limit=20000)
    writer.wait_committed(20000, 120)
    assert writer.process.wait() == 0  # it ends at its limit
    assert writer.slowest() < 1 * lib.SLOW
    ledger.n = 20000
    finish(litestream, daemon, ledger, replica)


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_the_application_checkpoints_all_the_time(litestream, ledger, replica, mode):
    ledger.commit(20, fill_bytes=4000)
    daemon = start(litestream, ledger, replica)
    litestream.wait_caught_up(ledger.path, replica.path)
    stop = threading.Event()
    ran = []

    def loop():
        con = lib.connect(ledger.path)
        con.execute("PRAGMA busy_timeout = 1")
        while not stop.is_set():
            ran.append(con.execute(f"PRAGMA wal_checkpoint({mode})").fetchone())
            stop.wait(0.003)  # leaves the writer something to do
        con.close()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=1000, pause=0.001)
        writer.wait_committed(1000, 60)
        written = writer.stop()
    finally:
        stop.set()
        thread.join()
    assert len(ran) > 100
    assert daemon.lines("checkpoint.*mode=PASSIVE")
    ledger.n = written
    # what the last of them left may be an empty WAL
    ledger.commit()
    finish(litestream, daemon, ledger, replica)


def test_the_database_has_no_room_for_what_is_in_its_wal(tiny, litestream, tmp_path, replica):
    """Commits are captured, attempts to copy them are few, and nothing is lost."""
    fs = tiny("12m")
    db, seen = fs.mount + "/app.db", fs.path + "/app.db"
    first = litestream.writer(db, prefix=fs.inside, fill_bytes=4000, autocheckpoint=0, pause=0.001)
    first.wait_committed(250)
    first.process.kill()  # one that ends by itself would copy what is in the WAL
    make_room = fs.fill(leave=200_000)
    config = {
        "path": db,
        "meta-path": str(tmp_path / "meta"),
        "monitor-interval": "10ms",
        "min-checkpoint-page-count": PAGES,
        "replica": {"path": replica.path, "sync-interval": "10ms"},
    }
    c = {"dbs": [config], "logging": {"level": "debug"}}
    daemon = litestream.replicate(config=c, prefix=fs.inside)
    daemon.wait_log("disk full while copying", count=3, timeout=40)
    place = disk.wal_place(seen)
    assert place.end > 32 + 500 * FRAME
    lib.wait_until(lambda: disk.has_all(seen, replica.path), 20, "all commits")
    time.sleep(1)  # attempts are paused for longer than that by now
    assert len(daemon.lines("disk full while copying")) < 6
    assert not daemon.lines("complete=true")
    assert disk.wal_place(seen).salts == place.salts
    make_room()
    daemon.wait_log("complete=true", timeout=60)
    second = litestream.writer(db, prefix=fs.inside, limit=first.committed() + 5)
    assert second.process.wait() == 0, second.process.output()
    lib.wait_until(lambda: disk.has_all(seen, replica.path), 20, "the rest")
    assert disk.wal_place(seen).salts != place.salts
    daemon.stop()
    assert lib.Ledger.committed(litestream.restore(replica.url)) == second.committed()
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE
