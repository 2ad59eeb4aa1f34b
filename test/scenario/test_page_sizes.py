"""Every page size that SQLite has goes through a whole life: write, grow, shrink, restore."""

import disk
import lib
import pytest


def make(path, page_size, auto_vacuum):
    con = lib.connect(path, wal=False)
    con.execute(f"PRAGMA page_size = {page_size}")
    con.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
    assert con.execute("PRAGMA journal_mode = wal").fetchone()[0] == "wal"
    con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, tag TEXT, fill BLOB)")
    con.execute("CREATE INDEX item_tag ON item (tag)")
    return con


def add(con, n, fill_bytes):
    with lib.transaction(con):
        for i in range(n):
            con.execute(
                "INSERT INTO item (tag, fill) VALUES (?, randomblob(?))", (f"tag {i}", fill_bytes)
            )


def pages(con):
    return con.execute("PRAGMA page_count").fetchone()[0]


@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_a_database_grows_shrinks_and_comes_back(litestream, tmp_path, replica, page_size):
    db = str(tmp_path / "app.db")
    auto_vacuum = page_size.bit_length() % 3
    con = make(db, page_size, auto_vacuum)
    add(con, 20, 3 * page_size)
    settings = {
        "path": db,
        "monitor-interval": "20ms",
        "min-checkpoint-page-count": 50,
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    daemon = litestream.replicate(config={"dbs": [settings]})

    def settled():
        litestream.wait_caught_up(db, replica.path)
        litestream.assert_restores(replica.url, db)

    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0, what="first file")
    settled()
    for i in range(10):  # overflow pages, and rows that share a page
        add(con, 1 + 3 * i, page_size * (i % 4) + 10)
    settled()
    before = pages(con)
    con.execute("DELETE FROM item WHERE id % 3 > 0")
    con.execute("VACUUM")
    assert pages(con) < before
    settled()
    with lib.transaction(con):  # a transaction that shrinks what it has grown
        add_in = "INSERT INTO item (tag, fill) VALUES ('short-lived', randomblob(?))"
        for _ in range(30):
            con.execute(add_in, (2 * page_size,))
        con.execute("DELETE FROM item WHERE tag = 'short-lived'")
    con.execute("PRAGMA incremental_vacuum")
    con.execute("UPDATE item SET fill = randomblob(length(fill))")
    add(con, 40, page_size // 2)
    daemon.stop()
    copy = litestream.assert_restores(replica.url, db)
    assert lib.image(copy)[0] == page_size
    disk.assert_chain(replica.path)
    assert all(f.page_size == page_size for f in disk.level(replica.path))
    con.close()
