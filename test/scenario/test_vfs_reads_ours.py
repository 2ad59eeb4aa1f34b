"""Litestream 0.5's own reader sees in our replica what we replicated, and we restore what its
writer wrote; both can go on behind each other."""

import contextlib
import os
import subprocess

import lib
import pytest
import vfs

# Each of them one transaction and, as the replica is waited for, one LTX file.
STEPS = [
    """CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, note BLOB);
    CREATE TABLE word (word TEXT PRIMARY KEY, n INT) WITHOUT ROWID;
    CREATE INDEX person_name ON person (name);""",
    # growth
    """WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 2000)
    INSERT INTO person SELECT n, 'name ' || n % 97, randomblob(n % 300) FROM i;""",
    # overflow pages, one of zeros
    "INSERT INTO person VALUES (10001, 'large', randomblob(90000)), (10002, '', zeroblob(70000));",
    "INSERT INTO word SELECT 'w' || id, id FROM person WHERE id % 3 = 0;",
    "DELETE FROM person WHERE id BETWEEN 200 AND 1500;",
    "ALTER TABLE word ADD COLUMN about TEXT DEFAULT 'none'; UPDATE word SET n = -n WHERE n % 2;",
    "CREATE VIEW few AS SELECT id, name FROM person WHERE id < 10; DROP INDEX person_name;",
    "INSERT INTO person (name, note) SELECT 'later', randomblob(50) FROM word;",
]


def dump(path):
    done = subprocess.run(
        ["sqlite3", "-batch", "-bail", path, ".dump"], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def peer(tmp_path, replica):
    return vfs.Vfs(tmp_path, replica.url)


def listed(litestream, replica):
    """Names of the L0 files of the replica."""
    folder = os.path.join(replica.path, "ltx/0")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def replicate(litestream, replica, path, page_size=4096, steps=STEPS):
    """Replicates a database while the steps are made in it; returns the number of files."""
    with contextlib.closing(lib.connect(path, wal=False)) as con:
        con.execute(f"PRAGMA page_size = {page_size}")
        con.execute("PRAGMA journal_mode = wal")
        daemon = litestream.replicate(
            config={
                "dbs": [
                    {
                        "path": path,
                        "monitor-interval": "20ms",
                        "replica": {"url": replica.url, "sync-interval": "20ms"},
                    }
                ]
            }
        )
        lib.wait_until(lambda: listed(litestream, replica), 30, "the first file")
        for sql in steps:
            before = listed(litestream, replica)
            con.executescript(f"BEGIN IMMEDIATE; {sql} COMMIT;")
            lib.wait_until(
                lambda n=len(before): len(listed(litestream, replica)) > n, 30, "the next file"
            )
        daemon.stop()
    return len(listed(litestream, replica))


def test_its_reader_sees_the_rows_of_the_source(litestream, replica, peer, tmp_path):
    path = str(tmp_path / "app.db")
    assert replicate(litestream, replica, path) > len(STEPS)
    assert peer.sql("PRAGMA integrity_check;") == "ok\n"
    assert peer.sql(".dump") == dump(path)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_its_copy_is_the_source_page_by_page(litestream, replica, peer, tmp_path, page_size):
    path = str(tmp_path / "app.db")
    replicate(litestream, replica, path, page_size)
    lib.assert_same(path, peer.image(tmp_path / "peer.db"))
    with open(peer.image(tmp_path / "again.db"), "rb") as theirs:
        with open(litestream.restore(replica.url), "rb") as ours:
            assert theirs.read() == ours.read()


def test_its_copy_of_a_database_that_shrank_is_as_short(litestream, replica, peer, tmp_path):
    path = str(tmp_path / "app.db")
    replicate(litestream, replica, path, steps=STEPS[:3] + ["DELETE FROM person;"])
    n = len(listed(litestream, replica))
    daemon = litestream.replicate(path, replica.url)
    daemon.wait_log("replicating to")
    with contextlib.closing(lib.connect(path)) as con:
        con.execute("VACUUM")
    daemon.stop()
    assert len(listed(litestream, replica)) > n
    image = peer.image(tmp_path / "peer.db")
    assert os.path.getsize(image) < 40000
    lib.assert_same(path, image)


def test_its_reader_follows_what_we_go_on_to_write(litestream, ledger, replica, peer):
    ledger.commit(3)
    daemon = litestream.replicate(ledger.path, replica.url)
    lib.wait_until(lambda: listed(litestream, replica), 30, "the first file")
    with contextlib.closing(peer.reader()) as reader:
        for fill_bytes in (10, 5000, 100000):
            n = ledger.commit(5, fill_bytes=fill_bytes)
            lib.wait_until(
                lambda n=n: reader.ask("SELECT n, (SELECT count(*) FROM ledger) FROM total;")
                == [f"{n}|{n}"],
                30,
                f"transaction {n}",
            )
    daemon.stop()


def test_we_restore_what_its_writer_wrote_at_every_transaction(
    litestream, replica, peer, tmp_path
):
    dumps = []
    for sql in STEPS:
        peer.write(f"BEGIN; {sql} COMMIT;")
        dumps.append(peer.sql(".dump"))
        assert len(listed(litestream, replica)) == len(dumps)
    for i, expected in enumerate(dumps, 1):
        restored = litestream.restore(replica.url, None, "-txid", f"{i:016x}")
        lib.assert_healthy(restored)
        assert dump(restored) == expected, f"transaction {i}"
    with open(litestream.restore(replica.url), "rb") as ours:
        with open(peer.image(tmp_path / "peer.db"), "rb") as theirs:
            assert ours.read() == theirs.read()


def test_each_goes_on_behind_the_other(litestream, replica, peer, tmp_path):
    for sql in STEPS[:3]:
        peer.write(f"BEGIN; {sql} COMMIT;")
    path = litestream.restore(replica.url, str(tmp_path / "app.db"))

    daemon = litestream.replicate(path, replica.url)
    daemon.wait_log("replicating to")
    with contextlib.closing(lib.connect(path)) as con:
        con.executescript(f"BEGIN; {STEPS[3]} COMMIT;")
        daemon.stop()
    assert peer.sql(".dump") == dump(path)

    peer.write("UPDATE word SET n = n + 1;")
    restored = litestream.restore(replica.url)
    lib.assert_healthy(restored)
    assert dump(restored) == peer.sql(".dump") != dump(path)
