"""ledger_writer DB ACKS SETTINGS - an application that adds transactions to a lib.Ledger.

SETTINGS is JSON: fill_bytes, pause (seconds after each transaction), autocheckpoint (pages),
checkpoints (modes, one of which is run now and then), seed, limit (transactions). Each number
whose COMMIT has returned is put into the file ACKS, as text, over the one before. SIGTERM: the
transaction under way is finished first. The longest COMMIT, in seconds, goes to ACKS.slowest.
"""

import json
import os
import random
import signal
import sys
import time

import lib

DEFAULTS = {
    "fill_bytes": 100,
    "pause": 0,
    "autocheckpoint": 1000,
    "checkpoints": [],
    "seed": 1,
    "limit": 0,
}


def main():
    path, acks, settings = sys.argv[1:]
    s = {**DEFAULTS, **json.loads(settings)}
    rnd = random.Random(s["seed"])
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    book = lib.Ledger(path)
    book.con.execute(f"PRAGMA wal_autocheckpoint = {s['autocheckpoint']}")
    out = os.open(acks, os.O_WRONLY | os.O_CREAT, 0o644)
    slowest = 0.0
    while not stopped and not (s["limit"] and book.n >= s["limit"]):
        begin = time.monotonic()
        book.commit(1, s["fill_bytes"])
        slowest = max(slowest, time.monotonic() - begin)
        os.pwrite(out, b"%016d" % book.n, 0)
        if s["checkpoints"] and rnd.random() < 0.02:
            book.con.execute("PRAGMA busy_timeout = 20")
            book.con.execute(f"PRAGMA wal_checkpoint({rnd.choice(s['checkpoints'])})")
            book.con.execute("PRAGMA busy_timeout = 30000")
        if s["pause"]:
            time.sleep(s["pause"])
    with open(acks + ".slowest", "w", encoding="ascii") as f:
        f.write(str(slowest))
    book.close()


if __name__ == "__main__":
    main()
