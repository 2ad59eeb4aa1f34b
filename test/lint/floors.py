#!/usr/bin/python3
"""floors.py ROOT - a folder uses only those below it in FLOORS (docs/architecture.md).

Besides: YAML is known to config alone, SQLite to workers and supervisor, fork() is called
in one file, and no source file is included.
"""

import os
import re
import sys

import tree

FLOORS = ["common", "config", "drivers", "workers", "supervisor"]  # the lowest first
FREE = "test"  # may use everything; nothing may use it
FOREIGN = "packaging"  # uses none of our headers

# A library header and the folders that may include it.
LIBRARIES = {
    "yaml.h": ("config/",),
    "sqlite3.h": ("workers/", "supervisor/", "test/", "packaging/sqlite/"),
}

FORK_FILE = "supervisor/spawn.c"
FORK = re.compile(r"\bfork\s*\(")


def allowed(folder):
    if folder == FREE:
        return FLOORS + [FREE]
    if folder in FLOORS:
        return FLOORS[: FLOORS.index(folder) + 1]
    return []


def check_include(root, name, header, system):
    folder = name.split("/")[0]
    target = header.split("/")[0]
    if header.endswith(".c"):
        return f"includes the source file {header}"
    if system:
        places = LIBRARIES.get(header)
        if places and not name.startswith(places):
            return f"<{header}> belongs to " + ", ".join(places)
        return None
    if target in FLOORS + [FREE, FOREIGN]:
        if target not in allowed(folder):
            return f"{folder}/ must not use {header}"
    elif os.path.exists(os.path.join(root, os.path.dirname(name), header)):
        return f"{header}: includes start at the root of the tree"
    return None


def check_file(root, name):
    text = tree.read(root, name)
    for line, system, header in tree.includes(text):
        problem = check_include(root, name, header, system)
        if problem:
            yield f"{name}:{line}: {problem}"
    if name == FORK_FILE or name.split("/")[0] == FREE:
        return
    code = tree.code_only(text)
    for m in FORK.finditer(code):
        yield f"{name}:{tree.line_of(code, m.start())}: fork() belongs to {FORK_FILE}"


def main():
    root = sys.argv[1]
    names = tree.files(root, (".c", ".h", ".def"))
    tree.report([p for n in names for p in check_file(root, n)], len(names))


if __name__ == "__main__":
    main()
