"""fixtures - the replicas of test/fixtures and what their README files state about them."""

import datetime
import hashlib
import os
import re
import shutil
import subprocess

ROOT = os.environ.get("LITESTREAM_FIXTURES", "")


def ns_of(stamp):
    """Nanoseconds of 2026-11-23T02:05:02.086Z."""
    at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return round(at.timestamp() * 1000) * 1_000_000


def stamp_of(ns):
    """The reverse, to the millisecond."""
    at = datetime.datetime.fromtimestamp(ns // 1_000_000 / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ns // 1_000_000 % 1000:03d}Z"


def copy(name, folder):
    """A copy of ROOT/name in which files have the times of its mtimes.tsv."""
    shutil.copytree(os.path.join(ROOT, name), folder)
    with open(os.path.join(folder, "mtimes.tsv"), encoding="utf-8") as f:
        for line in f:
            stamp, path = line.rstrip("\n").split("\t")
            ns = ns_of(stamp)
            os.utime(os.path.join(folder, path), ns=(ns, ns))
    return str(folder)


def tables(name):
    """Rows of all tables of a README as ([heading, ...], [cell, ...]); code marks are gone."""
    headings = {}
    with open(os.path.join(ROOT, name, "README.md"), encoding="utf-8") as f:
        for line in f:
            heading = re.match(r"(#+) (.*)", line)
            if heading:
                depth = len(heading[1])
                headings = {d: h for d, h in headings.items() if d < depth}
                headings[depth] = heading[2].strip()
            elif line.startswith("|") and not line.startswith("|-"):
                cells = [c.strip().replace("`", "") for c in line.strip().strip("|").split("|")]
                yield [headings[d] for d in sorted(headings)], cells


def files_below(folder):
    """Paths of all files, relative and sorted."""
    found = []
    for where, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(where, n), folder) for n in names]
    return sorted(found)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def dump_sha256(path):
    """Of what `sqlite3 FILE .dump` prints."""
    done = subprocess.run(
        ["sqlite3", "-batch", "-bail", path, ".dump"], stdout=subprocess.PIPE, check=True
    )
    return hashlib.sha256(done.stdout).hexdigest()
