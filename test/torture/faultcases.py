"""faultcases - one operation of litestream, once for each of its file calls.

A case is a database, a replica and a daemon of their own, copied from a template. The operation
is run once to count its calls, then again with a strike at the N-th. After each strike the daemon
is started again (it was killed) or goes on by itself (the call failed); the application goes on
writing; and in the end the replica restores to the very source.

LITESTREAM_FAULTS=all strikes at every call (a quarter of an hour); else at some of each kind,
chosen by LITESTREAM_FAULTS_SEED. LITESTREAM_FAULTS_ONLY=N,... repeats those that failed.
"""

import contextlib
import errno
import os
import random
import re
import shutil
import subprocess
import time

import disk
import faultpoint
import lib

ALL = os.environ.get("LITESTREAM_FAULTS") == "all"
SEED = int(os.environ.get("LITESTREAM_FAULTS_SEED", "1"))
SNAPSHOT = 9

QUIET = {  # nothing happens by itself
    "levels": [{"interval": "24h"}],
    "snapshot": {"interval": "24h", "retention": "24h"},
    "l0-retention": "24h",
    "logging": {"level": "debug"},
    "shutdown-sync-timeout": "20s",
}


class Mode:
    """What is done to the N-th call, and to which kinds of calls."""

    def __init__(self, name, action, error=0, kinds=faultpoint.KINDS, stays=False):
        self.name = name
        self.action = action
        self.error = error
        self.kinds = kinds
        self.stays = stays  # all calls of these kinds fail from then on

    @property
    def kills(self):
        return self.action in (faultpoint.KILL, faultpoint.TEAR)

    def is_told(self, kind, path):
        """A call that changes something has failed, and nobody but us was to say so. What only
        looks may look again, or do without."""
        by_sqlite = path == "" or (kind == "create" and path.startswith("/app.db-"))
        return (
            self.action == faultpoint.FAIL
            and self.error != errno.EINTR
            and kind in CHANGING
            and not by_sqlite
        )


CHANGING = ["create", "write", "sync", "truncate", "rename", "link", "unlink", "mkdir", "copy"]
MODES = {
    m.name: m
    for m in [
        # Nothing on disk changes between two calls that only look.
        Mode("kill", faultpoint.KILL, kinds=CHANGING),
        Mode("tear", faultpoint.TEAR, kinds=["write"]),
        Mode("EIO", faultpoint.FAIL, errno.EIO),
        Mode("ENOSPC", faultpoint.FAIL, errno.ENOSPC, ["create", "write", "sync", "rename", "link", "mkdir", "copy"]),
        Mode("EMFILE", faultpoint.FAIL, errno.EMFILE, ["open", "create", "opendir"]),
        Mode("EINTR", faultpoint.FAIL, errno.EINTR, ["open", "create", "read", "write"]),
        Mode("short", faultpoint.SHORT, kinds=["read", "write"]),
        Mode("broken", faultpoint.FAIL, errno.EIO, ["read", "open"], stays=True),
        Mode("disk-full", faultpoint.FAIL, errno.ENOSPC, ["create", "write", "mkdir", "copy"], stays=True),
    ]
}


def newest(folder, level):
    return max((int(n[17:33], 16) for n in disk.level_names(folder, level)), default=0)


def copy_tree(source, target):
    # By another process: to close a database by hand would drop the locks that this one has.
    subprocess.run(["cp", "-a", source, target], check=True)


class Case:
    """One operation in a folder of its own."""

    most = 10  # strikes of a mode, unless all are wanted
    may_miss = 0.5  # of the strikes: not every run has the same calls
    ending = False  # the daemon has been asked to end
    settings = {}  # of the database
    config = {}  # what differs from QUIET

    def __init__(self, folder, template=None):
        self.folder = str(folder)
        self.root = os.path.join(self.folder, "root")
        self.db = os.path.join(self.root, "app.db")
        self.replica = os.path.join(self.root, "replica")
        self.url = "file://" + self.replica
        self.meta = disk.meta_folder(self.db)
        os.makedirs(self.folder)
        if template is None:
            os.makedirs(self.root)
        else:
            copy_tree(template, self.root)
        self.run = lib.Litestream(self.folder)
        self.fault = faultpoint.Faultpoint(os.path.join(self.folder, "control"), self.root)
        self.daemon = None
        self.app = None
        self.told = []  # what the commands said

    def open_app(self):
        self.app = lib.Ledger(self.db)
        self.app.con.execute("PRAGMA wal_autocheckpoint = 0")

    def commit(self, transactions=1, fill_bytes=2000):
        self.app.commit(transactions, fill_bytes)

    # the daemon

    def configuration(self):
        one = {
            "path": self.db,
            "monitor-interval": "10ms",
            "min-checkpoint-page-count": 100000,
            "replica": {"type": "file", "path": self.replica, "sync-interval": "10ms"},
            **self.settings,
        }
        return {"dbs": [one], **QUIET, **self.config}

    def start(self):
        self.daemon = self.run.replicate(config=self.configuration(), env=self.fault.env)

    def caught_up(self):
        return disk.has_all(self.db, self.replica)

    def wait(self, condition, what, timeout=60):
        def holds():
            assert self.ending or self.daemon is None or self.daemon.running(), self.output()
            return condition()

        try:
            lib.wait_until(holds, timeout, what)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.output()}") from None

    def wait_caught_up(self):
        self.wait(self.caught_up, "the replica to have everything")

    def output(self):
        return "\n".join([*self.told, *(f"-- {p.args[1]}\n{p.output()}" for p in self.run.processes)])

    # the operation: what a case of its own says

    @classmethod
    def make_template(cls, folder):
        """The database before the operation, with the application closed; its folder."""
        case = cls(folder)
        case.open_app()
        case.commit(20)
        case.start()
        case.wait_caught_up()
        case.wait(lambda: newest(case.replica, SNAPSHOT) > 0, "the first snapshot")
        case.wait(lambda: newest(case.replica, 1) > 0, "the first merge")
        case.commit(3)
        case.wait_caught_up()
        case.daemon.stop()
        case.keep_wal()
        return case.root

    def keep_wal(self):
        """Leaves the WAL as it is when the application goes: as if it had been killed."""
        kept = self.root + "-kept"
        copy_tree(self.root, kept)
        self.app.close()
        self.app = None
        shutil.rmtree(self.root)
        os.rename(kept, self.root)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.db + "-shm")

    def prepare(self):
        """Everything up to the operation."""
        self.open_app()
        self.start()
        self.commit()
        self.wait_caught_up()

    def trigger(self):
        """Starts the operation."""

    def is_done(self):
        return self.caught_up()

    def is_well(self):
        """It has been done after all."""
        return self.is_done()

    # one run

    def suffer(self):
        """While the failure stays: it is told, and the application goes on."""
        self.commit(2)
        self.wait(self.has_told, "it to be told")

    def survive(self, mode):
        """What the world does after a strike, until everything is well again."""
        if mode.kills and self.daemon is not None:
            self.daemon.kill()
            self.daemon = None
        self.fault.off()
        if self.app is None:
            self.open_app()
        if self.daemon is None:
            self.start()
        self.commit(2)
        self.wait_caught_up()
        self.commit()
        self.wait_caught_up()
        self.wait(self.is_well, "the operation, which has failed once")

    def settle(self):
        """The end: all is well, and nothing is left over."""
        if self.daemon is not None:
            self.daemon.stop()
        copy = self.run.restore(self.url)
        assert lib.Ledger.committed(copy) == self.app.n
        lib.assert_same(self.db, copy)
        check_chain(self.replica)
        check_chain(self.meta)

    def left_over(self):
        return [
            os.path.join(folder, n)[len(self.root) :]
            for folder, _, names in os.walk(self.root)
            for n in names
            if n.endswith((".tmp", ".bad"))
        ]

    def has_told(self):
        """It said that something was wrong."""
        return re.search(r"\b(ERROR|WARN)\b|level=(error|warn)", self.output()) is not None

    def close(self):
        if self.app is not None:
            self.app.close()
        trouble = self.run.clean_up()
        self.fault.close()
        assert not trouble, f"{trouble}\n{self.output()}"
        shutil.rmtree(self.folder)


class CommandCase(Case):
    """A command that ends by itself; there is no daemon beside it."""

    command = None

    def arguments(self):
        raise NotImplementedError

    def prepare(self):
        self.open_app()

    def trigger(self):
        self.command = self.run.start(*self.arguments(), env=self.fault.env)

    def is_done(self):
        return not self.command.running()

    def suffer(self):
        """The end of the command is waited for anyway."""

    def between(self):
        """Before it is run again."""

    def check(self, status):
        """What must hold when the command has ended, however it has."""

    def survive(self, mode):
        status = self.command.wait(60)
        self.fault.off()
        if mode.kills and self.fault.struck():
            assert status in (-9, 1), status  # 1: of a supervisor whose worker was killed
        elif mode.error in (0, errno.EINTR):
            assert status == 0, f"status {status}"
        assert status in (0, -9) or mode.kills or self.has_told(), f"status {status} without a word"
        self.check(status)
        self.between()
        self.trigger()
        assert self.command.wait(60) == 0, self.command.output()
        self.check(0)

    def has_told(self):
        # the first of the two must have failed, or there was no need to
        if "identity of the database was not noted" in self.run.processes[0].output():
            return True  # and costs a full image at worst
        return self.run.processes[0].status() != 0 and "rror" in self.run.processes[0].output()


def check_chain(folder):
    """Every level has each TXID once, and none is missing but what no snapshot needs."""
    snapshots = [int(n[17:33], 16) for n in disk.level_names(folder, SNAPSHOT)]
    for level in range(SNAPSHOT):
        found = [(int(n[:16], 16), int(n[17:33], 16)) for n in disk.level_names(folder, level)]
        for (_, before), (low, high) in zip(found, found[1:]):
            assert before < low <= high, f"level {level}: {found}"
            assert low == before + 1 or low - 1 in snapshots, f"level {level}: {found}"


def run_one(cls, folder, template, mode, n):
    """One case; returns the site of the strike, None when the operation had fewer calls."""
    case = cls(folder, template)
    try:
        case.prepare()
        last = faultpoint.ALWAYS if mode.stays else n
        case.fault.arm(mode.action, n, last, mode.error, mode.kinds)
        case.trigger()
        case.wait(lambda: case.fault.struck() or case.is_done(), "a strike, or the end")
        if not case.fault.struck():
            case.fault.off()
            return None
        if mode.stays:
            case.suffer()
        where = case.fault.struck_at()
        case.survive(mode)
        case.settle()
        assert not mode.is_told(*where) or case.has_told(), "nothing was said about it"
        left = case.left_over()
        # A temporary file that cannot be looked at may be somebody else's. It goes when the
        # next daemon writes to that level.
        assert not left or (where[0] == "stat" and left == [where[1]]), left
        return where
    except AssertionError as e:
        raise AssertionError(f"struck {case.fault.struck_at()}: {e}\n{case.output()}") from None
    finally:
        case.close()


def count(cls, folder, template, mode):
    """The calls of the operation when all goes well."""
    case = cls(folder, template)
    try:
        case.prepare()
        case.fault.arm(kinds=mode.kinds)
        case.trigger()
        case.wait(case.is_done, "the operation")
        case.fault.off()
        calls = case.fault.calls()
        case.survive(mode)
        case.settle()
        return calls
    finally:
        case.close()


def sweep(cls, folder, template, mode):
    """All cases of one operation and one mode."""
    mode = MODES[mode]
    # A slow machine may be through before anything is counted, or try more than once.
    counts = [count(cls, os.path.join(folder, f"count-{i}"), template, mode) for i in range(3)]
    calls = min(filter(None, counts), key=len, default=[])
    assert calls, "no call of these kinds was seen"
    rnd = random.Random(f"{SEED} {cls.__name__} {mode.name}")
    only = os.environ.get("LITESTREAM_FAULTS_ONLY")  # numbers of calls
    most = len(calls) if ALL or mode.name in ("kill", "EMFILE") else cls.most
    numbers = faultpoint.sample(calls, most, rnd)
    if only:
        numbers = [int(n) for n in only.split(",")]
    trouble, missed = [], 0
    for n in numbers:
        begin = time.monotonic()
        try:
            where = run_one(cls, os.path.join(folder, f"{mode.name}-{n}"), template, mode, n)
            missed += where is None
            took = time.monotonic() - begin
            if took > 5:
                print(f"{cls.__name__} {mode.name} at call {n}, {where}: {took:.1f} s")
        except AssertionError as e:
            c = calls[n - 1]
            trouble.append(f"=== {mode.name} at call {n} of {len(calls)}, {c.kind} {c.path}: {e}")
            print(trouble[-1].partition("\n")[0])
    print(f"{cls.__name__} {mode.name}: {len(numbers)} of {len(calls)} calls, {missed} not reached")
    assert not trouble, "\n".join(trouble)
    most_missed = max(1, int(len(numbers) * cls.may_miss))
    assert missed <= most_missed, f"{missed} of {len(numbers)} strikes were not reached"
