"""Fixtures of all scenarios; what they are made of is in lib.py."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lib  # noqa: E402  (found through the line above)


@pytest.fixture
def litestream(tmp_path):
    """Starts processes in a folder of this test; all of them are ended with it, and the test
    fails when one had to be killed, left another behind or made a sanitizer report."""
    runner = lib.Litestream(tmp_path)
    yield runner
    trouble = runner.clean_up()
    for p in runner.processes:  # shown when the test has failed
        print(f"--- {' '.join(p.args)}: status {p.status()}\n{p.output()}")
    if trouble:
        pytest.fail("\n".join(trouble), pytrace=False)


@pytest.fixture
def ledger(tmp_path):
    """A database that knows which transactions a copy of it holds."""
    book = lib.Ledger(tmp_path / "app.db")
    yield book
    book.close()


@pytest.fixture
def replica(tmp_path):
    """A folder that does not exist yet, for file replicas: .path and .url."""

    class Folder:
        path = str(tmp_path / "replica")
        url = "file://" + path

    return Folder


@pytest.fixture
def tiny(tmp_path):
    """tiny(size): an empty file system of that size (lib.TinyFs)."""
    if not lib.can_mount():
        pytest.skip("namespaces cannot be made here: unshare -rm is refused")
    made = []

    def make(size):
        made.append(lib.TinyFs(tmp_path / f"tiny-{len(made)}", size))
        return made[-1]

    yield make
    for fs in made:
        fs.close()
