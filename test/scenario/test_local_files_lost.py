"""A local file that is lost or damaged before it has gone up leaves no hole that would stay: the
replica gets a snapshot in its place, says so, and goes on behind it."""

import os
import shutil

import disk
import lib
import pytest

SNAPSHOT = 9


def name_of(txid):
    return f"{txid:016x}-{txid:016x}.ltx"


def path_of(folder, txid):
    return os.path.join(folder, "ltx", "0", name_of(txid))


def newest_of(folder, level):
    return max((int(n[17:33], 16) for n in disk.level_names(folder, level)), default=0)


class Machine:
    """A database whose replica can go away and come back."""

    def __init__(self, litestream, ledger, replica):
        self.litestream = litestream
        self.ledger = ledger
        self.db = ledger.path
        self.local = disk.meta_folder(self.db)
        self.replica = replica.path
        self.url = replica.url

    def start(self, merges_every="24h", auto_recover=False):
        replica = {"path": self.replica, "sync-interval": "20ms", "auto-recover": auto_recover}
        db = {"path": self.db, "monitor-interval": "20ms", "replicas": [replica]}
        levels = [{"interval": merges_every}]
        return self.litestream.replicate(config={"dbs": [db], "levels": levels})

    def commit(self, times, into):
        """So many files, as a rule."""
        for _ in range(times):
            self.ledger.commit(1, fill_bytes=3000)
            self.litestream.wait_caught_up(self.db, into, 30)

    def take_replica_away(self):
        os.rename(self.replica, self.replica + ".away")
        with open(self.replica, "w", encoding="ascii") as f:
            f.write("not a folder\n")

    def bring_it_back(self):
        os.unlink(self.replica)
        os.rename(self.replica + ".away", self.replica)

    def assert_whole(self):
        self.litestream.wait_caught_up(self.db, self.replica, 30)
        self.litestream.assert_restores(self.url, self.db)


@pytest.fixture
def machine(litestream, ledger, replica):
    ledger.commit(5, fill_bytes=3000)
    return Machine(litestream, ledger, replica)


def empty(folder, txid):
    os.truncate(path_of(folder, txid), 0)


def fill_with_zeros(folder, txid):
    path = path_of(folder, txid)
    size = os.path.getsize(path)
    with open(path, "wb") as f:
        f.write(bytes(size))


def exchange(folder, txid):
    shutil.copyfile(path_of(folder, txid + 1), path_of(folder, txid))


def remove(folder, txid):
    os.unlink(path_of(folder, txid))


def flip_a_bit(folder, txid):
    path = path_of(folder, txid)
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 4]))


@pytest.mark.parametrize("lose", [remove, empty, fill_with_zeros, exchange, flip_a_bit])
def test_before_it_went_up(machine, lose):
    daemon = machine.start()
    machine.commit(3, machine.replica)
    before = disk.newest_txid(machine.replica)
    lib.wait_until(lambda: disk.level_names(machine.replica, SNAPSHOT), 20, "the first snapshot")
    machine.take_replica_away()
    machine.commit(6, machine.local)
    lost = before + 3
    assert disk.newest_txid(machine.local) > lost + 1
    lose(machine.local, lost)
    machine.bring_it_back()
    said = daemon.wait_log('level=WARN msg="replica needs a snapshot"', 30)
    assert f'hint="litestream reset {machine.db}"' in said
    machine.assert_whole()
    machine.commit(3, machine.replica)
    machine.assert_whole()
    daemon.stop()
    there = disk.level_names(machine.replica)
    assert name_of(lost - 1) in there and name_of(lost) not in there
    assert newest_of(machine.replica, SNAPSHOT) >= lost
    assert len(daemon.lines("replica needs a snapshot")) == 1
    aside = daemon.lines("damaged ltx file put aside")
    assert len(aside) == (0 if lose is remove else 1)
    assert os.path.exists(path_of(machine.local, lost) + ".bad") == (lose is not remove)
    before_it = machine.litestream.restore(machine.url, None, "-txid", f"{lost - 1:016x}")
    assert lib.Ledger.committed(before_it) > 5


def test_on_both_sides(machine):
    """The store lost a file that retention has removed here."""
    daemon = machine.start()
    machine.commit(6, machine.replica)
    daemon.stop()
    last = disk.newest_txid(machine.replica)
    for folder in (machine.replica, machine.local):
        remove(folder, last - 2)
    daemon = machine.start()
    daemon.wait_log("replica has a gap", 30)
    machine.commit(2, machine.local)
    daemon.wait_log('level=WARN msg="replica needs a snapshot"', 30)
    machine.assert_whole()
    machine.commit(2, machine.replica)
    daemon.stop()
    machine.assert_whole()
    assert newest_of(machine.replica, SNAPSHOT) >= last


def lose_one_that_is_not_merged(machine):
    while True:
        machine.commit(3, machine.replica)
        lost = disk.newest_txid(machine.replica) - 1
        if newest_of(machine.replica, 1) < lost:
            for folder in (machine.replica, machine.local):
                remove(folder, lost)
            if newest_of(machine.replica, 1) < lost:
                return lost


def test_on_both_sides_after_it_went_up(machine):
    """No listing tells: the next merge finds that it is gone."""
    daemon = machine.start(merges_every="3s")
    daemon.wait_log("compaction complete", 30)
    lost = lose_one_that_is_not_merged(machine)
    daemon.wait_log("compaction failed", 30)
    lib.wait_until(lambda: newest_of(machine.replica, SNAPSHOT) >= lost, 20, "a snapshot")
    machine.commit(2, machine.replica)
    machine.assert_whole()
    daemon.wait_log("compaction goes on behind a snapshot", 30)
    lib.wait_until(lambda: newest_of(machine.replica, 1) > lost, 20, "a merge")
    machine.assert_whole()
    daemon.stop()


def test_inside_after_it_went_up(machine):
    """The replica has a good copy: merges take that one, and nothing is given up."""
    daemon = machine.start(merges_every="2s")
    daemon.wait_log("compaction complete", 30)
    merged = newest_of(machine.replica, 1)
    while newest_of(machine.replica, 1) == merged:  # right behind a merge there is time
        machine.commit(1, machine.replica)
    machine.commit(3, machine.replica)
    damaged = disk.newest_txid(machine.replica) - 1
    flip_a_bit(machine.local, damaged)
    daemon.wait_log('level=WARN msg="a local ltx file is damaged, merging what the replica', 30)
    lib.wait_until(lambda: newest_of(machine.replica, 1) >= damaged, 20, "a merge")
    machine.assert_whole()
    daemon.stop()
    assert daemon.lines("compaction failed|behind a snapshot") == []
    assert len(disk.level_names(machine.replica, SNAPSHOT)) == 1
    row = [(int(n[:16], 16), int(n[17:33], 16)) for n in disk.level_names(machine.replica, 1)]
    assert all(a[1] + 1 == b[0] for a, b in zip(row, row[1:])), row


def asides(folder):
    return [n for n in os.listdir(os.path.join(folder, "ltx", "0")) if n.endswith(".bad")]


@pytest.mark.parametrize("lose", [remove, fill_with_zeros])
def test_before_it_went_up_with_auto_recover(machine, lose):
    """Everything local is discarded, and the next commit goes up as ever."""
    daemon = machine.start(auto_recover=True)
    machine.commit(3, machine.replica)
    before = disk.newest_txid(machine.replica)
    lib.wait_until(lambda: disk.level_names(machine.replica, SNAPSHOT), 20, "the first snapshot")
    machine.take_replica_away()
    machine.commit(6, machine.local)
    last = disk.newest_txid(machine.local)
    lose(machine.local, before + 3)
    machine.bring_it_back()
    daemon.wait_log('level=WARN msg="auto-recovery enabled, resetting local state"', 30)
    daemon.wait_log('level=INFO msg="auto-recovery complete, resuming replication"', 30)
    machine.assert_whole()
    machine.commit(1, machine.replica)
    machine.assert_whole()
    daemon.stop()
    there = disk.level_names(machine.replica)
    assert name_of(before + 2) in there
    assert not [n for n in there if before + 3 <= int(n[:16], 16) <= last]
    assert disk.newest_txid(machine.replica) >= last + 2, "no TXID is used again"
    assert asides(machine.local) == []
    assert len(daemon.lines("resetting local litestream state")) == 1
    older = machine.litestream.restore(machine.url, None, "-txid", f"{before + 2:016x}")
    assert lib.Ledger.committed(older) > 5


def test_found_at_start_with_auto_recover(machine):
    daemon = machine.start(auto_recover=True)
    machine.commit(3, machine.replica)
    daemon.stop()
    last = disk.newest_txid(machine.local)
    fill_with_zeros(machine.local, last)
    daemon = machine.start(auto_recover=True)
    daemon.wait_log("auto-recovery complete, resuming replication", 30)
    machine.commit(2, machine.replica)
    machine.assert_whole()
    daemon.stop()
    assert asides(machine.local) == []
    assert disk.newest_txid(machine.replica) > last
    disk.assert_chain(machine.replica)


def test_files_that_are_only_old_do_not_reset_anything(machine):
    """A replica that was emptied needs a snapshot, and nothing else."""
    daemon = machine.start(auto_recover=True)
    machine.commit(5, machine.replica)
    daemon.stop()
    last = disk.newest_txid(machine.local)
    for txid in range(1, last - 1):
        remove(machine.local, txid)
    shutil.rmtree(machine.replica)
    daemon = machine.start(auto_recover=True)
    machine.commit(2, machine.local)
    machine.assert_whole()
    daemon.stop()
    assert daemon.lines("auto-recovery") == []
    assert newest_of(machine.replica, SNAPSHOT) >= last
