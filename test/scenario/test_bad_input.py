"""A configuration or a command line that is wrong is refused with words that name the place
and the way out, and nothing on disk is touched.

In the tables @DB@, @REPLICA@, @DIR@ and @FILE@ stand for the database, the replica folder,
the folder of both and the configuration file.
"""

import hashlib
import os
import re

import pytest

import lib

AGE = (
    "age encryption is not currently supported, if you need encryption please revert back to "
    "Litestream v0.3.x"
)
TYPES = "file, s3, gs, abs, oss, sftp, webdav or nats"
DURATION = "must be a duration such as 500ms, 30s or 24h"
NOT_YET = "this build does not have"


def one(keys, key="replica"):
    """One database with a replica of these keys, which are on line 3."""
    return f"dbs:\n  - path: @DB@\n    {key}: {keys}\n"


def replica(text):
    """What is said of that replica."""
    return "line 3: dbs[@DB@].replica" + text


def top(keys):
    """Keys at the top, from line 1 on, of a file that would be good without them."""
    return keys + "\n" + one("{path: @REPLICA@}")


# Refused by every command that reads the file.
UNREADABLE = {
    "a tab": ("dbs:\n\t- path: x\n", "yaml: line 2: found character that cannot start any token"),
    "an open bracket": ("addr: [\n", "yaml: line 1: did not find expected node content"),
    "an open quote": ('addr: ":9090\n', "yaml: line 2: found unexpected end of stream"),
    "an unknown anchor": ("dbs: *all\n", "line 1: yaml: unknown anchor 'all' referenced"),
    "a list": (
        "- path: x\n",
        "yaml: unmarshal errors:\n"
        "  line 1: cannot unmarshal !!seq into map: the file must be a map of keys",
    ),
    "days": (
        top("snapshot:\n  retention: 7d"),
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `7d` into time.Duration: "
        f"snapshot.retention {DURATION}",
    ),
    "a quoted number as duration": (
        top('l0-retention: "10"'),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `10` into time.Duration: "
        f"l0-retention {DURATION}",
    ),
    "a number as bool": (
        top("verify-compaction: 1"),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `1` into bool: "
        "verify-compaction must be true or false, without quotes",
    ),
    "a size with a unit where there is none": (
        "dbs:\n  - path: @DB@\n    max-sync-wal-bytes: 64MB\n",
        "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `64MB` into int64: "
        "dbs[0].max-sync-wal-bytes must be a whole number without quotes or unit",
    ),
    "a replica that is only a URL": (
        one("file:///backup"),
        "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `file://...` into map: "
        "dbs[0].replica must be a map of keys",
    ),
    "a database that is only a path": (
        "dbs:\n  - @DB@\n",
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `@DB7@...` into map: "
        "dbs[0] must be a map of keys",
    ),
    "dbs as a map": (
        "dbs:\n  path: @DB@\n",
        "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!map into list: "
        "dbs must be a list, each entry behind a dash",
    ),
    "several types at once": (
        "l0-retention: 1d\nverify-compaction: 2\n",
        "yaml: unmarshal errors:\n"
        f"  line 1: cannot unmarshal !!str `1d` into time.Duration: l0-retention {DURATION}\n"
        "  line 2: cannot unmarshal !!int `2` into bool: "
        "verify-compaction must be true or false, without quotes",
    ),
    "an empty entry": ("dbs:\n  -\n", "line 2: dbs[0]: an entry must not be empty"),
    "neither path nor dir": (
        "dbs:\n  - replica: {path: @REPLICA@}\n",
        "line 2: database config #1: must specify either 'path' or 'dir'",
    ),
    "path and dir": (
        "dbs:\n  - {path: @DB@, dir: @DIR@}\n",
        "line 2: database config #1: cannot specify both 'path' and 'dir'",
    ),
    "dir without pattern": (
        "dbs:\n  - {dir: @DIR@}\n",
        "line 2: database config #1: 'pattern' is required when using 'dir'",
    ),
    "watch without dir": (
        "dbs:\n  - {path: @DB@, watch: true}\n",
        "line 2: database config #1: 'watch' can only be enabled with a directory",
    ),
    "a snapshot interval of zero": (
        top("snapshot: {interval: 0s}"),
        "line 1: snapshot.interval: snapshot interval must be greater than 0 (got 0s)",
    ),
    "a sync interval of zero": (
        one("{path: @REPLICA@, sync-interval: 0s}"),
        replica(".sync-interval: sync interval must be greater than 0 (got 0s)"),
    ),
    "a level interval of zero": (
        top("levels:\n  - interval: 1m\n  - interval: 0s"),
        "line 3: levels[1].interval: compaction interval must be greater than 0 (got 0s)",
    ),
    "a negative retention": (
        top("l0-retention: -1m"),
        "line 1: l0-retention: l0 retention must not be negative (got -1m0s)",
    ),
    "a heartbeat that is too fast": (
        top("heartbeat-interval: 10s"),
        "line 1: heartbeat-interval: heartbeat interval must be at least 1 minute (got 10s)",
    ),
    "a heartbeat to nowhere": (
        top("heartbeat-url: ftp://hb.example/ping"),
        "line 1: heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL "
        "(got ftp://hb.example)",
    ),
    "an unknown log type": (
        top("logging:\n  type: xml"),
        "line 2: logging.type: must be text, json or pretty (got xml)",
    ),
    "a size with an unknown unit": (
        top("part-size: 5xb"),
        "line 1: part-size: invalid size format: unhandled size name: xb (got 5xb)",
    ),
    "a hook without a command": (
        top("exec:\n  - on: stop"),
        "line 2: exec[0].cmd: a hook must have a command",
    ),
    "one database with two intervals": (
        "dbs:\n  - path: @DB@\n    monitor-interval: 1s\n    replica: {path: @REPLICA@/1}\n"
        "  - path: @DB@\n    monitor-interval: 9s\n    replica: {path: @REPLICA@/2}\n",
        "line 6: dbs[@DB@].monitor-interval: database config #1 and #2 have the same path and "
        "different values: 1s and 9s",
    ),
    "one destination twice": (
        one("[{path: @REPLICA@}, {url: 'file://@REPLICA@/'}]", "replicas"),
        "line 3: dbs[@DB@].replicas[1]: the destination is the same as that of "
        "dbs[@DB@].replicas[0] on line 3",
    ),
}

# Refused where a replica is used or shown.
BAD_REPLICA = {
    "no replica": ("dbs:\n  - path: @DB@\n", "line 2: dbs[@DB@]: must specify replica for database"),
    "both spellings": (
        "dbs:\n  - path: @DB@\n    replica: {path: @REPLICA@/1}\n"
        "    replicas: [{path: @REPLICA@/2}]\n",
        "line 2: dbs[@DB@]: cannot specify 'replica' and 'replicas' on a database",
    ),
    "no place": (one("{type: file}"), replica(": file replica path required")),
    "an unknown type": (
        one("{type: S3, bucket: b}"),
        replica(f': unknown replica type in config: "S3" (must be {TYPES})'),
    ),
    "an unknown scheme": (
        one("{url: 'ftp://h/p'}"),
        replica(f': unknown replica type in config: "ftp" (a URL begins with one of {TYPES})'),
    ),
    "a URL without a scheme": (
        one("{url: /backup}"),
        replica(
            ": replica url scheme required: /backup "
            "(write s3://... or file://..., or use `path` for a folder)"
        ),
    ),
    "a URL as path": (
        one("{path: 'file://@REPLICA@'}"),
        replica(
            ": replica path cannot be a url, please use the 'url' field instead: "
            "file://@REPLICA@"
        ),
    ),
    "url and path": (
        one("{url: 'file://@REPLICA@', path: /x}"),
        replica(": cannot specify url & path for file replica"),
    ),
    "url and bucket": (
        one("{url: 's3://b/p', bucket: b}"),
        replica(": cannot specify url & bucket for s3 replica"),
    ),
    "no bucket": (one("{type: s3}"), replica(": bucket required for s3 replica")),
    "no user": (one("{url: 'sftp://h/p'}"), replica(": user required for sftp replica")),
    "a bad port": (
        one("{url: 'nats://h:port/b'}"),
        replica(
            ": invalid NATS URL: invalid port after host "
            "(in a password, / ? # @ are %2F %3F %23 %40)"
        ),
    ),
    "a bad escape": (
        one("{url: 's3://b/%zz'}"),
        replica(': invalid replica url "s3://b/%zz": invalid URL escape "%zz"'),
    ),
    "a bad parameter": (
        one("{url: 's3://b?partSize=5MB'}"),
        replica(
            ': invalid value for query parameter "partSize": "5MB" '
            "(must be a positive integer)"
        ),
    ),
    "half a certificate": (
        one("{type: nats, bucket: b, client-cert: /c}"),
        replica(
            ": client-cert and client-key must both be specified for mutual TLS authentication"
        ),
    ),
    "a secret and its file": (
        one("{url: 'sftp://u@h/p', password: x, password-file: /f}"),
        replica(": cannot specify both 'password' and 'password-file'"),
    ),
    "the database as replica": (
        one("{path: @DB@}"),
        replica(": the replica is the database itself, give a folder elsewhere: @DB@"),
    ),
    "age on the replica": (
        one("{path: @REPLICA@, age: {recipients: [age1x]}}"),
        replica(": " + AGE),
    ),
    "age on the database": (
        "dbs:\n  - path: @DB@\n    age:\n      identities: [/key]\n"
        "    replica: {path: @REPLICA@}\n",
        "line 4: dbs[@DB@]: " + AGE,
    ),
    "age at the top": (top("age:\n  recipients: [age1x]"), "line 2: dbs[@DB@].replica: " + AGE),
}

# Refused by the daemon alone.
NO_DAEMON = {
    "no port": (
        top("addr: localhost"),
        'line 1: must specify port for bind address: "localhost"',
    ),
    "no pages": (
        "dbs:\n  - path: @DB@\n    min-checkpoint-page-count: 0\n"
        "    replica: {path: @REPLICA@}\n",
        "line 3: dbs[@DB@].min-checkpoint-page-count: cannot open store: "
        "minimum checkpoint page count required (got 0)",
    ),
    "nine levels": (
        top("levels: [" + "{interval: 1h}, " * 9 + "]"),
        "line 1: cannot open store: compaction level cannot exceed 8",
    ),
    "a command for a shell": (
        top("exec: app | tee log"),
        "line 1: cannot parse exec command: `|` needs a shell: put it in quotes, or use "
        "sh -c '...'",
    ),
    "an open quote in a command": (
        top("exec: app 'x"),
        "line 1: cannot parse exec command: invalid command line string",
    ),
    "two databases in one folder": (
        one("{path: @REPLICA@}") + "  - path: @DB@2\n    replica: {path: @REPLICA@/.}\n",
        "line 5: dbs[@DB@2].replica: the destination is the same as that of dbs[@DB@].replica "
        "on line 3; two databases cannot share one, give each its own path",
    ),
    "two databases with one state": (
        "dbs:\n  - {path: @DB@, meta-path: @DIR@/m, replica: {path: @REPLICA@/1}}\n"
        "  - {path: @DB@2, meta-path: @DIR@/m, replica: {path: @REPLICA@/2}}\n",
        "line 3: meta-path collision: databases @DB@ and @DB@2 would share meta-path @DIR@/m, "
        "causing replication state corruption",
    ),
    "a replica in the local state": (
        one("{path: @DIR@/.app.db-litestream}"),
        replica(
            ": the destination is the folder of the local state, dbs[@DB@].meta-path; "
            "give another folder"
        ),
    ),
    "a secret in no file": (
        "mcp-auth-token-file: /nonexistent/token\n",
        'line 1: cannot read mcp-auth-token-file "/nonexistent/token": '
        "open /nonexistent/token: no such file or directory",
    ),
}

# Known, and not there: said by the daemon, with the words behind NOT_YET.
NOT_BUILT = {
    "metrics": (top("addr: ':9090'"), "line 1: addr: :9090", "the metrics server"),
    "mcp": (top("mcp-addr: ':3001'"), "line 1: mcp-addr: :3001", "the MCP server"),
    "exec": (top("exec: app -x"), "line 1: exec: app ...", "running a command"),
    "hooks": (top("exec:\n  - cmd: [a]"), "line 2: hooks: 1 of them", "hooks"),
    "socket": (
        top("socket:\n  enabled: true"),
        "line 2: socket.enabled: true",
        "the control socket",
    ),
    "levels": (top("levels:\n  - interval: 5m"), "line 1: levels: 1 of them", "compaction"),
    "snapshots": (
        top("snapshot: {interval: 1h}"),
        "line 1: snapshot.interval: 1h0m0s",
        "snapshots",
    ),
    "retention": (
        one("{path: @REPLICA@, retention: 72h}"),
        replica(".retention: 72h0m0s"),
        "retention",
    ),
    "a folder": (
        "dbs:\n  - {dir: @DIR@, pattern: '*.db', replica: {path: @REPLICA@}}\n",
        "line 2: dbs[@DIR@].dir: @DIR@",
        "folders of databases",
    ),
    "restore at start": (
        "dbs:\n  - path: @DB@\n    restore-if-db-not-exists: true\n"
        "    replica: {path: @REPLICA@}\n",
        "line 3: dbs[@DB@].restore-if-db-not-exists: true",
        "restoring at start",
    ),
    "s3": (one("{url: 's3://b/p'}"), replica(".url: s3://b/p"), "replicas of type s3"),
}


class Place:
    """A database with some content, a replica folder with a file, and what they look like."""

    def __init__(self, folder):
        self.folder = str(folder / "data")
        self.db = os.path.join(self.folder, "app.db")
        self.replica = os.path.join(self.folder, "replica")
        self.config = str(folder / "litestream.yml")
        os.makedirs(self.replica)
        con = lib.connect(self.db, wal=False)
        con.execute("CREATE TABLE t (x)")
        con.execute("INSERT INTO t VALUES (1)")
        con.close()
        with open(os.path.join(self.replica, "kept"), "w", encoding="ascii") as f:
            f.write("kept")
        self.before = self.look()

    def look(self):
        """Name, kind, time and content of everything."""
        found = {}
        for base, folders, files in os.walk(self.folder):
            for name in folders + files:
                path = os.path.join(base, name)
                content = b""
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        content = hashlib.sha256(f.read()).digest()
                found[path] = (os.stat(path).st_mtime_ns, content)
        return found

    def unchanged(self):
        assert self.look() == self.before

    def fill_in(self, text):
        for name, value in (
            ("@DB7@", self.db[:7]),
            ("@DB@", self.db),
            ("@REPLICA@", self.replica),
            ("@DIR@", self.folder),
            ("@FILE@", self.config),
        ):
            text = text.replace(name, value)
        return text

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(self.fill_in(text))
        return self.config


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.unchanged()


def refused(litestream, args, message, **more):
    """It fails with exactly this message; stdout has nothing but warnings."""
    done = litestream.run(*args, status=1, timeout=30, **more)
    assert done.stderr == f"Error: {message}\n"
    assert not [line for line in done.stdout.splitlines() if "level=WARN" not in line]
    return done


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=[k.replace(" ", "-") for k in table])


# --- configurations ----------------------------------------------------------------------


@cases(UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_by_every_command(litestream, place, case):
    text, message = case
    file = place.write(text)
    message = place.fill_in(f"@FILE@: {message}")
    refused(litestream, ["replicate", "-config", file], message)
    refused(litestream, ["databases", "-config", file], message)
    refused(litestream, ["restore", "-config", file, "-o", place.folder + "/new", place.db], message)
    refused(litestream, ["ltx", "-config", file, place.db], message)


@cases(BAD_REPLICA)
def test_a_bad_replica_is_refused_by_every_command_that_would_use_it(litestream, place, case):
    text, message = case
    file = place.write(text)
    message = place.fill_in(f"@FILE@: {message}")
    refused(litestream, ["replicate", "-config", file], message)
    refused(litestream, ["databases", "-config", file], message)
    refused(litestream, ["restore", "-config", file, "-o", place.folder + "/new", place.db], message)
    refused(litestream, ["ltx", "-config", file, place.db], message)


@cases(NO_DAEMON)
def test_what_only_the_daemon_cannot_do_is_refused_by_it(litestream, place, case):
    text, message = case
    file = place.write(text)
    refused(litestream, ["replicate", "-config", file], place.fill_in(f"@FILE@: {message}"))
    litestream.run("databases", "-config", file)


@cases(NOT_BUILT)
def test_what_is_not_built_yet_is_refused_and_never_ignored(litestream, place, case):
    text, where, what = case
    file = place.write(text)
    out = "use a folder, file:///PATH" if "of type" in what else "remove the key"
    message = place.fill_in(f"@FILE@: {where}: {NOT_YET} {what} yet; {out}")
    refused(litestream, ["replicate", "-config", file], message)
    litestream.run("databases", "-config", file)


def test_a_missing_file_is_named(litestream, place):
    missing = os.path.join(place.folder, "x", "..", "none.yml")
    clean = os.path.join(place.folder, "none.yml")
    for args in (["replicate"], ["databases"]):
        refused(litestream, [*args, "-config", missing], f"config file not found: {clean}")
        refused(
            litestream,
            args,
            f"config file not found: {clean}",
            env={"LITESTREAM_CONFIG": missing},
        )


def test_a_folder_is_no_file(litestream, place):
    done = litestream.run("databases", "-config", place.folder, status=1)
    assert done.stderr == (
        f"Error: cannot read config: read {place.folder}: is a directory\n"
    )


def test_variables_are_expanded_unless_that_is_switched_off(litestream, place):
    file = place.write(one("{type: $KIND, path: @REPLICA@}"))
    env = {"KIND": "tape"}
    line = place.fill_in("@FILE@: line 3: dbs[@DB@].replica: unknown replica type in config: ")
    refused(
        litestream, ["databases", "-config", file], f'{line}"tape" (must be {TYPES})', env=env
    )
    refused(
        litestream,
        ["databases", "-no-expand-env", "-config", file],
        f'{line}"$KIND" (must be {TYPES})',
        env=env,
    )


WARNINGS = {
    "a key with a slip": (
        top("sync-intervall: 5s"),
        1,
        "unknown key `sync-intervall`, did you mean `sync-interval`?",
    ),
    "a key in the wrong place": (
        "dbs:\n  - path: @DB@\n    sync-interval: 5s\n    replica: {path: @REPLICA@}\n",
        3,
        "unknown key `dbs[0].sync-interval`; `sync-interval` belongs to a replica",
    ),
    "a key twice": (
        top("sync-interval: 5s\nsync-interval: 6s"),
        2,
        "`sync-interval` is there twice; the one on line 1 is not used",
    ),
    "a bare number": (
        top("sync-interval: 10"),
        1,
        "`sync-interval: 10` is a number of nanoseconds; write a unit, as in `10s`",
    ),
    "a key of another type": (
        one("{path: @REPLICA@, region: eu}"),
        3,
        "`region` has no effect on a replica of type file",
    ),
    "an old key": (
        one("{path: @REPLICA@, validation-interval: 1h}"),
        3,
        "`dbs[0].replica.validation-interval` is a key of an older version and has no effect; "
        "see `validation.interval` at the top level",
    ),
}


@cases(WARNINGS)
def test_what_has_no_effect_is_warned_about(litestream, place, case):
    text, line, note = case
    file = place.write(text)
    done = litestream.run("databases", "-config", file)
    warnings = [w for w in done.stdout.splitlines() if "level=WARN" in w]
    assert len(warnings) == 1
    assert f"file={file} line={line} " in warnings[0]
    assert f'note="{note}"' in warnings[0]


# --- command lines -----------------------------------------------------------------------

URL = "file://@REPLICA@"
NEW = "@DIR@/new.db"

# Words, message, hint.
ARGUMENTS = {
    "unknown command": (["backup"], "litestream backup: unknown command", "litestream help"),
    "a command to come": (
        ["status"],
        f"litestream status: {NOT_YET} this command yet",
        None,
    ),
    "replicate: no URL": (
        ["replicate", "@DB@"],
        "must specify at least one replica URL for DB_PATH",
        None,
    ),
    "replicate: URL and file": (
        ["replicate", "-config", "x.yml", "@DB@", URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
    "replicate: flag behind": (
        ["replicate", "@DB@", URL, "-exec", "app"],
        'flag "-exec" must be positioned before DB_PATH and REPLICA_URL arguments',
        None,
    ),
    "replicate: snapshot": (
        ["replicate", "-force-snapshot", "@DB@", URL],
        "cannot specify -force-snapshot flag without -once",
        None,
    ),
    "replicate: retention": (
        ["replicate", "-enforce-retention", "@DB@", URL],
        "cannot specify -enforce-retention flag without -once",
        None,
    ),
    "replicate: once and exec": (
        ["replicate", "-once", "-exec", "app", "@DB@", URL],
        "cannot specify -once flag with -exec",
        None,
    ),
    "replicate: once": (
        ["replicate", "-once", "@DB@", URL],
        f"-once: {NOT_YET} this feature yet; leave the flag out",
        None,
    ),
    "replicate: exec": (
        ["replicate", "-exec", "app", "@DB@", URL],
        f"-exec: {NOT_YET} this feature yet; leave the flag out",
        None,
    ),
    "replicate: not a URL": (
        ["replicate", "@DB@", "@REPLICA@"],
        "@REPLICA@: replica url scheme required: @REPLICA@ "
        "(write s3://... or file://..., or use `path` for a folder)",
        None,
    ),
    "replicate: to s3": (
        ["replicate", "@DB@", "s3://b/p"],
        f"s3://b/p: {NOT_YET} replicas of type s3 yet; use a folder, file:///PATH",
        None,
    ),
    "replicate: twice to one place": (
        ["replicate", "@DB@", URL, URL + "/"],
        f"{URL}/: the destination is the same as that of {URL}",
        None,
    ),
    "restore: nothing": (
        ["restore"],
        "database path or replica URL required",
        "litestream restore -o /path/to/db s3://bucket/prefix",
    ),
    "restore: no output": (
        ["restore", URL],
        "-o is required when restoring from a replica URL",
        "litestream restore -o /path/to/db " + URL,
    ),
    "restore: too much": (["restore", "-o", NEW, URL, "x"], "too many arguments", None),
    "restore: URL and file": (
        ["restore", "-config", "x.yml", "-o", NEW, URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
    "restore: no time": (
        ["restore", "-timestamp", "yesterday", "-o", NEW, URL],
        "invalid -timestamp, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)",
        None,
    ),
    "restore: no such check": (
        ["restore", "-integrity-check", "some", "-o", NEW, URL],
        "invalid -integrity-check value: some",
        None,
    ),
    "restore: onto a database": (
        ["restore", "-o", "@DB@", URL],
        "cannot restore, output path already exists and is not empty: @DB@. "
        "Use -force to overwrite",
        None,
    ),
    "restore: onto a folder": (
        ["restore", "-o", "@DIR@", URL],
        "cannot restore, output path is a directory: @DIR@",
        None,
    ),
    "restore: unknown scheme": (
        ["restore", "-o", NEW, "ftp://h/p"],
        f'ftp://h/p: unknown replica type in config: "ftp" (a URL begins with one of {TYPES})',
        None,
    ),
    "restore: empty replica": (
        ["restore", "-o", NEW, URL + "/empty"],
        "no matching backup files available",
        None,
    ),
    "restore: follow": (
        ["restore", "-f", "-o", NEW, URL],
        "-f: this build cannot follow a replica yet; restore without -f",
        None,
    ),
    "databases: too much": (["databases", "x"], "too many arguments", None),
    "ltx: nothing": (
        ["ltx"],
        "database path or replica URL required",
        "litestream ltx /path/to/db",
    ),
    "ltx: too much": (["ltx", URL, "x"], "too many arguments", None),
    "ltx: URL and file": (
        ["ltx", "-config", "x.yml", URL],
        "cannot specify a replica URL and the -config flag",
        None,
    ),
}

# Words, message: said before and after the usage.
FLAGS = {
    "replicate: unknown": (["replicate", "-x"], "flag provided but not defined: -x"),
    "replicate: no value": (["replicate", "-config"], "flag needs an argument: -config"),
    "replicate: bool": (
        ["replicate", "-once=maybe"],
        'invalid boolean value "maybe" for -once: parse error',
    ),
    "restore: unknown": (["restore", "--nope=1"], "flag provided but not defined: -nope"),
    "restore: txid": (
        ["restore", "-txid", "12", URL],
        'invalid value "12" for flag -txid: invalid txid format',
    ),
    "restore: number": (
        ["restore", "-parallelism", "many", URL],
        'invalid value "many" for flag -parallelism: parse error',
    ),
    "restore: large number": (
        ["restore", "-parallelism", "99999999999999999999", URL],
        'invalid value "99999999999999999999" for flag -parallelism: value out of range',
    ),
    "restore: duration": (
        ["restore", "-follow-interval", "5", URL],
        'invalid value "5" for flag -follow-interval: parse error',
    ),
    "databases: bool": (
        ["databases", "-json=yes"],
        'invalid boolean value "yes" for -json: parse error',
    ),
    "ltx: level": (
        ["ltx", "-level", "x", URL],
        'invalid value "x" for flag -level: invalid level: must be 0-9 or "all"',
    ),
    "ltx: level out of range": (
        ["ltx", "-level", "10", URL],
        'invalid value "10" for flag -level: level must be between 0 and 9',
    ),
    "version: unknown": (["version", "-short"], "flag provided but not defined: -short"),
    "version: syntax": (["version", "---verbose"], "bad flag syntax: ---verbose"),
}


@cases(ARGUMENTS)
def test_wrong_arguments_are_refused(litestream, place, case):
    words, message, hint = case
    done = litestream.run(*map(place.fill_in, words), status=1, timeout=30)
    hint = f"Try: {hint}\n" if hint else ""
    assert done.stderr == place.fill_in(f"Error: {message}\n{hint}")
    assert done.stdout == ""


@cases(FLAGS)
def test_wrong_flags_are_refused_with_the_usage(litestream, place, case):
    words, message = case
    done = litestream.run(*map(place.fill_in, words), status=1, timeout=30)
    assert done.stderr == f"{message}\nError: {message}\n"
    assert re.search(rf"^Usage:\n\n\tlitestream {words[0]}", done.stdout, re.MULTILINE)


def test_the_old_name_of_ltx_has_its_messages_behind_a_warning(litestream, place):
    warning = "Warning: 'wal' command is deprecated, please use 'ltx' instead\n"
    done = litestream.run("wal", status=1)
    assert done.stderr.startswith(warning + "Error: database path or replica URL required\n")
    done = litestream.run("wal", "-level", "x", place.db, status=1)
    assert done.stderr.startswith(warning + 'invalid value "x" for flag -level: ')


@pytest.mark.parametrize("words", [[], ["-x"], ["--config=x"]], ids=str)
def test_without_a_command_there_is_only_the_usage(litestream, place, words):
    done = litestream.run(*words, status=1)
    assert "litestream <command> [flags] [arguments]" in done.stdout
    assert done.stderr == ""


def test_a_database_that_is_not_in_the_file_is_named(litestream, place):
    file = place.write(one("{path: @REPLICA@}"))
    other = os.path.join(place.folder, "other.db")
    for command in ("restore", "ltx"):
        refused(litestream, [command, "-config", file, other], f"database not found in config: {other}")


# --- secrets -----------------------------------------------------------------------------

SECRET = "hunter2secret"

SECRET_CONFIGS = [
    one("{url: 'sftp://u:@SECRET@@h:port/p'}"),
    one("{url: 'sftp://u:@SECRET@%zz@h/p'}"),
    one("{url: 'sftp://u:pass/@SECRET@@h/p'}"),
    one("{url: 'sftp://u:p@@SECRET@/x@h/%zz'}"),
    one("{url: 'sftp:/u:@SECRET@@h/p'}"),
    one("{url: 'u:@SECRET@@h/p'}"),
    one("{url: 'ftp://u:@SECRET@@h/p'}"),
    one("{url: 'sftp://:@SECRET@@h/p'}"),
    one("{url: 'webdavs://u:@SECRET@@h/p', path: /x}"),
    one("{url: 'nats://@SECRET@@h:x/b'}"),
    one("{url: 'nats://u:@SECRET@@h'}"),
    one("{url: 's3://b/p?sseCustomerKey=@SECRET@&partSize=x'}"),
    one("{url: 's3://b/p', bucket: b, secret-access-key: @SECRET@}"),
    one("{path: 's3://u:@SECRET@@b/p'}"),
    one("{type: s3, secret-access-key: @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: !!int @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: !!binary @SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: *@SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key: [@SECRET@]}"),
    one("{type: s3, bucket: b, secret-access-key: {@SECRET@: 1}}"),
    one("{type: s3, bucket: b, secret-access-key:@SECRET@}"),
    one("{type: s3, bucket: b, secret-access-key=@SECRET@}"),
    one("{type: abs, account-key: @SECRET@, sas-token: '?sig=@SECRET@'}"),
    one("{type: sftp, host: h, user: u, password: @SECRET@, password-file: /f}"),
    one("{type: nats, bucket: b, jwt: @SECRET@, seed: @SECRET@, nkey: @SECRET@, client-key: k}"),
    top("heartbeat-url: http:/hb.example/@SECRET@"),
    top("heartbeat-url: https://hb.example/@SECRET@"),
    top("mcp-addr: ':1'\nmcp-auth-token: @SECRET@"),
    top("mcp-auth-token: [@SECRET@]"),
    top("secret-access-key: @SECRET@\nsnapshot: {interval: x}"),
    top("exec: app --password @SECRET@"),
    "secret-access-key: |\n  @SECRET@\n\tx\n",
    "secret-access-key: '@SECRET@\n",
    "secret-access-key: @SECRET@: x\n",
    "secret-access-key: @@SECRET@\n",
]


@pytest.mark.parametrize("number", range(len(SECRET_CONFIGS)))
def test_no_message_has_a_secret_of_a_file_in_it(litestream, place, number):
    text = SECRET_CONFIGS[number].replace("@SECRET@", SECRET)
    file = place.write(text)
    done = litestream.run("replicate", "-config", file, status=1, timeout=30)
    assert done.stderr.startswith("Error: ")
    assert SECRET not in done.stdout + done.stderr
    done = litestream.run("databases", "-config", file, status=None, timeout=30)
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "sftp://u:@SECRET@@h/p",
        "sftp://u:@SECRET@@h:port/p",
        "sftp://:@SECRET@@h/p",
        "ftp://u:@SECRET@@h/p",
        "s3:/u:@SECRET@@b/p",
        "s3://b/p?sse-customer-key=@SECRET@",
        "nats://@SECRET@@h/b",
    ],
)
def test_no_message_has_a_secret_of_a_command_line_in_it(litestream, place, url):
    url = url.replace("@SECRET@", SECRET)
    new = os.path.join(place.folder, "new.db")
    for words in (
        ["replicate", place.db, url],
        ["restore", "-o", new, url],
        ["restore", url],
        ["ltx", url],
        ["ltx", "-config", "x.yml", url],
    ):
        if words[0] != "replicate" and "://" not in url:
            continue  # the name of a database, which is repeated
        done = litestream.run(*words, status=1, timeout=30)
        assert done.stderr.startswith("Error: ")
        assert SECRET not in done.stdout + done.stderr


# --- the shipped sample ------------------------------------------------------------------

SAMPLE = os.path.join(os.environ["LITESTREAM_FIXTURES"], "..", "..", "packaging", "litestream.yml")
MARK = "(not in this build yet)"


def paragraphs():
    with open(SAMPLE, encoding="utf-8") as f:
        return f.read().split("\n\n")


def taken_into_use(text):
    """Takes the # away from lines that are settings."""
    return re.sub(r"^#(?=\S|  )", "", text, flags=re.MULTILINE)


def test_the_daemon_starts_with_what_the_sample_does_not_mark(litestream, tmp_path):
    usable = "\n".join(p for p in paragraphs() if MARK not in p)
    usable = taken_into_use(usable)
    for name in ("/var/lib/app", "/var/backups", "/mnt/nas"):
        usable = usable.replace(name, str(tmp_path / os.path.basename(name)))
    (tmp_path / "app").mkdir()
    for name in ("one", "two"):
        book = lib.Ledger(tmp_path / "app" / f"{name}.db")
        book.commit()
        book.close()
    daemon = litestream.replicate(config=usable)
    for name in ("backups/one", "backups/two", "nas/two"):
        litestream.wait_replicated(f"file://{tmp_path / name}", 1)
    assert not daemon.lines("level=(WARN|ERROR)")
    daemon.stop()


SETTING = re.compile(r"^( *[a-z0-9-]+: )(.*)$", re.MULTILINE)
OTHER = {"false": "true", '""': "':9'", "24h": "9h", "5m": "9m", "15s": "9s", "0s": "9s"}


def test_what_the_sample_marks_is_refused(litestream, place):
    n = 0
    for paragraph in paragraphs()[1:]:
        text = taken_into_use(paragraph)
        if MARK not in paragraph:
            continue
        head, body = "", "\n".join(x for x in text.splitlines() if not x.startswith("#"))
        if body.startswith(" "):
            head = "dbs:\n"
        if not re.search("^  - ", body, re.MULTILINE):
            # Not examples but defaults: they ask for nothing until they say something else.
            body = SETTING.sub(lambda m: m[1] + OTHER.get(m[2], m[2]), body)
            body = body.replace("heartbeat-url: ':9'", "heartbeat-url: http://hb.example")
        file = place.write(head + body + "\n")
        done = litestream.run("replicate", "-config", file, status=1, timeout=30)
        assert NOT_YET in done.stderr, body
        n += 1
    assert n > 15
