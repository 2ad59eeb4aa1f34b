"""`replicate -once` brings replicas up to date and ends; `reset` discards local files."""

import os

import disk
import lib

SNAPSHOT = 9


def names(folder, level):
    return disk.level_names(folder, level)


def test_once_brings_the_replica_up_to_date(litestream, ledger, replica):
    ledger.commit(20)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    litestream.assert_restores(replica.url, ledger.path)
    assert names(replica.path, SNAPSHOT) == []
    ledger.commit(3)
    done = litestream.run("replicate", "-once", ledger.path, replica.url)
    assert "one-shot replication complete" in done.stdout + done.stderr
    litestream.assert_restores(replica.url, ledger.path)
    assert disk.newest_txid(replica.path) == 2
    disk.assert_chain(replica.path)


def test_once_with_nothing_new_writes_nothing(litestream, ledger, replica):
    ledger.commit(20)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    before = names(replica.path, 0)
    for _ in range(3):
        litestream.run("replicate", "-once", ledger.path, replica.url)
    assert names(replica.path, 0) == before


def test_a_snapshot_is_forced(litestream, ledger, replica):
    ledger.commit(20)
    for txid in (1, 2, 2):
        litestream.run("replicate", "-once", "-force-snapshot", ledger.path, replica.url)
        assert names(replica.path, SNAPSHOT)[-1] == f"{1:016x}-{txid:016x}.ltx"
        if txid == 1:
            ledger.commit(5)
    litestream.assert_restores(replica.url, ledger.path)


def test_retention_is_enforced(litestream, ledger, replica):
    ledger.commit(20)
    config = litestream.config(
        {
            "dbs": [{"path": ledger.path, "replica": {"type": "file", "path": replica.path}}],
            "snapshot": {"interval": "1h", "retention": "1h"},
        }
    )
    for _ in range(3):
        litestream.run("replicate", "-once", "-force-snapshot", "-config", config)
        ledger.commit(1)
    folder = os.path.join(replica.path, "ltx", str(SNAPSHOT))
    assert len(os.listdir(folder)) == 3
    for name in os.listdir(folder):  # all of them long ago
        os.utime(os.path.join(folder, name), (1_600_000_000, 1_600_000_000))
    litestream.run("replicate", "-once", "-enforce-retention", "-config", config)
    assert names(replica.path, SNAPSHOT) == [f"{1:016x}-{3:016x}.ltx"]
    litestream.assert_restores(replica.url, ledger.path)


def test_every_database_is_tried_and_a_failure_is_told(litestream, ledger, replica, tmp_path):
    ledger.commit(5)
    broken = tmp_path / "broken"
    broken.write_text("not a folder\n")
    config = litestream.config(
        {
            "dbs": [
                {"path": str(tmp_path / "absent.db"), "replica": {"path": str(broken)}},
                {"path": ledger.path, "replica": {"path": replica.path}},
            ]
        }
    )
    done = litestream.run("replicate", "-once", "-config", config, status=1)
    assert "no position, waiting for data" in done.stdout + done.stderr
    litestream.assert_restores(replica.url, ledger.path)


def test_a_replica_that_cannot_be_written_is_a_failure(litestream, ledger, tmp_path):
    ledger.commit(5)
    broken = tmp_path / "broken"
    broken.write_text("not a folder\n")
    done = litestream.run("replicate", "-once", ledger.path, f"file://{broken}", status=1)
    assert ledger.path in done.stdout + done.stderr


def test_reset_discards_local_files_and_nothing_else(litestream, ledger, replica):
    ledger.commit(20)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    before = names(replica.path, 0)
    meta = disk.meta_folder(ledger.path)
    dry = litestream.run("reset", "-dry-run", ledger.path)
    assert f"Would remove: {meta}/ltx" in dry.stdout and before[0] in dry.stdout
    assert names(meta, 0) == before
    done = litestream.run("reset", ledger.path)
    assert "Reset complete" in done.stdout
    assert names(meta, 0) == [] and names(replica.path, 0) == before
    ledger.commit(1)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    assert disk.newest_txid(replica.path) == 2, "a TXID is never used again"
    assert len(disk.images(replica.path)) == 2
    litestream.assert_restores(replica.url, ledger.path)
    assert "No local LTX files" in litestream.run(
        "reset", "-dry-run", ledger.path
    ).stdout or names(meta, 0)


def test_reset_is_refused_while_a_daemon_runs(litestream, ledger, replica):
    ledger.commit(20)
    daemon = litestream.replicate(ledger.path, replica.url)
    litestream.wait_caught_up(ledger.path, replica.path)
    meta = disk.meta_folder(ledger.path)
    before = names(meta, 0)
    done = litestream.run("reset", ledger.path, status=1)
    assert "already replicated by pid" in done.stderr
    assert names(meta, 0) == before
    daemon.stop()


def test_reset_of_what_is_not_there(litestream, ledger, tmp_path):
    done = litestream.run("reset", str(tmp_path / "absent.db"), status=1)
    assert "database does not exist" in done.stderr
    ledger.commit(1)
    done = litestream.run("reset", ledger.path)
    assert "No local state to reset" in done.stdout
    done = litestream.run("reset", status=1)
    assert "database path required" in done.stderr


def test_reset_finds_the_folder_of_the_configuration(litestream, ledger, replica, tmp_path):
    ledger.commit(3)
    meta = str(tmp_path / "elsewhere")
    db = {"path": ledger.path, "meta-path": meta, "replica": {"path": replica.path}}
    config = litestream.config({"dbs": [db]})
    litestream.run("replicate", "-once", "-config", config)
    assert names(meta, 0)
    litestream.run("reset", ledger.path, env={"LITESTREAM_CONFIG": config})
    assert names(meta, 0) == []
    lib.assert_healthy(ledger.path)
