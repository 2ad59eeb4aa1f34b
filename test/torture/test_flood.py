"""Writers that are faster than the worker: it keeps uploading and checkpointing, and it ends
when it is asked to."""

import os
import subprocess
import sys
import time

import lib
import storm_writer


def newest_upload(replica):
    folder = os.path.join(replica, "ltx", "0")
    return max(os.listdir(folder), default="") if os.path.isdir(folder) else ""


def flood(database, folder, stop):
    for i in range(2):
        yield subprocess.Popen(
            [sys.executable, "-B", storm_writer.__file__, database, str(i), stop, f"{folder}/acks-{i}"]
        )


def make_database(path):
    con = lib.connect(path, wal=False)
    con.execute("PRAGMA page_size = 65536")
    con.execute("PRAGMA journal_mode = wal")
    con.executescript(storm_writer.SCHEMA)
    con.close()


def test_a_flood_holds_up_neither_uploads_nor_the_end(litestream, tmp_path):
    database, replica, stop = (str(tmp_path / name) for name in ("app.db", "replica", "stop"))
    make_database(database)
    settings = {
        "path": database,
        "max-sync-wal-bytes": 65560,  # a file for every few frames: there is always one more
        "min-checkpoint-page-count": 1000,
        "replica": {"type": "file", "path": replica, "sync-interval": "10ms"},
    }
    daemon = litestream.replicate(config={"dbs": [settings]})
    daemon.wait_log("initialized db")
    writers = list(flood(database, tmp_path, stop))
    try:
        for _ in range(3):
            before = newest_upload(replica)
            lib.wait_until(lambda b=before: newest_upload(replica) > b, 20, "an upload")
        begin = time.monotonic()
        daemon.stop(30)
        assert time.monotonic() - begin < 20 * lib.SLOW
        assert all(w.poll() is None for w in writers), "a writer ended early"
    finally:
        (tmp_path / "stop").touch()
        for w in writers:
            w.wait(timeout=60 * lib.SLOW)
    lib.assert_healthy(litestream.restore("file://" + replica))
