"""A replica in a bucket behind a network and a server that fail."""

import re
import time

import control
import httpfaults as faults
import lib
import pytest
import s3place

# --- faults ----------------------------------------------------------------------------------

PUT_FAULTS = {
    "cut before": faults.Reset(),
    "cut inside": faults.Reset(after=100),
    "answer lost": faults.LostAnswer(),
    "500": faults.Status(500, "InternalError"),
    "503": faults.Status(503, "SlowDown"),
    "503 and a time": faults.Status(503, "SlowDown", retry_after=1),
    "429 without words": faults.Status(429, retry_after=0),
    "a proxy's page": faults.Status(502, body="<html><body>Bad Gateway</body></html>"),
    "408": faults.Status(408),
    "damaged on the way": faults.Status(400, "BadDigest"),
    "in the way of another": faults.Status(409, "ConditionalRequestConflict"),
}


@pytest.mark.parametrize("what", PUT_FAULTS)
def test_an_upload_that_fails_is_tried_again(litestream, ledger, bucket, what):
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    rule = bucket.proxy.fail(PUT_FAULTS[what], call="^put$")
    ledger.commit(3, fill_bytes=3000)
    bucket.wait_all(ledger.path)
    assert rule.hits == 1
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_an_upload_that_is_not_allowed_is_said(litestream, ledger, bucket):
    config = s3place.config(ledger, bucket.replica())
    daemon = litestream.replicate(config={"addr": "127.0.0.1:0", **config})
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    bucket.proxy.fail(faults.Status(403, "AccessDenied", "no"), times=None, call="^put$")
    ledger.commit(3)
    line = daemon.wait_log("monitor error.*PutObject.*AccessDenied: no", 30)
    assert "allow s3:PutObject on arn:aws:s3:::" in line
    errors = (
        "litestream_replica_operation_errors_total"
        '{replica_type="s3",operation="PUT",code="AccessDenied"}'
    )

    def counted():
        return control.samples(control.scrape(daemon).text).get(errors)

    n = lib.wait_until(counted, what=errors)
    lib.wait_until(lambda: counted() > n, what="the next attempt")
    bucket.proxy.heal()
    bucket.wait_all(ledger.path, 60)
    daemon.stop()


def test_a_server_that_does_not_know_conditions_is_told_so(litestream, ledger, bucket):
    bucket.proxy.fail(
        faults.Status(501, "NotImplemented", "A header you provided implies functionality"),
        times=None,
        call="^put$",
        headers="if-none-match",
    )
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    daemon.wait_log("replaces objects that are to be new", count=1)
    assert len(daemon.lines("replaces objects that are to be new")) == 1
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


GET_FAULTS = {
    "cut": ("get", faults.Reset()),
    "truncated": ("get", faults.Truncated(after=1500)),
    "shorter than said": ("get", faults.WrongLength(drop=3)),
    "503": ("get", faults.Status(503, "SlowDown", retry_after=1)),
    "404 of a proxy": ("list", faults.Status(502, body="<html>")),
    "a list that breaks off": ("list", faults.Truncated(after=300)),
    "a list that is garbled": ("list", faults.Garbled(lambda b: b[:200] + b"<<<>>>")),
    "a list of something else": ("list", faults.Status(200, body="<html><body>Hello</body></html>")),
    "a clock that differs": (
        "list",
        faults.Status(
            403,
            "RequestTimeTooSkewed",
            headers={"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())},
        ),
    ),
}


@pytest.fixture(scope="module")
def filled(rgw, tmp_path_factory):
    """A replica to be restored, and its source."""
    folder = tmp_path_factory.mktemp("filled")
    book = lib.Ledger(folder / "app.db")
    place = s3place.Place(rgw)
    runner = lib.Litestream(folder)
    daemon = runner.replicate(config=s3place.config(book, place.replica()))
    book.commit(20, fill_bytes=30000)
    place.wait_all(book.path)
    daemon.stop()
    yield place, book
    book.close()
    place.close()


@pytest.mark.parametrize("what", GET_FAULTS)
def test_a_restore_survives(litestream, filled, what):
    place, book = filled
    call, fault = GET_FAULTS[what]
    rule = place.proxy.fail(fault, call=f"^{call}$")
    place.assert_restores(litestream, book.path)
    assert rule.hits == 1
    place.proxy.heal()


def test_a_list_that_stays_garbled_is_an_error(litestream, filled, tmp_path):
    place, _ = filled
    place.proxy.fail(faults.Garbled(lambda b: b"<x/>"), times=None, call="^list$")
    out = tmp_path / "out.db"
    done = litestream.run("restore", "-o", out, place.url(), env=place.keys, status=1)
    assert "ListObjectsV2" in done.stderr + done.stdout
    assert not out.exists()
    place.proxy.heal()


# --- large files -----------------------------------------------------------------------------


def test_a_large_file_goes_up_in_parts_and_leaves_nothing_behind(litestream, ledger, bucket):
    s3place.large(ledger, 17)
    bucket.proxy.fail(faults.Status(503, "SlowDown"), call="^part$", skip=1)
    bucket.proxy.fail(faults.Reset(after=100000), call="^part$", skip=1)
    bucket.proxy.fail(faults.LostAnswer(), call="^complete$")
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    bucket.wait_all(ledger.path, 60)
    lib.wait_until(lambda: bucket.names(9), 60)
    daemon.stop()
    assert bucket.proxy.calls()["part"] >= 6
    assert [u for u in bucket.s3.uploads(bucket.bucket) if u[0].startswith(bucket.path)] == []
    bucket.assert_restores(litestream, ledger.path)


def test_an_upload_that_cannot_be_finished_is_aborted(litestream, ledger, bucket):
    s3place.large(ledger, 8)
    bucket.proxy.fail(faults.Status(403, "AccessDenied"), times=1, call="^part$")
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    daemon.wait_log("UploadPart.*AccessDenied", 30)
    lib.wait_until(lambda: bucket.proxy.count("abort") > 0, 30)
    bucket.wait_all(ledger.path, 60)
    daemon.stop()
    assert [u for u in bucket.s3.uploads(bucket.bucket) if u[0].startswith(bucket.path)] == []


def test_uploads_that_were_abandoned_long_ago_are_removed(litestream, ledger, bucket):
    def begin(name):
        key = f"{bucket.path}/{name}"
        bucket.s3.request("POST", f"/{bucket.bucket}/{key}", {"uploads": ""}).ok()
        return key

    ours = begin("0009/0000000000000001-0000000000000007.ltx")
    others = begin("0009/backup.tar")

    def older(body):
        return re.sub(rb"<Initiated>\d{4}", b"<Initiated>2020", body)

    s3place.large(ledger, 8)
    bucket.proxy.fail(faults.Garbled(older), call="^uploads$")
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    assert ours in daemon.wait_log("abandoned upload removed", 30)
    bucket.wait_all(ledger.path, 60)
    daemon.stop()
    left = [k for k, _ in bucket.s3.uploads(bucket.bucket) if k.startswith(bucket.path)]
    assert left == [others]


# --- standing still --------------------------------------------------------------------------


def test_a_request_that_stands_still_holds_up_nothing_else(litestream, ledger, bucket, tmp_path):
    other = lib.Ledger(tmp_path / "other.db")
    settings = s3place.config(ledger, bucket.replica(), **{"shutdown-sync-timeout": "300ms"})
    settings["dbs"].append(
        {
            "path": other.path,
            "monitor-interval": "20ms",
            "replica": bucket.replica(path=bucket.path + "-other"),
        }
    )
    daemon = litestream.replicate(config=settings)
    ledger.commit(1)
    bucket.wait_all(ledger.path)
    stall = faults.Stall()
    bucket.proxy.fail(stall, times=None, path=f"{bucket.path}/", method="PUT")
    ledger.commit(1)
    assert stall.reached.wait(30)
    other.commit(3)
    prefix = f"{bucket.path}-other/0000/"
    lib.wait_until(lambda: bucket.s3.keys(bucket.bucket, prefix), 30)
    daemon.stop(status=1)  # in time: what stands still is given up
    bucket.proxy.heal()
    settings["shutdown-sync-timeout"] = "10s"
    daemon = litestream.replicate(config=settings)
    daemon.wait_worker(ledger.path)  # what stood still may be there already
    bucket.wait_all(ledger.path)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)
    other.close()


def test_a_stop_in_the_middle_of_parts_leaves_no_upload(litestream, ledger, bucket):
    s3place.large(ledger, 12)
    stall = faults.Stall()
    bucket.proxy.fail(stall, times=None, call="^part$", skip=1)
    settings = s3place.config(ledger, bucket.replica(), **{"shutdown-sync-timeout": "300ms"})
    daemon = litestream.replicate(config=settings)
    assert stall.reached.wait(30)
    daemon.stop(status=1)
    assert bucket.proxy.count("abort") > 0
    bucket.proxy.heal()
    left = [u for u in bucket.s3.uploads(bucket.bucket) if u[0].startswith(bucket.path + "/")]
    assert left == []
    settings["shutdown-sync-timeout"] = "10s"
    daemon = litestream.replicate(config=settings)
    daemon.wait_worker(ledger.path)  # what stood still may be there already
    bucket.wait_all(ledger.path, 60)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)
