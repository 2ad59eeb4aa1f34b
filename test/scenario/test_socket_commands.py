"""The commands that talk to a running daemon: what they print, and how they fail."""

import json
import os
import re
import signal
import socket
import threading

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
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    sock.wait_in_sync(ledger.path)
    yield daemon
    if daemon.running():
        daemon.stop()


@pytest.fixture(params=["litestream", "litestreamctl"])
def run(request, litestream, sock):
    """run(COMMAND, argument...): both programs have these commands."""

    def call(command, *args, **more):
        return litestream.run(
            command, "-socket", sock.path, *args, binary=lib.program(request.param), **more
        )

    return call


# --- what they print ---------------------------------------------------------------------


def test_list(run, one, sock, ledger):
    text = run("list").stdout
    at = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"
    assert re.fullmatch(
        rf"{re.escape(ledger.path)} \[replicating\] \(last sync: {at}\)\n", text
    ), text
    out = run("list", "-json").stdout
    assert out.startswith('{\n  "databases": [\n    {\n      "path": "') and out.endswith("}\n")
    assert json.loads(out)["databases"][0]["path"] == ledger.path


def test_list_of_nothing(litestream, sock, run):
    daemon = litestream.replicate(config=sock.config([]))
    sock.wait_listening(daemon)
    assert run("list").stdout == "No databases configured\n"
    assert json.loads(run("list", "-json").stdout) == {"databases": []}
    daemon.stop()


def test_list_of_what_was_never_synced(litestream, sock, run, tmp_path):
    db = {"path": f"{tmp_path}/none.db", "replica": {"url": f"file://{tmp_path}/r"}}
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    assert run("list").stdout == f"{db['path']} [replicating] (last sync: never)\n"
    daemon.stop()


def test_info(run, one):
    text = run("info").stdout
    assert re.fullmatch(
        r"Litestream v0\.5\.\S+\n"
        rf"  PID:        {one.pid}\n"
        r"  Uptime:     (\d+m)?\d+s\n"
        r"  Started at: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)\n"
        r"  Databases:  1\n",
        text,
    ), text
    assert json.loads(run("info", "-json").stdout)["pid"] == one.pid


def test_sync(run, one, ledger):
    ledger.commit()
    text = run("sync", ledger.path).stdout
    assert re.fullmatch(
        rf"db_path: {re.escape(ledger.path)}\ntxid: \d+\nduration_ms: \d+\n", text
    ), text
    out = json.loads(run("sync", "-wait", "-json", ledger.path).stdout)
    assert list(out) == ["db_path", "txid", "replica_txid", "duration_ms"]
    assert out["txid"] == out["replica_txid"]


def test_stop_and_start(run, one, sock, ledger):
    lines = run("stop", ledger.path).stdout.splitlines()
    assert lines[:3] == ["status: stopped", f"db_path: {ledger.path}", "state: stopped"]
    assert re.fullmatch(r"txid: \d+", lines[3]) and lines[4:] == [f"socket: {sock.path}"]
    assert json.loads(run("stop", "-json", ledger.path).stdout)["status"] == "already_stopped"
    out = json.loads(run("start", "-json", ledger.path).stdout)
    assert list(out) == ["status", "db_path", "state", "txid", "socket"]
    assert out["status"] == "started" and out["state"] == "running"
    assert run("start", ledger.path).stdout.startswith("status: already_running\n")


def test_register_and_unregister(run, one, sock, tmp_path):
    path, url = f"{tmp_path}/new.db", f"file://{tmp_path}/new"
    new = lib.Ledger(path)
    text = run("register", "-replica", url, path).stdout
    assert text == f"status: registered\ndb_path: {path}\nreplica: {url}\nsocket: {sock.path}\n"
    assert run("register", "-replica", url, path).stdout.startswith("status: already registered\n")
    out = json.loads(run("register", "-json", "-replica", url, path).stdout)
    assert list(out) == ["status", "db_path", "replica", "socket"]
    assert out["status"] == "already_registered"
    sock.wait_in_sync(path)
    assert run("unregister", "-dry-run", path).stdout == (
        "Dry run: unregister request preview\n"
        f"  database: {path}\n"
        f"  socket: {sock.path}\n"
        "  replicas: daemon-managed replica for this database\n"
        "  final sync: daemon close will sync the database and replica before the command "
        "completes\n"
        "  timeout: 30s\n"
        "No unregister request was sent.\n"
    )
    assert path in sock.list()
    out = json.loads(run("unregister", "-json", path).stdout)
    assert list(out) == ["status", "db_path", "final_txid", "socket"]
    assert out["status"] == "unregistered" and out["final_txid"] >= 1
    text = run("unregister", path).stdout
    assert text.startswith("status: already_unregistered\n") and "\nfinal_txid: 0\n" in text
    new.close()


def test_a_relative_path_is_that_of_the_command(run, one, ledger, tmp_path):
    text = run("sync", "app.db", cwd=tmp_path).stdout
    assert text.startswith(f"db_path: {ledger.path}\n")


# --- how they fail -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["list", "info"])
def test_without_a_daemon_get(run, sock, command):
    done = run(command, status=1)
    assert done.stdout == ""
    assert done.stderr.startswith(
        "Error: failed to connect to control socket: "
        f'Get "http://localhost/{command}": dial unix {sock.path}: connect: '
        "no such file or directory\n"
    )
    assert "socket: {enabled: true}" in done.stderr and "litestream replicate" in done.stderr


@pytest.mark.parametrize("command", ["sync", "start", "stop", "register", "unregister"])
def test_without_a_daemon_post(run, sock, command):
    more = ["-replica", "file:///r"] if command == "register" else []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sock.path)  # and nobody listens
    done = run(command, *more, "/x.db", status=1)
    listener.close()
    assert done.stdout == ""
    assert (
        f'Post "http://localhost/{command}": dial unix {sock.path}: connect: connection refused\n'
        in done.stderr
    )


def answering(path, reply):
    """A server that says one thing, once."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(5)

    def serve():
        con, _ = listener.accept()
        con.recv(65536)
        if reply is not None:
            con.sendall(reply)
        else:
            con.recv(65536)  # until the client gives up
        con.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "reply, words",
    [
        (b"HTTP/1.0 200 OK\r\n\r\nnonsense", "failed to parse response: "),
        (b"HTTP/1.0 200 OK\r\n\r\n", "failed to parse response: "),
        (b"HTTP/1.0 500 No\r\n\r\nbroken thing\n", "list failed: broken thing\n"),
        (b'HTTP/1.0 400 No\r\n\r\n{"error":"e","details":"d"}\n', "list failed: e: d\n"),
        (b"not http at all\r\n\r\n", "failed to connect to control socket: "),
        (b"", "failed to connect to control socket: "),
    ],
)
def test_of_another_server(run, sock, reply, words):
    thread = answering(sock.path, reply)
    done = run("list", status=1)
    thread.join()
    assert done.stdout == "" and f"Error: {words}" in done.stderr, done.stderr


def test_of_a_server_that_does_not_answer(run, sock):
    thread = answering(sock.path, None)
    done = run("list", "-timeout", "1", status=1)
    thread.join()
    assert (
        'Get "http://localhost/list": context deadline exceeded (Client.Timeout exceeded while '
        "awaiting headers)" in done.stderr
    )


def test_what_the_daemon_refuses(run, one, ledger):
    assert run("sync", "/nope.db", status=1).stderr == (
        "Error: sync failed: database not found: /nope.db\n"
    )
    assert run("start", "/nope.db", status=1).stderr == (
        "Error: start failed: database not found: /nope.db\n"
    )
    done = run("register", "-replica", "bogus://x", "/x.db", status=1)
    assert done.stderr.startswith("Error: register failed: invalid replica url: ")
    run("stop", ledger.path)
    assert run("sync", ledger.path, status=1).stderr == (
        f"Error: sync failed: database not open: {ledger.path}\n"
    )


@pytest.mark.parametrize(
    "args, words",
    [
        (["sync"], "database path required"),
        (["start"], "database path required"),
        (["stop"], "database path required"),
        (["unregister"], "database path required"),
        (["register"], "database path required"),
        (["register", "/x.db"], "-replica is required"),
        (["sync", "/x.db", "/y.db"], "too many arguments"),
        (["list", "/x.db"], "too many arguments"),
        (["info", "x"], "too many arguments"),
        (["sync", "-timeout", "0", "/x.db"], "timeout must be greater than 0"),
        (["list", "-timeout", "-1"], "timeout must be greater than 0"),
        (["info", "-timeout", "0"], "timeout must be greater than 0"),
    ],
)
def test_wrong_usage(litestream, args, words):
    done = litestream.run(*args, status=1)
    lines = done.stderr.splitlines()
    assert done.stdout == "" and lines[0] == f"Error: {words}"
    if words.endswith("required"):
        assert lines[1].startswith(f"Try: litestream {args[0]} ") and len(lines) == 2
    else:
        assert len(lines) == 1


@pytest.mark.parametrize("command", ["list", "sync"])
def test_help_and_wrong_flags(litestream, command):
    for program in ("litestream", "litestreamctl"):
        binary = lib.program(program)
        done = litestream.run(command, "-h", binary=binary)
        assert f"\t{program} {command} [flags]" in done.stdout and "-socket" in done.stdout
    done = litestream.run(command, "-x", status=1)
    assert done.stderr.splitlines() == [
        "flag provided but not defined: -x",
        "Error: flag provided but not defined: -x",
    ]
    done = litestream.run(command, "-timeout", "x", status=1)
    assert 'invalid value "x" for flag -timeout: parse error' in done.stderr


# --- status ------------------------------------------------------------------------------


def test_status_offline(litestream, ledger, replica, tmp_path):
    dbs = [
        {"path": ledger.path, "replica": {"url": replica.url}},
        {"path": f"{tmp_path}/none.db", "replica": {"url": f"file://{tmp_path}/none"}},
    ]
    path = litestream.config({"dbs": dbs})
    text = litestream.run("status", "-config", path).stdout
    lines = [re.split(r"  +", line) for line in text.splitlines()]
    assert lines[0] == ["database", "status", "local txid", "wal size"]
    assert lines[1][:3] == [ledger.path, "not initialized", "-"]
    assert lines[2] == [dbs[1]["path"], "no database", "-", "-"]
    litestream.run("replicate", "-config", path, "-once", status=1)  # one is missing
    rows = json.loads(litestream.run("status", "-config", path, "-json").stdout)
    assert [list(r) for r in rows] == [["database", "status", "local_txid", "wal_size"]] * 2
    assert rows[0]["status"] == "ok" and int(rows[0]["local_txid"], 16) >= 1
    assert re.fullmatch(r"\d+(\.\d)? k?B", rows[0]["wal_size"])
    one = litestream.run("status", "-config", path, dbs[1]["path"]).stdout.splitlines()
    assert len(one) == 2 and one[1].startswith(dbs[1]["path"])
    assert len(litestream.run("status", "-config", path, "/x").stdout.splitlines()) == 1
    assert litestream.run("status", "-config", path, "-json", "/x").stdout == "[]\n"
    done = litestream.run("status", "-config", path, "-check", status=1)
    assert "socket.enabled is false" in done.stderr


def test_databases_with_a_daemon(litestream, sock, ledger, tmp_path):
    """A row for each replica; what the daemon knows comes behind what the file says."""
    (tmp_path / "file").write_text("in the way")
    ledger.commit(2)
    db = {
        "path": ledger.path,
        "replicas": [
            {"path": str(tmp_path / "good"), "sync-interval": "20ms"},
            {"path": str(tmp_path / "file" / "bad"), "sync-interval": "20ms"},
        ],
    }
    absent = {"path": str(tmp_path / "absent.db"), "replica": {"path": str(tmp_path / "none")}}
    more = {"shutdown-sync-timeout": "500ms"}
    daemon = litestream.replicate(config=sock.config([db, absent], **more))
    path = daemon.args[daemon.args.index("-config") + 1]

    def rows():
        return json.loads(litestream.run("databases", "-config", path, "-json").stdout)

    lib.wait_until(lambda: len(rows()[0]) == 6 and rows()[1]["error"] != "", what="an error")
    good, bad, waiting = rows()
    assert list(good) == ["path", "replica", "state", "replica_txid", "lag", "error"]
    lib.wait_until(lambda: rows()[0]["replica_txid"] == "0000000000000001", what="replicated")
    assert good["state"] == "running" and good["path"] == ledger.path
    assert bad["replica_txid"] == "-" and "file/bad" in bad["error"]
    assert waiting["state"] == "no database" and waiting["replica_txid"] == "-"
    text = litestream.run("databases", "-config", path).stdout
    assert "replica txid" in text and not re.search(r" $", text, re.MULTILINE)
    config = litestream.config(sock.config([{**absent, "path": "/else.db"}]), "other.yml")
    (other,) = json.loads(litestream.run("databases", "-config", config, "-json").stdout)
    assert other["state"] == "not known to the daemon" and other["lag"] == "-"
    daemon.stop(status=1)
    text = litestream.run("databases", "-config", path).stdout
    assert text.splitlines()[0].split() == ["path", "replica"]


def test_status_with_a_daemon(litestream, one, sock, ledger, tmp_path):
    path = one.args[one.args.index("-config") + 1]
    (row,) = json.loads(litestream.run("status", "-config", path, "-json", "-check").stdout)
    assert list(row) == [
        "database",
        "status",
        "local_txid",
        "wal_size",
        "replica_txid",
        "lag",
        "last_sync",
        "error",
    ]
    assert row["replica_txid"] == row["local_txid"] and row["lag"] == "0s" and row["error"] == ""
    text = litestream.run("status", "-config", path).stdout
    assert "replica txid" in text and not re.search(r" $", text, re.MULTILINE)
    sock.post("/stop", {"path": ledger.path})
    done = litestream.run("status", "-config", path, "-check", status=1)
    assert "1 databases are not healthy" in done.stderr
    one.stop()
    text = litestream.run("status", "-config", path).stdout
    assert "replica txid" not in text and ledger.path in text


def test_status_of_members_of_a_folder(litestream, tmp_path):
    os.makedirs(tmp_path / "data")
    for name in ("a.db", "b.db"):
        lib.Ledger(tmp_path / "data" / name).close()
    entry = {"dir": f"{tmp_path}/data", "pattern": "*.db", "replica": {"path": f"{tmp_path}/r"}}
    path = litestream.config({"dbs": [entry]})
    rows = json.loads(litestream.run("status", "-config", path, "-json").stdout)
    assert [r["database"] for r in rows] == [f"{tmp_path}/data/{n}.db" for n in "ab"]


# --- a daemon that is busy ---------------------------------------------------------------


def test_timeout_of_a_worker_is_told(run, one, ledger):
    worker = one.worker_of(ledger.path)
    os.kill(worker, signal.SIGSTOP)
    done = run("sync", "-wait", "-timeout", "1", ledger.path, status=1)
    os.kill(worker, signal.SIGCONT)
    assert "no answer from the worker" in done.stderr or "deadline exceeded" in done.stderr
