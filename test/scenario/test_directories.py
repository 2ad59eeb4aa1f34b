"""Databases that are found in folders: a burst of them comes, changes its names and goes."""

import os
import sqlite3

import disk
import lib
import pytest

class Site:
    """A folder with databases; each has one table, and knows how many rows it has."""

    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.dir = str(folder / "data")
        self.replica = str(folder / "replica")
        os.mkdir(self.dir)

    def entry(self, **more):
        return {
            "dir": self.dir,
            "pattern": "*.db",
            "watch": True,
            "monitor-interval": "50ms",
            "replica": {"path": self.replica, "sync-interval": "20ms"},
            **more,
        }

    def start(self, **more):
        return self.litestream.replicate(config={"dbs": [self.entry(**more)]})

    def path(self, name):
        return os.path.join(self.dir, name)

    def make(self, name, rows=1):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        con = lib.connect(path)
        con.execute("CREATE TABLE t (x)")
        for i in range(rows):
            con.execute("INSERT INTO t VALUES (?)", (f"{name} {i}",))
        con.close()
        return path

    def add_row(self, name):
        con = lib.connect(self.path(name))
        con.execute("INSERT INTO t VALUES ('later')")
        con.close()

    def replica_of(self, name):
        return os.path.join(self.replica, name)

    def wait(self, *names, timeout=60):
        for name in names:
            self.litestream.wait_caught_up(self.path(name), self.replica_of(name), timeout)

    def assert_restores(self, name):
        self.litestream.assert_restores("file://" + self.replica_of(name), self.path(name))


def move(old, new):
    """A database that nobody writes to, with its WAL."""
    for end in ["-wal", "-shm", ""]:
        os.rename(old + end, new + end)


@pytest.fixture
def site(litestream, tmp_path):
    return Site(litestream, tmp_path)


def test_what_is_there_at_the_start(site):
    """Only databases with a good name; not those in folders below."""
    for name in ["a.db", "b.db", "c.sqlite", "below/d.db"]:
        site.make(name)
    with open(site.path("text.db"), "w", encoding="utf-8") as f:
        f.write("this is no database, though its name ends like one\n")
    daemon = site.start()
    daemon.wait_log('found databases in directory".* count=2 watch=true')
    site.wait("a.db", "b.db")
    daemon.stop()
    assert sorted(os.listdir(site.replica)) == ["a.db", "b.db"]
    for name in ["a.db", "b.db"]:
        site.assert_restores(name)


def test_a_burst_of_databases_comes_changes_names_and_goes(site):
    """Hundreds at once while others are written to: all that stay are replicated, as are the
    last rows of all that went."""
    steady = [f"steady-{i}.db" for i in range(3)]
    for name in steady:
        site.make(name)
    daemon = site.start()
    site.wait(*steady)
    workers = {name: daemon.wait_worker(site.path(name)) for name in steady}
    writers = [
        site.litestream.writer(site.path(f"ledger-{i}.db"), pause=0.005) for i in range(2)
    ]
    names = [f"burst-{i:03}.db" for i in range(500)]
    for name in names:
        site.make(name)
        if name.endswith("0.db"):
            site.add_row(steady[0])
    lib.wait_until(
        lambda: len(daemon.lines("added database to replication")) >= 502,
        60,
        "500 databases and two ledgers to be added",
    )
    gone, renamed, stay = names[:200], names[200:300], names[300:]
    site.wait(*names, timeout=120)
    for name in gone:
        move(site.path(name), site.path(name).replace("/data/", "/"))
    for name in renamed:
        move(site.path(name), site.path("new-" + name))
    lib.wait_until(
        lambda: len(daemon.lines("removed database from replication")) >= 300,
        60,
        "300 databases to be removed",
    )
    for name in stay[:50]:
        site.add_row(name)
    site.wait(*stay, *["new-" + name for name in renamed], *steady, timeout=120)
    for writer in writers:
        writer.stop()
    assert {name: daemon.wait_worker(site.path(name)) for name in steady} == workers
    daemon.stop(timeout=60)
    # every tenth: a restore takes a while in an instrumented build
    for name in stay[::10] + ["new-" + name for name in renamed[::10]] + steady:
        site.assert_restores(name)
    for name in gone[::10]:
        site.litestream.assert_restores(
            "file://" + site.replica_of(name), site.path(name).replace("/data/", "/")
        )
    for i in range(2):
        site.assert_restores(f"ledger-{i}.db")


def test_folders_below_come_move_and_go(site):
    os.mkdir(site.path("old"))
    site.make("old/first.db")
    daemon = site.start(recursive=True)
    site.wait("old/first.db")
    site.make("deep/er/second.db")
    site.make(".app-litestream/third.db")  # not looked into
    site.wait("deep/er/second.db")
    os.rename(site.path("old"), site.path("moved"))
    daemon.wait_log("removed database.*old/first.db")
    site.wait("moved/first.db")
    site.make("moved/fourth.db")
    site.wait("moved/fourth.db")
    os.rename(site.path("deep"), site.path("../away"))
    daemon.wait_log("removed database.*second.db")
    assert not daemon.lines("third.db")
    daemon.stop()
    site.assert_restores("moved/first.db")
    site.assert_restores("moved/fourth.db")


def test_a_file_that_becomes_a_database_while_it_stays_open(site):
    daemon = site.start()
    daemon.wait_log("found databases in directory")
    con = sqlite3.connect(site.path("late.db"), isolation_level=None)
    con.execute("PRAGMA user_version")  # opens an empty file, nothing more
    with open(site.path("late.db"), "ab"):
        pass
    site.make("other.db")
    site.wait("other.db")  # the empty one was looked at by now
    assert not daemon.lines("added database.*late.db")
    con.execute("CREATE TABLE t (x)")
    daemon.wait_log("added database.*late.db")
    con.close()
    site.wait("late.db")
    daemon.stop()
    site.assert_restores("late.db")


def test_a_file_that_takes_the_place_of_another_keeps_its_worker(site):
    site.make("a.db")
    daemon = site.start()
    site.wait("a.db")
    worker = daemon.wait_worker(site.path("a.db"))
    for nth in range(1, 4):
        site.make("next", rows=5 * nth)
        lib.remove_database(site.path("a.db"))
        os.rename(site.path("next"), site.path("a.db"))
        daemon.wait_log("was replaced, opening it again", 30, nth)
        site.wait("a.db")
    assert daemon.wait_worker(site.path("a.db")) == worker
    assert not daemon.lines("removed database") and not daemon.lines("added database")
    daemon.stop()
    site.assert_restores("a.db")


def test_the_last_rows_of_a_database_that_is_deleted(site):
    """The first commit is looked at at once; what follows within the interval is in the WAL
    that only the worker still has."""
    site.make("a.db")
    daemon = site.start(**{"monitor-interval": "3s"})
    site.wait("a.db")
    con = lib.connect(site.path("a.db"))
    con.execute("INSERT INTO t VALUES (0)")
    site.wait("a.db")
    for i in range(20):
        con.execute("INSERT INTO t VALUES (?)", (i,))
    assert not disk.has_all(site.path("a.db"), site.replica_of("a.db"))
    expected = [row[0] for row in con.execute("SELECT x FROM t")]
    for end in ["", "-wal", "-shm"]:
        os.unlink(site.path("a.db") + end)
    con.close()
    daemon.wait_log("removed database.*a.db")
    lib.wait_until(lambda: not daemon.workers(), 20, "its worker to end")
    copy = site.litestream.restore("file://" + site.replica_of("a.db"))
    got = [row[0] for row in sqlite3.connect(copy).execute("SELECT x FROM t")]
    assert got == expected
    daemon.stop()  # it ends although nothing is left that could end
    daemon = site.start()
    daemon.wait_log("found databases in directory")
    site.make("a.db", rows=3)  # another one of that name goes on behind it
    site.wait("a.db")
    daemon.stop()
    site.assert_restores("a.db")


def test_meta_dir_and_commands_that_name_a_member(site, litestream, tmp_path):
    meta = str(tmp_path / "meta")
    site.make("a.db")
    site.make("team/b.db")
    entry = site.entry(recursive=True, **{"meta-dir": meta})
    daemon = litestream.replicate(config={"dbs": [entry]})
    config = litestream.config({"dbs": [entry]})
    site.wait("a.db", "team/b.db")
    daemon.stop()
    assert os.path.isdir(os.path.join(meta, "team", "b.db-litestream", "ltx"))
    assert not [name for name in os.listdir(site.path("team")) if "litestream" in name]
    listed = litestream.run("databases", "-config", config).stdout.split()
    assert listed == ["path", "replica", site.path("a.db"), "file", site.path("team/b.db"), "file"]
    assert "0000000000000001" in litestream.run(
        "ltx", "-config", config, site.path("team/b.db")
    ).stdout
    expected = lib.content_hash(site.path("team/b.db"))
    os.unlink(site.path("team/b.db"))
    litestream.run("restore", "-config", config, site.path("team/b.db"))
    assert lib.content_hash(site.path("team/b.db")) == expected
    done = litestream.run("restore", "-config", config, site.path("team/b.sqlite"), status=1)
    assert f"database not found in config: {site.path('team/b.sqlite')}" in done.stderr


def test_once_brings_all_members_up_to_date(site, litestream):
    names = ["a.db", "below/b.db"]
    for name in names:
        site.make(name)
    config = litestream.config({"dbs": [site.entry(recursive=True)]})
    done = litestream.run("replicate", "-config", config, "-once")
    assert "one-shot replication complete" in done.stdout
    for name in names:
        site.assert_restores(name)


def test_two_entries_for_one_folder(site, litestream):
    """Each with its own pattern and replica; what both want belongs to the first."""
    other = site.entry(pattern="[ab]*", replica={"path": site.replica + "-2"})
    daemon = litestream.replicate(config={"dbs": [site.entry(), other]})
    daemon.wait_log("found databases in directory", count=2)
    for name in ["a.db", "b.sqlite", "c.db"]:
        site.make(name)
    site.wait("a.db", "c.db")
    litestream.wait_caught_up(site.path("b.sqlite"), site.replica + "-2/b.sqlite")
    lib.wait_until(lambda: len(daemon.workers()) == 3, 20, "three workers")
    daemon.stop()
    assert os.listdir(site.replica + "-2") == ["b.sqlite"]
    site.assert_restores("a.db")


def test_nothing_found_and_two_in_one_place(site, litestream, tmp_path):
    daemon = site.start(watch=False)
    assert daemon.wait() == 1
    assert (
        f"Error: no SQLite databases found in directory {site.dir} with pattern *.db"
        in daemon.output()
    )
    missing = site.start(dir=str(tmp_path / "missing"))
    assert missing.wait() == 1
    assert f"failed to scan directory {tmp_path}/missing: " in missing.output()
    site.make("a.db")
    other = tmp_path / "other"
    other.mkdir()
    lib.connect(other / "a.db").execute("CREATE TABLE t (x)")
    both = litestream.replicate(config={"dbs": [site.entry(), site.entry(dir=str(other))]})
    assert both.wait() == 1
    assert "would share a place" in both.output()
    assert not os.path.exists(site.replica)


def test_more_watches_than_there_are(site):
    """Without watches the folders are looked at by time, which is said once."""
    if not lib.can_mount():
        pytest.skip("namespaces cannot be made here")
    site.make("a.db")
    config = site.litestream.config({"dbs": [site.entry(recursive=True)]})
    limited = ["unshare", "-rm", "sh", "-c",
        "echo 1 > /proc/sys/user/max_inotify_watches && exec \"$@\"", "sh"]
    os.mkdir(site.path("x"))
    os.mkdir(site.path("y"))
    daemon = site.litestream.start("replicate", "-config", config, prefix=limited)
    daemon.wait_log("folders without a watch are looked at every 10 seconds")
    site.make("y/b.db")
    site.wait("a.db", "y/b.db", timeout=60)
    daemon.stop()
    assert len(daemon.lines("folders without a watch")) == 1
    site.assert_restores("y/b.db")


def test_the_folder_itself_goes_and_comes_back(site, tmp_path):
    """As another one, of which nothing tells; it is noticed by time."""
    site.make("a.db")
    daemon = site.start()
    site.wait("a.db")
    os.rename(site.dir, tmp_path / "away")
    daemon.wait_log("removed database.*a.db")
    os.mkdir(site.dir)
    site.make("b.db")
    daemon.wait_log("added database.*b.db", timeout=30)
    site.make("c.db")
    daemon.wait_log("added database.*c.db", timeout=5)  # watched again
    site.wait("b.db", "c.db")
    daemon.stop()
    site.assert_restores("b.db")
