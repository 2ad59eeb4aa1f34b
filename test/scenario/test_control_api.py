"""What the endpoints of the control socket say and do."""

import concurrent.futures
import os
import re
import signal
import time

import control
import lib
import pytest

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


@pytest.fixture
def sock(tmp_path):
    return control.Socket(tmp_path)


@pytest.fixture
def one(litestream, sock, ledger, replica):
    """A daemon with one database that is in sync."""
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


# --- looking -----------------------------------------------------------------------------


def test_list(one, sock, ledger):
    reply = sock.get("/list")
    assert list(reply.json) == ["databases"]
    (entry,) = reply.json["databases"]
    assert list(entry)[:3] == ["path", "status", "last_sync_at"]
    assert entry["path"] == ledger.path and entry["status"] == "replicating"
    assert RFC3339.match(entry["last_sync_at"])
    assert entry["state"] == "running" and entry["restarts"] == 0
    assert entry["txid"] == entry["replica_txid"] >= 1
    assert entry["pid"] == one.worker_of(ledger.path)
    (destination,) = entry["replica"]
    assert destination["name"] == destination["type"] == "file"
    assert destination["in_sync"] and destination["lag_seconds"] == 0
    assert destination["txid"] == entry["txid"] and "error" not in destination


def test_list_without_databases(litestream, sock):
    daemon = litestream.replicate(config=sock.config([]))
    sock.wait_listening(daemon)
    assert sock.get("/list").text == '{"databases":[]}\n'
    assert sock.get("/debug/sync-status").text == '{"databases":[]}\n'
    daemon.stop()


def test_list_of_many_databases_is_quick(litestream, sock, tmp_path):
    n = 3000
    dbs = [
        {
            "path": f"{tmp_path}/d{i:05}.db",
            "enabled": False,
            "replica": {"url": f"file://{tmp_path}/r/{i}"},
        }
        for i in range(n)
    ]
    daemon = litestream.replicate(config=sock.config(dbs))
    sock.wait_listening(daemon)
    begun = time.monotonic()
    listed = sock.get("/list").json["databases"]
    took = time.monotonic() - begun
    assert [d["path"] for d in listed] == [d["path"] for d in dbs]
    assert {d["status"] for d in listed} == {"stopped"}
    assert took < 3 * lib.SLOW, took
    found = control.samples(sock.get("/metrics").text)
    assert sum(name.startswith("litestream_db_size{") for name in found) == n
    assert found['litestream_databases{state="disabled"}'] == n
    daemon.stop()


def test_list_goes_on_while_databases_leave(litestream, sock, tmp_path):
    """A client that reads slowly, and databases that go meanwhile."""
    n = 2000
    path = [f"{tmp_path}/{'x' * 150}{i:05}.db" for i in range(n)]
    dbs = [{"path": p, "enabled": False, "replica": {"url": f"file://{p}-r"}} for p in path]
    daemon = litestream.replicate(config=sock.config(dbs))
    sock.wait_listening(daemon)
    con = control.UnixConnection(sock.path)
    con.request("GET", "/list")
    response = con.getresponse()
    head = response.read(1000)
    for p in path[-200:] + path[200:400]:
        assert sock.post("/unregister", {"path": p}).json["status"] == "unregistered"
    text = (head + response.read()).decode()
    con.close()
    assert text.endswith("]}\n")
    assert path[0] in text and path[n // 2] in text and path[-1] not in text
    daemon.stop()


def test_info(one, sock):
    info = sock.get("/info").json
    assert list(info)[:5] == [
        "version",
        "pid",
        "uptime_seconds",
        "started_at",
        "database_count",
    ]
    assert info["pid"] == one.pid and info["database_count"] == 1
    assert re.match(r"^v?0\.5\.", info["version"])
    assert 0 <= info["uptime_seconds"] < 600 and RFC3339.match(info["started_at"])


def test_txid(one, sock, ledger):
    assert sock.get(f"/txid?path={ledger.path}").json["txid"] >= 1
    assert (sock.get("/txid").status, sock.get("/txid").json) == (400, {"error": "path required"})
    missing = sock.get("/txid?path=/nope")
    assert (missing.status, missing.json) == (404, {"error": "database not found"})
    before = sock.get(f"/txid?path={ledger.path}").json["txid"]
    ledger.commit()
    lib.wait_until(lambda: sock.get(f"/txid?path={ledger.path}").json["txid"] > before)


def test_sync_status(one, sock, ledger):
    (entry,) = sock.get("/debug/sync-status").json["databases"]
    assert entry["path"] == ledger.path and isinstance(entry["active"], bool)
    assert entry["txid"] >= 1 and entry["wal_size"] > 0 and entry["operation"] == "sync"
    assert RFC3339.match(entry["updated_at"])
    (same,) = sock.get(f"/debug/sync-status?path={ledger.path}").json["databases"]
    assert same["path"] == ledger.path
    missing = sock.get("/debug/sync-status?path=/nope")
    assert (missing.status, missing.json) == (404, {"error": "database not found"})


# --- sync --------------------------------------------------------------------------------


def test_sync_tells_whether_there_was_something_new(litestream, sock, ledger, replica):
    # nothing is looked at by itself
    db = {"path": ledger.path, "monitor-interval": "0s", "replica": {"path": replica.path}}
    ledger.commit(3)
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    sock.wait_in_sync(ledger.path)
    first = sock.post("/sync", {"path": ledger.path, "wait": True})
    assert first.status == 200 and first.json["status"] == "no_change", first
    assert list(first.json) == ["status", "path", "txid", "replicated_txid"]
    ledger.commit()
    local = sock.post("/sync", {"path": ledger.path}).json
    assert local["status"] == "synced_local" and local["txid"] > first.json["txid"]
    ledger.commit()
    done = sock.post("/sync", {"path": ledger.path, "wait": True}).json
    assert done["status"] == "synced" and done["path"] == ledger.path
    assert done["txid"] == done["replicated_txid"] > local["txid"]
    litestream.assert_restores(replica.url, ledger.path)
    daemon.stop()


def test_sync_refuses_what_cannot_be(one, sock, ledger):
    reply = sock.post("/sync", {"path": "/nope"})
    assert (reply.status, reply.json) == (404, {"error": "database not found: /nope"})
    sock.post("/stop", {"path": ledger.path})
    reply = sock.post("/sync", {"path": ledger.path})
    assert (reply.status, reply.json) == (409, {"error": f"database not open: {ledger.path}"})


def test_sync_of_a_missing_file(litestream, sock, tmp_path, replica):
    db = {"path": f"{tmp_path}/none.db", "replica": {"url": replica.url}}
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    lib.wait_until(lambda: sock.list()[db["path"]]["state"] == "no database")
    reply = sock.post("/sync", {"path": db["path"], "wait": True})
    assert reply.status == 500 and "no position, waiting for data" in reply.json["error"]
    daemon.stop()


def test_sync_ends_at_its_deadline(one, sock, ledger):
    worker = one.worker_of(ledger.path)
    os.kill(worker, signal.SIGSTOP)
    begun = time.monotonic()
    reply = sock.post("/sync", {"path": ledger.path, "wait": True, "timeout": 1})
    took = time.monotonic() - begun
    assert reply.status == 500 and "in time" in reply.json["error"], reply
    assert 0.9 <= took < 10 * lib.SLOW
    # others are served meanwhile
    assert sock.get("/list").status == 200
    os.kill(worker, signal.SIGCONT)
    assert sock.post("/sync", {"path": ledger.path}).status == 200


def test_a_worker_killed_in_the_middle_of_a_request(one, sock, ledger):
    worker = one.worker_of(ledger.path)
    os.kill(worker, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(sock.post, "/sync", {"path": ledger.path, "wait": True}) for _ in range(4)
        ]
        lib.wait_until(lambda: len(lib.descriptors(one.pid)) > 10)
        os.kill(worker, signal.SIGKILL)
        for reply in asked:
            got = reply.result(timeout=30)
            assert got.status in (409, 500), got
            assert got.status == 409 or "died" in got.json["error"], got
    one.expected_reports = True
    entry = lib.wait_until(lambda: sock.list()[ledger.path].get("last_death") and sock.list())
    assert "signal 9" in entry[ledger.path]["last_death"]
    one.wait_worker(ledger.path, other_than=worker)
    lib.wait_until(lambda: sock.list()[ledger.path]["restarts"] == 1)
    assert sock.post("/sync", {"path": ledger.path, "wait": True}).status == 200


def test_a_client_that_leaves_in_the_middle_of_a_request(one, sock, ledger):
    worker = one.worker_of(ledger.path)
    os.kill(worker, signal.SIGSTOP)
    before = len(lib.descriptors(one.pid))
    cons = []
    for _ in range(10):
        con = control.UnixConnection(sock.path)
        con.request("POST", "/sync", f'{{"path":"{ledger.path}"}}')
        cons.append(con)
    lib.wait_until(lambda: len(lib.descriptors(one.pid)) == before + 10)
    for con in cons:
        con.close()
    lib.wait_until(lambda: len(lib.descriptors(one.pid)) == before, what="closed connections")
    os.kill(worker, signal.SIGCONT)
    assert sock.post("/sync", {"path": ledger.path}).status == 200


# --- stop, start, register, unregister ---------------------------------------------------


def test_stop_and_start(litestream, one, sock, ledger, replica):
    ledger.commit()
    reply = sock.post("/stop", {"path": ledger.path})
    assert reply.status == 200 and list(reply.json) == ["status", "path", "txid"]
    assert reply.json["status"] == "stopped" and reply.json["txid"] >= 1
    assert one.worker_of(ledger.path) is None
    litestream.assert_restores(replica.url, ledger.path)
    assert sock.list()[ledger.path]["status"] == "stopped"
    again = sock.post("/stop", {"path": ledger.path}).json
    assert again["status"] == "already_stopped" and again["txid"] == reply.json["txid"]
    ledger.commit()
    started = sock.post("/start", {"path": ledger.path})
    assert started.status == 200 and started.json["status"] == "started", started
    assert sock.post("/start", {"path": ledger.path}).json["status"] == "already_running"
    assert sock.post("/sync", {"path": ledger.path, "wait": True}).status == 200
    litestream.assert_restores(replica.url, ledger.path)
    for url in ("/start", "/stop"):
        reply = sock.post(url, {"path": "/nope"})
        assert (reply.status, reply.json) == (500, {"error": "database not found: /nope"})


def test_register_and_unregister(litestream, one, sock, tmp_path):
    other = lib.Ledger(tmp_path / "other.db")
    other.commit(5)
    url = f"file://{tmp_path}/other-replica"
    body = {"path": other.path, "replica_url": url}
    assert sock.post("/register", body).json == {"status": "registered", "path": other.path}
    assert sock.post("/register", body).json["status"] == "already_registered"
    sock.wait_in_sync(other.path)
    assert sock.get("/info").json["database_count"] == 2
    litestream.assert_restores(url, other.path)
    other.commit()
    reply = sock.post("/unregister", {"path": other.path})
    assert reply.json["status"] == "unregistered" and reply.json["txid"] >= 2
    litestream.assert_restores(url, other.path)
    assert other.path not in sock.list()
    again = sock.post("/unregister", {"path": other.path})
    assert again.json == {"status": "already_unregistered", "path": other.path, "txid": 0}
    other.close()


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({"path": "/x.db"}, 400, "replica_url required"),
        ({"replica_url": "file:///r"}, 400, "path required"),
        ({"path": "/x.db", "replica_url": "nothing"}, 400, "invalid replica url: "),
        ({"path": "/x.db", "replica_url": "bogus://x"}, 400, "invalid replica url: "),
        ({"path": "/x.db", "replica_url": "s3://"}, 400, "invalid replica url: "),
    ],
)
def test_register_refuses(one, sock, body, status, words):
    reply = sock.post("/register", body)
    assert reply.status == status and words in reply.json["error"], reply
    assert sock.get("/info").json["database_count"] == 1


def test_register_refuses_the_place_of_another(one, sock, replica, tmp_path):
    reply = sock.post("/register", {"path": f"{tmp_path}/x.db", "replica_url": replica.url})
    assert reply.status == 500
    assert reply.json["error"].startswith("failed to register database: open db: ")
    assert "would share" in reply.json["error"]


# --- ours --------------------------------------------------------------------------------


def test_snapshot_and_checkpoint(one, sock, ledger, replica):
    ledger.commit()
    reply = sock.post("/snapshot", {"path": ledger.path})
    assert reply.status == 200 and reply.json["status"] == "snapshot", reply
    txid = f"{reply.json['txid']:016x}"
    assert os.path.exists(f"{replica.path}/ltx/9/0000000000000001-{txid}.ltx")
    reply = sock.post("/checkpoint", {"path": ledger.path, "mode": "full"})
    assert reply.status == 200 and reply.json["complete"] is True, reply
    bad = sock.post("/checkpoint", {"path": ledger.path, "mode": "sideways"})
    assert bad.status == 400 and bad.json["details"] == "sideways"
    for url in ("/snapshot", "/checkpoint"):
        assert sock.post(url, {"path": "/nope"}).status == 404


def test_log_level(one, sock):
    assert sock.get("/log-level").json == {"level": "info"}
    assert sock.post("/log-level", {"level": "DEBUG"}).json == {"level": "debug"}
    assert sock.get("/log-level").json == {"level": "debug"}
    bad = sock.post("/log-level", {"level": "loud"})
    assert bad.status == 400 and bad.json["details"] == "loud"
    assert sock.get("/log-level").json == {"level": "debug"}


def test_reload(litestream, sock, tmp_path):
    path = litestream.config(sock.config([]), "reload.yml")
    daemon = litestream.start("replicate", "-config", path)
    sock.wait_listening(daemon)
    db = {"path": f"{tmp_path}/new.db", "replica": {"url": f"file://{tmp_path}/new"}}
    litestream.config(sock.config([db]), "reload.yml")
    reply = sock.post("/reload")
    assert reply.status == 200 and reply.json["status"] == "reloaded"
    assert reply.json["added"] == 1 and reply.json["needs_restart"] == ""
    assert list(sock.list()) == [db["path"]]
    litestream.config("dbs: [", "reload.yml")
    bad = sock.post("/reload")
    assert bad.status == 400 and "nothing has changed" in bad.json["error"], bad
    assert list(sock.list()) == [db["path"]]
    daemon.stop()


def test_health(litestream, sock, ledger, tmp_path):
    with open(f"{tmp_path}/file", "w", encoding="ascii"):
        pass
    db = {"path": ledger.path, "replica": {"path": f"{tmp_path}/file/below"}}
    daemon = litestream.replicate(config=sock.config([db]))
    sock.wait_listening(daemon)
    assert sock.get("/healthz").text == "ok\n"
    entry = lib.wait_until(lambda: sock.list()[ledger.path]["replica"][0].get("error"))
    assert "below" in entry
    reply = sock.get("/readyz")
    assert reply.status == 503 and reply.json["waiting"] == [ledger.path]
    entry = sock.list()[ledger.path]
    assert not entry["in_sync"] and entry["lag_seconds"] > 0 and entry["last_error"]
    os.unlink(f"{tmp_path}/file")
    reply = lib.wait_until(lambda: sock.get("/readyz").status == 200 and sock.get("/readyz"))
    assert reply.json == {"status": "ready"}
    daemon.stop()


@pytest.mark.parametrize("how", ["/stop", "/unregister"])
def test_a_stop_that_failed_is_not_forgotten_at_the_end(litestream, sock, ledger, replica, how):
    """The last changes are on no replica: the daemon says so by its exit status, too."""
    more = {"shutdown-sync-timeout": "300ms"}
    db = {
        "path": ledger.path,
        "monitor-interval": "20ms",
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    ledger.commit(3)
    daemon = litestream.replicate(config=sock.config([db], **more))
    sock.wait_listening(daemon)
    sock.wait_in_sync(ledger.path)
    os.rename(replica.path, replica.path + ".away")
    with open(replica.path, "w", encoding="ascii") as f:
        f.write("in the way")
    ledger.commit(3)
    assert sock.post(how, {"path": ledger.path}).status in (200, 500)
    os.unlink(replica.path)
    os.rename(replica.path + ".away", replica.path)
    if how == "/stop":
        assert sock.post("/start", {"path": ledger.path}).status == 200
        sock.wait_in_sync(ledger.path)
        daemon.stop()
    else:
        daemon.stop(status=1)
        assert "the last changes of 1 databases did not reach every replica" in daemon.output()


def test_a_database_that_stays_stopped_without_its_last_changes(litestream, sock, ledger, replica):
    more = {"shutdown-sync-timeout": "300ms"}
    db = {"path": ledger.path, "replica": {"path": replica.path}}
    with open(replica.path, "w", encoding="ascii") as f:
        f.write("in the way")
    ledger.commit(3)
    daemon = litestream.replicate(config=sock.config([db], **more))
    sock.wait_listening(daemon)
    daemon.wait_worker(ledger.path)
    sock.post("/stop", {"path": ledger.path})
    daemon.stop(status=1)
