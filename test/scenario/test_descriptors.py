"""What the processes hold: a supervisor without threads and without files of any database,
workers with their own files only, and nothing that grows."""

import os
import signal

import disk
import lib
import pytest

N = 4


class Many:
    def __init__(self, litestream, folder, env=None):
        self.litestream = litestream
        self.books = [lib.Ledger(folder / f"{i}.db") for i in range(N)]
        self.replicas = [str(folder / f"replica-{i}") for i in range(N)]
        for book in self.books:
            book.commit(10, fill_bytes=4000)
        dbs = [
            {
                "path": book.path,
                "monitor-interval": "5ms",
                "min-checkpoint-page-count": 30,
                "replica": {"path": replica, "sync-interval": "5ms"},
            }
            for book, replica in zip(self.books, self.replicas)
        ]
        self.daemon = litestream.replicate(config={"dbs": dbs}, env=env)
        self.settle()

    def write(self, transactions):
        """Each transaction is a sync and an upload of its own."""
        for _ in range(transactions):
            for book in self.books:
                book.commit(1, fill_bytes=2000)
            self.settle()

    def settle(self):
        for book, replica in zip(self.books, self.replicas):
            self.litestream.wait_caught_up(book.path, replica)
        for book in self.books:
            worker = self.daemon.wait_worker(book.path)
            lib.wait_until(lambda: lib.threads(worker) == 1, what="the end of job threads")

    def workers(self):
        return [self.daemon.wait_worker(book.path) for book in self.books]

    def finish(self):
        self.daemon.stop()
        for book, replica in zip(self.books, self.replicas):
            self.litestream.assert_restores("file://" + replica, book.path)
            book.close()


def held(pid):
    """What a process holds beside the standard three. Files are named once: SQLite may keep a
    second descriptor of a database until its locks are gone."""

    def others():
        return [name for fd, name in lib.descriptors(pid).items() if fd > 2]

    # a merge that comes by the clock reads many files at a time
    lib.wait_until(lambda: len(others()) <= 16, 20, "no more than 16 descriptors")
    names = others()
    files = {n for n in names if n.startswith("/") and n != "/dev/null"}
    return sorted(files) + sorted(n for n in names if n not in files)


def quiet(pid):
    """What a process holds when it is at rest: the same twice in a row."""

    def same():
        first = held(pid)
        return first if held(pid) == first else None

    return lib.wait_until(same, what=f"{pid} to rest")


# What a loop needs for itself: libuv keeps pipes for signals and a spare descriptor.
LOOP = {"anon_inode:[eventpoll]", "anon_inode:[eventfd]", "pipe", "/dev/null"}


@pytest.mark.parametrize("env", [{}, {"LITESTREAM_INOTIFY_BUDGET": "0"}], ids=["own", "hub"])
def test_processes_hold_what_is_theirs_and_no_more(litestream, tmp_path, env):
    many = Many(litestream, tmp_path, env)
    many.write(3)
    supervisor = quiet(many.daemon.pid)
    assert supervisor.count("socket") == N  # a channel for each
    assert supervisor.count("anon_inode:inotify") == (1 if env else 0)
    assert set(supervisor) - LOOP <= {"socket", "anon_inode:inotify"}
    for i, worker in enumerate(many.workers()):
        mine = quiet(worker)
        db = many.books[i].path
        lock = os.path.join(disk.meta_folder(db), ".lock")
        assert mine.count("socket") == 1  # its own end of its channel
        assert mine.count("anon_inode:inotify") == (0 if env else 1)
        own = {db, db + "-wal", db + "-shm", lock}
        assert set(mine) - LOOP == own | {"socket"} | (set() if env else {"anon_inode:inotify"})
        assert lib.threads(worker) == 1
    assert lib.threads(many.daemon.pid) == 1
    many.finish()


@pytest.mark.parametrize("env", [{}, {"LITESTREAM_INOTIFY_BUDGET": "0"}], ids=["own", "hub"])
def test_nothing_grows_over_many_syncs(litestream, tmp_path, env):
    many = Many(litestream, tmp_path, env)
    many.write(5)
    workers = many.workers()
    before = [quiet(pid) for pid in [many.daemon.pid, *workers]]
    many.write(60)
    assert many.workers() == workers, "a worker was started again"
    assert [quiet(pid) for pid in [many.daemon.pid, *workers]] == before
    assert lib.threads(many.daemon.pid) == 1
    many.finish()


def test_nothing_grows_over_deaths_of_workers(litestream, tmp_path):
    many = Many(litestream, tmp_path)
    many.write(2)
    before = quiet(many.daemon.pid)
    held_by_workers = [quiet(pid) for pid in many.workers()]
    for _ in range(2):
        old = many.workers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        for book, pid in zip(many.books, old):
            many.daemon.wait_worker(book.path, other_than=pid)
        many.write(2)
    assert quiet(many.daemon.pid) == before
    assert [quiet(pid) for pid in many.workers()] == held_by_workers
    assert lib.threads(many.daemon.pid) == 1
    many.finish()


def test_a_worker_does_not_keep_the_channel_of_another_open(litestream, tmp_path):
    """Else the death of the supervisor or of a sister would be hidden."""
    many = Many(litestream, tmp_path)
    workers = many.workers()
    os.kill(workers[0], signal.SIGSTOP)  # cannot end
    try:
        many.daemon.signal(signal.SIGKILL)
        lib.wait_until(lambda: not any(map(lib.alive, workers[1:])), 20, "the others to end")
    finally:
        os.kill(workers[0], signal.SIGCONT)
    many.daemon.wait()
    many.daemon.wait_children()
    for book in many.books:
        book.close()


def test_descriptors_of_the_caller_stay_with_the_supervisor(litestream, ledger, replica, tmp_path):
    """A shell or a service manager may hand over open descriptors; workers drop them."""
    stray = str(tmp_path / "stray")
    keep = ["sh", "-c", f'exec 7>"{stray}" && exec "$@"', "sh"]
    ledger.commit()
    daemon = litestream.start("replicate", ledger.path, replica.url, prefix=keep)
    worker = daemon.wait_worker(ledger.path)
    litestream.wait_caught_up(ledger.path, replica.path)
    assert lib.descriptors(daemon.pid).get(7) == stray
    assert stray not in lib.descriptors(worker).values()
    daemon.stop()


def test_the_threads_of_a_large_image_end_with_it(litestream, tmp_path, replica):
    book = lib.Ledger(tmp_path / "large.db")
    book.commit(20, fill_bytes=2_000_000)
    daemon = litestream.replicate(book.path, replica.url)
    worker = daemon.wait_worker(book.path)
    most = 0

    def there():
        nonlocal most
        most = max(most, lib.threads(worker))
        return disk.newest_txid(replica.path) > 0

    lib.wait_until(there, 30, "the image on the replica")
    lib.wait_until(lambda: lib.threads(worker) == 1, what="the end of its threads")
    assert lib.threads(daemon.pid) == 1
    print(f"up to {most} threads")
    daemon.stop()
    litestream.assert_restores(replica.url, book.path)
    book.close()
