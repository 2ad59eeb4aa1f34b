"""Two replicas of one database: one that is broken for a while does not hold up the other, and
catches up when it is mended."""

import os
import shutil
import signal

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]


class Broken:
    """A replica's folder that is replaced by a plain file: nothing can be listed or written."""

    def __init__(self, path):
        self.path = path
        self.kept = path + ".kept"

    def break_it(self):
        if os.path.exists(self.path):
            os.rename(self.path, self.kept)
        with open(self.path, "w", encoding="ascii") as f:
            f.write("not a folder\n")

    def mend(self):
        os.unlink(self.path)
        if os.path.exists(self.kept):
            os.rename(self.kept, self.path)


class Pair:
    def __init__(self, litestream, folder, db):
        self.litestream = litestream
        self.db = db
        self.good = str(folder / "good")
        self.bad = str(folder / "bad")
        self.fault = Broken(self.bad)

    def start(self, **more):
        replicas = [
            {"name": "first", "path": self.bad, "sync-interval": "20ms"},
            {"name": "second", "path": self.good, "sync-interval": "20ms"},
        ]
        db = {"path": self.db, "monitor-interval": "20ms", "replicas": replicas, **more}
        return self.litestream.replicate(config={"dbs": [db]})

    def wait_good(self):
        self.litestream.wait_caught_up(self.db, self.good, 10)

    def wait_bad(self):
        self.litestream.wait_caught_up(self.db, self.bad, 30)

    def assert_both_complete(self):
        for folder in (self.good, self.bad):
            self.litestream.assert_restores("file://" + folder, self.db)
            disk.assert_chain(folder)
            assert disk.images(folder) == FIRST_IMAGE
        assert disk.level_names(self.good) == disk.level_names(self.bad)


@pytest.fixture
def pair(litestream, tmp_path, ledger):
    ledger.commit(30, fill_bytes=4000)
    return Pair(litestream, tmp_path, ledger.path)


def commit_and_see_them_on_the_good_one(pair, ledger, n):
    for _ in range(n):
        ledger.commit(3)
        pair.wait_good()


def stop_without_waiting(daemon):
    """Two signals, of which the second says that nobody waits for a broken replica."""
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("signal received")  # two that are pending at once count as one
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 1


def test_one_breaks_and_is_mended_while_the_other_goes_on(pair, ledger):
    daemon = pair.start()
    pair.wait_good()
    pair.wait_bad()
    for _ in range(2):
        pair.fault.break_it()
        commit_and_see_them_on_the_good_one(pair, ledger, 10)
        assert not disk.level_names(pair.bad)
        pair.fault.mend()
        commit_and_see_them_on_the_good_one(pair, ledger, 3)
        pair.wait_bad()
    assert daemon.lines("monitor error") and daemon.lines("replica sync recovered")
    daemon.stop()
    pair.assert_both_complete()


def test_one_is_broken_from_the_start(pair, ledger):
    pair.fault.break_it()
    daemon = pair.start()
    commit_and_see_them_on_the_good_one(pair, ledger, 10)
    pair.fault.mend()
    pair.wait_bad()
    ledger.commit(5)
    daemon.stop()
    pair.assert_both_complete()


def test_one_is_broken_over_a_restart_and_at_the_end(pair, ledger):
    daemon = pair.start()
    pair.wait_good()
    pair.wait_bad()
    pair.fault.break_it()
    commit_and_see_them_on_the_good_one(pair, ledger, 3)
    stop_without_waiting(daemon)
    assert "did not reach every replica" in daemon.output()
    ledger.commit(3)
    daemon = pair.start()
    commit_and_see_them_on_the_good_one(pair, ledger, 3)
    pair.fault.mend()
    pair.wait_bad()
    daemon.stop()
    pair.assert_both_complete()


def test_one_is_added_later(pair, ledger, litestream):
    daemon = litestream.replicate(pair.db, "file://" + pair.good)
    pair.wait_good()
    commit_and_see_them_on_the_good_one(pair, ledger, 3)
    daemon.stop()
    daemon = pair.start()
    ledger.commit(3)
    pair.wait_bad()
    daemon.stop()
    pair.assert_both_complete()


def test_one_is_lost_altogether_and_filled_again(pair, ledger):
    daemon = pair.start()
    pair.wait_bad()
    commit_and_see_them_on_the_good_one(pair, ledger, 3)
    daemon.stop()
    shutil.rmtree(pair.bad)
    daemon = pair.start()
    ledger.commit(3)
    pair.wait_bad()
    daemon.stop()
    pair.assert_both_complete()


def test_restore_takes_the_replica_that_reaches_further(pair, ledger, tmp_path):
    daemon = pair.start()
    pair.wait_good()
    pair.wait_bad()
    behind = lib.Ledger.committed(pair.litestream.restore("file://" + pair.bad))
    pair.fault.break_it()
    commit_and_see_them_on_the_good_one(pair, ledger, 2)
    stop_without_waiting(daemon)
    pair.fault.mend()
    config = str(tmp_path / "litestream-0.yml")
    copy = pair.litestream.restore(pair.db, None, "-config", config)
    assert lib.Ledger.committed(copy) == ledger.n > behind
    pair.fault.break_it()  # cannot even be listed
    lib.assert_same(pair.db, pair.litestream.restore(pair.db, None, "-config", config))
    one = pair.litestream.run(
        "restore", "-config", config, "-replica", "first", "-o", copy + "2", pair.db, status=1
    )
    assert "ot a directory" in one.stderr
