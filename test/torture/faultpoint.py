"""faultpoint - strikes at the N-th file call of litestream (faultpoint.c)."""

import mmap
import os
import re
import struct
from collections import namedtuple

KINDS = [
    "open",
    "create",
    "read",
    "write",
    "sync",
    "truncate",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "mmap",
    "stat",
    "list",
    "copy",
    "opendir",
]
COUNT, KILL, FAIL, TEAR, SHORT = range(5)
ALWAYS = 0xFFFFFFFF

# Of struct control; what is behind it are the events.
HEAD = struct.Struct("=12I240s")
EVENT = struct.Struct("=B191s")
MAX_EVENTS = 16384
MAGIC = 0x66617531
AT = {name: 4 * i for i, name in enumerate("magic on kinds action errno first last calls struck n_events struck_kind".split())}

Call = namedtuple("Call", "n kind path")


def mask(kinds):
    return sum(1 << KINDS.index(k) for k in kinds)


class Faultpoint:
    """One control file for the processes of one case; .env is what they are started with."""

    def __init__(self, path, root):
        with open(path, "wb") as f:
            f.truncate(HEAD.size + MAX_EVENTS * EVENT.size)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self._set("magic", MAGIC)
        sanitizer = os.environ.get("ASAN_OPTIONS", "exitcode=99:detect_stack_use_after_return=1")
        self.env = {
            "LD_PRELOAD": os.environ["FAULTPOINT_SO"],
            "FAULTPOINT_ROOT": str(root),
            "FAULTPOINT_CONTROL": str(path),
            # a sanitizer's runtime is the second library then, and does as well
            "ASAN_OPTIONS": sanitizer + ":verify_asan_link_order=0",
        }

    def _set(self, name, value):
        struct.pack_into("=I", self.map, AT[name], value)

    def _get(self, name):
        return struct.unpack_from("=I", self.map, AT[name])[0]

    def arm(self, action=COUNT, first=1, last=None, errno=0, kinds=KINDS):
        """From now on calls of these kinds are counted; those from first to last (first) are
        struck."""
        self._set("on", 0)
        for name in ("calls", "struck", "n_events"):
            self._set(name, 0)
        self._set("action", action)
        self._set("first", first)
        self._set("last", first if last is None else last)
        self._set("errno", errno)
        self._set("kinds", mask(kinds))
        self._set("on", 1)

    def off(self):
        self._set("on", 0)

    def struck(self):
        return self._get("struck")

    def struck_at(self):
        """(kind, path below the root) of the first call that was struck."""
        path = self.map[4 * 12 : HEAD.size].split(b"\0", 1)[0].decode()
        return KINDS[self._get("struck_kind")], path

    def calls(self):
        """All calls counted, in order."""
        n = self._get("n_events")
        assert n <= MAX_EVENTS
        found = []
        for i in range(n):
            kind, path = EVENT.unpack_from(self.map, HEAD.size + i * EVENT.size)
            found.append(Call(i + 1, KINDS[kind], path.split(b"\0", 1)[0].decode()))
        return found

    def close(self):
        self.map.close()


def site(call):
    """Calls of one site do the same to the same kind of file."""
    return call.kind, re.sub(r"[0-9a-f]{16}", "N", call.path)


def sample(calls, most, rnd):
    """At most so many of the calls: of each site one at least while there is room, then others
    at random. The numbers of the calls, in order."""
    sites = {}
    for c in calls:
        sites.setdefault(site(c), []).append(c.n)
    chosen = [rnd.choice(numbers) for numbers in sites.values()]
    rnd.shuffle(chosen)
    rest = sorted({c.n for c in calls} - set(chosen))
    rnd.shuffle(rest)
    return sorted((chosen + rest)[:most])
