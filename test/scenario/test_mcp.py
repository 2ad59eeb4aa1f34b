"""The MCP server: the official client sees all tools and uses them; what is not meant for it is
refused, and a tool at work holds up nobody."""

import json
import http.client
import os
import re
import subprocess

import disk
import lib
import pytest

SERVERS = os.path.join(os.path.dirname(lib.HERE), "servers")
TOOLS = ["databases", "info", "ltx", "reset", "restore", "status", "version"]


@pytest.fixture(scope="module")
def node_modules():
    folder = subprocess.run(
        [os.path.join(SERVERS, "npm.sh"), "mcp"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    return os.path.join(folder, "node_modules")


class Mcp:
    """A daemon with one database, and its MCP server."""

    def __init__(self, litestream, ledger, replica, node_modules, **more):
        self.node_modules = node_modules
        self.daemon = litestream.replicate(
            config={
                "dbs": [
                    {
                        "path": ledger.path,
                        "monitor-interval": "20ms",
                        "replica": {"path": replica.path, "sync-interval": "20ms"},
                    }
                ],
                "mcp-addr": ":0",
                **more,
            }
        )
        line = self.daemon.wait_log("Starting MCP Streamable HTTP server")
        self.url = re.search(r"url=(\S+)", line)[1].strip('"')
        self.port = int(self.url.rpartition(":")[2])

    def client(self, *args, **env):
        done = subprocess.run(
            ["node", os.path.join(SERVERS, "mcp-client.mjs"), self.url, *args],
            stdout=subprocess.PIPE,
            text=True,
            timeout=60 * lib.SLOW,
            env={**os.environ, "NODE_MODULES": self.node_modules, **env},
            check=True,
        )
        return json.loads(done.stdout)

    def call(self, tool, **arguments):
        """The text of a tool's result, and whether it is an error."""
        out = self.client(f"litestream_{tool}", json.dumps(arguments))
        assert "error" not in out, out
        (content,) = out["result"]["content"]
        return content["text"], out["result"].get("isError", False)

    def post(self, body, method="POST", **headers):
        con = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * lib.SLOW)
        try:
            given = {"Content-Type": "application/json"}
            given.update({k.replace("_", "-"): v for k, v in headers.items() if v is not None})
            con.request(method, "/mcp", body, {k: v for k, v in given.items() if v})
            answer = con.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            con.close()


@pytest.fixture
def mcp(litestream, ledger, replica, node_modules):
    made = Mcp(litestream, ledger, replica, node_modules)
    ledger.commit(5, fill_bytes=3000)
    litestream.wait_caught_up(ledger.path, replica.path)
    return made


def test_the_official_client_is_served(mcp):
    out = mcp.client()
    assert "error" not in out, out
    assert out["server"] == {"name": "Litestream MCP Server", "version": "1.0.0"}
    assert sorted(out["capabilities"]) == ["logging", "tools"]
    assert re.fullmatch("mcp-session-[0-9a-f-]{36}", out["session"])
    assert [t["name"] for t in out["tools"]] == [f"litestream_{t}" for t in TOOLS]
    by_name = {t["name"]: t for t in out["tools"]}
    assert by_name["litestream_restore"]["inputSchema"]["required"] == ["path"]
    assert by_name["litestream_reset"]["annotations"]["destructiveHint"] is True
    assert by_name["litestream_info"]["annotations"]["readOnlyHint"] is True
    assert out["unknown"] == -32602


def test_tools_say_what_the_commands_say(mcp, litestream, ledger, replica, tmp_path):
    config = mcp.daemon.args[mcp.daemon.args.index("-config") + 1]
    assert mcp.call("version") == (litestream.run("version").stdout, False)
    assert mcp.call("databases") == (litestream.run("databases", "-config", config).stdout, False)
    expected = litestream.run("ltx", "-config", config, ledger.path).stdout
    assert mcp.call("ltx", path=ledger.path) == (expected, False)
    assert mcp.call("ltx", path=replica.url) == (litestream.run("ltx", replica.url).stdout, False)
    text, failed = mcp.call("status", path=ledger.path)
    assert not failed and ledger.path in text
    text, failed = mcp.call("info")
    assert not failed
    assert text.startswith("=== Litestream Status Report ===\n\nVersion Information:\n")
    assert f"Database: {ledger.path}\n" in text and config in text and expected in text
    # the older form of the command
    out = tmp_path / "restored.db"
    text, failed = mcp.call("restore", path=ledger.path, o=str(out), if_db_not_exists=False)
    assert not failed and str(out) in text
    lib.assert_same(ledger.path, out)


def test_failures_are_results_with_the_words_of_the_command(mcp, tmp_path):
    text, failed = mcp.call("restore", path=str(tmp_path / "nowhere.db"))
    assert failed and text.endswith(": exit status 1") and "nowhere.db" in text
    text, failed = mcp.call("ltx", path="-help")
    assert failed, text  # a path, whatever it looks like
    text, failed = mcp.call("ltx")
    assert failed and "path" in text
    text, failed = mcp.call("databases", config=str(tmp_path / "none.yml"))
    assert failed and "none.yml" in text


SESSION = "mcp-session-01234567-89ab-cdef-0123-456789abcdef"


def rpc(method, id=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


@pytest.mark.parametrize(
    "body, headers, status, words",
    [
        (rpc("ping"), {"Mcp_Session_Id": SESSION}, 200, '"result":{}'),
        (rpc("ping"), {}, 400, "Invalid session ID"),
        (rpc("ping"), {"Mcp_Session_Id": "mcp-session-x"}, 400, "Invalid session ID"),
        (rpc("ping"), {"Content_Type": "text/plain"}, 400, "Invalid content type"),
        (rpc("ping"), {"Content_Type": "application/json; charset=utf-8"}, 400, "session"),
        ("[]", {}, 400, "-32700"),
        ("{", {}, 400, "-32700"),
        ("", {}, 400, "-32700"),
        ("[" * 60000, {}, 400, "-32700"),
        ('{"jsonrpc":"1.0","id":1}', {"Mcp_Session_Id": SESSION}, 200, "-32600"),
        (rpc("nothing"), {"Mcp_Session_Id": SESSION}, 200, "-32601"),
        (rpc("prompts/list"), {"Mcp_Session_Id": SESSION}, 200, "prompts not supported"),
        (rpc("resources/list"), {"Mcp_Session_Id": SESSION}, 200, "resources not supported"),
        (rpc("logging/setLevel"), {"Mcp_Session_Id": SESSION}, 200, "-32603"),
        (rpc("tools/call", name="x"), {"Mcp_Session_Id": SESSION}, 200, "-32602"),
        (rpc("tools/call"), {"Mcp_Session_Id": SESSION}, 200, "-32602"),
        ('{"jsonrpc":"2.0","method":"a"}', {"Mcp_Session_Id": SESSION}, 202, ""),
        (rpc("initialize"), {"Origin": "http://evil.example"}, 403, "Origin"),
        (rpc("initialize"), {"Origin": "http://localhost.evil.example"}, 403, "Origin"),
        (rpc("initialize"), {"Origin": "null"}, 403, "Origin"),
        (rpc("initialize"), {"Origin": "http://localhost:5173"}, 200, "2025-03-26"),
        (rpc("initialize"), {"Origin": "http://[::1]:5173"}, 200, "2025-03-26"),
        (rpc("initialize", protocolVersion="2024-11-05"), {}, 200, "2024-11-05"),
    ],
)
def test_requests_are_answered_as_litestream_does(mcp, body, headers, status, words):
    got, _, text = mcp.post(body, **headers)
    assert (got, words in text) == (status, True), text


def test_other_methods(mcp):
    status, headers, _ = mcp.post(None, method="GET")
    assert status == 405 and "POST" in headers["Allow"]
    assert mcp.post(None, method="DELETE")[0] == 200
    assert mcp.post("{}", method="PUT")[0] == 404
    assert mcp.post(" " * 100000)[0] == 413


def test_a_token_is_asked_for(litestream, ledger, replica, node_modules):
    made = Mcp(litestream, ledger, replica, node_modules, **{"mcp-auth-token": "tell me"})
    status, headers, text = made.post(rpc("initialize"))
    assert status == 401 and headers["WWW-Authenticate"] == "Bearer" and "tell me" not in text
    assert made.post(rpc("initialize"), Authorization="Bearer tell mf")[0] == 401
    assert "error" in made.client()
    out = made.client(MCP_TOKEN="tell me")
    assert "error" not in out and len(out["tools"]) == len(TOOLS)
    assert "tell me" not in made.daemon.output()


def test_a_taken_port_is_said_and_replication_goes_on(litestream, ledger, replica, mcp):
    other = lib.Ledger(os.path.join(os.path.dirname(ledger.path), "other.db"))
    other.commit(3)
    folder = replica.path + "-2"
    daemon = litestream.replicate(
        config={
            "dbs": [{"path": other.path, "replica": {"path": folder}}],
            "mcp-addr": f"127.0.0.1:{mcp.port}",
            "socket": {"enabled": False},
        }
    )
    line = daemon.wait_log("cannot start MCP server")
    assert "level=ERROR" in line and str(mcp.port) in line
    lib.wait_until(lambda: disk.has_all(other.path, folder))
    daemon.stop()
    other.close()


def test_nothing_is_left_of_tools_when_the_daemon_ends(mcp, tmp_path):
    for _ in range(3):
        mcp.call("version")
    mcp.daemon.stop()
    assert not mcp.daemon.orphans()
