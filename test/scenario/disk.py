"""disk - what stands in WAL and LTX files, read without SQLite and without litestream.

Only the WAL and LTX files are opened here: to open and close a database or its -shm by hand in
a process that also has it open through SQLite would drop that process's locks.
"""

import os
import struct
from collections import namedtuple

WAL_HEADER = struct.Struct(">8I")
WAL_FRAME = struct.Struct(">6I")
LTX_HEADER = struct.Struct(">4sIIIQQQQqqIIQ")
LTX_HEADER_SIZE = 100
LTX_TAIL = struct.Struct(">QQQ")  # index size, post-apply checksum, file checksum

Place = namedtuple("Place", "salts end")  # a generation, and a byte of it
Ltx = namedtuple("Ltx", "name min_txid max_txid size commit page_size timestamp_ms place pages")


def wal_size(db):
    """Bytes of the -wal file, 0: there is none."""
    try:
        return os.stat(f"{db}-wal").st_size
    except FileNotFoundError:
        return 0


def wal_place(db):
    """Where the last commit of the current generation ends; None: no WAL, or no commit in it.

    Frames are told apart by their salts alone: good for writers that have come to rest and
    did not roll back a transaction that had spilled."""
    try:
        with open(f"{db}-wal", "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return None
    if len(data) < WAL_HEADER.size:
        return None
    page_size, salts = (lambda h: (h[2], h[4:6]))(WAL_HEADER.unpack_from(data))
    at, end = WAL_HEADER.size, None
    while at + WAL_FRAME.size + page_size <= len(data):
        frame = WAL_FRAME.unpack_from(data, at)
        if frame[2:4] != salts:
            break
        at += WAL_FRAME.size + page_size
        if frame[1] != 0:
            end = at
    return Place(salts, end) if end is not None else None


def _uvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def read_ltx(path):
    """Header and page numbers of one file."""
    with open(path, "rb") as f:
        data = f.read()
    magic, _, page_size, commit, low, high, ms, _, off, size, s1, s2, _ = LTX_HEADER.unpack_from(
        data
    )
    assert magic == b"LTX1", path
    (index_size, _, _) = LTX_TAIL.unpack_from(data, len(data) - LTX_TAIL.size)
    at = len(data) - LTX_TAIL.size - index_size
    pages = []
    while data[at] != 0:
        pgno, at = _uvarint(data, at)
        _, at = _uvarint(data, at)
        _, at = _uvarint(data, at)
        pages.append(pgno)
    place = Place((s1, s2), off + size)
    name = os.path.basename(path)
    return Ltx(name, low, high, len(data), commit, page_size, ms, place, pages)


def is_image(ltx):
    """It holds the whole database."""
    lock_page = 0x40000000 // ltx.page_size + 1
    return len(ltx.pages) == ltx.commit - (1 if ltx.commit >= lock_page else 0)


def level_names(folder, level=0):
    """Names of the LTX files of a level of a replica or of a local folder, in order."""
    try:
        names = os.listdir(os.path.join(str(folder), "ltx", str(level)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(n for n in names if n.endswith(".ltx"))


def level(folder, number=0):
    """All LTX files of a level."""
    return [
        read_ltx(os.path.join(str(folder), "ltx", str(number), n))
        for n in level_names(folder, number)
    ]


def newest_txid(folder):
    names = level_names(folder)
    return int(names[-1][17:33], 16) if names else 0


def newest(folder):
    names = level_names(folder)
    return read_ltx(os.path.join(str(folder), "ltx", "0", names[-1])) if names else None


def assert_chain(folder):
    """Level 0 holds every TXID once, from 1 on, the first as a full image."""
    names = level_names(folder)
    assert names == [f"{i:016x}-{i:016x}.ltx" for i in range(1, len(names) + 1)]
    if names:
        assert is_image(read_ltx(os.path.join(str(folder), "ltx", "0", names[0])))


def images(folder):
    """Names of the L0 files that hold the whole database. A database of a page or two is its
    own image in every file: fill it first."""
    return [f.name for f in level(folder) if is_image(f)]


def meta_folder(db):
    """Where litestream keeps its local files of a database."""
    folder, name = os.path.split(str(db))
    return os.path.join(folder, f".{name}-litestream")


def has_all(db, folder):
    """Everything that is committed in the WAL is in the LTX files of a folder. For writers at
    rest."""
    place = wal_place(db)
    last = newest(folder)
    return (
        place is not None
        and last is not None
        and last.place.salts == place.salts
        and last.place.end >= place.end
    )
