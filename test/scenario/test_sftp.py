"""A replica on an SFTP server: everything that a folder does, over a connection that may be cut."""

import os
import signal
import subprocess

import disk
import lib
import pytest
import servers


class Sftp:
    """A server, and a configuration that uses it."""

    def __init__(self, server):
        self.server = server
        self.folder = os.path.join(server["SFTP_HOME"], "db")

    def replica(self, **more):
        s = self.server
        key = os.path.join(s["SFTP_HOST_KEYS"], "host_ed25519.pub")
        with open(key, encoding="ascii") as f:
            host_key = f.read().strip()
        return {
            "type": "sftp",
            "host": f"127.0.0.1:{s['SFTP_PORT']}",
            "user": s["SFTP_USER"],
            "password": s["SFTP_PASS"],
            "host-key": host_key,
            "path": "db",
            "sync-interval": "20ms",
            **more,
        }

    @property
    def url(self):
        s = self.server
        return f"sftp://{s['SFTP_USER']}:{s['SFTP_PASS']}@127.0.0.1:{s['SFTP_PORT']}/{self.folder}"

    def cut(self):
        """Kills what serves the connections that there are; new ones are fine."""
        main = int(self.server["SFTP_PID"])
        for pid in self.server.children():
            if pid != main and "sshd" in command_name(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def command_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def server():
    made = servers.Server("sshd.sh")
    yield made
    made.stop()


@pytest.fixture
def sftp(server):
    made = Sftp(server)
    subprocess.run(["rm", "-rf", made.folder], check=True)
    return made


def config(ledger, replica, **more):
    db = {"path": ledger.path, "monitor-interval": "20ms", "replica": replica}
    return {"dbs": [db], "shutdown-sync-timeout": "10s", **more}


def test_what_is_restored_equals_the_source_after_kills(litestream, ledger, sftp):
    ledger.commit(30, fill_bytes=4000)
    settings = config(
        ledger,
        sftp.replica(),
        levels=[{"interval": "200ms"}],
        snapshot={"interval": "1s"},
    )
    for _ in range(3):
        daemon = litestream.replicate(config=settings)
        daemon.wait_worker(ledger.path)
        ledger.commit(20, fill_bytes=3000)
        lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
        ledger.commit(5)
        daemon.kill()
    daemon = litestream.replicate(config=settings)
    daemon.wait_worker(ledger.path)
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    lib.wait_until(lambda: disk.level_names(sftp.folder, 1), 30)
    daemon.stop()
    litestream.assert_restores(sftp.url, ledger.path)
    done = litestream.run("ltx", sftp.url)
    assert "0000000000000001" in done.stdout
    assert not [n for n in os.listdir(os.path.join(sftp.folder, "ltx", "0")) if "tmp" in n]


def test_a_connection_that_is_cut_is_made_again(litestream, ledger, sftp):
    daemon = litestream.replicate(config=config(ledger, sftp.replica()))
    for _ in range(5):
        ledger.commit(5, fill_bytes=20000)
        sftp.cut()
        ledger.commit(5)
        lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    daemon.stop()
    litestream.assert_restores(sftp.url, ledger.path)
    disk.assert_chain(sftp.folder)


def test_a_follower_keeps_up(litestream, ledger, sftp, tmp_path):
    daemon = litestream.replicate(config=config(ledger, sftp.replica()))
    ledger.commit(3)
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    copy = str(tmp_path / "copy.db")
    follower = litestream.start(
        "restore", "-f", "-follow-interval", "50ms", "-o", copy, sftp.url
    )
    ledger.commit(5, fill_bytes=3000)
    lib.wait_until(lambda: os.path.exists(copy) and lib.Ledger.committed(copy) == ledger.n, 30)
    follower.stop()
    daemon.stop()


def test_a_second_daemon_overwrites_nothing(litestream, ledger, sftp, tmp_path):
    first = litestream.replicate(config=config(ledger, sftp.replica()))
    ledger.commit(5)
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    other = lib.Ledger(tmp_path / "other.db")
    other.commit(3, fill_bytes=9000)
    second = litestream.replicate(config=config(other, sftp.replica()))
    lib.wait_until(lambda: disk.has_all(other.path, sftp.folder), 30)
    theirs = disk.newest(sftp.folder)
    ledger.commit(5)
    first.wait_log("level=ERROR")
    first.signal(signal.SIGTERM)
    assert first.wait() != 0
    second.stop()
    assert disk.newest(sftp.folder) == theirs
    litestream.assert_restores(sftp.url, other.path)
    other.close()


WRONG = {
    "password": ({"password": "wrong one"}, "unable to authenticate user alice"),
    "host key": (
        {
            "host-key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGXcWbwVHyWPWWqYvXfTWxdYFVg1ld60j1oFXlXCTz8C"
        },
        "host key mismatch",
    ),
    "port": ({"host": "127.0.0.1:1"}, "127.0.0.1:1: connection refused"),
    "key file": ({"password": "", "key-path": "/nowhere/key"}, "cannot read sftp key path"),
    "folder": ({"path": "/proc/nowhere"}, "/proc/nowhere"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_and_replication_goes_on_when_it_is_right(
    litestream, ledger, sftp, what
):
    wrong, words = WRONG[what]
    ledger.commit(3)
    daemon = litestream.replicate(
        config=config(ledger, sftp.replica(**wrong), **{"shutdown-sync-timeout": "100ms"})
    )
    daemon.wait_log(words)
    assert not daemon.lines("wrong one")
    ledger.commit(3)
    daemon.stop(status=1)
    daemon = litestream.replicate(config=config(ledger, sftp.replica()))
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    daemon.stop()
    litestream.assert_restores(sftp.url, ledger.path)


def test_a_full_disk_of_the_server_is_said_and_survived(litestream, ledger, sftp, tiny):
    fs = tiny("8m")
    sftp.folder = os.path.join(fs.path, "db")
    daemon = litestream.replicate(config=config(ledger, sftp.replica(path=sftp.folder)))
    ledger.commit(3)
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 30)
    make_room = fs.fill()
    ledger.commit(3, fill_bytes=100000)
    daemon.wait_log("no space left on the server")
    make_room()
    lib.wait_until(lambda: disk.has_all(ledger.path, sftp.folder), 60)
    daemon.stop()
    disk.assert_chain(sftp.folder)
    litestream.assert_restores(sftp.url, ledger.path)
