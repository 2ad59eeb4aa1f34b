"""A missing database is restored before it is replicated; nothing else is ever replaced."""

import os

import disk
import lib
import pytest

FLAG = "-restore-if-db-not-exists"


@pytest.fixture
def saved(litestream, ledger, replica):
    """A replica of a database whose machine is gone."""
    ledger.commit(12)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    ledger.close()
    lib.remove_database(ledger.path)
    lib.remove_meta(ledger.path)
    return ledger.path


def test_a_missing_database_comes_back_and_goes_on(litestream, saved, replica):
    daemon = litestream.replicate(FLAG, saved, replica.url)
    daemon.wait_log("restore completed")
    daemon.wait_log("initialized db")
    assert lib.Ledger.committed(saved) == 12
    book = lib.Ledger(saved)
    book.commit(3)
    litestream.wait_caught_up(saved, replica.path)
    litestream.assert_restores(replica.url, saved)
    assert lib.Ledger.committed(litestream.restore(replica.url)) == 15
    book.close()
    daemon.stop()


def test_the_key_of_the_configuration_does_the_same(litestream, saved, replica):
    db = {"path": saved, "restore-if-db-not-exists": True, "replica": {"path": replica.path}}
    daemon = litestream.replicate(config={"dbs": [db]})
    daemon.wait_log("initialized db")
    assert lib.Ledger.committed(saved) == 12
    daemon.stop()


def test_one_that_is_there_stays(litestream, saved, replica):
    book = lib.Ledger(saved)
    book.commit(1)
    daemon = litestream.replicate(FLAG, saved, replica.url)
    daemon.wait_log("database exists, skipping restore")
    daemon.wait_log("initialized db")
    assert lib.Ledger.committed(saved) == 1
    book.close()
    daemon.stop()


def test_without_a_backup_it_starts_fresh(litestream, replica, tmp_path):
    db = str(tmp_path / "new.db")
    daemon = litestream.replicate(FLAG, db, replica.url)
    daemon.wait_log("no backup found, starting fresh")
    daemon.wait_log("initialized db")
    assert not os.path.exists(db)
    book = lib.Ledger(db)
    book.commit(2)
    litestream.wait_caught_up(db, replica.path)
    book.close()
    daemon.stop()


def test_a_backup_that_does_not_restore_ends_it(litestream, saved, replica):
    victim = os.path.join(replica.path, "ltx", "0", disk.level_names(replica.path)[0])
    with open(victim, "r+b") as f:
        f.seek(200)
        f.write(b"rotten")
    done = litestream.run("replicate", FLAG, saved, replica.url, status=1)
    assert f"restore failed: {saved}" in done.stderr
    assert "initialized db" not in done.stdout + done.stderr
    assert not os.path.exists(saved) and not os.path.exists(saved + ".tmp")


def test_several_at_once(litestream, tmp_path):
    dbs = []
    for i in range(9):
        book = lib.Ledger(tmp_path / f"{i}.db")
        book.commit(i + 1)
        litestream.run("replicate", "-once", book.path, f"file://{tmp_path}/replica-{i}")
        book.close()
        lib.remove_database(book.path)
        lib.remove_meta(book.path)
        dbs.append(
            {
                "path": book.path,
                "restore-if-db-not-exists": True,
                "replica": {"path": f"{tmp_path}/replica-{i}"},
            }
        )
    daemon = litestream.replicate(config={"dbs": dbs})
    daemon.wait_log("initialized db", count=9)
    assert [lib.Ledger.committed(db["path"]) for db in dbs] == list(range(1, 10))
    daemon.stop()
