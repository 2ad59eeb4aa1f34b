"""`doctor` tells what is well and what is not, and leaves everything as it was."""

import json
import os
import resource
import signal
import socket
import stat

import control
import lib
import pytest
import servers

# Permissions hold for root, too, without these.
WITHOUT_POWERS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


class Doctor:
    def __init__(self, litestream):
        self.litestream = litestream

    def ask(self, config, *flags, status=0, **more):
        """{(subject, check): finding}; checks that text and JSON say the same."""
        path = config if isinstance(config, str) else self.litestream.config(config, "doctor.yml")
        done = self.litestream.run(
            "doctor", "-config", path, "-json", *flags, status=status, **more
        )
        found = json.loads(done.stdout)
        for f in found:
            assert set(f) == {"check", "subject", "status", "message", "advice"}
            assert f["status"] == "ok" or f["advice"], f
        failed = any(f["status"] == "fail" for f in found)
        assert done.returncode == (1 if failed else 0), done.stdout
        return {(f["subject"], f["check"]): f for f in found}


@pytest.fixture
def doctor(litestream):
    return Doctor(litestream)


def tree(*folders):
    """Everything below some folders: {name: (mode, size, time of change)}."""
    found = {}
    for top in folders:
        for folder, _, files in os.walk(top):
            for name in [folder, *(os.path.join(folder, f) for f in files)]:
                s = os.lstat(name)
                if stat.S_ISDIR(s.st_mode):
                    found[name] = s.st_mode
                else:
                    found[name] = (s.st_mode, s.st_size, s.st_mtime_ns, s.st_ino)
    return found


def db(path, replica):
    return {"path": str(path), "replica": {"path": str(replica)}}


def statuses(found, subject):
    return {check: f["status"] for (s, check), f in found.items() if s == subject}


def test_a_good_environment_is_ok_and_stays_as_it_is(litestream, ledger, doctor, replica, tmp_path):
    ledger.commit(20)
    litestream.run("replicate", "-once", "-force-snapshot", ledger.path, replica.url)
    config = litestream.config({"dbs": [db(ledger.path, replica.path)]})
    before = tree(tmp_path)
    found = doctor.ask(config)
    assert tree(tmp_path) == before
    # Free space is the machine's affair.
    bad = [f for (s, c), f in found.items() if f["status"] != "ok" and "space" not in c]
    assert bad == []
    assert found["", "configuration"]["message"] == "1 database"
    assert "1 snapshot" in found[f"{ledger.path}: file", "replica"]["message"]
    assert statuses(found, f"{ledger.path}: file").keys() >= {
        "replica",
        "writing",
        "conditional writes",
        "deleting",
        "replica space",
    }
    text = litestream.run("doctor", "-config", config).stdout.splitlines()
    assert f"ok    {ledger.path}: wal mode: on" in text
    assert len(text) == len(found) + 1
    assert text[-1].endswith(" 0 failures")


def test_a_replica_that_does_not_exist_yet_is_not_made(doctor, ledger, tmp_path):
    found = doctor.ask({"dbs": [db(ledger.path, tmp_path / "new" / "deep")]})
    assert found[f"{ledger.path}: file", "writing"]["status"] == "ok"
    assert not os.path.exists(tmp_path / "new")


def test_without_wal_mode(doctor, tmp_path):
    path = str(tmp_path / "plain.db")
    con = lib.connect(path, wal=False)
    con.execute("create table t (a)")
    con.close()
    with open(path, "rb") as f:
        before = f.read()
    found = doctor.ask({"dbs": [db(path, tmp_path / "r")]})
    assert found[path, "wal mode"]["status"] == "warn"
    assert "journal_mode" in found[path, "wal mode"]["advice"]
    with open(path, "rb") as f:
        assert f.read() == before


def test_a_missing_database_and_what_is_none(doctor, tmp_path):
    missing, text = str(tmp_path / "missing.db"), str(tmp_path / "text.db")
    folder = str(tmp_path / "folder.db")
    os.mkdir(folder)
    os.mkfifo(tmp_path / "pipe.db")
    with open(text, "w", encoding="ascii") as f:
        f.write("no database " * 100)
    paths = [missing, text, folder, str(tmp_path / "pipe.db")]
    found = doctor.ask(
        {"dbs": [db(p, tmp_path / f"r{i}") for i, p in enumerate(paths)]}, status=1
    )
    got = [found[p, "database"]["status"] for p in paths]
    assert got == ["warn", "fail", "fail", "fail"]
    assert "not there" in found[missing, "database"]["message"]
    assert "not a SQLite database" in found[text, "database"]["message"]
    assert not os.path.exists(missing)


def test_folders_that_cannot_be_written(doctor, ledger, tmp_path):
    if os.geteuid() == 0:
        prefix = WITHOUT_POWERS
    else:
        prefix = []
    replica = tmp_path / "replica"
    replica.mkdir(mode=0o500)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = str(folder / "shut.db")
    lib.connect(path).close()
    folder.chmod(0o500)
    try:
        found = doctor.ask(
            {"dbs": [db(ledger.path, replica), db(path, tmp_path / "good")]},
            status=1,
            prefix=prefix,
        )
    finally:
        folder.chmod(0o700)
    subject = f"{ledger.path}: file"
    assert found[subject, "replica"]["status"] == "ok"
    assert found[subject, "writing"]["status"] == "fail"
    assert "permission denied" in found[subject, "writing"]["message"]
    assert (subject, "deleting") not in found
    assert os.listdir(replica) == []
    assert found[path, "folder"]["status"] == "fail"
    assert found[f"{path}: file", "writing"]["status"] == "ok"


def test_few_descriptors(doctor, tmp_path):
    dbs = [db(tmp_path / f"{i}.db", tmp_path / f"r{i}") for i in range(40)]
    prefix = ["prlimit", "--nofile=100:100"]
    found = doctor.ask({"dbs": dbs}, status=1, prefix=prefix)
    assert found["", "descriptors"]["status"] == "fail"
    assert "104" in found["", "descriptors"]["advice"]
    # Nothing else has suffered from it.
    assert [f for f in found.values() if f["status"] == "fail"] == [found["", "descriptors"]]
    assert found["", "configuration"]["message"] == "40 databases"


def test_databases_of_a_directory(doctor, tmp_path):
    folder = tmp_path / "tenants"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.db", "sub/b.db"):
        con = lib.connect(folder / name)
        con.execute("create table t (a)")
        con.close()
    entry = {
        "dir": str(folder),
        "pattern": "*.db",
        "recursive": True,
        "replica": {"path": str(tmp_path / "r")},
    }
    found = doctor.ask({"dbs": [entry]})
    assert found[str(folder), "directory"]["message"] == "2 databases"
    for name in ("a.db", "sub/b.db"):
        assert found[str(folder / name), "database"]["status"] == "ok"
    assert found[f"{folder}: file", "deleting"]["status"] == "ok"
    entry["dir"] = str(tmp_path / "nowhere")
    found = doctor.ask({"dbs": [entry]}, status=1)
    assert found[entry["dir"], "directory"]["status"] == "fail"


def test_a_configuration_that_the_daemon_refuses(doctor, ledger, tmp_path):
    dbs = [db(ledger.path, tmp_path / "r"), db(tmp_path / "other.db", tmp_path / "r")]
    found = doctor.ask({"dbs": dbs}, status=1)
    assert found["", "configuration"]["status"] == "fail"
    assert found[ledger.path, "database"]["status"] == "ok"
    secret = {"type": "sftp", "host": "h", "user": "u", "password-file": str(tmp_path / "no")}
    found = doctor.ask({"dbs": [{"path": ledger.path, "replica": secret}]}, status=1)
    assert found[ledger.path, "configuration"]["status"] == "fail"
    assert (f"{ledger.path}: sftp", "replica") not in found


def sftp(port, **more):
    return {
        "type": "sftp",
        "host": f"127.0.0.1:{port}",
        "user": "nobody",
        "password": "s3cr3t-of-the-replica",
        "path": "db",
        **more,
    }


def test_servers_out_of_reach_and_that_do_not_answer(litestream, doctor, ledger, tmp_path):
    with socket.socket() as shut, socket.socket() as silent:
        shut.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        config = litestream.config(
            {
                "dbs": [
                    {
                        "path": ledger.path,
                        "replicas": [
                            sftp(shut.getsockname()[1], name="shut"),
                            sftp(silent.getsockname()[1], name="silent"),
                            {"path": str(tmp_path / "r")},
                        ],
                    }
                ]
            }
        )
        found = doctor.ask(config, "-timeout", "1s", status=1)
        text = litestream.run("doctor", "-config", config, "-timeout", "1s", status=1)
    shut, silent = f"{ledger.path}: shut", f"{ledger.path}: silent"
    assert "refused" in found[shut, "replica"]["message"]
    assert "no answer within 1 s" in found[silent, "replica"]["message"]
    assert statuses(found, shut) == statuses(found, silent) == {"replica": "fail"}
    assert found[f"{ledger.path}: file", "deleting"]["status"] == "ok"
    assert "s3cr3t" not in text.stdout + text.stderr + json.dumps(list(found.values()))


def test_an_interrupt_ends_it(litestream, ledger, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        replica = sftp(silent.getsockname()[1])
        config = litestream.config({"dbs": [{"path": ledger.path, "replica": replica}]})
        p = litestream.start("doctor", "-config", config, "-timeout", "10m")
        silent.settimeout(30 * lib.SLOW)
        connection, _ = silent.accept()
        with connection:
            p.signal(signal.SIGINT)
            assert p.wait() == 1
    assert "interrupted" in p.output()


def test_an_sftp_server(doctor, ledger):
    server = servers.Server("sshd.sh")
    try:
        home = server["SFTP_HOME"]
        os.makedirs(os.path.join(home, "db"), exist_ok=True)
        before = tree(home)
        replica = sftp(
            server["SFTP_PORT"], user=server["SFTP_USER"], password=server["SFTP_PASS"]
        )
        found = doctor.ask({"dbs": [{"path": ledger.path, "replica": replica}]})
        subject = f"{ledger.path}: sftp"
        assert statuses(found, subject) == {
            "replica": "ok",
            "writing": "ok",
            "conditional writes": "ok",
            "deleting": "ok",
        }
        assert tree(home) == before
        replica["password"] = "wrong"
        found = doctor.ask({"dbs": [{"path": ledger.path, "replica": replica}]}, status=1)
        assert statuses(found, subject) == {"replica": "fail"}
    finally:
        server.stop()


def test_beside_a_daemon_nothing_changes(litestream, doctor, ledger, replica, tmp_path):
    ledger.commit(10)
    socket_ = control.Socket(tmp_path)
    config = socket_.config(
        [{**db(ledger.path, replica.path), "monitor-interval": "20ms"}],
        levels=[{"interval": "24h"}],
        snapshot={"interval": "24h", "retention": "48h"},
    )
    daemon = litestream.replicate(config=config)
    socket_.wait_listening(daemon)
    socket_.wait_in_sync(ledger.path)
    litestream.wait_caught_up(ledger.path, replica.path)
    workers = daemon.workers()
    # Merges, snapshots and tidying up of the beginning are through.
    def settled():
        first = tree(replica.path)
        socket_.post("/sync", {"path": ledger.path, "wait": True})
        return tree(replica.path) == first

    lib.wait_until(settled, what="replica at rest")
    before = tree(replica.path)
    found = doctor.ask(config)
    assert tree(replica.path) == before
    assert found["", "control socket"]["message"].endswith(f"(pid {daemon.pid})")
    assert found["", "descriptors"]["message"].find("for the daemon") > 0
    worker = daemon.wait_worker(ledger.path)
    assert found[ledger.path, "lock"]["status"] == "ok"
    assert found[ledger.path, "lock"]["message"] == f"replicated by pid {worker}"
    # The daemon goes on as before.
    assert daemon.workers() == workers
    ledger.commit(5)
    litestream.wait_caught_up(ledger.path, replica.path)
    assert daemon.lines("level=(WARN|ERROR)") == []
    daemon.stop()
    litestream.assert_restores(replica.url, ledger.path)


def test_beside_a_daemon_at_work_no_commit_is_lost(litestream, doctor, replica, tmp_path):
    path = str(tmp_path / "app.db")
    config = {"dbs": [{**db(path, replica.path), "monitor-interval": "20ms"}]}
    writer = litestream.writer(path)
    daemon = litestream.replicate(config=config)
    writer.wait_committed(10)
    for _ in range(5):
        found = doctor.ask(config)
        assert found[f"{path}: file", "deleting"]["status"] == "ok"
        writer.wait_committed(writer.committed() + 10)
    writer.stop()
    litestream.wait_caught_up(path, replica.path)
    assert daemon.lines("level=(WARN|ERROR)") == []
    daemon.stop()
    litestream.assert_restores(replica.url, path)


def test_another_litestream_without_our_lock_is_seen(litestream, doctor, ledger, replica, tmp_path):
    ledger.commit(1)
    config = {"dbs": [{**db(ledger.path, replica.path), "meta-path": str(tmp_path / "m1")}]}
    daemon = litestream.replicate(config=config)
    worker = daemon.wait_worker(ledger.path)
    litestream.wait_caught_up(ledger.path, replica.path)
    config["dbs"][0]["meta-path"] = str(tmp_path / "m2")
    lock = doctor.ask(config)[ledger.path, "lock"]
    assert lock["status"] == "warn"
    assert f"(pid {worker})" in lock["message"]


def test_limits_are_those_of_the_daemon(litestream, doctor, ledger, replica, tmp_path):
    socket_ = control.Socket(tmp_path)
    config = socket_.config([db(ledger.path, replica.path)])
    daemon = litestream.replicate(config=config)
    socket_.wait_listening(daemon)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64, 64))
    found = doctor.ask(config, status=1)
    assert found["", "descriptors"]["status"] == "fail"
    assert found["", "descriptors"]["message"].startswith("64 for the daemon")


def test_wal_restarted_while_nobody_replicates(litestream, doctor, ledger, replica):
    ledger.commit(10)
    litestream.run("replicate", "-once", ledger.path, replica.url)
    config = {"dbs": [db(ledger.path, replica.path)]}
    con = lib.connect(ledger.path)  # keeps the WAL
    ledger.commit(1)
    assert doctor.ask(config)[ledger.path, "checkpoints"]["status"] == "ok"
    con.execute("PRAGMA wal_checkpoint(RESTART)")
    ledger.commit(1)
    assert doctor.ask(config)[ledger.path, "checkpoints"]["status"] == "warn"
    con.close()


def test_behind_a_symbolic_link(doctor, ledger, tmp_path):
    link = str(tmp_path / "folder" / "link.db")
    os.mkdir(tmp_path / "folder")
    os.symlink(ledger.path, link)
    con = lib.connect(ledger.path)  # keeps the WAL
    ledger.commit(1)
    found = doctor.ask({"dbs": [db(link, tmp_path / "r")]})
    assert found[link, "database"]["status"] == "ok"
    assert found[link, "wal size"]["message"] not in ("", "0 B")
    con.close()


def test_wrong_usage(litestream, ledger, tmp_path):
    config = litestream.config({"dbs": [db(ledger.path, tmp_path / "r")]})
    for flags in (["-timeout", "0s"], ["-timeout", "3"], ["word"], ["-nonsense"]):
        done = litestream.run("doctor", "-config", config, *flags, status=1)
        assert "Error: " in done.stderr
    done = litestream.run("doctor", "-config", tmp_path / "none.yml", status=1)
    assert "none.yml" in done.stderr
