"""daemon - a litestream under measurement and what /proc tells about processes."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time

POLL = 0.002


def wait_until(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout:g} s: {what}")
        time.sleep(POLL)


def make_small_db(path, rows=50):
    """A database of an application that is at rest."""
    con = sqlite3.connect(path)
    con.execute("PRAGMA journal_mode = wal")
    con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, price INTEGER, body TEXT)")
    con.executemany("INSERT INTO item (price, body) VALUES (1, ?)", [("x" * 100,)] * rows)
    con.commit()
    con.close()


class Proc:
    """Numbers of one process."""

    def __init__(self, pid):
        self.pid = pid

    def _fields(self, name):
        fields = {}
        with open(f"/proc/{self.pid}/{name}", encoding="utf-8") as f:
            for line in f:
                key, _, value = line.partition(":")
                number = re.match(r"\s*(\d+)", value)
                if number:
                    fields[key] = int(number.group(1))
        return fields

    def memory(self):
        """KiB: Pss, Pss_Anon, Private_Dirty, Rss, ..."""
        return self._fields("smaps_rollup")

    def peak_kib(self):
        return self._fields("status").get("VmHWM", 0)  # none: it has ended

    def switches(self):
        """How often it went to sleep and how often it was interrupted."""
        s = self._fields("status")
        return s["voluntary_ctxt_switches"], s["nonvoluntary_ctxt_switches"]

    def ticks(self):
        """CPU time in clock ticks (10 ms)."""
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class Daemon:
    """`litestream replicate` over pairs of a database and a replica folder; `each`: settings of
    each database."""

    def __init__(self, binary, folder, pairs, cores=None, settings=None, each=None):
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "daemon.log")
        self.pairs = pairs
        config = os.path.join(folder, "litestream.yml")
        with open(config, "w", encoding="utf-8") as f:
            json.dump(
                {
                    "logging": {"level": "debug"},
                    "dbs": [{"path": d, "replica": {"path": r}, **(each or {})} for d, r in pairs],
                    **(settings or {}),
                },
                f,
            )
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)
        prefix = ["taskset", "-c", cores] if cores else []
        with open(self.log, "ab") as out:
            self.started = time.monotonic()
            self._popen = subprocess.Popen(
                [*prefix, binary, "replicate", "-config", config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.proc = Proc(self._popen.pid)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.stop()

    def _text(self):
        if self._popen.poll() is not None:
            with open(self.log, encoding="utf-8") as f:
                raise RuntimeError(f"the daemon has ended:\n{f.read()[-2000:]}")
        with open(self.log, "rb") as f:
            return f.read()

    def wait_ready(self, timeout=600):
        """All databases were captured once; seconds since the start."""
        wait_until(
            lambda: self._text().count(b"worker is ready") >= len(self.pairs),
            timeout,
            "ready workers",
        )
        return time.monotonic() - self.started

    def wait_replicated(self, timeout=1200):
        """Each replica has a file; seconds since the start. The folder is synced first, as
        the name of a file may be seen before it is durable."""

        def first(replica):
            folder = os.path.join(replica, "ltx", "0")
            try:
                if not any(n.endswith(".ltx") for n in os.listdir(folder)):
                    return False
            except FileNotFoundError:
                return False
            fd = os.open(folder, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
            return True

        left = [r for _, r in self.pairs]

        def none_left():
            while left and first(left[-1]):
                left.pop()
            return not left

        wait_until(none_left, timeout, "files on the replicas")
        return time.monotonic() - self.started

    def workers(self):
        pid = self._popen.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
            return [Proc(int(child)) for child in f.read().split()]

    def stop(self):
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(60)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
