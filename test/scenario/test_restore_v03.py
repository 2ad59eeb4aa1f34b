"""Backups of Litestream v0.3 come back whole, or an error says what is missing; where both
formats lie on one path the later moment wins."""

import json
import os
import random
import shutil
import signal
import sqlite3

import fixtures
import lib
import pytest

NAME = "replicas/v03"
SINGLE = "single/generations/d6eb3fd6a123931c"
TXID = "0000000000000003"


@pytest.fixture
def v03(tmp_path):
    return fixtures.copy(NAME, tmp_path / "v03")


def stated_newest():
    """(folder, dump, image)"""
    for headings, cells in fixtures.tables(NAME):
        if headings[-1] == "Expected content" and len(cells[-1]) == 64:
            yield cells[0], cells[-2], cells[-1]


def stated_by_time():
    """(folder, timestamp, dump)"""
    for headings, cells in fixtures.tables(NAME):
        if headings[-1] == "By time" and len(cells[-1]) == 64:
            yield cells[0], cells[1].split()[0], cells[-1]


class Target:
    """An output file in a folder of its own; with `old`, one that is there already."""

    def __init__(self, folder, old=False):
        self.folder = folder
        self.path = str(folder / "out.db")
        folder.mkdir()
        if old:
            with sqlite3.connect(self.path) as con:
                con.execute("CREATE TABLE old (x)")
        self.before = self.state()

    def state(self):
        return {f: fixtures.sha256(self.folder / f) for f in fixtures.files_below(self.folder)}

    def assert_untouched(self):
        assert self.state() == self.before


def fails(litestream, url, target, *flags):
    """stderr of a restore that fails and leaves everything as it was."""
    done = litestream.run("restore", "-force", *flags, "-o", target.path, url, status=1)
    target.assert_untouched()
    return done.stderr


def remove(*parts):
    os.unlink(os.path.join(*parts))


# --- what Litestream 0.3.13 has written ----------------------------------------------------


def test_newest_state(litestream, v03):
    states = list(stated_newest())
    assert {s[0] for s in states} == {f for f in os.listdir(v03) if os.path.isdir(f"{v03}/{f}")}
    for folder, dump, image in states:
        got = litestream.restore(f"file://{v03}/{folder}", None, "-integrity-check", "full")
        assert fixtures.dump_sha256(got) == dump, folder
        assert fixtures.sha256(got) == image, folder
        assert lib.dump(got, own_tables=False), folder


def test_state_at_a_moment(litestream, v03):
    states = list(stated_by_time())
    assert len(states) == 7
    for folder, stamp, dump in states:
        got = litestream.restore(f"file://{v03}/{folder}", None, "-timestamp", stamp)
        assert fixtures.dump_sha256(got) == dump, (folder, stamp)
        lib.assert_healthy(got)


def test_object_counts_from_its_own_time_on(litestream, v03):
    url = f"file://{v03}/single"
    dumps = [s[2] for s in stated_by_time() if s[0] == "single"]
    at = os.stat(f"{v03}/{SINGLE}/wal/00000000_00005098.wal.lz4").st_mtime_ns
    for ns, dump in ((at - 1_000_000, dumps[1]), (at, dumps[2])):
        got = litestream.restore(url, None, "-timestamp", fixtures.stamp_of(ns))
        assert fixtures.dump_sha256(got) == dump


def test_moment_that_is_not_covered(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    for stamp in ("2026-11-23T02:04:50.209Z", "2026-11-23T02:04:54.747Z"):
        said = fails(litestream, f"file://{v03}/single", target, "-timestamp", stamp)
        assert "timestamp does not exist (backups cover 2026-11-23T02:04:50.21Z to " in said


def test_moment_before_the_snapshot_that_is_left(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    stamp = ["-timestamp", "2026-11-23T02:05:08Z"]
    said = fails(litestream, f"file://{v03}/page512", target, *stamp)
    assert said == "Error: no snapshots available\n"


def test_through_a_configuration(litestream, v03, tmp_path):
    """Of several replicas the one with the later backup."""
    db = str(tmp_path / "app.db")
    replicas = [{"name": n, "path": f"{v03}/{n}"} for n in ("single", "generations", "indexes")]
    config = litestream.config({"dbs": [{"path": db, "replicas": replicas}]})
    litestream.run("restore", "-config", config, db)
    assert fixtures.dump_sha256(db) == dict(s[:2] for s in stated_newest())["generations"]


def test_offset_with_more_digits_is_opened_as_it_is_named(litestream, v03):
    for name in os.listdir(f"{v03}/{SINGLE}/wal"):
        os.rename(f"{v03}/{SINGLE}/wal/{name}", f"{v03}/{SINGLE}/wal/{name[:9]}0000{name[9:]}")
    got = litestream.restore(f"file://{v03}/single")
    assert fixtures.dump_sha256(got) == dict(s[:2] for s in stated_newest())["single"]


def test_what_has_other_names_is_passed_over(litestream, v03):
    root = f"{v03}/single/generations"
    for path in ("x", "0123456789abcdef", "D6EB3FD6A123931C/snapshots/00000009.snapshot.lz4"):
        os.makedirs(f"{root}/{path}")
    for path in ("snapshots/00000001.snapshot.lz4.tmp", "wal/00000009_00000000.wal", "wal/y"):
        with open(f"{v03}/{SINGLE}/{path}", "w", encoding="ascii") as f:
            f.write("not a backup")
    got = litestream.restore(f"file://{v03}/single")
    assert fixtures.dump_sha256(got) == dict(s[:2] for s in stated_newest())["single"]


def test_nothing_on_the_replica_is_changed(litestream, v03):
    before = {f: os.stat(f"{v03}/{f}").st_mtime_ns for f in fixtures.files_below(v03)}
    litestream.restore(f"file://{v03}/indexes")
    assert {f: os.stat(f"{v03}/{f}").st_mtime_ns for f in fixtures.files_below(v03)} == before


# --- the command ---------------------------------------------------------------------------


def test_txid_is_refused(litestream, v03, tmp_path):
    said = fails(litestream, f"file://{v03}/single", Target(tmp_path / "t"), "-txid", TXID)
    assert "no matching backup files available" in said
    assert "Litestream v0.3 have no TXIDs" in said


def test_existing_output_is_not_replaced_without_force(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    url = f"file://{v03}/single"
    done = litestream.run("restore", "-o", target.path, url, status=1)
    assert "output path already exists and is not empty" in done.stderr
    target.assert_untouched()
    litestream.run("restore", "-force", "-o", target.path, url)
    assert fixtures.files_below(target.folder) == ["out.db"]
    assert fixtures.dump_sha256(target.path) == next(stated_newest())[1]


def test_sidecars_of_the_old_database_go_with_it(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    for suffix in ("-wal", "-shm"):
        with open(target.path + suffix, "wb") as f:
            f.write(b"old")
    url = f"file://{v03}/single"
    litestream.run("restore", "-o", target.path, url, status=1)
    litestream.run("restore", "-force", "-o", target.path, url)
    assert fixtures.files_below(target.folder) == ["out.db"]


def test_dry_run_shows_the_plan(litestream, v03, tmp_path):
    target = Target(tmp_path / "target")
    command = ["restore", "-dry-run", "-o", target.path, f"file://{v03}/generations"]
    text = litestream.run(*command).stdout.splitlines()
    assert "  v0.3 generation: 47d86a1407f65590" in text
    assert text[7].split() == ["file", "index", "offset", "size", "timestamp"]
    snapshot = ["snapshots/00000000.snapshot.lz4", "0", "425", "2026-11-23T02:05:04Z"]
    assert text[8].split() == snapshot
    assert [line.split()[2] for line in text[9:]] == ["0", "4152", "8272"]
    plan = json.loads(litestream.run(*command[:2], "-json", *command[2:]).stdout)
    assert (plan["generation"], plan["min_txid"], plan["max_txid"]) == ("47d86a1407f65590", "", "")
    assert plan["files"][-1] == {
        "name": "wal/00000000_00002050.wal.lz4",
        "index": 0,
        "offset": 8272,
        "size": 143,
        "timestamp": "2026-11-23T02:05:06Z",
    }
    target.assert_untouched()


def test_json_result_has_no_txid(litestream, v03, tmp_path):
    output = str(tmp_path / "out.db")
    done = litestream.run("restore", "-json", "-o", output, f"file://{v03}/single")
    result = json.loads(done.stdout)
    assert (result["db_path"], result["txid"]) == (output, "")


# --- what is missing or damaged ------------------------------------------------------------


def test_missing_segment_is_named(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    remove(v03, SINGLE, "wal/00000000_00005098.wal.lz4")
    said = fails(litestream, f"file://{v03}/single", target)
    assert "apply WAL segments: " in said
    assert "missing WAL segment: expected 0/20632, got 0/24752" in said
    assert "wal/00000000_00005098.wal.lz4" in said


def test_missing_wal_is_named(litestream, v03, tmp_path):
    target = Target(tmp_path / "target", old=True)
    wal = f"{v03}/indexes/generations/7c67087e3038be51/wal"
    remove(wal, "00000004_00000000.wal.lz4")
    said = fails(litestream, f"file://{v03}/indexes", target)
    assert "missing WAL index: expected 4/0, got 4/4152" in said
    remove(wal, "00000004_00001038.wal.lz4")
    said = fails(litestream, f"file://{v03}/indexes", target)
    assert "apply WAL segments: missing WAL index: expected 4/0, got 5/0" in said


def test_missing_segment_of_every_backup(litestream, v03, tmp_path):
    """Whichever but the last of a WAL is gone: nothing comes back."""
    target = Target(tmp_path / "target")
    for folder in ("single", "page512", "page65536"):
        segments = [f for f in fixtures.files_below(f"{v03}/{folder}") if f.endswith("wal.lz4")]
        for name in segments[:-1]:
            path = f"{v03}/{folder}/{name}"
            os.rename(path, path + ".away")
            assert "missing WAL" in fails(litestream, f"file://{v03}/{folder}", target), name
            os.rename(path + ".away", path)


def test_backup_without_a_snapshot(litestream, v03, tmp_path):
    remove(v03, SINGLE, "snapshots/00000000.snapshot.lz4")
    said = fails(litestream, f"file://{v03}/single", Target(tmp_path / "target"))
    assert said == "Error: no snapshots available\n"


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_damaged_object(litestream, v03, tmp_path, damage):
    target = Target(tmp_path / "target", old=True)
    for folder in ("single", "page65536"):
        for name in fixtures.files_below(f"{v03}/{folder}"):
            path = f"{v03}/{folder}/{name}"
            with open(path, "rb") as f:
                data = f.read()
            at = len(data) // 2
            bad = {
                "flipped": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
                "truncated": data[:-1],
                "empty": b"",
            }[damage]
            with open(path, "wb") as f:
                f.write(bad)
            said = fails(litestream, f"file://{v03}/{folder}", target)
            assert os.path.basename(name) in said
            with open(path, "wb") as f:
                f.write(data)


def test_encrypted_backup_is_told_apart(litestream, v03, tmp_path):
    with open(f"{v03}/{SINGLE}/snapshots/00000000.snapshot.lz4", "wb") as f:
        f.write(b"age-encryption.org/v1\n-> X25519 x\n")
    said = fails(litestream, f"file://{v03}/single", Target(tmp_path / "target", old=True))
    assert "encrypted with age" in said


# --- both formats on one path --------------------------------------------------------------


@pytest.fixture
def both(v03, tmp_path):
    """v0.3 objects of 02:04:50.210 to 02:04:54.746 beside LTX files 1 to 8, which a test
    gives times: both.move(minute, second) of the first, 1 s apart."""
    shutil.copytree(f"{fixtures.ROOT}/replicas/v05-vfs/steps/ltx", f"{v03}/single/ltx")

    class Both:
        url = f"file://{v03}/single"
        level_0 = f"{v03}/single/ltx/0"

        @staticmethod
        def move(minute, second):
            for i, name in enumerate(sorted(os.listdir(Both.level_0))):
                ns = fixtures.ns_of(f"2026-11-23T02:{minute:02d}:{second + i:02d}.000Z")
                os.utime(f"{Both.level_0}/{name}", ns=(ns, ns))

    return Both


def plan_of(litestream, url, *flags):
    """"v0.3 N files" or "LTX up to TXID"."""
    done = litestream.run("restore", "-dry-run", "-json", *flags, "-o", "x.db", url)
    plan = json.loads(done.stdout)
    if "generation" in plan:
        return f"v0.3 {len(plan['files'])} files"
    return f"LTX up to {int(plan['max_txid'], 16)}"


def test_later_format_is_restored(litestream, both):
    both.move(3, 40)
    assert plan_of(litestream, both.url) == "v0.3 6 files"
    assert fixtures.dump_sha256(litestream.restore(both.url)) == next(stated_newest())[1]
    both.move(5, 0)
    assert plan_of(litestream, both.url) == "LTX up to 8"
    image = "71a649deaa23a88096984beccbc1d87cc60cd95c259dc7ed4c316ce8cfa10430"
    assert fixtures.sha256(litestream.restore(both.url)) == image


def test_at_the_same_time_it_is_the_ltx_files(litestream, both):
    both.move(3, 40)
    newest = os.stat(f"{both.level_0}/{8:016x}-{8:016x}.ltx").st_mtime_ns
    segment = f"{os.path.dirname(os.path.dirname(both.level_0))}/generations"
    for name in fixtures.files_below(segment):
        if os.stat(f"{segment}/{name}").st_mtime_ns > newest:
            os.utime(f"{segment}/{name}", ns=(newest, newest))
    assert plan_of(litestream, both.url) == "LTX up to 8"
    os.utime(f"{segment}/{name}", ns=(newest + 1, newest + 1))
    assert plan_of(litestream, both.url) == "v0.3 6 files"


def test_at_a_moment_the_later_state_is_restored(litestream, both):
    def at(stamp):
        return plan_of(litestream, both.url, "-timestamp", f"2026-11-23T02:{stamp}Z")

    both.move(3, 40)
    assert at("03:44.5") == "LTX up to 5"  # before any v0.3 snapshot
    assert at("04:50.0") == "LTX up to 8"
    assert at("04:50.210") == "v0.3 1 files"
    assert at("04:52.646") == "v0.3 4 files"
    both.move(4, 51)
    assert at("04:50.9") == "v0.3 2 files"  # before any LTX file
    assert at("04:51.1") == "LTX up to 1"  # of 51.000, the segment before is of 50.215
    assert at("04:51.2") == "v0.3 3 files"  # of 51.150
    assert at("04:54.9") == "v0.3 6 files"  # of 54.746
    assert at("04:55.1") == "LTX up to 5"


def test_txid_means_ltx_files(litestream, both):
    both.move(3, 40)
    assert plan_of(litestream, both.url, "-txid", TXID) == "LTX up to 3"


def test_unreachable_ltx_files_are_not_covered_up(litestream, both, tmp_path):
    """Later LTX files with a gap: an error, not the v0.3 state before them."""
    both.move(5, 0)
    remove(both.level_0, f"{4:016x}-{4:016x}.ltx")
    said = fails(litestream, both.url, Target(tmp_path / "target"))
    assert "non-contiguous ltx files" in said


def test_gap_in_earlier_ltx_files_does_not_matter(litestream, both):
    both.move(3, 40)
    remove(both.level_0, f"{4:016x}-{4:016x}.ltx")
    assert plan_of(litestream, both.url) == "v0.3 6 files"


def test_folder_of_generations_that_is_a_file_is_no_backup(litestream, tmp_path):
    shutil.copytree(f"{fixtures.ROOT}/replicas/v05-vfs/steps", tmp_path / "r")
    (tmp_path / "r/generations").write_text("x")
    assert plan_of(litestream, f"file://{tmp_path}/r") == "LTX up to 8"


# --- made from a WAL -----------------------------------------------------------------------


def block(data):
    """An LZ4 block that is stored as it is."""
    return (len(data) | 0x80000000).to_bytes(4, "little") + data


def frame(*blocks):
    """An LZ4 frame with blocks of up to 4 MiB and no checksums."""
    return bytes.fromhex("04224d18607073") + b"".join(blocks) + bytes(4)


def lz4(data):
    parts = [data[i : i + (4 << 20)] for i in range(0, len(data), 4 << 20)]
    return frame(*map(block, parts))


class Backup:
    """A v0.3 backup of a database, an object a second."""

    def __init__(self, path):
        self.root = f"{path}/generations/00000000000000aa"
        self.url = f"file://{path}"
        self.now = fixtures.ns_of("2026-01-01T00:00:00.000Z")
        for kind in ("snapshots", "wal"):
            os.makedirs(f"{self.root}/{kind}")

    def put(self, name, data):
        self.now += 1_000_000_000
        with open(f"{self.root}/{name}", "wb") as f:
            f.write(lz4(data))
        os.utime(f"{self.root}/{name}", ns=(self.now, self.now))
        return fixtures.stamp_of(self.now)


def test_every_commit_of_several_wals(litestream, tmp_path):
    rnd = random.Random(3)
    book = lib.Ledger(tmp_path / "app.db")
    book.con.execute("PRAGMA wal_autocheckpoint = 0")
    backup = Backup(tmp_path / "replica")
    moments = []  # (timestamp, transactions)
    book.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(book.path, "rb") as f:
        backup.put("snapshots/00000000.snapshot.lz4", f.read())
    for index in range(4):
        at = 0
        for _ in range(5):
            book.commit(rnd.randrange(1, 20), fill_bytes=rnd.choice([10, 3000, 30000]))
            if rnd.random() < 0.3:
                book.con.execute("UPDATE ledger SET fill = zeroblob(9) WHERE n % 3 = 0")
            with open(str(book.path) + "-wal", "rb") as f:
                f.seek(at)
                data = f.read()
            stamp = backup.put(f"wal/{index:08x}_{at:08x}.wal.lz4", data)
            moments.append((stamp, book.n, lib.image_hash(book.path)))
            at += len(data)
        book.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    book.close()
    for stamp, n, image in moments[::3] + moments[-1:]:
        got = litestream.restore(backup.url, None, "-timestamp", stamp)
        assert lib.Ledger.committed(got) == n
        assert lib.image_hash(got) == image, stamp
    got = litestream.restore(backup.url, None, "-parallelism", "1")
    assert lib.image_hash(got) == moments[-1][2]


# Compressed, 1 MiB of zeros: a literal, a match of 1048570 bytes, five literals.
ZEROS = b"\x1f\x00\x01\x00" + b"\xff" * ((1048570 - 19) // 255) + bytes([(1048570 - 19) % 255])
ZEROS += b"\x50" + bytes(5)


def test_interrupt_leaves_nothing_behind(litestream, tmp_path):
    backup = Backup(tmp_path / "replica")
    zeros = len(ZEROS).to_bytes(4, "little") + ZEROS
    with open(f"{backup.root}/snapshots/00000000.snapshot.lz4", "wb") as f:
        f.write(frame(*[zeros] * 4096))
    target = Target(tmp_path / "target", old=True)
    p = litestream.start("restore", "-force", "-o", target.path, backup.url)
    lib.wait_until(lambda: os.path.exists(target.path + ".tmp"), what="the restore to begin")
    p.signal(signal.SIGINT)
    assert p.wait() == 1
    assert "cancelled" in p.output()
    target.assert_untouched()
