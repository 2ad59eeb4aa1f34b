"""lib - what scenarios are written with: processes, waiting, SQLite.

Nothing here sleeps for a fixed time where a condition can be waited for; every wait has a
deadline. LITESTREAM_TEST_SLOW multiplies the deadlines on a slow machine.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

SLOW = float(os.environ.get("LITESTREAM_TEST_SLOW", "1"))
POLL = 0.02

# What the sanitizers of an instrumented program write when they have found something.
REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:"
    r"|invariant broken:"
)
SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "LSAN_OPTIONS": "exitcode=99",
}


def wait_until(condition, timeout=10.0, what=None):
    """Waits for a true value of condition() and returns it; fails at the deadline."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"not within {timeout * SLOW:g} s: {name}")
        time.sleep(POLL)


# --- processes ---------------------------------------------------------------------------


def program(name):
    """The path of a built program: litestream or litestreamctl."""
    variable = name.upper() + "_BIN"
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"{variable} is not set: run through ctest, or set it to a built {name}")
    return path


def _stat(pid):
    """(parent, state, start time) of a process, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0], int(fields[19])


def alive(pid, start=None):
    """Is there such a process that is not just waiting to be reaped?"""
    found = _stat(pid)
    return found is not None and found[1] not in "ZX" and (start is None or found[2] == start)


def descendants(pid):
    """{pid: start time} of all processes below one."""
    below = {}
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = _stat(int(entry))
            if found:
                parents.setdefault(found[0], []).append((int(entry), found[2]))
    todo = [pid]
    while todo:
        for child, start in parents.get(todo.pop(), []):
            if child not in below:
                below[child] = start
                todo.append(child)
    return below


class Process:
    """A program in the background; stdout and stderr go to one file."""

    def __init__(self, args, log, env=None, cwd=None):
        self.args = [str(a) for a in args]
        self.log = str(log)
        self.children = {}  # every descendant seen, by pid, with its start time
        self.expected_reports = False
        with open(self.log, "ab") as out:
            self._popen = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**SANITIZER_ENV, **os.environ, **(env or {})},
                cwd=cwd,
            )
        self.pid = self._popen.pid

    # what it says

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def lines(self, pattern):
        return [line for line in self.output().splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, timeout=10.0, count=1):
        """Waits for the count-th line that matches and returns it; fails at once when the
        process has ended without it."""

        def found():
            over = not self.running()  # asked first: what it wrote last is read below
            lines = self.lines(pattern)
            if len(lines) >= count:
                return lines[count - 1]
            assert not over, f"ended with {self.status()} before {pattern!r}:\n{self.output()}"
            return None

        try:
            return wait_until(found, timeout, f"log line {pattern!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n--- log\n{self.output()}") from None

    def reports(self):
        """Sanitizer reports and broken invariants in the output."""
        return self.lines(REPORT)

    # how it is

    def running(self):
        self._note_children()
        return self._popen.poll() is None

    def status(self):
        """Exit status, negative signal number, or None while it runs."""
        return self._popen.poll()

    def workers(self):
        """Pids of the direct children that live."""
        self._note_children()
        return sorted(p for p in descendants(self.pid) if (_stat(p) or (0,))[0] == self.pid)

    def orphans(self):
        """Pids of processes once below this one that live although it does not."""
        if self.running():
            return []
        return sorted(p for p, start in self.children.items() if alive(p, start))

    def _note_children(self):
        if self._popen.returncode is None:
            self.children.update(descendants(self.pid))

    # how it ends

    def signal(self, number):
        self._note_children()
        self._popen.send_signal(number)

    def wait(self, timeout=30.0):
        """Waits for the end and returns the exit status."""
        wait_until(lambda: not self.running(), timeout, f"end of {self.args[0]}")
        return self.status()

    def stop(self, timeout=30.0, status=0):
        """SIGTERM, then the end with this status."""
        self.signal(signal.SIGTERM)
        got = self.wait(timeout)
        assert got == status, f"exit status {got}, not {status}:\n{self.output()}"
        self.wait_children(timeout)

    def kill(self, timeout=30.0):
        """SIGKILL to this process alone. What it leaves behind is waited for, as it has to
        end by itself."""
        self.signal(signal.SIGKILL)
        self.wait(timeout)
        self.wait_children(timeout)

    def wait_children(self, timeout=30.0):
        wait_until(lambda: not self.orphans(), timeout, f"end of children of {self.pid}")

    def clean_up(self):
        """Ends it and what it left, the hard way if need be; returns what was wrong."""
        trouble = []
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.wait(10)
            except AssertionError:
                trouble.append(f"{self.pid} did not end on SIGTERM")
                self.signal(signal.SIGKILL)
                self.wait(10)
        try:
            self.wait_children(10)
        except AssertionError:
            for pid in self.orphans():
                trouble.append(f"{pid} was left behind by {self.pid}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if not self.expected_reports:
            trouble += self.reports()
        return trouble


class Litestream:
    """Starts litestream for one test, in one folder; ends all of it afterwards."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.processes = []

    def config(self, config, name="litestream.yml"):
        """Writes a configuration (text, or plain data: JSON is YAML) and returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(config if isinstance(config, str) else json.dumps(config, indent=2))
        return path

    def start(self, *args, env=None, cwd=None, binary=None):
        """Any command, in the background."""
        log = os.path.join(self.folder, f"process-{len(self.processes)}.log")
        p = Process([binary or program("litestream"), *args], log, env, cwd)
        self.processes.append(p)
        return p

    def replicate(self, *args, config=None, **more):
        """`litestream replicate`, with a configuration or with DB and URLs."""
        flags = ["-config", self.config(config)] if config is not None else []
        return self.start("replicate", *flags, *args, **more)

    def run(self, *args, status=0, timeout=120.0, env=None, cwd=None, binary=None):
        """A one-shot command to its end; returns stdout, stderr and returncode. Status None:
        any."""
        done = subprocess.run(
            [binary or program("litestream"), *map(str, args)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout * SLOW,
            env={**SANITIZER_ENV, **os.environ, **(env or {})},
            cwd=cwd or self.folder,
        )
        text = f"{' '.join(map(str, args))}: status {done.returncode}\n{done.stdout}{done.stderr}"
        assert not REPORT.search(done.stdout + done.stderr), text
        assert status is None or done.returncode == status, text
        return done

    def restore(self, source, output=None, *flags, **more):
        """`litestream restore` from a URL or of a database; returns the path of the result."""
        output = output or os.path.join(self.folder, f"restored-{time.monotonic_ns()}.db")
        self.run("restore", *flags, "-o", output, source, **more)
        return output

    def wait_replicated(self, url, n, timeout=30.0):
        """Restores again and again until transaction n of a Ledger is there; the path."""

        def newest():
            output = os.path.join(self.folder, f"newest-{time.monotonic_ns()}.db")
            done = self.run("restore", "-o", output, url, status=None)
            # Before the first upload there is nothing to restore.
            return done.returncode == 0 and Ledger.committed(output) >= n and output

        return wait_until(newest, timeout, f"transaction {n} on {url}")

    def clean_up(self):
        return [t for p in reversed(self.processes) for t in p.clean_up()]


# --- SQLite ------------------------------------------------------------------------------


def connect(path, wal=True, **more):
    """A connection that commits by itself outside of BEGIN and waits for locks."""
    con = sqlite3.connect(str(path), timeout=30 * SLOW, isolation_level=None, **more)
    if wal:
        mode = con.execute("PRAGMA journal_mode = wal").fetchone()[0]
        assert mode == "wal", f"{path} is in {mode} mode"
    return con


@contextlib.contextmanager
def transaction(con):
    con.execute("BEGIN IMMEDIATE")
    try:
        yield con
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def image(path):
    """The committed state as SQLite reads it, the WAL included: (page size, bytes)."""
    con = connect(path, wal=False)
    try:
        size = con.execute("PRAGMA page_size").fetchone()[0]
        return size, con.serialize()
    finally:
        con.close()


LOCK_BYTE = 0x40000000  # the page that holds it has no content


def differing_pages(a, b):
    """Numbers of the pages in which two databases differ; [0] for size or page size."""
    (size, left), (other, right) = image(a), image(b)
    if size != other or len(left) != len(right):
        return [0]
    return [
        at // size + 1
        for at in range(0, len(left), size)
        if left[at : at + size] != right[at : at + size] and at // size != LOCK_BYTE // size
    ]


def dump(path, own_tables=True):
    """The content as SQL; without own_tables without what Litestream keeps in it."""
    con = connect(path, wal=False)
    try:
        lines = list(con.iterdump())
    finally:
        con.close()
    return [line for line in lines if own_tables or "_litestream_" not in line]


def assert_healthy(path):
    con = connect(path, wal=False)
    try:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
        assert con.execute("PRAGMA foreign_key_check").fetchall() == [], path
    finally:
        con.close()


def assert_same(source, restored):
    """A restored database is sound and, page by page, a source at rest."""
    assert_healthy(restored)
    pages = differing_pages(source, restored)
    if pages:
        rows = set(dump(source)) ^ set(dump(restored))
        raise AssertionError(f"pages {pages[:20]} differ; in {len(rows)} rows: {sorted(rows)[:5]}")


class Ledger:
    """A table that tells which transactions a copy holds: row n is added by transaction n
    together with n in `total`, so that a committed state has rows 1..n and total n."""

    def __init__(self, path):
        self.path = str(path)
        self.con = connect(path)
        self.con.execute("CREATE TABLE IF NOT EXISTS ledger (n INTEGER PRIMARY KEY, fill BLOB)")
        self.con.execute("CREATE TABLE IF NOT EXISTS total (n INTEGER)")
        self.n = self.con.execute("SELECT count(*) FROM ledger").fetchone()[0]
        if self.con.execute("SELECT count(*) FROM total").fetchone()[0] == 0:
            self.con.execute("INSERT INTO total VALUES (0)")

    def commit(self, transactions=1, fill_bytes=100):
        for _ in range(transactions):
            with transaction(self.con):
                self.con.execute(
                    "INSERT INTO ledger VALUES (?, randomblob(?))", (self.n + 1, fill_bytes)
                )
                self.con.execute("UPDATE total SET n = ?", (self.n + 1,))
            self.n += 1
        return self.n

    def close(self):
        self.con.close()

    @staticmethod
    def committed(path):
        """The last transaction of a copy; fails when the copy is no committed state."""
        assert_healthy(path)
        con = connect(path, wal=False)
        try:
            first, last, rows = con.execute(
                "SELECT min(n), max(n), count(*) FROM ledger"
            ).fetchone()
            total = con.execute("SELECT n FROM total").fetchone()[0]
        finally:
            con.close()
        assert (last or 0) == rows == total, f"rows {first}..{last}: {rows}, total {total}"
        return total


def remove_database(path):
    """The database and its side files; what Litestream keeps beside it stays."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(path) + suffix)


def remove_meta(path):
    """Litestream's local folder of a database."""
    folder, name = os.path.split(str(path))
    shutil.rmtree(os.path.join(folder, f".{name}-litestream"), ignore_errors=True)
