"""A database that is not there yet, is no database, goes away, is replaced, or is not in WAL
mode."""

import os
import shutil
import sqlite3

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]


class Site:
    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.db = str(folder / "app.db")
        self.replica = str(folder / "replica")
        self.url = "file://" + self.replica

    def start(self, **more):
        db = {
            "path": self.db,
            "monitor-interval": "50ms",
            "replica": {"path": self.replica, "sync-interval": "20ms"},
            **more,
        }
        return self.litestream.replicate(config={"dbs": [db]})

    def caught_up(self, timeout=20):
        self.litestream.wait_caught_up(self.db, self.replica, timeout)

    def assert_restores(self):
        copy = self.litestream.assert_restores(self.url, self.db)
        disk.assert_chain(self.replica)
        return copy

    def at(self, txid):
        return self.litestream.restore(self.url, None, "-txid", f"{txid:016x}")


@pytest.fixture
def site(litestream, tmp_path):
    return Site(litestream, tmp_path)


def test_a_database_that_is_made_later(site):
    daemon = site.start()
    daemon.wait_log("waiting for database")
    assert not os.path.exists(site.db) and not os.path.exists(site.replica)
    book = lib.Ledger(site.db)
    book.commit(5)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_a_database_that_is_never_made(site):
    daemon = site.start()
    daemon.wait_log("waiting for database")
    daemon.stop()
    assert not os.path.exists(site.db) and not os.path.exists(site.db + "-wal")


def test_the_folder_of_the_database_is_made_later(site, tmp_path):
    site.db = str(tmp_path / "later" / "deeper" / "app.db")
    daemon = site.start()
    daemon.wait_log("waiting for database")
    os.makedirs(os.path.dirname(site.db))
    book = lib.Ledger(site.db)
    book.commit(5)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_an_empty_file_becomes_a_database(site):
    with open(site.db, "wb"):
        pass
    daemon = site.start()
    daemon.wait_log("waiting for database")
    assert os.path.getsize(site.db) == 0
    book = lib.Ledger(site.db)
    book.commit(5)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_a_file_that_is_no_database_is_said_once_and_may_be_replaced(site, tmp_path):
    with open(site.db, "wb") as f:
        f.write(b"no database at all " * 1000)
    daemon = site.start()
    daemon.wait_log("not a SQLite database")
    made = str(tmp_path / "made.db")
    book = lib.Ledger(made)
    book.commit(5)
    book.close()
    os.rename(made, site.db)
    lib.wait_until(lambda: disk.newest_txid(site.replica) > 0, 20, "replication of the real one")
    assert len(daemon.lines("not a SQLite database")) == 1
    book = lib.Ledger(site.db)
    book.commit(5)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_a_database_is_deleted_and_made_again(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    book.commit(3)
    site.caught_up()
    old_txid, old = disk.newest_txid(site.replica), lib.image_hash(site.db)
    book.close()
    lib.remove_database(site.db)
    daemon.wait_log("waiting for database")
    assert not os.path.exists(site.db)
    assert lib.image_hash(site.litestream.restore(site.url)) == old
    book = lib.Ledger(site.db)
    book.commit(7)
    site.caught_up()
    daemon.stop()
    copy = site.assert_restores()
    assert lib.Ledger.committed(copy) == 7
    assert lib.image_hash(site.at(old_txid)) == old
    book.close()


def test_what_was_committed_just_before_a_database_was_deleted_is_saved(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start(**{"monitor-interval": "1s"})
    site.caught_up()
    book.commit(10)
    image = lib.image_hash(site.db)
    lib.remove_database(site.db)  # within the interval, with the application still there
    daemon.wait_log("waiting for database")
    lib.wait_until(
        lambda: lib.image_hash(site.litestream.restore(site.url)) == image, 20, "the last commits"
    )
    daemon.stop()
    book.close()


def test_a_database_is_replaced_by_another_one(site, tmp_path):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    old_txid, old = disk.newest_txid(site.replica), lib.image_hash(site.db)
    book.close()
    made = str(tmp_path / "made.db")
    other = lib.Ledger(made)
    other.commit(12, fill_bytes=100)
    other.close()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(site.db + suffix):
            os.unlink(site.db + suffix)
    os.rename(made, site.db)
    daemon.wait_log("replaced")
    book = lib.Ledger(site.db)
    book.commit()
    site.caught_up()
    daemon.stop()
    copy = site.assert_restores()
    assert lib.Ledger.committed(copy) == 13
    assert lib.image_hash(site.at(old_txid)) == old
    book.close()


def test_the_wal_is_deleted_by_hand(site):
    """What was captured before stays on the replica; the database goes on as SQLite sees it."""
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    book.close()
    os.unlink(site.db + "-wal")
    daemon.wait_log("replaced|missing")
    book = lib.Ledger(site.db)
    book.commit(3)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_a_rollback_journal_database_is_switched_to_wal(site):
    con = sqlite3.connect(site.db, isolation_level=None)
    assert con.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    con.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, fill BLOB)")
    con.execute("INSERT INTO t (fill) VALUES (randomblob(9000))")
    daemon = site.start()
    lib.wait_until(lambda: disk.newest_txid(site.replica) > 0, what="first image")
    con.execute("INSERT INTO t (fill) VALUES (randomblob(9000))")
    assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    con.close()


def test_a_rollback_journal_database_that_is_in_use_is_switched_later(site):
    con = sqlite3.connect(site.db, isolation_level=None)
    con.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    con.execute("BEGIN IMMEDIATE")
    con.execute("INSERT INTO t VALUES (1)")
    daemon = site.start(**{"busy-timeout": "20ms"})
    daemon.wait_log("locked")
    con.execute("COMMIT")
    lib.wait_until(lambda: disk.newest_txid(site.replica) > 0, 30, "first image")
    con.execute("INSERT INTO t VALUES (2)")
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    con.close()


def test_an_application_cannot_leave_wal_mode_under_the_daemon(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    book.con.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        book.con.execute("PRAGMA journal_mode = delete")
    book.commit(3)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    assert disk.images(site.replica) == FIRST_IMAGE
    book.close()


def test_a_database_left_wal_mode_while_the_daemon_was_away(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    daemon.stop()
    assert book.con.execute("PRAGMA journal_mode = delete").fetchone() == ("delete",)
    book.commit(3)
    daemon = site.start()
    lib.wait_until(lambda: disk.newest_txid(site.replica) > 1, what="an image")
    book.commit(2)
    site.caught_up()
    daemon.stop()
    assert lib.Ledger.committed(site.assert_restores()) == book.n
    book.close()


def test_another_page_size_after_a_stop(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    daemon.stop()
    old_txid, old = disk.newest_txid(site.replica), lib.image_hash(site.db)
    book.con.execute("PRAGMA journal_mode = delete")
    book.con.execute("PRAGMA page_size = 8192")
    book.con.execute("VACUUM")
    assert book.con.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
    book.commit(2)
    daemon = site.start()
    site.caught_up()
    book.commit(2)
    site.caught_up()
    daemon.stop()
    site.litestream.assert_restores(site.url, site.db)
    assert lib.image_hash(site.at(old_txid)) == old
    book.close()


@pytest.mark.parametrize("last", ["application", "daemon"])
def test_the_next_start_goes_on_whoever_closed_last(site, last):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    for _ in range(3):
        daemon = site.start()
        book.commit(2)
        site.caught_up()
        if last == "daemon":
            book.close()
            daemon.stop()
        else:
            daemon.stop()
            book.close()
        assert os.path.exists(site.db + "-wal") == (last == "daemon")
        book = lib.Ledger(site.db)
    book.commit()
    daemon = site.start()
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    if last == "daemon":
        assert disk.images(site.replica) == FIRST_IMAGE
    else:  # the WAL was deleted each time: an image tells what nobody has seen
        assert len(disk.images(site.replica)) <= 4
    book.close()


def test_the_local_folder_is_lost_while_the_daemon_is_away(site):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    daemon.stop()
    book.commit(3)
    lib.remove_meta(site.db)
    before = disk.newest_txid(site.replica)
    daemon = site.start()
    site.caught_up()
    assert disk.newest_txid(site.replica) == before + 1  # TXIDs go on
    book.commit(3)
    site.caught_up()
    daemon.stop()
    site.assert_restores()
    book.close()


def test_an_older_backup_is_put_in_place_and_replicated_further(site, tmp_path):
    book = lib.Ledger(site.db)
    book.commit(30, fill_bytes=4000)
    daemon = site.start()
    site.caught_up()
    then, then_image = disk.newest_txid(site.replica), lib.image_hash(site.db)
    book.commit(10)
    site.caught_up()
    daemon.stop()
    later, later_image = disk.newest_txid(site.replica), lib.image_hash(site.db)
    book.close()
    backup = site.at(then)
    lib.remove_database(site.db)
    shutil.copy(backup, site.db)
    daemon = site.start()
    book = lib.Ledger(site.db)
    book.commit(2, fill_bytes=50)
    site.caught_up()
    daemon.stop()
    assert lib.Ledger.committed(site.assert_restores()) == 32
    assert lib.image_hash(site.at(then)) == then_image
    assert lib.image_hash(site.at(later)) == later_image
    book.close()
