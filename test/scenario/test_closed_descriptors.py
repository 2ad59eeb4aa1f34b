"""Started without standard descriptors, as some init scripts do, the programs work as always."""

import os
import signal
import subprocess

import disk
import lib
import pytest

CLOSED = ["<&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_daemon_replicates(litestream, ledger, replica, tmp_path, closed):
    ledger.commit(10)
    pid_file = tmp_path / "pid"
    script = f'"$@" {closed} & echo $! > "{pid_file}"; wait $!; echo $? > "{tmp_path}/status"'
    command = [lib.program("litestream"), "replicate", ledger.path, replica.url]
    shell = subprocess.Popen(["sh", "-c", script, "sh", *command])
    try:
        litestream.wait_caught_up(ledger.path, replica.path)
        ledger.commit(1)
        litestream.wait_caught_up(ledger.path, replica.path)
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        shell.wait(timeout=30 * lib.SLOW)
    assert (tmp_path / "status").read_text() == "0\n"
    assert disk.newest_txid(replica.path) >= 2
    litestream.assert_restores(replica.url, ledger.path)


@pytest.mark.parametrize("closed", CLOSED)
def test_a_restore_restores(litestream, ledger, replica, tmp_path, closed):
    ledger.commit(10)
    litestream.replicate(ledger.path, replica.url)
    litestream.wait_caught_up(ledger.path, replica.path)
    out = str(tmp_path / "out.db")
    command = [lib.program("litestream"), "restore", "-o", out, replica.url]
    script = f'"$@" {closed}'
    assert subprocess.run(["sh", "-c", script, "sh", *command], check=False).returncode == 0
    lib.assert_same(ledger.path, out)
