"""Transactions that are unusual in themselves."""

import time

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]


class Life:
    def __init__(self, litestream, ledger, replica, **settings):
        self.litestream, self.ledger, self.replica = litestream, ledger, replica
        self.con = ledger.con
        ledger.commit(30, fill_bytes=4000)
        self.con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, fill BLOB)")
        one = {
            "path": ledger.path,
            "monitor-interval": "10ms",
            "replica": {"path": replica.path, "sync-interval": "10ms"},
            **settings,
        }
        self.daemon = litestream.replicate(config={"dbs": [one], "logging": {"level": "debug"}})
        litestream.wait_caught_up(ledger.path, replica.path)

    def catch_up(self):
        self.litestream.wait_caught_up(self.ledger.path, self.replica.path)

    def finish(self, images=FIRST_IMAGE):
        self.ledger.commit()
        self.catch_up()
        self.daemon.stop()
        assert not self.daemon.lines("level=(ERROR|WARN)"), self.daemon.output()
        self.litestream.assert_restores(self.replica.url, self.ledger.path)
        disk.assert_chain(self.replica.path)
        assert disk.images(self.replica.path) == images


@pytest.fixture
def life(litestream, ledger, replica):
    return lambda **settings: Life(litestream, ledger, replica, **settings)


def test_savepoints_and_what_is_rolled_back_to_them(life):
    one = life()
    con = one.con
    for i in range(20):
        con.execute("BEGIN")
        for depth in range(4):
            con.execute(f"SAVEPOINT s{depth}")
            con.execute("INSERT INTO item (fill) VALUES (randomblob(3000))")
        con.execute(f"ROLLBACK TO s{i % 4}")
        con.execute("INSERT INTO item (fill) VALUES (randomblob(100))")
        con.execute("RELEASE s0" if i % 3 else "RELEASE s" + str(i % 4))
        con.execute("COMMIT")
    one.finish()


def test_spills_that_are_rolled_back_before_smaller_commits(life):
    one = life(**{"min-checkpoint-page-count": 100000})
    con = one.con
    con.execute("PRAGMA wal_autocheckpoint = 0")
    con.execute("PRAGMA cache_size = 5")
    for i in range(100):
        con.execute("BEGIN IMMEDIATE")
        for _ in range(10 + i % 7):
            con.execute("INSERT INTO item (fill) VALUES (randomblob(4000))")
        con.execute("ROLLBACK")
        con.execute("INSERT INTO item (fill) VALUES (randomblob(?))", (10 + 500 * (i % 5),))
        if i % 10 == 0:
            one.catch_up()
    one.finish()


def test_a_large_transaction_that_is_rolled_back_leaves_nothing(life):
    one = life()
    before = disk.newest_txid(one.replica.path)
    one.con.execute("PRAGMA cache_size = 5")
    one.con.execute("BEGIN IMMEDIATE")
    for _ in range(4000):
        one.con.execute("INSERT INTO item (fill) VALUES (randomblob(4000))")
    one.con.execute("ROLLBACK")
    one.finish()
    assert disk.newest_txid(one.replica.path) == before + 1


def test_frames_above_the_size_that_a_transaction_ends_with(life):
    one = life()
    one.con.execute("PRAGMA auto_vacuum = 1")
    one.con.execute("VACUUM")
    one.con.execute("PRAGMA cache_size = 5")
    for n in (50, 200, 20):
        one.con.execute("BEGIN IMMEDIATE")
        for _ in range(n):
            one.con.execute("INSERT INTO item (fill) VALUES (randomblob(5000))")
        one.con.execute("DELETE FROM item")
        one.con.execute("COMMIT")
        one.catch_up()
    for f in disk.level(one.replica.path):
        assert max(f.pages) <= f.commit, f.name
    one.finish(images=disk.images(one.replica.path))


def test_commits_that_write_what_is_there_already(life):
    one = life()
    one.con.execute("INSERT INTO item (id, fill) VALUES (1, zeroblob(100))")
    one.catch_up()
    one.con.execute("PRAGMA wal_autocheckpoint = 0")
    for _ in range(30):
        before = disk.wal_place(one.ledger.path)
        with lib.transaction(one.con):  # SQLite does not write a page for an equal value
            one.con.execute("UPDATE item SET fill = randomblob(100) WHERE id = 1")
            one.con.execute("UPDATE item SET fill = zeroblob(100) WHERE id = 1")
        assert disk.wal_place(one.ledger.path) != before
    one.finish()


def test_a_file_for_every_commit_when_a_frame_is_the_limit(life):
    one = life(**{"max-sync-wal-bytes": 4096 + 24})
    one.con.execute("PRAGMA wal_autocheckpoint = 0")
    before = disk.newest_txid(one.replica.path)
    place = disk.wal_place(one.ledger.path)
    for i in range(200):
        one.con.execute(f"PRAGMA user_version = {i + 1}")
    frames = (disk.wal_place(one.ledger.path).end - place.end) // (4096 + 24)
    one.catch_up()
    files = [f for f in disk.level(one.replica.path) if f.min_txid > before]
    assert frames == 200
    assert 20 < len(files) <= 201, "files that hold more than the limit says"
    one.finish()


def test_commits_as_fast_as_possible(life):
    one = life(**{"monitor-interval": "200ms"})
    one.con.execute("PRAGMA synchronous = OFF")
    before = disk.newest_txid(one.replica.path)
    begin = time.monotonic()
    for _ in range(20000):
        one.con.execute("INSERT INTO item (fill) VALUES (randomblob(20))")
    seconds = time.monotonic() - begin
    one.catch_up()
    files = disk.newest_txid(one.replica.path) - before
    assert files <= (seconds + 1) / 0.2 + 10, f"{files} files in {seconds:.1f} s"
    one.finish()


def test_an_application_that_checkpoints_at_every_commit(life):
    one = life()
    one.con.execute("PRAGMA wal_autocheckpoint = 1")
    for _ in range(2000):
        one.con.execute("INSERT INTO item (fill) VALUES (randomblob(300))")
    one.finish()


def test_a_write_lock_that_is_held_for_long(life, ledger):
    one = life(**{"min-checkpoint-page-count": 1})
    other = lib.connect(ledger.path)
    one.con.execute("INSERT INTO item (fill) VALUES (randomblob(300))")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO item (fill) VALUES ('late')")
    lib.wait_until(lambda: disk.has_all(ledger.path, one.replica.path), 20, "what was committed")
    time.sleep(1)  # long is what it is about: checkpoints are due all the time
    assert not one.daemon.lines("level=(ERROR|WARN)"), one.daemon.output()
    other.execute("COMMIT")
    other.close()
    one.finish()


def test_two_databases_in_one_transaction(litestream, ledger, tmp_path):
    """Each comes back as a committed state of its own."""
    second = lib.Ledger(tmp_path / "second.db")
    dbs = [
        {
            "path": str(book.path),
            "monitor-interval": "10ms",
            "replica": {"path": f"{book.path}-replica", "sync-interval": "10ms"},
        }
        for book in (ledger, second)
    ]
    daemon = litestream.replicate(config={"dbs": dbs})
    con = ledger.con
    con.execute("ATTACH ? AS other", (second.path,))
    for n in range(1, 101):
        con.execute("BEGIN IMMEDIATE")
        for schema in ("main", "other"):
            con.execute(f"INSERT INTO {schema}.ledger VALUES (?, randomblob(500))", (n,))
            con.execute(f"UPDATE {schema}.total SET n = ?", (n,))
        con.execute("COMMIT")
    con.execute("DETACH other")
    daemon.stop()
    for one in dbs:
        copy = litestream.assert_restores("file://" + one["replica"]["path"], one["path"])
        assert lib.Ledger.committed(copy) == 100
    second.close()
