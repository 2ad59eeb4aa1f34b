"""What strikes at the calls sees all of them: strace sees no other."""

import os
import re
import shutil
from collections import Counter

import pytest

import faultpoint
import lib
from faultcases import Case

# What strace calls it, and whose name it is: that of a descriptor, or an argument.
SYSCALLS = {
    "openat": None,
    "open": None,
    "creat": "create",
    "read": "read",
    "pread64": "read",
    "readv": "read",
    "preadv": "read",
    "write": "write",
    "pwrite64": "write",
    "writev": "write",
    "pwritev": "write",
    "fsync": "sync",
    "fdatasync": "sync",
    "ftruncate": "truncate",
    "truncate": "truncate",
    "fallocate": "truncate",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "link": "link",
    "linkat": "link",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rmdir": "unlink",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "mmap": "mmap",
    "stat": "stat",
    "lstat": "stat",
    "fstat": "stat",
    "newfstatat": "stat",
    "statx": "stat",
    "copy_file_range": "copy",
    "sendfile": "copy",
}
CALL = re.compile(r"^\d+ +(\w+)\((.*)")
# A descriptor with its path (-y), maybe with a name below it; or a name alone.
PATH = re.compile(r'(?:\d+|AT_FDCWD)<([^>]*)>(?:, "([^"]*)")?|"([^"]*)"')


def path_of(arguments, name):
    """What a call is about; of two files the second one."""
    found = []
    for folder, below, alone in PATH.findall(arguments):
        found.append(alone or (os.path.join(folder, below) if below else folder))
    if not found:
        return ""
    two = name.startswith(("rename", "link", "copy_file_range"))
    return found[1 if two and len(found) > 1 else 0]


def traced(text, root):
    """The calls that strace has written down, in the words of faultpoint."""
    seen = Counter()
    for line in text.splitlines():
        m = CALL.match(line)
        if not m or m[1] not in SYSCALLS:
            continue
        path = path_of(m[2], m[1]).removesuffix(" (deleted)")
        if path != root and not path.startswith(root + "/"):
            continue
        kind = SYSCALLS[m[1]]
        if kind is None:
            kind = "create" if "O_CREAT" in m[2] else "open"
        seen[kind, path[len(root) :]] += 1
    return seen


def without_libc(calls):
    """Without what opendir() and nftw() do inside, which look at the folders they go through;
    and remove() tries two calls on a folder."""

    def inside(kind, path):
        local = path.startswith("/.app.db-litestream")
        return kind == "stat" and (local or "." not in path) or kind == "open" and local and not path.endswith(".ltx")

    return Counter(
        {(k, p): 1 if k == "unlink" else n for (k, p), n in calls.items() if not inside(k, p)}
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_every_system_call_below_the_folder_is_counted(tmp_path):
    case = Case(tmp_path / "case")
    case.config = {"l0-retention": "1ms", "snapshot": {"interval": "1ms", "retention": "1ms"}}
    case.settings = {"min-checkpoint-page-count": 10}
    try:
        case.open_app()
        case.commit(20)
        case.app.close()  # so that the worker is the only one, and the WAL goes
        case.app = None
        config = case.run.config(case.configuration())
        commands = [
            ["replicate", "-config", config, "-once", "-force-snapshot", "-enforce-retention"],
            ["restore", "-o", case.root + "/copy.db", case.url],
            ["reset", "-config", config, case.db],
            ["replicate", "-config", config, "-once", "-force-snapshot", "-enforce-retention"],
        ]
        all_kinds = set()
        for command in commands:
            trace = str(tmp_path / "trace")
            env = dict(case.fault.env)
            env["ASAN_OPTIONS"] += ":detect_leaks=0"  # which cannot be done under strace
            case.fault.arm()
            case.run.run(
                *["-f", "-y", "-s", "0", "-qq", "-o", trace],
                *[word for name, value in env.items() for word in ("-E", f"{name}={value}")],
                *[lib.program("litestream"), *command],
                binary="strace",
            )
            case.fault.off()
            with open(trace, encoding="utf-8", errors="replace") as f:
                expected = traced(f.read(), case.root)
            counted = Counter(
                ("open" if c.kind == "opendir" else c.kind, c.path)
                for c in case.fault.calls()
                if c.kind != "list"
            )
            expected, counted = without_libc(expected), without_libc(counted)
            assert expected - counted == Counter(), f"{command[0]}: not counted"
            assert counted - expected == Counter(), f"{command[0]}: not seen by strace"
            all_kinds |= {kind for kind, _ in counted}
        assert all_kinds >= set(faultpoint.KINDS) - {"list", "opendir", "copy", "link"}, all_kinds
    finally:
        case.close()
