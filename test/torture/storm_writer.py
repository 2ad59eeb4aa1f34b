"""storm_writer DB SEED STOP ACKS - an application that is as rough as applications get.

Writes transactions until the file STOP exists; every one appends a link to the hash chain in
`ledger` and touches side tables. After COMMIT has returned its number goes to ACKS.
"""

import hashlib
import os
import random
import sqlite3
import sys

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (n INTEGER PRIMARY KEY, h BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS side (k INTEGER PRIMARY KEY, a INTEGER, b TEXT, c BLOB);
CREATE INDEX IF NOT EXISTS side_a ON side (a);
CREATE INDEX IF NOT EXISTS side_b ON side (b, a);
CREATE TABLE IF NOT EXISTS total (n INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS side_in AFTER INSERT ON side BEGIN UPDATE total SET n = n + 1; END;
CREATE TRIGGER IF NOT EXISTS side_out AFTER DELETE ON side BEGIN UPDATE total SET n = n - 1; END;
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total);
"""


def link(n, previous):
    return hashlib.sha256(previous + n.to_bytes(8, "big")).digest()


def connect(path):
    con = sqlite3.connect(path, timeout=60, isolation_level=None)
    con.execute("PRAGMA synchronous = NORMAL")
    return con


class Writer:
    def __init__(self, path, seed, acks):
        self.path = path
        self.random = random.Random(seed)
        self.acks = acks
        self.open()

    def open(self):
        self.con = connect(self.path)
        r = self.random
        self.con.execute(f"PRAGMA wal_autocheckpoint = {r.choice([0, 1, 50, 1000])}")
        self.con.execute(f"PRAGMA cache_size = {r.choice([10, 2000])}")

    def append(self):
        last = self.con.execute("SELECT n, h FROM ledger ORDER BY n DESC LIMIT 1").fetchone()
        n, h = last or (0, b"")
        self.con.execute("INSERT INTO ledger VALUES (?, ?)", (n + 1, link(n + 1, h)))
        return n + 1

    def touch(self, rows):
        r = self.random
        for _ in range(rows):
            what = r.random()
            if what < 0.6:
                self.con.execute(
                    "INSERT INTO side (a, b, c) VALUES (?, ?, randomblob(?))",
                    (r.randrange(1000), "x" * r.randrange(80), r.choice([10, 200, 3000, 20000])),
                )
            elif what < 0.8:
                self.con.execute(
                    "UPDATE side SET a = a + 1, c = randomblob(?) WHERE k % 17 = ?",
                    (r.randrange(500), r.randrange(17)),
                )
            else:
                self.con.execute("DELETE FROM side WHERE k % 5 = ?", (r.randrange(5),))

    def transaction(self):
        r = self.random
        self.con.execute("BEGIN IMMEDIATE")
        n = self.append()
        self.touch(r.choice([0, 1, 1, 1, 3, 3, 10, 60]))
        if r.random() < 0.1:
            self.con.execute("ROLLBACK")
            return
        self.con.execute("COMMIT")
        self.acks.write(f"{n}\n")
        self.acks.flush()

    def step(self):
        dice = self.random.random()
        if dice < 0.90:
            self.transaction()
        elif dice < 0.96:
            mode = self.random.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
            self.con.execute("PRAGMA busy_timeout = 20")
            self.con.execute(f"PRAGMA wal_checkpoint({mode})")
            self.con.execute("PRAGMA busy_timeout = 60000")
        elif dice < 0.985:
            self.con.close()
            self.open()
        elif dice < 0.995:
            self.con.execute("PRAGMA incremental_vacuum(20)")
        else:
            self.con.execute("VACUUM")


def main():
    path, seed, stop, acks = sys.argv[1:]
    with open(acks, "a", encoding="ascii") as out:
        writer = Writer(path, int(seed), out)
        while not os.path.exists(stop):
            try:
                writer.step()
            except sqlite3.OperationalError as e:
                if "locked" not in str(e) and "busy" not in str(e):
                    raise
                if writer.con.in_transaction:
                    writer.con.execute("ROLLBACK")
        writer.con.close()


if __name__ == "__main__":
    main()
