#!/usr/bin/python3
"""situations.py ROOT - the table in test/torture/README.md names tests that exist.

A row for each number, in order; a test is `file.py::function` or `suite/name`, each with * for
several, or the row says "none: why".
"""

import fnmatch
import os
import re
import sys

import tree

TABLE = "test/torture/README.md"
LAST = 238
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.M)
FUNCTION = re.compile(r"^def (test_\w+)", re.M)
UNIT = re.compile(r"^(?:Parameterized)?Test\((\w+), (\w+)", re.M)


def existing(root):
    names = set()
    for name in tree.files(root, (".py", ".c")):
        folder, base = os.path.split(name)
        if folder in ("test/scenario", "test/torture") and base.endswith(".py"):
            names |= {f"{base}::{f}" for f in FUNCTION.findall(tree.read(root, name))}
        elif folder.startswith("test/unit"):
            names |= {f"{s}/{t}" for s, t in UNIT.findall(tree.read(root, name))}
    return names


def check(root):
    text = tree.read(root, TABLE)
    tests = existing(root)
    rows = [(m.start(), int(m[1]), m[3]) for m in ROW.finditer(text)]
    if [n for _, n, _ in rows] != list(range(1, LAST + 1)):
        yield f"{TABLE}:1: there is not one row for each number from 1 to {LAST}"
    for at, _, cell in rows:
        where = f"{TABLE}:{tree.line_of(text, at)}"
        if cell.startswith("none: "):
            continue
        named = re.findall(r"`([^`]+)`", cell)
        if not named:
            yield f"{where}: neither a test nor a reason"
        for pattern in named:
            if not fnmatch.filter(tests, pattern):
                yield f"{where}: there is no test {pattern}"


def main():
    tree.report(list(check(sys.argv[1])), 1)


if __name__ == "__main__":
    main()
