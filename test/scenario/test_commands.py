"""Commands print what scripts and people rely on: words, columns, JSON fields, exit status.

The replicas are those of test/fixtures/replicas/v05-vfs, written by Litestream 0.5.17.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import time

import lib
import pytest

FIXTURES = os.path.join(os.environ.get("LITESTREAM_FIXTURES", ""), "replicas/v05-vfs")
VERSION = re.compile(r"v?0\.5\.[0-9]+\S*\n")
CONFIG_FLAGS = {"config", "no-expand-env"}


@pytest.fixture
def replicas(tmp_path):
    """A copy of the fixtures; files have the times of their headers, as they had."""
    folder = str(tmp_path / "replicas")
    shutil.copytree(FIXTURES, folder)
    with open(os.path.join(folder, "mtimes.tsv"), encoding="utf-8") as f:
        for line in f:
            stamp, name = line.split("\t")
            at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
            ns = round(at.timestamp() * 1000) * 1_000_000
            os.utime(os.path.join(folder, name.strip()), ns=(ns, ns))
    return folder


@pytest.fixture
def steps(replicas):
    return f"file://{replicas}/steps"


@pytest.fixture
def shrink(replicas):
    return f"file://{replicas}/shrink"


def fails(litestream, *args, **more):
    """What is on stderr of a command that fails; stdout must be empty."""
    done = litestream.run(*args, status=1, **more)
    assert done.stdout == ""
    return done.stderr


def txid(n):
    return f"{n:016x}"


def rows_of_t(path):
    con = lib.connect(path, wal=False)
    try:
        return con.execute("SELECT count(*) FROM t").fetchone()[0]
    finally:
        con.close()


# --- every command -----------------------------------------------------------------------


def test_help_is_asked_for(litestream):
    usages = {litestream.run(word).stdout for word in ("help", "-h", "-help", "--help")}
    assert len(usages) == 1
    usage = usages.pop()
    assert "Usage:\n\n\tlitestream <command>" in usage
    commands = re.findall(r"^\t([a-z]+) ", usage.partition("Commands:")[2], re.MULTILINE)
    assert commands == sorted(commands)
    assert set(commands) >= {"databases", "ltx", "replicate", "restore", "version"}
    assert "wal" not in commands, "an old name that is not listed"


def test_without_a_command_the_usage_is_shown_and_it_is_a_failure(litestream):
    usage = litestream.run("help").stdout
    for args in ([], ["-x"], ["--config=x"]):
        done = litestream.run(*args, status=1)
        assert (done.stdout, done.stderr) == (usage, "")


def test_an_unknown_command(litestream):
    message = fails(litestream, "frob").splitlines()
    assert message[0] == "Error: litestream frob: unknown command"
    assert all(line.startswith("Try: ") for line in message[1:])


@pytest.mark.parametrize("command", ["databases", "ltx", "replicate", "restore", "version", "wal"])
def test_help_and_flag_errors_of_a_command(litestream, command):
    helps = {litestream.run(command, word).stdout for word in ("-h", "-help", "--help")}
    assert len(helps) == 1
    usage = helps.pop()
    assert f"\tlitestream {'ltx' if command == 'wal' else command} " in usage
    message = "flag provided but not defined: -frob"
    for word in ("-frob", "--frob", "-frob=1"):
        done = litestream.run(command, word, status=1)
        assert done.stdout == usage
        assert done.stderr.replace("Warning: 'wal' command is deprecated, please use 'ltx' "
                                   "instead\n", "") == f"{message}\nError: {message}\n"


@pytest.mark.parametrize(
    "args, message",
    [
        (["databases", "-config"], "flag needs an argument: -config"),
        (["databases", "-json=maybe"], 'invalid boolean value "maybe" for -json: parse error'),
        (["databases", "---json"], "bad flag syntax: ---json"),
        (["ltx", "-level", "x", "/a"],
         'invalid value "x" for flag -level: invalid level: must be 0-9 or "all"'),
        (["ltx", "-level", "10", "/a"],
         'invalid value "10" for flag -level: level must be between 0 and 9'),
        (["ltx", "-level=-1", "/a"],
         'invalid value "-1" for flag -level: level must be between 0 and 9'),
        (["restore", "-txid", "5", "/a"],
         'invalid value "5" for flag -txid: invalid txid format'),
        (["restore", "-txid", "000000000000000g", "/a"],
         'invalid value "000000000000000g" for flag -txid: invalid txid format'),
        (["restore", "-parallelism", "many", "/a"],
         'invalid value "many" for flag -parallelism: parse error'),
        (["restore", "-parallelism", "99999999999999999999", "/a"],
         'invalid value "99999999999999999999" for flag -parallelism: value out of range'),
    ],
)
def test_values_of_flags(litestream, args, message):
    done = litestream.run(*args, status=1)
    assert done.stderr == f"{message}\nError: {message}\n"
    assert done.stdout == litestream.run(args[0], "-h").stdout


@pytest.mark.parametrize(
    "args, message",
    [
        (["databases", "x"], "Error: too many arguments\n"),
        (["ltx"], "Error: database path or replica URL required\n"
                  "Try: litestream ltx /path/to/db\n"),
        (["ltx", "a", "b"], "Error: too many arguments\n"),
        (["ltx", "a", "-json"], "Error: too many arguments\n"),
        (["ltx", "-config", "x", "file:///a"],
         "Error: cannot specify a replica URL and the -config flag\n"),
        (["restore"], "Error: database path or replica URL required\n"
                      "Try: litestream restore -o /path/to/db s3://bucket/prefix\n"),
        (["restore", "a", "b"], "Error: too many arguments\n"),
        (["restore", "file:///a"],
         "Error: -o is required when restoring from a replica URL\n"
         "Try: litestream restore -o /path/to/db file:///a\n"),
        (["restore", "-o", "x", "-config", "x", "file:///a"],
         "Error: cannot specify a replica URL and the -config flag\n"),
        (["restore", "-o", "x", "-integrity-check", "deep", "file:///a"],
         "Error: invalid -integrity-check value: deep\n"),
        (["restore", "-o", "x", "-timestamp", "yesterday", "file:///a"],
         "Error: invalid -timestamp, must specify in ISO 8601 format "
         "(e.g. 2000-01-01T00:00:00Z)\n"),
        (["replicate", "a.db"],
         "Error: must specify at least one replica URL for DB_PATH\n"),
        (["replicate", "-config", "x", "a.db", "file:///a"],
         "Error: cannot specify a replica URL and the -config flag\n"),
        (["replicate", "a.db", "file:///a", "-exec", "x"],
         'Error: flag "-exec" must be positioned before DB_PATH and REPLICA_URL arguments\n'),
        (["replicate", "-force-snapshot"],
         "Error: cannot specify -force-snapshot flag without -once\n"),
        (["replicate", "-enforce-retention"],
         "Error: cannot specify -enforce-retention flag without -once\n"),
        (["replicate", "-once", "-exec", "x"],
         "Error: cannot specify -once flag with -exec\n"),
    ],
)
def test_arguments(litestream, args, message):
    assert fails(litestream, *args) == message


@pytest.mark.parametrize("command", [["databases"], ["ltx", "x"], ["restore", "x"], ["replicate"]])
def test_a_configuration_that_is_not_there(litestream, tmp_path, command):
    message = f"Error: config file not found: {tmp_path}/none.yml\n"
    flags = ["-config", "none.yml", *command[1:]]
    assert fails(litestream, command[0], *flags) == message
    env = {"LITESTREAM_CONFIG": "none.yml"}
    assert fails(litestream, *command, env=env) == message
    assert not os.path.exists(tmp_path / "x")


def test_flags_may_be_spelled_as_one_word_and_end_at_two_dashes(litestream, steps):
    plain = litestream.run("ltx", "-level", "0", steps).stdout
    for args in (["-level=0"], ["--level=0"], ["--level", "0"], ["-level", "0x0"], ["--"]):
        assert litestream.run("ltx", *args, steps).stdout == plain


# --- version -----------------------------------------------------------------------------


def test_version_is_one_word(litestream):
    plain = litestream.run("version").stdout
    assert VERSION.fullmatch(plain)
    assert litestream.run("version", "surplus", "words").stdout == plain
    control = lib.program("litestreamctl")
    assert litestream.run("version", binary=control).stdout == plain
    assert litestream.run("--version", binary=control).stdout == plain


def test_verbose_version(litestream):
    plain = litestream.run("version").stdout.strip()
    lines = litestream.run("version", "-verbose").stdout.splitlines()
    assert lines[0] == f"Version:     {plain}"
    for line in lines:
        assert re.fullmatch(r"(?=.{12} )[A-Za-z/ 0-9]+: +\S.*", line), line
        assert line[12] == " " != line[13], line
    names = [line.split(":")[0] for line in lines]
    assert names[-1] == "OS/Arch" and {"Compiler", "SQLite"} <= set(names)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    assert lines[-1] == f"OS/Arch:     linux/{machine}"


# --- databases ---------------------------------------------------------------------------


def test_databases_lists_the_configuration(litestream, tmp_path):
    config = litestream.config(
        {
            "dbs": [
                {"path": "/data/one.db", "replica": {"path": "/backup/one"}},
                {"path": "relative.db", "replica": {"url": "s3://bucket/two"}},
                {"path": "/data/<three>.db", "replica": {"url": "sftp://u@host/three"}},
            ]
        }
    )
    relative = f"{tmp_path}/relative.db"
    width = max(len(relative), len("/data/<three>.db")) + 2
    expected = [("path", "replica"), ("/data/one.db", "file"), (relative, "s3")]
    expected.append(("/data/<three>.db", "sftp"))
    text = litestream.run("databases", "-config", config).stdout
    assert text == "".join(f"{path:{width}}{kind}\n" for path, kind in expected)

    text = litestream.run("databases", "-json", "-config", config).stdout
    assert json.loads(text) == [{"path": p, "replica": k} for p, k in expected[1:]]
    first = '[\n  {\n    "path": "/data/one.db",\n    "replica": "file"\n  },\n'
    assert text.startswith(first) and text.endswith("\n]\n")
    assert '"/data/\\u003cthree\\u003e.db"' in text
    assert litestream.run("databases", "-json", env={"LITESTREAM_CONFIG": config}).stdout == text


def test_databases_of_an_empty_configuration(litestream):
    config = litestream.config("")
    assert litestream.run("databases", "-config", config).stdout == "path  replica\n"
    assert litestream.run("databases", "-config", config, "-json").stdout == "[]\n"


def test_databases_lists_every_replica(litestream):
    replicas = [{"path": "/backup/a"}, {"url": "gs://bucket/a"}]
    config = litestream.config({"dbs": [{"path": "/data/a.db", "replicas": replicas}]})
    text = litestream.run("databases", "-config", config, "-json").stdout
    assert [r["replica"] for r in json.loads(text)] == ["file", "gs"]
    text = litestream.run("databases", "-config", config, "-replica", "gs").stdout
    assert [line.split() for line in text.splitlines()] == [["path", "replica"], ["/data/a.db", "gs"]]
    text = litestream.run("databases", "-config", config, "-json", "-replica", "s3").stdout
    assert text == "[]\n"


def test_one_bad_database_fails_the_list(litestream):
    good = {"path": "/data/a.db", "replica": {"path": "/backup/a"}}
    for bad, words in (
        ({"path": "/data/b.db"}, "must specify replica for database"),
        ({"path": "/b.db", "replica": {"type": "tape"}},
         'unknown replica type in config: "tape"'),
    ):
        config = litestream.config({"dbs": [good, bad]})
        assert words in fails(litestream, "databases", "-config", config)


def test_variables_are_expanded_unless_told_otherwise(litestream):
    config = litestream.config("dbs:\n  - {path: /data/$NAME.db, replica: {path: /backup}}\n")

    def path(*flags):
        text = litestream.run(
            "databases", "-json", "-config", config, *flags, env={"NAME": "tenant"}
        ).stdout
        return json.loads(text)[0]["path"]

    assert path() == "/data/tenant.db"
    assert path("-no-expand-env") == "/data/$NAME.db"


def test_warnings_do_not_get_into_the_json(litestream):
    config = litestream.config(
        "frobnicate: 1\ndbs:\n  - {path: /data/a.db, replica: {path: /backup}}\n"
    )
    done = litestream.run("databases", "-json", "-config", config)
    assert json.loads(done.stdout) == [{"path": "/data/a.db", "replica": "file"}]
    assert "level=WARN" in done.stderr and "frobnicate" in done.stderr


def test_the_sample_configuration_is_valid_and_asks_for_nothing(litestream):
    sample = os.path.join(os.path.dirname(FIXTURES), "../../../packaging/litestream.yml")
    done = litestream.run("databases", "-json", "-config", os.path.realpath(sample))
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- ltx ---------------------------------------------------------------------------------


def test_ltx_lists_the_files_of_a_replica(litestream, shrink):
    expected = (
        "level  min_txid          max_txid          size  created\n"
        "0      0000000000000001  0000000000000001  7065  2026-11-23T02:03:52Z\n"
        "0      0000000000000002  0000000000000002  4714  2026-11-23T02:03:53Z\n"
        "0      0000000000000003  0000000000000003  855   2026-11-23T02:03:55Z\n"
    )
    assert litestream.run("ltx", shrink).stdout == expected
    done = litestream.run("wal", shrink)
    assert done.stdout == expected
    assert done.stderr == "Warning: 'wal' command is deprecated, please use 'ltx' instead\n"


def test_ltx_as_json(litestream, shrink):
    text = litestream.run("ltx", "-json", shrink).stdout
    files = json.loads(text)
    assert list(files[0]) == ["level", "min_txid", "max_txid", "size", "timestamp"]
    assert files[2] == {
        "level": 0,
        "min_txid": txid(3),
        "max_txid": txid(3),
        "size": 855,
        "timestamp": "2026-11-23T02:03:55Z",
    }
    assert text.startswith('[\n  {\n    "level": 0,\n    "min_txid": "0000000000000001",\n')


def test_ltx_by_level(litestream, replicas):
    """Levels in order, in each the files by name; what is no LTX file is left out."""
    source = os.path.join(replicas, "shrink/ltx/0")
    for level, low, high in ((9, 1, 2), (2, 1, 3), (1, 3, 3), (1, 1, 2)):
        folder = os.path.join(replicas, f"shrink/ltx/{level}")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(
            os.path.join(source, f"{txid(low)}-{txid(low)}.ltx"),
            os.path.join(folder, f"{txid(low)}-{txid(high)}.ltx"),
        )
    for name in ("README", "0000-0001.ltx", f"{txid(7)}-{txid(7)}.ltx.tmp"):
        with open(os.path.join(source, name), "w", encoding="utf-8") as f:
            f.write("x" * 200)
    url = f"file://{replicas}/shrink"

    def listed(*flags):
        files = json.loads(litestream.run("ltx", "-json", *flags, url).stdout)
        return [(f["level"], int(f["min_txid"], 16), int(f["max_txid"], 16)) for f in files]

    single = [(0, 1, 1), (0, 2, 2), (0, 3, 3)]
    assert listed() == listed("-level", "0") == single
    assert listed("-level", "1") == [(1, 1, 2), (1, 3, 3)]
    assert listed("-level", "5") == []
    assert listed("-level", "all") == single + [(1, 1, 2), (1, 3, 3), (2, 1, 3), (9, 1, 2)]
    empty = "level  min_txid  max_txid  size  created\n"
    assert litestream.run("ltx", "-level", "5", url).stdout == empty
    assert litestream.run("ltx", "-level", "5", "-json", url).stdout == "[]\n"


def test_ltx_of_a_configured_database(litestream, replicas, shrink, tmp_path):
    config = litestream.config(
        {"dbs": [{"path": "app.db", "replica": {"path": f"{replicas}/shrink"}}]}
    )
    by_url = litestream.run("ltx", shrink).stdout
    for path in ("app.db", f"{tmp_path}/app.db", f"sqlite://{tmp_path}/app.db", "./x/../app.db"):
        assert litestream.run("ltx", "-config", config, path).stdout == by_url
    assert fails(litestream, "ltx", "-config", config, "other.db") == (
        f"Error: database not found in config: {tmp_path}/other.db\n"
    )


def test_ltx_of_several_replicas_tells_them_apart(litestream, replicas):
    config = litestream.config(
        {
            "dbs": [
                {
                    "path": "/data/app.db",
                    "replicas": [
                        {"path": f"{replicas}/shrink", "name": "near"},
                        {"path": f"{replicas}/steps", "name": "far"},
                    ],
                }
            ]
        }
    )

    def names(*flags):
        text = litestream.run("ltx", "-json", "-config", config, *flags, "/data/app.db").stdout
        return [f["replica"] for f in json.loads(text)]

    assert names() == ["near"] * 3 + ["far"] * 8
    assert names("-replica", "far") == ["far"] * 8
    lines = litestream.run("ltx", "-config", config, "/data/app.db").stdout.splitlines()
    assert lines[0].split() == "level min_txid max_txid size created replica".split()
    assert [line.split()[-1] for line in lines[1:]] == names()
    stderr = fails(litestream, "ltx", "-config", config, "-replica", "none", "/data/app.db")
    assert stderr == "Error: no replica of that name or type: none\n"


def test_ltx_of_an_unknown_kind_of_replica(litestream):
    assert 'unknown replica type in config: "tape"' in fails(litestream, "ltx", "tape://a/b")


# --- restore -----------------------------------------------------------------------------


def test_restore_tells_what_it_did(litestream, steps, tmp_path):
    done = litestream.run("restore", "-o", "out.db", steps)
    (line,) = done.stdout.splitlines()
    assert re.search(r'level=INFO msg="restored database" replica=file path=out.db', line)
    assert f"txid={txid(8)} size=40960 " in line
    assert done.stderr == ""
    assert rows_of_t(tmp_path / "out.db") == 164


def test_restore_as_json(litestream, steps, tmp_path):
    output = str(tmp_path / "out.db")
    done = litestream.run("restore", "-json", "-integrity-check", "quick", "-o", output, steps)
    result = json.loads(done.stdout)
    assert list(result) == ["db_path", "replica", "txid", "duration_ms", "integrity_check"]
    assert isinstance(result.pop("duration_ms"), int)
    assert result == {
        "db_path": output,
        "replica": "file",
        "txid": txid(8),
        "integrity_check": "quick",
    }
    assert done.stdout.startswith('{\n  "db_path": ')
    assert 'msg="post-restore integrity check passed"' in done.stderr
    assert rows_of_t(output) == 164


def test_restore_of_a_configured_database(litestream, replicas, tmp_path):
    config = litestream.config(
        {"dbs": [{"path": "app.db", "replica": {"path": f"{replicas}/steps"}}]}
    )
    flags = ["-json", "-config", config]
    done = litestream.run("restore", *flags, "app.db")
    assert json.loads(done.stdout)["db_path"] == f"{tmp_path}/app.db"
    assert rows_of_t(tmp_path / "app.db") == 164
    done = litestream.run("restore", *flags, "-o", "other.db", "app.db")
    assert json.loads(done.stdout)["db_path"] == "other.db", "as written"
    assert rows_of_t(tmp_path / "other.db") == 164
    assert fails(litestream, "restore", *flags, "none.db") == (
        f"Error: database not found in config: {tmp_path}/none.db\n"
    )


@pytest.mark.parametrize("n, rows", [(1, 3), (2, 203), (4, 203), (5, 163), (8, 164)])
def test_restore_to_a_transaction(litestream, steps, n, rows):
    output = litestream.restore(steps, None, "-txid", txid(n))
    lib.assert_healthy(output)
    assert rows_of_t(output) == rows


@pytest.mark.parametrize(
    "timestamp, n",
    [
        # files that were made strictly before it
        ("2026-11-23T02:03:43.734Z", 2),
        ("2026-11-23T02:03:46.500Z", 4),
        ("2026-11-23T03:03:46.5+01:00", 4),
        ("2026-11-23T02:03:48Z", 5),
        ("2026-11-23T02:03:51.338Z", 7),
    ],
)
def test_restore_to_a_time(litestream, steps, tmp_path, timestamp, n):
    output = str(tmp_path / "out.db")
    done = litestream.run("restore", "-json", "-timestamp", timestamp, "-o", output, steps)
    assert json.loads(done.stdout)["txid"] == txid(n)


def test_restore_to_what_is_not_there(litestream, steps, tmp_path):
    def error(*flags):
        return fails(litestream, "restore", "-o", "out.db", *flags, steps)

    bounds = " (backups cover 2026-11-23T02:03:42.415Z to 2026-11-23T02:03:51.338Z)\n"
    for timestamp in ("1999-12-31T23:59:59Z", "2099-01-01T00:00:00Z"):
        assert error("-timestamp", timestamp) == "Error: timestamp does not exist" + bounds
    assert error("-txid", txid(99)) == "Error: no matching backup files available\n"
    both = ["-txid", txid(1), "-timestamp", "2026-11-23T02:03:46Z"]
    assert error(*both) == "Error: cannot specify index & timestamp to restore\n"
    assert error("-dry-run", *both) == (
        "Error: cannot specify both TXID & timestamp to restore\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["replicas"], "nothing is left behind"


def test_restore_from_a_replica_that_is_not_there(litestream, tmp_path):
    url = f"file://{tmp_path}/none"
    flags = ["-o", "out.db"]
    assert fails(litestream, "restore", *flags, url) == (
        "Error: no matching backup files available\n"
    )
    timestamp = ["-timestamp", "2026-11-23T02:03:46Z"]
    assert fails(litestream, "restore", *flags, *timestamp, url) == "Error: no backups found\n"
    for more in ([], timestamp):
        done = litestream.run("restore", *flags, *more, "-if-replica-exists", url)
        assert 'level=INFO msg="no matching backups found"' in done.stdout
    done = litestream.run("restore", *flags, "-json", "-if-replica-exists", url)
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


def test_restore_with_a_gap_in_the_chain(litestream, replicas, steps, tmp_path):
    os.unlink(f"{replicas}/steps/ltx/0/{txid(4)}-{txid(4)}.ltx")
    stderr = fails(litestream, "restore", "-o", "out.db", steps)
    words = "non-contiguous ltx files: have up to {} but next file starts at {}"
    assert words.format(txid(3), txid(5)) in stderr
    assert not os.path.exists(tmp_path / "out.db")


def test_restore_replaces_nothing_unless_told_to(litestream, steps, tmp_path):
    output = str(tmp_path / "out.db")
    litestream.restore(steps, output, "-txid", txid(1))
    assert fails(litestream, "restore", "-o", output, steps) == (
        f"Error: cannot restore, output path already exists and is not empty: {output}. "
        "Use -force to overwrite\n"
    )
    done = litestream.run("restore", "-if-db-not-exists", "-o", output, steps)
    assert 'msg="database already exists, skipping"' in done.stdout
    done = litestream.run("restore", "-if-db-not-exists", "-json", "-o", output, steps)
    assert done.stdout == ""
    assert rows_of_t(output) == 3
    litestream.run("restore", "-force", "-o", output, steps)
    assert rows_of_t(output) == 164


def test_restore_that_fails_leaves_the_old_database(litestream, replicas, steps, tmp_path):
    output = str(tmp_path / "out.db")
    litestream.restore(steps, output, "-txid", txid(2))
    damaged = f"{replicas}/steps/ltx/0/{txid(5)}-{txid(5)}.ltx"
    with open(damaged, "r+b") as f:
        f.seek(3000)
        f.write(b"\xff" * 64)
    fails(litestream, "restore", "-force", "-o", output, steps)
    assert rows_of_t(output) == 203
    lib.assert_healthy(output)


def test_restore_where_files_of_another_database_are(litestream, steps, tmp_path):
    assert fails(litestream, "restore", "-o", str(tmp_path), steps) == (
        f"Error: cannot restore, output path is a directory: {tmp_path}\n"
    )
    for suffix in ("-wal", "-shm", "-journal"):
        side = tmp_path / f"out.db{suffix}"
        side.write_bytes(b"")
        assert fails(litestream, "restore", "-o", "out.db", steps) == (
            f"Error: cannot restore, SQLite sidecar path already exists: out.db{suffix}. "
            "Use -force to overwrite\n"
        )
        side.unlink()
    (tmp_path / "out.db-wal").write_bytes(b"stale")
    litestream.run("restore", "-force", "-o", "out.db", steps)
    assert not os.path.exists(tmp_path / "out.db-wal")
    (tmp_path / "empty.db").write_bytes(b"")
    litestream.run("restore", "-o", "empty.db", steps)
    assert rows_of_t(tmp_path / "empty.db") == 164


def test_restore_makes_folders(litestream, steps, tmp_path):
    litestream.run("restore", "-o", "a/b/out.db", steps)
    assert os.listdir(tmp_path / "a/b") == ["out.db"]
    assert rows_of_t(tmp_path / "a/b/out.db") == 164


@pytest.mark.parametrize("n", ["0", "-1", "1", "3", "64", "1000000"])
def test_any_parallelism_restores_the_same(litestream, replicas, n):
    url = f"file://{replicas}/blobs"
    with open(litestream.restore(url), "rb") as plain:
        with open(litestream.restore(url, None, f"-parallelism={n}"), "rb") as other:
            assert plain.read() == other.read()


@pytest.mark.parametrize("mode", ["none", "quick", "full"])
def test_integrity_check_of_a_sound_database(litestream, steps, tmp_path, mode):
    done = litestream.run("restore", "-integrity-check", mode, "-o", "out.db", steps)
    passed = 'level=INFO msg="post-restore integrity check passed"' in done.stdout
    assert passed == (mode != "none")
    assert rows_of_t(tmp_path / "out.db") == 164


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_integrity_check_of_a_damaged_database(litestream, tmp_path, mode):
    """The source is damaged itself: the replica holds what SQLite was given."""
    path = str(tmp_path / "bad.db")
    con = lib.connect(path)
    con.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    con.executemany("INSERT INTO t VALUES (?, randomblob(900))", [(i,) for i in range(200)])
    con.close()
    with open(path, "r+b") as f:
        f.seek(4096 * 7)
        f.write(b"\x55" * 4096)
    url = f"file://{tmp_path}/replica"
    daemon = litestream.replicate(path, url)
    lib.wait_until(lambda: os.path.isdir(tmp_path / "replica/ltx/0"), 30, "the first file")
    daemon.stop()
    assert "integrity check failed" in fails(
        litestream, "restore", "-integrity-check", mode, "-o", "out.db", url
    )
    assert [n for n in os.listdir(tmp_path) if n.startswith("out.db")] == []
    litestream.run("restore", "-o", "out.db", url)
    assert os.path.exists(tmp_path / "out.db")


def test_dry_run_prints_the_plan(litestream, shrink, tmp_path):
    lines = litestream.run("restore", "-dry-run", "-o", "out.db", shrink).stdout.splitlines()
    assert lines == [
        "Restore plan:",
        f"  source: {shrink}",
        "  target: out.db",
        "  replica: file",
        f"  txid range: {txid(1)} - {txid(3)}",
        "",
        "Files to fetch:",
        f"level  file                                   {'min_txid':18}{'max_txid':18}"
        "size  timestamp",
        *(
            f"0      {txid(n)}-{txid(n)}.ltx  {txid(n)}  {txid(n)}  {size:<4}  {stamp}"
            for n, size, stamp in (
                (1, 7065, "2026-11-23T02:03:52Z"),
                (2, 4714, "2026-11-23T02:03:53Z"),
                (3, 855, "2026-11-23T02:03:55Z"),
            )
        ),
    ]
    assert not os.path.exists(tmp_path / "out.db")


def test_dry_run_as_json(litestream, shrink, tmp_path):
    (tmp_path / "out.db").write_bytes(b"is not looked at")
    text = litestream.run(
        "restore", "-dry-run", "-json", "-txid", txid(2), "-o", "out.db", shrink
    ).stdout
    plan = json.loads(text)
    assert list(plan) == ["source", "target_path", "replica", "min_txid", "max_txid", "files"]
    files = plan.pop("files")
    assert plan == {
        "source": shrink,
        "target_path": "out.db",
        "replica": "file",
        "min_txid": txid(1),
        "max_txid": txid(2),
    }
    names = ["level", "name", "min_txid", "max_txid", "size", "timestamp"]
    assert [list(f) for f in files] == [names, names]
    assert files[1] == {
        "level": 0,
        "name": f"{txid(2)}-{txid(2)}.ltx",
        "min_txid": txid(2),
        "max_txid": txid(2),
        "size": 4714,
        "timestamp": "2026-11-23T02:03:53Z",
    }


def test_restore_from_one_of_several_replicas(litestream, replicas):
    config = litestream.config(
        {
            "dbs": [
                {
                    "path": "/data/app.db",
                    "replicas": [
                        {"path": f"{replicas}/shrink", "name": "near"},
                        {"path": f"{replicas}/steps", "name": "far"},
                    ],
                }
            ]
        }
    )

    def plan(*flags, **more):
        flags = ["-dry-run", "-json", "-config", config, *flags]
        return litestream.run("restore", *flags, "/data/app.db", **more)

    def made_at(name, seconds):
        for folder, _, names in os.walk(f"{replicas}/{name}"):
            for file in names:
                os.utime(os.path.join(folder, file), (seconds, seconds))

    made_at("shrink", 1_700_000_000)
    made_at("steps", 1_700_000_100)
    assert json.loads(plan().stdout)["max_txid"] == txid(8), "the one that reaches furthest"
    made_at("shrink", 1_700_000_200)  # by time: TXIDs of another history may be higher
    assert json.loads(plan().stdout)["max_txid"] == txid(3)
    assert json.loads(plan("-replica", "near").stdout)["max_txid"] == txid(3)
    assert json.loads(plan("-replica", "far").stdout)["max_txid"] == txid(8)
    done = plan("-replica", "none", status=1)
    assert (done.stdout, done.stderr) == ("", "Error: no replica of that name or type: none\n")
    shutil.rmtree(f"{replicas}/shrink/ltx/0")
    assert json.loads(plan().stdout)["max_txid"] == txid(8), "nothing else can be restored"


def test_restore_takes_old_flags_that_mean_nothing_now(litestream, steps, tmp_path):
    litestream.run("restore", "-v", "-o", "out.db", steps)
    assert rows_of_t(tmp_path / "out.db") == 164


def test_restore_of_a_kind_that_is_not_built_in_says_so(litestream, tmp_path):
    stderr = fails(litestream, "restore", "-o", "out.db", "tape://a/b")
    assert 'unknown replica type in config: "tape"' in stderr
    assert os.listdir(tmp_path) == []


# --- two commands at a time --------------------------------------------------------------


def test_output_that_cannot_be_written_is_a_failure(litestream, shrink):
    """A full disk behind a redirection must not look like an empty list."""
    for args in (["ltx", shrink], ["ltx", "-json", shrink], ["version"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [lib.program("litestream"), *args],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env={**lib.SANITIZER_ENV, **os.environ},
                timeout=60 * lib.SLOW,
            )
        assert done.returncode == 1, args
        assert "Error: " in done.stderr


def test_commands_are_quick(litestream, steps):
    start = time.monotonic()
    litestream.run("ltx", steps)
    assert time.monotonic() - start < 10 * lib.SLOW
