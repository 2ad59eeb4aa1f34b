"""litestreamctl: what it has beyond the commands that litestream has, too."""

import json
import os
import pty
import re
import select
import signal
import subprocess

import control
import lib
import pytest


@pytest.fixture
def sock(tmp_path):
    return control.Socket(tmp_path)


@pytest.fixture
def one(litestream, sock, ledger, replica):
    ledger.commit(3)
    db = {
        "path": ledger.path,
        "monitor-interval": "20ms",
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    path = litestream.config(sock.config([db]), "ctl.yml")
    daemon = litestream.start("replicate", "-config", path)
    sock.wait_listening(daemon)
    sock.wait_in_sync(ledger.path)
    yield daemon
    if daemon.running():
        daemon.stop()


@pytest.fixture
def ctl(litestream, sock):
    def call(command, *args, **more):
        return litestream.run(
            command, "-socket", sock.path, *args, binary=lib.program("litestreamctl"), **more
        )

    return call


def plain(litestream, *args, **more):
    return litestream.run(*args, binary=lib.program("litestreamctl"), **more)


def test_help_and_mistakes(litestream):
    for word in ("help", "-h", "--help"):
        assert "\ttop " in plain(litestream, word).stdout
    version = litestream.run("version").stdout
    for word in ("version", "--version"):
        assert plain(litestream, word).stdout == version
    done = plain(litestream, "frobnicate", status=1)
    assert done.stderr.splitlines() == [
        "Error: litestreamctl frobnicate: unknown command",
        "Try: litestreamctl help",
    ]
    assert "Usage" in plain(litestream, status=1).stdout
    done = plain(litestream, "snapshot", status=1)
    assert done.stderr.splitlines() == [
        "Error: database path required",
        "Try: litestreamctl snapshot /path/to/db",
    ]


def test_snapshot(ctl, one, ledger, replica):
    ledger.commit()
    out = json.loads(ctl("snapshot", "-json", ledger.path).stdout)
    assert out["status"] == "snapshot" and out["path"] == ledger.path
    name = f"0000000000000001-{out['txid']:016x}.ltx"
    assert os.path.exists(f"{replica.path}/ltx/9/{name}")
    assert "database not found" in ctl("snapshot", "/nope", status=1).stderr


def test_checkpoint(ctl, one, ledger):
    ledger.commit(5)
    text = ctl("checkpoint", "-mode", "full", ledger.path).stdout
    assert text.startswith("status: checkpoint\n") and text.endswith("complete: true\n")
    assert "mode must be" in ctl("checkpoint", "-mode", "x", ledger.path, status=1).stderr


def test_logs_level(litestream, sock, ctl, one):
    assert ctl("logs", "level").stdout == "level: info\n"
    assert ctl("logs", "level", "debug").stdout == "level: debug\n"
    assert json.loads(ctl("logs", "-json", "level").stdout) == {"level": "debug"}
    assert "level must be" in ctl("logs", "level", "loud", status=1).stderr
    done = ctl("logs", status=1)
    assert done.stderr.endswith("Try: litestreamctl logs level debug\n")


def test_reload(litestream, ctl, sock, one, ledger, tmp_path):
    assert "kept: 1\n" in ctl("reload").stdout
    assert list(sock.list()) == [ledger.path]
    litestream.config(sock.config([]), "ctl.yml")
    assert json.loads(ctl("reload", "-json").stdout)["removed"] == 1
    litestream.config("nonsense: [", "ctl.yml")
    assert "nothing has changed" in ctl("reload", status=1).stderr


def test_wait(litestream, ctl, sock, one, ledger, replica):
    for _ in range(5):
        ledger.commit(3)
        text = ctl("wait", ledger.path).stdout
        assert re.fullmatch(rf"{re.escape(ledger.path)}: in sync, txid \d+\n", text)
        litestream.assert_restores(replica.url, ledger.path)
    out = json.loads(ctl("wait", "-json").stdout)
    assert [d["db_path"] for d in out["databases"]] == [ledger.path]
    assert "database not found" in ctl("wait", "/nope", status=1).stderr
    sock.post("/stop", {"path": ledger.path})
    assert ctl("wait").stdout == ""  # what is stopped is not waited for
    done = ctl("wait", "-timeout", "1", ledger.path, status=1)
    assert "database not open" in done.stderr


def test_wait_survives_the_death_of_a_worker(ctl, one, ledger):
    worker = one.worker_of(ledger.path)
    os.kill(worker, signal.SIGKILL)
    assert "in sync" in ctl("wait", ledger.path).stdout
    assert one.worker_of(ledger.path) != worker


def test_wait_ends_at_its_deadline(litestream, sock, ctl, ledger, tmp_path):
    with open(f"{tmp_path}/file", "w", encoding="ascii"):
        pass
    db = {"path": ledger.path, "replica": {"path": f"{tmp_path}/file/below"}}
    daemon = litestream.replicate(
        config=sock.config([db], **{"shutdown-sync-timeout": "100ms"})
    )
    sock.wait_listening(daemon)
    done = ctl("wait", "-timeout", "1", status=1)
    assert "is not in sync in time" in done.stderr and "below" in done.stderr
    daemon.stop(status=1)


def test_top_without_a_terminal(ctl, one, ledger, sock):
    text = ctl("top").stdout
    lines = text.splitlines()
    assert lines[0] == "1 databases, 0 behind, 0 with an error"
    assert re.split(r"  +", lines[1]) == [
        "DATABASE",
        "STATE",
        "TXID",
        "REPLICA",
        "LAG",
        "WAL",
        "RATE",
        "RESTARTS",
        "ERROR",
    ]
    row = re.split(r"  +", lines[2])
    assert row[:2] == [ledger.path, "running"] and row[2] == row[3] and row[4] == "0s"
    assert row[6:] == ["-", "0", "-"] and len(lines) == 3
    text = ctl("top", "-n", "2", "-interval", "1").stdout
    assert text.count("DATABASE") == 2 and "0 B/s" in text
    assert "interval must be" in ctl("top", "-interval", "0", status=1).stderr


def test_top_on_a_terminal(one, sock, ledger):
    main, side = pty.openpty()
    top = subprocess.Popen(
        [lib.program("litestreamctl"), "top", "-socket", sock.path, "-interval", "60"],
        stdin=side,
        stdout=side,
        stderr=side,
        env={**lib.SANITIZER_ENV, **os.environ},
    )
    os.close(side)
    seen = b""

    def saw(what):
        nonlocal seen
        while select.select([main], [], [], 0)[0]:
            try:
                seen += os.read(main, 65536)
            except OSError:  # the other side is gone
                break
        return what in seen

    lib.wait_until(lambda: saw(os.fsencode(ledger.path)), what="a page")
    assert seen.startswith(b"\x1b[?1049h")
    os.write(main, b"q")
    lib.wait_until(lambda: top.poll() is not None, what="top to end")
    assert saw(b"\x1b[?1049l") and top.returncode == 0, seen
    os.close(main)
