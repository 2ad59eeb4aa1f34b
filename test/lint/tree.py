"""tree - which files a check looks at, and C text without comments and strings."""

import os
import re
import subprocess
import sys

TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def files(root, suffixes=None):
    """Tracked and new files of the tree, as paths below it, sorted."""
    names = _from_git(root)
    if names is None:
        names = _from_disk(root)
    return sorted(
        n
        for n in names
        if (suffixes is None or n.endswith(suffixes)) and os.path.isfile(os.path.join(root, n))
    )


def _from_git(root):
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    # The tree may belong to somebody else than who runs the check (a container, sudo).
    command = ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-coz"]
    try:
        done = subprocess.run(command + ["--exclude-standard"], stdout=subprocess.PIPE)
    except FileNotFoundError:
        return None
    if done.returncode != 0:
        return None
    return {n for n in os.fsdecode(done.stdout).split("\0") if n}


def _from_disk(root):
    """A tree without git, as an unpacked archive: all but hidden and build folders."""
    names = set()
    for folder, below, here in os.walk(root):
        below[:] = [d for d in below if not d.startswith((".git", "build", "__pycache__"))]
        names.update(os.path.relpath(os.path.join(folder, n), root) for n in here)
    return names


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def without_comments(text):
    """Comments become blanks; lines keep their numbers."""

    def blank(m):
        return re.sub(r"[^\n]", " ", m[0]) if m[0][0] == "/" else m[0]

    return TOKEN.sub(blank, text)


def code_only(text):
    """Comments, strings and characters become blanks."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def includes(text):
    """(line number, is a system header, name) of each #include."""
    text = without_comments(text)
    return [(line_of(text, m.start()), m[1] == "<", m[2]) for m in INCLUDE.finditer(text)]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def report(problems, n_files):
    """Prints what was found and ends the program."""
    for p in problems:
        print(p)
    print(f"{n_files} files, {len(problems)} problems")
    sys.exit(1 if problems else 0)
