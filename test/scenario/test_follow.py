"""A follower (`restore -f`) holds committed states only, catches up, or says why not."""

import glob
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time

import disk
import lib
import ltxfiles
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
APPLIED = "follow: applied updates"


class Reader:
    """A process that reads a followed database all the time (follow_reader.py)."""

    def __init__(self, litestream, db, number):
        self.report = os.path.join(litestream.folder, f"reader-{number}")
        script = os.path.join(HERE, "follow_reader.py")
        args = [sys.executable, "-B", script, db, self.report]
        self.process = lib.Process(args, self.report + ".log")
        litestream.processes.append(self.process)

    def state(self):
        """Looks, last transaction."""
        assert self.process.running(), self.process.output()
        try:
            with open(self.report, encoding="ascii") as f:
                return tuple(int(n) for n in f.read().split()) or (0, 0)
        except FileNotFoundError:
            return 0, 0

    def wait_looks(self, n):
        looks = self.state()[0]
        lib.wait_until(lambda: self.state()[0] >= looks + n, 30, f"{n} looks")


@pytest.fixture
def source(litestream, ledger, replica, tmp_path):
    """A replicated ledger, and what is done with it here."""

    class Source:
        db = ledger.path
        folder = replica.path
        url = replica.url
        out = str(tmp_path / "out.db")
        daemon = None

        def start(self):
            self.daemon = litestream.replicate(
                config={
                    "dbs": [
                        {
                            "path": self.db,
                            "monitor-interval": "10ms",
                            "min-checkpoint-page-count": 100000,
                            "replica": {"path": self.folder, "sync-interval": "10ms"},
                        }
                    ]
                }
            )

        def commit(self, n, fill_bytes=100):
            """n transactions that are on the replica when this returns."""
            ledger.commit(n, fill_bytes)
            litestream.wait_caught_up(self.db, self.folder)
            return ledger.n

        def follow(self, *flags, interval="20ms"):
            return litestream.start(
                "restore", "-f", "-follow-interval", interval, *flags, "-o", self.out, self.url
            )

        def wait_followed(self, n, timeout=30.0):
            lib.wait_until(lambda: self.holds() == n, timeout, f"transaction {n} in the copy")

        def holds(self):
            if not os.path.exists(self.out):
                return 0
            con = lib.connect(self.out, wal=False)
            try:
                return con.execute("SELECT n FROM total").fetchone()[0]
            finally:
                con.close()

        def txid(self):
            with open(self.out + "-txid", encoding="ascii") as f:
                return f.read()

        def assert_equal(self):
            lib.assert_healthy(self.out)
            pages = lib.differing_pages(self.db, self.out)
            assert pages in ([], [1]), f"pages {pages} differ"  # page 1 has a mark
            assert lib.content_hash(self.db) == lib.content_hash(self.out)
            left = {os.path.basename(p) for p in glob.glob(self.out + "*")}
            assert left == {"out.db", "out.db-txid"}
            newest = disk.newest_txid(self.folder)
            assert self.txid() == f"{newest:016x}\n"

    made = Source()
    made.start()
    made.commit(3)
    return made


def with_bytes(path):
    with open(path, "rb") as f:
        return f.read()


# --- normal operation --------------------------------------------------------------------


def test_a_follower_keeps_up_and_readers_see_committed_states_only(litestream, source):
    follower = source.follow()
    follower.wait_log("entering follow mode.*interval=20ms")
    readers = [Reader(litestream, source.out, i) for i in range(2)]
    writer = litestream.writer(source.db, autocheckpoint=100, pause=0.002, fill_bytes=800)
    writer.wait_committed(150)
    for reader in readers:
        reader.wait_looks(20)
    last = writer.stop()
    source.wait_followed(last)
    for reader in readers:
        lib.wait_until(lambda: reader.state()[1] == last, 30, "the last transaction")
        reader.process.stop()
    litestream.wait_caught_up(source.db, source.folder)
    lib.wait_until(lambda: int(source.txid(), 16) == disk.newest_txid(source.folder))
    follower.stop()
    assert follower.lines("follow mode stopped")
    assert follower.lines(APPLIED)
    assert int(source.txid(), 16) > 10  # one file each
    assert not follower.lines("level=(WARN|ERROR)")
    source.assert_equal()


def test_a_stopped_follower_goes_on_where_it_was(source):
    follower = source.follow()
    source.wait_followed(source.commit(2))
    follower.stop()
    source.assert_equal()
    kept = os.stat(source.out).st_ino
    for _ in range(3):
        n = source.commit(5)
        follower = source.follow()
        source.wait_followed(n)
        follower.stop()
        assert follower.lines("resuming follow mode from crash recovery")
        assert not follower.lines("level=(WARN|ERROR)")
        source.assert_equal()
    assert os.stat(source.out).st_ino == kept


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_follower_leaves_a_committed_state_and_resumes(litestream, source, seed):
    rnd = random.Random(seed)
    writer = litestream.writer(source.db, autocheckpoint=0, pause=0.02, fill_bytes=3000)
    follower = source.follow(interval="1ms")
    follower.wait_log("entering follow mode")
    reader = Reader(litestream, source.out, seed)
    for _ in range(12):
        time.sleep(rnd.uniform(0.0, 0.15))  # the moment is what is random here
        follower.kill()
        reader.wait_looks(2)  # after the kill, before anybody repairs anything
        follower = source.follow(interval="1ms")
        follower.wait_log("entering follow mode")
        # it gets somewhere in each of its lives
        follower.wait_log(APPLIED)
    last = writer.stop()
    source.wait_followed(last)
    reader.process.stop()
    litestream.wait_caught_up(source.db, source.folder)
    lib.wait_until(lambda: int(source.txid(), 16) == disk.newest_txid(source.folder))
    follower.stop()
    source.assert_equal()


def test_a_follower_killed_during_its_first_restore_starts_cleanly(source):
    rnd = random.Random(3)
    source.commit(30, fill_bytes=200000)
    for _ in range(10):
        follower = source.follow()
        time.sleep(rnd.uniform(0.0, 0.12))  # the moment is what is random here
        follower.kill()
        if os.path.exists(source.out):
            assert os.path.exists(source.out + "-txid"), "could not be resumed"
            lib.assert_healthy(source.out)
            os.unlink(source.out)
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()
    source.assert_equal()


def test_a_reader_that_stays_long_is_waited_for_and_told_about(source):
    follower = source.follow()
    follower.wait_log("entering follow mode")
    con = lib.connect(source.out, wal=False)
    con.execute("BEGIN")
    before = con.execute("SELECT n FROM total").fetchone()[0]
    n = source.commit(2)
    follower.wait_log("waiting for the database's lock.*held_by=readers", 30)
    assert con.execute("SELECT n FROM total").fetchone()[0] == before
    con.execute("ROLLBACK")
    con.close()
    source.wait_followed(n)
    follower.stop()
    source.assert_equal()


def test_a_follower_that_waits_for_a_reader_stops_when_asked(source):
    follower = source.follow()
    follower.wait_log("entering follow mode")
    con = lib.connect(source.out, wal=False)
    con.execute("BEGIN")
    before = con.execute("SELECT n FROM total").fetchone()[0]
    source.commit(2)
    lib.wait_until(lambda: os.path.exists(source.out + "-journal"), 10, "a change that waits")
    follower.stop(timeout=5)
    assert con.execute("SELECT n FROM total").fetchone()[0] == before
    con.close()
    assert not os.path.exists(source.out + "-journal")
    assert source.holds() == before


def test_json_tells_the_last_txid(litestream, source):
    follower = source.follow("-json")
    source.wait_followed(source.commit(2))
    lib.wait_until(lambda: int(source.txid(), 16) == disk.newest_txid(source.folder))
    follower.stop()
    text = follower.output()
    result = json.loads(text[text.index("{\n") :] if "{\n" in text else text[text.index("{") :])
    assert result["txid"] == source.txid().strip()
    assert result["db_path"] == source.out


def test_flags_about_an_existing_database(litestream, source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()
    done = litestream.run("restore", "-f", "-if-db-not-exists", "-o", source.out, source.url)
    assert "database already exists, skipping" in done.stdout
    before = os.stat(source.out).st_ino
    follower = source.follow("-force")
    follower.wait_log("entering follow mode")
    assert os.stat(source.out).st_ino != before, "restored again"
    follower.stop()
    source.assert_equal()


# --- replicas with holes -----------------------------------------------------------------


def wait_rounds(process, n):
    """Waits until a process has slept n times more."""

    def slept():
        with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
            return int(f.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])

    until = slept() + n
    lib.wait_until(lambda: slept() >= until, 30, f"{n} rounds")


def drop_level_0(folder, below):
    for name in disk.level_names(folder):
        if int(name[17:33], 16) < below:
            os.unlink(os.path.join(folder, "ltx", "0", name))


def test_pruned_history_is_left_behind_with_a_snapshot(source):
    follower = source.follow()
    source.wait_followed(source.commit(2))
    follower.stop()
    kept = os.stat(source.out).st_ino
    source.commit(20, fill_bytes=2000)
    snapshot = disk.newest_txid(source.folder)
    source.daemon.stop()
    ltxfiles.put_snapshot(source.folder, source.db, snapshot)
    drop_level_0(source.folder, snapshot + 1)
    drop_level_0(disk.meta_folder(source.db), snapshot)  # it would bring them back
    for level in (1, 2, 3):
        shutil.rmtree(os.path.join(source.folder, "ltx", str(level)), ignore_errors=True)
    source.start()
    n = source.commit(3)
    follower = source.follow()
    source.wait_followed(n)
    follower.stop()
    assert len(follower.lines("taking the newest state")) == 1
    assert os.stat(source.out).st_ino == kept, "readers keep their file"
    source.assert_equal()


def test_a_running_follower_is_led_around_what_was_pruned(litestream, source):
    follower = source.follow()
    follower.wait_log("entering follow mode")
    reader = Reader(litestream, source.out, 0)
    reader.wait_looks(2)
    follower.signal(signal.SIGSTOP)
    try:
        source.commit(10, fill_bytes=2000)
        snapshot = disk.newest_txid(source.folder)
        ltxfiles.put_snapshot(source.folder, source.db, snapshot)
        n = source.commit(2)
        drop_level_0(source.folder, snapshot + 1)
    finally:
        follower.signal(signal.SIGCONT)
    source.wait_followed(n)
    reader.process.stop()
    n = source.commit(2)
    source.wait_followed(n)
    follower.stop()
    assert len(follower.lines("taking the newest state")) == 1
    source.assert_equal()


def test_a_gap_is_told_once_and_waited_for(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    missing = disk.newest_txid(source.folder) + 1
    follower.signal(signal.SIGSTOP)
    try:
        n = source.commit(1)
        for _ in range(3):
            n = source.commit(1)
        path = ltxfiles.path_of(source.folder, 0, missing, missing)
        aside = os.path.join(source.folder, "aside")
        os.rename(path, aside)
    finally:
        follower.signal(signal.SIGCONT)
    follower.wait_log(f"next file is missing.*txid={missing - 1:016x} next_min={missing + 1:016x}")
    n = source.commit(2)  # more of them: that is not said again
    before = source.holds()
    assert before < n
    wait_rounds(follower, 20)
    assert len(follower.lines("next file is missing")) == 1
    assert source.holds() == before
    os.rename(aside, path)
    source.wait_followed(n)
    follower.stop()
    assert not follower.lines("level=ERROR")
    source.assert_equal()


def test_a_gap_in_level_0_is_bridged_by_a_higher_level(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()
    low = disk.newest_txid(source.folder) + 1
    for _ in range(4):
        source.commit(1)
    high = disk.newest_txid(source.folder)
    assert high > low
    # a merged file may hold more pages than were changed: here, all of them
    ltxfiles.put_snapshot(source.folder, source.db, high, low=low, level=2)
    for txid in range(low, high + 1):
        os.unlink(ltxfiles.path_of(source.folder, 0, txid, txid))
    n = source.commit(2)
    follower = source.follow()
    source.wait_followed(n)
    follower.stop()
    assert not follower.lines("level=(WARN|ERROR)")
    source.assert_equal()


def damage(path):
    """Turns a byte of the middle of a file; returns what it was."""
    good = with_bytes(path)
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 0x40
    with open(path + ".tmp", "wb") as f:
        f.write(bad)
    os.rename(path + ".tmp", path)
    return good


def restore_file(path, data):
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.rename(path + ".tmp", path)


def test_a_damaged_file_is_not_applied_and_a_good_one_heals(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()
    n = source.commit(1, fill_bytes=5000)
    path = ltxfiles.path_of(source.folder, 0, *[disk.newest_txid(source.folder)] * 2)
    good = damage(path)
    before = with_bytes(source.out)
    follower = source.follow()
    line = follower.wait_log("follow: error applying updates.*consecutive_errors=1")
    assert os.path.basename(path)[:16] in line
    n = source.commit(1)
    assert with_bytes(source.out) == before
    restore_file(path, good)
    source.wait_followed(n)
    follower.wait_log("follow: works again")
    follower.stop()
    source.assert_equal()


def test_a_damaged_file_is_gone_around_where_that_is_possible(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()
    low = disk.newest_txid(source.folder) + 1
    n = source.commit(1, fill_bytes=5000)
    high = disk.newest_txid(source.folder)
    damage(ltxfiles.path_of(source.folder, 0, high, high))
    ltxfiles.put_snapshot(source.folder, source.db, high, low=low - 1, level=1)
    follower = source.follow()
    source.wait_followed(n)
    follower.stop()
    assert not follower.lines("level=ERROR")
    source.assert_equal()


# --- what is refused ---------------------------------------------------------------------


def followed(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    follower.stop()


def refused(litestream, source, text):
    done = litestream.run("restore", "-f", "-o", source.out, source.url, status=1, timeout=20)
    assert text in done.stderr + done.stdout, done.stderr + done.stdout


def test_resume_needs_a_txid_file_that_can_be_read(litestream, source):
    followed(source)
    os.unlink(source.out + "-txid")
    refused(
        litestream,
        source,
        "cannot resume follow mode: database exists but no -txid file found; delete the "
        f"database to re-restore: {source.out}",
    )
    with open(source.out + "-txid", "w", encoding="ascii") as f:
        f.write("12345\n")
    refused(litestream, source, "read txid file for crash recovery: parse txid file: ")


def test_a_follower_ahead_of_the_last_snapshot_resumes(source):
    snapshot = disk.newest_txid(source.folder)
    ltxfiles.put_snapshot(source.folder, source.db, snapshot)
    followed(source)
    followed(source)
    source.assert_equal()


def test_a_follower_ahead_of_the_replica_does_not_resume(litestream, source):
    followed(source)
    newest = disk.newest_txid(source.folder)
    source.daemon.stop()
    for level in range(10):  # it may have been merged already
        for name in disk.level_names(source.folder, level):
            if int(name[17:33], 16) == newest:
                os.unlink(os.path.join(source.folder, "ltx", str(level), name))
    refused(
        litestream,
        source,
        f"saved TXID {newest:016x} is ahead of the newest file of the replica (max TXID "
        f"{newest - 1:016x})",
    )


def test_a_running_follower_tells_that_the_replica_was_emptied(source):
    follower = source.follow()
    source.wait_followed(source.commit(2))
    follower.stop()
    source.daemon.stop()
    for path in glob.glob(source.folder + "/ltx/*/*.ltx"):
        os.unlink(path)
    follower = source.follow()
    follower.wait_log("the replica ends before what is here.*newest=0000000000000000")
    follower.stop()


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_files_of_wal_mode_beside_it_are_refused(litestream, source, suffix):
    followed(source)
    with open(source.out + suffix, "wb"):
        pass
    refused(litestream, source, f"SQLite sidecar path exists: {source.out}{suffix}")


def test_a_copy_that_others_wrote_to_is_not_touched(litestream, source):
    followed(source)
    con = sqlite3.connect(source.out)
    con.execute("CREATE TABLE mine (x)")
    con.commit()
    con.close()
    before = with_bytes(source.out)
    source.commit(1)
    refused(litestream, source, f"another program has written to {source.out}")
    assert with_bytes(source.out) == before


def test_a_writer_beside_a_running_follower_ends_it(source):
    follower = source.follow()
    source.wait_followed(source.commit(1))
    con = sqlite3.connect(source.out, timeout=30)
    con.execute("CREATE TABLE mine (x)")
    con.commit()
    con.close()
    source.commit(1)
    assert follower.wait() == 1
    assert follower.lines(f"another program has written to {source.out}")


def test_another_page_size_is_told_with_the_way_out(litestream, source, tmp_path):
    followed(source)
    source.daemon.stop()
    newest = disk.newest_txid(source.folder)
    other = str(tmp_path / "other.db")
    con = sqlite3.connect(other)
    con.execute("PRAGMA page_size = 8192")
    con.execute("CREATE TABLE total (n)")
    con.execute("INSERT INTO total VALUES (77)")
    con.commit()
    con.close()
    ltxfiles.put_snapshot(source.folder, other, newest + 1)
    refused(litestream, source, "the page size has changed from 4096 to 8192 bytes")
    follower = source.follow("-force")
    source.wait_followed(77)
    follower.stop()


def test_a_copy_left_by_another_follower_is_made_equal(source):
    followed(source)
    with open(source.out, "r+b") as f:  # as Litestream leaves it, half of a file applied
        f.seek(24)
        f.write(b"\x5a" * 4)
        f.seek(2 * 4096)
        f.write(b"\x77" * 4096)
    n = source.commit(1)
    follower = source.follow()
    follower.wait_log(APPLIED)  # before that it is damaged
    source.wait_followed(n)
    follower.stop()
    assert len(follower.lines("taking the newest state")) == 1
    source.assert_equal()
