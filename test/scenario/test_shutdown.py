"""The end of a daemon: the last commits are saved, it ends in time and says whether it could."""

import os
import signal
import time

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]


def break_replica(path):
    """A plain file in the place of the folder."""
    if os.path.exists(path):
        os.rename(path, path + ".kept")
    with open(path, "w", encoding="ascii") as f:
        f.write("not a folder\n")


def mend_replica(path):
    os.unlink(path)
    if os.path.exists(path + ".kept"):
        os.rename(path + ".kept", path)


def config(db, replica, **more):
    db = {
        "path": str(db),
        "monitor-interval": "1h",  # only the end captures anything
        "replica": {"path": str(replica), "sync-interval": "1h"},
    }
    return {"dbs": [db], **more}


@pytest.mark.parametrize(
    "number, name", [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupt")]
)
def test_a_signal_saves_the_last_commits_and_ends_with_status_0(
    litestream, ledger, replica, number, name
):
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(config=config(ledger.path, replica.path))
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1, what="first image")
    ledger.commit(20)
    daemon.signal(number)
    assert daemon.wait() == 0
    assert daemon.lines(f"signal received, litestream shutting down.*signal={name}")
    assert daemon.lines("litestream shut down")
    assert disk.newest_txid(replica.path) == 2
    litestream.assert_restores(replica.url, ledger.path)


def test_a_database_that_came_at_the_last_moment_is_saved(litestream, ledger, replica, tmp_path):
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(config=config(ledger.path, replica.path))
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1, what="first image")
    worker = daemon.wait_worker(ledger.path)
    other = lib.Ledger(tmp_path / "other.db")
    other.commit(7)
    other.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    ledger.close()
    for pid in (daemon.pid, worker):
        os.kill(pid, signal.SIGSTOP)  # it notices nothing before the end
    for suffix in ("-wal", "-shm"):
        os.unlink(ledger.path + suffix)
    os.rename(other.path, ledger.path)
    other = lib.Ledger(ledger.path)
    other.commit(2)
    daemon.signal(signal.SIGTERM)
    for pid in (worker, daemon.pid):
        os.kill(pid, signal.SIGCONT)
    assert daemon.wait() == 0, daemon.output()
    copy = litestream.restore(replica.url)
    assert lib.Ledger.committed(copy) == 9
    other.close()


def test_twenty_stops_and_starts_without_a_write_in_between(litestream, ledger, replica):
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(ledger.path, replica.url)
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0)
    daemon.stop()
    files = disk.level_names(replica.path)
    for _ in range(8):
        daemon = litestream.replicate(ledger.path, replica.url)
        daemon.wait_worker(ledger.path)
        daemon.stop()
    assert disk.level_names(replica.path) == files
    for _ in range(4):
        daemon = litestream.replicate(ledger.path, replica.url)
        daemon.wait_log("replicating to")
        ledger.commit()
        daemon.stop()
        lib.assert_same(ledger.path, litestream.restore(replica.url))
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == FIRST_IMAGE


def test_the_end_is_in_time_while_the_application_keeps_writing(litestream, ledger, replica):
    ledger.commit(30, fill_bytes=4000)
    db = {
        "path": ledger.path,
        "monitor-interval": "10ms",
        "replica": {"path": replica.path, "sync-interval": "10ms"},
    }
    daemon = litestream.replicate(config={"dbs": [db]})
    writer = litestream.writer(ledger.path, fill_bytes=2000)
    writer.wait_committed(200)
    at_stop = writer.committed()
    begin = time.monotonic()
    daemon.stop()
    assert time.monotonic() - begin < 10 * lib.SLOW
    newest = writer.stop()
    copy = litestream.restore(replica.url)
    assert at_stop <= lib.Ledger.committed(copy) <= newest
    disk.assert_chain(replica.path)


def test_a_second_signal_does_not_wait_for_a_replica_that_is_away(litestream, ledger, replica):
    ledger.commit(5)
    c = config(ledger.path, replica.path, **{"shutdown-sync-timeout": "1h"})
    daemon = litestream.replicate(config=c)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    break_replica(replica.path)
    ledger.commit(5)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log(r"shutdown sync failed, retrying \(press Ctrl\+C again to skip\)")
    assert daemon.running()
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 1
    assert time.monotonic() - begin < 3 * lib.SLOW
    assert daemon.lines("shutdown sync interrupted by signal")
    assert daemon.lines("shutdown sync skipped by user interrupt")
    assert "did not reach every replica" in daemon.output()
    # what was captured is kept, and goes up with the next start
    assert disk.has_all(ledger.path, disk.meta_folder(ledger.path))
    mend_replica(replica.path)
    daemon = litestream.replicate(config=c)
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_the_wait_for_a_replica_has_an_end(litestream, ledger, replica):
    ledger.commit(5)
    c = config(
        ledger.path,
        replica.path,
        **{"shutdown-sync-timeout": "1500ms", "shutdown-sync-interval": "100ms"},
    )
    daemon = litestream.replicate(config=c)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    break_replica(replica.path)
    ledger.commit(5)
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 1
    assert 1.4 < time.monotonic() - begin < 6 * lib.SLOW
    assert daemon.lines("shutdown sync failed after timeout")
    assert len(daemon.lines("shutdown sync failed, retrying")) >= 3


def test_a_replica_that_comes_back_in_time_is_waited_for(litestream, ledger, replica):
    ledger.commit(5)
    c = config(ledger.path, replica.path, **{"shutdown-sync-interval": "100ms"})
    daemon = litestream.replicate(config=c)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    break_replica(replica.path)
    ledger.commit(5)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("shutdown sync failed, retrying", count=2)
    mend_replica(replica.path)
    assert daemon.wait() == 0
    assert daemon.lines("shutdown sync succeeded after retry")
    litestream.assert_restores(replica.url, ledger.path)


def test_with_timeout_0_there_is_one_attempt(litestream, ledger, replica):
    ledger.commit(5)
    c = config(ledger.path, replica.path, **{"shutdown-sync-timeout": "0s"})
    daemon = litestream.replicate(config=c)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    ledger.commit(5)
    daemon.stop()  # a good replica has it all
    lib.assert_same(ledger.path, litestream.restore(replica.url))
    daemon = litestream.replicate(config=c)
    daemon.wait_worker(ledger.path)
    break_replica(replica.path)
    ledger.commit(5)
    daemon.stop(status=1)
    assert not daemon.lines("retrying")


def test_sighup_does_no_harm(litestream, ledger, replica):
    """It asks for the configuration to be read again; replication goes on either way."""
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(ledger.path, replica.url)
    worker = daemon.wait_worker(ledger.path)
    for _ in range(3):
        daemon.signal(signal.SIGHUP)
        os.kill(worker, signal.SIGHUP)
    daemon.wait_log("configuration")
    ledger.commit(5)
    litestream.wait_caught_up(ledger.path, replica.path)
    assert daemon.worker_of(ledger.path) == worker
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_signals_of_the_terminal_reach_workers_too_and_do_not_matter(litestream, ledger, replica):
    """Ctrl-C goes to the whole process group; a service manager may signal all processes."""
    ledger.commit(30, fill_bytes=4000)
    daemon = litestream.replicate(config=config(ledger.path, replica.path))
    worker = daemon.wait_worker(ledger.path)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    ledger.commit(5)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker, number)
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 0
    litestream.assert_restores(replica.url, ledger.path)


def test_a_worker_killed_in_its_final_sync_makes_it_again(litestream, ledger, replica):
    ledger.commit(5)
    c = config(ledger.path, replica.path, **{"shutdown-sync-interval": "100ms"})
    daemon = litestream.replicate(config=c)
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    worker = daemon.wait_worker(ledger.path)
    break_replica(replica.path)
    ledger.commit(5)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("shutdown sync failed, retrying")
    os.kill(worker, signal.SIGKILL)
    daemon.wait_log("worker died during its final sync")
    mend_replica(replica.path)
    assert daemon.wait() == 0
    litestream.assert_restores(replica.url, ledger.path)


def test_a_worker_that_waits_to_be_started_again_is_started_for_the_final_sync(
    litestream, ledger, replica
):
    ledger.commit(5)
    daemon = litestream.replicate(config=config(ledger.path, replica.path))
    lib.wait_until(lambda: disk.newest_txid(replica.path) == 1)
    os.kill(daemon.wait_worker(ledger.path), signal.SIGKILL)
    daemon.wait_log("worker died")
    ledger.commit(5)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_many_databases_end_together(litestream, tmp_path):
    """One after the other would take as many times as long."""
    books = [lib.Ledger(tmp_path / f"{i}.db") for i in range(8)]
    for book in books:
        book.commit(3)
    dbs = [config(b.path, b.path + ".replica")["dbs"][0] for b in books]
    c = {"dbs": dbs, "shutdown-sync-timeout": "1s", "shutdown-sync-interval": "100ms"}
    daemon = litestream.replicate(config=c)
    for book in books:
        lib.wait_until(lambda b=book: disk.newest_txid(b.path + ".replica") == 1)
        break_replica(book.path + ".replica")
        book.commit()
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 1
    assert time.monotonic() - begin < 4 * lib.SLOW
    for book in books:
        book.close()
