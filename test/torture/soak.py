#!/usr/bin/python3
"""soak.py MINUTES [SEED] - storms for as long as one likes.

One storm after the other (test_storm.py), each with a daemon that lives for some minutes under
rough writers, with merges, snapshots and retention every few seconds. After each round of 20 s a
line says how it went. What must not grow is compared with a bound in every round: the WAL, the
replica, the number of snapshots, memory, descriptors and threads of the worker. Every storm ends
with all the checks of a storm.

Ends at the first thing that is wrong, with status 1, the seed and the folder with all logs and
files; SEED repeats it (what the scheduler makes of it is its own). LITESTREAM_BIN names the
program.
"""

import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "scenario")]

import disk  # noqa: E402  (found through the line above)
import lib  # noqa: E402
from test_storm import Storm  # noqa: E402

LIFE_SECONDS = 240
ROUND_SECONDS = 20
MB = 1 << 20

SNAPSHOT_SECONDS, WINDOW_SECONDS = 3, 9
RETENTION = {
    "levels": [{"interval": "1s"}, {"interval": "4s"}],
    "snapshot": {"interval": f"{SNAPSHOT_SECONDS}s", "retention": f"{WINDOW_SECONDS}s"},
    "l0-retention": "2s",
    "l0-retention-check-interval": "1s",
    "verify-compaction": True,
}

# Memory over that of the first round: what the allocator keeps, not what a worker collects.
MEMORY_SLACK = 24 * MB

MERGE_INPUTS = 256  # files that are open at a time, more than a worker has with any page size


def memory(pid):
    """Bytes of a process's own."""
    total = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Private_"):
                    total += int(line.split()[1]) * 1024
    except OSError:
        return 0
    return total


def folder_bytes(path):
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                pass  # retention
    return total


class Peak:
    """The highest values of a round."""

    def __init__(self):
        self.wal = self.replica = self.snapshots = self.memory = self.fds = self.threads = 0

    def look(self, storm):
        self.wal = max(self.wal, disk.wal_size(storm.db))
        self.replica = max(self.replica, folder_bytes(storm.replica))
        self.snapshots = max(self.snapshots, len(disk.level_names(storm.replica, 9)))
        for pid in storm.daemon.workers():
            self.memory = max(self.memory, memory(pid))
            self.fds = max(self.fds, len(lib.descriptors(pid)))
            self.threads = max(self.threads, lib.threads(pid))


class Soak(Storm):
    log_level = "info"

    def choose(self):
        super().choose()
        self.settings_of_all = RETENTION
        self.settings["replica"]["sync-interval"] = "10ms"
        if self.settings["max-sync-wal-bytes"] < 100000:  # a file per frame is slower than writers
            self.settings["max-sync-wal-bytes"] = 0
        self.first = None  # round

    def bounds(self):
        """What a round may reach."""
        database = os.stat(self.db).st_size
        threshold = self.settings["min-checkpoint-page-count"] * (self.page_size + 24)
        # The largest transaction rewrites a good part of the database; others follow before a
        # checkpoint comes in between.
        peak = Peak()
        peak.wal = 8 * threshold + 4 * database + 256 * MB
        # Kept are the window, the snapshot before it, and one pass of grace; below them the
        # levels of that time.
        peak.snapshots = WINDOW_SECONDS // SNAPSHOT_SECONDS + 4
        peak.replica = 4 * peak.snapshots * (database + 16 * MB)
        peak.memory = (self.first.memory if self.first else 0) + MEMORY_SLACK
        peak.fds = 32 + MERGE_INPUTS
        peak.threads = 2 + 2 * (os.cpu_count() or 1)
        return peak

    def one_round(self, number, seconds):
        peak = Peak()
        end = time.monotonic() + seconds
        kills = self.lives
        restored = self.restored
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.05, 0.5))  # the moment is what is random here
            what = self.random.random()
            if what < 0.003:  # often enough: each makes the next pause twice as long
                self.kill_worker()
            elif what < 0.08:
                copy = self.check_copy()
                if copy:
                    lib.remove_database(copy)
            peak.look(self)
        bounds = self.bounds()
        wrong = [
            f"{name} {getattr(peak, name)}, at most {most}"
            for name, most in vars(bounds).items()
            if getattr(peak, name) > most and (name != "memory" or self.first)
        ]
        self.first = self.first or peak
        print(
            f"  round {number}: {self.acknowledged()} transactions, "
            f"database {os.stat(self.db).st_size / MB:.1f} MB, wal {peak.wal / MB:.1f} MB, "
            f"replica {peak.replica / MB:.1f} MB, {peak.snapshots} snapshots, "
            f"memory {peak.memory / MB:.1f} MB, {peak.fds} descriptors, {peak.threads} threads, "
            f"{self.lives - kills} kills, {self.restored - restored} restores",
            flush=True,
        )
        assert not wrong, "; ".join(wrong)


def storm(folder, seed, seconds):
    """One storm of so many seconds."""
    litestream = lib.Litestream(folder)
    soak = Soak(litestream, folder, seed)
    print(f"seed {seed}: page size {soak.page_size}, {soak.settings}, {soak.env}", flush=True)
    end = time.monotonic() + seconds
    try:
        soak.start_daemon()
        soak.start_writers()
        number = 0
        while time.monotonic() < end:
            number += 1
            soak.one_round(number, min(ROUND_SECONDS, max(1, end - time.monotonic())))
        soak.end_daemon()
        soak.finish()
        print(f"  sound: {soak.seen} transactions, {soak.lives} lives, {soak.images()} images", flush=True)
    finally:
        for w in soak.writers:
            w.kill()
            w.wait()
        trouble = litestream.clean_up()
    assert not trouble, "\n".join(trouble)


def main():
    if len(sys.argv) not in (2, 3) or not all(a.isdigit() for a in sys.argv[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    end = time.monotonic() + int(sys.argv[1]) * 60
    seed = int(sys.argv[2]) if len(sys.argv) == 3 else random.SystemRandom().randrange(1 << 31)
    n = 0
    while n == 0 or time.monotonic() < end:
        folder = tempfile.mkdtemp(prefix="litestream-soak-")
        left = end - time.monotonic()
        try:
            storm(folder, seed, LIFE_SECONDS if left > 1.5 * LIFE_SECONDS else max(10, left))
        except BaseException as e:  # also what was asked for by a signal: the folder is told
            print(f"soak: seed {seed} failed, see {folder}: {e}", file=sys.stderr)
            return 1
        shutil.rmtree(folder)
        n += 1
        seed = (seed * 1103515245 + 12345) % (1 << 31)
    print(f"soak: {n} storms, all sound")
    return 0


if __name__ == "__main__":
    sys.exit(main())
