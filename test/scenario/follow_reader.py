"""follow_reader DB REPORT - looks at a lib.Ledger again and again until SIGTERM.

Each look is one read transaction on a connection that stays open, or on a new one: the file is
sound, the rows are those of one transaction, and no earlier one than before. How many looks
there were and the last transaction seen go to the file REPORT; what is wrong ends it with 1.
"""

import os
import signal
import sys

import lib


def look(con):
    con.execute("BEGIN")
    try:
        sound = con.execute("PRAGMA integrity_check").fetchall()
        low, high, rows = con.execute("SELECT min(n), max(n), count(*) FROM ledger").fetchone()
        total = con.execute("SELECT n FROM total").fetchone()[0]
    finally:
        con.execute("ROLLBACK")
    assert sound == [("ok",)], sound
    assert (high or 0) == rows == total, f"rows {low}..{high}: {rows}, total {total}"
    return total


def main():
    path, report = sys.argv[1:]
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    kept = lib.connect(path, wal=False)
    out = os.open(report, os.O_WRONLY | os.O_CREAT, 0o644)
    looks = last = 0
    while not stopped:
        for con in (kept, lib.connect(path, wal=False)):
            seen = look(con)
            assert seen >= last, f"transaction {seen} after {last}"
            last = seen
            looks += 1
            if con is not kept:
                con.close()
        os.pwrite(out, b"%016d %016d" % (looks, last), 0)


if __name__ == "__main__":
    main()
