"""Fixtures of all scenarios; what they are made of is in lib.py."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lib  # noqa: E402  (found through the line above)
import s3place  # noqa: E402
import servers  # noqa: E402


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


@pytest.fixture(scope="module")
def rgw():
    """An S3 server for the tests of a file; see test/servers/rgw.sh."""
    made = servers.Server("rgw.sh")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def rgw_sts():
    """The same with temporary credentials; it does not say which key was wrong."""
    made = servers.Server("rgw.sh", RGW_STS="1")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def swift():
    """Another one; see test/servers/swift.sh."""
    made = servers.Server("swift.sh")
    yield made
    made.stop()


@pytest.fixture
def bucket(rgw):
    """A place of this test on that server: s3place.Place."""
    made = s3place.Place(rgw)
    yield made
    made.close()
