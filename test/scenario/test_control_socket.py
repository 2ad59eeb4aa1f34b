"""The control socket: who may use it, how it comes and goes, and that no client can take it
away from the others."""

import concurrent.futures
import json
import os
import socket
import stat
import time

import control
import lib
import pytest


@pytest.fixture
def sock(tmp_path):
    return control.Socket(tmp_path)


def start(litestream, sock, dbs=(), **more):
    daemon = litestream.replicate(config=sock.config(list(dbs), **more))
    sock.wait_listening(daemon)
    return daemon


# --- life --------------------------------------------------------------------------------


def test_is_off_unless_asked_for(litestream, ledger, replica, tmp_path):
    daemon = litestream.replicate(
        config={
            "socket": {"path": str(tmp_path / "control.sock")},
            "dbs": [{"path": ledger.path, "replica": {"url": replica.url}}],
        }
    )
    daemon.wait_worker(ledger.path)
    assert not os.path.exists(tmp_path / "control.sock")
    assert not daemon.lines("control socket")


@pytest.mark.parametrize("written, mode", [(None, 0o600), ("0660", 0o660), ("0x180", 0o600)])
def test_has_the_mode_of_the_configuration(litestream, sock, tmp_path, written, mode):
    permissions = f", permissions: {written}" if written else ""
    text = f"socket: {{enabled: true, path: {sock.path}{permissions}}}\n"
    daemon = litestream.replicate(config=text)
    sock.wait_listening(daemon)
    found = os.lstat(sock.path)
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == mode
    assert sock.get("/healthz").text == "ok\n"
    daemon.stop()
    assert not os.path.lexists(sock.path)


def test_replaces_what_a_killed_daemon_left(litestream, sock):
    first = start(litestream, sock)
    first.kill()
    assert os.path.exists(sock.path)
    second = start(litestream, sock)
    assert sock.get("/info").json["pid"] == second.pid
    second.stop()


def test_is_never_taken_from_a_living_daemon(litestream, sock):
    first = start(litestream, sock)
    second = litestream.replicate(config=sock.config([]))
    line = second.wait_log("failed to start control server")
    assert "level=WARN" in line and f"another daemon listens on {sock.path}" in line
    assert sock.get("/info").json["pid"] == first.pid
    second.stop()  # it goes on without, and does not remove what is not its own
    assert sock.get("/info").json["pid"] == first.pid
    first.stop()
    assert not os.path.exists(sock.path)


def test_leaves_other_files_alone(litestream, sock):
    with open(sock.path, "w", encoding="ascii") as f:
        f.write("precious")
    daemon = litestream.replicate(config=sock.config([]))
    line = daemon.wait_log("failed to start control server")
    assert f"socket path exists but is not a socket: {sock.path}" in line
    daemon.stop()
    with open(sock.path, encoding="ascii") as f:
        assert f.read() == "precious"


def test_leaves_the_socket_of_a_successor_alone(litestream, sock):
    first = start(litestream, sock)
    os.unlink(sock.path)
    second = start(litestream, sock)
    first.stop()
    assert sock.get("/info").json["pid"] == second.pid
    second.stop()


@pytest.mark.parametrize(
    "path, words",
    [
        ("", "socket path required"),
        ("/nonexistent/folder/x.sock", "listen on unix socket"),
        ("/tmp/" + "x" * 200, "longer than 107 bytes"),
    ],
)
def test_a_path_that_cannot_be_used_stops_nothing_else(litestream, ledger, replica, path, words):
    daemon = litestream.replicate(
        config={
            "socket": {"enabled": True, "path": path},
            "dbs": [{"path": ledger.path, "replica": {"url": replica.url}}],
        }
    )
    assert words in daemon.wait_log("failed to start control server")
    ledger.commit()
    litestream.wait_caught_up(ledger.path, replica.path)
    daemon.stop()


# --- protocol ----------------------------------------------------------------------------


def test_answers_in_the_words_of_http(litestream, sock):
    daemon = start(litestream, sock)
    for url in ("/nope", "/list/", "/", "/LIST", "//list"):
        reply = sock.get(url)
        assert (reply.status, reply.text) == (404, "404 page not found\n"), url
        assert reply.headers["Content-Type"].startswith("text/plain")
    for method, url, allow in (
        ("POST", "/list", "GET, HEAD"),
        ("GET", "/sync", "POST"),
        ("DELETE", "/register", "POST"),
        ("PUT", "/log-level", "GET, HEAD, POST"),
    ):
        reply = control.ask(sock.path, method, url)
        assert (reply.status, reply.text) == (405, "Method Not Allowed\n"), url
        assert reply.headers["Allow"] == allow
    head = control.ask(sock.path, "HEAD", "/info")
    assert (head.status, head.body) == (200, b"")
    pprof = sock.get("/debug/pprof/heap")
    assert pprof.status == 501
    assert pprof.json == {"error": "profiling is not available in this build"}
    daemon.stop()


def test_several_requests_use_one_connection(litestream, sock):
    daemon = start(litestream, sock)
    con = control.UnixConnection(sock.path)
    for _ in range(5):
        for url in ("/info", "/list", "/metrics", "/nope"):
            con.request("GET", url)
            assert con.getresponse().read()
        con.request("POST", "/sync", b'{"path":"/x"}')
        assert con.getresponse().read() == b'{"error":"database not found: /x"}\n'
    con.close()
    daemon.stop()


BAD_BODIES = [
    (b"", "EOF"),
    (b"  \n", "EOF"),
    (b"{", None),
    (b"nonsense", None),
    (b"[]", "an object was expected"),
    (b'"text"', "an object was expected"),
    (b'{"path":1}', 'field "path" must be a string'),
    (b'{"path":"/x","timeout":"1"}', 'field "timeout" must be an integer'),
    (b'{"path":"/x","timeout":1.5}', 'field "timeout" must be an integer'),
    (b'{"path":"/x","wait":1}', 'field "wait" must be a bool'),
    (b'{"path":"/x\\u0000y"}', None),
    (b'{"path":"\xff\xfe"}', None),
    (b"[" * 60000, None),
]


def test_a_malformed_body_is_refused(litestream, sock):
    daemon = start(litestream, sock)
    for body, details in BAD_BODIES:
        reply = sock.post("/sync", body)
        assert reply.status == 400, body
        assert reply.json["error"] == "invalid request body"
        assert reply.json["details"] == details or details is None, body
    daemon.stop()


def test_reads_bodies_as_others_do(litestream, sock):
    daemon = start(litestream, sock)
    for body in (b"{}", b"null", b'{"path":""}', b'{"path":null}', b'{"nothing":{"path":1}}'):
        reply = sock.post("/sync", body)
        assert (reply.status, reply.json) == (400, {"error": "path required"}), body
    for body in (
        b'{"PATH":"/x"}',
        b'{"path":"/y","Path":"/x"}',
        b'{"path":"/x"} and more',
        b'{"path":"/x","unknown":[1,{"a":null}],"timeout":null}',
        b'{"path":"/a/../x"}',
        b'{"path":"sqlite:///x"}',
    ):
        reply = sock.post("/sync", body)
        assert (reply.status, reply.json) == (404, {"error": "database not found: /x"}), body
    reply = sock.post("/sync", {"path": "/<a>&b"})
    assert "\\u003ca\\u003e\\u0026b" in reply.text
    daemon.stop()


# --- bounds ------------------------------------------------------------------------------


def test_an_oversized_body_is_refused(litestream, sock):
    daemon = start(litestream, sock)
    body = b'{"path":"' + b"x" * 70000 + b'"}'
    reply = sock.post("/sync", body)
    assert (reply.status, reply.json) == (413, {"error": "request body is too large"})
    # the largest that is read
    body = b'{"path":"/' + b"x" * (65536 - 12) + b'"}'
    assert len(body) == 65536
    assert sock.post("/sync", body).status == 404
    # without end
    head = b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    assert b"404" not in control.raw(sock.path, head + b"x" * (9 << 20))
    assert sock.get("/healthz").status == 200
    daemon.stop()


def test_an_oversized_header_is_refused(litestream, sock):
    daemon = start(litestream, sock)
    head = b"GET /list HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100000 + b"\r\n\r\n"
    got = control.raw(sock.path, head)
    assert got.split(b" ")[1] in (b"431", b"413"), got[:200]
    assert sock.get("/healthz").status == 200
    daemon.stop()


def test_nonsense_is_no_harm(litestream, sock):
    daemon = start(litestream, sock)
    for data in (b"\0" * 1000, b"GET\r\n\r\n", b"\r\n" * 100, b"GET /list HTTP/9.9\r\n\r\n", b""):
        con = control.UnixConnection(sock.path)
        con.connect()
        con.sock.sendall(data)
        con.sock.shutdown(socket.SHUT_WR)
        con.close()
    assert sock.get("/list").json == {"databases": []}
    daemon.stop()


def test_a_client_that_hangs_holds_up_nobody(litestream, sock):
    daemon = start(litestream, sock)
    silent = []
    for data in (b"", b"GET /li", b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
        con = control.UnixConnection(sock.path)
        con.connect()
        con.sock.sendall(data)
        silent.append(con)
    for _ in range(20):
        assert sock.get("/info").status == 200
    for con in silent:
        con.close()
    daemon.stop()


def test_silent_clients_make_room_for_others(litestream, sock):
    daemon = start(litestream, sock)
    silent = []
    for i in range(300):  # more than there is room for
        con = socket.socket(socket.AF_UNIX)
        con.connect(sock.path)
        if i % 2:
            con.sendall(b"GET /list HTTP/1.1\r\n")
        silent.append(con)
    begun = time.monotonic()
    for _ in range(3):
        assert sock.get("/info", timeout=60).status == 200
    assert time.monotonic() - begun < 30 * lib.SLOW
    for con in silent:
        con.close()
    lib.wait_until(lambda: len(lib.descriptors(daemon.pid)) < 60, what="closed connections")
    daemon.stop()


def test_a_hundred_clients_at_once(litestream, sock, ledger, replica):
    daemon = start(litestream, sock, [{"path": ledger.path, "replica": {"url": replica.url}}])
    sock.wait_in_sync(ledger.path)

    def client(i):
        if i % 3:
            reply = sock.get("/list" if i % 3 == 1 else "/metrics", timeout=60)
        else:
            reply = sock.post("/sync", {"path": ledger.path, "wait": True}, timeout=60)
        return reply.status, reply.text

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(client, range(100)))
    # a worker takes a bounded number of syncs at a time and says so to the others
    for i, (status, text) in enumerate(replies):
        assert status == 200 or (i % 3 == 0 and "too many requests" in text), (i, status, text)
    assert sum(status == 200 for status, _ in replies) >= 66 + 16
    daemon.stop()


# --- at the end --------------------------------------------------------------------------


def test_a_request_under_way_is_answered_at_the_end(litestream, sock, ledger, replica):
    db = {"path": ledger.path, "replica": {"url": replica.url}}
    daemon = start(litestream, sock, [db])
    sock.wait_in_sync(ledger.path)
    worker = daemon.wait_worker(ledger.path)
    os.kill(worker, 19)  # SIGSTOP: it answers nothing for a while
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reply = pool.submit(sock.post, "/sync", {"path": ledger.path})
        lib.wait_until(lambda: len(lib.descriptors(daemon.pid)) > 0)
        lib.wait_until(lambda: not reply.done() and sock.get("/healthz").status == 200)
        daemon.signal(15)
        lib.wait_until(lambda: not os.path.exists(sock.path), what="socket to be removed")
        os.kill(worker, 18)  # SIGCONT
        got = reply.result(timeout=30)
    assert got.status in (200, 500, 503), got
    assert daemon.wait() == 0


def test_workers_have_nothing_of_it(litestream, sock, ledger, replica):
    db = {"path": ledger.path, "replica": {"url": replica.url}}
    daemon = start(litestream, sock, [db], addr="127.0.0.1:0")
    control.metrics_url(daemon)
    worker = daemon.wait_worker(ledger.path)
    con = control.UnixConnection(sock.path)
    con.connect()
    con.request("GET", "/info")
    assert json.loads(con.getresponse().read())["worker_count"] == 1
    assert lib.threads(daemon.pid) == 1
    # a worker that is forked while there are connections
    os.kill(worker, 9)
    worker = daemon.wait_worker(ledger.path, other_than=worker)
    sockets = [d for d in lib.descriptors(worker).values() if d == "socket"]
    assert len(sockets) == 1  # its channel
    con.close()
    daemon.stop()
