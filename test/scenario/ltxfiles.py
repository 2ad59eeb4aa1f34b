"""ltxfiles - LTX files made by hand, for replicas that no daemon would leave so."""

import os
import struct

import disk
import lib


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0xD800000000000000 if n & 1 else n >> 1
        table.append(n)
    return table


TABLE = _crc_table()


def crc64(*parts):
    crc = (1 << 64) - 1
    for part in parts:
        for byte in part:
            crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ (1 << 64) - 1


def _uvarint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def _lz4_block(data):
    """One run of literals: valid, and longer than the data."""
    rest = len(data) - 15
    return b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + data


def encode(page_size, commit, low, high, pages, ms=1767225600000):
    """The bytes of a file with these pages, {number: bytes}."""
    head = disk.LTX_HEADER.pack(
        b"LTX1", 2, page_size, commit, low, high, ms, 0, 0, 0, 0, 0, 0
    ).ljust(disk.LTX_HEADER_SIZE, b"\0")
    hashed, body, index = [head], head, b""
    for pgno in sorted(pages):
        block = _lz4_block(pages[pgno])
        frame = struct.pack(">IHI", pgno, 1, len(block))
        hashed += [frame, pages[pgno]]
        index += _uvarint(pgno) + _uvarint(len(body)) + _uvarint(len(frame) + len(block))
        body += frame + block
    index += b"\0"
    tail = bytes(6) + index + struct.pack(">QQ", len(index), 0)
    return body + tail + struct.pack(">Q", crc64(*hashed, tail) | 1 << 63)


def path_of(replica, level, low, high):
    return os.path.join(str(replica), "ltx", str(level), f"{low:016x}-{high:016x}.ltx")


def put(replica, level, low, high, data):
    path = path_of(replica, level, low, high)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.rename(path + ".tmp", path)
    return path


def put_snapshot(replica, db, high, low=1, level=9):
    """The committed state of a database at rest, as what is on a replica after TXID high."""
    size, data = lib.image(db)
    pages = {n // size + 1: data[n : n + size] for n in range(0, len(data), size)}
    return put(replica, level, low, high, encode(size, len(pages), low, high, pages))
