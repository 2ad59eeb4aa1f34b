"""Databases that grow over 1 GiB: the page that holds byte 0x40000000 has no content.

It is in no LTX file, though it counts as a page, and it is zeros in a restored database. Needs
about 4 GB of disk for a while; a minute for a release build, a few for an instrumented one.
"""

import os
import shutil

import disk
import lib
import pytest

BLOCK = 1 << 20
LOCK_BYTE = lib.LOCK_BYTE
NEEDED_BYTES = 6 << 30


def build(path, page_size, auto_vacuum, n_pages):
    """A database of so many pages, nearly all of them zeros."""
    con = lib.connect(path, wal=False)
    con.execute(f"PRAGMA page_size = {page_size}")
    con.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
    con.execute("PRAGMA journal_mode = off")
    con.execute("PRAGMA synchronous = off")
    con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, fill BLOB)")
    while True:
        room = n_pages - pages(con)
        if room <= 2:
            break
        # Less than all of it: some pages are for the structure of it.
        blob = min(room * (page_size - 60) * 9 // 10, 900 << 20)
        con.execute("INSERT INTO item (fill) VALUES (zeroblob(?))", (max(blob, page_size // 4),))
    con.close()


def pages(con):
    return con.execute("PRAGMA page_count").fetchone()[0]


def grow(con, n_pages, in_one=False):
    """Adds rows, each in a transaction of its own, until there are so many pages."""
    size = con.execute("PRAGMA page_size").fetchone()[0]
    if in_one:
        con.execute("BEGIN IMMEDIATE")
    while pages(con) < n_pages:
        con.execute("INSERT INTO item (fill) VALUES (randomblob(?))", (size // 3,))
    if in_one:
        con.execute("COMMIT")


def assert_same_file(source, copy, page_size):
    """Byte for byte, but for the lock page, which is zeros in the copy."""
    lock = LOCK_BYTE // page_size * page_size
    assert os.path.getsize(source) == os.path.getsize(copy) > lock + page_size
    with open(source, "rb") as a, open(copy, "rb") as b:
        at = 0
        while at < os.path.getsize(source):
            left, right = a.read(BLOCK), b.read(BLOCK)
            if at <= lock < at + BLOCK:
                inside = slice(lock - at, lock - at + page_size)
                assert not any(right[inside])
                left, right = bytearray(left), bytearray(right)
                left[inside] = right[inside] = b""
            assert left == right, f"from byte {at} on"
            at += BLOCK


def assert_no_lock_page(replica, page_size):
    lock_page = LOCK_BYTE // page_size + 1
    for level in range(10):
        for f in disk.level(replica, level):
            assert lock_page not in f.pages, f"level {level}: {f.name}"
            assert max(f.pages, default=0) <= f.commit


def only(source, folder, *levels):
    for level in levels:
        shutil.copytree(f"{source}/ltx/{level}", f"{folder}/ltx/{level}")
    return "file://" + folder


@pytest.mark.parametrize(("page_size", "auto_vacuum"), [(4096, 0), (65536, 1)])
def test_a_database_grows_over_the_lock_page(litestream, tmp_path, page_size, auto_vacuum):
    assert shutil.disk_usage(tmp_path).free > NEEDED_BYTES, "not enough room for this test"
    db, replica = str(tmp_path / "app.db"), str(tmp_path / "replica")
    lock_page = LOCK_BYTE // page_size + 1
    build(db, page_size, auto_vacuum, lock_page - 10)
    con = lib.connect(db)
    con.execute("PRAGMA wal_autocheckpoint = 0")
    assert lock_page - 15 < pages(con) < lock_page - 2
    settings = {
        "path": db,
        "monitor-interval": "10ms",
        "min-checkpoint-page-count": 20,
        "replica": {"type": "file", "path": replica, "sync-interval": "10ms"},
    }
    config = {
        "dbs": [settings],
        "levels": [{"interval": "200ms"}],
        "snapshot": {"interval": "24h", "retention": "24h"},
        "logging": {"level": "debug"},
    }
    daemon = litestream.replicate(config=config)
    daemon.wait_log("opened db")  # with its own tables, as nobody holds the lock
    con.execute("INSERT INTO item (fill) VALUES (zeroblob(10))")
    litestream.wait_caught_up(db, replica, 200)
    lib.wait_until(lambda: disk.level_names(replica, 9), 200, "the first snapshot")
    before = pages(con)
    assert before < lock_page
    grow(con, lock_page + 3)  # with files that end just before and just behind it
    litestream.wait_caught_up(db, replica)
    if auto_vacuum:  # below it and back, more than once
        for _ in range(2):
            con.execute("DELETE FROM item WHERE id > 5 AND length(fill) = ?", (page_size // 3,))
            assert pages(con) < lock_page
            litestream.wait_caught_up(db, replica)
            grow(con, lock_page + 3)
    grow(con, lock_page + 40, in_one=True)
    litestream.wait_caught_up(db, replica)

    def merged_all():
        """Also what the daemon writes itself, once, to cut the WAL."""
        newest = f"{disk.newest_txid(replica):016x}.ltx"
        return any(name.endswith(newest) for name in disk.level_names(replica, 1))

    lib.wait_until(merged_all, 100, "level 1 to have everything")
    daemon.stop()
    assert not daemon.lines("level=(ERROR|WARN)"), daemon.output()
    merged = only(replica, str(tmp_path / "merged"), 1)
    path = litestream.config(config)
    litestream.run("replicate", "-config", path, "-once", "-force-snapshot", timeout=300)
    snapshot = only(replica, str(tmp_path / "snapshot"), 9)
    assert_no_lock_page(replica, page_size)
    n_pages = pages(con)
    assert con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    con.close()
    assert os.path.getsize(db) == n_pages * page_size
    for url in (merged, snapshot):  # the whole way, and the state at the end
        copy = litestream.restore(url, timeout=300)
        assert_same_file(db, copy, page_size)
        os.unlink(copy)
