"""SIGHUP: the difference between two configurations comes into effect, and nothing else is
disturbed."""

import os
import signal

import lib
import pytest


class Site:
    def __init__(self, litestream, folder):
        self.litestream = litestream
        self.folder = str(folder)
        self.reloads = 0
        self.daemon = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def url(self, name):
        return "file://" + self.path(f"replica/{name}")

    def db(self, name, **replica):
        return {
            "path": self.path(name),
            "monitor-interval": "50ms",
            "replica": {"path": self.path(f"replica/{name}"), "sync-interval": "20ms", **replica},
        }

    def start(self, dbs, **more):
        config = self.litestream.config({"dbs": dbs, **more}, "app.yml")
        self.daemon = self.litestream.start("replicate", "-config", config)
        return self.daemon

    def write(self, config):
        """The file as a whole: half of one, or an empty one, is a configuration as well."""
        os.replace(self.litestream.config(config, "next.yml"), self.path("app.yml"))

    def reload(self, dbs=None, text=None, **more):
        """Writes the file anew and waits for what becomes of it; the log line."""
        config = text if text is not None else {"dbs": dbs, **more}
        self.write(config)
        self.daemon.signal(signal.SIGHUP)
        self.reloads += 1
        return self.daemon.wait_log(r"configuration (not )?reloaded", count=self.reloads)

    def wait(self, *names):
        for name in names:
            self.litestream.wait_caught_up(self.path(name), self.path(f"replica/{name}"))

    def workers(self, *names):
        return [self.daemon.wait_worker(self.path(name)) for name in names]


@pytest.fixture
def site(litestream, tmp_path):
    return Site(litestream, tmp_path)


def test_added_removed_changed_and_kept_while_all_are_written_to(site):
    names = ["kept.db", "changed.db", "removed.db", "added.db"]
    writers = {n: site.litestream.writer(site.path(n), pause=0.002) for n in names}
    for writer in writers.values():
        writer.wait_committed(5)
    site.start([site.db(n) for n in names[:3]])
    before = site.workers(*names[:3])
    line = site.reload(
        [site.db("added.db"), site.db("changed.db", **{"sync-interval": "30ms"}), site.db("kept.db")]
    )
    assert "added=1 removed=1 restarted=1 kept=1" in line
    lib.wait_until(lambda: not lib.alive(before[2]), 30, "the worker of the removed one to end")
    removed_at = writers["removed.db"].committed()
    assert site.workers("kept.db") == before[:1]
    changed = site.daemon.wait_worker(site.path("changed.db"), other_than=before[1])
    assert changed != before[1] and not lib.alive(before[1])
    site.daemon.wait_worker(site.path("added.db"))
    for name, writer in writers.items():
        writer.wait_committed(writer.committed() + 20)
        if name != "removed.db":
            site.litestream.wait_replicated(site.url(name), writer.committed())
    for writer in writers.values():
        writer.stop()
    site.wait("kept.db", "changed.db", "added.db")
    assert site.workers("kept.db") == before[:1]
    assert len(site.daemon.workers()) == 3
    site.daemon.stop()
    for name in ["kept.db", "changed.db", "added.db"]:
        site.litestream.assert_restores(site.url(name), site.path(name))
    # what was committed before the final sync, whole; the writer went on meanwhile
    copy = site.litestream.restore(site.url("removed.db"))
    assert 5 <= lib.Ledger.committed(copy) <= removed_at


def test_a_removed_database_has_all_of_it_on_its_replica(site):
    book = lib.Ledger(site.path("a.db"))
    site.start([site.db("a.db"), site.db("b.db")])
    site.wait("a.db")
    (worker,) = site.workers("a.db")
    book.commit(50)
    assert "removed=1" in site.reload([site.db("b.db")])
    lib.wait_until(lambda: not lib.alive(worker), 30, "its worker to end")
    site.litestream.assert_restores(site.url("a.db"), book.path)
    book.commit(5)  # while nobody looks
    assert "added=1" in site.reload([site.db("a.db"), site.db("b.db")])
    site.wait("a.db")
    site.daemon.stop()
    site.litestream.assert_restores(site.url("a.db"), book.path)
    book.close()


@pytest.mark.parametrize(
    "text, why",
    [
        ("dbs: [", "yaml: "),
        ("dbs:\n  - path: /x\n", "must specify replica for database"),
        ("dbs:\n  - path: /x\n    replica: {url: ftp://x/y}\n", "ftp"),
        ("dbs:\n  - dir: /nowhere\n    pattern: '*.db'\n    replica: {path: /r}\n", "/nowhere"),
        ("dbs:\n  - dir: /tmp\n    pattern: '[.db'\n    replica: {path: /r}\n", "well-formed"),
        ("dbs: []\nshutdown-sync-timeout: -1s\n", "shutdown-sync-timeout must be >= 0"),
    ],
)
def test_a_broken_file_changes_nothing(site, text, why):
    book = lib.Ledger(site.path("a.db"))
    site.start([site.db("a.db")])
    before = site.workers("a.db")
    line = site.reload(text=text)
    assert "not reloaded" in line and why in line and "level=ERROR" in line
    book.commit(5)
    site.wait("a.db")
    assert site.workers("a.db") == before
    assert "kept=1" in site.reload([site.db("a.db")])
    os.unlink(site.path("app.yml"))
    site.daemon.signal(signal.SIGHUP)
    site.daemon.wait_log("not reloaded.*config file not found", count=1)
    assert site.workers("a.db") == before
    site.daemon.stop()
    site.litestream.assert_restores(site.url("a.db"), book.path)
    book.close()


def test_what_needs_a_new_start_is_said_and_the_rest_holds(site):
    book = lib.Ledger(site.path("a.db"))
    site.start([site.db("a.db")], logging={"level": "info"})
    before = site.workers("a.db")
    site.reload([site.db("a.db")], logging={"level": "debug", "type": "json"})
    site.daemon.wait_log('changed settings take effect when the program starts anew.*logging.type')
    book.commit(3)
    site.daemon.wait_log("level=DEBUG.*msg=sync")  # in the worker too
    assert site.workers("a.db") == before
    site.daemon.stop()
    book.close()


def test_settings_of_all_databases_reach_their_workers(site):
    book = lib.Ledger(site.path("a.db"))
    site.start([site.db("a.db")])
    (before,) = site.workers("a.db")
    assert "restarted=1" in site.reload([site.db("a.db")], levels=[{"interval": "1m"}])
    site.daemon.wait_worker(site.path("a.db"), other_than=before)
    book.commit(3)
    site.wait("a.db")
    off = {**site.db("a.db"), "enabled": False}
    assert "restarted=1" in site.reload([off], levels=[{"interval": "1m"}])
    lib.wait_until(lambda: not site.daemon.workers(), 30, "its worker to end")
    site.litestream.assert_restores(site.url("a.db"), book.path)
    book.commit(2)
    assert "restarted=1" in site.reload([site.db("a.db")], levels=[{"interval": "1m"}])
    site.wait("a.db")
    site.daemon.stop()
    book.close()


def test_two_databases_change_their_replicas(site):
    books = [lib.Ledger(site.path(n)) for n in ["a.db", "b.db"]]
    site.start([site.db("a.db"), site.db("b.db")])
    site.wait("a.db", "b.db")
    before = site.workers("a.db", "b.db")
    a, b = site.db("a.db"), site.db("b.db")
    a["replica"], b["replica"] = b["replica"], a["replica"]
    for book, n in zip(books, [3, 7]):
        book.commit(n)
    site.reload([a, b])
    lib.wait_until(
        lambda: len(site.daemon.workers()) == 2 and not set(site.daemon.workers()) & set(before),
        30,
        "two new workers",
    )
    site.litestream.wait_caught_up(site.path("a.db"), site.path("replica/b.db"))
    site.litestream.wait_caught_up(site.path("b.db"), site.path("replica/a.db"))
    site.daemon.stop()
    site.litestream.assert_restores(site.url("b.db"), site.path("a.db"))
    site.litestream.assert_restores(site.url("a.db"), site.path("b.db"))
    for book in books:
        book.close()


def test_members_of_a_folder_stay_when_their_entry_changes(site):
    os.mkdir(site.path("data"))
    names = ["data/a.db", "data/b.sqlite"]
    books = [lib.Ledger(site.path(n)) for n in names]
    entry = {
        "dir": site.path("data"),
        "pattern": "*.db",
        "watch": True,
        "replica": {"path": site.path("replica/data"), "sync-interval": "20ms"},
    }
    site.start([entry])
    site.wait("data/a.db")
    before = site.workers("data/a.db")
    assert "added=1 removed=0 restarted=0 kept=1" in site.reload([{**entry, "pattern": "*"}])
    site.wait("data/b.sqlite")
    assert site.workers("data/a.db") == before
    books.append(lib.Ledger(site.path("data/c.db")))
    site.wait("data/c.db")
    assert "removed=3" in site.reload([])
    lib.wait_until(lambda: not site.daemon.workers(), 30, "all workers to end")
    lib.Ledger(site.path("data/d.db")).close()  # nobody follows the folder any more
    assert "added=4" in site.reload([{**entry, "pattern": "*"}])
    site.wait("data/d.db")
    site.daemon.stop()
    for book in books:
        book.close()


def test_a_secret_that_cannot_be_read_changes_nothing(site):
    book = lib.Ledger(site.path("a.db"))
    site.start([site.db("a.db")])
    before = site.workers("a.db")
    missing = {"mcp-auth-token-file": site.path("missing")}
    line = site.reload([site.db("b.db")], **missing)
    assert "not reloaded" in line and "mcp-auth-token-file" in line
    assert site.workers("a.db") == before
    site.daemon.stop()
    book.close()


def test_many_reloads_at_once_end_with_the_last_one(site):
    """While databases of a folder come and go and are written to, and workers are killed."""
    os.mkdir(site.path("data"))
    entry = {
        "dir": site.path("data"),
        "pattern": "*.db",
        "watch": True,
        "monitor-interval": "50ms",
        "replica": {"path": site.path("replica/data"), "sync-interval": "20ms"},
    }
    steady = site.litestream.writer(site.path("steady.db"), pause=0.002)
    steady.wait_committed(1)
    last = [site.db("steady.db"), site.db("odd.db"), {**entry, "busy-timeout": "2s"}]
    books = []
    site.start([site.db("steady.db")])
    (worker,) = site.workers("steady.db")
    for i in range(40):
        book = lib.Ledger(site.path(f"data/{i:02}.db"))
        book.commit(2)
        books.append(book)
        if i % 4 == 3:  # this one goes again
            books.pop(0).close()
            lib.remove_database(site.path(f"data/{i // 4:02}.db"))
        dbs = [site.db("steady.db")]
        if i % 2 == 1:
            dbs.append(site.db("odd.db"))
        if i % 3 != 1:
            dbs.append({**entry, "busy-timeout": f"{1 + i % 2}s"})
        site.write({"dbs": dbs})
        site.daemon.signal(signal.SIGHUP)
        if i % 5 == 0:
            for pid in site.daemon.workers():
                if pid != worker:
                    os.kill(pid, signal.SIGKILL)
                    break
    site.write({"dbs": last})
    site.daemon.signal(signal.SIGHUP)
    odd = lib.Ledger(site.path("odd.db"))
    odd.commit(3)
    books.append(odd)
    for book in books:
        book.commit(1)
        name = os.path.relpath(book.path, site.folder)
        site.litestream.wait_caught_up(book.path, site.path(f"replica/{name}"), 60)
    steady.stop()
    site.wait("steady.db")
    assert site.workers("steady.db") == [worker]
    lib.wait_until(lambda: len(site.daemon.workers()) == len(books) + 1, 60, "all workers")
    site.daemon.stop()
    for book in books[::4] + [odd]:
        name = os.path.relpath(book.path, site.folder)
        site.litestream.assert_restores(site.url(name), book.path)
    for book in books:
        book.close()


def test_an_added_database_that_is_missing_is_restored_first(site):
    book = lib.Ledger(site.path("a.db"))
    book.commit(20)
    site.start([site.db("a.db"), site.db("b.db")])
    site.wait("a.db")
    (worker,) = site.workers("a.db")
    expected = lib.content_hash(book.path)
    book.close()
    site.reload([site.db("b.db")])
    lib.wait_until(lambda: not lib.alive(worker), 30, "its worker to end")
    lib.remove_database(site.path("a.db"))
    lib.remove_meta(site.path("a.db"))
    again = {**site.db("a.db"), "restore-if-db-not-exists": True}
    fresh = {**site.db("c.db"), "restore-if-db-not-exists": True}
    assert "added=2" in site.reload([again, site.db("b.db"), fresh])
    site.daemon.wait_log("restore completed.*a.db")
    site.daemon.wait_log("no backup found, starting fresh.*c.db")
    assert lib.content_hash(site.path("a.db")) == expected
    site.daemon.wait_worker(site.path("a.db"))
    book = lib.Ledger(site.path("a.db"))
    book.commit(3)
    site.wait("a.db")
    other = lib.Ledger(site.path("c.db"))
    site.wait("c.db")
    site.daemon.stop()
    site.litestream.assert_restores(site.url("a.db"), book.path)
    book.close()
    other.close()
