"""A Swift cluster of one disk with the S3 API, all on 127.0.0.1: swift_cluster.py FOLDER PORT

SWIFT_S3API: more lines for [filter:s3api]; SWIFT_LOG: level of the log (WARNING). The four
servers are children of this process and end with it.
"""

import os
import pwd
import signal
import socket
import sys
import types

from swift.common import utils
from swift.common.ring import RingBuilder

KINDS = ("account", "container", "object")
FILTERS = (
    "catch_errors gatekeeper listing_formats cache bulk s3api tempauth copy slo dlo "
    "versioned_writes symlink"
).split()


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def common(top, port):
    return "\n".join(
        [
            "[DEFAULT]",
            "bind_ip = 127.0.0.1",
            f"bind_port = {port}",
            "workers = 0",
            "log_level = " + os.environ.get("SWIFT_LOG", "WARNING"),
            "user = " + pwd.getpwuid(os.getuid()).pw_name,
            f"swift_dir = {top}",
            "",
        ]
    )


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def write_storage(top, kind, port):
    """The configuration of a storage server, and the ring that leads to its one disk."""
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "ip": "127.0.0.1",
            "port": port,
            "device": "d1",
            "weight": 1,
        }
    )
    builder.rebalance()
    builder.get_ring().save(f"{top}/{kind}.ring.gz")
    write(
        f"{top}/{kind}-server.conf",
        common(top, port)
        + f"devices = {top}/dev\nmount_check = false\ndisable_fallocate = true\n"
        + f"fallocate_reserve = 0\n[pipeline:main]\npipeline = {kind}-server\n"
        + f"[app:{kind}-server]\nuse = egg:swift#{kind}\n",
    )


def write_proxy(top, port):
    more = {
        "s3api": "location = us-east-1\n" + os.environ.get("SWIFT_S3API", ""),
        "tempauth": "user_test_tester = testing .admin\nuser_test_other = otherkey",
        "versioned_writes": "allow_object_versioning = true",
    }
    text = common(top, port)
    text += "[pipeline:main]\npipeline = " + " ".join(FILTERS) + " proxy-server\n"
    text += "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    for name in FILTERS:
        use = "egg:swift#" + name
        if name == "cache":
            text += "[filter:cache]\npaste.filter_factory = null_cache:factory\n"
        else:
            text += f"[filter:{name}]\nuse = {use}\n{more.get(name, '')}\n"
    write(top + "/proxy-server.conf", text)


class NoCache:
    """s3api insists on a memcache; this one remembers nothing."""

    def __getattr__(self, name):
        return lambda *args, **more: None


def no_cache_factory(_conf, **_more):
    def wrap(app):
        def call(environ, start):
            environ["swift.cache"] = NoCache()
            return app(environ, start)

        return call

    return wrap


def start(top, kind):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        from swift.common.wsgi import run_wsgi  # patches what it finds: not before the fork

        sys.exit(run_wsgi(f"{top}/{kind}-server.conf", kind + "-server", verbose=True))
    return pid


def main(top, port):
    top = os.path.abspath(top)
    os.makedirs(top + "/dev/d1")
    write(
        top + "/swift.conf",
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n",
    )
    for kind, free in zip(KINDS, free_ports(len(KINDS))):
        write_storage(top, kind, free)
    write_proxy(top, port)
    utils.set_swift_dir(top)  # else the swift.conf of the system is read
    sys.modules["null_cache"] = module = types.ModuleType("null_cache")
    module.factory = no_cache_factory

    pids = [start(top, kind) for kind in (*KINDS, "proxy")]

    def end(*_):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for pid in pids:
        os.waitpid(pid, 0)
        end()  # when one ends, all do


main(sys.argv[1], int(sys.argv[2]))
