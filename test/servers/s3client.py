"""s3client - signed requests to an S3 server, with the standard library only.

    s3client.py mkbucket ENDPOINT KEY SECRET REGION BUCKET

makes a bucket, which is also how the scripts of this folder find out that a server is ready.
"""

import datetime
import hashlib
import hmac
import http.client
import ssl
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def xml(self):
        """The document without namespaces."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def ok(self):
        assert self.status // 100 == 2, f"{self.status} {self.body[:300]!r}"
        return self


class S3:
    """One server with one pair of keys, path style."""

    def __init__(self, endpoint, key, secret, region, ca=None):
        self.url = urllib.parse.urlsplit(endpoint)
        self.key, self.secret, self.region, self.ca = key, secret, region, ca

    def request(self, method, path, query=(), body=b"", headers=(), service="s3"):
        path = urllib.parse.quote(path, safe="/~")
        query = "&".join(
            f"{urllib.parse.quote(n, safe='~')}={urllib.parse.quote(v, safe='~')}"
            for n, v in sorted(dict(query).items())
        )
        headers = self._sign(method, path, query, body, dict(headers), service)
        connection = self._connect()
        try:
            connection.request(method, path + ("?" + query if query else ""), body, headers)
            got = connection.getresponse()
            return Answer(got.status, dict(got.headers), got.read())
        finally:
            connection.close()

    def _connect(self):
        host, port = self.url.hostname, self.url.port
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(host, port, timeout=30, context=context)
        return http.client.HTTPConnection(host, port, timeout=30)

    def _sign(self, method, path, query, body, headers, service):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        hashed = hashlib.sha256(body).hexdigest()
        headers = {n.lower(): v for n, v in headers.items()}
        headers.update({"host": self.url.netloc, "x-amz-content-sha256": hashed})
        headers["x-amz-date"] = now
        names = ";".join(sorted(headers))
        lines = "".join(f"{n}:{headers[n]}\n" for n in sorted(headers))
        canonical = "\n".join([method, path, query, lines, names, hashed])
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(
            ["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()]
        )
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        return headers

    # what tests ask for

    def make_bucket(self, bucket):
        answer = self.request("PUT", f"/{bucket}")
        assert answer.status in (200, 409), f"{answer.status} {answer.body!r}"

    def keys(self, bucket, prefix=""):
        """{key: size} of all objects below a prefix."""
        found, query = {}, {"list-type": "2", "prefix": prefix}
        while True:
            root = self.request("GET", f"/{bucket}", query).ok().xml()
            for entry in root.iter("Contents"):
                found[entry.findtext("Key")] = int(entry.findtext("Size"))
            if root.findtext("IsTruncated") != "true":
                return found
            query["continuation-token"] = root.findtext("NextContinuationToken")

    def uploads(self, bucket):
        """[(key, upload id)] of multipart uploads that were begun and not ended."""
        root = self.request("GET", f"/{bucket}", {"uploads": ""}).ok().xml()
        return [(u.findtext("Key"), u.findtext("UploadId")) for u in root.iter("Upload")]

    def get(self, bucket, key):
        return self.request("GET", f"/{bucket}/{key}").ok().body

    def head(self, bucket, key):
        return self.request("HEAD", f"/{bucket}/{key}")

    def put(self, bucket, key, body, headers=()):
        return self.request("PUT", f"/{bucket}/{key}", body=body, headers=headers)

    def delete(self, bucket, key):
        return self.request("DELETE", f"/{bucket}/{key}").ok()

    def empty(self, bucket, prefix=""):
        for key in self.keys(bucket, prefix):
            self.delete(bucket, key)
        for key, upload in self.uploads(bucket):
            if key.startswith(prefix):
                self.request("DELETE", f"/{bucket}/{key}", {"uploadId": upload})


if __name__ == "__main__":
    if len(sys.argv) != 7 or sys.argv[1] != "mkbucket":
        sys.exit("usage: s3client.py mkbucket ENDPOINT KEY SECRET REGION BUCKET")
    S3(*sys.argv[2:6]).make_bucket(sys.argv[6])
