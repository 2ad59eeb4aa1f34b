"""Heartbeats: they come while all is well, stop when a database is not, and name no secret."""

import http.server
import os
import socket
import threading

import control
import lib
import pytest

# A minute of the configuration takes one second (see supervisor/heartbeat.h).
FAST = {"LITESTREAM_TEST_HEARTBEAT_MS": "250", "no_proxy": "127.0.0.1"}
SECRET = "s3cr3t-of-the-check"


class Service:
    """A monitoring service: counts the requests of each path."""

    def __init__(self):
        service = self
        self.seen = []
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service.seen.append(self.path)
                self.send_response(service.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def url(self, name):
        return f"{self.host}/{SECRET}/{name}"

    def count(self, name):
        return self.seen.count(f"/{SECRET}/{name}")

    def wait_more(self, name, n=1, timeout=30.0):
        before = self.count(name)
        lib.wait_until(lambda: self.count(name) >= before + n, timeout, f"{n} more {name}")

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service():
    s = Service()
    yield s
    s.close()


@pytest.fixture
def dbs(tmp_path):
    """Two databases: path, connection, replica folder."""
    made = []
    for name in ("a", "b"):
        path = str(tmp_path / f"{name}.db")
        con = lib.connect(path)
        con.execute("create table t (a)")
        made.append((path, con, str(tmp_path / f"{name}-replica")))
    yield made
    for _, con, _ in made:
        con.close()


def config(dbs, *more_of_db, **more):
    return {
        "addr": "127.0.0.1:0",
        "logging": {"level": "debug"},
        "heartbeat-interval": "1m",
        "dbs": [
            {
                "path": path,
                "monitor-interval": "20ms",
                "replica": {"path": folder, "sync-interval": "20ms"},
                **extra,
            }
            for (path, _, folder), extra in zip(dbs, more_of_db or ({}, {}))
        ],
        **more,
    }


def all_on(service, dbs):
    return config(dbs, **{"heartbeat-url": service.url("all")})


def lag(daemon, path):
    listed = control.scrape(daemon, "/status.json").json["databases"]
    return next(d for d in listed if d["path"] == path).get("lag_seconds", -1)


def break_replica(db):
    """Its folder becomes a file, and there is something to upload."""
    _, con, folder = db
    os.rename(folder, folder + ".away")
    open(folder, "w").close()
    con.execute("insert into t values (1)")


def repair_replica(db):
    os.unlink(db[2])
    os.rename(db[2] + ".away", db[2])


def no_more(service, name, daemon, path):
    """When it has failed for longer than the interval, nothing comes any more."""
    lib.wait_until(lambda: lag(daemon, path) > 1.5, 30, "behind")
    before = service.count(name)
    lib.wait_until(lambda: lag(daemon, path) > 4, 30, "further behind")
    return service.count(name) == before


def assert_nothing_told(daemon):
    assert SECRET not in daemon.output()


def test_healthy_then_one_database_fails(litestream, dbs, service):
    daemon = litestream.replicate(config=all_on(service, dbs), env=FAST)
    daemon.wait_log("starting heartbeat monitor")
    service.wait_more("all", 3)
    daemon.wait_log(f'level=DEBUG msg="heartbeat ping sent" url={service.host}$')
    break_replica(dbs[1])
    assert no_more(service, "all", daemon, dbs[1][0])
    repair_replica(dbs[1])
    service.wait_more("all", 2)
    assert_nothing_told(daemon)
    daemon.stop()


def test_not_more_often_than_the_interval(litestream, dbs, service):
    own = {"heartbeat-url": service.url("own"), "heartbeat-interval": "1m"}
    url = {"heartbeat-url": service.url("all"), "heartbeat-interval": "240h"}
    daemon = litestream.replicate(config=config(dbs, {}, own, **url), env=FAST)
    service.wait_more("own", 4)
    daemon.stop()
    assert service.count("all") == 1


def test_a_failed_ping_is_told_without_the_secret(litestream, dbs, service):
    service.status = 503
    daemon = litestream.replicate(config=all_on(service, dbs), env=FAST)
    daemon.wait_log(
        f'level=ERROR msg="heartbeat ping failed" url={service.host} '
        'error="unexpected status code: 503"',
        count=2,
    )
    assert_nothing_told(daemon)
    daemon.stop()


def test_nobody_listens(litestream, dbs, service):
    url = service.url("all")
    service.close()
    daemon = litestream.replicate(config=config(dbs, **{"heartbeat-url": url}), env=FAST)
    daemon.wait_log('"heartbeat ping failed" url=http://127.0.0.1:.* error="http request: ')
    assert_nothing_told(daemon)
    daemon.stop()
    service.server.server_close = service.server.shutdown = lambda: None


def test_reload_changes_the_address(litestream, dbs, service, tmp_path):
    daemon = litestream.replicate(config=config(dbs), env=FAST)
    lib.wait_until(lambda: lag(daemon, dbs[1][0]) == 0, 30)
    file = daemon.args[daemon.args.index("-config") + 1]
    workers = daemon.workers()

    def reload(n, **more):
        made = litestream.config(config(dbs, **more))
        os.replace(made, file)
        daemon.signal(1)
        daemon.wait_log("configuration reloaded", count=n)

    assert not daemon.lines("heartbeat")
    reload(1, **{"heartbeat-url": service.url("one")})
    service.wait_more("one", 2)
    reload(2, **{"heartbeat-url": service.url("two")})
    service.wait_more("two", 2)
    old = service.count("one")
    service.wait_more("two", 2)
    assert service.count("one") == old
    reload(3)
    before = len(service.seen)
    lib.wait_until(lambda: daemon.workers() == workers, 30, "only the same workers")
    reload(4, **{"heartbeat-url": service.url("three")})
    service.wait_more("three")
    assert service.seen[before:].count(f"/{SECRET}/two") <= 1  # was under way
    assert_nothing_told(daemon)
    daemon.stop()


def test_addresses_of_databases(litestream, dbs, service):
    """One of its own: the others' address does not depend on it. "": for none."""
    own = {"heartbeat-url": service.url("own")}
    made = config(dbs, {}, own, **{"heartbeat-url": service.url("rest")})
    daemon = litestream.replicate(config=made, env=FAST)
    service.wait_more("own")
    service.wait_more("rest")
    break_replica(dbs[1])
    assert no_more(service, "own", daemon, dbs[1][0])
    service.wait_more("rest", 2)
    repair_replica(dbs[1])
    service.wait_more("own")
    daemon.stop()


def test_databases_that_do_not_count(litestream, dbs, service, tmp_path):
    absent = (str(tmp_path / "absent.db"), None, str(tmp_path / "absent-replica"))
    off = (str(tmp_path / "off.db"), None, str(tmp_path / "off-replica"))
    made = config(
        [dbs[0], absent, off],
        {},
        {"heartbeat-url": ""},
        {"enabled": False},
        **{"heartbeat-url": service.url("all")},
    )
    daemon = litestream.replicate(config=made, env=FAST)
    service.wait_more("all", 2)
    daemon.stop()


def test_a_missing_database_is_not_well(litestream, dbs, service, tmp_path):
    absent = str(tmp_path / "absent.db")
    made = config(
        [dbs[0], (absent, None, str(tmp_path / "absent-replica"))],
        {"heartbeat-url": service.url("there")},
        {},
        **{"heartbeat-url": service.url("absent")},
    )
    daemon = litestream.replicate(config=made, env=FAST)
    service.wait_more("there", 3)
    assert service.count("absent") == 0
    con = lib.connect(absent)
    con.execute("create table t (a)")
    service.wait_more("absent")
    con.close()
    daemon.stop()


def test_a_service_that_does_not_answer_holds_nothing_up(litestream, dbs, tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d/x" % silent.getsockname()[1]
    daemon = litestream.replicate(config=config(dbs, **{"heartbeat-url": url}), env=FAST)
    taken, _ = silent.accept()
    with taken:
        dbs[0][1].execute("insert into t values (1)")
        lib.wait_until(lambda: lag(daemon, dbs[0][0]) == 0, 30)
        assert lib.threads(daemon.pid) == 1
        daemon.stop(timeout=10)  # the request is given up
    silent.close()
