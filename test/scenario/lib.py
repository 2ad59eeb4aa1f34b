"""lib - what scenarios are written with: processes, waiting, SQLite.

Nothing here sleeps for a fixed time where a condition can be waited for; every wait has a
deadline. LITESTREAM_TEST_SLOW multiplies the deadlines on a slow machine.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import disk

SLOW = float(os.environ.get("LITESTREAM_TEST_SLOW", "1"))
POLL = 0.02
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = sys.executable

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


def descriptors(pid):
    """{descriptor: what it is}, without the numbers of sockets, pipes and the like."""
    found = {}
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed since
                link = os.readlink(f"/proc/{pid}/fd/{fd}")
                found[int(fd)] = re.sub(r":\[\d+\]$", "", link)
    return found


def threads(pid):
    """How many threads a process has, 0: there is no such process."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


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

    def worker_of(self, db):
        """Pid of the worker that has this database open, None: none (yet)."""
        for pid in self.workers():
            if str(db) in descriptors(pid).values():
                return pid
        return None

    def wait_worker(self, db, other_than=None, timeout=30.0):
        """Waits for the worker of a database to have it open; its pid."""

        def found():
            assert self.running(), f"ended with {self.status()}:\n{self.output()}"
            pid = self.worker_of(db)
            return pid if pid != other_than else None

        return wait_until(found, timeout, f"worker of {db}")

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

    def start(self, *args, env=None, cwd=None, binary=None, prefix=()):
        """Any command, in the background; prefix: a command that runs it (TinyFs.inside)."""
        log = os.path.join(self.folder, f"process-{len(self.processes)}.log")
        p = Process([*prefix, binary or program("litestream"), *args], log, env, cwd)
        self.processes.append(p)
        return p

    def replicate(self, *args, config=None, **more):
        """`litestream replicate`, with a configuration or with DB and URLs."""
        name = f"litestream-{len(self.processes)}.yml"
        flags = ["-config", self.config(config, name)] if config is not None else []
        return self.start("replicate", *flags, *args, **more)

    def run(self, *args, status=0, timeout=120.0, env=None, cwd=None, binary=None, prefix=()):
        """A one-shot command to its end; returns stdout, stderr and returncode. Status None:
        any."""
        done = subprocess.run(
            [*prefix, binary or program("litestream"), *map(str, args)],
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

    def wait_caught_up(self, db, folder, timeout=30.0):
        """Waits until a file replica holds everything that a database at rest has in its
        WAL."""
        wait_until(lambda: disk.has_all(db, folder), timeout, f"{folder} to have all of {db}")

    def assert_restores(self, url, source):
        """The newest state on a replica is a source at rest, page by page; its path."""
        restored = self.restore(url)
        assert_same(source, restored)
        return restored

    def writer(self, db, prefix=(), **settings):
        """Starts a LedgerWriter."""
        name = os.path.join(self.folder, f"writer-{len(self.processes)}")
        w = LedgerWriter(db, name, prefix, settings)
        self.processes.append(w.process)
        return w

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


def content_hash(path):
    """Of everything the application sees: schema and rows."""
    h = hashlib.sha256()
    for line in dump(path, own_tables=False):
        h.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return h.hexdigest()


def image_hash(path):
    """Of the committed state, byte by byte."""
    return hashlib.sha256(image(path)[1]).hexdigest()


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


class LedgerWriter:
    """A process that adds transactions to a Ledger until it is stopped (ledger_writer.py)."""

    def __init__(self, db, name, prefix, settings):
        self.acks = name
        script = os.path.join(HERE, "ledger_writer.py")
        args = [PYTHON, "-B", script, str(db), self.acks, json.dumps(settings)]
        self.process = Process([*prefix, *args], name + ".log")

    def committed(self):
        """The last transaction whose COMMIT has returned, 0: none yet."""
        try:
            with open(self.acks, encoding="ascii") as f:
                return int(f.read() or "0")
        except FileNotFoundError:
            return 0

    def wait_committed(self, n, timeout=30.0):
        """Waits for transaction n."""

        def there():
            return self.committed() >= n or not self.process.running()

        wait_until(there, timeout, f"transaction {n}")
        assert self.committed() >= n, f"the writer ended early:\n{self.process.output()}"

    def stop(self):
        """Ends it after the transaction under way; the last one that was committed."""
        self.process.stop()
        return self.committed()

    def slowest(self):
        """Seconds of the longest transaction; known when it has ended."""
        with open(self.acks + ".slowest", encoding="ascii") as f:
            return float(f.read())


class TinyFs:
    """A small tmpfs in a mount namespace of its own: .inside is the prefix of commands that
    see it at .mount, .path is where others see it."""

    def __init__(self, mount, size):
        self.mount = str(mount)
        os.makedirs(self.mount, exist_ok=True)
        script = 'mount -t tmpfs -o "size=$1,mode=700" tiny "$2" && echo ready && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script, "sh", str(size), self.mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("no tmpfs can be mounted in a namespace here")
        pid = self._holder.pid
        self.inside = ["nsenter", f"--target={pid}", "--user", "--mount", "--preserve-credentials"]
        self.path = f"/proc/{pid}/root{self.mount}"

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self, leave=0):
        """Takes all space but about so many bytes; returns what removes it again."""
        ballast = os.path.join(self.path, "ballast")
        with open(ballast, "ab", buffering=0) as f:
            with contextlib.suppress(OSError):
                while self.free() > leave:
                    f.write(b"x" * min(1 << 16, self.free() - leave))
        return lambda: os.unlink(ballast)

    def close(self):
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()


def can_mount():
    """May a user make namespaces here? (Some containers forbid it.)"""
    return subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode == 0


def remove_database(path):
    """The database and its side files; what Litestream keeps beside it stays."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(path) + suffix)


def remove_meta(path):
    """Litestream's local folder of a database."""
    folder, name = os.path.split(str(path))
    shutil.rmtree(os.path.join(folder, f".{name}-litestream"), ignore_errors=True)
