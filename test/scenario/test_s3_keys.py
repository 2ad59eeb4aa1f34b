"""A replica in a bucket with keys that are wrong, missing, fetched from somewhere or old."""

import os

import httpfaults as faults
import lib
import metadata
import pytest
import s3place

# --- what is wrong ---------------------------------------------------------------------------

WRONG = {
    "secret": ({"secret-access-key": "wrong one"}, "SignatureDoesNotMatch"),
    "key": ({"access-key-id": "NOSUCHKEY"}, "InvalidAccessKeyId"),
    "account": (
        {"access-key-id": "OTHERKEY", "secret-access-key": "OTHERSECRET"},
        "AccessDenied.*allow s3:",
    ),
    "bucket": ({"bucket": "no-such-bucket"}, "NoSuchBucket.*create the bucket no-such-bucket"),
    "part size": ({"part-size": "1MB"}, "part size must be at least 5242880 bytes"),
    "port": ({"endpoint": "http://127.0.0.1:1"}, "127.0.0.1:1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_and_replication_goes_on_when_it_is_right(
    litestream, ledger, bucket, what
):
    wrong, words = WRONG[what]
    ledger.commit(3)
    daemon = litestream.replicate(
        config=s3place.config(ledger, bucket.replica(**wrong), **{"shutdown-sync-timeout": "100ms"})
    )
    daemon.wait_log(words, 30)
    assert not daemon.lines("wrong one")
    ledger.commit(3)
    daemon.stop(status=1)
    daemon = litestream.replicate(config=s3place.config(ledger, bucket.replica()))
    bucket.wait_all(ledger.path)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_a_wrong_region_is_corrected(litestream, ledger, swift):
    place = s3place.Place(swift)
    daemon = litestream.replicate(config=s3place.config(ledger, place.replica(region="eu-west-9")))
    ledger.commit(3)
    place.wait_all(ledger.path)
    assert "region=us-east-1" in daemon.wait_log("bucket is in another region")
    daemon.stop()
    place.assert_restores(litestream, ledger.path)
    place.close()


def test_commands_say_what_is_wrong(litestream, bucket, tmp_path):
    out = tmp_path / "out.db"
    wrong = {**bucket.keys, "AWS_SECRET_ACCESS_KEY": "wrong one"}
    done = litestream.run("restore", "-o", out, bucket.url(), env=wrong, status=1)
    assert "SignatureDoesNotMatch" in done.stderr + done.stdout
    assert "wrong one" not in done.stderr + done.stdout
    none = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    done = litestream.run("ltx", bucket.url(), env=none, status=1)
    assert "access-key-id" in done.stderr + done.stdout
    done = litestream.run("restore", "-o", out, bucket.url(), env=bucket.keys, status=1)
    assert "no matching backup" in done.stderr + done.stdout
    assert not out.exists()


# --- where keys come from --------------------------------------------------------------------


@pytest.fixture
def services(rgw_sts):
    made = metadata.Metadata()
    made.credentials = lambda: session(rgw_sts)
    yield made
    made.close()


@pytest.fixture
def there(rgw_sts):
    made = s3place.Place(rgw_sts)
    yield made
    made.close()


def session(rgw):
    """Temporary credentials of the server itself."""
    s3 = s3place.client(rgw)
    form = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": rgw["S3_ROLE"],
        "RoleSessionName": "test",
    }
    root = s3.request("POST", "/", form, service="sts").ok().xml()
    found = next(root.iter("Credentials"))
    return tuple(found.findtext(n) for n in ("AccessKeyId", "SecretAccessKey", "SessionToken"))


def without_keys(bucket):
    return bucket.replica(**{"access-key-id": None, "secret-access-key": None})


def instance(services, tmp_path):
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": services.url}


def container(services, tmp_path):
    services.container_token = "let me in"
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": services.url + "/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in",
    }


def web_identity(services, tmp_path):
    services.web_identity = "a token of the cluster"
    token = tmp_path / "token"
    token.write_text(services.web_identity)
    return {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
        "AWS_ENDPOINT_URL_STS": services.url + "/sts",
    }


@pytest.mark.parametrize("source", [instance, container, web_identity])
def test_keys_are_fetched_and_renewed(litestream, ledger, there, services, tmp_path, source):
    env = {"HOME": str(tmp_path), **source(services, tmp_path)}
    services.lifetime = 2  # seconds: they are renewed while this runs
    daemon = litestream.replicate(config=s3place.config(ledger, without_keys(there)), env=env)
    asked = set()

    def renewed():
        ledger.commit(1)
        asked.update(r.headers.get("x-amz-security-token") for r in list(there.proxy.requests))
        return len(asked) >= 3

    lib.wait_until(renewed, 30)
    there.wait_all(ledger.path)
    daemon.stop()
    assert None not in asked
    text = daemon.output()
    assert not any(token in text for token in asked)
    there.assert_restores(litestream, ledger.path)


def test_keys_that_are_refused_are_fetched_anew(litestream, ledger, there, services, tmp_path):
    env = {"HOME": str(tmp_path), **instance(services, tmp_path)}
    daemon = litestream.replicate(config=s3place.config(ledger, without_keys(there)), env=env)
    ledger.commit(3)
    there.wait_all(ledger.path)
    before = services.count("GET")
    there.proxy.fail(faults.Status(400, "ExpiredToken", "the token has expired"), call="^put$")
    ledger.commit(3)
    there.wait_all(ledger.path)
    assert services.count("GET") > before
    assert not daemon.lines("level=ERROR")
    daemon.stop()


def test_keys_of_shared_files_may_be_corrected(litestream, ledger, bucket, tmp_path):
    path = tmp_path / "credentials"

    def write(secret):
        new = tmp_path / "credentials.new"
        new.write_text(
            f"[default]\naws_access_key_id = {bucket.env['S3_KEY']}\n"
            f"aws_secret_access_key = {secret}\n"
        )
        os.rename(new, path)

    write("not-yet")
    env = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(path)}
    daemon = litestream.replicate(config=s3place.config(ledger, without_keys(bucket)), env=env)
    ledger.commit(3)
    daemon.wait_log("SignatureDoesNotMatch", 30)
    write(bucket.env["S3_SECRET"])
    bucket.wait_all(ledger.path, 60)
    daemon.stop()
    bucket.assert_restores(litestream, ledger.path)


def test_no_keys_anywhere_is_said(litestream, ledger, bucket, tmp_path):
    env = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    settings = s3place.config(ledger, without_keys(bucket), **{"shutdown-sync-timeout": "100ms"})
    daemon = litestream.replicate(config=settings, env=env)
    ledger.commit(1)
    daemon.wait_log("access-key-id", 30)
    daemon.stop(status=1)
    assert bucket.proxy.count() == 0
