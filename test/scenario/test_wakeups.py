"""Each single commit reaches the replica soon, whichever way a worker learns of it: a watch of
its own, the supervisor's watches or polling. The rare tick that looks without being told
(every 10 s) is not what finds it."""

import os
import random
import time

import disk
import lib
import pytest

SOON = 4.0  # seconds; far below the safety tick, far above what a commit takes
MISSED = "was not reported by the file system"

OWN = {}
HUB = {"LITESTREAM_INOTIFY_BUDGET": "0"}


class Daemon:
    def __init__(self, litestream, folder, ledger, env, interval):
        self.litestream = litestream
        self.ledger = ledger
        self.replica = str(folder / "replica")
        settings = {
            "path": ledger.path,
            "monitor-interval": interval,
            "replica": {"path": self.replica, "sync-interval": "10ms"},
        }
        config = {"dbs": [settings], "logging": {"level": "debug"}}
        self.process = litestream.replicate(config=config, env=env)
        self.slowest = 0.0
        self.see()

    def see(self):
        """Waits for the last commit; it must come soon."""
        begin = time.monotonic()
        # all conditions are cheap, so look often: a commit must not hide behind the next one
        while not disk.has_all(self.ledger.path, self.replica):
            waited = time.monotonic() - begin
            assert waited < SOON * lib.SLOW, f"not within {waited:.1f} s:\n{self.process.output()}"
            time.sleep(0.002)
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def finish(self):
        assert not self.process.lines(MISSED), self.process.output()
        self.process.stop()
        self.litestream.assert_restores("file://" + self.replica, self.ledger.path)
        print(f"slowest: {self.slowest * 1000:.0f} ms")


def has_inotify(pid):
    return "anon_inode:inotify" in lib.descriptors(pid).values()


@pytest.mark.parametrize("env, own", [(OWN, True), (HUB, False)], ids=["own", "hub"])
@pytest.mark.parametrize("interval", ["10ms", "200ms"])
def test_single_commits_and_fast_pairs_arrive_soon(
    litestream, tmp_path, ledger, env, own, interval
):
    rnd = random.Random(9)
    daemon = Daemon(litestream, tmp_path, ledger, env, interval)
    worker = daemon.process.wait_worker(ledger.path)
    short = interval == "10ms"
    for _ in range(150 if short else 12):
        ledger.commit()
        daemon.see()
        if rnd.random() < 0.5:  # the worker has had time to arm its watch again, or not
            time.sleep(rnd.uniform(0, 0.02))
    for _ in range(150 if short else 12):
        ledger.commit()
        time.sleep(rnd.choice([0, 0.0005, 0.001, 0.002, 0.005, 0.011]))
        ledger.commit()
        daemon.see()
    assert has_inotify(worker) == own
    assert has_inotify(daemon.process.pid) or own
    daemon.finish()


@pytest.mark.parametrize("env", [OWN, HUB], ids=["own", "hub"])
def test_commits_that_reuse_the_wal_arrive_soon(litestream, tmp_path, ledger, env):
    daemon = Daemon(litestream, tmp_path, ledger, env, "10ms")
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] * 5:
        ledger.commit(3)
        daemon.see()
        ledger.con.execute("PRAGMA busy_timeout = 10")
        ledger.con.execute(f"PRAGMA wal_checkpoint({mode})")
        ledger.commit()
        daemon.see()
    daemon.finish()


@pytest.mark.parametrize("env", [OWN, HUB], ids=["own", "hub"])
def test_commits_arrive_soon_although_the_application_comes_and_goes(
    litestream, tmp_path, ledger, env
):
    daemon = Daemon(litestream, tmp_path, ledger, env, "10ms")
    for _ in range(15):
        ledger.close()
        daemon.ledger = ledger = lib.Ledger(ledger.path)
        ledger.commit()
        daemon.see()
    daemon.finish()
    ledger.close()


def test_the_supervisor_watches_for_many(litestream, tmp_path):
    """Some workers with a watch of their own, the others through the supervisor."""
    ledgers = [lib.Ledger(tmp_path / f"{i}.db") for i in range(6)]
    dbs = [
        {
            "path": book.path,
            "monitor-interval": "20ms",
            "replica": {"path": str(tmp_path / f"replica-{i}"), "sync-interval": "20ms"},
        }
        for i, book in enumerate(ledgers)
    ]
    env = {"LITESTREAM_INOTIFY_BUDGET": "2"}
    process = litestream.replicate(config={"dbs": dbs}, env=env)
    workers = [process.wait_worker(book.path) for book in ledgers]
    rnd = random.Random(10)
    for _ in range(10):
        some = rnd.sample(range(6), rnd.randint(1, 6))
        for i in some:
            ledgers[i].commit(rnd.randint(1, 2))
        for i in some:
            litestream.wait_caught_up(ledgers[i].path, dbs[i]["replica"]["path"], SOON)
    assert sum(map(has_inotify, workers)) == 2
    assert not process.lines(MISSED)
    process.stop()
    for book, db in zip(ledgers, dbs):
        litestream.assert_restores("file://" + db["replica"]["path"], book.path)
        book.close()


@pytest.mark.parametrize("what", ["watches", "instances"])
def test_a_database_without_watches_is_polled(litestream, tmp_path, ledger, tiny, what):
    """A user may have nothing of inotify at all: said once, and commits still arrive."""
    limit = "/proc/sys/user/max_inotify_" + what
    fs = tiny("1m")  # for its user namespace, where limits are its own
    if not os.path.exists(limit):
        pytest.skip("the kernel has no limit for a namespace: " + limit)
    replica = str(tmp_path / "replica")
    settings = {
        "path": ledger.path,
        "monitor-interval": "100ms",
        "replica": {"path": replica, "sync-interval": "10ms"},
    }
    starve = ["sh", "-c", f'echo 0 >{limit} && exec "$@"', "sh"]
    process = litestream.replicate(
        config={"dbs": [settings]}, prefix=[*fs.inside, *starve]
    )
    for _ in range(20):
        ledger.commit()
        litestream.wait_caught_up(ledger.path, replica, SOON)
    assert len(process.lines("no file watch can be had, polling instead.*max_user_")) == 1
    process.stop()
    litestream.assert_restores("file://" + replica, ledger.path)
