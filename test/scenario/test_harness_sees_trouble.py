"""The fixtures notice what they are there to notice; a small program plays the daemon."""

import os
import shutil
import sys

import lib
import pytest

FAKE = """
import os, signal, sys, time

def on_term(*_):
    print("stopping", flush=True)
    sys.exit(int(sys.argv[1]))

signal.signal(signal.SIGTERM, on_term)
if "child" in sys.argv and os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while os.getppid() != 1 or "stays" in sys.argv:
        time.sleep(0.01)
    os._exit(0)
print("ready", flush=True)
if "report" in sys.argv:
    print("==1==ERROR: AddressSanitizer: heap-use-after-free", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def harness(tmp_path):
    runner = lib.Litestream(tmp_path)

    def start(*args):
        p = runner.start("-c", FAKE, *args, binary=sys.executable)
        p.wait_log("ready")
        return p

    runner.fake = start
    yield runner
    runner.clean_up()


def test_a_process_is_stopped_with_its_status(harness):
    harness.fake("0").stop()
    harness.fake("7").stop(status=7)
    with pytest.raises(AssertionError, match="exit status 7, not 0"):
        harness.fake("7").stop()
    assert harness.clean_up() == []


def test_a_process_that_was_not_stopped_is_stopped_afterwards(harness):
    p = harness.fake("0")
    assert harness.clean_up() == []
    assert not lib.alive(p.pid)


def test_a_report_of_a_sanitizer_is_trouble(harness):
    harness.fake("0", "report").stop()
    assert any("heap-use-after-free" in t for t in harness.clean_up())


def test_children_end_after_their_parent_was_killed(harness):
    p = harness.fake("0", "child")
    (child,) = lib.wait_until(p.workers)
    p.kill()
    assert not lib.alive(child)
    assert harness.clean_up() == []


def test_a_child_that_stays_is_trouble_and_is_ended(harness, monkeypatch):
    monkeypatch.setattr(lib, "SLOW", 0.1)
    p = harness.fake("0", "child", "stays")
    (child,) = lib.wait_until(p.workers)
    with pytest.raises(AssertionError, match="end of children"):
        p.kill()
    assert p.orphans() == [child]
    assert any(f"{child} was left behind" in t for t in harness.clean_up())
    lib.wait_until(lambda: not lib.alive(child))


def test_waiting_for_a_line_fails_early_when_the_process_is_gone(harness):
    p = harness.fake("0")
    p.stop()
    assert p.wait_log("stopping") == "stopping"
    with pytest.raises(AssertionError, match="ended with 0 before"):
        p.wait_log("never", timeout=1000)


def test_waiting_ends_at_its_deadline():
    with pytest.raises(AssertionError, match="not within .* s: the impossible"):
        lib.wait_until(lambda: False, 0.05, "the impossible")
    assert lib.wait_until(lambda: 42) == 42


def test_databases_are_compared_page_by_page(tmp_path, ledger):
    ledger.commit(30, fill_bytes=5000)
    copy = str(tmp_path / "copy.db")
    ledger.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(ledger.path, copy)
    assert lib.Ledger.committed(copy) == 30
    lib.assert_same(ledger.path, copy)
    page_size = lib.image(copy)[0]
    with open(copy, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        f.write(b"\xaa")
    assert lib.differing_pages(ledger.path, copy) == [os.path.getsize(copy) // page_size]
    ledger.commit(fill_bytes=50000)
    assert lib.differing_pages(ledger.path, copy) == [0], "another size"


def test_a_copy_that_is_no_committed_state_is_seen(ledger):
    ledger.commit(5)
    ledger.con.execute("DELETE FROM ledger WHERE n = 3")
    with pytest.raises(AssertionError, match="total 5"):
        lib.Ledger.committed(ledger.path)
