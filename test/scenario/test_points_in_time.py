"""A restore to a TXID or a moment is the source as it was then."""

import datetime
import os
import random
import time

import disk
import lib
import pytest

COMMITS = 25


def now_text():
    """Now, in the form of -timestamp, to the microsecond."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class History:
    """A source, a replica and what the source was after each commit."""

    def __init__(self, litestream, folder, db):
        self.litestream = litestream
        self.path = str(folder)
        self.url = "file://" + self.path
        self.db = db
        self.points = []  # (TXID, hash of the image, a moment just after it)

    def mark(self):
        """Waits until the replica has it all, then writes down where it is."""
        self.litestream.wait_caught_up(self.db, self.path)
        txid = disk.newest_txid(self.path)
        names = disk.level_names(self.path)
        stored = os.stat(os.path.join(self.path, "ltx", "0", names[-1])).st_mtime_ns
        lib.wait_until(lambda: time.time_ns() > stored + 2_000_000, what="the clock to move on")
        self.points.append((txid, lib.image_hash(self.db), now_text()))
        at = time.time_ns()
        lib.wait_until(lambda: time.time_ns() > at + 2_000_000, what="the clock to move on")

    def restored(self, *flags):
        return lib.image_hash(self.litestream.restore(self.url, None, *flags))


@pytest.fixture
def history(litestream, ledger, replica):
    rnd = random.Random(5)
    h = History(litestream, replica.path, ledger.path)
    h.before = now_text()
    settings = {
        "path": ledger.path,
        "monitor-interval": "10ms",
        "min-checkpoint-page-count": 20,  # several generations of the WAL
        "replica": {"path": replica.path, "sync-interval": "10ms"},
    }
    ledger.commit(3)
    daemon = litestream.replicate(config={"dbs": [settings]})
    for i in range(COMMITS):
        ledger.commit(1, fill_bytes=rnd.choice([10, 1000, 20000]))
        if i % 7 == 3:
            ledger.con.execute("UPDATE ledger SET fill = randomblob(50) WHERE n % 2 = 0")
        h.mark()
    daemon.stop()
    h.committed = ledger.n
    return h


def test_every_recorded_txid_comes_back_as_it_was(history):
    assert len({p[1] for p in history.points}) == COMMITS
    for txid, image, _ in history.points[::3] + history.points[-1:]:
        assert history.restored("-txid", f"{txid:016x}") == image, f"TXID {txid}"


def test_every_recorded_moment_comes_back_as_it_was(history):
    for txid, image, moment in history.points[:-1:3]:
        assert history.restored("-timestamp", moment) == image, f"TXID {txid} at {moment}"


def test_without_a_point_the_newest_state_comes_back(history):
    assert history.restored() == history.points[-1][1]


def test_points_that_are_not_there_are_refused(history, tmp_path):
    newest = history.points[-1][0]
    out = str(tmp_path / "out.db")

    def refused(*flags):
        done = history.litestream.run("restore", "-o", out, *flags, history.url, status=1)
        assert not os.path.exists(out) and not os.path.exists(out + ".tmp")
        return done.stderr

    assert "timestamp does not exist" in refused("-timestamp", history.before)
    assert "timestamp does not exist" in refused("-timestamp", "2100-01-01T00:00:00Z")
    for txid in (0, newest + 1, 1 << 63):
        assert "no matching backup files available" in refused("-txid", f"{txid:016x}"), txid
    assert "cannot specify" in refused("-txid", f"{newest:016x}", "-timestamp", now_text())
    assert "invalid -timestamp" in refused("-timestamp", "yesterday")
    assert "invalid txid format" in refused("-txid", "12")
