"""The metrics page: the series that dashboards and alerts rely on, in a form that promtool
takes, while everything else goes on."""

import gzip
import os
import re
import signal
import socket
import subprocess

import control
import lib
import pytest

# Names of Litestream, and their labels beside db.
OF_DATABASES = {
    "litestream_db_size": "gauge",
    "litestream_wal_size": "gauge",
    "litestream_total_wal_bytes": "counter",
    "litestream_txid": "gauge",
    "litestream_sync_count": "counter",
    "litestream_sync_error_count": "counter",
    "litestream_sync_seconds": "counter",
    "litestream_disk_full": "gauge",
    "litestream_checkpoint_count": "counter",
    "litestream_checkpoint_error_count": "counter",
    "litestream_checkpoint_seconds": "counter",
    "litestream_compaction_verify_error_count": "counter",
    "litestream_l0_retention_files_total": "gauge",
}
OF_REPLICAS = {
    "litestream_replica_operation_total": "counter",
    "litestream_replica_operation_bytes": "counter",
    "litestream_replica_operation_duration_seconds": "histogram",
    "litestream_replica_operation_errors_total": "counter",
}
OURS = {
    "litestream_replica_txid": "gauge",
    "litestream_replica_lag_seconds": "gauge",
    "litestream_replica_last_sync_timestamp_seconds": "gauge",
    "litestream_checkpoint_write_lock_seconds": "histogram",
    "litestream_worker_restarts_total": "counter",
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_start_time_seconds": "gauge",
}


def types(text):
    """{name: type}; fails when a name has two, or none and no help."""
    found = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    assert len(found) == len(helps) == len(set(helps)) and set(helps) == set(found)
    return found


def check(text):
    """promtool reads it, and dislikes nothing but names that are not of our choice."""
    done = subprocess.run(
        [control.promtool(), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert done.returncode in (0, 3), done.stderr
    for line in done.stderr.splitlines():
        assert line.split()[0] in {**OF_DATABASES, **OF_REPLICAS}, line
        assert "suffix" in line, line
    return control.samples(text)


def config(ledger, replica, **more):
    db = {
        "path": ledger.path,
        "monitor-interval": "20ms",
        "replica": {"path": replica.path, "sync-interval": "20ms"},
    }
    return {"addr": "127.0.0.1:0", "dbs": [db], **more}


def in_sync(daemon, db, replica="file"):
    found = control.samples(control.scrape(daemon).text)
    txid = found.get(f'litestream_txid{{db="{db}"}}')
    return txid and found.get(f'litestream_replica_txid{{db="{db}",replica="{replica}"}}') == txid


def test_every_series_is_there(litestream, ledger, replica):
    ledger.commit(5)
    daemon = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: in_sync(daemon, ledger.path))
    reply = control.scrape(daemon)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {**types(reply.text), **OF_DATABASES, **OF_REPLICAS, **OURS} == types(reply.text)
    found = check(reply.text)
    for name in OF_DATABASES:
        if name.startswith("litestream_checkpoint"):
            assert f'{name}{{db="{ledger.path}",mode="PASSIVE"}}' in found
        elif not name.startswith("litestream_l0"):
            assert f'{name}{{db="{ledger.path}"}}' in found
    for status in ("eligible", "not_compacted", "too_recent"):
        assert f'litestream_l0_retention_files_total{{db="app.db",status="{status}"}}' in found
    for operation in ("PUT", "LIST"):
        labels = f'replica_type="file",operation="{operation}"'
        n = found[f"litestream_replica_operation_total{{{labels}}}"]
        name = "litestream_replica_operation_duration_seconds"
        assert n > 0 and found[f"{name}_count{{{labels}}}"] == n
        assert found[f'{name}_bucket{{{labels},le="+Inf"}}'] == n
        assert found[f"{name}_sum{{{labels}}}"] > 0
        buckets = [found[f'{name}_bucket{{{labels},le="{le}"}}'] for le in (0.01, 0.05, 1, 60)]
        assert buckets == sorted(buckets)
    put = 'litestream_replica_operation_bytes{replica_type="file",operation="PUT"}'
    assert found[put] > 0
    both = f'db="{ledger.path}",replica="file"'
    assert found[f"litestream_replica_lag_seconds{{{both}}}"] == 0
    assert found[f"litestream_replica_last_sync_timestamp_seconds{{{both}}}"] > 1.7e9
    # give or take connections that come and go
    assert abs(found["process_open_fds"] - len(lib.descriptors(daemon.pid))) <= 3
    assert found['litestream_databases{state="running"}'] == 1
    daemon.stop()


def test_sizes_are_those_of_the_files(litestream, ledger, replica):
    ledger.commit(50, fill_bytes=2000)
    daemon = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: in_sync(daemon, ledger.path))

    def same():
        ledger.con.execute("PRAGMA wal_checkpoint(PASSIVE)")
        found = control.samples(control.scrape(daemon).text)
        ledger.commit()
        size = os.path.getsize(ledger.path)
        return found[f'litestream_db_size{{db="{ledger.path}"}}'] == size

    lib.wait_until(same, what="size of the database")
    daemon.stop()


def test_how_long_writers_were_kept_out_survives_a_worker(litestream, ledger, replica):
    c = config(ledger, replica)
    c["dbs"][0]["min-checkpoint-page-count"] = 10
    daemon = litestream.replicate(config=c)
    name = "litestream_checkpoint_write_lock_seconds"

    def counted():
        ledger.commit(20)
        found = control.samples(control.scrape(daemon).text)
        n = found[f"{name}_count"]
        assert found[f'{name}_bucket{{le="+Inf"}}'] == n
        buckets = [found[f'{name}_bucket{{le="{le}"}}'] for le in ("0.001", "0.02", "0.5")]
        assert buckets == sorted(buckets) and buckets[-1] <= n
        return n if n >= 3 and found[f"{name}_sum"] > 0 else None

    before = lib.wait_until(counted, 30, "three checkpoints")
    worker = daemon.wait_worker(ledger.path)
    os.kill(worker, signal.SIGKILL)
    daemon.expected_reports = True
    daemon.wait_worker(ledger.path, other_than=worker)
    assert control.samples(control.scrape(daemon).text)[f"{name}_count"] >= before
    daemon.stop()


def test_other_pages_of_the_address(litestream, ledger, replica):
    daemon = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: control.scrape(daemon, "/readyz").status == 200)
    assert control.scrape(daemon, "/healthz").text == "ok\n"
    assert control.scrape(daemon, "/debug/pprof/").status == 501
    for url in ("/list", "/sync", "/metrics/", "/register", "/reload"):  # nothing to be changed
        assert control.scrape(daemon, url).status == 404, url
    line = daemon.wait_log("serving metrics on")
    assert re.search(r'msg="serving metrics on" url=http://127\.0\.0\.1:\d+/metrics$', line)
    daemon.stop()


def test_all_addresses(litestream):
    daemon = litestream.replicate(config={"addr": ":0"})
    line = daemon.wait_log("serving metrics on")
    port = int(re.search(r"url=http://localhost:(\d+)/metrics", line)[1])
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as s:
            try:
                s.connect((host, port))
            except OSError:
                assert family == socket.AF_INET6 and not os.path.exists("/proc/net/if_inet6")
    daemon.stop()


def test_a_port_that_is_taken_stops_nothing_else(litestream, ledger, replica):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addr = "127.0.0.1:%d" % taken.getsockname()[1]
        daemon = litestream.replicate(config=config(ledger, replica, addr=addr))
        line = daemon.wait_log("cannot start metrics server")
        assert "level=ERROR" in line and "address already in use" in line.lower()
        ledger.commit()
        litestream.wait_caught_up(ledger.path, replica.path)
        daemon.stop()


def test_scraped_under_load(litestream, ledger, replica):
    ledger.close()
    daemon = litestream.replicate(config=config(ledger, replica))
    writer = litestream.writer(ledger.path)
    before = {}
    for i in range(25):
        writer.wait_committed(20 * (i + 1))
        reply = control.scrape(daemon)
        found = check(reply.text) if i % 8 == 0 else control.samples(reply.text)
        kinds = types(reply.text)
        for name, value in before.items():
            kind = kinds.get(re.sub(r"(_bucket|_sum|_count)?({.*)?$", "", name)) or kinds.get(
                name.partition("{")[0]
            )
            if kind in ("counter", "histogram") and name in found:
                assert found[name] >= value, name
        before = found
    writer.stop()
    assert before[f'litestream_total_wal_bytes{{db="{ledger.path}"}}'] > 0
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_counters_survive_the_death_of_a_worker(litestream, ledger, replica):
    ledger.commit(5)
    daemon = litestream.replicate(config=config(ledger, replica))
    lib.wait_until(lambda: in_sync(daemon, ledger.path))
    path = ledger.path
    counters = [
        f'litestream_total_wal_bytes{{db="{path}"}}',
        f'litestream_sync_count{{db="{path}"}}',
        f'litestream_sync_seconds{{db="{path}"}}',
        f'litestream_replica_written_bytes_total{{db="{path}",replica="file"}}',
        'litestream_replica_operation_total{replica_type="file",operation="PUT"}',
        'litestream_replica_operation_bytes{replica_type="file",operation="PUT"}',
    ]
    for life in range(1, 4):
        before = control.samples(control.scrape(daemon).text)
        worker = daemon.wait_worker(path)
        os.kill(worker, signal.SIGKILL)

        def restarted():
            found = control.samples(control.scrape(daemon).text)
            for name in counters:
                assert found[name] >= before[name] > 0, (life, name)
            return found[f'litestream_worker_restarts_total{{db="{path}"}}'] == life

        lib.wait_until(restarted, what="another worker")
        daemon.wait_worker(path, other_than=worker)
        ledger.commit()

        def went_on():
            found = control.samples(control.scrape(daemon).text)
            return found[counters[0]] > before[counters[0]] and in_sync(daemon, path)

        lib.wait_until(went_on, what="more WAL to be counted")
    daemon.stop()


def test_several_replicas_and_odd_names(litestream, tmp_path):
    name = 'odd "name"\\ ü {x}.db'
    path = tmp_path / name
    book = lib.Ledger(path)
    book.commit(3)
    replicas = [
        {"path": f"{tmp_path}/r1"},
        {"path": f"{tmp_path}/r2"},
        {"path": f"{tmp_path}/r3", "name": 'third "one"'},
    ]
    daemon = litestream.replicate(
        config={"addr": "127.0.0.1:0", "dbs": [{"path": str(path), "replicas": replicas}]}
    )
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    lib.wait_until(lambda: in_sync(daemon, quoted, "file-2"))
    found = check(control.scrape(daemon).text)
    for label in ("file-1", "file-2", 'third \\"one\\"'):
        assert f'litestream_replica_txid{{db="{quoted}",replica="{label}"}}' in found, label
    daemon.stop()
    book.close()


def test_a_replica_that_fails(litestream, ledger, tmp_path):
    with open(f"{tmp_path}/file", "w", encoding="ascii"):
        pass
    db = {"path": ledger.path, "replica": {"path": f"{tmp_path}/file/below"}}
    more = {"shutdown-sync-timeout": "100ms"}
    daemon = litestream.replicate(config={"addr": "127.0.0.1:0", "dbs": [db], **more})
    both = f'db="{ledger.path}",replica="file"'

    def failing():
        found = control.samples(control.scrape(daemon).text)
        return found.get(f"litestream_replica_errors_total{{{both}}}") and found

    lib.wait_until(failing, what="errors to be counted")

    def behind():
        return failing()[f"litestream_replica_lag_seconds{{{both}}}"] > 0.5

    lib.wait_until(behind, what="lag")
    found = check(control.scrape(daemon).text)
    errors = [n for n in found if n.startswith("litestream_replica_operation_errors_total{")]
    assert errors and all(re.search(r'operation="\w+",code="\w+"}$', n) for n in errors)
    daemon.stop(status=1)


def test_who_takes_gzip_gets_it(litestream, ledger, replica, tmp_path):
    sock = control.Socket(tmp_path)
    daemon = litestream.replicate(config=sock.config(**config(ledger, replica)))
    lib.wait_until(lambda: in_sync(daemon, ledger.path))
    plain = control.scrape(daemon)
    assert plain.headers["Content-Encoding"] is None
    assert plain.headers["Vary"] == "Accept-Encoding"
    small = control.scrape(daemon, headers={"Accept-Encoding": "deflate, gzip;q=0.5"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.headers["Content-Type"] == plain.headers["Content-Type"]
    assert len(small.body) < len(plain.body) / 4
    text = gzip.decompress(small.body).decode()
    assert types(text) == types(plain.text) and check(text)
    refused = control.scrape(daemon, headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert refused.headers["Content-Encoding"] is None
    daemon.stop()


def test_series_go_with_their_database(litestream, ledger, replica, tmp_path):
    sock = control.Socket(tmp_path)
    daemon = litestream.replicate(config=sock.config(**config(ledger, replica)))
    lib.wait_until(lambda: in_sync(daemon, ledger.path))
    put = 'litestream_replica_operation_total{replica_type="file",operation="PUT"}'
    before = control.samples(control.scrape(daemon).text)
    sock.post("/unregister", {"path": ledger.path})
    found = check(control.scrape(daemon).text)
    assert not [name for name in found if "app.db" in name]
    assert found[put] >= before[put]
    assert sock.get("/metrics").text.splitlines()[0] == "# " + "HELP litestream_db_size " + (
        "Size of the database file in bytes, at the last sync."
    )
    daemon.stop()


@pytest.mark.parametrize("addr", ["127.0.0.1", "localhost"])
def test_an_address_without_a_port(litestream, addr):
    path = litestream.config({"addr": addr})
    done = litestream.run("replicate", "-config", path, status=1)
    assert f'must specify port for bind address: "{addr}"' in done.stdout + done.stderr
