"""The status page of `addr`, in a browser, and the numbers behind it."""

import html
import os
import re
import shutil
import subprocess

import control
import lib
import pytest

HOSTILE = "<img src=x onerror=alert(1)>&amp;.db"


def config(*dbs):
    return {
        "addr": "127.0.0.1:0",
        "dbs": [
            {
                "path": path,
                "monitor-interval": "20ms",
                "replica": {"path": path + "-replica", "sync-interval": "20ms"},
                **more,
            }
            for path, more in dbs
        ],
    }


def make(path):
    con = lib.connect(path)
    con.execute("create table t (a)")
    con.close()
    return str(path)


def status(daemon):
    return {d["path"]: d for d in control.scrape(daemon, "/status.json").json["databases"]}


def wait_in_sync(daemon, path):
    lib.wait_until(lambda: status(daemon)[path]["in_sync"], 30, "in sync")


@pytest.fixture
def browse(tmp_path):
    """browse(url): the page's elements after its scripts have run for a while."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is needed (apt-get install chromium)"

    def dump(url, ms=5000):
        done = subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--enable-logging=stderr",
                f"--user-data-dir={tmp_path}/chromium",
                f"--virtual-time-budget={ms}",
                "--dump-dom",
                url,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60 * lib.SLOW,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        return done.stdout, console

    return dump


def rows(dom):
    """{database: cells} of the page's table."""
    body = dom.split('<tbody id="rows">')[1].split("</tbody>")[0]
    found = {}
    for row in re.findall(r"<tr.*?</tr>", body):
        cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        assert not any("<td" in c for c in cells)
        found[cells[0]] = cells
    return found


def page_url(daemon):
    return "http://%s:%d/" % control.metrics_url(daemon)


def test_rows_and_states(litestream, tmp_path, browse):
    good = make(tmp_path / "good.db")
    absent = str(tmp_path / "absent.db")
    hostile = make(tmp_path / HOSTILE)
    daemon = litestream.replicate(config=config((good, {}), (absent, {}), (hostile, {})))
    wait_in_sync(daemon, good)
    wait_in_sync(daemon, hostile)
    lib.wait_until(lambda: status(daemon)[absent]["state"] == "no database", 30)
    dom, console = browse(page_url(daemon))
    assert console == []
    shown = rows(dom)
    assert set(shown) == {good, absent, hostile}
    assert shown[good][1:5] == ["running", "1", "1", "0s"]
    assert shown[good][7:] == ["0", ""]
    assert shown[good][6] == "0 B/s", "a rate is known from the second look on"
    assert shown[absent][1:5] == ["no database", "0", "0", "-"]
    assert shown[hostile][1] == "running"
    assert "3 databases, 0 behind, 0 with an error" in dom
    # its name is text: there is no such element
    assert "<img" not in dom and html.escape(HOSTILE, quote=False) in dom
    daemon.stop()


def test_an_error_is_shown_first(litestream, tmp_path, browse):
    good = make(tmp_path / "a.db")
    bad = make(tmp_path / "b.db")
    open(bad + "-replica", "w").close()  # no folder can be made of that name
    daemon = litestream.replicate(config=config((good, {}), (bad, {})))
    wait_in_sync(daemon, good)
    lib.wait_until(lambda: status(daemon)[bad].get("last_error"), 30)
    dom, _ = browse(page_url(daemon))
    shown = rows(dom)
    assert list(shown) == [bad, good]
    assert shown[bad][8] == status(daemon)[bad]["last_error"]
    assert shown[good][8] == ""
    assert "1 with an error" in dom
    os.unlink(bad + "-replica")  # else the end waits for it
    daemon.stop()


def test_a_thousand_rows(litestream, tmp_path, browse):
    dbs = [(f"{tmp_path}/d{i:04}.db", {"enabled": False}) for i in range(1000)]
    daemon = litestream.replicate(config=config(*dbs))
    dom, _ = browse(page_url(daemon))
    shown = rows(dom)
    assert list(shown) == [path for path, _ in dbs]
    assert {cells[1] for cells in shown.values()} == {"stopped"}
    daemon.stop()


def test_headers_of_the_page(litestream, tmp_path):
    daemon = litestream.replicate(config=config())
    page = control.scrape(daemon, "/")
    again = control.scrape(daemon, "/")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    (nonce,) = set(re.findall(r"nonce-([0-9a-f]{32})'", policy))
    assert page.text.count(f'nonce="{nonce}"') == 2 and "NONCE" not in page.text
    assert again.headers["Content-Security-Policy"] != policy
    assert not re.search(r"\son[a-z]+=|javascript:", page.text)
    assert not re.search(r"(?:src|href)=\"?https?:", page.text)
    assert "innerHTML" not in page.text
    daemon.stop()


def test_status_changes_nothing_and_names_no_process(litestream, tmp_path):
    good = make(tmp_path / "good.db")
    daemon = litestream.replicate(config=config((good, {})))
    wait_in_sync(daemon, good)
    (entry,) = status(daemon).values()
    assert set(entry) == {
        "path",
        "state",
        "in_sync",
        "txid",
        "replica_txid",
        "lag_seconds",
        "wal_size",
        "total_wal_bytes",
        "restarts",
    }
    for url in ("/", "/status.json"):
        host, port = control.metrics_url(daemon)
        con = control.http.client.HTTPConnection(host, port, timeout=30)
        con.request("POST", url, b"{}")
        assert con.getresponse().status == 405
        con.close()
    assert control.scrape(daemon, "/status").status == 404
    daemon.stop()
