"""control - HTTP to a daemon: the control socket, the metrics page."""

import http.client
import json
import os
import socket
import subprocess

import lib

HERE = os.path.dirname(os.path.abspath(__file__))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30.0):
        super().__init__("localhost", timeout=timeout * lib.SLOW)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode("utf-8", "replace")

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.text
        assert self.text.endswith("\n") and self.text.count("\n") == 1, self.text
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text!r}"


def ask(path, method, url, body=None, headers=None, timeout=30.0):
    """One request on a connection of its own; body: bytes, text, or what is sent as JSON."""
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    con = UnixConnection(path, timeout)
    try:
        con.request(method, url, body, headers or {})
        return Reply(con.getresponse())
    finally:
        con.close()


def raw(path, data, timeout=30.0):
    """Sends bytes and returns all that comes back until the other side hangs up."""
    con = UnixConnection(path, timeout)
    con.connect()
    got = b""
    try:
        con.sock.sendall(data)
        while part := con.sock.recv(65536):
            got += part
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        con.close()
    return got


class Socket:
    """The control socket of a daemon that was started with config()."""

    def __init__(self, folder):
        self.path = os.path.join(str(folder), "control.sock")

    def config(self, dbs, **more):
        return {"socket": {"enabled": True, "path": self.path}, "dbs": dbs, **more}

    def get(self, url, **more):
        return ask(self.path, "GET", url, **more)

    def post(self, url, body=None, **more):
        return ask(self.path, "POST", url, body, **more)

    def list(self):
        """{path: entry} of /list."""
        return {d["path"]: d for d in self.get("/list").json["databases"]}

    def wait_listening(self, daemon):
        daemon.wait_log("control socket listening")
        return self

    def wait_in_sync(self, *paths, timeout=30.0):
        def there():
            dbs = self.list()
            return all(dbs.get(str(p), {}).get("in_sync") for p in paths)

        lib.wait_until(there, timeout, f"{paths} in sync")


def metrics_url(daemon):
    """host, port of `addr`, once it is served."""
    line = daemon.wait_log("serving metrics on")
    address = line.split("url=http://")[1].split("/")[0]
    host, _, port = address.rpartition(":")
    return host, int(port)


def scrape(daemon, url="/metrics", headers=None):
    host, port = metrics_url(daemon)
    con = http.client.HTTPConnection(host, port, timeout=30 * lib.SLOW)
    try:
        con.request("GET", url, headers=headers or {})
        return Reply(con.getresponse())
    finally:
        con.close()


def samples(text):
    """{'name{labels}': value}; fails on a series that is there twice."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.rpartition(" ")
        assert name not in found, line
        found[name] = float(value)
    return found


def promtool():
    script = os.path.join(HERE, "..", "servers", "promtool.sh")
    return subprocess.run([script], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
