"""A replica in a bucket: everything that a folder does, and what only buckets have."""

import contextlib
import os
import re
import signal
import time

import httpfaults as faults
import lib
import pytest
import s3place

SSE_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture(params=["rgw", "swift"])
def either(request):
    made = s3place.Place(request.getfixturevalue(request.param))
    yield made
    made.close()


# --- what a replica does ---------------------------------------------------------------------


def test_what_is_restored_equals_the_source_after_kills(litestream, ledger, either):
    ledger.commit(30, fill_bytes=4000)
    settings = s3place.config(
        ledger,
        either.replica(),
        levels=[{"interval": "200ms"}],
        snapshot={"interval": "1s"},
    )
    for _ in range(2):
        daemon = litestream.replicate(config=settings)
        daemon.wait_worker(ledger.path)
        ledger.commit(10, fill_bytes=3000)
        either.wait_all(ledger.path)
        ledger.commit(5)
        daemon.kill()
    daemon = litestream.replicate(config=settings)
    daemon.wait_worker(ledger.path)
    either.wait_all(ledger.path)
    lib.wait_until(lambda: either.names(1) and either.names(9), 30)
    daemon.stop()
    either.assert_restores(litestream, ledger.path)
    done = litestream.run("ltx", either.url(), env=either.keys)
    assert "0000000000000001" in done.stdout


def test_a_follower_keeps_up(litestream, ledger, bucket, tmp_path):
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    copy = str(tmp_path / "copy.db")
    follower = litestream.start(
        "restore", "-f", "-follow-interval", "50ms", "-o", copy, bucket.url(), env=bucket.keys
    )
    ledger.commit(5, fill_bytes=3000)
    lib.wait_until(lambda: os.path.exists(copy) and lib.Ledger.committed(copy) == ledger.n, 30)
    follower.stop()
    daemon.stop()


def test_a_moment_is_found_by_the_times_of_the_files(litestream, ledger, bucket):
    """The server's times are those of the uploads: all after the moment."""
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    ledger.commit(5)
    bucket.wait_all(ledger.path)
    then = ledger.n
    time.sleep(0.02)  # the clock has to go on between two files
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime()) + f"{time.time() % 1:.3f}Z"[2:]
    time.sleep(0.02)
    ledger.commit(5)
    bucket.wait_all(ledger.path)
    daemon.stop()
    for key in bucket.s3.keys(bucket.bucket, bucket.path):  # a bucket that was copied
        head = bucket.s3.head(bucket.bucket, key).headers
        kept = {"x-amz-meta-litestream-timestamp": head["x-amz-meta-litestream-timestamp"]}
        lost = key.endswith("3.ltx")
        bucket.s3.put(
            bucket.bucket, key, bucket.s3.get(bucket.bucket, key), {} if lost else kept
        ).ok()
    path = litestream.restore(bucket.url(), None, "-timestamp", moment, env=bucket.keys)
    assert lib.Ledger.committed(path) == then


def test_a_second_daemon_overwrites_nothing(litestream, ledger, either, tmp_path):
    first = litestream.replicate(config=s3place.config(ledger, either.replica()))
    ledger.commit(5)
    either.wait_all(ledger.path)
    other = lib.Ledger(tmp_path / "other.db")
    other.commit(3, fill_bytes=9000)
    second = litestream.replicate(config=s3place.config(other, either.replica()))
    either.wait_all(other.path)
    theirs = {k: either.s3.get(either.bucket, k) for k in either.s3.keys(either.bucket, either.path)}
    ledger.commit(5)
    first.wait_log("level=ERROR", 30)
    first.signal(signal.SIGTERM)
    assert first.wait() != 0
    for key, content in theirs.items():
        assert either.s3.get(either.bucket, key) == content, key
    second.stop()
    either.assert_restores(litestream, other.path)
    other.close()


def test_an_idle_replica_makes_no_request(litestream, ledger, bucket):
    settings = s3place.config(ledger, bucket.replica(), levels=[{"interval": "24h"}])
    daemon = litestream.replicate(config=settings)
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    lib.wait_until(lambda: bucket.names(9) and bucket.names(1), 30)  # what is due at first
    lib.wait_until(lambda: time.monotonic() - bucket.proxy.requests[-1].at > 1, 30)
    bucket.proxy.forget()
    time.sleep(3)  # more than a hundred intervals in which nothing may happen
    assert bucket.proxy.calls() == {}
    ledger.commit(1)
    bucket.wait_all(ledger.path)
    assert bucket.proxy.calls() == {"put": 1}
    daemon.stop()


# --- keys of a configuration -----------------------------------------------------------------


def test_a_key_of_ones_own_encrypts(litestream, ledger, bucket):
    daemon = litestream.replicate(
        config=s3place.config(ledger, bucket.replica(**{"sse-customer-key": SSE_KEY}))
    )
    s3place.large(ledger, 7)
    bucket.wait_all(ledger.path, 60)
    daemon.stop()
    assert not daemon.lines(re.escape(SSE_KEY))
    key = f"{bucket.path}/0000/{bucket.names()[0]}"
    assert bucket.s3.request("GET", f"/{bucket.bucket}/{key}").status == 400
    settings = s3place.config(ledger, bucket.replica(**{"sse-customer-key": SSE_KEY}))
    path = litestream.config(settings, "restore.yml")
    restored = litestream.restore(ledger.path, None, "-config", path)
    lib.assert_same(ledger.path, restored)


def test_what_is_configured_goes_out(litestream, ledger, bucket):
    more = {"storage-class": "STANDARD", "sse-kms-key-id": "key-1", "sign-payload": False}
    bucket.proxy.fail(faults.Status(200, headers={"ETag": '"x"'}), times=1, call="^put$")
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica(**more)))
    ledger.commit(1)
    lib.wait_until(lambda: bucket.proxy.count("put"), 30)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    sent = next(r for r in bucket.proxy.requests if r.call == "put").headers
    assert sent["x-amz-storage-class"] == "STANDARD"
    assert sent["x-amz-server-side-encryption"] == "aws:kms"
    assert sent["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
    assert sent["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", sent["x-amz-meta-litestream-timestamp"])
    assert "accept-encoding" not in sent


@pytest.mark.parametrize("with_md5", [True, False])
def test_deletions_carry_an_md5_unless_switched_off(litestream, ledger, bucket, with_md5):
    settings = s3place.config(
        ledger,
        bucket.replica(**{"require-content-md5": with_md5}),
        levels=[{"interval": "100ms"}],
        **{"l0-retention": "100ms", "l0-retention-check-interval": "100ms"},
    )
    daemon = litestream.replicate(config=settings)

    def deletes():
        ledger.commit(1)
        return bucket.proxy.count("delete-many")

    lib.wait_until(deletes, 30)
    daemon.stop()
    for r in bucket.proxy.requests:
        if r.call == "delete-many":
            assert ("content-md5" in r.headers) == with_md5
    bucket.assert_restores(litestream, ledger.path)


def test_what_a_server_does_not_delete_is_said(litestream, ledger, bucket):
    settings = s3place.config(
        ledger,
        bucket.replica(),
        levels=[{"interval": "100ms"}],
        **{"l0-retention": "100ms", "l0-retention-check-interval": "100ms"},
    )

    def refuse(body):
        return body.replace(
            b"<Deleted>", b"<Error><Code>AccessDenied</Code><Message>locked</Message>"
        ).replace(b"</Deleted>", b"</Error>")

    bucket.proxy.fail(faults.Garbled(refuse), call="^delete-many$")
    daemon = litestream.replicate(config=settings)
    ledger.commit(3)

    def said():
        ledger.commit(1)
        return daemon.lines("failed to delete files.*AccessDenied: locked")

    lib.wait_until(said, 30)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_a_server_without_batches_deletes_one_by_one(litestream, ledger, bucket):
    settings = s3place.config(
        ledger,
        bucket.replica(),
        levels=[{"interval": "100ms"}],
        **{"l0-retention": "100ms", "l0-retention-check-interval": "100ms"},
    )
    bucket.proxy.fail(faults.Status(501, "NotImplemented"), times=None, call="^delete-many$")
    daemon = litestream.replicate(config=settings)

    def deletes():
        ledger.commit(1)
        return bucket.proxy.count("delete") > 3

    lib.wait_until(deletes, 30)
    assert bucket.proxy.count("delete-many") == 1
    assert len(daemon.lines("deletes one object at a time")) == 1
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_a_certificate_is_checked(litestream, ledger, bucket, rgw, tmp_path):
    tls = {"endpoint": rgw["S3_TLS"]}
    daemon = litestream.replicate(
        config=s3place.config(
            ledger, bucket.replica(**tls), **{"shutdown-sync-timeout": "100ms"}
        )
    )
    ledger.commit(3)
    daemon.wait_log("certificate", 30)
    daemon.stop(status=1)
    daemon = litestream.replicate(
        config=s3place.config(ledger, bucket.replica(**tls)), env={"AWS_CA_BUNDLE": rgw["S3_CA"]}
    )
    bucket.wait_all(ledger.path)
    daemon.stop()
    daemon = litestream.replicate(
        config=s3place.config(ledger, bucket.replica(**{**tls, "skip-verify": True}))
    )
    ledger.commit(3)
    bucket.wait_all(ledger.path)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_a_replica_without_a_path_is_warned_about(litestream, ledger, bucket):
    with contextlib.suppress(AssertionError):
        bucket.s3.empty(bucket.bucket, "/0")
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica(path=None)))
    ledger.commit(3)
    daemon.wait_log("has no path in its bucket.*key=/0000/")
    lib.wait_until(lambda: bucket.s3.keys(bucket.bucket, "/0000/"), 30)
    daemon.stop()
    url = f"s3://{bucket.bucket}/?endpoint={bucket.proxy.url}&region={bucket.env['S3_REGION']}"
    lib.assert_same(ledger.path, litestream.restore(url, env=bucket.keys))
