"""The log in a file: lines of all processes, whole, also across a rotation."""

import json
import os
import signal

import control
import lib
import pytest


class Site:
    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.folder = folder
        self.log = str(folder / "litestream.log")
        self.sock = control.Socket(folder)
        self.books = [lib.Ledger(str(folder / f"{n}.db")) for n in range(5)]

    def start(self, **logging):
        dbs = [
            {
                "path": book.path,
                "monitor-interval": "20ms",
                "replica": {"path": book.path + "-replica", "sync-interval": "20ms"},
            }
            for book in self.books
        ]
        for book in self.books:
            book.commit(2)
        settings = {"path": self.log, "level": "debug", "type": "json", **logging}
        config = self.sock.config(dbs, logging=settings)
        daemon = self.litestream.replicate(config=config)
        lib.wait_until(lambda: os.path.exists(self.log), what="log file")
        lib.wait_until(lambda: self.said("control socket listening"), what="the socket")
        self.sock.wait_in_sync(*[book.path for book in self.books])
        return daemon

    def lines(self, path=None):
        with open(path or self.log, encoding="utf-8") as f:
            text = f.read()
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def said(self, msg, path=None, db=None):
        return [
            line
            for line in self.lines(path)
            if line["msg"] == msg and (db is None or line.get("db") == db)
        ]

    def all_said(self, msg):
        names = [os.path.basename(book.path) for book in self.books]
        return all(self.said(msg, db=name) for name in names)


@pytest.fixture
def site(litestream, tmp_path):
    s = Site(litestream, tmp_path)
    yield s
    for book in s.books:
        book.close()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGHUP])
def test_all_go_on_in_a_new_file_after_a_rotation(site, number):
    daemon = site.start()
    lib.wait_until(lambda: site.all_said("sync"), what="lines of all workers")
    old = site.log + ".1"
    os.rename(site.log, old)
    size = os.path.getsize(old)
    os.kill(daemon.pid, number)
    lib.wait_until(lambda: os.path.exists(site.log), what="new log file")
    for book in site.books:
        book.commit(2)
    lib.wait_until(lambda: site.all_said("sync"), what="lines of all workers")
    worker = daemon.worker_of(site.books[0].path)
    os.kill(worker, signal.SIGKILL)
    daemon.expected_reports = True
    again = daemon.wait_worker(site.books[0].path, other_than=worker)
    folder = f"/proc/{again}/fd"
    assert site.log in [os.path.realpath(f"{folder}/{fd}") for fd in os.listdir(folder)]
    daemon.stop()
    assert site.said("litestream shut down")
    assert not daemon.lines("level=|msg=")
    assert os.path.getsize(old) - size < 4096  # lines that were under way
    assert site.lines(old)
    assert os.stat(site.log).st_mode & 0o777 == 0o640


def test_what_was_there_is_appended_to(site):
    with open(site.log, "w", encoding="utf-8") as f:
        f.write('{"msg":"of before"}\n')
    daemon = site.start()
    daemon.stop()
    assert site.lines()[0] == {"msg": "of before"}


def test_a_file_that_cannot_be_made(site, litestream):
    config = site.sock.config([], logging={"path": str(site.folder / "nope" / "x.log")})
    done = litestream.run("replicate", "-config", litestream.config(config), status=1)
    assert "nope/x.log: no such file" in done.stderr


def test_a_folder_that_is_gone_at_a_rotation(site, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    site.log = str(folder / "litestream.log")
    daemon = site.start()
    away = tmp_path / "logs.away"
    os.rename(folder, away)
    os.kill(daemon.pid, signal.SIGUSR2)
    there = str(away / "litestream.log")
    lib.wait_until(
        lambda: len(site.said("log file could not be opened again", there)) == 1 + len(site.books),
        what="complaints in the old file",
    )
    site.books[0].commit()
    site.sock.wait_in_sync(site.books[0].path)
    daemon.stop()
