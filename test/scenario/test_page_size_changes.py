"""A database gets another page size: every moment before, at and after it restores, while merges,
snapshots and retention go on."""

import datetime
import os
import time

import disk
import lib
import pytest

LEVELS = range(10)
SNAPSHOT = 9


def now_text():
    """Now, in the form of -timestamp, to the microsecond."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def files(folder):
    """(level, min TXID, max TXID, time it was created in ns) of all files of a replica."""
    found = []
    for level in LEVELS:
        for name in disk.level_names(folder, level):
            try:
                created = os.stat(os.path.join(folder, "ltx", str(level), name)).st_mtime_ns
            except FileNotFoundError:
                continue
            found.append((level, int(name[:16], 16), int(name[17:33], 16), created))
    return found


class Story:
    """A database and what it held after each TXID that was noted."""

    def __init__(self, litestream, ledger, replica, **settings):
        self.litestream = litestream
        self.ledger = ledger
        self.replica = replica
        self.settings = settings
        self.rows = {}  # TXID: committed transactions
        self.moments = []  # (text, ns)
        self.changes = []  # first TXID of each page size
        self.daemon = None

    def start(self):
        db = {
            "path": self.ledger.path,
            "monitor-interval": "20ms",
            "replicas": [{"path": self.replica.path, "sync-interval": "20ms"}],
        }
        self.daemon = self.litestream.replicate(config={"dbs": [db], **self.settings})
        lib.wait_until(lambda: disk.newest_txid(self.replica.path) > 0, 20, "a first file")

    def note(self):
        self.litestream.wait_caught_up(self.ledger.path, self.replica.path, 30)
        txid = disk.newest_txid(self.replica.path)
        self.rows[txid] = self.ledger.n
        then = time.time_ns()
        lib.wait_until(lambda: time.time_ns() > then + 2_000_000, what="the clock to move on")
        self.moments.append((now_text(), time.time_ns()))
        then = time.time_ns()
        lib.wait_until(lambda: time.time_ns() > then + 2_000_000, what="the clock to move on")

    def commit(self, times):
        for _ in range(times):
            self.ledger.commit(1, fill_bytes=3000)
            self.note()

    def changed(self, before, size):
        """The first file of the new page size is there."""

        def there():
            new = [f for f in disk.level(self.replica.path) if f.min_txid > before]
            return new and new[0]

        first = lib.wait_until(there, 20, "the file of the change")
        assert first.page_size == size and disk.is_image(first)
        self.changes.append(first.min_txid)
        self.note()

    def vacuum_to(self, size):
        """As the only user of the database."""
        self.daemon.stop()
        before = disk.newest_txid(self.replica.path)
        con = self.ledger.con
        con.execute("PRAGMA journal_mode = delete")
        con.execute(f"PRAGMA page_size = {size}")
        con.execute("VACUUM")
        assert con.execute("PRAGMA page_size").fetchone()[0] == size
        con.execute("PRAGMA journal_mode = wal")
        self.start()
        self.changed(before, size)

    def replace_by(self, size):
        """By a file that was made elsewhere, while the daemon runs."""
        before = disk.newest_txid(self.replica.path)
        path, made = self.ledger.path, self.ledger.path + ".new"
        self.ledger.con.execute(f"VACUUM INTO '{made}'")
        self.ledger.close()
        con = lib.connect(made, wal=False)
        con.execute("PRAGMA journal_mode = delete")
        con.execute(f"PRAGMA page_size = {size}")
        con.execute("VACUUM")
        con.execute("PRAGMA journal_mode = wal")
        con.close()
        for suffix in ("-wal", "-shm"):
            os.unlink(path + suffix)
        os.rename(made, path)
        self.ledger = lib.Ledger(path)
        self.ledger.commit(1, fill_bytes=100)
        self.changed(before, size)

    def restored(self, *flags):
        return lib.Ledger.committed(self.litestream.restore(self.replica.url, None, *flags))

    def assert_every_txid(self):
        for txid, rows in self.rows.items():
            assert self.restored("-txid", f"{txid:016x}") == rows, hex(txid)

    def at(self, text, ns):
        """What there is to restore at a moment, and what is restored; None: the replica ends
        before. While files are merged and removed it is tried again."""
        while True:
            before = files(self.replica.path)
            if ns >= max(f[3] for f in before):
                return None
            rows = self.restored("-timestamp", text)
            if files(self.replica.path) == before:
                return max(f[2] for f in before if f[3] < ns), rows

    def assert_every_moment(self):
        """To the newest TXID that a file of before it ends with."""
        n = 0
        for text, ns in self.moments:
            found = self.at(text, ns)
            if found and found[0] in self.rows:
                assert found[1] == self.rows[found[0]], text
                n += 1
        assert n > len(self.moments) // 2

    def assert_newest(self):
        self.litestream.wait_caught_up(self.ledger.path, self.replica.path, 30)
        self.litestream.assert_restores(self.replica.url, self.ledger.path)


def merged_to(story, level, txid):
    return lib.wait_until(
        lambda: any(f[0] == level and f[2] >= txid for f in files(story.replica.path)),
        30,
        f"level {level} to hold {txid}",
    )


@pytest.fixture
def story(litestream, ledger, replica):
    ledger.commit(10, fill_bytes=3000)
    return Story(
        litestream,
        ledger,
        replica,
        **{"levels": [{"interval": "1s"}, {"interval": "3s"}], "l0-retention": "1h"},
    )


@pytest.mark.parametrize("change", [Story.vacuum_to, Story.replace_by])
def test_every_txid_and_moment(story, change):
    story.start()
    story.note()
    story.commit(4)
    for size in (1024, 8192, 4096):
        change(story, size)
        story.commit(3)
        story.assert_every_txid()
    last = max(story.rows)
    story.commit(1)
    for level in (1, 2):
        merged_to(story, level, last)
    story.assert_every_txid()
    story.assert_every_moment()
    story.assert_newest()
    story.daemon.stop()


def row_of(found, level):
    return [(f[1], f[2]) for f in found if f[0] == level]


@pytest.mark.parametrize("change", [Story.vacuum_to, Story.replace_by])
def test_after_merges_and_retention(story, change):
    """The levels go on over the change without a hole, and no file holds both sizes."""
    story.settings.update(
        {
            "l0-retention": "1s",
            "l0-retention-check-interval": "500ms",
            "snapshot": {"interval": "2s", "retention": "1h"},
        }
    )
    story.start()
    story.note()
    daemons = []
    story.commit(4)
    for size in (512, 4096):
        change(story, size)
        story.commit(6)
        daemons.append(story.daemon)
        story.assert_every_moment()
    last = max(story.rows)
    story.commit(1)
    for level in (1, 2):
        merged_to(story, level, last)
    lib.wait_until(
        lambda: row_of(files(story.replica.path), 0)[0][0] > story.changes[-1],
        30,
        "the level-0 files of the changes to go",
    )
    found = files(story.replica.path)
    for level in (1, 2):
        row = row_of(found, level)
        assert row[0][0] == 1
        assert all(a[1] + 1 == b[0] for a, b in zip(row, row[1:])), row
        for first in story.changes:
            assert first in [f[0] for f in row], f"level {level} does not stop at {first}"
    for first in story.changes:
        assert story.restored("-txid", f"{first - 1:016x}") == story.rows[first - 1]
        assert any(f[0] == SNAPSHOT and f[2] >= first for f in found)
    story.assert_every_moment()
    story.assert_newest()
    story.daemon.stop()
    for daemon in daemons:
        assert daemon.lines("compaction failed|goes on behind a snapshot") == []
