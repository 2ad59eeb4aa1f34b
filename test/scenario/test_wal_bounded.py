"""Under constant writes the WAL stays small by the daemon's own checkpoints; readers and the
application's checkpoints change nothing about that, and cost no full image."""

import threading
import time

import disk
import lib

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]
PAGES = 50  # frames that call for a checkpoint
FRAME = 4096 + 24
# A writer in full flow adds much between two looks, and more until the checkpointer gets hold
# of the write lock in one of its short pauses.
BOUND = 7000 * FRAME

# Lines of the log but those of merges, which come by the clock.
ON_ITS_OWN = "^(?!.*compaction complete)"


def settings(ledger, replica, **more):
    return {
        "path": ledger.path,
        "monitor-interval": "10ms",
        "min-checkpoint-page-count": PAGES,
        "replica": {"path": replica.path, "sync-interval": "10ms"},
        **more,
    }


class Highest:
    """The largest size of the WAL since the last reset, looked at all the time."""

    def __init__(self, db):
        self.db = db
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def reset(self):
        self.bytes = 0

    def _run(self):
        while not self._stop.wait(0.005):
            self.bytes = max(self.bytes, disk.wal_size(self.db))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        print(f"highest: {self.bytes} bytes")
        self._stop.set()
        self._thread.join()


def finish(litestream, daemon, writer, ledger, replica):
    newest = writer.stop()
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()
    copy = litestream.assert_restores(replica.url, ledger.path)
    assert lib.Ledger.committed(copy) == newest
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE
    assert writer.slowest() < 2 * lib.SLOW, "the application was held up"


def more(writer, n):
    """Waits for n more transactions."""
    writer.wait_committed(writer.committed() + n, 60)


def test_constant_writes(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    daemon = litestream.replicate(config={"dbs": [settings(ledger, replica)]})
    writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=4000)
    with Highest(ledger.path) as highest:
        more(writer, 6000)
    assert 0 < highest.bytes < BOUND < 12000 * FRAME
    finish(litestream, daemon, writer, ledger, replica)


def test_a_reader_holds_the_wal_for_a_while(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    daemon = litestream.replicate(config={"dbs": [settings(ledger, replica)]})
    writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=4000)
    reader = lib.connect(ledger.path)
    with Highest(ledger.path) as highest:
        for _ in range(2):
            more(writer, 100)
            reader.execute("BEGIN")
            (seen,) = reader.execute("SELECT count(*) FROM ledger").fetchone()
            highest.reset()
            more(writer, 600)
            held = highest.bytes
            assert held > 600 * FRAME  # nothing can be restarted below a reader
            # it goes on being captured
            url = replica.url
            litestream.wait_replicated(url, seen + 500)
            assert reader.execute("SELECT count(*) FROM ledger").fetchone() == (seen,)
            reader.execute("ROLLBACK")
            more(writer, 300)  # enough for the next attempt
            grown = disk.wal_size(ledger.path)
            highest.reset()
            more(writer, 600)
            assert highest.bytes <= grown + BOUND, "it still grows"
    reader.close()
    finish(litestream, daemon, writer, ledger, replica)


def test_short_readers_without_a_gap(litestream, ledger, replica):
    """Two readers take turns, so that there is always one."""
    ledger.commit(20, fill_bytes=4000)
    daemon = litestream.replicate(config={"dbs": [settings(ledger, replica)]})
    writer = litestream.writer(ledger.path, autocheckpoint=0, fill_bytes=4000)
    readers = [lib.connect(ledger.path), lib.connect(ledger.path)]

    def begin(con):
        con.execute("BEGIN")
        con.execute("SELECT count(*) FROM total").fetchone()

    begin(readers[0])
    target = writer.committed() + 6000
    with Highest(ledger.path) as highest:
        while writer.committed() < target:
            begin(readers[1])
            readers[0].execute("ROLLBACK")
            time.sleep(0.015)  # how long a reader lives
            readers.reverse()
            assert writer.process.running()
    for con in readers:
        con.close()
    assert highest.bytes < BOUND
    finish(litestream, daemon, writer, ledger, replica)


def test_the_application_checkpoints_too(litestream, ledger, replica):
    ledger.commit(20, fill_bytes=4000)
    daemon = litestream.replicate(config={"dbs": [settings(ledger, replica)]})
    modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]
    writer = litestream.writer(
        ledger.path, autocheckpoint=30, fill_bytes=4000, checkpoints=modes, seed=11
    )
    more(writer, 100)
    other = lib.connect(ledger.path)
    other.execute("PRAGMA busy_timeout = 5")
    target = writer.committed() + 6000
    with Highest(ledger.path) as highest:
        for i in range(1 << 30):
            if writer.committed() >= target:
                break
            other.execute(f"PRAGMA wal_checkpoint({modes[i % 4]})")
            time.sleep(0.003)  # leaves the writer something to do
            assert writer.process.running()
    other.close()
    assert 0 < highest.bytes < BOUND
    finish(litestream, daemon, writer, ledger, replica)


def test_an_emptied_wal_costs_no_full_image(litestream, ledger, replica):
    """A maintenance job empties the WAL of an idle database, several times over; then a new
    connection writes, which begins the file with salts of its own making."""
    ledger.commit(20, fill_bytes=4000)
    c = settings(ledger, replica, **{"checkpoint-interval": "50ms"})
    daemon = litestream.replicate(config={"dbs": [c], "logging": {"level": "debug"}})
    job = lib.connect(ledger.path)
    for i in range(1, 6):
        litestream.wait_caught_up(ledger.path, replica.path)
        daemon.wait_log("checkpoint.*complete=true", count=i)
        for _ in range(i):
            assert job.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        assert disk.wal_size(ledger.path) == 0
        book = lib.Ledger(ledger.path)
        book.commit(2, fill_bytes=100)
        book.close()
    litestream.wait_caught_up(ledger.path, replica.path)
    job.close()
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_a_size_limit_of_the_application_cuts_the_wal(litestream, ledger, replica):
    """journal_size_limit cuts the file at each restart: that is no foreign truncation."""
    ledger.con.execute("PRAGMA journal_size_limit = 0")
    ledger.con.execute("PRAGMA wal_autocheckpoint = 0")
    ledger.commit(20, fill_bytes=4000)
    daemon = litestream.replicate(config={"dbs": [settings(ledger, replica)]})
    sizes = set()
    for _ in range(400):
        ledger.commit(1, fill_bytes=4000)
        sizes.add(disk.wal_size(ledger.path))
    assert max(sizes) > 3 * min(sizes)  # it was cut
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_checkpoints_by_time_on_a_quiet_database(litestream, ledger, replica):
    """A few frames are checkpointed when checkpoint-interval is over; then all is quiet."""
    ledger.commit(5, fill_bytes=4000)
    c = settings(ledger, replica, **{"checkpoint-interval": "200ms"})
    daemon = litestream.replicate(config={"dbs": [c], "logging": {"level": "debug"}})
    ledger.commit(2)
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.wait_log("checkpoint.*complete=true")
    ledger.commit()  # begins the WAL anew
    place = disk.wal_place(ledger.path)
    assert place.end < 5 * FRAME
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.wait_log("checkpoint.*complete=true", count=2)
    files, ran = disk.level_names(replica.path), len(daemon.lines("msg=checkpoint"))
    said = daemon.lines(ON_ITS_OWN)
    time.sleep(1.5)  # several intervals in which nothing may happen
    assert disk.level_names(replica.path) == files
    assert len(daemon.lines("msg=checkpoint")) == ran
    assert daemon.lines(ON_ITS_OWN) == said
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)
