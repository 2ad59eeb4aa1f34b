"""Real data, as the quick start has it: the package index of this machine is loaded into a
database in many transactions while it is replicated, and comes back equal."""

import os
import shutil
import subprocess

import disk
import lib
import pytest

FIELDS = ("Package", "Version", "Section", "Installed-Size", "Description", "Depends")
ROWS_A_TRANSACTION = 100
FEWEST_ROWS = 100  # of the smallest machine: what dpkg has installed

SCHEMA = """
CREATE TABLE package (id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT,
    section TEXT REFERENCES section (name), size INTEGER, about TEXT, depends TEXT);
CREATE TABLE section (name TEXT PRIMARY KEY, packages INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX package_name ON package (name, version);
CREATE TRIGGER package_in AFTER INSERT ON package BEGIN
    UPDATE section SET packages = packages + 1 WHERE name = new.section;
END;
"""


def paragraphs(lines):
    """Package paragraphs as dictionaries; continuation lines are left out."""
    fields = {}
    for line in lines:
        line = line.rstrip("\n")
        if not line and fields:
            yield fields
            fields = {}
        elif line[:1] not in ("", " ", "\t"):
            name, _, value = line.partition(":")
            if name.startswith("Description"):
                name = "Description"
            if name in FIELDS:
                fields[name] = value.strip()
    if fields:
        yield fields


def from_apt():
    if not shutil.which("apt-cache"):
        return []
    done = subprocess.run(
        ["apt-cache", "dumpavail"], capture_output=True, text=True, errors="replace"
    )
    return list(paragraphs(done.stdout.splitlines(keepends=True)))


def from_dpkg():
    for path in ("/var/lib/dpkg/available", "/var/lib/dpkg/status"):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            with open(path, encoding="utf-8", errors="replace") as f:
                return list(paragraphs(f))
    return []


def packages():
    found = from_apt()
    if len(found) < 10000 and os.geteuid() == 0 and shutil.which("apt-get"):
        with open(os.devnull, "wb") as null:
            subprocess.run(["apt-get", "update", "-qq"], stdout=null, stderr=null, timeout=300)
        found = from_apt()
    return max([found, from_dpkg()], key=len)


def row(p):
    size = p.get("Installed-Size", "0")
    return (
        p["Package"],
        p.get("Version"),
        p.get("Section", "unknown"),
        int(size) if size.isdigit() else None,
        p.get("Description"),
        p.get("Depends"),
    )


@pytest.fixture(scope="module")
def rows():
    return [row(p) for p in packages() if "Package" in p]


def load(con, rows, every_20):
    """Inserts all rows, changes some and deletes some on the way; returns how many
    transactions that took. Calls every_20 after as many."""
    transactions = 0
    for at in range(0, len(rows), ROWS_A_TRANSACTION):
        part = rows[at : at + ROWS_A_TRANSACTION]
        with lib.transaction(con):
            for name in {r[2] for r in part}:
                con.execute("INSERT OR IGNORE INTO section VALUES (?, 0)", (name,))
            con.executemany(
                "INSERT INTO package (name, version, section, size, about, depends) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                part,
            )
        transactions += 1
        if transactions % 20 == 0:
            con.execute("UPDATE package SET about = upper(about) WHERE id % 97 = ?", (at % 97,))
            con.execute("DELETE FROM package WHERE id % 991 = ?", (at % 991,))
            transactions += 2
            every_20()
    con.execute("UPDATE section SET packages = (SELECT count(*) FROM package WHERE section = name)")
    return transactions + 1


def as_in_the_quick_start(litestream, db, replica):
    return litestream.replicate(db, replica.url)


def in_many_small_files(litestream, db, replica):
    settings = {
        "path": db,
        "monitor-interval": "5ms",
        "min-checkpoint-page-count": 200,
        "replica": {"path": replica.path, "sync-interval": "5ms"},
    }
    return litestream.replicate(config={"dbs": [settings]})


@pytest.mark.parametrize(
    "start, fewest_files", [(as_in_the_quick_start, 2), (in_many_small_files, 30)]
)
def test_a_package_index_comes_back_equal(
    litestream, tmp_path, replica, rows, start, fewest_files
):
    assert len(rows) >= FEWEST_ROWS
    db = str(tmp_path / "packages.db")
    con = lib.connect(db)
    con.executescript(SCHEMA)

    daemon = start(litestream, db, replica)
    lib.wait_until(lambda: disk.newest_txid(replica.path) > 0, what="first file")

    def a_file_has_come():
        before = disk.newest_txid(replica.path)
        con.execute("UPDATE section SET packages = packages + 1")
        lib.wait_until(lambda: disk.newest_txid(replica.path) > before, 30, "a further file")

    paced = start is in_many_small_files
    transactions = load(con, rows, a_file_has_come if paced else lambda: None)
    left = con.execute("SELECT count(*) FROM package").fetchone()[0]
    assert len(rows) * 0.9 < left <= len(rows)
    litestream.wait_caught_up(db, replica.path, 60)
    files = len(disk.level_names(replica.path))
    print(f"{len(rows)} packages in {transactions} transactions and {files} files, {left} left")
    # a machine without an index has only a few transactions to replicate
    assert files >= min(fewest_files, transactions // 5)

    def same():
        """The daemon may write itself, once, to cut a WAL that has become large."""
        litestream.wait_caught_up(db, replica.path, 60)
        restored = litestream.restore(replica.url, None, "-integrity-check", "full")
        return not lib.differing_pages(db, restored)

    lib.wait_until(same, 30, "a restored database that equals the source")
    con.execute("DROP INDEX package_name")
    con.execute("DELETE FROM package WHERE id % 2 = 0")
    daemon.stop()
    copy = litestream.assert_restores(replica.url, db)
    assert lib.content_hash(copy) == lib.content_hash(db)
    disk.assert_chain(replica.path)
    assert disk.images(replica.path) == ["0000000000000001-0000000000000001.ltx"]
    con.close()
