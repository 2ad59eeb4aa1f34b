"""What the scenarios of object stores stand on: real S3 servers, a proxy that breaks things,
and stand-ins for metadata services. Each has to do what it says."""

import http.client
import os
import sys
import threading
import urllib.parse
import urllib.request

import httpfaults
import lib
import metadata
import pytest
import servers

sys.path.insert(0, servers.SCRIPTS)

import s3client  # noqa: E402  (found through the line above)


@pytest.fixture(scope="module", params=["rgw.sh", "swift.sh"])
def server(request):
    made = servers.Server(request.param)
    yield made
    made.stop()


@pytest.fixture
def proxy(server):
    made = httpfaults.FaultProxy(server["S3_ENDPOINT"])
    yield made
    made.close()


def client(server, endpoint=None, who="S3"):
    e = server.env
    return s3client.S3(
        endpoint or e["S3_ENDPOINT"], e[who + "_KEY"], e[who + "_SECRET"], e["S3_REGION"]
    )


def test_servers_store_and_refuse(server):
    s3, bucket = client(server), server["S3_BUCKET"]
    body = os.urandom(100000)
    s3.put(bucket, "a b/1+2", body).ok()
    assert s3.get(bucket, "a b/1+2") == body
    assert s3.keys(bucket, "a b/") == {"a b/1+2": len(body)}
    other = client(server, who="S3_OTHER")
    assert other.request("GET", f"/{bucket}", {"list-type": "2"}).status == 403
    wrong = s3client.S3(server["S3_ENDPOINT"], s3.key, "wrong", s3.region)
    assert wrong.request("GET", f"/{bucket}", {"list-type": "2"}).status == 403
    s3.empty(bucket)
    assert s3.keys(bucket) == {}


def test_what_is_not_broken_goes_through(server, proxy):
    s3, bucket = client(server, proxy.url), server["S3_BUCKET"]
    body = os.urandom(1 << 20)
    s3.put(bucket, "k", body).ok()
    assert s3.get(bucket, "k") == body
    assert s3.head(bucket, "k").headers["Content-Length"] == str(len(body))
    assert list(s3.keys(bucket)) == ["k"]
    s3.delete(bucket, "k")
    assert proxy.calls() == {"put": 1, "get": 1, "head": 1, "list": 1, "delete": 1}
    proxy.forget()
    assert proxy.count() == 0


def test_each_fault_is_as_described(server, proxy):
    s3, bucket = client(server, proxy.url), server["S3_BUCKET"]
    s3.put(bucket, "k", b"0123456789" * 100).ok()

    proxy.fail(httpfaults.Status(503, "SlowDown", retry_after=7), method="GET")
    answer = s3.request("GET", f"/{bucket}/k")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert answer.xml().findtext("Code") == "SlowDown"
    assert s3.request("GET", f"/{bucket}/k").status == 200

    proxy.fail(httpfaults.Reset(), call="get")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        s3.get(bucket, "k")

    proxy.fail(httpfaults.LostAnswer(), call="put")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        s3.put(bucket, "lost", b"but stored")
    assert s3.get(bucket, "lost") == b"but stored"

    proxy.fail(httpfaults.Reset(after=10), call="put")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        s3.put(bucket, "half", b"x" * 1000000)
    assert "half" not in s3.keys(bucket)

    proxy.fail(httpfaults.Truncated(after=100), call="get")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        s3.get(bucket, "k")

    proxy.fail(httpfaults.WrongLength(drop=3), call="get")
    assert len(s3.get(bucket, "k")) == 997

    proxy.fail(httpfaults.Garbled(lambda b: b[:50] + b"<<<"), call="list")
    assert s3.request("GET", f"/{bucket}", {"list-type": "2"}).body.endswith(b"<<<")

    proxy.fail(httpfaults.Slow(piece=200, pause=0.01), call="get")
    assert len(s3.get(bucket, "k")) == 1000

    stall = httpfaults.Stall()
    proxy.fail(stall, call="get")
    got = []
    waiting = threading.Thread(target=lambda: got.append(s3.get(bucket, "k")))
    waiting.start()
    assert stall.reached.wait(10 * lib.SLOW)
    assert got == []
    stall.release()
    waiting.join(10 * lib.SLOW)
    assert len(got) == 1
    s3.empty(bucket)


def test_rules_count_and_skip(server, proxy):
    s3, bucket = client(server, proxy.url), server["S3_BUCKET"]
    rule = proxy.fail(httpfaults.Status(500), times=2, skip=1, call="list")
    seen = [s3.request("GET", f"/{bucket}", {"list-type": "2"}).status for _ in range(4)]
    assert seen == [200, 500, 500, 200]
    assert rule.hits == 2
    proxy.fail(httpfaults.Status(500), times=None)
    assert s3.request("GET", f"/{bucket}", {"list-type": "2"}).status == 500
    proxy.heal()
    assert s3.request("GET", f"/{bucket}", {"list-type": "2"}).status == 200


@pytest.fixture
def services():
    made = metadata.Metadata()
    made.credentials = ("K", "S", "T")
    yield made
    made.close()


def ask(services, method, path, headers=(), form=None):
    body = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(
        services.url + path, body, dict(headers), method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_instance_metadata_wants_a_token(services):
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    role = "/latest/meta-data/iam/security-credentials/"
    assert ask(services, "GET", role)[0] == 401
    assert ask(services, "PUT", "/latest/api/token")[0] == 400
    assert ask(services, "PUT", "/latest/api/token", {**ttl, "X-Forwarded-For": "1"})[0] == 403
    status, token = ask(services, "PUT", "/latest/api/token", ttl)
    assert status == 200
    given = {"X-aws-ec2-metadata-token": token}
    assert ask(services, "GET", role, given) == (200, metadata.ROLE)
    assert '"AccessKeyId": "K"' in ask(services, "GET", role + metadata.ROLE, given)[1]
    services.forget_tokens()
    assert ask(services, "GET", role, given)[0] == 401


def test_containers_and_sts_check_what_they_are_sent(services):
    services.container_token = "Bearer x"
    services.web_identity = "jwt"
    assert ask(services, "GET", "/container")[0] == 401
    assert ask(services, "GET", "/container", {"Authorization": "Bearer x"})[0] == 200
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/x",
        "RoleSessionName": "s",
        "WebIdentityToken": "jwt",
    }
    assert "<AccessKeyId>K</AccessKeyId>" in ask(services, "POST", "/sts/", form=form)[1]
    for name in form:
        wrong = {**form, name: "" if name == "RoleSessionName" else "wrong"}
        assert ask(services, "POST", "/sts/", form=wrong)[0] == 400, name
    assert ask(services, "POST", "/sts/", {"Authorization": "AWS4"}, form)[0] == 400
