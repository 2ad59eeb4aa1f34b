"""s3place - a place in a bucket of an S3 server, seen from a test."""

import os
import sys
import urllib.parse

import disk
import httpfaults
import lib
import servers

sys.path.insert(0, servers.SCRIPTS)

import s3client  # noqa: E402  (found through the line above)


def client(server):
    e = server.env
    return s3client.S3(e["S3_ENDPOINT"], e["S3_KEY"], e["S3_SECRET"], e["S3_REGION"])


class Place:
    """A path in a bucket, reached through a proxy that counts and breaks requests."""

    made = 0

    def __init__(self, server):
        e = self.env = server.env
        Place.made += 1
        self.path = f"place-{os.getpid()}-{Place.made}"
        self.proxy = httpfaults.FaultProxy(e["S3_ENDPOINT"])
        self.s3 = client(server)
        self.bucket = e["S3_BUCKET"]

    def close(self):
        self.proxy.close()

    def replica(self, **more):
        e = self.env
        made = {
            "type": "s3",
            "bucket": self.bucket,
            "path": self.path,
            "region": e["S3_REGION"],
            "endpoint": self.proxy.url,
            "access-key-id": e["S3_KEY"],
            "secret-access-key": e["S3_SECRET"],
            "sync-interval": "20ms",
            **more,
        }
        return {k: v for k, v in made.items() if v is not None}

    def url(self, **more):
        query = {"endpoint": self.proxy.url, "region": self.env["S3_REGION"], **more}
        return f"s3://{self.bucket}/{self.path}?{urllib.parse.urlencode(query)}"

    @property
    def keys(self):
        """The environment of commands with a URL."""
        return {
            "AWS_ACCESS_KEY_ID": self.env["S3_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.env["S3_SECRET"],
        }

    def names(self, level=0):
        prefix = f"{self.path}/{level:04x}/"
        return sorted(k[len(prefix) :] for k in self.s3.keys(self.bucket, prefix))

    def has_all(self, db):
        names = self.names()
        local = disk.meta_folder(db)
        return (
            disk.has_all(db, local)
            and names
            and int(names[-1][17:33], 16) >= disk.newest_txid(local)
        )

    def wait_all(self, db, timeout=30):
        lib.wait_until(lambda: self.has_all(db), timeout, "everything to be in the bucket")

    def assert_restores(self, litestream, source, **more):
        path = litestream.restore(self.url(), env={**self.keys, **more})
        lib.assert_same(source, path)
        return path


def config(ledger, replica, **more):
    db = {"path": ledger.path, "monitor-interval": "20ms", "replica": replica}
    return {"dbs": [db], "shutdown-sync-timeout": "10s", **more}


def large(ledger, megabytes):
    """Bytes that cannot be made smaller."""
    for _ in range(megabytes):
        ledger.commit(1, fill_bytes=1 << 20)
