"""A replica that holds another history than the local files is never continued as if it were
the same: what is restored is one of the two, and after a while the present one."""

import os
import shutil

import disk
import lib

SNAPSHOT = 9


def settings(db, *replicas):
    return {
        "dbs": [
            {
                "path": str(db),
                "monitor-interval": "20ms",
                "replicas": [
                    {"path": str(r), "name": os.path.basename(r), "sync-interval": "20ms"}
                    for r in replicas
                ],
            }
        ],
        "shutdown-sync-timeout": "1s",
    }


def url(folder):
    return "file://" + str(folder)


class Line:
    """A machine's database with its local files; can be set back to how it was."""

    def __init__(self, litestream, tmp_path):
        self.litestream = litestream
        self.folder = tmp_path / "machine"
        self.folder.mkdir()
        self.db = str(self.folder / "app.db")

    def commit(self, times):
        book = lib.Ledger(self.db)
        for _ in range(times):
            book.commit(1)
            yield
        book.close()

    def keep(self, name):
        shutil.copytree(self.folder, f"{self.folder}.{name}")

    def set_back(self, name):
        shutil.rmtree(self.folder)
        shutil.copytree(f"{self.folder}.{name}", self.folder)


def replicate_commits(litestream, line, config, times, *replicas):
    daemon = litestream.replicate(config=config)
    for _ in line.commit(times):
        for r in replicas:
            litestream.wait_caught_up(line.db, r)
    daemon.stop()
    return daemon


def test_a_machine_that_was_set_back_while_its_replica_was_away(litestream, tmp_path):
    line, replica = Line(litestream, tmp_path), str(tmp_path / "replica")
    config = settings(line.db, replica)
    replicate_commits(litestream, line, config, 3, replica)
    line.keep("old")
    replicate_commits(litestream, line, config, 4, replica)  # the line that will be lost
    reached = disk.newest_txid(replica)
    line.set_back("old")
    os.rename(replica, replica + ".away")
    with open(replica, "w", encoding="ascii") as f:
        f.write("not a folder\n")
    daemon = litestream.replicate(config=config)  # goes on alone, beyond the replica
    local = disk.meta_folder(line.db)
    for _ in line.commit(reached + 5):
        litestream.wait_caught_up(line.db, local)
    daemon.kill()
    os.unlink(replica)
    os.rename(replica + ".away", replica)
    assert disk.newest_txid(local) > reached

    daemon = litestream.replicate(config=config)
    daemon.wait_log("detected database behind replica")
    for _ in line.commit(1):
        pass
    litestream.wait_caught_up(line.db, replica)
    litestream.assert_restores(url(replica), line.db)
    daemon.stop()
    old = litestream.restore(url(replica), None, "-txid", f"{reached:016x}")
    assert lib.Ledger.committed(old) == 7, "the lost line is still there"


def test_two_replicas_at_different_places_and_no_local_files(litestream, tmp_path):
    """A new machine: the next transaction comes behind both, and both are whole again."""
    line = Line(litestream, tmp_path)
    near, far = str(tmp_path / "near"), str(tmp_path / "far")
    replicate_commits(litestream, line, settings(line.db, near), 3, near)
    shutil.copytree(near, far)
    replicate_commits(litestream, line, settings(line.db, far), 4, far)
    lib.remove_meta(line.db)
    daemon = litestream.replicate(config=settings(line.db, near, far))
    for _ in line.commit(3):
        litestream.wait_caught_up(line.db, far)
        litestream.wait_caught_up(line.db, near)
    for folder in (near, far):
        litestream.assert_restores(url(folder), line.db)
    daemon.stop()
    assert disk.newest_txid(near) == disk.newest_txid(far)


def test_a_clone_of_the_machine_is_told_from_it(litestream, tmp_path):
    """Two daemons on one path: neither overwrites what the other wrote, one of them stops."""
    line, replica = Line(litestream, tmp_path), str(tmp_path / "replica")
    config = settings(line.db, replica)
    replicate_commits(litestream, line, config, 3, replica)
    clone = Line.__new__(Line)
    clone.litestream, clone.folder = litestream, tmp_path / "clone"
    shutil.copytree(line.folder, clone.folder)
    clone.db = str(clone.folder / "app.db")
    daemons = {
        line: litestream.replicate(config=config),
        clone: litestream.replicate(config=settings(clone.db, replica)),
    }

    def stopped():
        for machine, daemon in daemons.items():
            if daemon.lines("another writer uses the path|of another history"):
                return machine
            for _ in machine.commit(1):
                pass
        return None

    loser = lib.wait_until(stopped, 30, "one of them to stop")
    winner = clone if loser is line else line
    for _ in winner.commit(3):
        litestream.wait_caught_up(winner.db, replica)
    litestream.assert_restores(url(replica), winner.db)
    daemons[winner].stop()
    daemons[loser].stop(status=1)
    assert daemons[loser].lines("shutdown sync failed, replica stopped"), "it waits for nothing"


def test_a_replica_that_was_emptied_is_whole_again(litestream, tmp_path):
    line, replica = Line(litestream, tmp_path), str(tmp_path / "replica")
    config = settings(line.db, replica)
    config["l0-retention"] = "100ms"
    config["l0-retention-check-interval"] = "50ms"
    config["levels"] = [{"interval": "100ms"}]
    replicate_commits(litestream, line, config, 5, replica)
    shutil.rmtree(replica)
    daemon = litestream.replicate(config=config)
    for _ in line.commit(2):
        pass
    lib.wait_until(lambda: disk.level_names(replica, SNAPSHOT), 20, "a snapshot")
    litestream.wait_caught_up(line.db, replica)
    litestream.assert_restores(url(replica), line.db)
    daemon.stop()


def test_a_lost_file_comes_back_from_the_local_one(litestream, tmp_path):
    line, replica = Line(litestream, tmp_path), str(tmp_path / "replica")
    config = settings(line.db, replica)
    config["levels"] = [{"interval": "24h"}]  # the files stay on level 0
    replicate_commits(litestream, line, config, 6, replica)
    shutil.rmtree(os.path.join(replica, "ltx", "1"), ignore_errors=True)
    os.unlink(os.path.join(replica, "ltx", "0", f"{3:016x}-{3:016x}.ltx"))
    daemon = litestream.replicate(config=config)
    daemon.wait_log("replica has a gap")
    for _ in line.commit(1):
        pass
    litestream.wait_caught_up(line.db, replica)
    disk.assert_chain(replica)
    litestream.assert_restores(url(replica), line.db)
    daemon.stop()
