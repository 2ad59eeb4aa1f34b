"""Replicas and LTX files that Litestream has written come back as they are stated to be."""

import os
import shutil
import struct

import fixtures
import lib
import pytest

VFS = "replicas/v05-vfs"


def stated_vfs():
    """(folder, TXID, header time, image, dump) of every state of v05-vfs."""
    for headings, cells in fixtures.tables(VFS):
        if len(cells[0]) == 16:
            yield headings[-1], cells[0], cells[1], cells[-2], cells[-1]


@pytest.fixture
def vfs(tmp_path):
    return fixtures.copy(VFS, tmp_path / "vfs")


def test_all_states_of_all_folders_are_stated():
    states = list(stated_vfs())
    files = fixtures.files_below(os.path.join(fixtures.ROOT, VFS))
    assert len(states) == len([f for f in files if f.endswith(".ltx")]) == 14


def test_every_txid_of_the_real_writer(litestream, vfs):
    for folder, txid, _, image, dump in stated_vfs():
        got = litestream.restore(f"file://{vfs}/{folder}", None, "-txid", txid)
        assert fixtures.sha256(got) == image, (folder, txid)
        assert fixtures.dump_sha256(got) == dump, (folder, txid)
        lib.assert_healthy(got)


def test_every_moment_of_the_real_writer(litestream, vfs):
    """A file is part of the result from the millisecond behind its own time on."""
    before = {}
    for folder, txid, stamp, image, _ in stated_vfs():
        url = f"file://{vfs}/{folder}"
        last = txid == max(os.listdir(f"{vfs}/{folder}/ltx/0"))[:16]
        if folder in before:
            got = litestream.restore(url, None, "-timestamp", stamp)
            assert fixtures.sha256(got) == before[folder], (folder, txid)
        later = fixtures.stamp_of(fixtures.ns_of(stamp) + 1_000_000)
        # Behind the last file there is nothing that a timestamp could ask for.
        got = litestream.restore(url, None, *([] if last else ["-timestamp", later]))
        assert fixtures.sha256(got) == image, (folder, txid)
        before[folder] = image


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_damaged_file_leaves_no_result(litestream, vfs, tmp_path, damage):
    for path in fixtures.files_below(vfs):
        if not path.endswith(".ltx"):
            continue
        whole = os.path.join(vfs, path)
        with open(whole, "rb") as f:
            data = f.read()
        middle = len(data) // 2
        bad = (
            data[:-1]
            if damage == "truncated"
            else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        )
        with open(whole, "wb") as f:
            f.write(bad)
        output = tmp_path / "bad" / "out.db"
        url = f"file://{vfs}/{path.split('/')[0]}"
        txid = os.path.basename(path)[:16]
        litestream.run("restore", "-o", output, "-txid", txid, url, status=1)
        assert fixtures.files_below(tmp_path / "bad") == [], path
        with open(whole, "wb") as f:
            f.write(data)


# --- single LTX files ----------------------------------------------------------------------


def header(path):
    """(min TXID, max TXID, milliseconds) of an LTX file."""
    with open(path, "rb") as f:
        return struct.unpack(">QQQ", f.read(100)[16:40])


def replica_of(folder, *paths):
    """A replica with these files at level 0, named as their headers say."""
    os.makedirs(os.path.join(folder, "ltx/0"))
    for path in paths:
        low, high, ms = header(path)
        name = os.path.join(folder, "ltx/0", f"{low:016x}-{high:016x}.ltx")
        shutil.copyfile(path, name)
        os.utime(name, ns=(ms * 1_000_000, ms * 1_000_000))
    return f"file://{folder}"


def ltx(path):
    return os.path.join(fixtures.ROOT, "ltx", path)


def stated_ltx():
    """(file, what it decodes to) of the table of LTX files."""
    for headings, cells in fixtures.tables("ltx"):
        if headings[-1] == "LTX files" and cells[0].endswith(".ltx"):
            yield cells[0], cells[-1]


def same_bytes(path, name):
    with open(path, "rb") as a, open(ltx(f"db/{name}.db"), "rb") as b:
        return a.read() == b.read()


def test_every_file_that_is_a_whole_database(litestream, tmp_path):
    n = 0
    for path, result in stated_ltx():
        if "+" in result or result == "empty file":
            continue
        url = replica_of(tmp_path / f"replica-{n}", ltx(path))
        assert same_bytes(litestream.restore(url), result), path
        n += 1
    assert n >= 14


def test_every_file_on_top_of_what_it_needs(litestream, tmp_path):
    level_0 = [ltx(f"chain/ltx/0/{i:016x}-{i:016x}.ltx") for i in range(1, 6)]
    n = 0
    for path, result in stated_ltx():
        if "+" not in result:
            continue
        base, result = result.split(" + this = ")
        below = level_0[: int(base[-1])]
        if path.startswith("tracked"):
            below = [ltx("tracked/0000000000000001-0000000000000001.ltx")]
        url = replica_of(tmp_path / f"replica-{n}", *below, ltx(path))
        assert same_bytes(litestream.restore(url), result), path
        n += 1
    assert n >= 9


def test_every_txid_and_moment_of_the_chain_with_levels(litestream, tmp_path):
    chain = str(tmp_path / "chain")
    shutil.copytree(ltx("chain"), chain)
    for path in fixtures.files_below(chain):
        ms = header(os.path.join(chain, path))[2]
        os.utime(os.path.join(chain, path), ns=(ms * 1_000_000, ms * 1_000_000))
    url = f"file://{chain}"
    for txid in range(1, 6):
        got = litestream.restore(url, None, "-txid", f"{txid:016x}")
        assert same_bytes(got, f"chain-s{txid}"), txid
    for txid in range(1, 5):
        moment = f"2026-01-01T00:0{txid}:00.{txid + 1:03d}Z"
        got = litestream.restore(url, None, "-timestamp", moment)
        assert same_bytes(got, f"chain-s{txid}"), txid
    assert same_bytes(litestream.restore(url), "chain-s5")


def odd_files():
    return [
        cells
        for headings, cells in fixtures.tables("ltx")
        if headings[-1].startswith("Odd files") and cells[0].endswith(".ltx")
    ]


@pytest.mark.parametrize("path, verdict", [(c[0], c[-1]) for c in odd_files()])
def test_odd_file(litestream, tmp_path, path, verdict):
    url = replica_of(tmp_path / "replica", ltx(path))
    output = tmp_path / "out" / "out.db"
    accepted = verdict.startswith("accept")
    litestream.run("restore", "-o", output, url, status=0 if accepted else 1)
    assert fixtures.files_below(tmp_path / "out") == (["out.db"] if accepted else [])
