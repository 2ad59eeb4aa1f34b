"""What belongs to a database is taken away, locked, exchanged or cut down while it is replicated:
it is said, and replication goes on by itself once it can."""

import os
import shutil
import signal
import subprocess

import disk
import lib
import pytest


class Site:
    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.folder = str(folder / "data")
        os.mkdir(self.folder)
        self.db = os.path.join(self.folder, "app.db")
        self.replica = str(folder / "replica")
        self.url = "file://" + self.replica

    def start(self, **more):
        db = {
            "path": self.db,
            "monitor-interval": "50ms",
            "replica": {"path": self.replica, "sync-interval": "20ms"},
        }
        return self.litestream.replicate(config={"dbs": [db]}, **more)

    def caught_up(self, timeout=30):
        self.litestream.wait_caught_up(self.db, self.replica, timeout)

    def assert_restores(self):
        copy = self.litestream.assert_restores(self.url, self.db)
        disk.assert_chain(self.replica)
        return copy


@pytest.fixture
def site(litestream, tmp_path):
    return Site(litestream, tmp_path)


@pytest.fixture
def running(site):
    """A daemon that has caught up with a database."""
    site.book = lib.Ledger(site.db)
    site.book.commit(20)
    site.daemon = site.start()
    site.caught_up()
    yield site
    site.book.close()


def goes_on(site, commits=5):
    """Further commits come through, and nothing was lost on the way."""
    site.book.commit(commits)
    site.caught_up()
    site.daemon.stop()
    site.assert_restores()


def test_the_local_folder_is_removed(running):
    shutil.rmtree(disk.meta_folder(running.db))
    before = disk.newest_txid(running.replica)
    running.book.commit(3)
    running.caught_up()
    assert disk.newest_txid(running.replica) > before
    goes_on(running)


def test_the_wal_index_is_removed_and_the_application_comes_again(running):
    """Who opens the database from then on writes a wal-index that nobody else looks at."""
    running.book.close()
    os.unlink(running.db + "-shm")
    running.book = lib.Ledger(running.db)
    goes_on(running, 30)


def test_the_folder_is_renamed_away_and_back(running):
    away = running.folder + ".away"
    running.book.commit(2)
    os.rename(running.folder, away)
    running.book.commit(2)  # to the files it has open
    os.rename(away, running.folder)
    goes_on(running)


def test_the_folder_is_away_for_longer(running):
    away = running.folder + ".away"
    os.rename(running.folder, away)
    running.daemon.wait_log("level=(WARN|ERROR)", 20)
    os.rename(away, running.folder)
    goes_on(running)


def test_a_symbolic_link_leads_elsewhere(litestream, tmp_path):
    one, two = str(tmp_path / "one.db"), str(tmp_path / "two.db")
    books = [lib.Ledger(one), lib.Ledger(two)]
    books[0].commit(10)
    books[1].commit(25)
    link, replica = str(tmp_path / "app.db"), str(tmp_path / "replica")
    os.symlink(one, link)
    settings = {"path": link, "monitor-interval": "50ms", "replica": {"path": replica}}
    settings["replica"]["sync-interval"] = "20ms"
    daemon = litestream.replicate(config={"dbs": [settings]})
    litestream.wait_replicated("file://" + replica, 10)
    os.symlink(two, link + ".new")
    os.rename(link + ".new", link)
    litestream.wait_replicated("file://" + replica, 25)
    books[1].commit(2)
    litestream.wait_replicated("file://" + replica, 27)
    daemon.stop()
    litestream.assert_restores("file://" + replica, two)
    for book in books:
        book.close()


def exclusive(path):
    con = lib.connect(path)
    con.execute("PRAGMA locking_mode = EXCLUSIVE")
    con.execute("PRAGMA busy_timeout = 0")
    return con


def test_an_application_locks_the_database_for_itself(site):
    lib.Ledger(site.db).close()
    con = exclusive(site.db)
    con.execute("CREATE TABLE mine (a)")
    daemon = site.start()
    daemon.wait_log("level=(WARN|ERROR).*(locked|busy)", 20)
    con.execute("INSERT INTO mine VALUES (1)")
    assert len(daemon.lines("level=(WARN|ERROR)")) < 10
    con.close()
    lib.wait_until(lambda: disk.newest_txid(site.replica) > 0, 60, "first file")
    site.caught_up()
    daemon.stop()
    site.assert_restores()


def test_an_application_that_wants_it_for_itself_later_is_refused(running):
    running.book.close()
    con = exclusive(running.db)
    with pytest.raises(Exception, match="locked"):
        con.execute("INSERT INTO ledger VALUES (NULL, NULL)")
    con.close()
    running.book = lib.Ledger(running.db)
    goes_on(running)


def test_a_file_in_the_place_of_the_local_folder(running):
    level0 = os.path.join(disk.meta_folder(running.db), "ltx", "0")
    shutil.rmtree(level0)
    with open(level0, "w") as f:
        f.write("not a folder")
    running.book.commit(3)
    running.daemon.wait_log("level=(WARN|ERROR)", 20)
    assert len(running.daemon.lines("level=(WARN|ERROR)")) < 20
    os.unlink(level0)
    goes_on(running)


def test_a_worker_may_not_write_large_files(running):
    worker = running.daemon.wait_worker(running.db)
    subprocess.run(["prlimit", "--pid", str(worker), "--fsize=4096"], check=True)
    running.book.commit(3, fill_bytes=200000)
    running.daemon.wait_worker(running.db, other_than=worker)
    goes_on(running)


def test_a_worker_that_stood_still(running):
    worker = running.daemon.wait_worker(running.db)
    os.kill(worker, signal.SIGSTOP)
    running.book.commit(300, fill_bytes=3000)
    os.kill(worker, signal.SIGCONT)
    goes_on(running)
    assert disk.images(running.replica) == ["0000000000000001-0000000000000001.ltx"]


# Root is stopped by the mode of a folder only without this.
BY_MODES = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)


@pytest.fixture
def kept_out(site):
    """No daemon yet; site.folder may be closed, and is opened at the end."""
    site.book = lib.Ledger(site.db)
    site.book.commit(5)
    yield site
    os.chmod(site.folder, 0o700)
    site.book.close()


def test_a_folder_that_cannot_be_written_to(kept_out):
    os.chmod(kept_out.folder, 0o500)
    kept_out.daemon = kept_out.start(prefix=BY_MODES)
    line = kept_out.daemon.wait_log("level=ERROR.*(denied|read-only|for writing)", 20)
    assert kept_out.folder in line
    kept_out.book.commit(5)
    assert len(kept_out.daemon.lines("level=ERROR")) < 10
    os.chmod(kept_out.folder, 0o700)
    goes_on(kept_out)


def test_a_local_folder_that_cannot_be_written_to(kept_out):
    """The WAL is not held by a daemon that can do nothing about it, but is silent."""
    meta = disk.meta_folder(kept_out.db)
    os.mkdir(meta, 0o500)
    kept_out.daemon = kept_out.start(prefix=BY_MODES)
    assert meta in kept_out.daemon.wait_log("level=ERROR.*denied", 20)
    kept_out.book.commit(5)
    os.chmod(meta, 0o700)
    goes_on(kept_out)
