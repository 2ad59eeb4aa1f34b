"""What the application does while there is no daemon: the next one has all of it, and writes the
whole database only where it must."""

import os
import shutil
import signal
import subprocess
import sys

import disk
import lib
import pytest

FILL = 3000
HEADER, FRAME = 32, 24 + 4096
FRAMES = 60  # about so many are captured before


class Away:
    """An application whose database was replicated until a moment ago."""

    def __init__(self, litestream, folder, how):
        self.litestream = litestream
        self.db = str(folder / "app.db")
        self.replica = str(folder / "replica")
        self.book = lib.Ledger(self.db)
        self.book.con.execute("PRAGMA wal_autocheckpoint = 0")
        self.settings = {
            "path": self.db,
            "monitor-interval": "10ms",
            "min-checkpoint-page-count": 100000,
            "replica": {"path": self.replica, "sync-interval": "10ms"},
        }
        self.book.commit(30, fill_bytes=FILL)  # so that an image is told from an increment
        self.start()
        self.book.commit(FRAMES // 4, fill_bytes=FILL)
        self.litestream.wait_caught_up(self.db, self.replica)
        if how == "killed":
            self.daemon.kill()
        else:
            self.daemon.stop()
        assert disk.images(self.replica) == ["0000000000000001-0000000000000001.ltx"]

    def start(self):
        self.daemon = self.litestream.replicate(
            config={"dbs": [self.settings], "logging": {"level": "debug"}}
        )
        self.daemon.wait_log("replica position")

    # what the application does

    def commit(self, n=1):
        self.book.commit(n, fill_bytes=FILL)

    def checkpoint(self, mode):
        busy, log, copied = self.book.con.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        assert not busy and log == copied

    def close(self):
        self.book.close()

    def reopen(self, autocheckpoint=0):
        self.book = lib.Ledger(self.db)
        self.book.con.execute(f"PRAGMA wal_autocheckpoint = {autocheckpoint}")

    def spill_and_roll_back(self, rows):
        con = self.book.con
        con.execute("PRAGMA cache_size = 5")
        con.execute("BEGIN IMMEDIATE")
        for i in range(rows):
            con.execute("INSERT INTO ledger VALUES (?, randomblob(?))", (100000 + i, FILL))
        con.execute("ROLLBACK")
        con.execute("PRAGMA cache_size = -2000")

    # the end

    def finish(self, images):
        """Everything is there; so many more full images at most."""
        self.start()
        self.commit()
        self.litestream.wait_caught_up(self.db, self.replica)
        self.commit()
        self.litestream.wait_caught_up(self.db, self.replica)
        self.daemon.stop()
        copy = self.litestream.assert_restores("file://" + self.replica, self.db)
        assert lib.Ledger.committed(copy) == self.book.n
        disk.assert_chain(self.replica)
        found = len(disk.images(self.replica)) - 1
        assert found <= images, f"{found} more images\n{self.daemon.output()}"


def nothing(a):
    pass


def one_frame_more(a):
    a.commit(1)


def thousands_of_frames_more(a):
    a.commit(1500)


def passive_restart_and_fewer_frames_than_captured(a):
    a.commit(4)
    a.checkpoint("PASSIVE")
    a.commit(1)


def passive_restart_and_more_frames_than_captured(a):
    a.commit(4)
    a.checkpoint("PASSIVE")
    a.commit(FRAMES)


def passive_of_what_was_captured_and_few_frames(a):
    a.checkpoint("PASSIVE")
    a.commit(1)


def full_and_writes(a):
    a.commit(2)
    a.checkpoint("FULL")
    a.commit(3)


def restart_and_writes(a):
    a.commit(2)
    a.checkpoint("RESTART")
    a.commit(3)


def truncate_and_writes_beyond(a):
    a.checkpoint("TRUNCATE")
    a.commit(FRAMES)


def truncate_and_no_writes(a):
    a.checkpoint("TRUNCATE")


def two_restarts_up_to_just_before_the_position(a):
    for n in (2, FRAMES // 5):
        a.checkpoint("RESTART")
        a.commit(n)


def two_restarts_and_a_size_limit(a):
    a.book.con.execute("PRAGMA journal_size_limit = 200000")
    for _ in range(2):
        a.checkpoint("RESTART")
        a.commit(2)


def a_restart_then_a_spill_beyond_that_is_rolled_back(a):
    a.commit(2)
    a.checkpoint("RESTART")
    a.commit(1)
    a.spill_and_roll_back(FRAMES)
    a.commit(1)


def closed_reopened_and_as_many_frames_again(a):
    a.close()
    a.reopen()
    a.commit(FRAMES // 4)


def closed_and_nothing_written(a):
    a.close()
    a.reopen()


def copied_away_and_back(a):
    a.close()
    shutil.copy(a.db, a.db + ".away")
    os.unlink(a.db)
    shutil.copy(a.db + ".away", a.db)
    a.reopen()


def vacuum(a):
    a.book.con.execute("DELETE FROM ledger WHERE n < 0")
    a.book.con.execute("VACUUM")


def vacuum_into_another_file_that_takes_its_place(a):
    a.book.con.execute("VACUUM INTO ?", (a.db + ".new",))
    a.close()
    os.rename(a.db + ".new", a.db)
    a.reopen()


def many_checkpoints_over_a_long_time(a):
    a.book.con.execute("PRAGMA wal_autocheckpoint = 10")
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] * 10:
        a.commit(5)
        a.book.con.execute(f"PRAGMA wal_checkpoint({mode})")


# Images that a case may cost.
CASES = {
    nothing: 0,
    one_frame_more: 0,
    thousands_of_frames_more: 0,
    passive_restart_and_fewer_frames_than_captured: 1,
    passive_restart_and_more_frames_than_captured: 1,
    passive_of_what_was_captured_and_few_frames: 0,
    full_and_writes: 1,
    restart_and_writes: 1,
    truncate_and_writes_beyond: 1,
    truncate_and_no_writes: 1,
    two_restarts_up_to_just_before_the_position: 1,
    two_restarts_and_a_size_limit: 1,
    a_restart_then_a_spill_beyond_that_is_rolled_back: 1,
    closed_reopened_and_as_many_frames_again: 1,
    closed_and_nothing_written: 1,
    copied_away_and_back: 1,
    vacuum: 1,
    vacuum_into_another_file_that_takes_its_place: 1,
    many_checkpoints_over_a_long_time: 1,
}


@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_the_application_goes_on(litestream, tmp_path, case, how):
    away = Away(litestream, tmp_path, how)
    case(away)
    away.finish(images=CASES[case])
    away.close()


@pytest.mark.parametrize("restart", [False, True])
def test_one_frame_is_captured_of_a_wal(litestream, tmp_path, restart):
    away = Away(litestream, tmp_path, "stopped")
    away.checkpoint("TRUNCATE")
    away.book.con.execute("PRAGMA user_version = 1")
    assert disk.wal_size(away.db) == HEADER + FRAME
    away.start()
    litestream.wait_caught_up(away.db, away.replica)
    away.daemon.stop()
    if restart:
        away.checkpoint("RESTART")
    away.book.con.execute("PRAGMA user_version = 2")
    away.finish(images=1 + restart)  # a restart leaves nothing of the one frame that it was
    away.close()


# --- what the machine lost ---------------------------------------------------------------


def copy_files(source, target):
    """By another process: closing them here would drop this one's locks."""
    for suffix in ("", "-wal"):
        subprocess.run(["cp", "-p", source + suffix, target + suffix], check=True)


@pytest.mark.parametrize("same_last_page", [False, True])
@pytest.mark.parametrize("fewer", [True, False])
def test_commits_that_had_gone_up_are_lost_with_the_power(litestream, tmp_path, fewer, same_last_page):
    """With synchronous = NORMAL the newest commits may vanish, and others take their frames."""
    away = Away(litestream, tmp_path, "stopped")
    kept = str(tmp_path / "kept")
    con = away.book.con
    con.execute("CREATE TABLE last (n INTEGER)")
    con.execute("INSERT INTO last VALUES (1)")
    copy_files(away.db, kept)
    before = away.book.n
    away.commit(6)
    if same_last_page:
        con.execute("UPDATE last SET n = 2")
    away.start()
    litestream.wait_caught_up(away.db, away.replica)
    highest = disk.newest_txid(away.replica)
    away.daemon.kill()
    away.close()
    lib.remove_database(away.db)
    copy_files(kept, away.db)
    away.reopen()
    assert away.book.n == before
    away.commit(3 if fewer else 6)
    if same_last_page:
        away.book.con.execute("UPDATE last SET n = 2")
    away.finish(images=1)
    images = disk.images(away.replica)
    assert int(images[-1][:16], 16) == highest + 1, images
    away.close()


# --- a WAL that was damaged --------------------------------------------------------------

def flip(at):
    def damage(f):
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 1]))

    return damage


def cut(size):
    return lambda f: f.truncate(size)


def append(data):
    def damage(f):
        f.seek(0, os.SEEK_END)
        f.write(data)

    return damage


def noise_in_the_header(f):
    f.seek(0)
    f.write(b"\xa5" * HEADER)


DAMAGES = {
    "header-torn": noise_in_the_header,
    "garbage-behind": append(b"\x5a" * 10000),
    "frame-header-behind": append(b"\0\0\0\1" + b"\0" * 20),
    "half-a-frame-behind": append(b"\0\0\0\1" + b"\0" * 2000),
    "captured-frame-flipped": flip(HEADER + 5 * FRAME + 100),
    "captured-commit-flipped": flip(HEADER + 3 * FRAME + 7),
    "new-frame-flipped": flip(-5000),
    "cut-in-a-frame": cut(HEADER + 70 * FRAME + 1000),
    "cut-in-the-captured-part": cut(HEADER + 20 * FRAME + 10),
    "cut-to-0": cut(0),
    "cut-to-31": cut(31),
    "cut-to-32": cut(32),
}

DIE = """
import os, sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("PRAGMA wal_autocheckpoint = 0")
n = con.execute("SELECT max(n) FROM ledger").fetchone()[0]
for i in range(12):
    con.execute("BEGIN IMMEDIATE")
    con.execute("INSERT INTO ledger VALUES (?, randomblob(3000))", (n + 1 + i,))
    con.execute("UPDATE total SET n = ?", (n + 1 + i,))
    con.execute("COMMIT")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_wal_is_damaged(litestream, tmp_path, damage):
    """What is captured is what SQLite makes of it."""
    away = Away(litestream, tmp_path, "killed")
    away.commit(5)
    writer = subprocess.run([sys.executable, "-c", DIE, away.db], check=False)
    assert writer.returncode == -signal.SIGKILL
    kept = str(tmp_path / "kept")
    copy_files(away.db, kept)  # as if the application had been killed as well
    away.close()
    lib.remove_database(away.db)
    copy_files(kept, away.db)
    with open(away.db + "-wal", "r+b") as f:
        DAMAGES[damage](f)
    away.start()  # before SQLite has looked at it
    away.daemon.wait_worker(away.db)
    away.reopen()
    con = away.book.con
    sound = [row[0] for row in con.execute("PRAGMA integrity_check")] == ["ok"]
    rows, total = con.execute("SELECT (SELECT count(*) FROM ledger), (SELECT n FROM total)").fetchone()
    assert sound and rows == total, "SQLite itself makes no committed state of this"
    away.book.n = rows
    away.commit(2)
    away.daemon.stop()
    copy = litestream.assert_restores("file://" + away.replica, away.db)
    assert lib.Ledger.committed(copy) == away.book.n
    disk.assert_chain(away.replica)
    away.close()
