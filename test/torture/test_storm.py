"""A storm: rough writers, kills at random moments, restores in between.

Everything random comes from one seed, which a failure shows (what the scheduler makes of it is
its own). LITESTREAM_STORM_SEED repeats one, LITESTREAM_STORM_ROUNDS makes it longer.

What must hold after every restore: SQLite finds the copy sound; its ledger is a chain without a
gap, so the copy is a committed state; copies never go back. At the end, with the writers at
rest, the copy equals the source page by page, and holds every transaction whose COMMIT had
returned.
"""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import disk
import lib
import storm_writer

ROUNDS = int(os.environ.get("LITESTREAM_STORM_ROUNDS", "4"))
ROUND_SECONDS = 2.0
SEEDS = [int(os.environ.get("LITESTREAM_STORM_SEED", "0"))] if "LITESTREAM_STORM_SEED" in os.environ else [1, 2, 3]


class Storm:
    log_level = "debug"

    def __init__(self, litestream, folder, seed):
        self.litestream = litestream
        self.folder = str(folder)
        self.random = random.Random(seed)
        self.db = os.path.join(self.folder, "app.db")
        self.replica = os.path.join(self.folder, "replica")
        self.stop_file = os.path.join(self.folder, "stop")
        self.acks = []
        self.writers = []
        self.daemon = None
        self.lives = 0  # of workers, each of which may need one full image
        self.seen = 0  # the newest transaction that a copy held
        self.restored = 0
        self.choose()
        self.make_database()

    def choose(self):
        r = self.random
        self.page_size = r.choice([512, 1024, 4096, 16384, 65536])
        self.auto_vacuum = r.choice([0, 1, 2])
        self.settings = {
            "path": self.db,
            "monitor-interval": r.choice(["10ms", "50ms", "1s"]),
            "min-checkpoint-page-count": r.choice([1, 10, 1000]),
            "max-sync-wal-bytes": r.choice([self.page_size + 24, 100000, 0]),
            "replica": {"type": "file", "path": self.replica, "sync-interval": r.choice(["10ms", "1s"])},
        }
        self.env = r.choice([{}, {"LITESTREAM_INOTIFY_BUDGET": "0"}])
        self.settings_of_all = r.choice(
            [
                {},  # nothing is merged within the time of a storm but once at each start
                {
                    "levels": [{"interval": "150ms"}, {"interval": "700ms"}],
                    "snapshot": {"interval": "500ms", "retention": "1500ms"},
                    "l0-retention": "400ms",
                    "l0-retention-check-interval": "200ms",
                    "verify-compaction": True,
                },
                {
                    "levels": [{"interval": "400ms"}],
                    "snapshot": {"interval": "200ms", "retention": "24h"},
                    "l0-retention": "100ms",
                    "l0-retention-check-interval": "100ms",
                },
            ]
        )

    def make_database(self):
        con = sqlite3.connect(self.db, isolation_level=None)
        con.execute(f"PRAGMA page_size = {self.page_size}")
        con.execute(f"PRAGMA auto_vacuum = {self.auto_vacuum}")
        con.execute("PRAGMA journal_mode = wal")
        con.executescript(storm_writer.SCHEMA)
        con.close()

    # writers

    def start_writers(self):
        for _ in range(self.random.choice([1, 2, 3])):
            acks = os.path.join(self.folder, f"acks-{len(self.acks)}")
            self.acks.append(acks)
            args = [self.db, str(self.random.randrange(1 << 30)), self.stop_file, acks]
            self.writers.append(
                subprocess.Popen([sys.executable, "-B", storm_writer.__file__, *args])
            )

    def stop_writers(self):
        with open(self.stop_file, "w", encoding="ascii"):
            pass
        statuses = [w.wait(timeout=120 * lib.SLOW) for w in self.writers]
        os.unlink(self.stop_file)
        self.writers = []
        assert not any(statuses), f"writers ended with {statuses}"

    def acknowledged(self):
        newest = 0
        for path in self.acks:
            if os.path.exists(path):
                with open(path, encoding="ascii") as f:
                    whole = f.read().rpartition("\n")[0].split()
                newest = max([newest, *map(int, whole)])
        return newest

    # the daemon

    def start_daemon(self):
        self.daemon = self.litestream.replicate(
            config={
                "dbs": [self.settings],
                "logging": {"level": self.log_level},
                **self.settings_of_all,
            },
            env=self.env,
        )
        self.daemon.wait_log("initialized db")
        self.lives += 1

    def kill_worker(self):
        workers = self.daemon.workers()
        if workers:
            os.kill(workers[0], signal.SIGKILL)
            self.lives += 1

    def end_daemon(self):
        if self.random.random() < 0.5:
            self.daemon.kill()
        else:
            self.daemon.stop(60)

    # checks

    def check_copy(self):
        copy = os.path.join(self.folder, f"copy-{self.restored}.db")
        self.restored += 1
        done = self.litestream.run("restore", "-o", copy, "file://" + self.replica, status=None)
        if done.returncode != 0:
            assert self.seen == 0 and "no matching backup" in done.stderr.lower(), done.stderr
            return None
        n = self.check_ledger(copy)
        assert n >= self.seen, f"copy at {n} after one at {self.seen}"
        self.seen = n
        return copy

    @staticmethod
    def check_ledger(copy):
        lib.assert_healthy(copy)
        con = lib.connect(copy, wal=False)
        h, expected = b"", 1
        for n, stored in con.execute("SELECT n, h FROM ledger ORDER BY n"):
            h = storm_writer.link(n, h)
            assert n == expected and stored == h, f"chain breaks at {n}"
            expected += 1
        rows, total = con.execute(
            "SELECT (SELECT count(*) FROM side), (SELECT n FROM total)"
        ).fetchone()
        con.close()
        assert rows == total, f"{rows} rows, {total} counted"
        return expected - 1

    def check_chain(self):
        """On every level each TXID once, none missing but what no retained snapshot needs."""
        snapshots = [int(n[17:33], 16) for n in disk.level_names(self.replica, 9)]
        for level in range(9):
            found = disk.level_names(self.replica, level)
            found = [(int(n[:16], 16), int(n[17:33], 16)) for n in found]
            for (_, before), (low, high) in zip(found, found[1:]):
                assert before < low <= high, f"level {level}: {found}"
                assert low == before + 1 or low - 1 <= min(snapshots), f"level {level}: {found}"
        if not self.settings_of_all:
            assert disk.level_names(self.replica, 0)[0].startswith(f"{1:016x}")

    def check_snapshots(self):
        """A snapshot is the state after its TXID, whatever went on while it was read."""
        for name in disk.level_names(self.replica, 9)[-3:]:
            copy = os.path.join(self.folder, f"snapshot-{name}.db")
            url = "file://" + self.replica
            done = self.litestream.run(
                "restore", "-txid", name[17:33], "-o", copy, url, status=None
            )
            if done.returncode == 0:
                self.check_ledger(copy)

    def images(self):
        logs = [p.output() for p in self.litestream.processes]
        return sum(len(re.findall(r"full image written", log)) for log in logs)

    # the course of it

    def round(self):
        self.start_daemon()
        if not self.writers:
            self.start_writers()
        end = time.monotonic() + ROUND_SECONDS * lib.SLOW
        while time.monotonic() < end:
            what = self.random.random()
            time.sleep(self.random.uniform(0.0, 0.4))  # the moment is what is random here
            if what < 0.3:
                self.kill_worker()
            elif what < 0.6:
                self.check_copy()
        if self.random.random() < 0.3:
            self.stop_writers()
        self.end_daemon()

    def finish(self):
        self.start_daemon()
        if self.writers:
            self.stop_writers()
        newest = self.acknowledged()
        self.daemon.stop(120)
        copy = self.check_copy()
        assert copy is not None and self.seen >= newest, f"copy at {self.seen}, committed {newest}"
        lib.assert_same(self.db, copy)
        self.check_chain()
        self.check_snapshots()
        assert self.images() <= self.lives


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_in_a_storm(litestream, tmp_path, seed):
    storm = Storm(litestream, tmp_path, seed)
    print(f"seed {seed}: page size {storm.page_size}, {storm.settings}, {storm.env}")
    try:
        for _ in range(ROUNDS):
            storm.round()
        storm.finish()
        print(f"{storm.seen} transactions, {storm.lives} lives, {storm.images()} images")
    finally:
        for w in storm.writers:
            w.kill()
            w.wait()
