"""Processes that are killed in the middle of constant writes lose nothing and disturb nobody."""

import os
import random
import signal
import time

import disk
import lib
import pytest

FIRST_IMAGE = ["0000000000000001-0000000000000001.ltx"]
KILLS = 2  # after each the worker stays away twice as long


def settings(tmp_path, name, **more):
    return {
        "path": str(tmp_path / f"{name}.db"),
        "monitor-interval": "20ms",
        "replica": {"path": str(tmp_path / f"replica-{name}"), "sync-interval": "20ms"},
        **more,
    }


def fill(db):
    """So many pages that no increment holds all of them by chance."""
    book = lib.Ledger(db)
    book.commit(50, fill_bytes=4000)
    book.close()


def some_time(rnd, longest=0.4):
    time.sleep(rnd.uniform(0.0, longest))  # the moment is what is random here


def finish(litestream, daemon, writer, db):
    """Ends writer and daemon, restores and compares; the image must hold what was committed."""
    newest = writer.stop()
    daemon.stop()
    replica = db["replica"]["path"]
    copy = litestream.assert_restores("file://" + replica, db["path"])
    assert lib.Ledger.committed(copy) >= newest > 0
    disk.assert_chain(replica)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_worker_is_killed_again_and_again(litestream, tmp_path, seed):
    rnd = random.Random(seed)
    # The application leaves the WAL alone, so no full image is needed but the first.
    dbs = [settings(tmp_path, name, **{"min-checkpoint-page-count": 100000}) for name in "ab"]
    for db in dbs:
        fill(db["path"])
    a, b = dbs
    daemon = litestream.replicate(config={"dbs": dbs})
    writers = [litestream.writer(db["path"], autocheckpoint=0, pause=0.005) for db in dbs]
    other = daemon.wait_worker(b["path"])
    killed = None
    for _ in range(KILLS):
        killed = daemon.wait_worker(a["path"], other_than=killed)
        some_time(rnd)
        before = disk.newest_txid(b["replica"]["path"])
        os.kill(killed, signal.SIGKILL)
        # the other database goes on while this one has no worker
        lib.wait_until(
            lambda: disk.newest_txid(b["replica"]["path"]) >= before + 3, 10, "files of the other"
        )
    daemon.wait_worker(a["path"], other_than=killed)
    assert daemon.worker_of(b["path"]) == other, "the other worker was touched"
    assert len(daemon.lines("worker died.*signal 9")) == KILLS
    finish(litestream, daemon, writers[0], a)
    newest = writers[1].stop()
    copy = litestream.restore("file://" + b["replica"]["path"])
    assert 50 < lib.Ledger.committed(copy) <= newest
    for db in dbs:
        assert disk.images(db["replica"]["path"]) == FIRST_IMAGE


def test_a_worker_that_died_is_started_again_after_a_second(litestream, tmp_path):
    db = settings(tmp_path, "a")
    fill(db["path"])
    daemon = litestream.replicate(config={"dbs": [db]})
    worker = daemon.wait_worker(db["path"])
    delays = []
    for _ in range(2):
        os.kill(worker, signal.SIGKILL)
        begin = time.monotonic()
        worker = daemon.wait_worker(db["path"], other_than=worker)
        delays.append(time.monotonic() - begin)
    assert 0.9 < delays[0] < 1.9 * lib.SLOW + 1, delays  # then it doubles
    assert 1.8 < delays[1] < 3.8 * lib.SLOW + 1, delays


@pytest.mark.parametrize("seed", [3, 4])
def test_a_worker_is_killed_while_everybody_checkpoints(litestream, tmp_path, seed):
    rnd = random.Random(seed)
    db = settings(tmp_path, "a", **{"min-checkpoint-page-count": 20})
    fill(db["path"])
    daemon = litestream.replicate(config={"dbs": [db]})
    writer = litestream.writer(
        db["path"],
        seed=seed,
        autocheckpoint=30,
        fill_bytes=2000,
        checkpoints=["PASSIVE", "FULL", "RESTART", "TRUNCATE"],
    )
    killed = None
    for _ in range(KILLS):
        killed = daemon.wait_worker(db["path"], other_than=killed)
        some_time(rnd)
        os.kill(killed, signal.SIGKILL)
    daemon.wait_worker(db["path"], other_than=killed)
    some_time(rnd)
    finish(litestream, daemon, writer, db)


@pytest.mark.parametrize("seed", [5, 6])
def test_a_supervisor_is_killed_again_and_again(litestream, tmp_path, seed):
    rnd = random.Random(seed)
    dbs = [settings(tmp_path, name, **{"min-checkpoint-page-count": 100000}) for name in "abc"]
    for db in dbs:
        fill(db["path"])
    writers = [litestream.writer(db["path"], autocheckpoint=0, pause=0.002) for db in dbs]
    for _ in range(4):
        daemon = litestream.replicate(config={"dbs": dbs})
        for db in dbs:
            daemon.wait_worker(db["path"])
        some_time(rnd)
        at_kill = [w.committed() for w in writers]
        daemon.kill()  # waits until no worker is left
        for db, n in zip(dbs, at_kill):
            copy = litestream.restore("file://" + db["replica"]["path"])
            assert lib.Ledger.committed(copy) >= n, "no final sync"
    daemon = litestream.replicate(config={"dbs": dbs})
    for db in dbs:
        daemon.wait_worker(db["path"])
    newest = [w.stop() for w in writers]
    daemon.stop()
    for db, n in zip(dbs, newest):
        replica = db["replica"]["path"]
        copy = litestream.assert_restores("file://" + replica, db["path"])
        assert lib.Ledger.committed(copy) == n
        disk.assert_chain(replica)
        assert disk.images(replica) == FIRST_IMAGE


def test_the_next_daemon_starts_before_the_workers_of_a_killed_one_have_ended(
    litestream, tmp_path
):
    rnd = random.Random(7)
    db = settings(tmp_path, "a", **{"min-checkpoint-page-count": 100000})
    fill(db["path"])
    writer = litestream.writer(db["path"], autocheckpoint=0)
    daemons = [litestream.replicate(config={"dbs": [db]})]
    for _ in range(4):
        daemons[-1].wait_worker(db["path"])
        some_time(rnd)
        daemons[-1].signal(signal.SIGKILL)
        daemons.append(litestream.replicate(config={"dbs": [db]}))
    before = disk.newest_txid(db["replica"]["path"])
    lib.wait_until(
        lambda: disk.newest_txid(db["replica"]["path"]) > before + 3, 30, "files of the last one"
    )
    finish(litestream, daemons[-1], writer, db)
    assert disk.images(db["replica"]["path"]) == FIRST_IMAGE


def test_a_daemon_killed_before_its_first_file_is_there_starts_over(litestream, tmp_path):
    rnd = random.Random(8)
    db = settings(tmp_path, "a")
    book = lib.Ledger(db["path"])
    book.commit(20, fill_bytes=500000)  # the first image takes a while
    for _ in range(6):
        daemon = litestream.replicate(config={"dbs": [db]})
        daemon.wait_log("replicating to")
        some_time(rnd, 0.1)
        for pid in daemon.workers():
            os.kill(pid, signal.SIGKILL)
        daemon.kill()
    daemon = litestream.replicate(config={"dbs": [db]})
    book.commit()
    litestream.wait_caught_up(db["path"], db["replica"]["path"])
    daemon.stop()
    litestream.assert_restores("file://" + db["replica"]["path"], db["path"])
    disk.assert_chain(db["replica"]["path"])
    leftovers = [n for _, _, names in os.walk(tmp_path) for n in names if n.endswith(".tmp")]
    assert leftovers == []
    book.close()
