"""What Litestream 0.3.13 itself replicates while it is written to comes back: the newest state
as the source is, every earlier one as its own restore has it."""

import contextlib
import os
import random
import sqlite3
import subprocess
import threading
import time

import fixtures
import lib
import pytest

NPM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "servers/npm.sh")


class Peer:
    """Litestream 0.3.13 with one database and a file replica."""

    def __init__(self, litestream, folder):
        npm = subprocess.run([NPM, "v03"], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.binary = f"{npm.strip()}/node_modules/@flydotio/litestream-linux-x64/litestream"
        self.litestream = litestream
        self.db = f"{folder}/app.db"
        self.replica = f"{folder}/replica"
        self.url = "file://" + self.replica
        settings = {
            "path": self.db,
            "monitor-interval": "20ms",
            "min-checkpoint-page-count": 40,
            "replicas": [
                {"path": self.replica, "sync-interval": "30ms", "snapshot-interval": "1s"}
            ],
        }
        self.config = litestream.config({"dbs": [settings]}, "v03.yml")

    def replicate(self):
        return self.litestream.start("replicate", "-config", self.config, binary=self.binary)

    def restore(self, output, *flags):
        args = ["restore", "-config", self.config, *flags, "-o", output, self.db]
        self.litestream.run(*args, binary=self.binary)
        return output

    def objects(self):
        found = fixtures.files_below(self.replica)
        return [f for f in found if f.endswith(".lz4")]

    def wait_replicated(self, n):
        def newest():
            output = f"{self.litestream.folder}/newest-{time.monotonic_ns()}.db"
            args = ["restore", "-o", output, self.url]
            if self.litestream.run(*args, status=None).returncode != 0:
                return False
            try:
                return lib.Ledger.committed(output) >= n
            except (AssertionError, sqlite3.DatabaseError):
                return False  # a snapshot may be newer than the last segment so far

        lib.wait_until(newest, 30, f"transaction {n} on {self.url}")


@pytest.fixture
def peer(litestream, tmp_path):
    return Peer(litestream, tmp_path)


def write_until(stop, path, seed):
    """Transactions of many sizes in a table of its own, from a thread."""
    rnd = random.Random(seed)
    with contextlib.closing(lib.connect(path)) as con:
        con.execute(f"CREATE TABLE IF NOT EXISTS t{seed} (n INTEGER PRIMARY KEY, fill BLOB)")
        while not stop.is_set():
            size = rnd.choice([10, 900, 9000, 60000])
            with lib.transaction(con):
                con.execute(f"INSERT INTO t{seed} (fill) VALUES (randomblob(?))", (size,))
                con.execute(f"DELETE FROM t{seed} WHERE n % 7 = ?", (rnd.randrange(20),))
            stop.wait(rnd.choice([0.001, 0.01]))


@contextlib.contextmanager
def writers(path, n):
    stop = threading.Event()
    threads = [threading.Thread(target=write_until, args=(stop, path, i)) for i in range(n)]
    for t in threads:
        t.start()
    yield
    stop.set()
    for t in threads:
        t.join()


@pytest.mark.parametrize("page_size", [512, 4096])
def test_newest_state_is_the_source_and_earlier_ones_are_the_peers(
    litestream, peer, tmp_path, page_size
):
    with contextlib.closing(lib.connect(peer.db, wal=False)) as con:
        con.execute(f"PRAGMA page_size = {page_size}")
        con.execute("PRAGMA journal_mode = wal")
    book = lib.Ledger(peer.db)
    daemon = peer.replicate()
    with writers(peer.db, 2):
        # Several snapshots and WALs.
        def enough():
            book.commit(1)
            names = peer.objects() if os.path.isdir(peer.replica) else []
            return (
                sum("/snapshots/" in f for f in names) >= 2
                and len({f.split("_")[0] for f in names if "/wal/" in f}) >= 4
            )

        lib.wait_until(enough, 30, "two snapshots and four WALs")
    book.commit(1)
    peer.wait_replicated(book.n)
    daemon.stop()
    restored = litestream.restore(peer.url, None, "-integrity-check", "full")
    lib.assert_same(peer.db, restored)
    assert lib.Ledger.committed(restored) == book.n
    book.close()

    times = sorted({os.stat(f"{peer.replica}/{f}").st_mtime_ns for f in peer.objects()})
    rnd = random.Random(page_size)
    for i, ns in enumerate(rnd.sample(times[2:], 5)):
        # Written times are finer than a timestamp: one that has the object in it.
        flags = ["-timestamp", fixtures.stamp_of(min(ns + 1_000_000, times[-1]))]
        ours = litestream.restore(peer.url, None, *flags)
        theirs = peer.restore(str(tmp_path / f"theirs-{i}.db"), *flags)
        assert lib.image(ours) == lib.image(theirs), flags


def test_killed_peer(litestream, peer, tmp_path):
    """What it had uploaded so far, as it would restore that."""
    book = lib.Ledger(peer.db)
    daemon = peer.replicate()
    with writers(peer.db, 2):
        for _ in range(2):
            book.commit(1)
            peer.wait_replicated(book.n)
            daemon.kill()
            daemon = peer.replicate()
        book.commit(1)
        peer.wait_replicated(book.n)
        daemon.kill()
    book.close()
    ours = litestream.restore(peer.url, None, "-integrity-check", "full")
    assert lib.Ledger.committed(ours) == book.n
    assert lib.image(ours) == lib.image(peer.restore(str(tmp_path / "theirs.db")))
