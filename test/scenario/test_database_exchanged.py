"""The database file is exchanged or overwritten although its WAL stays as it is: what is restored
is what the application sees now."""

import os
import shutil

import disk
import lib
import pytest


class Site:
    """A database whose WAL is in the file as a whole, and an older copy of it of the same size."""

    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.db = str(folder / "app.db")
        self.old = str(folder / "old.db")
        self.replica = str(folder / "replica")
        self.url = "file://" + self.replica
        con = lib.connect(self.db)
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, fill BLOB)")
        with lib.transaction(con):
            for i in range(60):
                con.execute("INSERT INTO t VALUES (?, 10, randomblob(3000))", (i,))
        self.con = con

    def start(self, **more):
        db = {
            "path": self.db,
            "monitor-interval": "20ms",
            "checkpoint-interval": "100ms",
            "replica": {"path": self.replica, "sync-interval": "20ms"},
            **more,
        }
        return self.litestream.replicate(config={"dbs": [db], "logging": {"level": "debug"}})

    def caught_up(self):
        self.litestream.wait_caught_up(self.db, self.replica, 20)

    def update(self, n):
        self.con.execute("UPDATE t SET n = ?, fill = randomblob(3000) WHERE id % 3 = 0", (n,))

    def prepare(self):
        """Everything is captured and copied; self.old is as the database was one update ago."""
        for _ in range(3):  # the size settles
            self.caught_up()
            self.update(11)
        self.caught_up()
        self.checkpointed()
        shutil.copyfile(self.db, self.old)
        self.update(12)
        self.caught_up()
        self.checkpointed()
        assert os.path.getsize(self.old) == os.path.getsize(self.db)
        lib.wait_until(self.clock_has_gone_on, 20, "another time of modification")

    def clock_has_gone_on(self):
        """Two writes in one tick of the file system's clock look like one."""
        probe = self.db + ".probe"
        with open(probe, "w", encoding="ascii") as f:
            f.write("x")
        return os.stat(probe).st_mtime_ns > os.stat(self.db).st_mtime_ns

    def checkpointed(self):
        def copied():
            busy, frames, done = self.con.execute("PRAGMA wal_checkpoint").fetchone()
            return not busy and frames == done

        lib.wait_until(copied, 20, "a complete checkpoint")

    def seen(self):
        """What a new connection sees."""
        con = lib.connect(self.db, wal=False)
        try:
            return con.execute("SELECT id, n FROM t ORDER BY id").fetchall()
        finally:
            con.close()

    def assert_restores(self):
        copy = self.litestream.restore(self.url)
        con = lib.connect(copy, wal=False)
        got = con.execute("SELECT id, n FROM t ORDER BY id").fetchall()
        con.close()
        assert got == self.seen()
        self.litestream.assert_restores(self.url, self.db)


@pytest.fixture
def site(litestream, tmp_path):
    s = Site(litestream, tmp_path)
    yield s
    s.con.close()


def exchange_by_rename(site):
    os.rename(site.old, site.db)


def overwrite(site):
    with open(site.old, "rb") as f, open(site.db, "r+b") as to:
        to.write(f.read())


def copy_over(site):
    shutil.copyfile(site.old, site.db)


@pytest.mark.parametrize("how", [exchange_by_rename, overwrite, copy_over])
def test_while_the_daemon_runs(site, how):
    daemon = site.start()
    site.prepare()
    site.con.close()
    how(site)
    site.con = lib.connect(site.db)
    site.con.execute("UPDATE t SET n = 99 WHERE id = 1")
    daemon.wait_log("full image written.*replaced or overwritten", 20)
    site.caught_up()
    site.assert_restores()
    site.con.execute("UPDATE t SET n = 100 WHERE id = 2")
    site.caught_up()
    site.assert_restores()
    daemon.stop()


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("app", ["stays", "ends"])
def test_by_rename_while_there_is_no_daemon(site, end, app):
    daemon = site.start()
    site.prepare()
    if app == "ends":
        site.con.close()
    getattr(daemon, end)()
    exchange_by_rename(site)
    daemon = site.start()
    daemon.wait_log("full image written.*replaced or overwritten", 20)
    site.con.close()
    site.con = lib.connect(site.db)
    site.con.execute("UPDATE t SET n = 99 WHERE id = 1")
    site.caught_up()
    site.assert_restores()
    daemon.stop()


def test_nothing_is_captured_anew_when_checkpoints_write_to_the_file(site):
    daemon = site.start()
    daemon.wait_log("opened db")
    site.con.execute("PRAGMA busy_timeout = 20")  # TRUNCATE waits for the daemon's reading
    for n in range(30):
        site.update(10 + n)
        if n % 3 == 0:
            site.con.execute("PRAGMA wal_checkpoint(%s)" % ["PASSIVE", "TRUNCATE"][n % 2])
        if n % 10 == 9:
            site.caught_up()
            daemon.stop()
            daemon = site.start()
            daemon.wait_log("opened db")  # before that nobody keeps the WAL as it is
    site.caught_up()
    site.assert_restores()
    daemon.stop()
    assert disk.images(site.replica) == ["0000000000000001-0000000000000001.ltx"]
