"""Merges, snapshots and retention: what they write equals what the increments say, what they
delete is not needed, and a database at rest is left alone."""

import os
import shutil

import disk
import lib
import pytest

LEVELS = [{"interval": "200ms"}, {"interval": "1s"}]
SNAPSHOT = 9


def settings(db, replica, **more):
    one = {
        "path": str(db),
        "monitor-interval": "20ms",
        "min-checkpoint-page-count": 20,
        "replica": {"type": "file", "path": replica.path, "sync-interval": "20ms"},
    }
    return {
        "dbs": [one],
        "levels": LEVELS,
        "snapshot": {"interval": "300ms", "retention": "24h"},
        "l0-retention": "0s",
        "verify-compaction": True,
        "logging": {"level": "debug"},
        **more,
    }


def ranges(folder, level):
    return [(int(n[:16], 16), int(n[17:33], 16)) for n in disk.level_names(folder, level)]


def newest(folder, level):
    return max((high for _, high in ranges(folder, level)), default=0)


def assert_contiguous(folder, level):
    found = ranges(folder, level)
    for (_, before), (low, high) in zip(found, found[1:]):
        assert low == before + 1 <= high, f"level {level}: {found}"


def only(replica, folder, *levels):
    """A copy of a replica with some of its levels."""
    for level in levels:
        source = os.path.join(replica.path, "ltx", str(level))
        shutil.copytree(source, os.path.join(str(folder), "ltx", str(level)))
    return "file://" + str(folder)


def wait_merged(replica, txid, timeout=20):
    lib.wait_until(lambda: newest(replica.path, 1) >= txid, timeout, "level 1")
    lib.wait_until(lambda: newest(replica.path, 2) >= txid, timeout, "level 2")
    lib.wait_until(lambda: newest(replica.path, SNAPSHOT) >= txid, timeout, "a snapshot")


def test_every_level_says_the_same(litestream, ledger, replica, tmp_path):
    """With all level-0 files kept, each snapshot and each merged file must lead to the very
    bytes that the increments lead to."""
    ledger.commit(200, fill_bytes=4000)
    daemon = litestream.replicate(config=settings(ledger.path, replica))
    daemon.wait_log("initialized db")
    writer = litestream.writer(ledger.path, fill_bytes=3000, pause=0.002, autocheckpoint=10)
    writer.wait_committed(ledger.n + 300)
    lib.wait_until(lambda: len(disk.level_names(replica.path, 2)) >= 2, 20, "level 2 to grow")
    lib.wait_until(lambda: len(disk.level_names(replica.path, SNAPSHOT)) >= 5, 20, "snapshots")
    writer.stop()
    litestream.wait_caught_up(ledger.path, replica.path)
    wait_merged(replica, disk.newest_txid(replica.path))
    daemon.stop()
    assert not daemon.lines("ERROR|WARN"), daemon.output()

    disk.assert_chain(replica.path)
    raw = only(replica, tmp_path / "raw", 0)
    snapshots = only(replica, tmp_path / "snapshots", SNAPSHOT)
    for _, txid in ranges(replica.path, SNAPSHOT)[-6:]:
        a = litestream.restore(raw, None, "-txid", f"{txid:016x}")
        b = litestream.restore(snapshots, None, "-txid", f"{txid:016x}")
        assert lib.differing_pages(a, b) == [], f"snapshot {txid}"
    for level in (1, 2):
        assert_contiguous(replica.path, level)
        merged = only(replica, tmp_path / f"merged-{level}", level)
        for _, txid in ranges(replica.path, level)[-4:]:
            a = litestream.restore(raw, None, "-txid", f"{txid:016x}")
            b = litestream.restore(merged, None, "-txid", f"{txid:016x}")
            assert lib.differing_pages(a, b) == [], f"level {level}, {txid}"
    litestream.assert_restores(replica.url, ledger.path)


def test_level_0_is_pruned_here_and_there(litestream, ledger, replica):
    ledger.commit(20)
    more = {"l0-retention": "300ms", "l0-retention-check-interval": "100ms"}
    daemon = litestream.replicate(config=settings(ledger.path, replica, **more))
    for _ in range(30):
        ledger.commit(1)
        litestream.wait_caught_up(ledger.path, replica.path)
    txid = disk.newest_txid(replica.path)
    wait_merged(replica, txid)
    local = disk.meta_folder(ledger.path)
    for folder in (replica.path, local):
        lib.wait_until(
            lambda: ranges(folder, 0) == [(txid, txid)], 20, f"{folder} to keep the newest only"
        )
    assert daemon.lines("l0 retention enforced")
    litestream.assert_restores(replica.url, ledger.path)
    ledger.commit(5)
    litestream.wait_caught_up(ledger.path, replica.path)
    litestream.assert_restores(replica.url, ledger.path)
    daemon.stop()

    # What is left is enough to go on from.
    daemon = litestream.replicate(config=settings(ledger.path, replica, **more))
    ledger.commit(1)
    litestream.wait_caught_up(ledger.path, replica.path)
    assert not daemon.lines("full image"), daemon.output()
    litestream.assert_restores(replica.url, ledger.path)


def test_level_0_is_pruned_although_merges_come_more_often_than_checks(litestream, ledger, replica):
    config = settings(ledger.path, replica, levels=[{"interval": "100ms"}])
    config["l0-retention"] = "100ms"
    config["l0-retention-check-interval"] = "400ms"
    ledger.commit(10)
    daemon = litestream.replicate(config=config)
    litestream.wait_caught_up(ledger.path, replica.path)
    writer = litestream.writer(ledger.path, pause=0.005)

    def pruned():
        return ranges(replica.path, 0)[0][0] > 20 < ranges(disk.meta_folder(ledger.path), 0)[0][0]

    lib.wait_until(pruned, 20, "level 0 to lose its first files here and there")
    writer.stop()
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_old_snapshots_go_and_what_they_made_needless(litestream, ledger, replica):
    ledger.commit(50)
    more = {
        "snapshot": {"interval": "200ms", "retention": "1s"},
        "l0-retention": "200ms",
        "l0-retention-check-interval": "100ms",
    }
    daemon = litestream.replicate(config=settings(ledger.path, replica, **more))
    writer = litestream.writer(ledger.path, pause=0.01)
    lib.wait_until(lambda: newest(replica.path, SNAPSHOT) > 100, 30, "many snapshots")
    lib.wait_until(lambda: ranges(replica.path, 1)[:1] > [(2, 2)], 30, "level 1 to be pruned")
    assert len(ranges(replica.path, SNAPSHOT)) < 20
    copy = litestream.restore(replica.url)
    lib.Ledger.committed(copy)
    writer.stop()
    litestream.wait_caught_up(ledger.path, replica.path)
    litestream.assert_restores(replica.url, ledger.path)
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_nothing_is_deleted_when_retention_is_off(litestream, ledger, replica):
    ledger.commit(20)
    more = {
        "snapshot": {"interval": "200ms", "retention": "200ms"},
        "l0-retention": "100ms",
        "l0-retention-check-interval": "100ms",
        "retention": {"enabled": False},
    }
    daemon = litestream.replicate(config=settings(ledger.path, replica, **more))
    for _ in range(10):
        ledger.commit(2)
        litestream.wait_caught_up(ledger.path, replica.path)
    txid = disk.newest_txid(replica.path)
    wait_merged(replica, txid)
    local = disk.meta_folder(ledger.path)
    lib.wait_until(lambda: ranges(local, 0) == [(txid, txid)], 20, "local files to go")
    disk.assert_chain(replica.path)
    assert daemon.lines("retention disabled")
    daemon.stop()


def test_a_start_repeats_nothing(litestream, ledger, replica):
    """Merges, snapshots and images of a database that did not change since."""
    ledger.commit(50)
    config = settings(ledger.path, replica, snapshot={"interval": "24h", "retention": "24h"})
    daemon = litestream.replicate(config=config)
    litestream.wait_caught_up(ledger.path, replica.path)
    wait_merged(replica, disk.newest_txid(replica.path))
    daemon.stop()
    before = [disk.level_names(replica.path, level) for level in range(10)]
    for _ in range(3):
        daemon = litestream.replicate(config=config)
        daemon.wait_log("worker is ready")
        daemon.wait_log("replica position")
        daemon.stop()
        assert before == [disk.level_names(replica.path, level) for level in range(10)]


def test_the_first_snapshot_comes_at_once(litestream, ledger, replica):
    """A new replica can be restored from level 9 alone, without waiting for an interval."""
    ledger.commit(50)
    config = {"dbs": [{"path": ledger.path, "replica": {"type": "file", "path": replica.path}}]}
    daemon = litestream.replicate(config=config)
    lib.wait_until(lambda: ranges(replica.path, SNAPSHOT) == [(1, 1)], 15, "the first snapshot")
    assert daemon.lines("snapshot complete")
    daemon.stop()


@pytest.mark.parametrize("damage", ["lost", "damaged"])
def test_a_hole_is_bridged_by_a_snapshot(litestream, ledger, replica, damage):
    """A file that got lost on the destination, or rotted there, does not stop merges for ever:
    a snapshot takes its place."""
    ledger.commit(10)
    config = settings(ledger.path, replica, snapshot={"interval": "24h", "retention": "24h"})
    config["l0-retention"] = "100ms"
    config["l0-retention-check-interval"] = "100ms"
    daemon = litestream.replicate(config=config)
    for _ in range(5):
        ledger.commit(2)
        litestream.wait_caught_up(ledger.path, replica.path)
    lost = disk.newest_txid(replica.path)
    lib.wait_until(lambda: newest(replica.path, 1) >= lost, 20, "level 1")
    lib.wait_until(lambda: ranges(replica.path, 0) == [(lost, lost)], 20, "level 0 to be pruned")
    daemon.stop()
    folder = os.path.join(replica.path, "ltx", "1")
    for name in sorted(os.listdir(folder))[1:]:
        if damage == "lost":
            os.unlink(os.path.join(folder, name))
        else:
            with open(os.path.join(folder, name), "r+b") as f:
                f.seek(-20, os.SEEK_END)
                f.write(b"rotten")
    shutil.rmtree(os.path.join(replica.path, "ltx", "2"), ignore_errors=True)
    daemon = litestream.replicate(config=config)
    ledger.commit(2)
    lib.wait_until(lambda: newest(replica.path, SNAPSHOT) >= lost, 30, "a snapshot")
    snapshot = newest(replica.path, SNAPSHOT)

    def goes_on():
        ledger.commit(1)
        return newest(replica.path, 2) > snapshot

    lib.wait_until(goes_on, 30, "level 2 to go on")
    litestream.wait_caught_up(ledger.path, replica.path)
    litestream.assert_restores(replica.url, ledger.path)
    daemon.stop()
